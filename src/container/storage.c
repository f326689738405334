/* Invariants
 * 1. One job storage runs at a time; what happens meanwhile makes it run once more. What it finds
 * is the truth: nothing is remembered here but what it told last.
 * 2. A container is prepared from the moment the job has looked at its places until it runs. No job
 * is on its way then, and those that begin until it runs bring nothing to its places: what its
 * configuration names is what is there.
 * 3. Each disk is mounted by a job of its own, and tried once until something about it changes.
 */
#include "container/storage.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/mount_rules.h"
#include "device/device.h"
#include "device/set.h"
#include "job/job.h"

#define PATIENCE_MS 20000 /* of a start, for what is there but not yet mounted */
#define TRIED_MAX 256
#define RETRY_MS 5000

struct storage_state {
	struct container_set *set;
	struct device_listener *listener;
	struct job *job;
	struct delay *soon, *retry;
	bool again;
	bool makes;    /* the job that runs */
	bool left;     /* the last one, or an earlier daemon: there may be mounts */
	json_t *tried; /* signs: worker/storage.c */
	struct list disk_jobs;
};

struct disk_job {
	struct list node;
	struct storage_state *state;
	char *sign, *id, *node_path;
};

/* --- what a container asks for --- */

void storage_free(struct storage *s)
{
	if (!s) {
		return;
	}
	for (size_t i = 0; i < s->n; i++) {
		storage_rule_free(s->uses[i].rule);
		json_decref(s->uses[i].disks);
		free(s->uses[i].key);
	}
	delay_cancel(s->patience);
	free(s->uses);
	free(s);
}

/* A volume that only the image asked for there steps back. */
static int check_places(const struct container *c, const struct storage *s, struct err *e)
{
	const json_t *of_image = json_object_get(c->config, "Volumes");
	for (size_t i = 0; i < s->n; i++) {
		const char *at = s->uses[i].rule->at;
		const struct mount_point *m = mounts_find(&c->mounts, at);
		if (m && !(m->kind == MOUNT_VOLUME && json_object_get(of_image, at))) {
			return err_set(e, ERR_INVALID, "Duplicate mount point: %.300s", at);
		}
	}
	return 0;
}

static json_t *own_labels(const struct container *c)
{
	json_t *own = json_object();
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)container_labels(c), key, value) {
		if (text_starts(key, STORAGE_LABEL) && !strv_has(&c->image_labels, key)) {
			json_object_set(own, key, value);
		}
	}
	return own;
}

int storage_init(struct container *c, struct err *e)
{
	struct storage_rule **rules;
	size_t n;
	scoped(json) json_t *labels = own_labels(c);
	if (storage_rules_read(labels, &rules, &n, e) < 0) {
		return -1;
	}
	if (n == 0) {
		return 0;
	}
	struct storage *s = xnew(struct storage);
	s->uses = xnew_array(struct storage_use, n);
	s->n = n;
	for (size_t i = 0; i < n; i++) {
		s->uses[i].rule = rules[i];
		s->uses[i].key = xasprintf("%.32s-%zu", c->id, i);
	}
	free(rules);
	c->storage = s;
	return check_places(c, s, e);
}

static bool is_missing(const struct storage_use *u)
{
	return u->rule->required && json_array_size(u->disks) == 0;
}

char *storage_missing(const struct container *c)
{
	for (size_t i = 0; c->storage && i < c->storage->n; i++) {
		if (is_missing(&c->storage->uses[i])) {
			return storage_rule_words(c->storage->uses[i].rule);
		}
	}
	return NULL;
}

/* Also one that waits: what it waits for is looked for and mounted. */
bool storage_is_wanted(const struct container *c)
{
	bool waits = c->state == CONTAINER_RESTARTING && c->waits_for;
	return c->storage && (container_is_running(c) || c->state == CONTAINER_STARTING || waits);
}

/* --- the job --- */

static void look(struct storage_state *t);

static char *root_of(const struct container_set *s)
{
	return xasprintf("%s/storage", s->d.exec_root);
}

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
	scoped(free) char *root = root_of(t->set);
	json_t *places = json_array();
	map_each (t->set->by_id, const struct container, c) {
		for (size_t i = 0; storage_is_wanted(c) && i < c->storage->n; i++) {
			const struct storage_use *u = &c->storage->uses[i];
			json_array_append_new(places, json_pack("{ss so sb}", "key", u->key, "rule",
							      storage_rule_json(u->rule), "frozen",
							      c->storage->prepared));
		}
	}
	return json_pack("{ss so sO}", "root", root, "places", places, "tried", t->tried);
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

