/* Invariants
 * 1. p->held is what the container has: changed when a job has ended, and before its start.
 * 2. p->next, added and removed belong to p->job and are empty without one.
 * 3. Nothing is done before the device set has been filled once: what it does not know yet would
 *    be taken away.
 * 4. RUN/containers/ID/devices.json names everything that may be in the container. It is written
 *    before a job and after it.
 */
#include "container/plug.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "device/rule.h"
#include "device/set.h"
#include "job/job.h"
#include "oci/device_rules.h"

#define JOB_PATIENCE_MS 30000 /* a file system of the container's own may never answer */
#define RETRY_MS 1000         /* doubled */
#define RETRIES_MAX 5

struct plug_job {
	struct container_set *set;
	char id[ID_LEN + 1];
	struct job *job;
};

int plug_init(struct container *c, struct err *e)
{
	struct wanted_list wanted;
	if (wanted_read(c->config, c->host_config, &c->image_labels, &wanted, e) < 0) {
		return -1;
	}
	if (wanted.n > 0) {
		c->plug = xnew(struct plug);
		c->plug->wanted = wanted;
		c->plug->identities = json_object();
		c->plug->messages = json_array();
	}
	return 0;
}

static void drop_lists(struct plug *p)
{
	plugged_deinit(&p->next);
	plugged_deinit(&p->added);
	plugged_deinit(&p->removed);
}

void plug_free(struct plug *p)
{
	if (!p) {
		return;
	}
	delay_cancel(p->patience);
	delay_cancel(p->retry);
	wanted_deinit(&p->wanted);
	json_decref(p->identities);
	json_decref(p->messages);
	plugged_deinit(&p->held);
	plugged_deinit(&p->refused);
	drop_lists(p);
	free(p->udev_dir);
	free(p);
}

void plug_forget_job(struct plug *p)
{
	if (p->job) {
		job_cancel(p->job->job);
		p->job = NULL;
	}
	delay_cancel(p->patience);
	p->patience = NULL;
	drop_lists(p);
}

/* --- what it should have --- */

const char *plug_identity(const struct plug *p, const struct wanted *w)
{
	return w->rule ? "" : json_str(p->identities, w->host);
}

bool plug_note_identity(struct plug *p, const struct wanted *w, const struct device *d)
{
	scoped(free) char *identity = wanted_identity(w, d);
	if (!*identity || strcmp(identity, plug_identity(p, w)) == 0) {
		return false;
	}
	json_put_str(p->identities, w->host, identity);
	return true;
}

static const struct device *find_number(
	const struct container_set *s, char type, unsigned major, unsigned minor)
{
	size_t pos = 0;
	const struct device *d = NULL;
	while (s->d.devices && (d = device_set_next(s->d.devices, &pos))) {
		if (d->type == type && d->major == major && d->minor == minor) {
			return d;
		}
	}
	return NULL;
}

const struct device *plug_recognise(
	struct container *c, const struct wanted *w, const struct plugged *o)
{
	const struct device *d = find_number(c->set, o->type, o->major, o->minor);
	struct wanted_place place;
	if (!d) {
		return NULL;
	}
	if (!w->rule && strcmp(o->path, w->inside) == 0) {
		(void)plug_note_identity(c->plug, w, d);
	}
	if (!wanted_find_place(w, d, plug_identity(c->plug, w), &place)) {
		return NULL;
	}
	bool same = strcmp(place.path, o->path) == 0;
	free(place.path);
	return same ? d : NULL;
}

static struct plugged value_of(const struct wanted *w, const struct device *d, char *path)
{
	const struct device_rule *r = w->rule;
	struct plugged one = {
		.key = w->key,
		.path = path,
		.node = d->node,
		.type = d->type,
		.major = d->major,
		.minor = d->minor,
		.mode = r && r->mode >= 0 ? (mode_t)r->mode : d->mode,
		.uid = r && r->uid >= 0 ? (uid_t)r->uid : d->uid,
		.gid = r && r->gid >= 0 ? (gid_t)r->gid : d->gid,
	};
	snprintf(one.access, sizeof(one.access), "%s", r ? r->permissions : w->access);
	return one;
}

/* Behind its node. */
static void wish_links(const struct container *c, const struct wanted *w, const struct device *d,
	struct plugged_list *ret)
{
	for (size_t i = 0; i < d->links.n; i++) {
		char *path = d->links.v[i];
		const struct plugged *bad = plugged_find(&c->plug->refused, path);
		scoped(free) char *target = wanted_link(w, d, path);
		if (!target) {
			continue;
		}
		const struct plugged one = {.key = w->key,
			.path = path,
			.node = d->node,
			.target = target,
			.type = 'l'};
		if (!bad || !plugged_equal(bad, &one)) {
			(void)plugged_add(ret, &one);
		}
	}
}

