/* device/rule.h - what a label wherry.device.NAME asks for: which devices, under what name, and
 * what happens when they come and go. Pure. The words are in doc/devices.md.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/scoped.h"
#include "base/strv.h"

struct device;

#define DEVICE_LABEL "wherry.device."
#define DEVICE_RULES_MAX 64 /* of one container */
#define DEVICE_RULE_BYTES_MAX 4096

enum device_on_change {
	DEVICE_ON_CHANGE_NONE,
	DEVICE_ON_CHANGE_SIGNAL,
	DEVICE_ON_CHANGE_RESTART,
	DEVICE_ON_CHANGE_EXEC
};

struct device_rule {
	char *name;
	/* Which: all that are given must hold; NULL or 0: not given. At least one is. */
	char *usb;        /* "0403:6001" or "0403:6001:A1B2" */
	unsigned classes; /* of device.h; one of them */
	char *serial;     /* ID_SERIAL_SHORT or ID_SERIAL */
	char *port;       /* ID_PATH, the USB port ("1-1.2"), or the end of the path in sysfs */
	char *path;       /* node or link; *, ? and [] match within a name */
	/* How it appears. */
	char *as; /* "/dev/zigbee", "/dev/serial/" (a directory), or NULL: the node's name */
	char permissions[4]; /* of r, w, m */
	int64_t uid, gid;    /* -1: the node's own */
	int mode;            /* -1: the node's own */
	bool required;
	enum device_on_change on_change;
	int signal;       /* of DEVICE_ON_CHANGE_SIGNAL */
	struct strv exec; /* of DEVICE_ON_CHANGE_EXEC */
};

/* text: a JSON object, or "key=value,key=value" with a first word that may stand alone. NULL with
 * ERR_INVALID, whose sentence begins with the label's name. */
struct device_rule *device_rule_parse(const char *name, const char *text, struct err *e);
struct device_rule *device_rule_from_json(const char *name, const json_t *doc, struct err *e);
void device_rule_free(struct device_rule *r); /* NULL is fine */
SCOPED(struct device_rule *, device_rule_free)

/* The rules of an object of labels, in the order of their names, for strv-like use: *ret gets an
 * array of *ret_n, each the caller's (device_rules_free). */
int device_rules_read(
	const json_t *labels, struct device_rule ***ret, size_t *ret_n, struct err *e);
void device_rules_free(struct device_rule **rules, size_t n);

/* The raw node of a USB device (/dev/bus/usb/001/004) is meant only by class "usb" or by its path.
 */
bool device_rule_matches(const struct device_rule *r, const struct device *d);
/* A name in the container for a device that matches: one for the whole rule, or for each device
 * its own (device_rule_is_many). The caller's. */
char *device_rule_target(const struct device_rule *r, const struct device *d);
/* Whether udevd's links of the device appear beside it: under a name of the rule's own it has that
 * one alone. */
bool device_rule_has_links(const struct device_rule *r);
/* Whether all that match appear, each under its own name; else one at a time under as. */
bool device_rule_is_many(const struct device_rule *r);
