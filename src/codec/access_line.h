/* codec/access_line.h - a line of nginx's access log as ingress/conf.c has it written:
 *
 *   ADDRESS - USER [TIME] "REQUEST" STATUS BYTES "REFERER" "AGENT" HOST ROUTE SECONDS UPSTREAM...
 *
 * What a client chose is in the quotes and in USER; nginx writes its quotes, backslashes and
 * control characters as \xXX (log_format's default escape), so it cannot end a field.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define ACCESS_ROUTE_MAX 200 /* bytes of a route's key */

struct access_line {
	char route[ACCESS_ROUTE_MAX + 1]; /* [a-z0-9-], "": of no route */
	int status;                       /* 100 to 599 */
	int64_t bytes;                    /* of the body that was sent */
	int64_t ms;                       /* from the first byte to the last */
};

/* line: n bytes without the newline. -1: it is not such a line. */
int access_line_parse(const char *line, size_t n, struct access_line *ret);
