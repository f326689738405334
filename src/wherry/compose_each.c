/* Subcommands that do one thing to the containers of the named services: stop, start, restart,
 * kill, pause, unpause. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "wherry/compose_each.h"
#include "wherry/compose_make.h"

static bool is_meant(const struct each *x, const struct state_container *k)
{
	const struct project *p = x->c->project;
	const struct service *s = p ? project_service(p, k->service) : NULL;
	if ((k->one_off && !x->one_offs) || (p && !s && !x->orphans) ||
		(!x->stopped_too && !compose_is_running(k)) ||
		(x->ended_only && compose_is_running(k))) {
		return false;
	}
	return s && x->selected ? x->selected[s - p->services] : compose_is_named(x->c, k->service);
}

struct batch {
	const struct each *x;
	const struct state_container **list;
	size_t n;
};

static int act(struct compose *c, void *owner, size_t i, struct err *e)
{
	const struct batch *b = owner;
	return b->x->act(b->x, c, b->list[i], e);
}

static int run_batch(const struct each *x, struct batch *b, struct err *e)
{
	if (x->before) {
		for (size_t i = 0; i < b->n; i++) {
			bool again =
				i > 0 && strcmp(b->list[i]->service, b->list[i - 1]->service) == 0;
			if (!again && x->before(x, b->list[i]->service, e) < 0) {
				return -1;
			}
		}
	}
	return compose_parallel(x->c, b->n, act, b, e);
}

int each_run(const struct each *x, const struct compose_state *s, size_t *ret_n, struct err *e)
{
	size_t n = s->s.n_containers;
	scoped(free) size_t *order = xnew_array(size_t, n + 1);
	scoped(free) size_t *levels = xnew_array(size_t, n + 1);
	scoped(free) const struct state_container **list =
		xnew_array(const struct state_container *, n + 1);
	struct batch b = {.x = x, .list = list};
	*ret_n = 0;
	plan_stop_order(&s->s, order, levels);
	for (size_t i = 0; i < n; i++) {
		size_t at = x->order == EACH_DEPENDENCIES_FIRST ? n - 1 - i : i;
		size_t next = x->order == EACH_DEPENDENCIES_FIRST ? at - 1 : at + 1;
		const struct state_container *k = &s->s.containers[order[at]];
		if (is_meant(x, k)) {
			b.list[b.n++] = k;
			++*ret_n;
		}
		bool last = i + 1 == n || (x->order != EACH_AT_ONCE && levels[next] != levels[at]);
		if (last && b.n > 0 && run_batch(x, &b, e) < 0) {
			return -1;
		}
		b.n = last ? 0 : b.n;
	}
	return 0;
}

int each_load(struct each *x, const char *title, int argc, char **argv, struct err *e)
{
	if (compose_load_or_name(x->c, argv + 1, argc - 1, &x->project, e) < 0 ||
		compose_check_names(x->c, e) < 0) {
		return -1;
	}
	compose_begin(x->c, title);
	return 0;
}

static int run(struct each *x, const char *title, int argc, char **argv)
{
	struct err e;
	size_t n;
	scoped(compose_state) struct compose_state s = {0};
	if (each_load(x, title, argc, argv, &e) < 0 ||
		compose_state_fetch(x->c, x->project, &s, &e) < 0 || each_run(x, &s, &n, &e) < 0) {
		return cli_fail(&e);
	}
	if (n == 0 && x->when_none) {
		fputs(x->when_none, stderr);
	}
	return 0;
}

/* POST /containers/ID/VERB with a word before, which may be NULL, and one after. */
static int post(struct compose *c, const struct state_container *k, const char *suffix,
	const char *before, const char *after, struct err *e)
{
	if (before) {
		compose_progress_say(c->progress, "Container", k->name, before);
	}
	if (compose_act(c, "POST", "/containers/", k->id, suffix, e) < 0) {
		compose_progress_say(c->progress, "Container", k->name, "Error");
		return -1;
	}
	compose_progress_say(c->progress, "Container", k->name, after);
	return 0;
}

/* ---- stop ---- */

int each_stop(
	const struct each *x, struct compose *c, const struct state_container *k, struct err *e)
{
	return compose_stop_container(c, k->id, k->name, (int)x->timeout, e);
}

