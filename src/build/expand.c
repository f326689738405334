#include "build/expand.h"

#include <ctype.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/scoped.h"

#define DEPTH_MAX 32

/* Text as it is made: the whole, and the same cut into words. */
struct output {
	struct buf text;
	struct buf word;
	bool in_word;       /* "" in quotes is a word, too */
	struct strv *words; /* NULL: not wanted */
};

struct lexer {
	const struct expander *x;
	const char *p;
	unsigned depth;
	struct err *e;
};

static int run_until(struct lexer *l, char stop, bool raw_escapes, struct output *out);

static void output_deinit(struct output *o)
{
	buf_deinit(&o->text);
	buf_deinit(&o->word);
}
static void scoped_output(struct output *o)
{
	output_deinit(o);
}

static int too_long(struct lexer *l)
{
	return err_set(
		l->e, ERR_INVALID, "the expanded text is longer than %u bytes", EXPAND_RESULT_MAX);
}

/* A character that never ends a word. */
static int put_raw(struct lexer *l, struct output *o, const char *s, size_t n)
{
	o->in_word = true;
	if (buf_append_limited(&o->text, s, n, EXPAND_RESULT_MAX) < 0) {
		return too_long(l);
	}
	if (o->words) {
		buf_append(&o->word, s, n);
	}
	return 0;
}

static void end_word(struct output *o)
{
	if (o->words && o->in_word) {
		strv_addn(o->words, buf_str(&o->word), o->word.len);
	}
	buf_clear(&o->word);
	o->in_word = false;
}

/* Text outside of quotes: blanks end words. */
static int put(struct lexer *l, struct output *o, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!isspace((unsigned char)s[i])) {
			if (put_raw(l, o, s + i, 1) < 0) {
				return -1;
			}
			continue;
		}
		if (buf_append_limited(&o->text, s + i, 1, EXPAND_RESULT_MAX) < 0) {
			return too_long(l);
		}
		end_word(o);
	}
	return 0;
}

static size_t name_length(const char *p)
{
	size_t n = 0;
	if (isalpha((unsigned char)*p) || *p == '_') {
		while (isalnum((unsigned char)p[n]) || p[n] == '_') {
			n++;
		}
		return n;
	}
	while (isdigit((unsigned char)p[n])) {
		n++;
	}
	return n ? n : (*p && strchr("@*#!?-$", *p) ? 1 : 0);
}

/* Whether p is not where a UTF-8 character begins: no match begins or ends there. */
static bool inside_character(const char *p)
{
	return (*p & 0xc0) == 0x80;
}

/* Bytes of the UTF-8 character that begins at p; 0 at the end and inside of one. */
static size_t character_length(const char *p, const char *end)
{
	if (p == end || inside_character(p)) {
		return 0;
	}
	size_t n = 1;
	while (p + n < end && inside_character(p + n)) {
		n++;
	}
	return n;
}

bool expand_glob(const char *pattern, const char *text, size_t n)
{
	const char *end = text + n;
	const char *star = NULL;
	const char *star_text = NULL;
	while (text < end || *pattern) {
		if (*pattern == '*') {
			star = ++pattern;
			star_text = text;
			continue;
		}
		const char *literal = *pattern == '\\' && pattern[1] ? pattern + 1 : pattern;
		size_t whole = *pattern == '?' ? character_length(text, end)
					       : text < end && *literal == *text;
		if (*pattern && whole) {
			pattern = literal + 1;
			text += whole;
			continue;
		}
		if (!star || star_text >= end) {
			return false;
		}
		text = ++star_text;
		pattern = star;
	}
	return true;
}

static char *trim_prefix(const char *value, const char *pattern, bool longest)
{
	size_t n = strlen(value);
	for (size_t i = 0; i <= n; i++) {
		size_t cut = longest ? n - i : i;
		if (!inside_character(value + cut) && expand_glob(pattern, value, cut)) {
			return xstrdup(value + cut);
		}
	}
	return xstrdup(value);
}

static char *trim_suffix(const char *value, const char *pattern, bool longest)
{
	size_t n = strlen(value);
	for (size_t i = 0; i <= n; i++) {
		size_t cut = longest ? i : n - i;
		if (!inside_character(value + cut) && expand_glob(pattern, value + cut, n - cut)) {
			return xstrndup(value, cut);
		}
	}
	return xstrdup(value);
}

