/* Disks of containers as people see them: events, inspect, ps, and who uses a device. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/storage.h"
#include "device/device.h"

/* What became of mounting this one; NULL: nothing yet, or under an earlier daemon. */
static const struct storage_attempt *attempt_of(const struct container *c, const char *id)
{
	const struct storage_attempts *t = storage_attempts_of(c->set);
	for (const struct storage_attempt *a = NULL; t && (a = storage_attempts_next(t, a));) {
		if (strcmp(json_str(a->disk, "id"), id) == 0) {
			return a;
		}
	}
	return NULL;
}

static bool attempt_is_for(const struct storage_use *u, const struct storage_attempt *a)
{
	return storage_rule_matches(u->rule, json_str(a->disk, "label"), json_str(a->disk, "uuid"),
		json_str(a->disk, "fstype"), json_bool(a->disk, "comes_and_goes"));
}

static bool is_degraded(const struct storage_use *u, const json_t *disk)
{
	return json_bool(disk, "read_only") && !u->rule->read_only;
}

/* Why it is less than what was asked for; borrowed, "" when it is not or nobody knows. */
static const char *reason_of(
	const struct container *c, const struct storage_use *u, const json_t *disk)
{
	const struct storage_attempt *a = attempt_of(c, json_str(disk, "id"));
	return is_degraded(u, disk) ? (a ? a->reason : "it is mounted read-only") : "";
}

/* Of what could be at this place, and could not be mounted; or NULL. */
static const struct storage_attempt *failure_of(
	const struct container *c, const struct storage_use *u)
{
	const struct storage_attempts *t = storage_attempts_of(c->set);
	for (const struct storage_attempt *a = NULL; t && (a = storage_attempts_next(t, a));) {
		if (a->failures > 0 && a->state != STORAGE_ATTEMPT_ENDED && attempt_is_for(u, a)) {
			return a;
		}
	}
	return NULL;
}

static char *path_of(const struct storage_use *u, const json_t *disk)
{
	const char *name = json_str(disk, "name");
	return xasprintf("%s%s%s", u->rule->at, *name ? "/" : "", name);
}

/* --- events --- */

static void tell(struct container *c, const struct storage_use *u, const json_t *disk,
	const char *action, const char *reason)
{
	scoped(free) char *path = path_of(u, disk);
	json_t *attributes = json_pack("{ss ss ss ss ss}", "storage", u->rule->name, "path", path,
		"device", json_str(disk, "node"), "label", json_str(disk, "label"), "uuid",
		json_str(disk, "uuid"));
	if (*reason) {
		json_put_str(attributes, "reason", reason);
	}
	container_event(c, action, attributes);
}

void storage_tell_change(
	struct container *c, const struct storage_use *u, const json_t *disk, bool added)
{
	scoped(free) char *path = path_of(u, disk);
	log_info("container", added ? "storage_added" : "storage_removed", "id", c->id, "path",
		path, "device", json_str(disk, "node"), NULL);
	tell(c, u, disk, added ? "storage_add" : "storage_remove",
		added ? reason_of(c, u, disk) : "");
}

void storage_tell_failure(struct container_set *s, const struct storage_attempt *a)
{
	map_each (s->by_id, struct container, c) {
		for (size_t i = 0; storage_is_wanted(c) && i < c->storage->n; i++) {
			if (attempt_is_for(&c->storage->uses[i], a)) {
				tell(c, &c->storage->uses[i], a->disk, "storage_failed", a->reason);
			}
		}
	}
}

/* --- what is missing --- */

char *storage_missing(const struct container *c)
{
	for (size_t i = 0; c->storage && i < c->storage->n; i++) {
		const struct storage_use *u = &c->storage->uses[i];
		if (!u->rule->required || json_array_size(u->disks) > 0) {
			continue;
		}
		const struct storage_attempt *failure = failure_of(c, u);
		scoped(free) char *words = storage_rule_words(u->rule);
		return failure ? xasprintf("%s (%s)", words, failure->reason) : TAKE(words);
	}
	return NULL;
}

/* --- inspect --- */

void storage_put_mounts(const struct container *c, json_t *list)
{
	for (size_t i = 0; c->storage && i < c->storage->n; i++) {
		const struct storage_use *u = &c->storage->uses[i];
		scoped(free) char *place = storage_place(c, u);
		json_array_append_new(
			list, json_pack("{ss ss ss ss sb ss}", "Type", "bind", "Source", place,
				      "Destination", u->rule->at, "Mode", "", "RW",
				      !u->rule->read_only, "Propagation", "rslave"));
	}
}