int compose_stop(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .timeout = -1, .act = each_stop, .stopped_too = true};
	const struct flag flags[] = {
		{"timeout", 't', FLAG_INT, &x.timeout, NULL,
			"Specify a shutdown timeout in seconds"},
		{0},
	};
	const struct syntax s = {
		"compose stop", "[OPTIONS] [SERVICE...]", "Stop services", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	return status >= 0 ? status : run(&x, "Stopping", argc, argv);
}

/* ---- start, restart ---- */

/* What the service waits for: of a restart only where the file says that it concerns it. */
static int wait_dependencies(const struct each *x, const char *name, bool restarts, struct err *e)
{
	const struct project *p = x->c->project;
	const struct service *s = p ? project_service(p, name) : NULL;
	for (size_t i = 0; s && !x->c->dry_run && i < s->n_dependencies; i++) {
		const struct dependency *d = &s->dependencies[i];
		const struct service *other = project_service(p, d->service);
		if (other && d->condition != CONDITION_STARTED && (!restarts || d->restart) &&
			compose_wait_condition(x->c, other, d->condition, e) < 0 && d->required) {
			return -1;
		}
	}
	return 0;
}

static int before_start(const struct each *x, const char *service, struct err *e)
{
	return wait_dependencies(x, service, false, e);
}

static const struct service *service_of(const struct compose *c, const struct state_container *k)
{
	return c->project ? project_service(c->project, k->service) : NULL;
}

static int act_start(
	const struct each *x, struct compose *c, const struct state_container *k, struct err *e)
{
	return compose_is_running(k) || (post(c, k, "/start", "Starting", "Started", e) == 0 &&
						compose_post_start(c, service_of(c, k), k->id,
							k->name, e) == 0)
		       ? 0
		       : -1;
}

/* A service that is to have containers has to have one. */
static int check_created(const struct each *x, const struct compose_state *s, struct err *e)
{
	const struct project *p = x->c->project;
	for (size_t i = 0; i < p->n_services; i++) {
		if (x->selected[i] && p->services[i].replicas != 0 &&
			!compose_container(s, p->services[i].name, 0)) {
			return err_set(e, ERR_NOT_FOUND, "service \"%s\" has no container to start",
				p->services[i].name);
		}
	}
	return 0;
}

static int start(struct each *x, int argc, char **argv, struct err *e)
{
	size_t n;
	scoped(compose_state) struct compose_state s = {0};
	scoped(free) bool *selected = NULL;
	if (each_load(x, "Running", argc, argv, e) < 0 ||
		compose_state_fetch(x->c, x->project, &s, e) < 0) {
		return -1;
	}
	if (x->c->project) {
		selected = xnew_array(bool, x->c->project->n_services + 1);
		x->selected = selected;
		if (plan_select(x->c->project, &x->c->services, false, selected, e) < 0 ||
			check_created(x, &s, e) < 0) {
			return -1;
		}
	}
	return each_run(x, &s, &n, e);
}

int compose_start(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c,
		.act = act_start,
		.before = before_start,
		.order = EACH_DEPENDENCIES_FIRST,
		.stopped_too = true};
	const struct flag flags[] = {{0}};
	const struct syntax s = {"compose start", "[SERVICE...]", "Start services", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	struct err e;
	return status >= 0 ? status : start(&x, argc, argv, &e) < 0 ? cli_fail(&e) : 0;
}

static int before_restart(const struct each *x, const char *service, struct err *e)
{
	return wait_dependencies(x, service, true, e);
}

static int act_restart(
	const struct each *x, struct compose *c, const struct state_container *k, struct err *e)
{
	char suffix[40] = "/restart";
	if (x->timeout >= 0) {
		snprintf(suffix, sizeof(suffix), "/restart?t=%d", (int)x->timeout);
	}
	if (compose_pre_stop(c, k->id, k->name, e) < 0 ||
		post(c, k, suffix, "Restarting", "Started", e) < 0) {
		return -1;
	}
	return compose_post_start(c, service_of(c, k), k->id, k->name, e);
}

/* The named ones, and those that depend on them and are to be restarted with them. Services come
 * after what they depend on, so one pass is enough. */