/* Which it has already goes first: another one that matches as well does not take its place. */
static void wish_those(
	const struct container *c, const struct wanted *w, bool held, struct plugged_list *ret)
{
	const struct plug *p = c->plug;
	const struct device *d;
	size_t pos = 0;
	while ((d = device_set_next(c->set->d.devices, &pos))) {
		struct wanted_place place;
		if (!wanted_find_place(w, d, plug_identity(p, w), &place)) {
			continue;
		}
		struct plugged one = value_of(w, d, place.path);
		const struct plugged *now = plugged_find(&p->held, place.path);
		const struct plugged *bad = plugged_find(&p->refused, place.path);
		bool has = now && !now->gone && plugged_equal(now, &one);
		if (has == held && !(bad && plugged_equal(bad, &one)) && plugged_add(ret, &one)) {
			wish_links(c, w, d, ret);
		}
		free(place.path);
	}
}

void plug_wish_one(const struct container *c, const struct wanted *w, struct plugged_list *ret)
{
	if (c->set->d.devices) {
		wish_those(c, w, true, ret);
		wish_those(c, w, false, ret);
	}
}

static void wish(const struct container *c, struct plugged_list *ret)
{
	const struct plug *p = c->plug;
	*ret = (struct plugged_list){0};
	for (size_t i = 0; i < p->held.n; i++) {
		if (p->held.v[i].stays) {
			(void)plugged_add(ret, &p->held.v[i]);
		}
	}
	for (size_t i = 0; i < p->wanted.n; i++) {
		plug_wish_one(c, &p->wanted.v[i], ret);
	}
}

static const struct wanted *find_wanted(const struct plug *p, const char *key)
{
	for (size_t i = 0; i < p->wanted.n; i++) {
		if (strcmp(p->wanted.v[i].key, key) == 0) {
			return &p->wanted.v[i];
		}
	}
	return NULL;
}

/* Nodes that were there before the device set knew of them: plugged just before the start. */
static bool learn(struct container *c)
{
	struct plug *p = c->plug;
	bool news = false;
	for (size_t i = 0; i < p->held.n; i++) {
		struct plugged *o = &p->held.v[i];
		const struct wanted *w = find_wanted(p, o->key);
		const struct device *d = o->stays && w ? plug_recognise(c, w, o) : NULL;
		if (!d) {
			continue;
		}
		o->stays = false;
		free(o->node);
		o->node = xstrdup(d->node);
		news = true;
	}
	return news;
}

/* --- the job --- */

void plug_list_rules(
	const struct container *c, const struct plugged_list *l, struct device_list *ret)
{
	for (size_t i = 0; i < l->n && ret->n < DEVICES_MAX; i++) {
		const struct plugged *p = &l->v[i];
		if (plugged_is_link(p)) {
			continue;
		}
		ret->v[ret->n++] = (struct oci_device){
			.path = p->path,
			.type = p->type,
			.major = p->major,
			.minor = p->minor,
			.access = p->access,
			.mode = p->mode,
			.uid = p->uid,
			.gid = p->gid,
		};
	}
}

/* NULL: all is allowed already, or *e. */
static int rules_of(
	const struct container *c, const struct plugged_list *l, json_t **ret, struct err *e)
{
	const json_t *own = json_object_get(c->host_config, "DeviceCgroupRules");
	*ret = NULL;
	if (json_bool(c->host_config, "Privileged")) {
		return 0;
	}
	scoped(free) struct device_list *list = xnew(struct device_list);
	plug_list_rules(c, l, list);
	return oci_device_rules(list->v, list->n, json_is_array(own) ? own : NULL, ret, e);
}

void plug_put_file(const struct container *c)
{
	struct plugged_list all = {0};
	const struct plugged_list *const parts[] = {&c->plug->next, &c->plug->held};
	for (size_t i = 0; i < 2; i++) {
		for (size_t k = 0; k < parts[i]->n; k++) {
			(void)plugged_add(&all, &parts[i]->v[k]);
		}
	}
	scoped(json) json_t *record = plugged_record(&all);
	scoped(free) char *text = json_text(record);
	scoped(free) char *path = xasprintf("%s/devices.json", c->run_dir);
	int r = path_write(AT_FDCWD, path, text, strlen(text), 0600, false);
	if (r < 0) {
		log_warning("container", "devices_not_noted", "id", c->id, "reason", strerror(-r),
			NULL);
	}
	plugged_deinit(&all);
}

