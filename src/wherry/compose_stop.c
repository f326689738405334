/* Stopping: several containers at once, level by level. */
#include <string.h>

#include "base/mem.h"
#include "wherry/compose_make.h"
#include "wherry/engine.h"

int compose_stop_container(
	struct compose *c, const char *id, const char *name, int timeout_s, struct err *e)
{
	char suffix[32] = "/stop";
	if (timeout_s >= 0) {
		snprintf(suffix, sizeof(suffix), "/stop?t=%d", timeout_s);
	}
	compose_progress_say(c->progress, "Container", name, "Stopping");
	if (compose_act(c, "POST", "/containers/", id, suffix, e) < 0 && e->kind != ERR_NOT_FOUND) {
		compose_progress_say(c->progress, "Container", name, "Error");
		return -1;
	}
	compose_progress_say(c->progress, "Container", name, "Stopped");
	return 0;
}

struct stopping {
	struct compose c; /* a copy with a connection of its own */
	struct cli cli;
	const struct compose_target *target;
	pthread_t thread;
	int timeout_s, result;
	bool started;
	struct err e;
};

static void *run_stop(void *owner)
{
	struct stopping *s = owner;
	s->cli.http = engine_connect(&s->cli, &s->e);
	s->result = s->cli.http ? compose_stop_container(&s->c, s->target->id, s->target->name,
					  s->timeout_s, &s->e)
				: -1;
	http_client_free(s->cli.http);
	return NULL;
}

int compose_stop_containers(struct compose *c, const struct compose_target *targets, size_t n,
	int timeout_s, struct err *e)
{
	if (n == 1) {
		return compose_stop_container(c, targets[0].id, targets[0].name, timeout_s, e);
	}
	scoped(free) struct stopping *all = xnew_array(struct stopping, n + 1);
	int result = 0;
	for (size_t i = 0; i < n; i++) {
		all[i] = (struct stopping){
			.c = *c, .cli = *c->cli, .target = &targets[i], .timeout_s = timeout_s};
		all[i].c.cli = &all[i].cli;
		all[i].started = compose_thread(run_stop, &all[i], &all[i].thread, &all[i].e) == 0;
		all[i].result = all[i].started ? 0 : -1;
	}
	for (size_t i = 0; i < n; i++) {
		if (all[i].started) {
			pthread_join(all[i].thread, NULL);
		}
		if (all[i].result < 0) {
			*e = all[i].e;
			result = -1;
		}
	}
	return result;
}

int compose_stop_levels(struct compose *c, const struct compose_state *s, compose_wanted_fn *wanted,
	const void *owner, int timeout_s, struct err *e)
{
	size_t n = s->s.n_containers;
	scoped(free) size_t *order = xnew_array(size_t, n + 1);
	scoped(free) size_t *levels = xnew_array(size_t, n + 1);
	scoped(free) struct compose_target *targets = xnew_array(struct compose_target, n + 1);
	size_t waiting = 0;
	plan_stop_order(&s->s, order, levels);
	for (size_t i = 0; i < n; i++) {
		const struct state_container *container = &s->s.containers[order[i]];
		if (!container->one_off && compose_is_running(container) &&
			(!wanted || wanted(owner, container))) {
			targets[waiting++] =
				(struct compose_target){container->id, container->name};
		}
		bool last = i + 1 == n || levels[i + 1] != levels[i];
		if (last && waiting > 0 &&
			compose_stop_containers(c, targets, waiting, timeout_s, e) < 0) {
			return -1;
		}
		waiting = last ? 0 : waiting;
	}
	return 0;
}
