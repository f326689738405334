/* Volumes with a filesystem of their own: mounted before the first container that uses them starts,
 * unmounted when the last one has ended. By workers, in the daemon's mount namespace: shims that
 * start afterwards have the mount, and let go of those that are not theirs (shim --let-go).
 *
 * Invariants
 * 1. Nothing is counted: who uses a volume is asked of the containers' states, whether it is
 * mounted of the kernel. So a daemon that was killed has nothing to repair but what nobody uses.
 * 2. At most one job works on a volume; who needs it meanwhile waits (awaits_volume) and looks
 * again.
 * 3. Of a volume whose server may be away (volume_is_watched) nothing is asked here but its state,
 * which volume_watch.c keeps; and no job works on it from the moment a shim takes hold of its
 * places until the container runs: what its configuration names is what is there.
 */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "container/internal.h"
#include "job/job.h"
#include "container/volume_watch.h"
#include "volume/volume.h"

#define MOUNT_LIMIT_MS 20000 /* then its server is away */
#define LOOK_LIMIT_MS 10000  /* of what is mounted */
#define LEAVE_LIMIT_MS 10000
#define FRESH_MS 5000 /* so old an answer is good enough for a start */
#define LOOKS_MAX 8   /* at a time, of those that nobody waits for */

struct volume_job {
	struct list node; /* in set->volume_jobs */
	struct container_set *set;
	struct list waiting; /* struct done_call: for its end */
	bool unmounts;
	char name[];
};

static struct volume_job *job_of(const struct container_set *s, const char *name)
{
	list_each (pos, &s->volume_jobs) {
		struct volume_job *w = container_of(pos, struct volume_job, node);
		if (strcmp(w->name, name) == 0) {
			return w;
		}
	}
	return NULL;
}

static bool is_busy(const struct container_set *s, const char *name)
{
	return job_of(s, name) != NULL;
}

static bool uses(const struct container *c, const char *name)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		if (m->kind == MOUNT_VOLUME && strcmp(m->name, name) == 0) {
			return true;
		}
	}
	return false;
}

static bool is_needed(const struct container_set *s, const char *name)
{
	map_each (s->by_id, const struct container, c) {
		if ((container_is_running(c) || c->state == CONTAINER_STARTING) && uses(c, name)) {
			return true;
		}
	}
	return false;
}

bool container_uses_volume_mount(const struct container *c, const char *name)
{
	return uses(c, name);
}

/* Also one that waits, be it for this: what it waits for is looked after. */
bool container_volume_is_wanted(const struct container_set *s, const char *name)
{
	if (is_needed(s, name)) {
		return true;
	}
	map_each (s->by_id, const struct container, c) {
		if (c->state == CONTAINER_RESTARTING && c->waits_for && uses(c, name)) {
			return true;
		}
	}
	return false;
}

/* A shim is taking hold of its places: invariant 3. */
static bool is_frozen(const struct container_set *s, const char *name)
{
	map_each (s->by_id, const struct container, c) {
		if (c->state == CONTAINER_STARTING && c->shim && uses(c, name)) {
			return true;
		}
	}
	return false;
}

bool container_volume_is_there(const struct volume *v)
{
	return volume_is_watched(v)    ? volume_state(v) == VOLUME_MOUNTED
	       : volume_needs_mount(v) ? volume_is_mounted(v)
				       : true;
}

static int begin(struct container_set *s, struct volume *v, bool unmounts, struct err *e);

/* Whether there is something to take away. */
static bool is_made(const struct volume *v)
{
	return volume_is_watched(v)    ? volume_state(v) != VOLUME_UNUSED
	       : volume_needs_mount(v) ? volume_is_mounted(v)
				       : false;
}

/* Nobody needs it any more: away with the mount. */
static void settle(struct container_set *s, const char *name)
{
	struct err e;
	struct volume *v = volume_find(s->d.volumes, name, &e);
	if (!v || !volume_needs_mount(v) || s->closing || is_busy(s, name)) {
		return;
	}
	if (volume_is_watched(v) && container_volume_is_wanted(s, name)) {
		volume_watch_plan(s, v);
		return;
	}
	if (is_needed(s, name) || !is_made(v)) {
		return;
	}
	if (begin(s, v, true, &e) < 0) {
		log_warning("volume", "not_unmounted", "name", name, "reason", e.msg, NULL);
	}
}

/* It starts without the volume that could not be mounted. */
static bool goes_without(const struct container_set *s, const char *name)
{
	struct err ignored;
	const struct volume *v = volume_find(s->d.volumes, name, &ignored);
	return v && volume_is_watched(v) && volume_start_of(v) == REMOTE_START_WITHOUT;
}

