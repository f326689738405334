/* Invariants
 * 1. Nodes are the keys: no two devices have the same one.
 * 2. The table is as it will be before a listener is called.
 */
#include "device/set.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"

struct device_set {
	struct map *by_node;
	struct list listeners;
	bool ready;
	bool full; /* told once */
};

struct device_listener {
	struct list node;
	struct list left; /* of those that a call is still to be made to */
	device_event_fn *fn;
	void *owner;
};

struct device_set *device_set_new(void)
{
	struct device_set *s = xnew(struct device_set);
	s->by_node = map_new();
	list_init(&s->listeners);
	return s;
}

void device_set_free(struct device_set *s)
{
	if (!s) {
		return;
	}
	map_each (s->by_node, struct device, d) {
		device_free(d);
	}
	map_free(s->by_node);
	list_each_safe (l, &s->listeners) {
		device_unlisten(container_of(l, struct device_listener, node));
	}
	free(s);
}

bool device_set_ready(const struct device_set *s)
{
	return s->ready;
}

size_t device_set_count(const struct device_set *s)
{
	return map_count(s->by_node);
}

const struct device *device_set_next(const struct device_set *s, size_t *pos)
{
	return map_next(s->by_node, pos, NULL);
}

const struct device *device_set_find(const struct device_set *s, const char *path)
{
	const struct device *d = map_get(s->by_node, path);
	size_t pos = 0;
	while (!d && (d = device_set_next(s, &pos)) && !device_has_link(d, path)) {
		d = NULL;
	}
	return d;
}

struct device_listener *device_listen(struct device_set *s, device_event_fn *fn, void *owner)
{
	struct device_listener *l = xnew(struct device_listener);
	l->fn = fn;
	l->owner = owner;
	list_init(&l->left);
	list_append(&s->listeners, &l->node);
	return l;
}

void device_unlisten(struct device_listener *l)
{
	if (l) {
		list_remove(&l->node);
		list_remove(&l->left);
		free(l);
	}
}

/* A listener may unlisten any: those that are left are in a list of their own meanwhile. */
static void tell(struct device_set *s, const struct device_event *event)
{
	struct list left = LIST_INIT(left);
	list_each (n, &s->listeners) {
		struct device_listener *l = container_of(n, struct device_listener, node);
		list_append(&left, &l->left);
	}
	while (!list_empty(&left)) {
		struct device_listener *l = container_of(left.next, struct device_listener, left);
		list_remove(&l->left);
		l->fn(l->owner, event);
	}
}

static void take_out(
	struct device_set *s, struct device *take_device, const void *message, size_t n)
{
	scoped(device_free) struct device *d = take_device;
	map_remove(s->by_node, d->node);
	const struct device_event event = {DEVICE_REMOVED, d, message, n};
	tell(s, &event);
}

static void put_new(struct device_set *s, struct device *take_device, const void *message, size_t n)
{
	if (map_count(s->by_node) >= DEVICES_KNOWN_MAX) {
		if (!s->full) {
			log_warning("device", "too_many", "kept", LOG_N(DEVICES_KNOWN_MAX), NULL);
		}
		s->full = true;
		device_free(take_device);
		return;
	}
	map_put(s->by_node, take_device->node, take_device);
	const struct device_event event = {DEVICE_ADDED, take_device, message, n};
	tell(s, &event);
}

void device_set_put(
	struct device_set *s, struct device *take_device, const void *message, size_t message_bytes)
{
	struct device *old = map_get(s->by_node, take_device->node);
	if (!old || !device_same_node(old, take_device)) {
		if (old) {
			take_out(s, old, NULL, 0);
		}
		put_new(s, take_device, message, message_bytes);
	} else if (device_equal(old, take_device)) {
		device_free(take_device);
	} else {
		map_put(s->by_node, take_device->node, take_device);
		device_free(old);
		const struct device_event event = {
			DEVICE_CHANGED, take_device, message, message_bytes};
		tell(s, &event);
	}
}

void device_set_remove(
	struct device_set *s, const char *sysfs, const void *message, size_t message_bytes)
{
	map_each (s->by_node, struct device, d) {
		if (strcmp(d->sysfs, sysfs) == 0) {
			take_out(s, d, message, message_bytes);
			return;
		}
	}
}

static void remove_unlisted(struct device_set *s, struct device *const *devices, size_t n)
{
	struct map *there = map_new();
	for (size_t i = 0; i < n; i++) {
		map_put(there, devices[i]->node, devices[i]);
	}
	map_each (s->by_node, struct device, d) {
		if (!map_get(there, d->node)) {
			take_out(s, d, NULL, 0);
		}
	}
	map_free(there);
}

void device_set_replace(struct device_set *s, struct device **take_devices, size_t n)
{
	remove_unlisted(s, take_devices, n);
	for (size_t i = 0; i < n; i++) {
		device_set_put(s, take_devices[i], NULL, 0);
	}
	s->ready = true;
	const struct device_event event = {.change = DEVICE_SCANNED};
	tell(s, &event);
}
