/* Invariants
 * 1. One job storage runs at a time; what happens meanwhile makes it run once more. What it finds
 * is the truth: nothing is remembered here but what it told last.
 * 2. A container is prepared from the moment the job has looked at its places until it runs. No job
 * is on its way then, and those that begin until it runs bring nothing to its places: what its
 * configuration names is what is there.
 * 3. Each disk is mounted by a job of its own (storage_attempts.h).
 */
#include "container/storage.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "device/device.h"
#include "device/set.h"
#include "job/job.h"

#define PATIENCE_MS 20000 /* of a start, for what is there but not yet mounted */
#define RETRY_MS 5000

struct storage_state {
	struct container_set *set;
	struct device_listener *listener;
	struct job *job;
	struct delay *soon, *retry;
	bool again;
	bool makes; /* the job that runs */
	bool left;  /* the last one, or an earlier daemon: there may be mounts */
	struct storage_attempts *attempts;
};

const struct storage_attempts *storage_attempts_of(const struct container_set *s)
{
	return s->storage ? s->storage->attempts : NULL;
}

/* --- the job --- */

static void look(struct storage_state *t);

static void look_now(void *owner)
{
	struct storage_state *t = owner;
	t->soon = NULL;
	look(t);
}

/* From the loop: many changes are one look. */
static void look_soon(struct storage_state *t)
{
	if (t && !t->soon && !t->set->closing) {
		t->soon = delay_start(t->set->d.loop, 0, look_now, t);
	}
}

static json_t *request_of(const struct storage_state *t)
{
	scoped(free) char *root = storage_root(t->set);
	json_t *places = json_array();
	map_each (t->set->by_id, const struct container, c) {
		for (size_t i = 0; storage_is_wanted(c) && i < c->storage->n; i++) {
			const struct storage_use *u = &c->storage->uses[i];
			json_array_append_new(places, json_pack("{ss so sb}", "key", u->key, "rule",
							      storage_rule_json(u->rule), "frozen",
							      c->storage->prepared));
		}
	}
	return json_pack("{ss so so}", "root", root, "places", places, "tried",
		storage_attempts_ended(t->attempts));
}

static json_t *find_disk(json_t *disks, const char *id)
{
	size_t i;
	json_t *o;
	json_array_foreach (disks, i, o) {
		if (strcmp(json_str(o, "id"), id) == 0) {
			return o;
		}
	}
	return NULL;
}

static void take_place(struct container *c, struct storage_use *u, const json_t *place)
{
	scoped(json) json_t *old = u->disks;
	size_t i;
	json_t *o;
	u->disks = json_incref(json_object_get(place, "disks"));
	u->pending = json_bool(place, "pending");
	if (!old) {
		return; /* a start, or a daemon that has just begun: no news */
	}
	json_array_foreach (old, i, o) {
		if (!find_disk(u->disks, json_str(o, "id"))) {
			storage_tell_change(c, u, o, false);
		}
	}
	json_array_foreach (u->disks, i, o) {
		if (!find_disk(old, json_str(o, "id"))) {
			storage_tell_change(c, u, o, true);
		}
	}
}

static void take_places(struct storage_state *t, const json_t *places)
{
	map_each (t->set->by_id, struct container, c) {
		for (size_t i = 0; c->storage && i < c->storage->n; i++) {
			const json_t *place = json_object_get(places, c->storage->uses[i].key);
			if (place) {
				take_place(c, &c->storage->uses[i], place);
			}
		}
	}
}

static void on_attempt(void *owner, const struct storage_attempt *a, bool news)
{
	struct storage_state *t = owner;
	if (news && !t->set->closing) {
		storage_tell_failure(t->set, a);
	}
	look_soon(t);
}

/* --- who waited for the job --- */

static bool has_pending(const struct container *c)
{
	for (size_t i = 0; i < c->storage->n; i++) {
		if (c->storage->uses[i].pending) {
			return true;
		}
	}
	return false;
}

static void prepared(struct container *c)
{
	c->storage->awaits = false;
	c->storage->prepared = true;
	delay_cancel(c->storage->patience);
	c->storage->patience = NULL;
	container_launch(c);
}

