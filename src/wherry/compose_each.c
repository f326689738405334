/* Subcommands that do one thing to the containers of the named services: stop, start, restart,
 * kill, pause, unpause, rm. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "wherry/compose_make.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

struct each {
	struct compose *c;
	const char *project;
	const char *signal;
	const char *title; /* of the display; NULL: "Running" */
	int64_t timeout;
	bool no_deps, volumes, force;
	bool stop;            /* rm --stop */
	struct buf *names;    /* of act_list */
	bool with_dependents; /* those with restart: true, too */
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

static bool restarts_with_named(const struct compose *c, const struct service *s)
{
	for (size_t i = 0; i < s->n_dependencies; i++) {
		if (s->dependencies[i].restart &&
			strv_has(&c->services, s->dependencies[i].service)) {
			return true;
		}
	}
	return false;
}

/* Who says restart: true goes with what it depends on. Dependencies come first in the project. */
static void add_dependents(struct compose *c)
{
	for (size_t i = 0; c->project && c->services.n > 0 && i < c->project->n_services; i++) {
		const struct service *s = &c->project->services[i];
		if (!strv_has(&c->services, s->name) && restarts_with_named(c, s)) {
			strv_add(&c->services, s->name);
		}
	}
}

static int run_each(struct each *x, int argc, char **argv)
{
	struct err e;
	size_t n;
	if (compose_load_or_name(x->c, argv + 1, argc - 1, &x->project, &e) < 0) {
		return cli_fail(&e);
	}
	if (x->with_dependents && !x->no_deps) {
		add_dependents(x->c);
	}
	compose_begin(x->c, x->title ? x->title : "Running");
	return act_on_all(x, &n, &e) < 0 ? cli_fail(&e) : 0;
}

/* POST /containers/ID/VERB with a word before and one after. */
static int post(const struct each *x, const struct state_container *c, const char *suffix,
	const char *before, const char *after, struct err *e)
{
	compose_progress_say(x->c->progress, "Container", c->name, before);
	if (compose_act(x->c, "POST", "/containers/", c->id, suffix, e) < 0) {
		compose_progress_say(x->c->progress, "Container", c->name, "Error");
		return -1;
	}
	compose_progress_say(x->c->progress, "Container", c->name, after);
	return 0;
}

int compose_stop(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c,
		.title = "Stopping",
		.timeout = -1,
		.act = act_stop,
		.dependents_first = true};
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
	struct each x = {.c = c,
		.title = "Restarting",
		.timeout = -1,
		.act = act_restart,
		.with_dependents = true,
		.stopped_too = true};
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
	struct each x = {.c = c,
		.title = "Killing",
		.signal = "SIGKILL",
		.act = act_kill,
		.dependents_first = true};
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
	struct each x = {.c = c, .title = "Pausing", .act = act_pause};
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

/* With --stop --dry-run what runs counts as stopped. */
static bool is_removable(const struct each *x, const struct state_container *c)
{
	return !compose_is_running(c) || (x->c->dry_run && x->stop);
}

static int act_list(const struct each *x, const struct state_container *c, struct err *e)
{
	if (is_removable(x, c)) {
		buf_printf(x->names, "%s%s", x->names->len ? ", " : "Going to remove ", c->name);
	}
	return 0;
}

static int act_rm(const struct each *x, const struct state_container *c, struct err *e)
{
	return is_removable(x, c)
		       ? compose_remove_container(x->c, c->id, c->name, x->volumes, x->force, e)
		       : 0;
}

static bool confirm(const char *question)
{
	char answer[16];
	fprintf(stderr, "%s? [yN] ", question);
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}

/* Names what will go, and asks. 1 to go on. */
static int announce(const struct each *x, struct err *e)
{
	scoped(buf) struct buf names = BUF_INIT;
	struct each listing = *x;
	size_t n;
	listing.act = act_list;
	listing.names = &names;
	if (act_on_all(&listing, &n, e) < 0) {
		return -1;
	}
	if (names.len == 0) {
		fprintf(stderr, "No stopped containers\n");
		return 0;
	}
	if (x->force) {
		puts(buf_str(&names));
		fflush(stdout);
		return 1;
	}
	return confirm(buf_str(&names));
}

int compose_rm(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .timeout = -1, .dependents_first = true, .stopped_too = true};
	const struct flag flags[] = {
		{"force", 'f', FLAG_BOOL, &x.force, NULL, "Don't ask to confirm removal"},
		{"stop", 's', FLAG_BOOL, &x.stop, NULL,
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
	compose_begin(c, "Stopping");
	struct each stopping = x;
	stopping.act = act_stop;
	if (x.stop && act_on_all(&stopping, &n, &e) < 0) {
		return cli_fail(&e);
	}
	int going = announce(&x, &e);
	if (going <= 0) {
		return going < 0 ? cli_fail(&e) : 0;
	}
	compose_begin(c, "Removing");
	x.act = act_rm;
	return act_on_all(&x, &n, &e) < 0 ? cli_fail(&e) : 0;
}
