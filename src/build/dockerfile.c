#include "build/dockerfile.h"

#include <ctype.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "build/dockerfile_parts.h"
#include "build/hint.h"

static const struct {
	const char *keyword;
	bool heredocs;
} kinds[] = {
	[DF_ADD] = {"ADD", true},
	[DF_ARG] = {"ARG", false},
	[DF_CMD] = {"CMD", false},
	[DF_COPY] = {"COPY", true},
	[DF_ENTRYPOINT] = {"ENTRYPOINT", false},
	[DF_ENV] = {"ENV", false},
	[DF_EXPOSE] = {"EXPOSE", false},
	[DF_FROM] = {"FROM", false},
	[DF_HEALTHCHECK] = {"HEALTHCHECK", false},
	[DF_LABEL] = {"LABEL", false},
	[DF_MAINTAINER] = {"MAINTAINER", false},
	[DF_ONBUILD] = {"ONBUILD", false},
	[DF_RUN] = {"RUN", true},
	[DF_SHELL] = {"SHELL", false},
	[DF_STOPSIGNAL] = {"STOPSIGNAL", false},
	[DF_USER] = {"USER", false},
	[DF_VOLUME] = {"VOLUME", false},
	[DF_WORKDIR] = {"WORKDIR", false},
};
_Static_assert(sizeof(kinds) / sizeof(*kinds) == DF_KINDS, "every kind has a keyword");

#define COMMENTS_MAX 200 /* above one instruction */

struct reader {
	const char *p, *end;
	int line; /* of the line that was read last */
	struct dockerfile *d;
	struct strv comments; /* since the last instruction */
	bool empty_lines;     /* in the instruction that was read last */
};

const char *df_keyword(enum df_kind kind)
{
	return kinds[kind].keyword;
}

int df_error(const struct dockerfile *d, int line, struct err *e, const char *fmt, ...)
{
	char text[400];
	va_list args;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	return err_set(e, ERR_INVALID, "%.80s:%d: %s", d->name, line, text);
}

static void instruction_deinit(struct df_instruction *i)
{
	free(i->text);
	free(i->args);
	strv_deinit(&i->flags);
	strv_deinit(&i->words);
	strv_deinit(&i->comments);
	for (size_t h = 0; h < i->n_heredocs; h++) {
		free(i->heredocs[h].word);
		free(i->heredocs[h].name);
		free(i->heredocs[h].data);
	}
	free(i->heredocs);
	*i = (struct df_instruction){0};
}

void dockerfile_deinit(struct dockerfile *d)
{
	for (size_t i = 0; i < d->n; i++) {
		instruction_deinit(&d->v[i]);
	}
	free(d->v);
	free(d->name);
	free(d->text);
	free(d->check);
	*d = (struct dockerfile){0};
}

static void trim_end(struct buf *b)
{
	while (b->len > 0 && part_is_blank(b->data[b->len - 1])) {
		b->data[--b->len] = '\0';
	}
}

/* The next line without its line ending. False at the end of the text. */
static bool read_line(struct reader *r, struct buf *ret)
{
	buf_clear(ret);
	if (r->p >= r->end) {
		return false;
	}
	const char *newline = memchr(r->p, '\n', (size_t)(r->end - r->p));
	const char *stop = newline ? newline : r->end;
	size_t n = (size_t)(stop - r->p);
	if (n > 0 && r->p[n - 1] == '\r') {
		n--;
	}
	buf_append(ret, r->p, n);
	r->p = newline ? newline + 1 : r->end;
	r->line++;
	return true;
}

/* "# name = value" into its parts; both are the caller's. BuildKit parser/directives.go. */
static bool split_directive(const char *line, char **ret_name, char **ret_value)
{
	if (*line != '#') {
		return false;
	}
	const char *name = part_skip_blanks(line + 1);
	const char *p = name;
	while (isalnum((unsigned char)*p)) {
		p++;
	}
	size_t n = (size_t)(p - name);
	p = part_skip_blanks(p);
	if (n == 0 || !isalpha((unsigned char)*name) || *p != '=') {
		return false;
	}
	struct buf value = BUF_INIT;
	buf_puts(&value, part_skip_blanks(p + 1));
	trim_end(&value);
	*ret_name = xstrndup(name, n);
	*ret_value = buf_take_str(&value);
	return **ret_value != '\0';
}

