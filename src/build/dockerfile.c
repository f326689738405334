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
#include "base/text.h"

/* How the text after keyword and flags is cut into words. */
enum form {
	FORM_TEXT,  /* not at all */
	FORM_WORDS, /* between blanks, or a JSON array */
	FORM_JSON,  /* a JSON array, else text */
	FORM_PAIRS, /* name=value ..., or the old "name value" */
	FORM_NAMES, /* name or name=value ... */
};

static const struct {
	const char *keyword;
	enum form form;
	bool heredocs;
} kinds[] = {
	[DF_ADD] = {"ADD", FORM_WORDS, true},
	[DF_ARG] = {"ARG", FORM_NAMES, false},
	[DF_CMD] = {"CMD", FORM_JSON, false},
	[DF_COPY] = {"COPY", FORM_WORDS, true},
	[DF_ENTRYPOINT] = {"ENTRYPOINT", FORM_JSON, false},
	[DF_ENV] = {"ENV", FORM_PAIRS, false},
	[DF_EXPOSE] = {"EXPOSE", FORM_WORDS, false},
	[DF_FROM] = {"FROM", FORM_WORDS, false},
	[DF_HEALTHCHECK] = {"HEALTHCHECK", FORM_TEXT, false},
	[DF_LABEL] = {"LABEL", FORM_PAIRS, false},
	[DF_MAINTAINER] = {"MAINTAINER", FORM_TEXT, false},
	[DF_ONBUILD] = {"ONBUILD", FORM_TEXT, false},
	[DF_RUN] = {"RUN", FORM_JSON, true},
	[DF_SHELL] = {"SHELL", FORM_JSON, false},
	[DF_STOPSIGNAL] = {"STOPSIGNAL", FORM_TEXT, false},
	[DF_USER] = {"USER", FORM_TEXT, false},
	[DF_VOLUME] = {"VOLUME", FORM_WORDS, false},
	[DF_WORKDIR] = {"WORKDIR", FORM_TEXT, false},
};
_Static_assert(sizeof(kinds) / sizeof(*kinds) == DF_KINDS, "every kind has a keyword");