static void select_dependents(const struct project *p, bool *selected)
{
	for (size_t i = 0; i < p->n_services; i++) {
		const struct service *s = &p->services[i];
		for (size_t k = 0; k < s->n_dependencies && !selected[i]; k++) {
			const struct service *other =
				project_service(p, s->dependencies[k].service);
			selected[i] = other && s->dependencies[k].restart &&
				      selected[other - p->services];
		}
	}
}

int compose_restart_services(
	struct compose *c, const char *project, int64_t timeout_s, bool no_deps, struct err *e)
{
	size_t n;
	struct each x = {.c = c,
		.project = project,
		.timeout = timeout_s,
		.act = act_restart,
		.before = before_restart,
		.order = EACH_DEPENDENCIES_FIRST,
		.stopped_too = true};
	scoped(compose_state) struct compose_state s = {0};
	scoped(free) bool *selected = NULL;
	if (compose_state_fetch(c, project, &s, e) < 0) {
		return -1;
	}
	if (c->project && c->services.n > 0) {
		selected = xnew_array(bool, c->project->n_services + 1);
		x.selected = selected;
		for (size_t i = 0; i < c->project->n_services; i++) {
			selected[i] = strv_has(&c->services, c->project->services[i].name);
		}
		if (!no_deps) {
			select_dependents(c->project, selected);
		}
	}
	return each_run(&x, &s, &n, e);
}

int compose_restart(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .timeout = -1};
	bool no_deps = false;
	const struct flag flags[] = {
		{"no-deps", 0, FLAG_BOOL, &no_deps, NULL, "Don't restart dependent services"},
		{"timeout", 't', FLAG_INT, &x.timeout, NULL,
			"Specify a shutdown timeout in seconds"},
		{0},
	};
	const struct syntax s = {"compose restart", "[OPTIONS] [SERVICE...]",
		"Restart service containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	bool failed = each_load(&x, "Restarting", argc, argv, &e) < 0 ||
		      compose_restart_services(c, x.project, x.timeout, no_deps, &e) < 0;
	return failed ? cli_fail(&e) : 0;
}

/* ---- kill, pause, unpause ---- */

static int act_kill(
	const struct each *x, struct compose *c, const struct state_container *k, struct err *e)
{
	scoped(free) char *suffix = xasprintf("/kill?signal=%s", x->signal);
	return post(c, k, suffix, "Killing", "Killed", e);
}

int compose_kill(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c,
		.signal = "SIGKILL",
		.act = act_kill,
		.order = EACH_AT_ONCE,
		.one_offs = true,
		.orphans = compose_switch("COMPOSE_REMOVE_ORPHANS"),
		.when_none = "no container to kill"};
	const struct flag flags[] = {
		{"remove-orphans", 0, FLAG_BOOL, &x.orphans, NULL,
			"Remove containers for services not defined in the Compose file"},
		{"signal", 's', FLAG_STRING, &x.signal, NULL,
			"SIGNAL to send to the container (default \"SIGKILL\")"},
		{0},
	};
	const struct syntax s = {"compose kill", "[OPTIONS] [SERVICE...]",
		"Force stop service containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	return status >= 0 ? status : run(&x, "Killing", argc, argv);
}

static int act_pause(
	const struct each *x, struct compose *c, const struct state_container *k, struct err *e)
{
	return post(c, k, "/pause", NULL, "Paused", e);
}

int compose_pause(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .act = act_pause, .order = EACH_AT_ONCE};
	const struct flag flags[] = {{0}};
	const struct syntax s = {"compose pause", "[SERVICE...]", "Pause services", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	return status >= 0 ? status : run(&x, "Pausing", argc, argv);
}

static int act_unpause(
	const struct each *x, struct compose *c, const struct state_container *k, struct err *e)
{
	return post(c, k, "/unpause", NULL, "Unpaused", e);
}

int compose_unpause(struct compose *c, int argc, char **argv)
{
	struct each x = {.c = c, .act = act_unpause, .order = EACH_AT_ONCE};
	const struct flag flags[] = {{0}};
	const struct syntax s = {
		"compose unpause", "[SERVICE...]", "Unpause services", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	return status >= 0 ? status : run(&x, "Running", argc, argv);
}
