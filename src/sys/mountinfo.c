#include "sys/mountinfo.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "base/parse.h"

/* Blanks and the like stand as "\040". */
static char *unescape(char *text)
{
	char *to = text;
	for (const char *p = text; *p; p++) {
		if (p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] && p[3]) {
			*to++ = (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0'));
			p += 3;
		} else {
			*to++ = *p;
		}
	}
	*to = '\0';
	return text;
}

static char *field(char **line)
{
	char *start = *line;
	char *end = start ? strchr(start, ' ') : NULL;
	if (end) {
		*end = '\0';
	}
	*line = end ? end + 1 : NULL;
	return start;
}

/* "98:0"; the text is left as it is. */
static bool parse_dev(char *text, unsigned *ret_major, unsigned *ret_minor)
{
	char *colon = strchr(text, ':');
	int major;
	int minor;
	if (!colon) {
		return false;
	}
	*colon = '\0';
	bool valid = parse_int(text, 0, INT_MAX, &major) == 0 &&
		     parse_int(colon + 1, 0, INT_MAX, &minor) == 0;
	*colon = ':';
	if (valid) {
		*ret_major = (unsigned)major;
		*ret_minor = (unsigned)minor;
	}
	return valid;
}

static bool parse(char *line, struct mountinfo *m)
{
	char *first[6];
	*m = (struct mountinfo){0};
	for (int i = 0; i < 6; i++) {
		first[i] = field(&line);
	}
	char *tag = field(&line);
	for (; tag && strcmp(tag, "-") != 0; tag = field(&line)) {
		m->shared = m->shared || strncmp(tag, "shared:", 7) == 0;
		m->slave = m->slave || strncmp(tag, "master:", 7) == 0;
	}
	m->fstype = field(&line);
	char *source = field(&line);
	char *options = field(&line);
	if (!options || parse_int(first[0], 0, INT_MAX, &m->id) < 0 ||
		!parse_dev(first[2], &m->major, &m->minor)) {
		return false;
	}
	m->dev = first[2];
	m->root = unescape(first[3]);
	m->place = unescape(first[4]);
	m->flags = first[5];
	m->source = unescape(source);
	m->options = options;
	return true;
}

bool mountinfo_next(char **text, struct mountinfo *ret)
{
	while (*text && **text) {
		char *line = *text;
		char *end = strchr(line, '\n');
		if (end) {
			*end = '\0';
		}
		*text = end ? end + 1 : NULL;
		if (parse(line, ret)) {
			return true;
		}
	}
	return false;
}