static void tell(struct container *c, const struct storage_use *u, const json_t *disk, bool added)
{
	const char *name = json_str(disk, "name");
	scoped(free) char *path = xasprintf("%s%s%s", u->rule->at, *name ? "/" : "", name);
	log_info("container", added ? "storage_added" : "storage_removed", "id", c->id, "path",
		path, "device", json_str(disk, "node"), NULL);
	container_event(c, added ? "storage_add" : "storage_remove",
		json_pack("{ss ss ss ss ss}", "storage", u->rule->name, "path", path, "device",
			json_str(disk, "node"), "label", json_str(disk, "label"), "uuid",
			json_str(disk, "uuid")));
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
			tell(c, u, o, false);
		}
	}
	json_array_foreach (u->disks, i, o) {
		if (!find_disk(old, json_str(o, "id"))) {
			tell(c, u, o, true);
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

/* --- disks --- */

/* A disk that is gone, or that nobody wants, has its next chance when that changes. */
static void forget_tried(struct storage_state *t, const json_t *signs)
{
	json_t *kept = json_array();
	size_t i;
	size_t k;
	json_t *tried;
	json_t *sign;
	json_array_foreach (t->tried, i, tried) {
		json_array_foreach (signs, k, sign) {
			if (json_equal(tried, sign)) {
				json_array_append(kept, tried);
			}
		}
	}
	json_decref(t->tried);
	t->tried = kept;
}

static void remember(struct storage_state *t, const char *sign)
{
	if (json_array_size(t->tried) >= TRIED_MAX) {
		json_array_remove(t->tried, 0);
	}
	json_array_append_new(t->tried, json_string(sign));
}

static void disk_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct disk_job *w = owner;
	struct storage_state *t = w->state;
	const char *reason = result ? json_str(result, "reason") : e->msg;
	list_remove(&w->node);
	if (!t->set->closing) {
		remember(t, w->sign);
		if (!result) {
			log_warning("storage", "not_mounted", "device", w->node_path, "reason",
				reason, NULL);
		} else if (*reason) {
			log_warning("storage", "mounted_read_only", "device", w->node_path,
				"reason", reason, NULL);
		}
		look_soon(t);
	}
	free(w->sign);
	free(w->id);
	free(w->node_path);
	free(w);
}

static bool is_tried(const struct storage_state *t, const char *sign)
{
	size_t i;
	json_t *tried;
	json_array_foreach (t->tried, i, tried) {
		if (strcmp(json_string_value(tried), sign) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_busy(const struct storage_state *t, const char *id)
{
	list_each (pos, &t->disk_jobs) {
		if (strcmp(container_of(pos, struct disk_job, node)->id, id) == 0) {
			return true;
		}
	}
	return false;
}

static void start_disk(struct storage_state *t, const json_t *o)
{
	static const struct job_handlers handlers = {NULL, NULL, disk_done};
	struct err e;
	const char *id = json_str(o, "id");
	if (is_busy(t, id) || is_tried(t, json_str(o, "sign"))) {
		return; /* looked at again when that has ended; or it has while the job looked */
	}
	scoped(free) char *root = root_of(t->set);
	json_t *request = json_deep_copy(o);
	json_put_str(request, "root", root);
	struct disk_job *w = xnew(struct disk_job);
	w->state = t;
	w->sign = xstrdup(json_str(o, "sign"));
	w->id = xstrdup(id);
	w->node_path = xstrdup(json_str(o, "node"));
	list_append(&t->disk_jobs, &w->node);
	if (!job_start(t->set->d.jobs, "storage-disk", request, -1, false, &handlers, w, &e)) {
		disk_done(w, NULL, NULL, &e);
	}
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
	forget_tried(t, json_object_get(result, "signs"));
	take_places(t, json_object_get(result, "places"));
	json_array_foreach (json_object_get(result, "mount"), i, o) {
		start_disk(t, o);
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

void storage_mounts(const struct container *c, storage_mount_fn *add, void *arg)
{
	scoped(free) char *root = root_of(c->set);
	for (size_t i = 0; c->storage && i < c->storage->n; i++) {
		const struct storage_use *u = &c->storage->uses[i];
		const json_t *disk = json_array_get(u->disks, 0);
		add(arg, xasprintf("%s/place/%s", root, u->key), u->rule->at,
			"rbind,rslave,ro,nosuid,nodev,noexec");
		if (disk && !u->rule->any) {
			add(arg, xasprintf("%s/disk/%s", root, json_str(disk, "id")), u->rule->at,
				json_bool(disk, "read_only") ? "bind,slave,nosuid,nodev,ro"
							     : "bind,slave,nosuid,nodev");
		}
	}
}

/* The place is mounted in the container without what is mounted on it: that could not be unmounted
 * from here, as what comes to the place by itself, or is mounted over it in the container, can. */
void storage_shim_args(const struct container *c, struct strv *args)
{
	scoped(free) char *root = root_of(c->set);
	for (size_t i = 0; c->storage && i < c->storage->n; i++) {
		if (!c->storage->uses[i].rule->any) {
			strv_addf(args, "--let-go=%s/place/%s", root, c->storage->uses[i].key);
		}
	}
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
	scoped(free) char *root = root_of(s);
	t->set = s;
	t->tried = json_array();
	list_init(&t->disk_jobs);
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
	json_decref(t->tried);
	free(t);
	s->storage = NULL;
}