static int request_of(const struct container *c, json_t **ret, struct err *e)
{
	const struct plug *p = c->plug;
	scoped(strv) struct strv data = STRV_INIT;
	json_t *rules = NULL;
	bool changes = p->added.n > 0 || p->removed.n > 0 || p->unsure || p->rules_stale;
	if (changes && rules_of(c, &p->next, &rules, e) < 0) {
		return -1;
	}
	json_t *o = json_pack("{ss}", "cgroup", c->cgroup);
	json_put(o, "rules", rules);
	json_put(o, "remove", plugged_nodes(&p->removed));
	json_put(o, "add", plugged_nodes(p->unsure ? &p->next : &p->added));
	json_put_str(o, "udev_dir", p->udev_dir);
	plug_udev_names(&p->next, &data);
	json_put(o, "udev_data", json_strv(&data));
	json_put(o, "messages", json_incref(p->messages));
	*ret = o;
	return 0;
}

static void out_of_patience(void *owner)
{
	struct container *c = owner;
	c->plug->patience = NULL;
	if (c->plug->job) {
		c->plug->timed_out = true;
		job_cancel(c->plug->job->job);
	}
}

static void retry_now(void *owner)
{
	struct container *c = owner;
	c->plug->retry = NULL;
	plug_look(c);
}

/* Refused nodes are not in the container, so their rules must go again. */
static void note_refused(struct container *c, const json_t *result)
{
	struct plug *p = c->plug;
	size_t i;
	json_t *one;
	json_array_foreach (json_object_get(result, "refused"), i, one) {
		const char *path = json_str(one, "path");
		const char *reason = json_str(one, "reason");
		const struct plugged *add = plugged_find(&p->next, path);
		log_warning("container", "device_refused", "id", c->id, "path", path, "reason",
			reason, NULL);
		container_event(
			c, "device_refused", json_pack("{ss ss}", "path", path, "reason", reason));
		if (add && (plugged_find(&p->added, path) || p->unsure)) {
			plugged_remove(&p->refused, path);
			(void)plugged_add(&p->refused, add);
			plugged_remove(&p->added, path);
			plugged_remove(&p->next, path);
			p->rules_stale = true;
		}
	}
}

static void failed(struct container *c, const struct err *e)
{
	struct plug *p = c->plug;
	drop_lists(p);
	p->unsure = true;
	log_warning("container", "devices_not_changed", "id", c->id, "reason", e->msg, NULL);
	if (container_is_running(c) && p->failures < RETRIES_MAX && !p->retry) {
		p->retry = delay_start(
			c->set->d.loop, (int64_t)RETRY_MS << p->failures++, retry_now, c);
	}
}

static void succeeded(struct container *c, const json_t *result)
{
	struct plug *p = c->plug;
	struct plugged_list added;
	struct plugged_list removed;
	bool was_stale = p->rules_stale;
	p->rules_stale = false;
	p->failures = 0;
	note_refused(c, result);
	/* only once: a rule that cannot be taken back is not tried for ever */
	p->rules_stale = p->rules_stale && !was_stale;
	p->unsure = false;
	plugged_deinit(&p->held);
	p->held = p->next;
	added = p->added;
	removed = p->removed;
	p->next = p->added = p->removed = (struct plugged_list){0};
	plug_put_file(c);
	plug_tell(c, &removed, &added);
	plugged_deinit(&added);
	plugged_deinit(&removed);
}

static void job_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	scoped(free) struct plug_job *w = owner;
	struct container *c = w->set->closing ? NULL : map_get(w->set->by_id, w->id);
	if (!c || c->plug->job != w) {
		return; /* it has ended, or runs anew */
	}
	c->plug->job = NULL;
	delay_cancel(c->plug->patience);
	c->plug->patience = NULL;
	bool ends = !result && e->kind == ERR_BUSY && !c->plug->timed_out; /* the daemon does */
	c->plug->timed_out = false;
	if (result) {
		succeeded(c, result);
		plug_look(c);
	} else if (!ends) {
		failed(c, e);
	}
}

static void copy_list(const struct plugged_list *from, struct plugged_list *to)
{
	for (size_t i = 0; i < from->n; i++) {
		(void)plugged_add(to, &from->v[i]);
	}
}

