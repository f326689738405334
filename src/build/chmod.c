#include "build/chmod.h"

#include <string.h>
#include <sys/stat.h>

static int invalid(const char *text, struct err *e)
{
	return err_set(e, ERR_INVALID,
		"invalid chmod parameter: '%.80s': it must be octal like 755 or symbolic like u=rwX,go=rX",
		text);
}

/* 1 octal, 0 not octal, -1 octal but too large */
static int parse_octal(const char *text, mode_t *ret)
{
	mode_t mode = 0;
	for (const char *p = text; *p; p++) {
		if (*p < '0' || *p > '7') {
			return 0;
		}
		mode = mode << 3 | (mode_t)(*p - '0');
		if (mode > 07777) {
			return -1;
		}
	}
	*ret = mode;
	return 1;
}

static const char *parse_who(const char *p, mode_t *ret)
{
	mode_t who = 0;
	for (;; p++) {
		switch (*p) {
		case 'u':
			who |= S_IRWXU;
			break;
		case 'g':
			who |= S_IRWXG;
			break;
		case 'o':
			who |= S_IRWXO;
			break;
		case 'a':
			who |= 0777;
			break;
		default:
			*ret = who ? who : 0777;
			return p;
		}
	}
}

/* What follows the operator. Returns where it ends. */
static const char *parse_perms(const char *p, struct chmod_clause *c)
{
	if (*p == 'u' || *p == 'g' || *p == 'o') {
		c->copy = (mode_t)*p;
		return p + 1;
	}
	for (;; p++) {
		switch (*p) {
		case 'r':
			c->bits |= 4;
			break;
		case 'w':
			c->bits |= 2;
			break;
		case 'x':
			c->bits |= 1;
			break;
		case 'X':
			c->x_if = true;
			break;
		case 's':
			c->special |=
				(c->who & S_IRWXU ? S_ISUID : 0) | (c->who & S_IRWXG ? S_ISGID : 0);
			break;
		case 't':
			c->special |= S_ISVTX;
			break;
		default:
			return p;
		}
	}
}

static int parse_clauses(const char *text, struct chmod_rule *r, struct err *e)
{
	const char *p = text;
	do {
		mode_t who;
		p = parse_who(p, &who);
		if (!*p || !strchr("=+-", *p)) {
			return invalid(text, e);
		}
		while (*p && strchr("=+-", *p)) { /* "u+r-w": several actions for the same people */
			if (r->n == CHMOD_CLAUSES_MAX) {
				return invalid(text, e);
			}
			struct chmod_clause *c = &r->v[r->n++];
			*c = (struct chmod_clause){.who = who, .op = *p};
			p = parse_perms(p + 1, c);
		}
	} while (*p == ',' && *++p);
	return *p || p[-1] == ',' ? invalid(text, e) : 0;
}

int chmod_parse(const char *text, struct chmod_rule *ret, struct err *e)
{
	struct chmod_rule r = {0};
	if (!*text) {
		return invalid(text, e);
	}
	int octal = parse_octal(text, &r.mode);
	if (octal < 0) {
		return invalid(text, e);
	}
	r.octal = octal > 0;
	if (!r.octal && parse_clauses(text, &r, e) < 0) {
		return -1;
	}
	*ret = r;
	return 0;
}

static mode_t apply_clause(const struct chmod_clause *c, mode_t mode)
{
	mode_t bits = c->bits;
	if (c->x_if && (S_ISDIR(mode) || (mode & 0111))) {
		bits |= 1;
	}
	if (c->copy) {
		bits = c->copy == 'u' ? mode >> 6 & 7 : c->copy == 'g' ? mode >> 3 & 7 : mode & 7;
	}
	mode_t wanted = ((bits << 6 | bits << 3 | bits) & c->who) | c->special;
	if (c->op == '+') {
		return mode | wanted;
	}
	if (c->op == '-') {
		return mode & ~wanted;
	}
	/* GNU chmod: "=" leaves a directory's set-id bits alone */
	mode_t cleared = c->who | (S_ISDIR(mode) ? 0
						 : (c->who & S_IRWXU ? S_ISUID : 0) |
							   (c->who & S_IRWXG ? S_ISGID : 0));
	return (mode & ~cleared) | wanted;
}

mode_t chmod_apply(const struct chmod_rule *rule, mode_t mode)
{
	if (rule->octal) {
		return rule->mode;
	}
	for (size_t i = 0; i < rule->n; i++) {
		mode = apply_clause(&rule->v[i], mode);
	}
	return mode & 07777;
}
