/* Subcommands that do one thing to the containers of the named services: stop, start, restart,
 * kill, pause, unpause, rm. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "wherry/compose.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

struct each {
	struct compose *c;
	const char *project;
	const char *signal;
	int64_t timeout;
	bool no_deps, volumes, force;
	int (*act)(const struct each *x, const struct state_container *container, struct err *e);
	bool dependents_first; /* stopping; otherwise dependencies first */
	bool stopped_too;
};

static int act_stop(const struct each *x, const struct state_container *c, struct err *e)
{
	return compose_stop_container(x->c, c->id, c->name, (int)x->timeout, e);
}

static bool is_wanted(const void *owner, const struct state_container *container)
{
	const struct each *x = owner;
	return compose_is_named(x->c, container->service);
}

static int act_on_all(const struct each *x, size_t *ret_n, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	if (compose_check_names(x->c, e) < 0 || compose_state_fetch(x->c, x->project, &s, e) < 0) {
		return -1;
	}
	*ret_n = 0;
	if (x->act == act_stop) {
		return compose_stop_levels(x->c, &s, is_wanted, x, (int)x->timeout, e);
	}
	size_t n = s.s.n_containers;
	scoped(free) size_t *order = xnew_array(size_t, n + 1);
	plan_stop_order(&s.s, order, NULL);
	for (size_t i = 0; i < n; i++) {
		const struct state_container *c =
			&s.s.containers[order[x->dependents_first ? i : n - 1 - i]];
		if (c->one_off || !compose_is_named(x->c, c->service) ||
			(!x->stopped_too && !compose_is_running(c))) {
			continue;
		}
		++*ret_n;
		if (x->act(x, c, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int run_each(struct each *x, int argc, char **argv)
{
	struct err e;
	size_t n;
	if (compose_load_or_name(x->c, argv + 1, argc - 1, &x->project, &e) < 0) {
		return cli_fail(&e);
	}
	x->c->progress = compose_progress_new(x->c->progress_mode, x->c->ansi, "Running");
	return act_on_all(x, &n, &e) < 0 ? cli_fail(&e) : 0;
}

/* POST /containers/ID/VERB with a word before and one after. */
static int post(const struct each *x, const struct state_container *c, const char *suffix,
	const char *before, const char *after, struct err *e)
{
	compose_progress_say(x->c->progress, "Container", c->name, before);
	if (engine_on(x->c->cli, "POST", "/containers/", c->id, suffix, NULL, e) < 0) {
		compose_progress_say(x->c->progress, "Container", c->name, "Error");
		return -1;
	}
	compose_progress_say(x->c->progress, "Container", c->name, after);
	return 0;
}

int compose_stop(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .timeout = -1, .act = act_stop, .dependents_first = true};
	const struct flag flags[] = {
		{"timeout", 't', FLAG_INT, &x.timeout, NULL,
			"Specify a shutdown timeout in seconds"},
		{0},
	};
	const struct syntax s = {
		"compose stop", "[OPTIONS] [SERVICE...]", "Stop services", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	return status >= 0 ? status : run_each(&x, argc, argv);
}

static int act_start(const struct each *x, const struct state_container *c, struct err *e)
{
	if (compose_is_running(c)) {
		return 0;
	}
	const struct service *s = x->c->project ? project_service(x->c->project, c->service) : NULL;
	for (size_t i = 0; s && i < s->n_dependencies; i++) {
		const struct dependency *d = &s->dependencies[i];
		const struct service *other = project_service(x->c->project, d->service);
		if (d->condition != CONDITION_STARTED && other &&
			compose_wait_condition(x->c, other, d->condition, e) < 0 && d->required) {
			return -1;
		}
	}
	return post(x, c, "/start", "Starting", "Started", e);
}

int compose_start(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .act = act_start, .stopped_too = true};
	const struct flag flags[] = {{0}};
	const struct syntax s = {"compose start", "[SERVICE...]", "Start services", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	return status >= 0 ? status : run_each(&x, argc, argv);
}

static int act_restart(const struct each *x, const struct state_container *c, struct err *e)
{
	char suffix[40] = "/restart";
	if (x->timeout >= 0) {
		snprintf(suffix, sizeof(suffix), "/restart?t=%d", (int)x->timeout);
	}
	return post(x, c, suffix, "Restarting", "Started", e);
}

int compose_restart(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .timeout = -1, .act = act_restart, .stopped_too = true};
	const struct flag flags[] = {
		{"timeout", 't', FLAG_INT, &x.timeout, NULL,
			"Specify a shutdown timeout in seconds"},
		{"no-deps", 0, FLAG_BOOL, &x.no_deps, NULL, "Don't restart dependent services"},
		{0},
	};
	const struct syntax s = {"compose restart", "[OPTIONS] [SERVICE...]",
		"Restart service containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	return status >= 0 ? status : run_each(&x, argc, argv);
}

static int act_kill(const struct each *x, const struct state_container *c, struct err *e)
{
	scoped(free) char *suffix = xasprintf("/kill?signal=%s", x->signal);
	return post(x, c, suffix, "Killing", "Killed", e);
}

int compose_kill(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .signal = "SIGKILL", .act = act_kill, .dependents_first = true};
	const struct flag flags[] = {
		{"signal", 's', FLAG_STRING, &x.signal, NULL, "SIGNAL to send to the container"},
		{0},
	};
	const struct syntax s = {"compose kill", "[OPTIONS] [SERVICE...]",
		"Force stop service containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	return status >= 0 ? status : run_each(&x, argc, argv);
}

static int act_pause(const struct each *x, const struct state_container *c, struct err *e)
{
	return post(x, c, "/pause", "Pausing", "Paused", e);
}

int compose_pause(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .act = act_pause};
	const struct flag flags[] = {{0}};
	const struct syntax s = {"compose pause", "[SERVICE...]", "Pause services", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	return status >= 0 ? status : run_each(&x, argc, argv);
}

static int act_unpause(const struct each *x, const struct state_container *c, struct err *e)
{
	return strcmp(c->status, "paused") == 0 ? post(x, c, "/unpause", "Unpausing", "Unpaused", e)
						: 0;
}

int compose_unpause(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .act = act_unpause};
	const struct flag flags[] = {{0}};
	const struct syntax s = {
		"compose unpause", "[SERVICE...]", "Unpause services", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	return status >= 0 ? status : run_each(&x, argc, argv);
}

/* ---- rm ---- */

static int act_count(const struct each *x, const struct state_container *c, struct err *e)
{
	if (!compose_is_running(c)) {
		fprintf(stderr, "Going to remove %s\n", c->name);
	}
	return 0;
}

static int act_rm(const struct each *x, const struct state_container *c, struct err *e)
{
	return compose_is_running(c)
		       ? 0
		       : compose_remove_container(x->c, c->id, c->name, x->volumes, false, e);
}

static bool confirm(void)
{
	char answer[16];
	fprintf(stderr, "Are you sure? [yN] ");
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

int compose_rm(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .timeout = -1, .dependents_first = true, .stopped_too = true};
	bool stop = false;
	const struct flag flags[] = {
		{"force", 'f', FLAG_BOOL, &x.force, NULL, "Don't ask to confirm removal"},
		{"stop", 's', FLAG_BOOL, &stop, NULL,
			"Stop the containers, if required, before removing"},
		{"volumes", 'v', FLAG_BOOL, &x.volumes, NULL,
			"Remove any anonymous volumes attached to containers"},
		{0},
	};
	const struct syntax s = {"compose rm", "[OPTIONS] [SERVICE...]",
		"Removes stopped service containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	size_t n;
	if (compose_load_or_name(c, argv + 1, argc - 1, &x.project, &e) < 0) {
		return cli_fail(&e);
	}
	c->progress = compose_progress_new(c->progress_mode, c->ansi, "Running");
	struct each stopping = x;
	stopping.act = act_stop;
	stopping.stopped_too = false;
	struct each asking = x;
	asking.act = act_count;
	if ((stop && act_on_all(&stopping, &n, &e) < 0) ||
		(!x.force && act_on_all(&asking, &n, &e) < 0)) {
		return cli_fail(&e);
	}
	if (!x.force && !confirm()) {
		return 0;
	}
	x.act = act_rm;
	return act_on_all(&x, &n, &e) < 0 ? cli_fail(&e) : 0;
}
