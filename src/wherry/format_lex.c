#include "wherry/format_lex.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define BLANKS " \t\r\n"

static bool is_blank(char c)
{
	return c && strchr(BLANKS, c);
}

/* Letters beyond ASCII are letters, as in Go. */
static bool is_word_char(char c)
{
	return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static struct word make(const struct lexer *l, enum word_kind kind, size_t from)
{
	return (struct word){kind, from, l->pos - from};
}

PRINTF(2, 3)
static struct word fail(struct lexer *l, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	vsnprintf(l->error, sizeof(l->error), fmt, args);
	va_end(args);
	return make(l, WORD_ERROR, l->pos);
}

/* "}}", or the blank and '-' of " -}}" before it. */
static bool at_right(const char *p, bool *ret_trim)
{
	*ret_trim = is_blank(p[0]) && text_starts(p + 1, "-}}");
	return *ret_trim || text_starts(p, "}}");
}

static void pass_right(struct lexer *l, bool trim)
{
	l->pos += trim ? 4 : 2;
	l->pos += trim ? strspn(l->text + l->pos, BLANKS) : 0;
}

/* Text up to "{{", without the blanks that "{{- " takes away. */
static struct word lex_text(struct lexer *l)
{
	size_t from = l->pos;
	const char *open = strstr(l->text + from, "{{");
	size_t end = open ? (size_t)(open - l->text) : from + strlen(l->text + from);
	l->pos = end;
	bool trim = open && open[2] == '-' && is_blank(open[3]);
	while (trim && end > from && is_blank(l->text[end - 1])) {
		end--;
	}
	return (struct word){WORD_TEXT, from, end - from};
}

/* A comment is passed over; returns false when it is not closed as it must be. */
static bool pass_comment(struct lexer *l)
{
	const char *end = strstr(l->text + l->pos, "*/");
	bool trim = false;
	if (!end) {
		fail(l, "unclosed comment");
		return false;
	}
	l->pos = (size_t)(end - l->text) + 2;
	if (!at_right(l->text + l->pos, &trim)) {
		fail(l, "comment ends before closing delimiter");
		return false;
	}
	pass_right(l, trim);
	return true;
}

static struct word lex_outside(struct lexer *l)
{
	for (;;) {
		const char *p = l->text + l->pos;
		if (!*p) {
			return make(l, WORD_EOF, l->pos);
		}
		if (!text_starts(p, "{{")) {
			struct word text = lex_text(l);
			if (text.len > 0) {
				return text;
			}
			continue;
		}
		size_t skip = p[2] == '-' && is_blank(p[3]) ? 4 : 2;
		if (!text_starts(p + skip, "/*")) {
			struct word left = {WORD_LEFT, l->pos, 2};
			l->pos += skip == 4 ? 3 : 2;
			l->inside = true;
			l->parens = 0;
			return left;
		}
		l->pos += skip;
		if (!pass_comment(l)) {
			return make(l, WORD_ERROR, l->pos);
		}
	}
}

/* What may follow a name. */
static bool at_terminator(const char *p)
{
	bool trim;
	return !*p || is_blank(*p) || strchr(".,|:()=", *p) || at_right(p, &trim);
}

static struct word bad_character(struct lexer *l)
{
	unsigned char c = (unsigned char)l->text[l->pos];
	return c < 0x7f && c >= ' ' ? fail(l, "bad character U+%04X '%c'", c, c)
				    : fail(l, "bad character U+%04X", c);
}

/* ".Name" and "$name" after their first character. */
static struct word lex_name(struct lexer *l, enum word_kind kind, enum word_kind alone)
{
	size_t from = l->pos++;
	while (is_word_char(l->text[l->pos])) {
		l->pos++;
	}
	if (l->pos == from + 1 && at_terminator(l->text + l->pos)) {
		return make(l, alone, from);
	}
	return at_terminator(l->text + l->pos) ? make(l, kind, from) : bad_character(l);
}

static enum word_kind kind_of(const char *name, size_t n)
{
	static const struct {
		const char *name;
		enum word_kind kind;
	} known[] = {{"true", WORD_BOOL}, {"false", WORD_BOOL}, {"nil", WORD_NIL},
		{"if", WORD_KEYWORD}, {"else", WORD_KEYWORD}, {"end", WORD_KEYWORD},
		{"range", WORD_KEYWORD}, {"with", WORD_KEYWORD}, {"break", WORD_KEYWORD},
		{"continue", WORD_KEYWORD}, {"define", WORD_KEYWORD}, {"template", WORD_KEYWORD},
		{"block", WORD_KEYWORD}};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strlen(known[i].name) == n && memcmp(known[i].name, name, n) == 0) {
			return known[i].kind;
		}
	}
	return WORD_IDENTIFIER;
}