static json_t *disk_view(const struct container *c, const struct storage_use *u, const json_t *disk)
{
	scoped(free) char *path = path_of(u, disk);
	return json_pack("{ss ss ss ss ss sb ss}", "Device", json_str(disk, "node"), "Path", path,
		"Label", json_str(disk, "label"), "UUID", json_str(disk, "uuid"), "Filesystem",
		json_str(disk, "fstype"), "ReadOnly", json_bool(disk, "read_only"), "Reason",
		reason_of(c, u, disk));
}

/* "mounted"; "degraded": read-only against what was asked for; "failed"; "waiting". */
static const char *state_of(
	const struct container *c, const struct storage_use *u, const char **ret_reason)
{
	size_t i;
	json_t *disk;
	*ret_reason = "";
	json_array_foreach (u->disks, i, disk) {
		if (is_degraded(u, disk)) {
			*ret_reason = reason_of(c, u, disk);
			return "degraded";
		}
	}
	const struct storage_attempt *failure = failure_of(c, u);
	if (failure) {
		*ret_reason = failure->reason;
	}
	return json_array_size(u->disks) > 0 ? "mounted" : failure ? "failed" : "waiting";
}

json_t *storage_inspect(const struct container *c)
{
	json_t *list = json_array();
	for (size_t i = 0; storage_is_wanted(c) && i < c->storage->n; i++) {
		const struct storage_use *u = &c->storage->uses[i];
		const char *reason;
		const char *state = state_of(c, u, &reason);
		json_t *disks = json_array();
		size_t k;
		json_t *disk;
		json_array_foreach (u->disks, k, disk) {
			json_array_append_new(disks, disk_view(c, u, disk));
		}
		json_array_append_new(list,
			json_pack("{ss ss ss ss so}", "Name", u->rule->name, "Path", u->rule->at,
				"State", state, "Reason", reason, "Disks", disks));
	}
	return list;
}

/* --- who uses a device --- */

static const json_t *disk_at(const struct storage_use *u, const char *node)
{
	size_t i;
	json_t *disk;
	json_array_foreach (u->disks, i, disk) {
		if (strcmp(json_str(disk, "node"), node) == 0) {
			return disk;
		}
	}
	return NULL;
}

static const struct storage_attempt *attempt_at(
	const struct container *c, const struct storage_use *u, const char *node)
{
	const struct storage_attempts *t = storage_attempts_of(c->set);
	for (const struct storage_attempt *a = NULL; t && (a = storage_attempts_next(t, a));) {
		if (strcmp(json_str(a->disk, "node"), node) == 0 && attempt_is_for(u, a)) {
			return a;
		}
	}
	return NULL;
}

/* Without udevd the device set does not know what is on a disk, but the job has told. */
static bool means(const struct container *c, const struct storage_use *u, const struct device *d)
{
	return disk_at(u, d->node) || attempt_at(c, u, d->node) ||
	       (!d->system && storage_rule_matches(u->rule, d->label, d->uuid, d->fstype,
				      d->classes & DEVICE_STORAGE));
}

static json_t *use_view(
	const struct container *c, const struct storage_use *u, const struct device *d)
{
	const json_t *disk = storage_is_wanted(c) ? disk_at(u, d->node) : NULL;
	const struct storage_attempt *a = storage_is_wanted(c) ? attempt_at(c, u, d->node) : NULL;
	const char *state = !storage_is_wanted(c)  ? ""
			    : disk                 ? (is_degraded(u, disk) ? "degraded" : "mounted")
			    : a && a->failures > 0 ? "failed"
						   : "waiting";
	const char *reason = disk ? reason_of(c, u, disk) : a ? a->reason : "";
	scoped(free) char *path = path_of(u, disk);
	return json_pack("{ss ss ss ss sb ss ss}", "container", c->id, "name", c->name, "rule",
		u->rule->name, "path", path, "has", disk != NULL && container_is_running(c),
		"state", state, "reason", reason);
}

void storage_put_uses(const struct container *c, const struct device *d, json_t *uses)
{
	for (size_t i = 0; d->type == 'b' && c->storage && i < c->storage->n; i++) {
		if (means(c, &c->storage->uses[i], d)) {
			json_array_append_new(uses, use_view(c, &c->storage->uses[i], d));
		}
	}
}
