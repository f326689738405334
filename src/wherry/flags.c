#include "wherry/flags.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"

#define USAGE_STATUS 125

static bool is_compose(const struct syntax *s)
{
	return text_starts(s->command, "compose");
}

/* The program's own flags have no command in front. */
static int refuse(const struct syntax *s, const char *text)
{
	const char *blank = *s->command ? " " : "";
	if (is_compose(s)) {
		fprintf(stderr, "%s\n", text);
		return 1;
	}
	fprintf(stderr,
		"%s\n\nUsage:  wherry%s%s %s\n\nRun 'wherry%s%s --help' for more information\n",
		text, blank, s->command, s->operands, blank, s->command);
	return USAGE_STATUS;
}

int flags_refuse(const struct syntax *s, const struct err *e)
{
	fprintf(stderr, "wherry: %s\n\nRun 'wherry %s --help' for more information\n", e->msg,
		s->command);
	return USAGE_STATUS;
}

static int parse_decimal(const char *text, int64_t *ret)
{
	int64_t whole = 0;
	int64_t unit = 1000000000;
	int sign = *text == '-' ? -1 : 1;
	text += *text == '-';
	if (!isdigit((unsigned char)*text) && *text != '.') {
		return -EINVAL;
	}
	for (; isdigit((unsigned char)*text); text++) {
		whole = whole * 10 + (*text - '0');
		if (whole > 1000000) {
			return -ERANGE;
		}
	}
	int64_t value = whole * unit;
	if (*text == '.') {
		for (text++; isdigit((unsigned char)*text); text++) {
			unit /= 10;
			value += (*text - '0') * unit;
		}
	}
	*ret = sign * value;
	return *text ? -EINVAL : 0;
}

static int store(const struct flag *f, const char *value)
{
	bool ignored;
	switch (f->kind) {
	case FLAG_BOOL:
		return parse_go_bool(value, f->to ? f->to : &ignored);
	case FLAG_STRING:
		*(const char **)f->to = value;
		return 0;
	case FLAG_INT:
		return parse_i64(value, INT64_MIN, INT64_MAX, f->to);
	case FLAG_LIST:
		strv_add(f->to, value);
		return 0;
	case FLAG_FILTER:
		return strchr(value, '=') ? (strv_add(f->to, value), 0) : -EINVAL;
	case FLAG_SIZE:
		return strcmp(value, "-1") == 0 ? (*(int64_t *)f->to = -1, 0)
						: parse_size(value, f->to);
	case FLAG_DURATION:
		return parse_duration(value, f->to);
	case FLAG_DECIMAL:
		return parse_decimal(value, f->to);
	case FLAG_UINT16:
		return parse_i64(value, 0, UINT16_MAX, f->to);
	case FLAG_CHECKED:
		return -EINVAL; /* store_checked does it */
	}
	return -EINVAL;
}

/* What Go's parsers say of a value that is none of the kind. */
static char *reason(const struct flag *f, const char *value, int error)
{
	const char *range = error == -ERANGE ? "value out of range" : "invalid syntax";
	switch (f->kind) {
	case FLAG_FILTER:
		return xstrdup("bad format of filter (expected name=value)");
	case FLAG_DECIMAL:
		return xasprintf("failed to parse %s as a rational number", value);
	case FLAG_INT:
		return xasprintf("strconv.ParseInt: parsing \"%s\": %s", value, range);
	case FLAG_UINT16:
		return xasprintf("strconv.ParseUint: parsing \"%s\": %s", value, range);
	case FLAG_BOOL:
		return xasprintf("strconv.ParseBool: parsing \"%s\": invalid syntax", value);
	case FLAG_SIZE:
		return xasprintf("invalid size: '%s'", value);
	case FLAG_DURATION:
		return xasprintf("time: %s duration \"%s\"",
			*value && strspn(value, "0123456789.") == strlen(value) ? "missing unit in"
										: "invalid",
			value);
	default:
		return xasprintf("expected a %s", flag_type_word(f));
	}
}

static int refuse_value(
	const struct syntax *s, const struct flag *f, const char *value, const char *why)
{
	scoped(free) char *letter = f->letter ? xasprintf("-%c, ", f->letter) : xstrdup("");
	scoped(free) char *text = xasprintf(
		"invalid argument \"%s\" for \"%s--%s\" flag: %s", value, letter, f->name, why);
	return refuse(s, text);
}

static int set(const struct syntax *s, const struct flag *f, const char *value)
{
	if (f->kind == FLAG_CHECKED) {
		const struct flag_checked *checked = f->to;
		struct err e;
		if (checked->check(value, &e) < 0) {
			return refuse_value(s, f, value, e.msg);
		}
		strv_add(checked->list, value);
		return -1;
	}
	int r = store(f, value);
	if (r == 0) {
		return -1;
	}
	scoped(free) char *why = reason(f, value, r);
	return refuse_value(s, f, value, why);
}

static const struct flag *find_name(const struct flag *flags, const char *name, size_t n)
{
	for (const struct flag *f = flags; f->name; f++) {
		if (strncmp(f->name, name, n) == 0 && f->name[n] == '\0') {
			return f;
		}
	}
	return NULL;
}

static const struct flag *find_letter(const struct flag *flags, char letter)
{
	for (const struct flag *f = flags; f->name; f++) {
		if (f->letter == letter) {
			return f;
		}
	}
	return NULL;
}

/* One argument that begins with "--". next is the following argument; *ret_used_next tells that it
 * was the value. */