static int set_escape(struct reader *r, const char *value, struct err *e)
{
	if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0) {
		return df_error(r->d, r->line, e,
			"invalid escape token '%.20s': it must be \\ or `", value);
	}
	r->d->escape = *value;
	return 0;
}

/* Directives stand before everything else; the first line that is none ends them. */
static int read_directives(struct reader *r, struct err *e)
{
	static const char *const known[] = {"escape", "syntax", "check"};
	bool seen[3] = {false};
	scoped(buf) struct buf line = BUF_INIT;
	for (;;) {
		struct reader ahead = *r;
		scoped(free) char *name = NULL;
		scoped(free) char *value = NULL;
		if (!read_line(&ahead, &line) || !split_directive(buf_str(&line), &name, &value)) {
			return 0;
		}
		size_t k = 0;
		while (k < 3 && strcasecmp(name, known[k]) != 0) {
			k++;
		}
		if (k == 3) {
			return 0; /* a comment that looks like one */
		}
		*r = ahead;
		if (seen[k]) {
			return df_error(r->d, r->line, e,
				"only one %s parser directive can be used", known[k]);
		}
		seen[k] = true;
		if (k == 0 && set_escape(r, value, e) < 0) {
			return -1;
		}
		if (k == 2) {
			r->d->check = TAKE(value);
		}
	}
}

/* Takes a continuation mark (and blanks behind it) off. A doubled escape is none. */
static bool take_continuation(struct buf *line, char escape)
{
	size_t n = line->len;
	while (n > 0 && part_is_blank(line->data[n - 1])) {
		n--;
	}
	if (n == 0 || line->data[n - 1] != escape || (n > 1 && line->data[n - 2] == escape)) {
		return false;
	}
	line->len = n - 1;
	line->data[n - 1] = '\0';
	return true;
}

/* A comment stays with the instruction that follows it at once; an empty one parts them. */
static void keep_comment(struct reader *r, const char *text)
{
	struct buf comment = BUF_INIT;
	buf_puts(&comment, part_skip_blanks(text + 1));
	trim_end(&comment);
	scoped(free) char *clean = buf_take_str(&comment);
	if (!*clean) {
		strv_clear(&r->comments);
	} else if (r->comments.n < COMMENTS_MAX) {
		strv_add(&r->comments, clean);
	}
}

/* One instruction with its continuation lines joined. False at the end. */
static bool read_logical_line(struct reader *r, struct buf *ret, int *ret_line)
{
	scoped(buf) struct buf line = BUF_INIT;
	buf_clear(ret);
	bool more = false;
	r->empty_lines = false;
	while (read_line(r, &line)) {
		const char *text = part_skip_blanks(buf_str(&line));
		if (*text == '#' && !more) {
			keep_comment(r, text);
		}
		if (!*text) {
			r->empty_lines = r->empty_lines || more;
			if (!more) {
				strv_clear(&r->comments);
			}
		}
		if (*text == '#' || !*text) {
			continue;
		}
		if (!more) {
			*ret_line = r->line;
			buf_consume(&line, (size_t)(text - line.data));
		}
		more = take_continuation(&line, r->d->escape);
		buf_append(ret, line.data, line.len);
		if (!more) {
			break;
		}
	}
	trim_end(ret);
	return ret->len > 0;
}

static int find_kind(const char *word, size_t n)
{
	for (int k = 0; k < DF_KINDS; k++) {
		if (strlen(kinds[k].keyword) == n && strncasecmp(kinds[k].keyword, word, n) == 0) {
			return k;
		}
	}
	return -1;
}

/* The configuration is JSON, which holds nothing else; comments may be in any encoding. */
static bool is_utf8(const char *text)
{
	json_t *string = json_string(text);
	json_decref(string);
	return string != NULL;
}

