/* compose top: the processes of all containers in one table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/build_screen.h"
#include "wherry/compose.h"
#include "wherry/engine.h"
#include "wherry/rows.h"
#include "wherry/table.h"

#define MIN_WIDTH 4
#define PADDING 2
#define LAST "CMD" /* the rightmost column, whatever the engine's order */

/* Titles may differ between containers: each that is new becomes a column. */
static void add_container(const struct state_container *container, const json_t *top,
	struct strv *titles, json_t *rows)
{
	const json_t *own = json_object_get(top, "Titles");
	size_t i;
	size_t k;
	json_t *process;
	json_t *cell;
	scoped(free) char *number =
		container->number > 0 ? xasprintf("%d", container->number) : xstrdup("");
	json_array_foreach (json_object_get(top, "Processes"), i, process) {
		json_t *row = json_object();
		json_put_str(row, "SERVICE", container->service);
		json_put_str(row, "#", number);
		json_array_foreach (process, k, cell) {
			const char *title = json_string_value(json_array_get(own, k));
			if (title && !strv_has(titles, title)) {
				strv_add(titles, title);
			}
			if (title) {
				json_object_set(row, title, cell);
			}
		}
		json_array_append_new(rows, row);
	}
}

static void put_cells(const struct strv *titles, const json_t *row, struct buf *text)
{
	for (int last = 0; last < 2; last++) {
		for (size_t i = 0; i < titles->n; i++) {
			bool is_last = strcmp(titles->v[i], LAST) == 0;
			if (is_last != (last == 1)) {
				continue;
			}
			const char *cell =
				row ? json_string_value(json_object_get(row, titles->v[i]))
				    : titles->v[i];
			buf_printf(text, "%s%s", i > 0 ? "\t" : "", cell ? cell : "-");
		}
	}
	buf_putc(text, '\n');
}

static void print_all(const struct strv *titles, const json_t *rows)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf shown = BUF_INIT;
	scoped(buf) struct buf aligned = BUF_INIT;
	size_t i;
	json_t *row;
	if (json_array_size(rows) == 0) {
		return;
	}
	put_cells(titles, NULL, &text);
	json_array_foreach (rows, i, row) {
		put_cells(titles, row, &text);
	}
	screen_text(buf_str(&text), &shown); /* a process names itself */
	table_align_padded(buf_str(&shown), MIN_WIDTH, PADDING, &aligned);
	fputs(buf_str(&aligned), stdout);
}

static int by_name(const void *a, const void *b)
{
	return strcmp((*(const struct state_container *const *)a)->name,
		(*(const struct state_container *const *)b)->name);
}

static int collect(struct compose *c, const struct compose_state *s, struct strv *titles,
	json_t *rows, struct err *e)
{
	scoped(free) const struct state_container **sorted =
		xnew_array(const struct state_container *, s->s.n_containers + 1);
	size_t n = 0;
	for (size_t i = 0; i < s->s.n_containers; i++) {
		const struct state_container *k = &s->s.containers[i];
		if (compose_is_named(c, k->service) && compose_is_running(k)) {
			sorted[n++] = k;
		}
	}
	qsort(sorted, n, sizeof(void *), by_name);
	for (size_t i = 0; i < n; i++) {
		scoped(json) json_t *top = NULL;
		if (engine_on(c->cli, "GET", "/containers/", sorted[i]->id, "/top", &top, e) < 0) {
			return -1;
		}
		add_container(sorted[i], top, titles, rows);
	}
	return 0;
}

int compose_top(struct compose *c, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {
		"compose top", "[SERVICES...]", "Display the running processes", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *project;
	scoped(compose_state) struct compose_state state = {0};
	scoped(strv) struct strv titles = STRV_INIT;
	scoped(json) json_t *rows = json_array();
	strv_add(&titles, "SERVICE");
	strv_add(&titles, "#");
	if (compose_load_or_name(c, argv + 1, argc - 1, &project, &e) < 0 ||
		compose_state_fetch(c, project, &state, &e) < 0 ||
		collect(c, &state, &titles, rows, &e) < 0) {
		return cli_fail(&e);
	}
	print_all(&titles, rows);
	return 0;
}
