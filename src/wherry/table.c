#include "wherry/table.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "wherry/format.h"

#define COLUMN_GAP 3
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
static size_t column_width(const struct strv *lines, size_t i, size_t k, size_t min_width)
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
		size_t n = count_chars(p, strcspn(p, "\t")) + COLUMN_GAP;
		width = n > width ? n : width;
	}
	return width;
}

void table_align(const char *text, size_t min_width, struct buf *ret)
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
				widths[n_known] = column_width(&lines, i, n_known, min_width);
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
	if (text_starts(f, "table ")) {
		*ret_is_table = true;
		return xstrdup(f + 6 + strspn(f + 6, " "));
	}
	return xstrdup(strcmp(f, "json") == 0 ? "{{json .}}" : f);
}

int table_check(const struct table *t, struct err *e)
{
	bool is_table;
	scoped(free) char *template = choose_template(t, &is_table);
	return format_check(template, e);
}

static json_t *titles_of(const struct table *t)
{
	json_t *titles = json_object();
	for (const struct column *c = t->columns; c->field; c++) {
		json_put_str(titles, c->field, c->title);
	}
	return titles;
}

/* {{json .}} of a row must neither show our own members nor depend on the order they were put in:
 * Go sorts maps. */
static json_t *public_row(const json_t *row)
{
	json_t *copy = json_copy((json_t *)row);
	json_object_del(copy, "_labels");
	return copy;
}

/* Go's encoder writes < > & as escapes, because browsers once needed that. */
static void put_go_json(const char *text, struct buf *out)
{
	for (; *text; text++) {
		if (strchr("<>&", *text)) {
			buf_printf(out, "\\u%04x", (unsigned)*text);
		} else {
			buf_putc(out, *text);
		}
	}
}

static int print_row(const char *template, const json_t *row, struct buf *out, struct err *e)
{
	if (strcmp(template, "{{json .}}") == 0) {
		scoped(json) json_t *shown = public_row(row);
		scoped(free) char *text = json_dumps(shown, JSON_COMPACT | JSON_SORT_KEYS);
		put_go_json(text, out);
	} else if (format_print(template, row, out, e) < 0) {
		return -1;
	}
	buf_putc(out, '\n');
	return 0;
}

int table_print(const struct table *t, const json_t *rows, struct err *e)
{
	bool is_table;
	scoped(free) char *template = choose_template(t, &is_table);
	scoped(buf) struct buf text = BUF_INIT;
	if (is_table) {
		scoped(json) json_t *titles = titles_of(t);
		if (format_print_titles(template, titles, &text, e) < 0) {
			return -1;
		}
		buf_putc(&text, '\n');
	}
	for (size_t i = 0; i < json_array_size(rows); i++) {
		if (print_row(template, json_array_get(rows, i), &text, e) < 0) {
			return -1;
		}
	}
	if (is_table) {
		scoped(buf) struct buf aligned = BUF_INIT;
		table_align(buf_str(&text), DOCKER_MIN_WIDTH, &aligned);
		fwrite(buf_str(&aligned), 1, aligned.len, stdout);
	} else {
		fwrite(buf_str(&text), 1, text.len, stdout);
	}
	return 0;
}
