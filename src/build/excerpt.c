#include "build/excerpt.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"

#define RULE "--------------------\n"
#define AROUND 2       /* lines on either side of several */
#define AROUND_ONE 4   /* both sides together, of one line */
#define LINE_SHOWN 200 /* bytes of a line */

/* The lines of a text, without their ends. */
static void split_lines(const char *text, struct strv *ret)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		size_t shown = n > 0 && text[n - 1] == '\r' ? n - 1 : n;
		strv_addn(ret, text, shown);
		text += n + (text[n] == '\n');
	}
}

/* How many lines around are shown: a line at an edge gives its share to the other side. */
static void widen(int *first, int *last, int n)
{
	int pad = *first == *last ? AROUND_ONE : AROUND;
	for (int p = 0; p < pad; p++) {
		if (*first > 1) {
			(*first)--;
			p++;
		}
		if (*last < n) {
			(*last)++;
			p++;
		}
	}
}

static void print_carets(const char *line, const char *word, struct buf *ret)
{
	const char *at = word && *word ? strstr(line, word) : NULL;
	if (!at || at - line + strlen(word) > LINE_SHOWN) {
		return;
	}
	buf_puts(ret, "     |     ");
	for (const char *p = line; p < at; p++) {
		buf_putc(ret, *p == '\t' ? '\t' : ' ');
	}
	for (size_t k = 0; k < strlen(word); k++) {
		buf_putc(ret, '^');
	}
	buf_putc(ret, '\n');
}

void excerpt_print(const struct excerpt *x, struct buf *ret)
{
	scoped(strv) struct strv lines = STRV_INIT;
	split_lines(x->text, &lines);
	const int n = (int)lines.n;
	if (x->line < 1 || x->line > n) {
		return;
	}
	int end = x->end_line < x->line ? x->line : x->end_line;
	end = end > n ? n : end;
	int first = x->line, last = end;
	widen(&first, &last, n);
	buf_printf(ret, "%s:%d\n" RULE, x->file, x->line);
	for (int k = first; k <= last; k++) {
		bool meant = k >= x->line && k <= end;
		const char *line = lines.v[k - 1];
		buf_printf(ret, "%4d | %s %.*s\n", k, meant ? ">>>" : "   ", LINE_SHOWN, line);
		if (meant) {
			print_carets(line, x->word, ret);
		}
	}
	buf_puts(ret, RULE);
}

/* --- messages --- */

bool excerpt_find(const struct dockerfile *d, const char *message, int *ret_line, int *ret_end)
{
	size_t n = d->name ? strlen(d->name) : 0;
	n = n > 80 ? 80 : n; /* as df_error cuts it */
	if (n == 0 || strncmp(message, d->name, n) != 0 || message[n] != ':') {
		return false;
	}
	char *end;
	long line = strtol(message + n + 1, &end, 10);
	if (line < 1 || line > INT32_MAX || *end != ':') {
		return false;
	}
	*ret_line = *ret_end = (int)line;
	for (size_t k = 0; k < d->n; k++) {
		if (d->v[k].line == (int)line) {
			*ret_end = d->v[k].end_line;
		}
	}
	return true;
}

static char *after(const char *message, const char *words)
{
	const char *p = strstr(message, words);
	if (!p) {
		return NULL;
	}
	p += strlen(words);
	return xstrndup(p, strcspn(p, " ;,"));
}

char *excerpt_word(const char *message)
{
	static const char *const leads[] = {"unknown instruction: ", "unknown flag: "};
	for (size_t k = 0; k < sizeof(leads) / sizeof(*leads); k++) {
		char *word = after(message, leads[k]);
		if (word) {
			return word;
		}
	}
	const char *quote = strpbrk(message, "\"'");
	const char *end = quote ? strchr(quote + 1, *quote) : NULL;
	return end && end > quote + 1 ? xstrndup(quote + 1, (size_t)(end - quote - 1)) : NULL;
}

/* Comments may be in any encoding; JSON is not. */
static json_t *as_json(const char *text)
{
	json_t *string = json_string(text);
	if (string) {
		return string;
	}
	scoped(free) char *copy = xstrdup(text);
	for (char *p = copy; *p; p++) {
		*p = *p & 0x80 ? '?' : *p;
	}
	return json_string(copy);
}

json_t *excerpt_source(const struct dockerfile *d, const char *message)
{
	int line, end;
	if (!d->text || !excerpt_find(d, message, &line, &end)) {
		return NULL;
	}
	return json_pack("{so s[[ii]] so}", "file", as_json(d->name), "lines", line, end, "text",
		as_json(d->text));
}

void excerpt_of_source(const json_t *source, const char *message, struct buf *ret)
{
	const json_t *range = json_array_get(json_object_get(source, "lines"), 0);
	const char *file = json_str(source, "file");
	if (!range || !*file) {
		return;
	}
	scoped(free) char *word = excerpt_word(message);
	const struct excerpt x = {file, json_str(source, "text"),
		(int)json_integer_value(json_array_get(range, 0)),
		(int)json_integer_value(json_array_get(range, 1)), word};
	excerpt_print(&x, ret);
}
