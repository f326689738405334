#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/build_screen.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/top.h"

#define TOP_MIN_WIDTH 20 /* docker/cli top.go: tabwriter.NewWriter(Out, 20, 1, 3, ' ', 0) */

static void put_line(const json_t *cells, struct buf *text)
{
	size_t i;
	json_t *cell;
	json_array_foreach (cells, i, cell) {
		const char *s = json_string_value(cell);
		buf_printf(text, "%s%s", i ? "\t" : "", s ? s : "");
	}
	buf_putc(text, '\n');
}

int top_print(struct cli *cli, const char *name, const char *ps_args, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf shown = BUF_INIT;
	scoped(buf) struct buf aligned = BUF_INIT;
	scoped(json) json_t *doc = NULL;
	size_t i;
	json_t *row;
	path_add(&path, "/containers/", name, "/top");
	path_query(&path, "ps_args", *ps_args ? ps_args : NULL);
	if (engine_json(cli, "GET", buf_str(&path), NULL, &doc, e) < 0) {
		return -1;
	}
	put_line(json_object_get(doc, "Titles"), &text);
	json_array_foreach (json_object_get(doc, "Processes"), i, row) {
		put_line(row, &text);
	}
	screen_text(buf_str(&text), &shown); /* a process names itself */
	table_align(buf_str(&shown), TOP_MIN_WIDTH, &aligned);
	fputs(buf_str(&aligned), stdout);
	return 0;
}

int command_top(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"top", "CONTAINER [ps OPTIONS]",
		"Display the running processes of a container", 1, -1, true};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(buf) struct buf args = BUF_INIT;
	for (int i = 2; i < argc; i++) {
		buf_printf(&args, "%s%s", i > 2 ? " " : "", argv[i]);
	}
	return top_print(cli, argv[1], buf_str(&args), &e) < 0 ? cli_fail(&e) : 0;
}
