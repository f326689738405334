#include "event/event.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"

struct event_listener {
	struct list node;
	event_fn *fn; /* NULL: unsubscribed while a publication walks the list */
	void *owner;
	struct event_bus *bus;
};

struct event_bus {
	struct list listeners;
	struct event history[EVENT_HISTORY]; /* a ring; its strings are owned */
	size_t next;
	uint64_t count;
	unsigned publishing; /* nesting depth: dead listeners are freed when it returns to 0 */
};

struct event_bus *event_bus_new(void)
{
	struct event_bus *b = xnew(struct event_bus);
	list_init(&b->listeners);
	return b;
}

static void event_deinit(struct event *v)
{
	free((char *)v->type);
	free((char *)v->action);
	free((char *)v->id);
	json_decref(v->attributes);
	*v = (struct event){0};
}

void event_bus_free(struct event_bus *b)
{
	if (!b) {
		return;
	}
	list_each_safe (pos, &b->listeners) {
		free(container_of(pos, struct event_listener, node));
	}
	for (size_t i = 0; i < EVENT_HISTORY; i++) {
		event_deinit(&b->history[i]);
	}
	free(b);
}

uint64_t event_count(const struct event_bus *b)
{
	return b->count;
}

struct event_listener *event_listen(struct event_bus *b, event_fn *fn, void *owner)
{
	struct event_listener *l = xnew(struct event_listener);
	l->fn = fn;
	l->owner = owner;
	l->bus = b;
	list_append(&b->listeners, &l->node);
	return l;
}

void event_unlisten(struct event_listener *l)
{
	if (!l) {
		return;
	}
	if (l->bus->publishing > 0) {
		l->fn = NULL;
		return;
	}
	list_remove(&l->node);
	free(l);
}

size_t event_listeners(const struct event_bus *b)
{
	size_t n = 0;
	list_each (pos, &b->listeners) {
		n += container_of(pos, struct event_listener, node)->fn != NULL;
	}
	return n;
}

static void remove_dead(struct event_bus *b)
{
	list_each_safe (pos, &b->listeners) {
		struct event_listener *l = container_of(pos, struct event_listener, node);
		if (!l->fn) {
			list_remove(pos);
			free(l);
		}
	}
}

void event_publish(struct event_bus *b, const char *type, const char *action, const char *id,
	json_t *take_attributes)
{
	struct event v = {
		.type = xstrdup(type),
		.action = xstrdup(action),
		.id = xstrdup(id),
		.attributes = take_attributes ? take_attributes : json_object(),
		.time_ns = clock_real_ns(),
	};
	event_deinit(&b->history[b->next]);
	b->history[b->next] = v;
	b->next = (b->next + 1) % EVENT_HISTORY;
	b->count++;

	/* A listener may publish, and a storm of those may overwrite the slot: keep what this call
	 * needs alive. */
	scoped(free) char *own_type = xstrdup(type);
	scoped(free) char *own_action = xstrdup(action);
	scoped(free) char *own_id = xstrdup(id);
	scoped(json) json_t *attributes = json_incref(v.attributes);
	struct event told = {own_type, own_action, own_id, attributes, v.time_ns};

	b->publishing++;
	list_each (pos, &b->listeners) {
		struct event_listener *l = container_of(pos, struct event_listener, node);
		if (l->fn) {
			l->fn(l->owner, &told);
		}
	}
	if (--b->publishing == 0) {
		remove_dead(b);
	}
}

void event_replay(
	struct event_bus *b, int64_t since_ns, int64_t until_ns, event_fn *fn, void *owner)
{
	for (size_t i = 0; i < EVENT_HISTORY; i++) {
		const struct event *v = &b->history[(b->next + i) % EVENT_HISTORY];
		if (v->type && v->time_ns >= since_ns && v->time_ns <= until_ns) {
			fn(owner, v);
		}
	}
}
