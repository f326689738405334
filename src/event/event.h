/* event/event.h - what happened to which object, told to whoever listens (GET /events, waits,
 * restarts).
 *
 * Publishing calls the listeners before it returns, in order of subscription; a listener may
 * unsubscribe itself or others, and may publish. The last EVENT_HISTORY events are kept for ?since.
 * Shape: Docker API v1.45 SystemEvents.
 */
#pragma once
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#define EVENT_HISTORY 256

struct event {
	const char *type;   /* "container", "image", "network", "volume", "builder", "daemon" */
	const char *action; /* "start", "die", "exec_create: ls" */
	const char *id;
	json_t *attributes; /* object of strings; never NULL */
	int64_t time_ns;
};

struct event_bus;
struct event_listener;
typedef void event_fn(void *owner, const struct event *event); /* everything in it is borrowed */

struct event_bus *event_bus_new(void);
void event_bus_free(struct event_bus *b);
uint64_t event_count(const struct event_bus *b); /* published so far */
struct event_listener *event_listen(struct event_bus *b, event_fn *fn, void *owner);
size_t event_listeners(const struct event_bus *b); /* how many there are */
void event_unlisten(struct event_listener *l);     /* NULL is fine; no call after this returns */

void event_publish(struct event_bus *b, const char *type, const char *action, const char *id,
	json_t *take_attributes); /* NULL: none */
/* Calls fn for kept events with since_ns <= time_ns <= until_ns, oldest first. */
void event_replay(
	struct event_bus *b, int64_t since_ns, int64_t until_ns, event_fn *fn, void *owner);
