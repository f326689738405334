#include "compose/interpolate.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"

static int expand(const char *text, size_t n, const struct variables *vars, int depth,
	struct buf *ret, struct err *e);

static size_t name_length(const char *p, size_t n)
{
	size_t len = 0;
	while (len < n && (isalpha((unsigned char)p[len]) || p[len] == '_' ||
				  (len > 0 && isdigit((unsigned char)p[len])))) {
		len++;
	}
	return len;
}

static int put(struct buf *ret, const char *data, size_t n, struct err *e)
{
	if (buf_append_limited(ret, data, n, INTERPOLATE_BYTES_MAX) < 0) {
		return err_set(
			e, ERR_INVALID, "the value grows beyond %u bytes", INTERPOLATE_BYTES_MAX);
	}
	return 0;
}

static int invalid(const char *text, size_t n, struct err *e)
{
	return err_set(e, ERR_INVALID,
		"invalid interpolation format \"%.*s\": ${NAME} is expected, and $$ for a literal $",
		n > 60 ? 60 : (int)n, text);
}

/* The index of the brace that closes the one at text[0], or n. */
static size_t closing_brace(const char *text, size_t n)
{
	size_t depth = 0;
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '{') {
			depth++;
		} else if (text[i] == '}' && --depth == 0) {
			return i;
		}
	}
	return n;
}

static int missing(const char *name, const char *text, size_t n, const struct variables *vars,
	int depth, struct err *e)
{
	scoped(buf) struct buf sentence = BUF_INIT;
	if (expand(text, n, vars, depth + 1, &sentence, e) < 0) {
		return -1;
	}
	if (sentence.len == 0) {
		return err_set(e, ERR_INVALID, "required variable %s is missing a value", name);
	}
	return err_set(e, ERR_INVALID, "required variable %s is missing a value: %s", name,
		buf_str(&sentence));
}

/* text is what stands between the braces. */
static int expand_braced(const char *text, size_t n, const struct variables *vars, int depth,
	struct buf *ret, struct err *e)
{
	size_t len = name_length(text, n);
	if (len == 0) {
		return invalid(text - 2, n + 3, e);
	}
	scoped(free) char *name = xstrndup(text, len);
	const char *value = vars->lookup(vars->owner, name);
	if (len == n) {
		if (!value && vars->unset && !strv_has(vars->unset, name)) {
			strv_add(vars->unset, name);
		}
		return value ? put(ret, value, strlen(value), e) : 0;
	}
	bool colon = text[len] == ':';
	char sign = len + colon < n ? text[len + colon] : '\0';
	const char *rest = text + len + colon + 1;
	size_t rest_n = n - len - colon - 1;
	bool is_set = value && !(colon && !*value);
	switch (sign) {
	case '-':
		return is_set ? put(ret, value, strlen(value), e)
			      : expand(rest, rest_n, vars, depth + 1, ret, e);
	case '+':
		return is_set ? expand(rest, rest_n, vars, depth + 1, ret, e) : 0;
	case '?':
		return is_set ? put(ret, value, strlen(value), e)
			      : missing(name, rest, rest_n, vars, depth, e);
	default:
		return invalid(text - 2, n + 3, e);
	}
}

/* text[0] is '$'. Returns how many bytes were used, or -1. */
static long expand_one(const char *text, size_t n, const struct variables *vars, int depth,
	struct buf *ret, struct err *e)
{
	if (n > 1 && text[1] == '$') {
		return put(ret, "$", 1, e) < 0 ? -1 : 2;
	}
	if (n > 1 && text[1] == '{') {
		size_t end = closing_brace(text + 1, n - 1);
		if (end == n - 1) {
			return invalid(text, n, e);
		}
		return expand_braced(text + 2, end - 1, vars, depth, ret, e) < 0 ? -1
										 : (long)end + 2;
	}
	size_t len = name_length(text + 1, n - 1);
	if (len == 0) {
		return put(ret, "$", 1, e) < 0 ? -1 : 1;
	}
	scoped(free) char *name = xstrndup(text + 1, len);
	const char *value = vars->lookup(vars->owner, name);
	if (!value && vars->unset && !strv_has(vars->unset, name)) {
		strv_add(vars->unset, name);
	}
	return value && put(ret, value, strlen(value), e) < 0 ? -1 : (long)len + 1;
}

static int expand(const char *text, size_t n, const struct variables *vars, int depth,
	struct buf *ret, struct err *e)
{
	if (depth > INTERPOLATE_DEPTH_MAX) {
		return err_set(e, ERR_INVALID, "more than %d variables inside one another",
			INTERPOLATE_DEPTH_MAX);
	}
	while (n > 0) {
		const char *dollar = memchr(text, '$', n);
		size_t plain = dollar ? (size_t)(dollar - text) : n;
		if (put(ret, text, plain, e) < 0) {
			return -1;
		}
		text += plain;
		n -= plain;
		if (!dollar) {
			return 0;
		}
		long used = expand_one(text, n, vars, depth, ret, e);
		if (used < 0) {
			return -1;
		}
		text += used;
		n -= (size_t)used;
	}
	return 0;
}

int interpolate(const char *text, const struct variables *vars, struct buf *ret, struct err *e)
{
	return expand(text, strlen(text), vars, 0, ret, e);
}
