/* Limits and restart policy of a container that exists, perhaps runs. moby daemon/update.go,
 * container/container_unix.go UpdateContainer. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "container/internal.h"
#include "job/job.h"

static const char *const numbers[] = {"BlkioWeight", "CpuShares", "NanoCpus", "CpuPeriod",
	"CpuQuota", "Memory", "MemorySwap", "MemoryReservation"};
static const char *const texts[] = {"CpusetCpus", "CpusetMems"};
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* --- what is asked for --- */

static int read_policy(const json_t *asked, json_t *changes, struct err *e)
{
	const json_t *p = json_object_get(asked, "RestartPolicy");
	struct restart_policy ignored;
	const char *name;
	int64_t count;
	if (json_get_str(p, "Name", &name, e) < 0 ||
		json_get_i64(p, "MaximumRetryCount", 0, &count, e) < 0 ||
		restart_policy_parse(name ? name : "", count, &ignored, e) < 0) {
		return -1;
	}
	if (name && *name) {
		json_put(changes, "RestartPolicy",
			json_pack("{ss sI}", "Name", name, "MaximumRetryCount", (json_int_t)count));
	}
	return 0;
}

/* Only what is to change: 0 and "" mean that it stays. */
static json_t *pick_changes(const json_t *asked)
{
	json_t *changes = json_object();
	for (size_t i = 0; i < COUNT(numbers); i++) {
		if (json_i64(asked, numbers[i], 0) != 0) {
			json_put(changes, numbers[i],
				json_incref(json_object_get(asked, numbers[i])));
		}
	}
	for (size_t i = 0; i < COUNT(texts); i++) {
		if (*json_str(asked, texts[i])) {
			json_put_str(changes, texts[i], json_str(asked, texts[i]));
		}
	}
	const json_t *pids = json_object_get(asked, "PidsLimit");
	if (json_is_integer(pids)) { /* 0 and below: none, and 0 is recorded */
		json_int_t limit = json_integer_value(pids);
		json_put(changes, "PidsLimit", json_integer(limit > 0 ? limit : 0));
	}
	return changes;
}

int container_update_check(const struct container_set *s, const json_t *body, json_t **ret_changes,
	json_t **ret_warnings, struct err *e)
{
	scoped(json) json_t *asked = container_fields_host(body, e);
	scoped(json) json_t *warnings = json_array();
	if (!asked || limits_check(asked, s->d.cgroups, true, warnings, e) < 0) {
		return -1;
	}
	scoped(json) json_t *changes = pick_changes(asked);
	if (read_policy(asked, changes, e) < 0) {
		return -1;
	}
	*ret_changes = TAKE(changes);
	*ret_warnings = TAKE(warnings);
	return 0;
}

/* --- whether it goes together with what is --- */

static int check_conflicts(const struct container *c, const json_t *changes, struct err *e)
{
	static const struct {
		const char *wanted, *present, *words;
	} pairs[] = {
		{"NanoCpus", "CpuPeriod", "Nano CPUs cannot be updated as CPU Period has already"},
		{"NanoCpus", "CpuQuota", "Nano CPUs cannot be updated as CPU Quota has already"},
		{"CpuPeriod", "NanoCpus", "CPU Period cannot be updated as NanoCPUs has already"},
		{"CpuQuota", "NanoCpus", "CPU Quota cannot be updated as NanoCPUs has already"},
	};
	for (size_t i = 0; i < COUNT(pairs); i++) {
		if (json_i64(changes, pairs[i].wanted, 0) > 0 &&
			json_i64(c->host_config, pairs[i].present, 0) > 0) {
			return err_set(e, ERR_CONFLICT, "Conflicting options: %s been set",
				pairs[i].words);
		}
	}
	if (json_i64(changes, "Memory", 0) > json_i64(c->host_config, "MemorySwap", 0) &&
		json_i64(changes, "MemorySwap", 0) == 0 && json_i64(changes, "Memory", 0) != 0) {
		return err_set(e, ERR_CONFLICT,
			"Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time");
	}
	const char *policy = json_str(json_object_get(changes, "RestartPolicy"), "Name");
	if (*policy && strcmp(policy, "no") != 0 && json_bool(c->host_config, "AutoRemove")) {
		return err_set(e, ERR_CONFLICT,
			"Restart policy cannot be updated because AutoRemove is enabled for the container");
	}
	return 0;
}

/* --- recording --- */

static void read_recorded_policy(struct container *c)
{
	struct err ignored;
	const json_t *p = json_object_get(c->host_config, "RestartPolicy");
	(void)restart_policy_parse(
		json_str(p, "Name"), json_i64(p, "MaximumRetryCount", 0), &c->policy, &ignored);
}

/* host_config may be in use by an answer that is being written: it is replaced, not changed. */
static void put_changes(struct container *c, const json_t *changes)
{
	json_t *fresh = json_copy(c->host_config);
	json_object_update(fresh, (json_t *)changes);
	json_decref(c->host_config);
	c->host_config = fresh;
	read_recorded_policy(c);
}