/* Finds out what is to be done; true when something is. */
static bool plan(struct container *c)
{
	struct plug *p = c->plug;
	struct plugged_list removed;
	struct plugged_list added;
	wish(c, &p->next);
	plugged_missing(&p->held, &p->next, &removed);
	plugged_missing(&p->next, &p->held, &added);
	copy_list(&removed, &p->removed);
	copy_list(&added, &p->added);
	free(removed.v);
	free(added.v);
	return p->removed.n > 0 || p->added.n > 0 || p->unsure || p->rules_stale ||
	       json_array_size(p->messages) > 0;
}

static int start_job(struct container *c, struct err *e)
{
	static const struct job_handlers handlers = {NULL, NULL, job_done};
	struct plug *p = c->plug;
	json_t *request;
	scoped(close) int pidfd = fcntl(c->pidfd, F_DUPFD_CLOEXEC, 0);
	if (pidfd < 0) {
		return err_set(e, ERR_CONFLICT, "container %s is ending", c->id);
	}
	if (request_of(c, &request, e) < 0) {
		return -1;
	}
	scoped(free) struct plug_job *w = xnew(struct plug_job);
	w->set = c->set;
	memcpy(w->id, c->id, sizeof(w->id));
	plug_put_file(c); /* invariant 4 */
	w->job = job_start_with(
		c->set->d.jobs, "plug", request, -1, TAKE_FD(pidfd), false, &handlers, w, e);
	if (!w->job) {
		return -1;
	}
	p->job = TAKE(w);
	p->patience = delay_start(c->set->d.loop, JOB_PATIENCE_MS, out_of_patience, c);
	json_array_clear(p->messages);
	return 0;
}

void plug_look(struct container *c)
{
	struct plug *p = c->plug;
	struct err e;
	if (!p || p->is_blind || p->job || p->retry || !container_is_running(c) || c->pidfd < 0 ||
		!c->set->d.devices || !device_set_ready(c->set->d.devices)) {
		return; /* invariant 3 */
	}
	if (learn(c)) {
		plug_put_file(c);
		container_record_note(c);
	}
	if (!plan(c)) {
		drop_lists(p);
		return;
	}
	if (start_job(c, &e) < 0) {
		failed(c, &e);
	}
}

/* --- what the device set says --- */

static void mark_gone(struct plugged_list *l, const struct device *d)
{
	for (size_t i = 0; i < l->n; i++) {
		if (!l->v[i].stays && strcmp(l->v[i].node, d->node) == 0) {
			l->v[i].gone = true;
		}
	}
}

static void note_event(struct container *c, const struct device_event *ev)
{
	struct plug *p = c->plug;
	struct plugged_list coming = {0};
	for (size_t i = p->refused.n; i-- > 0;) { /* it is another one, or was plugged again */
		if (strcmp(p->refused.v[i].node, ev->device->node) == 0) {
			plugged_remove(&p->refused, p->refused.v[i].path);
		}
	}
	if (ev->change == DEVICE_REMOVED) {
		plug_udev_tell(c, ev, &p->held, &p->next);
		mark_gone(&p->held, ev->device);
		mark_gone(&p->next, ev->device);
	} else {
		wish(c, &coming);
		plug_udev_tell(c, ev, &coming, &(struct plugged_list){0});
		plugged_deinit(&coming);
	}
	p->failures = 0;
	plug_look(c);
}

/* They start now that the devices are known. */
static void launch_held(struct container_set *s)
{
	scoped(strv) struct strv ids = STRV_INIT;
	map_each (s->by_id, const struct container, c) {
		if (c->plug && c->plug->awaits_scan) {
			strv_add(&ids, c->id);
		}
	}
	for (size_t i = 0; i < ids.n; i++) {
		struct container *c = map_get(s->by_id, ids.v[i]);
		if (c && c->plug->awaits_scan && c->state == CONTAINER_STARTING) {
			c->plug->awaits_scan = false;
			delay_cancel(c->plug->patience);
			c->plug->patience = NULL;
			container_launch(c);
		}
	}
}

static void on_device(void *owner, const struct device_event *ev)
{
	struct container_set *s = owner;
	map_each (s->by_id, struct container, c) {
		if (c->plug && container_is_running(c)) {
			ev->device ? note_event(c, ev) : plug_look(c);
		}
	}
	if (ev->change == DEVICE_SCANNED) {
		launch_held(s);
	}
	waiting_look(s);
}

void plug_listen(struct container_set *s)
{
	if (s->d.devices) {
		s->device_listener = device_listen(s->d.devices, on_device, s);
	}
}

void plug_unlisten(struct container_set *s)
{
	device_unlisten(s->device_listener);
	s->device_listener = NULL;
}
