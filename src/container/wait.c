/* POST /containers/x/wait: somebody wants to know how it ends. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "container/internal.h"

enum wait_for { WAIT_NOT_RUNNING, WAIT_NEXT_EXIT, WAIT_REMOVED };

struct container_wait {
	struct list node;
	struct container *container; /* NULL once it is settled */
	enum wait_for what;
	container_wait_fn *fn;
	void *owner;
	struct delay *delay; /* runs when it is settled */
	int exit_code;
	const char *error;
};

static int parse_condition(const char *text, enum wait_for *ret, struct err *e)
{
	static const char *const words[] = {"not-running", "next-exit", "removed"};
	if (!text || !*text) {
		*ret = WAIT_NOT_RUNNING;
		return 0;
	}
	for (int i = 0; i < 3; i++) {
		if (strcmp(text, words[i]) == 0) {
			*ret = (enum wait_for)i;
			return 0;
		}
	}
	return err_set(e, ERR_INVALID, "invalid condition: \"%.32s\"", text);
}

static void fire(void *owner)
{
	struct container_wait *w = owner;
	w->delay = NULL;
	w->fn(w->owner, w->exit_code, w->error);
	free(w);
}

static void settle(struct container_wait *w, int exit_code)
{
	struct container *c = w->container;
	w->container = NULL;
	w->exit_code = exit_code;
	list_remove(&w->node);
	w->delay = delay_start(c->set->d.loop, 0, fire, w);
}

struct container_wait *container_wait(struct container *c, const char *condition,
	container_wait_fn *fn, void *owner, struct err *e)
{
	enum wait_for what;
	if (parse_condition(condition, &what, e) < 0) {
		return NULL;
	}
	struct container_wait *w = xnew(struct container_wait);
	w->container = c;
	w->what = what;
	w->fn = fn;
	w->owner = owner;
	list_append(&c->waits, &w->node);
	bool runs = container_is_running(c) || c->state == CONTAINER_STARTING ||
		    c->state == CONTAINER_RESTARTING;
	if (what == WAIT_NOT_RUNNING && !runs) {
		settle(w, c->exit_code);
	}
	return w;
}

void container_wait_cancel(struct container_wait *w)
{
	list_remove(&w->node);
	delay_cancel(w->delay);
	free(w);
}

/* Also a container that its policy starts again has ended, for those who wait for "not-running": as
 * moby container/state.go SetRestarting. */
void waits_fire(struct container *c, bool died, bool removed)
{
	list_each_safe (pos, &c->waits) {
		struct container_wait *w = container_of(pos, struct container_wait, node);
		if (removed || (died && w->what != WAIT_REMOVED)) {
			settle(w, c->exit_code);
		}
	}
}

void waits_free(struct container *c)
{
	list_each_safe (pos, &c->waits) {
		free(container_of(pos, struct container_wait, node));
	}
	list_init(&c->waits);
}
