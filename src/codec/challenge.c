#include "codec/challenge.h"

#include <string.h>
#include <strings.h>

static const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t' || *p == ',') {
		p++;
	}
	return p;
}

/* A token or a quoted string into value; NULL when it is broken or too long. */
static const char *read_value(const char *p, char value[static CHALLENGE_VALUE_MAX])
{
	size_t n = 0;
	bool quoted = *p == '"';
	p += quoted;
	while (*p && (quoted ? *p != '"' : !strchr(" \t,", *p))) {
		if (quoted && *p == '\\' && p[1]) {
			p++;
		}
		if ((unsigned char)*p < 0x20 || n + 1 >= CHALLENGE_VALUE_MAX) {
			return NULL;
		}
		value[n++] = *p++;
	}
	value[n] = '\0';
	if (quoted) {
		return *p == '"' ? p + 1 : NULL;
	}
	return p;
}

static char *field_of(struct challenge *c, const char *key, size_t n)
{
	const struct {
		const char *name;
		char *value;
	} fields[] = {{"realm", c->realm}, {"service", c->service}, {"scope", c->scope}};
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		if (strlen(fields[i].name) == n && strncasecmp(fields[i].name, key, n) == 0) {
			return fields[i].value;
		}
	}
	return NULL;
}

bool challenge_parse(const char *header, struct challenge *ret)
{
	struct challenge c = {0};
	const char *p = skip_blanks(header);
	size_t n = strcspn(p, " ");
	c.bearer = n == 6 && strncasecmp(p, "Bearer", 6) == 0;
	if (!c.bearer && !(n == 5 && strncasecmp(p, "Basic", 5) == 0)) {
		return false;
	}
	p = skip_blanks(p + n);
	while (*p) {
		const char *key = p;
		n = strcspn(p, "= \t,");
		p += n;
		if (*p != '=') {
			break; /* the next challenge begins: the first one is enough */
		}
		char value[CHALLENGE_VALUE_MAX];
		p = read_value(p + 1, value);
		if (!p) {
			return false;
		}
		char *field = field_of(&c, key, n);
		if (field) {
			strcpy(field, value); /* both are CHALLENGE_VALUE_MAX */
		}
		p = skip_blanks(p);
	}
	if (c.bearer && !*c.realm) {
		return false;
	}
	*ret = c;
	return true;
}