/* The longest match at text, or 0: an empty match replaces nothing. */
static size_t match_length(const char *pattern, const char *text)
{
	for (size_t n = inside_character(text) ? 0 : strlen(text); n > 0; n--) {
		if (!inside_character(text + n) && expand_glob(pattern, text, n)) {
			return n;
		}
	}
	return 0;
}

static int replace(struct lexer *l, const char *value, const char *pattern, const char *with,
	bool all, char **ret)
{
	scoped(buf) struct buf out = BUF_INIT;
	bool done = false;
	for (const char *p = value; *p;) {
		size_t n = done ? 0 : match_length(pattern, p);
		const char *piece = n ? with : p;
		size_t piece_len = n ? strlen(with) : 1;
		if (buf_append_limited(&out, piece, piece_len, EXPAND_RESULT_MAX) < 0) {
			return too_long(l);
		}
		done = done || (n > 0 && !all);
		p += n ? n : 1;
	}
	*ret = buf_take_str(&out);
	return 0;
}

/* The text up to stop, expanded; the caller's. */
static int read_operand(struct lexer *l, char stop, bool raw_escapes, char **ret)
{
	scoped(output) struct output o = {0};
	if (run_until(l, stop, raw_escapes, &o) < 0) {
		return -1;
	}
	*ret = buf_take_str(&o.text);
	return 0;
}

static char *lookup(struct lexer *l, const char *name, size_t n)
{
	bool proper = isalpha((unsigned char)*name) || *name == '_';
	return proper ? xstrdup(l->x->lookup(l->x->owner, name, n)) : NULL;
}

static void note_missing(struct lexer *l, const char *value, const char *name, size_t n)
{
	if (!value && l->x->missing) {
		l->x->missing(l->x->owner, name, n);
	}
}

/* ${name-word} and its relatives; set: the name has a value that counts. */
static int apply_default(struct lexer *l, char op, bool set, const char *name, int name_len,
	const char *value, char **ret)
{
	scoped(free) char *word = NULL;
	if (read_operand(l, '}', false, &word) < 0) {
		return -1;
	}
	switch (op) {
	case '-':
		*ret = set ? xstrdup(value) : TAKE(word);
		return 0;
	case '+':
		*ret = set ? TAKE(word) : xstrdup("");
		return 0;
	default:
		if (!set) {
			return err_set(l->e, ERR_INVALID, "%.*s: %.200s", name_len, name,
				*word ? word : "parameter is not set or empty");
		}
		*ret = xstrdup(value);
		return 0;
	}
}

static int apply_trim(struct lexer *l, char op, const char *value, char **ret)
{
	bool longest = *l->p == op;
	l->p += longest;
	scoped(free) char *pattern = NULL;
	if (read_operand(l, '}', true, &pattern) < 0) {
		return -1;
	}
	const char *text = value ? value : "";
	*ret = op == '#' ? trim_prefix(text, pattern, longest)
			 : trim_suffix(text, pattern, longest);
	return 0;
}

static int apply_replace(struct lexer *l, const char *value, char **ret)
{
	bool all = *l->p == '/';
	l->p += all;
	scoped(free) char *pattern = NULL;
	scoped(free) char *with = NULL;
	if (read_operand(l, '/', true, &pattern) < 0 || read_operand(l, '}', false, &with) < 0) {
		return -1;
	}
	return replace(l, value ? value : "", pattern, with, all, ret);
}

/* Behind "${". *ret NULL: not set. */
static int read_braces(struct lexer *l, char **ret)
{
	const char *name = l->p;
	size_t n = name_length(name);
	if (n == 0) {
		return err_set(l->e, ERR_INVALID,
			*name ? "bad substitution: ${ needs a name" : "missing '}' after ${");
	}
	l->p += n;
	scoped(free) char *value = lookup(l, name, n);
	char op = *l->p;
	if (!op) {
		return err_set(l->e, ERR_INVALID, "missing '}' after ${%.*s", (int)n, name);
	}
	l->p++;
	if (strchr("-+?", op)) {
		return apply_default(l, op, value != NULL, name, (int)n, value, ret);
	}
	if (op == ':' && *l->p && strchr("-+?", *l->p)) {
		op = *l->p++;
		return apply_default(l, op, value && *value, name, (int)n, value, ret);
	}
	note_missing(l, value, name, n);
	if (op == '}') {
		*ret = TAKE(value);
		return 0;
	}
	if (op == '#' || op == '%') {
		return apply_trim(l, op, value, ret);
	}
	if (op == '/') {
		return apply_replace(l, value, ret);
	}
	return err_set(l->e, ERR_INVALID, "unsupported modifier (%c%.1s) in substitution of %.*s",
		op, op == ':' ? l->p : "", (int)n, name);
}

