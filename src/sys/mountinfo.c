#include "sys/mountinfo.h"

#include <string.h>

/* Blanks and the like stand as "\040". */
static void unescape(char *text)
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

static bool parse(char *line, struct mountinfo *m)
{
	char *places[6];
	*m = (struct mountinfo){0};
	for (int i = 0; i < 6; i++) {
		places[i] = field(&line);
	}
	m->dev = places[2];
	m->root = places[3];
	m->place = places[4];
	m->flags = places[5];
	const char *tag = field(&line);
	for (; tag && strcmp(tag, "-") != 0; tag = field(&line)) {
		m->shared = m->shared || strncmp(tag, "shared:", 7) == 0;
		m->slave = m->slave || strncmp(tag, "master:", 7) == 0;
	}
	m->fstype = field(&line);
	char *source = field(&line);
	m->source = source;
	if (!tag || !source) {
		return false;
	}
	unescape(places[3]);
	unescape(places[4]);
	unescape(source);
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
