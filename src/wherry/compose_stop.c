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
	if (compose_pre_stop(c, id, name, e) < 0 ||
		(compose_act(c, "POST", "/containers/", id, suffix, e) < 0 &&
			e->kind != ERR_NOT_FOUND)) {
		compose_progress_say(c->progress, "Container", name, "Error");
		return -1;
	}
	compose_progress_say(c->progress, "Container", name, "Stopped");
	return 0;
}

struct stopping {
	const struct compose_target *targets;
	int timeout_s;
};

static int stop_one(struct compose *c, void *owner, size_t i, struct err *e)
{
	const struct stopping *s = owner;
	return compose_stop_container(c, s->targets[i].id, s->targets[i].name, s->timeout_s, e);
}

int compose_stop_containers(struct compose *c, const struct compose_target *targets, size_t n,
	int timeout_s, struct err *e)
{
	struct stopping s = {targets, timeout_s};
	return compose_parallel(c, n, stop_one, &s, e);
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