/* What the keys of changes are now. */
static json_t *present_values(const struct container *c, const json_t *changes)
{
	json_t *old = json_object();
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)changes, key, value) {
		json_put(old, key, json_incref(json_object_get(c->host_config, key)));
	}
	return old;
}

/* --- in the kernel --- */

struct update {
	struct container_set *set;
	char id[ID_LEN + 1];
	json_t *old; /* to be taken back when it fails; NULL: nothing is */
	container_done_fn *done;
	void *owner;
};

static void update_free(struct update *u)
{
	json_decref(u->old);
	free(u);
}

static void failed(const struct container *c, struct err *e)
{
	struct err reason = *e;
	(void)err_set(e, reason.kind, "Cannot update container %s: %.150s", c->id, reason.msg);
}

static void limits_set(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct update *u = owner;
	struct err reason;
	struct container *c = u->set->closing ? NULL : container_find(u->set, u->id, &reason);
	/* one that has ended meanwhile has the new limits the next time */
	bool bad = !result && c && container_is_running(c);
	if (bad) {
		reason = *e;
		log_warning("container", "not_updated", "id", c->id, "reason", reason.msg, NULL);
		failed(c, &reason);
		if (u->old) {
			put_changes(c, u->old);
			container_record_note(c);
		}
	} else if (c && u->old) {
		if (container_is_running(c)) {
			oom_start(c);
		}
		container_event(c, "update", NULL);
	}
	u->done(u->owner, bad ? &reason : NULL);
	update_free(u);
}

/* What of host crun has to be told: with memory always swap, which cgroup v2 counts from it. */
static int resources_of(
	const struct container *c, const json_t *changes, json_t **ret, struct err *e)
{
	scoped(json) json_t *told = json_copy((json_t *)changes);
	if (json_object_get(told, "Memory") || json_object_get(told, "MemorySwap")) {
		json_object_set(told, "Memory", json_object_get(c->host_config, "Memory"));
		json_object_set(told, "MemorySwap", json_object_get(c->host_config, "MemorySwap"));
	}
	return limits_resources(told, ret, e);
}

static int set_limits(struct container *c, const json_t *changes, struct update *u, struct err *e)
{
	static const struct job_handlers handlers = {NULL, NULL, limits_set};
	const struct container_deps *d = &c->set->d;
	scoped(free) char *root = xasprintf("%s/crun", d->exec_root);
	json_t *resources;
	if (resources_of(c, changes, &resources, e) < 0) {
		return -1;
	}
	const json_t *pids = json_object_get(changes, "PidsLimit");
	json_t *request = json_pack("{ss ss ss ss so sb sb}", "crun", runtime_path(c), "crun_root",
		root, "id", c->id, "cgroup", c->cgroup, "resources", resources, "no_pids_limit",
		json_is_integer(pids) && json_integer_value(pids) == 0, "no_cpu_quota",
		json_i64(changes, "CpuQuota", 0) < 0);
	return job_start(d->jobs, "update-limits", request, -1, false, &handlers, u, e) ? 0 : -1;
}

static bool has_limits(const json_t *changes)
{
	size_t n = json_object_size(changes);
	return n > 1 || (n == 1 && !json_object_get(changes, "RestartPolicy"));
}

static int record(struct container *c, const json_t *changes, const json_t *old, struct err *e)
{
	if (c->state == CONTAINER_REMOVING || c->state == CONTAINER_DEAD || c->remove_asked) {
		return err_set(
			e, ERR_SYSTEM, "container is marked for removal and cannot be \"update\"");
	}
	if (check_conflicts(c, changes, e) < 0) {
		return -1;
	}
	put_changes(c, changes);
	if (container_record_save(c, e) < 0) {
		put_changes(c, old);
		return -1;
	}
	return 0;
}

void container_update(
	struct container *c, const json_t *changes, container_done_fn *done, void *owner)
{
	struct err e;
	scoped(json) json_t *old = present_values(c, changes);
	if (record(c, changes, old, &e) < 0) {
		failed(c, &e);
		done(owner, &e);
		return;
	}
	if (c->state == CONTAINER_STARTING) {
		c->limits_stale = true;
	}
	if (!container_is_running(c) || !has_limits(changes)) {
		container_event(c, "update", NULL);
		done(owner, NULL);
		return;
	}
	struct update *u = xnew(struct update);
	u->set = c->set;
	memcpy(u->id, c->id, sizeof(u->id));
	u->old = json_incref(old);
	u->done = done;
	u->owner = owner;
	if (set_limits(c, changes, u, &e) < 0) {
		put_changes(c, old);
		container_record_note(c);
		update_free(u);
		failed(c, &e);
		done(owner, &e);
	}
}

static void ignore_result(void *owner, const struct err *e)
{
}

void update_started(struct container *c)
{
	struct err e;
	if (!c->limits_stale) {
		return;
	}
	c->limits_stale = false;
	struct update *u = xnew(struct update);
	u->set = c->set;
	memcpy(u->id, c->id, sizeof(u->id));
	u->done = ignore_result;
	scoped(json) json_t *all = pick_changes(c->host_config);
	if (set_limits(c, all, u, &e) < 0) {
		log_warning("container", "not_updated", "id", c->id, "reason", e.msg, NULL);
		update_free(u);
	}
}
