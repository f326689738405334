/* codec/uevent.h - what the kernel and udevd say of devices that come and go. Pure.
 *
 * Kernel form: lib/kobject_uevent.c, "add@/devices/...\0" and KEY=VALUE strings, each ended by NUL.
 * udevd form: systemd src/libsystemd/sd-device/device-monitor.c, struct monitor_netlink_header
 * ("libudev\0", 0xfeedcafe, offsets, filter words), then the same strings. Both come over
 * NETLINK_KOBJECT_UEVENT (sys/uevent.h).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define UEVENT_BYTES_MAX (16u << 10) /* udevd's may be 8 KiB and more, the kernel's 2 KiB */

struct uevent {
	bool from_udev;
	/* All borrowed from the bytes parsed; "" when the message does not have it. */
	const char *action;  /* "add", "remove", "change", "move", "bind" ...; never "" */
	const char *devpath; /* "/devices/..." below /sys; never "" */
	const char *subsystem;
	const char *properties; /* KEY=VALUE, each with its NUL */
	size_t properties_bytes;
};

/* ERR_INVALID for bytes that are neither form. data lives as long as *ret is used. */
int uevent_parse(const void *data, size_t n, struct uevent *ret, struct err *e);
/* The value of a property, borrowed; "" when there is none. */
const char *uevent_get(const struct uevent *u, const char *key);
/* Walks the properties: start with *pos = 0; "KEY=VALUE", borrowed, or NULL at the end. */
const char *uevent_next(const struct uevent *u, size_t *pos);
/* Appends the properties with another node and other links, a list with spaces between, or "". */
void uevent_rename(const struct uevent *u, const char *node, const char *links, struct buf *ret);
/* Appends udevd's form of these properties (KEY=VALUE, each with its NUL), with the words that
 * libudev's filters look at. */
void uevent_write(const char *properties, size_t n, struct buf *ret);
