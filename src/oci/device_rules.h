/* oci/device_rules.h - which devices a container may open and make: linux.resources.devices.
 *
 * Pure. The list is whole at all times: a container that gets a device while it runs has the same
 * rules as one that was started with it. OCI runtime-spec config-linux.md "Allowed Device list";
 * kernel Documentation/admin-guide/cgroup-v1/devices.rst.
 */
#pragma once
#include <jansson.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strv.h"
#include "oci/spec.h"

/* Of a container that is not privileged: what every one has, its devices, and own, a list of
 * "c 188:* rwm" (may be NULL). *ret is new. ERR_INVALID for a rule of own. */
int oci_device_rules(
	const struct oci_device *v, size_t n, const json_t *own, json_t **ret, struct err *e);

/* cgroup v1: the lines for devices.deny and devices.allow by which a group whose devices.list is
 * list comes to have exactly these rules; appended. What stays is not taken away for a moment, as
 * writing the list anew would. A group that may do everything is left so: no lines. ERR_INVALID
 * when list is not what the kernel writes. */
int oci_device_rules_change(const char *list, const json_t *rules, struct strv *ret_deny,
	struct strv *ret_allow, struct err *e);
