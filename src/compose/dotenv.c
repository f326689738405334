/* compose-go's dotenv grammar; see env.h. */
#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "compose/env.h"
#include "compose/interpolate.h"

struct reader {
	const char *file;
	const char *start, *p, *end;
	const struct env *outer;
	struct env *into;
	struct err *e;
};

static int fail(const struct reader *r, const char *at, const char *sentence)
{
	int line = 1;
	int column = 1;
	for (const char *p = r->start; p < at; p++) {
		column = *p == '\n' ? 1 : column + 1;
		line += *p == '\n';
	}
	return err_set(r->e, ERR_INVALID, "%s:%d:%d: %s", r->file, line, column, sentence);
}

static const char *lookup(void *owner, const char *name)
{
	const struct reader *r = owner;
	const char *value = env_get(r->outer, name);
	return value ? value : env_get(r->into, name);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static void skip_blanks(struct reader *r)
{
	while (r->p < r->end && is_blank(*r->p)) {
		r->p++;
	}
}

static void skip_line(struct reader *r)
{
	while (r->p < r->end && *r->p != '\n') {
		r->p++;
	}
}

/* Moves to the first byte of a statement; false at the end of the text. */
static bool find_statement(struct reader *r)
{
	for (;;) {
		while (r->p < r->end && (is_blank(*r->p) || *r->p == '\n')) {
			r->p++;
		}
		if (r->p == r->end) {
			return false;
		}
		if (*r->p != '#') {
			return true;
		}
		skip_line(r);
	}
}

static bool is_name_byte(char c)
{
	return isalnum((unsigned char)c) || strchr("_.-[]", c);
}

static int assign(
	struct reader *r, const char *name, const char *at, const char *text, bool with_variables)
{
	if (!with_variables) {
		env_set(r->into, name, text);
		return 0;
	}
	scoped(buf) struct buf value = BUF_INIT;
	struct variables vars = {.lookup = lookup, .owner = r, .unset = env_unset(r->outer)};
	struct err inner;
	if (interpolate(text, &vars, &value, &inner) < 0) {
		return fail(r, at, inner.msg);
	}
	env_set(r->into, name, buf_str(&value));
	return 0;
}

/* Go's escapes in a double-quoted value; `\$` becomes `$$`, which interpolation turns into a plain
 * `$`. */
static void unescape(const char *text, size_t n, struct buf *ret)
{
	static const char from[] = "abfnrtv\"\\";
	static const char to[] = "\a\b\f\n\r\t\v\"\\";
	for (size_t i = 0; i < n; i++) {
		const char *known = text[i] == '\\' && i + 1 < n && text[i + 1]
					    ? strchr(from, text[i + 1])
					    : NULL;
		if (known) {
			buf_putc(ret, to[known - from]);
			i++;
		} else if (text[i] == '\\' && i + 1 < n && text[i + 1] == '$') {
			buf_puts(ret, "$$");
			i++;
		} else {
			buf_putc(ret, text[i]);
		}
	}
}

static int read_quoted(struct reader *r, const char *name)
{
	const char *open = r->p;
	char quote = *r->p++;
	const char *start = r->p;
	while (r->p < r->end && *r->p != quote) {
		r->p += *r->p == '\\' && r->p + 1 < r->end ? 2 : 1;
	}
	if (r->p >= r->end) {
		return fail(r, open, "the quote that begins here is never closed");
	}
	scoped(buf) struct buf text = BUF_INIT;
	if (quote == '"') {
		unescape(start, (size_t)(r->p - start), &text);
	} else {
		buf_append(&text, start, (size_t)(r->p - start));
	}
	r->p++;
	skip_blanks(r);
	if (r->p < r->end && *r->p == '#') {
		skip_line(r);
	}
	if (r->p < r->end && *r->p != '\n') {
		return fail(r, r->p, "the end of the line is expected after the closing quote");
	}
	return assign(r, name, start, buf_str(&text), quote == '"');
}

static int read_unquoted(struct reader *r, const char *name)
{
	const char *start = r->p;
	skip_line(r);
	const char *end = r->p;
	for (const char *p = start; p < end; p++) {
		if (*p == '#' && (p == start || is_blank(p[-1]))) {
			end = p;
		}
	}
	while (end > start && is_blank(end[-1])) {
		end--;
	}
	scoped(free) char *text = xstrndup(start, (size_t)(end - start));
	return assign(r, name, start, text, true);
}

static int read_statement(struct reader *r)
{
	if (r->end - r->p > 7 && memcmp(r->p, "export", 6) == 0 && is_blank(r->p[6])) {
		r->p += 6;
		skip_blanks(r);
	}
	const char *start = r->p;
	while (r->p < r->end && is_name_byte(*r->p)) {
		r->p++;
	}
	scoped(free) char *name = xstrndup(start, (size_t)(r->p - start));
	skip_blanks(r);
	if (!*name || (r->p < r->end && !strchr("=:\n", *r->p)) ||
		(r->p < r->end && *r->p == '\0')) {
		return fail(r, r->p, "a variable name and \"=\" are expected");
	}
	if (r->p == r->end || *r->p == '\n') {
		const char *inherited = env_get(r->outer, name);
		if (inherited) {
			env_set(r->into, name, inherited);
		}
		return 0;
	}
	r->p++;
	skip_blanks(r);
	bool quoted = r->p < r->end && (*r->p == '"' || *r->p == '\'');
	return quoted ? read_quoted(r, name) : read_unquoted(r, name);
}

/* "KEY=value" lines without any syntax in the value. */
static int read_raw(struct reader *r)
{
	const char *start = r->p;
	skip_line(r);
	const char *end = r->p;
	if (end > start && end[-1] == '\r') {
		end--;
	}
	const char *equal = memchr(start, '=', (size_t)(end - start));
	if (!equal || equal == start) {
		return fail(r, start, "NAME=value is expected");
	}
	scoped(free) char *name = xstrndup(start, (size_t)(equal - start));
	scoped(free) char *value = xstrndup(equal + 1, (size_t)(end - equal - 1));
	return assign(r, name, start, value, false);
}

int dotenv_parse(const char *file, const char *text, size_t n, bool raw, const struct env *outer,
	struct env *into, struct err *e)
{
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		n -= 3;
	}
	struct reader r = {file, text, text, text + n, outer, into, e};
	if (n > DOTENV_BYTES_MAX) {
		return fail(&r, text, "the file is too large");
	}
	while (find_statement(&r)) {
		if ((raw ? read_raw : read_statement)(&r) < 0) {
			return -1;
		}
	}
	return 0;
}