/* Those who waited: those of this volume have failed with it, the others look again. */
static void wake(struct container_set *s, const char *failed, const struct err *why)
{
	scoped(strv) struct strv ids = STRV_INIT;
	bool fails = failed && !goes_without(s, failed);
	map_each (s->by_id, struct container, c) {
		if (c->awaits_volume) {
			strv_add(&ids, c->id);
		}
	}
	for (size_t i = 0; i < ids.n; i++) {
		struct container *c = map_get(s->by_id, ids.v[i]);
		if (!c || !c->awaits_volume) {
			continue;
		}
		c->awaits_volume = false;
		if (fails && uses(c, failed)) {
			container_start_failed(c, why);
		} else {
			container_launch(c);
		}
	}
}

/* What the end of a job means; true: it has done what it was to. *ret_why: else. */
static bool take_result(const struct volume_job *w, struct volume *v, const json_t *result,
	const struct err *e, struct err *ret_why)
{
	if (result && v && volume_is_watched(v)) {
		return w->unmounts ? volume_watch_left(w->set, v, result, ret_why)
				   : volume_watch_kept(w->set, v, result, ret_why);
	}
	if (!result) {
		*ret_why = *e;
		log_warning("volume", w->unmounts ? "not_unmounted" : "not_mounted", "name",
			w->name, "reason", e->msg, NULL);
	}
	return result != NULL;
}

static void job_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	scoped(free) struct volume_job *w = owner;
	struct container_set *s = w->set;
	struct err why = {0};
	list_remove(&w->node);
	if (s->closing || (!result && e->kind == ERR_BUSY)) { /* the daemon ends */
		done_all(&w->waiting, e);
		return;
	}
	struct volume *v = volume_find(s->d.volumes, w->name, &why);
	bool done = take_result(w, v, result, e, &why);
	if (!done && !w->unmounts) {
		(void)err_wrap(&why, "error while mounting volume '%s'",
			v ? volume_mountpoint(v) : w->name);
	}
	wake(s, !done && !w->unmounts ? w->name : NULL, &why);
	if (done && !w->unmounts) {
		waiting_look(s);
	}
	if (!w->unmounts) {
		settle(s, w->name); /* who asked may have gone meanwhile */
	}
	struct volume_job *next = job_of(s, w->name);
	if (next) { /* who waits for an unmount did not mean this one */
		done_take(&w->waiting, &next->waiting);
	} else {
		done_all(&w->waiting, done ? NULL : &why);
	}
}

static bool is_mounted(const struct volume *v)
{
	return volume_state(v) == VOLUME_MOUNTED || volume_state(v) == VOLUME_DEGRADED;
}

static json_t *request_for(const struct container_set *s, const struct volume *v, bool unmounts)
{
	json_t *request = volume_mount_request(v);
	if (volume_is_watched(v)) {
		scoped(free) char *root = volume_watch_root(s);
		json_put_str(request, "root", root);
		json_put(request, "limit_ms",
			json_integer(unmounts        ? LEAVE_LIMIT_MS
				     : is_mounted(v) ? LOOK_LIMIT_MS
						     : MOUNT_LIMIT_MS));
	}
	return request;
}

static int begin(struct container_set *s, struct volume *v, bool unmounts, struct err *e)
{
	static const struct job_handlers handlers = {NULL, NULL, job_done};
	static const char *const names[2][2] = {
		{"mount-volume", "unmount-volume"}, {"keep-volume", "leave-volume"}};
	size_t n = strlen(volume_name(v)) + 1;
	struct volume_job *w = xcalloc(1, sizeof(*w) + n);
	w->set = s;
	w->unmounts = unmounts;
	list_init(&w->waiting);
	memcpy(w->name, volume_name(v), n);
	if (!job_start(s->d.jobs, names[volume_is_watched(v)][unmounts],
		    request_for(s, v, unmounts), -1, false, &handlers, w, e)) {
		free(w);
		return -1;
	}
	list_append(&s->volume_jobs, &w->node);
	return 0;
}

static bool are_many(const struct container_set *s)
{
	int n = 0;
	list_each (pos, &s->volume_jobs) {
		n++;
	}
	return n >= LOOKS_MAX;
}

void container_volume_look(struct container_set *s, struct volume *v)
{
	struct err e;
	const char *name = volume_name(v);
	if (!volume_is_watched(v) || s->closing || is_busy(s, name) ||
		!container_volume_is_wanted(s, name)) {
		return;
	}
	if (is_frozen(s, name) || are_many(s)) {
		volume_watch_again(s, v);
		return;
	}
	if (begin(s, v, false, &e) < 0) {
		log_warning("volume", "not_looked_at", "name", name, "reason", e.msg, NULL);
		volume_watch_plan(s, v);
	}
}

