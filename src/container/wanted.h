/* container/wanted.h - the devices that a container asks for: --device and labels
 * wherry.device.NAME.
 *
 * Both kinds are hot. What they match comes and goes with the host's devices (device/set.h) while
 * the container runs; plug.h carries it out. Pure.
 *
 * By what a --device is recognised when it comes back:
 *   a link of udevd's (by-id, by-path)   by that link
 *   a directory                          everything that is in it
 *   a plain node, another link           by the identity of the device that was there first: its
 *                                        by-id link when it has a serial number, else its port
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strv.h"

struct device;
struct device_rule;

struct wanted {
	char *key;                /* name of its label, or host path: what events call it */
	struct device_rule *rule; /* of its label; NULL: a --device */
	/* of a --device: HOST:CONTAINER:PERMISSIONS, nothing left out */
	char *host, *inside, *access;
	bool required; /* nothing starts without it */
};

struct wanted_list {
	struct wanted *v;
	size_t n;
};

/* Of Config and HostConfig; labels in image_labels, which the image gave, ask for nothing. A
 * privileged container has all devices that there are at its start: of it only labels count.
 * ERR_INVALID names the label. *ret is empty on failure. */
int wanted_read(const json_t *config, const json_t *host_config, const struct strv *image_labels,
	struct wanted_list *ret, struct err *e);
void wanted_deinit(struct wanted_list *l);

struct wanted_place {
	char *path; /* in the container; the caller's */
	bool many;  /* others that match may appear beside it; else one at a time */
};
/* Whether d is meant, and where it appears. identity: of the device that was there first
 * (wanted_identity), or "". */
bool wanted_find_place(const struct wanted *w, const struct device *d, const char *identity,
	struct wanted_place *ret);
/* What one of udevd's links of d is to say in the container, "../../ttyUSB0", beside the node that
 * wanted_find_place found; the caller's. NULL: it is not to be there. */
char *wanted_link(const struct wanted *w, const struct device *d, const char *link);
/* What a --device of a plain node is recognised by, now that d is there: "link:/dev/...",
 * "port:pci-..."; "": by its path. The caller's. */
char *wanted_identity(const struct wanted *w, const struct device *d);
