/* device/set.h - the device nodes that the machine has, and who is told when one comes or goes.
 *
 * Kept true by monitor.h. A device is known by its node; one that comes back under the same node
 * as something else is told as removed and added.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "device/device.h"

#define DEVICES_KNOWN_MAX 4096

struct device_set;
struct device_listener;

enum device_change {
	DEVICE_ADDED,
	DEVICE_CHANGED, /* other links, owner, file system ... of the same node */
	DEVICE_REMOVED,
	DEVICE_SCANNED, /* a look at all of them has ended: what it found was told before */
};

struct device_event {
	enum device_change change;
	const struct device *device; /* borrowed, gone after the call; NULL: DEVICE_SCANNED */
	/* udevd's message, for passing on as it is; NULL when there was none (a scan): then
	 * device_properties and uevent_write make one. */
	const void *message;
	size_t message_bytes;
};

/* The table says what is so after the event already. The call may not change the table; it may
 * unlisten itself and others. */
typedef void device_event_fn(void *owner, const struct device_event *event);

struct device_set *device_set_new(void);
void device_set_free(struct device_set *s); /* NULL is fine */

bool device_set_ready(const struct device_set *s); /* a first scan has ended */
size_t device_set_count(const struct device_set *s);
/* By node or by one of its links; NULL: none. Borrowed until the next change. */
const struct device *device_set_find(const struct device_set *s, const char *path);
/* All, in the order they came: start with *pos = 0; NULL at the end. */
const struct device *device_set_next(const struct device_set *s, size_t *pos);

struct device_listener *device_listen(struct device_set *s, device_event_fn *fn, void *owner);
void device_unlisten(struct device_listener *l); /* NULL is fine */

/* For the monitor, and for tests. Nothing is told of a device that is as it was. */
void device_set_put(struct device_set *s, struct device *take_device, const void *message,
	size_t message_bytes);
/* The device at this path in sysfs is gone. */
void device_set_remove(
	struct device_set *s, const char *sysfs, const void *message, size_t message_bytes);
/* A scan's list: what is not in it is gone. The array stays the caller's, what is in it does not.
 */
void device_set_replace(struct device_set *s, struct device **take_devices, size_t n);