static void wake(struct storage_state *t)
{
	scoped(strv) struct strv ids = STRV_INIT;
	map_each (t->set->by_id, const struct container, c) {
		if (c->storage && c->storage->awaits &&
			(c->storage->impatient || !has_pending(c))) {
			strv_add(&ids, c->id);
		}
	}
	for (size_t i = 0; i < ids.n; i++) {
		struct container *c = map_get(t->set->by_id, ids.v[i]);
		if (c && c->storage && c->storage->awaits) {
			prepared(c);
		}
	}
	waiting_look(t->set);
}

static void retry_now(void *owner)
{
	struct storage_state *t = owner;
	t->retry = NULL;
	look(t);
}

static void look_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct storage_state *t = owner;
	size_t i;
	json_t *o;
	t->job = NULL;
	if (t->set->closing) {
		return;
	}
	if (!result) {
		log_warning("storage", "not_looked_at", "reason", e->msg, NULL);
		t->again = false;
		t->retry =
			t->retry ? t->retry : delay_start(t->set->d.loop, RETRY_MS, retry_now, t);
		return;
	}
	t->left = t->makes;
	storage_attempts_keep(t->attempts, json_object_get(result, "signs"));
	take_places(t, json_object_get(result, "places"));
	json_array_foreach (json_object_get(result, "mount"), i, o) {
		storage_attempts_begin(t->attempts, o);
	}
	if (t->again) {
		t->again = false;
		look(t);
	} else {
		wake(t);
	}
}

static bool is_needed(const struct storage_state *t)
{
	map_each (t->set->by_id, const struct container, c) {
		if (storage_is_wanted(c)) {
			return true;
		}
	}
	return t->left;
}

static void look(struct storage_state *t)
{
	static const struct job_handlers handlers = {NULL, NULL, look_done};
	struct err e;
	if (t->job) {
		t->again = true;
		return;
	}
	if (t->set->closing || !is_needed(t)) {
		return;
	}
	json_t *request = request_of(t);
	/* what it makes is taken away by another one */
	t->makes = json_array_size(json_object_get(request, "places")) > 0;
	t->job = job_start(t->set->d.jobs, "storage", request, -1, false, &handlers, t, &e);
	if (!t->job) {
		log_warning("storage", "not_looked_at", "reason", e.msg, NULL);
		t->retry =
			t->retry ? t->retry : delay_start(t->set->d.loop, RETRY_MS, retry_now, t);
	}
}

/* --- a container's start and end --- */

static void out_of_patience(void *owner)
{
	struct container *c = owner;
	c->storage->patience = NULL;
	c->storage->impatient = true;
	look_soon(c->set->storage);
}

int storage_ready(struct container *c, struct err *e)
{
	struct storage *s = c->storage;
	if (!s || s->prepared) {
		scoped(free) char *missing = storage_missing(c);
		return missing ? err_set(e, ERR_SYSTEM, "%s is not there", missing) : 1;
	}
	for (size_t i = 0; i < s->n && !s->awaits; i++) {
		json_decref(s->uses[i].disks);
		s->uses[i].disks = NULL;
	}
	s->awaits = true;
	s->impatient = false;
	delay_cancel(s->patience);
	s->patience = delay_start(c->set->d.loop, PATIENCE_MS, out_of_patience, c);
	look_soon(c->set->storage);
	return 0;
}

void storage_changed(struct container *c)
{
	if (!c->storage) {
		return;
	}
	c->storage->awaits = false;
	c->storage->prepared = false;
	delay_cancel(c->storage->patience);
	c->storage->patience = NULL;
	look_soon(c->set->storage);
}

/* --- the machine's devices --- */

static void on_device(void *owner, const struct device_event *event)
{
	if (event->change == DEVICE_SCANNED || event->device->type == 'b') {
		look_soon(owner);
	}
}

void storage_listen(struct container_set *s)
{
	struct storage_state *t = xnew(struct storage_state);
	scoped(free) char *root = storage_root(s);
	t->set = s;
	t->attempts = storage_attempts_new(s->d.loop, s->d.jobs, root, on_attempt, t);
	t->listener = s->d.devices ? device_listen(s->d.devices, on_device, t) : NULL;
	t->left = access(root, F_OK) == 0;
	s->storage = t;
	look_soon(t);
}

void storage_unlisten(struct container_set *s)
{
	struct storage_state *t = s->storage;
	if (!t) {
		return;
	}
	device_unlisten(t->listener);
	delay_cancel(t->soon);
	delay_cancel(t->retry);
	storage_attempts_free(t->attempts);
	free(t);
	s->storage = NULL;
}
