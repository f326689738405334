#include "wherry/table.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "wherry/build_screen.h"
#include "wherry/format.h"

#define DOCKER_MIN_WIDTH \
	10 /* docker/cli formatter: tabwriter.NewWriter(c.Output, 10, 1, 3, ' ', 0) */

static size_t count_chars(const char *s, size_t n)
{
	size_t chars = 0;
	for (size_t i = 0; i < n; i++) {
		chars += ((unsigned char)s[i] & 0xc0) != 0x80;
	}
	return chars;
}

/* The width of column k in the run of lines around line i that have a cell there: text/tabwriter
 * aligns only consecutive lines, and the last cell of a line belongs to no column. */
static size_t column_width(
	const struct strv *lines, size_t i, size_t k, size_t min_width, size_t padding)
{
	size_t width = min_width;
	size_t first = i;
	for (;; first--) {
		const char *p = lines->v[first];
		size_t tabs = 0;
		for (; *p; p++) {
			tabs += *p == '\t';
		}
		if (tabs <= k) {
			first++;
			break;
		}
		if (first == 0) {
			break;
		}
	}
	for (; first < lines->n; first++) {
		const char *p = lines->v[first];
		for (size_t tab = 0; tab < k && p; tab++) {
			p = strchr(p, '\t');
			p = p ? p + 1 : NULL;
		}
		if (!p || !strchr(p, '\t')) {
			break;
		}
		size_t n = count_chars(p, strcspn(p, "\t")) + padding;
		width = n > width ? n : width;
	}
	return width;
}

void table_align_padded(const char *text, size_t min_width, size_t padding, struct buf *ret)
{
	scoped(strv) struct strv lines = STRV_INIT;
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n");
		strv_addn(&lines, p, n);
		p += n + (p[n] == '\n');
	}
	/* the widths of the line before hold while the number of cells stays the same: a long list
	 * is not measured per row */
	size_t widths[32];
	size_t n_known = 0;
	size_t known_for = SIZE_MAX;
	for (size_t i = 0; i < lines.n; i++) {
		size_t tabs = 0;
		for (const char *p = lines.v[i]; *p; p++) {
			tabs += *p == '\t';
		}
		tabs = tabs < 32 ? tabs : 32;
		if (tabs != known_for) {
			for (n_known = 0; n_known < tabs; n_known++) {
				widths[n_known] =
					column_width(&lines, i, n_known, min_width, padding);
			}
			known_for = tabs;
		}
		const char *p = lines.v[i];
		for (size_t k = 0; k < tabs; k++) {
			size_t n = strcspn(p, "\t");
			buf_append(ret, p, n);
			buf_printf(ret, "%*s", (int)(widths[k] - count_chars(p, n)), "");
			p += n + 1;
		}
		buf_printf(ret, "%s\n", p);
	}
}

void table_align(const char *text, size_t min_width, struct buf *ret)
{
	table_align_padded(text, min_width, 3, ret);
}

/* The template of a format, and whether it is a table. The result is the caller's. */
static char *choose_template(const struct table *t, bool *ret_is_table)
{
	const char *f = t->format ? t->format : "";
	bool plain = !*f || strcmp(f, "table") == 0;
	*ret_is_table = false;
	if (t->quiet && plain) {
		return xasprintf("{{.%s}}", t->quiet_field);
	}
	if (plain) {
		*ret_is_table = true;
		return xstrdup(t->dflt);
	}
	if (t->raw && strcmp(f, "raw") == 0) {
		return t->quiet ? xasprintf("%.*s", (int)strcspn(t->raw, "\n"), t->raw)
				: xstrdup(t->raw);
	}
	if (strcmp(f, "json") == 0) {
		return xstrdup("{{json .}}");
	}
	*ret_is_table = text_starts(f, "table");
	f += *ret_is_table ? 5 : 0;
	f += strspn(f, " ");
	size_t n = strlen(f);
	while (n > 0 && f[n - 1] == ' ') {
		n--;
	}
	scoped(free) char *trimmed = xstrndup(f, n);
	return format_unescape(trimmed);
}

char *table_format(const json_t *config, const char *key, const char *given, bool quiet)
{
	return xstrdup(given && *given ? given : quiet ? "" : json_str(config, key));
}

static struct format *parse(const char *template, struct err *e)
{
	struct format *f = format_new("", template, e);
	if (!f) {
		err_wrap(e, "template parsing error");
	}
	return f;
}

int table_check(const struct table *t, struct err *e)
{
	bool is_table;
	scoped(free) char *template = choose_template(t, &is_table);
	scoped(format) struct format *f = parse(template, e);
	return f ? 0 : -1;
}

static int print_titles(
	const struct table *t, const struct format *f, struct buf *out, struct err *e)
{
	scoped(json) json_t *titles = json_object();
	for (const struct column *c = t->columns; c->field; c++) {
		json_put_str(titles, c->field, c->title);
	}
	const struct format_style style = {.type = t->type, .is_titles = true};
	return format_run(f, titles, &style, out, e);
}

int table_text(const struct table *t, const json_t *rows, struct buf *ret, struct err *e)
{
	bool is_table;
	scoped(free) char *template = choose_template(t, &is_table);
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf titles = BUF_INIT;
	const struct format_style style = {.type = t->type ? t->type : "the list", .is_row = true};
	scoped(format) struct format *f = parse(template, e);
	if (!f) {
		return -1;
	}
	for (size_t i = 0; i < json_array_size(rows); i++) {
		if (format_run(f, json_array_get(rows, i), &style, &text, e) < 0) {
			return err_wrap(e, "template parsing error");
		}
		buf_putc(&text, '\n');
	}
	if (!is_table) {
		buf_append(ret, buf_str(&text), text.len);
		return 0;
	}
	if (print_titles(t, f, &titles, e) < 0) {
		return err_wrap(e, "template parsing error");
	}
	buf_putc(&titles, '\n');
	if (!t->format || !*t->format || strcmp(t->format, "table") == 0) {
		screen_text(buf_str(&text), &titles); /* labels are an image's words */
	} else {
		buf_append(&titles, buf_str(&text), text.len); /* a format may have colours */
	}
	table_align(buf_str(&titles), DOCKER_MIN_WIDTH, ret);
	return 0;
}

int table_print(const struct table *t, const json_t *rows, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (table_text(t, rows, &text, e) < 0) {
		return -1;
	}
	fwrite(buf_str(&text), 1, text.len, stdout);
	return 0;
}
