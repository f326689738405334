/* device/look.h - what sysfs, /dev and udevd's database say of a device node.
 *
 * Used by the daemon for the one device a message names, and by the worker for all there are. A
 * message of udevd only says where to look: root in a container with the host's network and
 * CAP_NET_ADMIN could forge one, and a device believed from it would be anything it likes.
 * Only links, small files of tmpfs and attributes that take no lock are read, but for
 * LOOK_MAY_BLOCK.
 * udevd's database: /run/udev/data/{c,b}MAJOR:MINOR, lines "S:link", "E:KEY=VALUE" (systemd
 * src/libsystemd/sd-device/device-private.c).
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "device/device.h"

#define LOOK_MAY_BLOCK (1u << 0) /* the serial number of a USB device waits while it is reset */
#define LOOK_UDEV (1u << 1)      /* udevd runs: what it has not been done with yet is not there */

struct device_roots {
	const char *sys;  /* "/sys" */
	const char *dev;  /* "/dev" */
	const char *udev; /* "/run/udev" */
	const char *proc; /* "/proc", or NULL: no disk is the system's */
};
extern const struct device_roots device_roots_host;

bool device_udev_runs(const struct device_roots *r);
/* sysfs: "/devices/..."; node: what a message calls it ("/dev/ttyUSB0"), checked, or NULL to ask
 * sysfs, which may wait for a driver. NULL when it has no node, is of a kind nobody gives to a
 * container (virtual consoles), or is not there. */
struct device *device_look(
	const struct device_roots *r, const char *sysfs, const char *node, unsigned flags);
/* All there are, each given to fn (which owns it). -errno. */
typedef void device_found_fn(void *owner, struct device *take_device);
int device_look_all(const struct device_roots *r, unsigned flags, device_found_fn *fn, void *owner);
/* The same of block devices only. */
int device_look_blocks(
	const struct device_roots *r, unsigned flags, device_found_fn *fn, void *owner);
