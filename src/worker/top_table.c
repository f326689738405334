#include "worker/top_table.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/strv.h"

#define BLANKS "\t\n\f\r "

/* Words between blanks. */
static void split_fields(const char *line, size_t n, struct strv *ret)
{
	for (size_t i = 0; i < n;) {
		i += strspn(line + i, BLANKS);
		size_t word = i < n ? strcspn(line + i, BLANKS) : 0;
		if (word > 0) {
			strv_addn(ret, line + i, word);
		}
		i += word;
	}
}

/* A process may have bytes in its command line that are no UTF-8: shown as '?'. */
static json_t *text_json(const char *text)
{
	json_t *s = json_string(text);
	if (s) {
		return s;
	}
	scoped(free) char *clean = xstrdup(text);
	for (char *p = clean; *p; p++) {
		*p = (unsigned char)*p > 0x7e ? '?' : *p;
	}
	return json_string(clean);
}

/* As many columns as titles: the last one holds the rest. */
static json_t *row_json(const struct strv *fields, size_t n_titles)
{
	json_t *row = json_array();
	struct buf rest = BUF_INIT;
	for (size_t i = 0; i < fields->n; i++) {
		if (i + 1 < n_titles) {
			json_array_append_new(row, text_json(fields->v[i]));
		} else {
			buf_printf(&rest, "%s%s", i + 1 > n_titles ? " " : "", fields->v[i]);
		}
	}
	while (json_array_size(row) + 1 < n_titles) { /* a column that ps left empty */
		json_array_append_new(row, json_string(""));
	}
	json_array_append_new(row, text_json(buf_str(&rest)));
	buf_deinit(&rest);
	return row;
}

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a;
	pid_t y = *(const pid_t *)b;
	return x < y ? -1 : x > y;
}

/* Whether a line belongs to the container. above: whether the process line above it did. */
static int is_ours(const char *pid_text, const pid_t *pids, size_t n, bool *above, struct err *e)
{
	int pid;
	if (strcmp(pid_text, "-") == 0) { /* a thread, with option m */
		return *above;
	}
	if (parse_int(pid_text, 0, INT_MAX, &pid) < 0) {
		return err_set(e, ERR_SYSTEM, "Unexpected pid '%.64s': invalid syntax", pid_text);
	}
	*above = bsearch(&(pid_t){pid}, pids, n, sizeof(*pids), by_number) != NULL;
	return *above;
}

json_t *top_table(const char *text, const pid_t *pids, size_t n_pids, struct err *e)
{
	scoped(strv) struct strv titles = STRV_INIT;
	scoped(json) json_t *rows = json_array();
	size_t n = strcspn(text, "\n");
	size_t pid_column = 0;
	bool above = false;
	split_fields(text, n, &titles);
	while (pid_column < titles.n && strcmp(titles.v[pid_column], "PID") != 0) {
		pid_column++;
	}
	if (pid_column == titles.n) {
		(void)err_set(e, ERR_SYSTEM, "Couldn't find PID field in ps output");
		return NULL;
	}
	for (const char *line = text + n; *line;) {
		line++;
		n = strcspn(line, "\n");
		scoped(strv) struct strv fields = STRV_INIT;
		split_fields(line, n, &fields);
		line += n;
		if (fields.n <= pid_column) {
			continue;
		}
		int ours = is_ours(fields.v[pid_column], pids, n_pids, &above, e);
		if (ours < 0) {
			return NULL;
		}
		if (ours) {
			json_array_append_new(rows, row_json(&fields, titles.n));
		}
	}
	return json_pack("{sO so}", "Processes", rows, "Titles", json_strv(&titles));
}