static int read_heredoc_body(struct reader *r, int line, struct df_heredoc *h, struct err *e)
{
	struct buf data = BUF_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	while (read_line(r, &text)) {
		const char *p = buf_str(&text);
		while (h->strip && *p == '\t') {
			p++;
		}
		if (strcmp(p, h->name) == 0) {
			h->data = buf_take_str(&data);
			return 0;
		}
		if (!is_utf8(p)) {
			buf_deinit(&data);
			return df_error(r->d, r->line, e, "the line is not UTF-8 text");
		}
		buf_append(&data, text.data, text.len);
		buf_putc(&data, '\n');
	}
	buf_deinit(&data);
	return df_error(r->d, line, e, "unterminated heredoc: no line says \"%.80s\"", h->name);
}

static int read_heredocs(struct reader *r, struct df_instruction *i, struct err *e)
{
	scoped(strv) struct strv words = STRV_INIT;
	part_split_quoted(&words, i->args, r->d->escape);
	for (size_t k = 0; k < words.n; k++) {
		struct df_heredoc h;
		if (!part_heredoc(words.v[k], &h)) {
			continue;
		}
		i->heredocs = xrealloc(i->heredocs, i->n_heredocs + 1, sizeof(h));
		i->heredocs[i->n_heredocs++] = h;
		if (i->n_heredocs > DF_HEREDOCS_MAX) {
			return df_error(r->d, i->line, e, "more than %d heredocs", DF_HEREDOCS_MAX);
		}
	}
	for (size_t k = 0; k < i->n_heredocs; k++) {
		if (read_heredoc_body(r, i->line, &i->heredocs[k], e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* ONBUILD COPY <<EOF: the trigger's here-document follows the line, too. */
static bool may_hold_heredocs(const struct df_instruction *i)
{
	if (i->kind != DF_ONBUILD) {
		return kinds[i->kind].heredocs;
	}
	size_t n = strcspn(i->args, " \t");
	int inner = find_kind(i->args, n);
	return inner >= 0 && kinds[inner].heredocs;
}

static int unknown_instruction(
	const struct dockerfile *d, int line, const char *text, size_t n, struct err *e)
{
	char room[HINT_TEXT_MAX];
	scoped(free) char *word = xstrndup(text, n > 60 ? 60 : n);
	struct hint hint = hint_for(word);
	for (int k = 0; k < DF_KINDS; k++) {
		hint_offer(&hint, kinds[k].keyword);
	}
	return df_error(d, line, e, "unknown instruction: %s%s", word, hint_text(&hint, room));
}

/* The words of an instruction without any argument: each in Docker's sentence. */
static int no_argument(const struct dockerfile *d, const struct df_instruction *i, struct err *e)
{
	const char *keyword = df_keyword(i->kind);
	switch (i->kind) {
	case DF_FROM:
		return df_error(d, i->line, e,
			"FROM requires either one or three arguments: FROM image [AS name]");
	case DF_ADD:
	case DF_COPY:
		return df_error(d, i->line, e,
			"%s requires at least two arguments: a source and the destination",
			keyword);
	case DF_MAINTAINER:
	case DF_STOPSIGNAL:
	case DF_USER:
	case DF_WORKDIR:
		return df_error(d, i->line, e, "%s requires exactly one argument", keyword);
	default:
		return df_error(d, i->line, e, "%s requires at least one argument", keyword);
	}
}

static struct df_instruction *new_instruction(struct reader *r, enum df_kind kind, int line)
{
	struct dockerfile *d = r->d;
	d->v = xrealloc(d->v, d->n + 1, sizeof(*d->v));
	struct df_instruction *i = &d->v[d->n++];
	*i = (struct df_instruction){.kind = kind, .line = line, .end_line = r->line};
	i->comments = r->comments;
	i->empty_lines = r->empty_lines;
	r->comments = (struct strv)STRV_INIT;
	return i;
}

/* What no image may hand on; the words are BuildKit's. */
static int check_trigger(const struct dockerfile *d, const struct df_instruction *i, struct err *e)
{
	int kind = find_kind(i->args, strcspn(i->args, " \t"));
	if (kind == DF_ONBUILD) {
		return df_error(
			d, i->line, e, "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed");
	}
	return kind == DF_FROM || kind == DF_MAINTAINER
		       ? df_error(d, i->line, e, "%s isn't allowed as an ONBUILD trigger",
				 df_keyword((enum df_kind)kind))
		       : 0;
}

static int add_instruction(struct reader *r, const char *text, int line, struct err *e)
{
	text = part_skip_blanks(text);
	const char *p = text;
	while (*p && !part_is_blank(*p)) {
		p++;
	}
	int kind = find_kind(text, (size_t)(p - text));
	if (kind < 0) {
		return unknown_instruction(r->d, line, text, (size_t)(p - text), e);
	}
	if (r->d->n >= DF_INSTRUCTIONS_MAX) {
		return df_error(r->d, line, e, "more than %d instructions", DF_INSTRUCTIONS_MAX);
	}
	if (!is_utf8(text)) {
		return df_error(r->d, line, e, "the line is not UTF-8 text");
	}
	struct df_instruction *i = new_instruction(r, (enum df_kind)kind, line);
	i->text = xstrdup(text);
	i->args = xstrdup(part_flags(i, part_skip_blanks(p), r->d->escape));
	if (!*i->args) {
		return no_argument(r->d, i, e);
	}
	if ((i->kind == DF_ONBUILD && check_trigger(r->d, i, e) < 0) ||
		part_words(r->d, i, e) < 0 ||
		(may_hold_heredocs(i) && !i->json && read_heredocs(r, i, e) < 0)) {
		return -1;
	}
	i->end_line = r->line;
	return 0;
}

char *df_written_keyword(const struct df_instruction *i)
{
	size_t n = 0;
	while (i->text[n] && !part_is_blank(i->text[n])) {
		n++;
	}
	return xstrndup(i->text, n);
}

static const struct df_instruction *first_step(const struct dockerfile *d)
{
	for (size_t i = 0; i < d->n; i++) {
		if (d->v[i].kind != DF_ARG) {
			return &d->v[i];
		}
	}
	return NULL;
}

static int parse_all(struct reader *r, struct err *e)
{
	scoped(buf) struct buf line = BUF_INIT;
	int at = 0, failed = 0;
	while (failed == 0 && read_logical_line(r, &line, &at)) {
		failed = add_instruction(r, buf_str(&line), at, e);
	}
	strv_deinit(&r->comments);
	return failed;
}

static int begin(struct reader *r, const char *text, size_t n, const char *name,
	struct dockerfile *ret, struct err *e)
{
	*ret = (struct dockerfile){
		.name = xstrdup(name), .text = xstrndup(text, n), .escape = '\\'};
	*r = (struct reader){.p = text, .end = text + n, .d = ret};
	if (n > DF_TEXT_MAX) {
		return df_error(ret, 1, e, "the file is larger than %u MiB", DF_TEXT_MAX >> 20);
	}
	if (memchr(text, '\0', n)) {
		return df_error(ret, 1, e, "the file holds a NUL byte: it is not text");
	}
	return 0;
}

int dockerfile_parse(
	const char *text, size_t n, const char *name, struct dockerfile *ret, struct err *e)
{
	struct reader r;
	if (begin(&r, text, n, name, ret, e) < 0) {
		return -1;
	}
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		r.p += 3;
	}
	if (read_directives(&r, e) < 0 || parse_all(&r, e) < 0) {
		return -1;
	}
	const struct df_instruction *first = first_step(ret);
	if (!first) {
		return df_error(ret, r.line ? r.line : 1, e,
			ret->n ? "there is no FROM" : "the file is empty");
	}
	if (first->kind != DF_FROM) {
		return df_error(ret, first->line, e, "no build stage yet: %s must come after FROM",
			df_keyword(first->kind));
	}
	return 0;
}

int dockerfile_parse_trigger(
	const char *text, const char *image, struct dockerfile *ret, struct err *e)
{
	struct reader r;
	scoped(free) char *name = xasprintf("ONBUILD of %s", image);
	if (begin(&r, text, strlen(text), name, ret, e) < 0 || parse_all(&r, e) < 0) {
		return -1;
	}
	if (ret->n != 1) {
		return df_error(ret, 1, e, "an ONBUILD trigger must be one instruction");
	}
	return 0;
}