/* It is as it has to be for a start, now. A server that has answered some time ago may be away. */
static bool is_settled_for_start(const struct container *c, const struct volume *v)
{
	if (!volume_is_watched(v)) {
		return container_volume_is_there(v);
	}
	return volume_state(v) == VOLUME_MOUNTED
		       ? volume_watch_looked_since(c->set, v, c->begun_ms - FRESH_MS)
		       : volume_start_of(v) == REMOTE_START_WITHOUT &&
				 volume_state(v) != VOLUME_UNUSED;
}

int container_volumes_ready(struct container *c, struct err *e)
{
	struct container_set *s = c->set;
	for (size_t i = 0; i < c->mounts.n; i++) {
		struct volume *v = c->mounts.v[i].kind == MOUNT_VOLUME
					   ? volume_find(s->d.volumes, c->mounts.v[i].name, e)
					   : NULL;
		if (!v || !volume_needs_mount(v)) {
			continue; /* a volume that is not there is noticed later */
		}
		if (!is_busy(s, volume_name(v))) {
			if (is_settled_for_start(c, v)) {
				continue;
			}
			if (begin(s, v, false, e) < 0) {
				return -1;
			}
		}
		c->awaits_volume = true;
		return 0;
	}
	return 1;
}

static void publish(const struct container *c, const struct mount_point *m, bool mounted)
{
	json_t *attributes = json_pack("{ss}", "container", c->id);
	if (mounted) {
		json_put_str(attributes, "destination", m->target);
	}
	json_put_str(attributes, "driver", "local");
	if (mounted) {
		json_put_str(attributes, "propagation", m->propagation);
		json_put_str(attributes, "read/write", m->read_only ? "false" : "true");
	}
	volume_publish(c->set->d.volumes, mounted ? "mount" : "unmount", m->name, attributes);
}

void container_volumes_taken(struct container *c)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		if (c->mounts.v[i].kind == MOUNT_VOLUME) {
			publish(c, &c->mounts.v[i], true);
		}
	}
	c->volumes_taken = true;
}

void container_volumes_let_go(struct container *c)
{
	c->awaits_volume = false;
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		if (m->kind != MOUNT_VOLUME) {
			continue;
		}
		if (c->volumes_taken) {
			publish(c, m, false);
		}
		settle(c->set, m->name);
	}
	c->volumes_taken = false;
}

bool container_volume_read_only(const struct container *c, const struct mount_point *m)
{
	struct err ignored;
	const struct volume *v =
		m->kind == MOUNT_VOLUME ? volume_find(c->set->d.volumes, m->name, &ignored) : NULL;
	return v && volume_mounts_read_only(v);
}

void container_volumes_reconcile(struct container_set *s)
{
	size_t pos = 0;
	for (struct volume *v; (v = volume_next(s->d.volumes, &pos));) {
		if (volume_is_watched(v)) {
			volume_watch_resume(s, v, is_needed(s, volume_name(v)));
		}
		settle(s, volume_name(v));
	}
	map_each (s->by_id, struct container, c) {
		c->volumes_taken = container_is_running(c);
	}
}

void container_volumes_foreign(const struct container *c, struct strv *ret)
{
	size_t pos = 0;
	for (struct volume *v; (v = volume_next(c->set->d.volumes, &pos));) {
		if (!uses(c, volume_name(v)) && is_made(v)) {
			strv_add(ret, volume_mountpoint(v));
		}
	}
}

void container_release_volume(
	struct container_set *s, struct volume *v, container_done_fn *done, void *owner)
{
	struct err e;
	const char *name = volume_name(v);
	bool stays = !is_busy(s, name) && !(volume_needs_mount(v) && volume_is_mounted(v));
	if (stays) {
		done(owner, NULL);
		return;
	}
	if (!is_busy(s, name) && begin(s, v, true, &e) < 0) {
		done(owner, &e);
		return;
	}
	done_add(&job_of(s, name)->waiting, done, owner);
}

struct discard {
	struct container_set *set;
	char name[];
};

static void released(void *owner, const struct err *failed)
{
	scoped(free) struct discard *d = owner;
	struct err e;
	struct volume *v = volume_find(d->set->d.volumes, d->name, &e);
	if (!v || container_using_volume(d->set, d->name)) {
		return;
	}
	if (failed || volume_remove(d->set->d.volumes, v, &e) < 0) {
		log_warning("container", "volume_left", "volume", d->name, "reason",
			failed ? failed->msg : e.msg, NULL);
	}
}

void container_volume_discard(struct container_set *s, struct volume *v)
{
	size_t n = strlen(volume_name(v)) + 1;
	struct discard *d = xcalloc(1, sizeof(*d) + n);
	d->set = s;
	memcpy(d->name, volume_name(v), n);
	container_release_volume(s, v, released, d);
}
