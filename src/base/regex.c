#include "base/regex.h"

#include <stdlib.h>
#include <string.h>

#define LENGTH_MAX 512
#define DEPTH_MAX 32
#define NODES_MAX                                                                      \
	2048 /* length times repetitions, about; regcomp may need its square in memory \
	      */

/* The larger number of "{2}", "{2,}", "{2,5}" at p; 1 where none stands there. */
static long repetitions(const char *p)
{
	char *end;
	long least = strtol(p + 1, &end, 10);
	long most = *end == ',' ? strtol(end + 1, NULL, 10) : 0;
	long n = least > most ? least : most;
	return n < 1 ? 1 : n;
}

bool regex_is_costly(const char *pattern)
{
	long size = (long)strnlen(pattern, LENGTH_MAX + 1);
	int depth = 0;
	if (size > LENGTH_MAX) {
		return true;
	}
	for (const char *p = pattern; *p; p++) {
		if (*p == '\\' && p[1]) {
			p++;
			if (*p >= '1' && *p <= '9') {
				return true;
			}
		} else if (*p == '(') {
			if (++depth >
				DEPTH_MAX) { /* closed ones count too: brackets hide parentheses */
				return true;
			}
		} else if (*p == '{') {
			long n = repetitions(p);
			if (n > NODES_MAX / size) {
				return true;
			}
			size *= n;
		}
	}
	return false;
}