static int read_long(const struct syntax *s, const struct flag *flags, const char *arg,
	const char *next, bool *ret_used_next)
{
	size_t n = strcspn(arg + 2, "=");
	const struct flag *f = find_name(flags, arg + 2, n);
	if (strcmp(arg, "--help") == 0 && (!f || !f->to)) {
		flags_help(s, s->command, flags);
		return 0;
	}
	if (!f) {
		scoped(free) char *text = xasprintf("unknown flag: %.*s", (int)n + 2, arg);
		return refuse(s, text);
	}
	if (arg[2 + n] == '=') {
		return set(s, f, arg + 3 + n);
	}
	if (f->kind == FLAG_BOOL) {
		return set(s, f, "true");
	}
	if (!next) {
		scoped(free) char *text = xasprintf("flag needs an argument: --%s", f->name);
		return refuse(s, text);
	}
	*ret_used_next = true;
	return set(s, f, next);
}

/* One argument of letters: "-it", "-p80:80", "-e" "A=B", "-t=false". */
static int read_letters(const struct syntax *s, const struct flag *flags, const char *arg,
	const char *next, bool *ret_used_next)
{
	for (const char *p = arg + 1; *p; p++) {
		const struct flag *f = find_letter(flags, *p);
		if (!f && *p == 'h') {
			flags_help(s, s->command, flags);
			return 0;
		}
		if (!f) {
			scoped(free) char *text =
				xasprintf("unknown shorthand flag: '%c' in %s", *p, arg);
			return refuse(s, text);
		}
		if (f->kind != FLAG_BOOL && !p[1] && !next) {
			scoped(free) char *text =
				xasprintf("flag needs an argument: '%c' in %s", *p, arg);
			return refuse(s, text);
		}
		if (f->kind != FLAG_BOOL && !p[1]) {
			*ret_used_next = true;
			return set(s, f, next);
		}
		if (f->kind != FLAG_BOOL || p[1] == '=') {
			return set(s, f, p + 1 + (p[1] == '='));
		}
		int status = set(s, f, "true");
		if (status >= 0) {
			return status;
		}
	}
	return -1;
}

/* The sentences of spf13/cobra. */
static int refuse_count(const struct syntax *s, int n, const char *first)
{
	if (s->max == 0) {
		fprintf(stderr, "unknown command \"%s\" for \"wherry %s\"\n", first, s->command);
	} else if (s->max < 0) {
		fprintf(stderr, "requires at least %d arg(s), only received %d\n", s->min, n);
	} else if (s->min == 0) {
		fprintf(stderr, "accepts at most %d arg(s), received %d\n", s->max, n);
	} else {
		fprintf(stderr, "accepts between %d and %d arg(s), received %d\n", s->min, s->max,
			n);
	}
	return 1;
}

static int check_count(const struct syntax *s, int n, const char *first)
{
	const char *plural = s->min == 1 && s->max != 0 ? "" : "s";
	char expected[64];
	if (n >= s->min && (s->max < 0 || n <= s->max)) {
		return -1;
	}
	if (is_compose(s) && (s->max == 0 || s->min != s->max)) {
		return refuse_count(s, n, first);
	}
	if (s->max == 0) {
		snprintf(expected, sizeof(expected), "accepts no arguments");
	} else if (s->min == s->max) {
		snprintf(expected, sizeof(expected), "requires %d argument%s", s->min, plural);
	} else if (s->max < 0) {
		snprintf(expected, sizeof(expected), "requires at least %d argument%s", s->min,
			plural);
	} else if (s->min > 0) {
		snprintf(expected, sizeof(expected),
			"requires at least %d and at most %d arguments", s->min, s->max);
	} else {
		snprintf(expected, sizeof(expected), "requires at most %d argument%s", s->max,
			s->max == 1 ? "" : "s");
	}
	fprintf(stderr,
		"wherry: 'wherry %s' %s\n\nUsage:  wherry %s %s\n\n%s 'wherry %s --help' for more information\n",
		s->command, expected, s->command, s->operands, s->max < 0 ? "See" : "Run",
		s->command); /* docker has both */
	return 1;
}

/* Sorts flags out of argv; -1, or the exit status. */
static int read_flags(const struct syntax *s, const struct flag *flags, int *argc, char **argv)
{
	int kept = 1;
	bool ended = false;
	for (int i = 1; i < *argc; i++) {
		char *arg = argv[i];
		const char *next = i + 1 < *argc ? argv[i + 1] : NULL;
		bool used_next = false;
		int status = -1;
		if (ended || arg[0] != '-' || !arg[1]) {
			argv[kept++] = arg;
			ended = ended || s->first_ends_it;
		} else if (strcmp(arg, "--") == 0) {
			ended = true;
		} else if (arg[1] == '-') {
			status = read_long(s, flags, arg, next, &used_next);
		} else {
			status = read_letters(s, flags, arg, next, &used_next);
		}
		if (status >= 0) {
			return status;
		}
		i += used_next;
	}
	if (kept < *argc) {
		argv[kept] = NULL;
	}
	*argc = kept;
	return -1;
}

/* The name in sentences is the one that was typed: "container ls" of ps. */
int flags_parse(const struct syntax *s, const struct flag *flags, int *argc, char **argv)
{
	struct syntax called = *s;
	if (strchr(argv[0], ' ')) {
		called.command = argv[0];
	}
	if (*argc > 1 && strcmp(argv[1], FLAGS_DESCRIBE) == 0) {
		scoped(buf) struct buf text = BUF_INIT;
		flags_describe(s, flags, &text);
		fputs(buf_str(&text), stdout);
		return 0;
	}
	int status = read_flags(&called, flags, argc, argv);
	return status >= 0 ? status : check_count(&called, *argc - 1, *argc > 1 ? argv[1] : "");
}