/* At '$'. quoted: blanks in the value do not end words. */
static int read_dollar(struct lexer *l, bool quoted, struct output *o)
{
	l->p++;
	scoped(free) char *value = NULL;
	if (*l->p == '{') {
		l->p++;
		if (++l->depth > DEPTH_MAX) {
			return err_set(l->e, ERR_INVALID,
				"substitutions are nested deeper than %d levels", DEPTH_MAX);
		}
		int r = read_braces(l, &value);
		l->depth--;
		if (r < 0) {
			return -1;
		}
	} else {
		size_t n = name_length(l->p);
		if (n == 0) {
			return put_raw(l, o, "$", 1);
		}
		value = lookup(l, l->p, n);
		note_missing(l, value, l->p, n);
		l->p += n;
	}
	if (!value) {
		return 0;
	}
	return quoted ? put_raw(l, o, value, strlen(value)) : put(l, o, value, strlen(value));
}

static int read_single_quoted(struct lexer *l, struct output *o)
{
	const char *end = strchr(l->p + 1, '\'');
	if (!end) {
		return err_set(l->e, ERR_INVALID,
			"unexpected end of statement while looking for matching single-quote");
	}
	const char *begin = l->p + 1;
	l->p = end + 1;
	return put_raw(l, o, begin, (size_t)(end - begin));
}

static int read_double_quoted(struct lexer *l, struct output *o)
{
	l->p++;
	if (put_raw(l, o, "", 0) < 0) {
		return -1;
	}
	while (*l->p != '"') {
		char c = *l->p;
		int r;
		if (!c) {
			return err_set(l->e, ERR_INVALID,
				"unexpected end of statement while looking for matching double-quote");
		}
		if (c == '$') {
			r = read_dollar(l, true, o);
		} else {
			if (c == l->x->escape && l->p[1] &&
				(l->p[1] == '"' || l->p[1] == '$' || l->p[1] == l->x->escape)) {
				l->p++;
			}
			r = put_raw(l, o, l->p++, 1);
		}
		if (r < 0) {
			return -1;
		}
	}
	l->p++;
	return 0;
}

static int read_escaped(struct lexer *l, bool raw_escapes, struct output *o)
{
	if (raw_escapes && put_raw(l, o, l->p, 1) < 0) {
		return -1;
	}
	l->p++;
	return *l->p ? put_raw(l, o, l->p++, 1) : 0;
}

/* Up to stop, which is consumed; NUL: to the end. */
static int run_until(struct lexer *l, char stop, bool raw_escapes, struct output *o)
{
	while (*l->p && (*l->p != stop || !stop)) {
		int r;
		if (*l->p == '$') {
			r = read_dollar(l, false, o);
		} else if (*l->p == '\'' && !l->x->keep_quotes) {
			r = read_single_quoted(l, o);
		} else if (*l->p == '"' && !l->x->keep_quotes) {
			r = read_double_quoted(l, o);
		} else if (*l->p == l->x->escape) {
			r = read_escaped(l, raw_escapes, o);
		} else {
			r = put(l, o, l->p++, 1);
		}
		if (r < 0) {
			return -1;
		}
	}
	if (stop) {
		if (!*l->p) {
			return err_set(l->e, ERR_INVALID,
				"unexpected end of statement while looking for '%c'", stop);
		}
		l->p++;
	}
	return 0;
}

int expand_word(const struct expander *x, const char *text, char **ret, struct err *e)
{
	struct lexer l = {.x = x, .p = text, .e = e};
	return read_operand(&l, '\0', false, ret);
}

int expand_words(const struct expander *x, const char *text, struct strv *ret, struct err *e)
{
	struct lexer l = {.x = x, .p = text, .e = e};
	scoped(output) struct output o = {.words = ret};
	if (run_until(&l, '\0', false, &o) < 0) {
		return -1;
	}
	end_word(&o);
	return 0;
}
