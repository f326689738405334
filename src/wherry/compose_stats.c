/* compose stats: what the containers of the named services use. */
#include <string.h>

#include "base/mem.h"
#include "wherry/compose.h"
#include "wherry/flags.h"
#include "wherry/stats.h"
#include "wherry/table.h"

static int show(
	struct compose *c, const char *project, const struct stats_options *o, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	scoped(strv) struct strv names = STRV_INIT;
	if (compose_state_fetch(c, project, &s, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < s.s.n_containers; i++) {
		const struct state_container *k = &s.s.containers[i];
		bool shown = o->all || compose_is_running(k);
		if (shown && compose_is_named(c, k->service)) {
			strv_add(&names, k->id);
		}
	}
	return stats_show(c->cli, o, names.v, (int)names.n, e);
}

int compose_stats(struct compose *c, int argc, char **argv)
{
	struct stats_options o = {.only_named = true};
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &o.all, NULL,
			"Show all containers (default shows just running)"},
		{"format", 0, FLAG_STRING, &o.format, NULL, TABLE_FORMAT_HELP},
		{"no-stream", 0, FLAG_BOOL, &o.no_stream, NULL,
			"Disable streaming stats and only pull the first result"},
		{"no-trunc", 0, FLAG_BOOL, &o.no_trunc, NULL, "Do not truncate output"},
		{0},
	};
	const struct syntax s = {"compose stats", "[OPTIONS] [SERVICE]",
		"Display a live stream of container(s) resource usage statistics", 0, 1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *project;
	if (compose_load_or_name(c, argv + 1, argc - 1, &project, &e) < 0) {
		return cli_fail(&e);
	}
	int r = show(c, project, &o, &e);
	return r < 0 ? cli_fail(&e) : r;
}
