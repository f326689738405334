#include "wherry/compose.h"
#include "wherry/flags.h"
#include "wherry/times.h"

static int run_logs(struct compose *c, const struct compose_output_options *o, const char *project,
	int number, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	if (compose_check_names(c, e) < 0 || compose_state_fetch(c, project, &s, e) < 0) {
		return -1;
	}
	struct compose_output *output = compose_output_new(c, o);
	int r = 0;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; r == 0 && i < s.s.n_containers; i++) {
			const struct state_container *container = &s.s.containers[i];
			if (container->one_off || !compose_is_named(c, container->service) ||
				(number > 0 && container->number != number)) {
				continue;
			}
			if (pass == 0) {
				compose_output_reserve(output, container->name);
			} else {
				r = compose_output_add(
					output, container->id, container->name, NULL, e);
			}
		}
	}
	compose_output_drain(output);
	compose_output_free(output);
	return r;
}

int compose_logs(struct compose *c, int argc, char **argv)
{
	struct compose_output_options o = {.tail = "all"};
	int64_t number = 0;
	const char *since_text = NULL;
	const char *until_text = NULL;
	const struct flag flags[] = {
		{"follow", 'f', FLAG_BOOL, &o.follow, NULL, "Follow log output"},
		{"index", 0, FLAG_INT, &number, NULL,
			"index of the container if service has multiple replicas"},
		{"no-color", 0, FLAG_BOOL, &o.no_color, NULL, "Produce monochrome output"},
		{"no-log-prefix", 0, FLAG_BOOL, &o.no_prefix, NULL, "Don't print prefix in logs"},
		{"since", 0, FLAG_STRING, &since_text, NULL,
			"Show logs since timestamp or relative (e.g. 42m)"},
		{"tail", 'n', FLAG_STRING, &o.tail, NULL,
			"Number of lines to show from the end of the logs for each container"},
		{"timestamps", 't', FLAG_BOOL, &o.timestamps, NULL, "Show timestamps"},
		{"until", 0, FLAG_STRING, &until_text, NULL,
			"Show logs before a timestamp or relative (e.g. 42m)"},
		{0},
	};
	const struct syntax s = {"compose logs", "[OPTIONS] [SERVICE...]",
		"View output from containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *project;
	char since[TIMES_TEXT_MAX];
	char until[TIMES_TEXT_MAX];
	if (times_parse("since", since_text, since, &e) < 0 ||
		times_parse("until", until_text, until, &e) < 0) {
		return cli_fail(&e);
	}
	o.since = *since ? since : NULL;
	o.until = *until ? until : NULL;
	bool failed = compose_load_or_name(c, argv + 1, argc - 1, &project, &e) < 0 ||
		      run_logs(c, &o, project, (int)number, &e) < 0;
	return failed ? cli_fail(&e) : 0;
}