static struct word lex_identifier(struct lexer *l)
{
	size_t from = l->pos;
	while (is_word_char(l->text[l->pos])) {
		l->pos++;
	}
	return at_terminator(l->text + l->pos)
		       ? make(l, kind_of(l->text + from, l->pos - from), from)
		       : bad_character(l);
}

static struct word lex_number(struct lexer *l)
{
	size_t from = l->pos++;
	while (isalnum((unsigned char)l->text[l->pos]) || l->text[l->pos] == '.' ||
		l->text[l->pos] == '_' ||
		(strchr("+-", l->text[l->pos]) && l->text[l->pos] &&
			strchr("eEpP", l->text[l->pos - 1]))) {
		l->pos++;
	}
	return make(l, WORD_NUMBER, from);
}

static struct word lex_quoted(struct lexer *l, char quote, enum word_kind kind, const char *name)
{
	size_t from = l->pos++;
	for (;; l->pos++) {
		char c = l->text[l->pos];
		if (!c || (c == '\n' && quote != '`')) {
			return fail(l, "unterminated %s", name);
		}
		if (c == quote) {
			l->pos++;
			return make(l, kind, from);
		}
		if (c == '\\' && quote != '`' && l->text[l->pos + 1] &&
			l->text[l->pos + 1] != '\n') {
			l->pos++;
		}
	}
}

static struct word lex_paren(struct lexer *l, int step)
{
	l->parens += step;
	l->pos++;
	return l->parens < 0 ? fail(l, "unexpected right paren")
			     : make(l, step > 0 ? WORD_LEFT_PAREN : WORD_RIGHT_PAREN, l->pos - 1);
}

static struct word lex_mark(struct lexer *l, enum word_kind kind, size_t n)
{
	l->pos += n;
	return make(l, kind, l->pos - n);
}

static struct word lex_inside(struct lexer *l)
{
	const char *p = l->text + l->pos;
	bool trim;
	if (at_right(p, &trim)) {
		if (l->parens > 0) {
			return fail(l, "unclosed left paren");
		}
		size_t from = l->pos;
		pass_right(l, trim);
		l->inside = false;
		return (struct word){WORD_RIGHT, from, 2};
	}
	if (is_blank(*p)) {
		size_t from = l->pos;
		while (is_blank(l->text[l->pos]) && !at_right(l->text + l->pos, &trim)) {
			l->pos++;
		}
		return make(l, WORD_SPACE, from);
	}
	switch (*p) {
	case '\0':
		return fail(l, l->parens > 0 ? "unclosed left paren" : "unclosed action");
	case '=':
		return lex_mark(l, WORD_ASSIGN, 1);
	case ':':
		return p[1] == '=' ? lex_mark(l, WORD_DECLARE, 2) : fail(l, "expected :=");
	case '|':
		return lex_mark(l, WORD_PIPE, 1);
	case '"':
		return lex_quoted(l, '"', WORD_STRING, "quoted string");
	case '`':
		return lex_quoted(l, '`', WORD_RAW, "raw quoted string");
	case '\'':
		return lex_quoted(l, '\'', WORD_CHAR, "character constant");
	case '$':
		return lex_name(l, WORD_VARIABLE, WORD_VARIABLE);
	case '(':
		return lex_paren(l, 1);
	case ')':
		return lex_paren(l, -1);
	case '.':
		if (!isdigit((unsigned char)p[1])) {
			return lex_name(l, WORD_FIELD, WORD_DOT);
		}
		return lex_number(l);
	default:
		break;
	}
	if (isdigit((unsigned char)*p) || *p == '+' || *p == '-') {
		return lex_number(l);
	}
	if (is_word_char(*p)) {
		return lex_identifier(l);
	}
	if (isgraph((unsigned char)*p)) {
		return lex_mark(l, WORD_OTHER, 1);
	}
	return fail(l, "unrecognized character in action: U+%04X", (unsigned char)*p);
}

struct word lexer_next(struct lexer *l)
{
	if (*l->error) {
		return make(l, WORD_ERROR, l->pos);
	}
	return l->inside ? lex_inside(l) : lex_outside(l);
}