struct reader {
	const char *p, *end;
	int line; /* of the line that was read last */
	struct dockerfile *d;
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
	strv_deinit(&d->warnings);
	*d = (struct dockerfile){0};
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static const char *skip_blanks(const char *p)
{
	while (is_blank(*p)) {
		p++;
	}
	return p;
}

static void trim_end(struct buf *b)
{
	while (b->len > 0 && is_blank(b->data[b->len - 1])) {
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

/* "# name = value" into its parts; both are the caller's. */
static bool split_directive(const char *line, char **ret_name, char **ret_value)
{
	const char *p = skip_blanks(line);
	if (*p != '#') {
		return false;
	}
	p = skip_blanks(p + 1);
	const char *name = p;
	while (isalnum((unsigned char)*p) || *p == '-' || *p == '_') {
		p++;
	}
	size_t n = (size_t)(p - name);
	p = skip_blanks(p);
	if (n == 0 || !isalpha((unsigned char)*name) || *p != '=') {
		return false;
	}
	struct buf value = BUF_INIT;
	buf_puts(&value, skip_blanks(p + 1));
	trim_end(&value);
	*ret_name = xstrndup(name, n);
	*ret_value = buf_take_str(&value);
	return true;
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
		if (k == 0) {
			if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0) {
				return df_error(r->d, r->line, e,
					"invalid escape token '%.20s': it must be \\ or `", value);
			}
			r->d->escape = *value;
		}
	}
}

/* Takes a continuation mark (and blanks behind it) off. A doubled escape is none. */
static bool take_continuation(struct buf *line, char escape)
{
	size_t n = line->len;
	while (n > 0 && is_blank(line->data[n - 1])) {
		n--;
	}
	if (n == 0 || line->data[n - 1] != escape || (n > 1 && line->data[n - 2] == escape)) {
		return false;
	}
	line->len = n - 1;
	line->data[n - 1] = '\0';
	return true;
}

static void warn(struct reader *r, int line, const char *text)
{
	if (r->d->warnings.n < 100) {
		strv_addf(&r->d->warnings, "%s:%d: %s", r->d->name, line, text);
	}
}

/* One instruction with its continuation lines joined. False at the end. */
static bool read_logical_line(struct reader *r, struct buf *ret, int *ret_line)
{
	scoped(buf) struct buf line = BUF_INIT;
	buf_clear(ret);
	bool more = false;
	while (read_line(r, &line)) {
		const char *text = skip_blanks(buf_str(&line));
		if (*text == '#') {
			continue;
		}
		if (!*text) {
			if (more) {
				warn(r, r->line, "empty continuation line");
			}
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

/* One --flag; quotes and escapes are taken off. Returns what follows it. */
static const char *read_flag(const char *p, char escape, struct buf *ret)
{
	char quote = 0;
	while (*p && (quote || !is_blank(*p))) {
		if (*p == escape && p[1]) {
			buf_putc(ret, *++p);
		} else if (quote ? *p == quote : (*p == '"' || *p == '\'')) {
			quote = quote ? 0 : *p;
		} else {
			buf_putc(ret, *p);
		}
		p++;
	}
	return p;
}

static const char *read_flags(struct df_instruction *i, const char *p, char escape)
{
	while (text_starts(p, "--")) {
		struct buf flag = BUF_INIT;
		p = skip_blanks(read_flag(p, escape, &flag));
		scoped(free) char *text = buf_take_str(&flag);
		if (strcmp(text, "--") == 0) {
			break;
		}
		strv_add(&i->flags, text);
	}
	return p;
}

/* Words between blanks; quotes and escapes guard blanks and stay in the word. */
static void split_quoted(struct strv *ret, const char *p, char escape)
{
	for (p = skip_blanks(p); *p; p = skip_blanks(p)) {
		const char *begin = p;
		char quote = 0;
		while (*p && (quote || !is_blank(*p))) {
			if (*p == escape && p[1] && quote != '\'') {
				p++;
			} else if (quote ? *p == quote : (*p == '"' || *p == '\'')) {
				quote = quote ? 0 : *p;
			}
			p++;
		}
		strv_addn(ret, begin, (size_t)(p - begin));
	}
}

static void split_blanks(struct strv *ret, const char *p)
{
	for (p = skip_blanks(p); *p; p = skip_blanks(p)) {
		const char *begin = p;
		while (*p && !is_blank(*p)) {
			p++;
		}
		strv_addn(ret, begin, (size_t)(p - begin));
	}
}

/* A JSON array of strings; anything else is not an error but the shell form. */
static bool parse_json_words(struct df_instruction *i)
{
	if (*i->args != '[') {
		return false;
	}
	json_t *doc = json_loads(i->args, 0, NULL);
	bool valid = json_is_array(doc);
	size_t k;
	json_t *item;
	json_array_foreach (doc, k, item) {
		valid = valid && json_is_string(item);
	}
	if (valid) {
		json_array_foreach (doc, k, item) {
			strv_add(&i->words, json_string_value(item));
		}
	}
	json_decref(doc);
	return valid;
}

static int parse_pairs(const struct dockerfile *d, struct df_instruction *i, struct err *e)
{
	const char *keyword = df_keyword(i->kind);
	scoped(strv) struct strv raw = STRV_INIT;
	split_quoted(&raw, i->args, d->escape);
	if (raw.n == 0) {
		return df_error(d, i->line, e, "%s requires at least one argument", keyword);
	}
	if (!strchr(raw.v[0], '=')) {
		const char *p = i->args;
		while (*p && !is_blank(*p)) {
			p++;
		}
		const char *value = skip_blanks(p);
		if (!*value) {
			return df_error(d, i->line, e, "%s must have two arguments: %s name=value",
				keyword, keyword);
		}
		strv_addn(&i->words, i->args, (size_t)(p - i->args));
		strv_add(&i->words, value);
		return 0;
	}
	for (size_t k = 0; k < raw.n; k++) {
		const char *equals = strchr(raw.v[k], '=');
		if (!equals) {
			return df_error(d, i->line, e,
				"syntax error - can't find = in \"%.100s\"; %s takes name=value",
				raw.v[k], keyword);
		}
		if (equals == raw.v[k]) {
			return df_error(d, i->line, e, "%s names can not be blank", keyword);
		}
		strv_addn(&i->words, raw.v[k], (size_t)(equals - raw.v[k]));
		strv_add(&i->words, equals + 1);
	}
	return 0;
}

static int parse_names(const struct dockerfile *d, struct df_instruction *i, struct err *e)
{
	split_quoted(&i->words, i->args, d->escape);
	if (i->words.n == 0) {
		return df_error(d, i->line, e, "ARG requires at least one argument");
	}
	for (size_t k = 0; k < i->words.n; k++) {
		if (*i->words.v[k] == '=') {
			return df_error(d, i->line, e, "ARG names can not be blank");
		}
	}
	return 0;
}

static int parse_words(struct reader *r, struct df_instruction *i, struct err *e)
{
	switch (kinds[i->kind].form) {
	case FORM_TEXT:
		return 0;
	case FORM_WORDS:
	case FORM_JSON:
		i->json = parse_json_words(i);
		if (!i->json && *i->args == '[' && i->args[strlen(i->args) - 1] == ']') {
			warn(r, i->line,
				"not a JSON array of strings, so it is taken as plain text");
		}
		if (!i->json && kinds[i->kind].form == FORM_WORDS) {
			split_blanks(&i->words, i->args);
		}
		return 0;
	case FORM_PAIRS:
		return parse_pairs(r->d, i, e);
	case FORM_NAMES:
		return parse_names(r->d, i, e);
	}
	return 0;
}

/* "3<<-'EOF'": a number, <<, a dash perhaps, and a name. Not here: "<<<", "<<" alone. */
static bool parse_heredoc_word(const char *word, struct df_heredoc *ret)
{
	const char *p = word;
	while (isdigit((unsigned char)*p)) {
		p++;
	}
	if (p[0] != '<' || p[1] != '<') {
		return false;
	}
	p += 2;
	bool strip = *p == '-';
	p += strip;
	if (!*p || strchr(p, '<')) {
		return false;
	}
	struct buf name = BUF_INIT;
	bool quoted = false;
	char quote = 0;
	for (; *p; p++) {
		if (*p == '\\' && p[1] && quote != '\'') {
			quoted = true;
			buf_putc(&name, *++p);
		} else if (quote ? *p == quote : (*p == '"' || *p == '\'')) {
			quoted = true;
			quote = quote ? 0 : *p;
		} else {
			buf_putc(&name, *p);
		}
	}
	if (quote || name.len == 0) {
		buf_deinit(&name);
		return false;
	}
	*ret = (struct df_heredoc){
		.word = xstrdup(word),
		.name = buf_take_str(&name),
		.expand = !quoted,
		.strip = strip,
	};
	return true;
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
	split_quoted(&words, i->args, r->d->escape);
	for (size_t k = 0; k < words.n; k++) {
		struct df_heredoc h;
		if (!parse_heredoc_word(words.v[k], &h)) {
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

static int add_instruction(struct reader *r, const char *text, int line, struct err *e)
{
	const char *p = text;
	while (*p && !is_blank(*p)) {
		p++;
	}
	size_t n = (size_t)(p - text);
	int kind = find_kind(text, n);
	if (kind < 0) {
		return df_error(
			r->d, line, e, "unknown instruction: %.*s", (int)(n > 60 ? 60 : n), text);
	}
	if (r->d->n >= DF_INSTRUCTIONS_MAX) {
		return df_error(r->d, line, e, "more than %d instructions", DF_INSTRUCTIONS_MAX);
	}
	if (!is_utf8(text)) {
		return df_error(r->d, line, e, "the line is not UTF-8 text");
	}
	struct df_instruction i = {.kind = (enum df_kind)kind, .line = line, .text = xstrdup(text)};
	p = read_flags(&i, skip_blanks(p), r->d->escape);
	i.args = xstrdup(p);
	r->d->v = xrealloc(r->d->v, r->d->n + 1, sizeof(i));
	r->d->v[r->d->n++] = i;
	struct df_instruction *kept = &r->d->v[r->d->n - 1];
	if (!*kept->args) {
		return df_error(
			r->d, line, e, "%s requires at least one argument", df_keyword(kept->kind));
	}
	if (may_hold_heredocs(kept) && read_heredocs(r, kept, e) < 0) {
		return -1;
	}
	return parse_words(r, kept, e);
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
	int at = 0;
	while (read_logical_line(r, &line, &at)) {
		if (add_instruction(r, buf_str(&line), at, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int begin(struct reader *r, const char *text, size_t n, const char *name,
	struct dockerfile *ret, struct err *e)
{
	*ret = (struct dockerfile){.name = xstrdup(name), .escape = '\\'};
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

const char *df_flag(const struct df_instruction *i, const char *name)
{
	size_t n = strlen(name);
	for (size_t k = 0; k < i->flags.n; k++) {
		const char *flag = i->flags.v[k] + 2;
		if (strncmp(flag, name, n) == 0 && (flag[n] == '=' || !flag[n])) {
			return flag[n] ? flag + n + 1 : "";
		}
	}
	return NULL;
}

static bool flag_is(const char *flag, const char *name)
{
	size_t n = strcspn(flag + 2, "=");
	return strlen(name) == n && strncmp(flag + 2, name, n) == 0;
}

int df_check_flags(const struct dockerfile *d, const struct df_instruction *i,
	const char *const *allowed, struct err *e)
{
	for (size_t k = 0; k < i->flags.n; k++) {
		const char *flag = i->flags.v[k];
		const char *const *a = allowed;
		while (*a && !flag_is(flag, *a)) {
			a++;
		}
		if (!*a) {
			return df_error(d, i->line, e, "%s has no flag %.*s", df_keyword(i->kind),
				(int)strcspn(flag, "=") > 60 ? 60 : (int)strcspn(flag, "="), flag);
		}
		bool repeats = strcmp(*a, "mount") == 0 || strcmp(*a, "exclude") == 0;
		for (size_t before = 0; !repeats && before < k; before++) {
			if (flag_is(i->flags.v[before], *a)) {
				return df_error(d, i->line, e, "the flag --%s is given twice", *a);
			}
		}
	}
	return 0;
}

char *df_heredoc_text(const struct df_heredoc *h)
{
	if (!h->strip) {
		return xstrdup(h->data);
	}
	struct buf out = BUF_INIT;
	bool line_start = true;
	for (const char *p = h->data; *p; p++) {
		if (line_start && *p == '\t') {
			continue;
		}
		line_start = *p == '\n';
		buf_putc(&out, *p);
	}
	return buf_take_str(&out);
}
