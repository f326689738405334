/* Volumes with a filesystem of their own: mounted before the first container that uses them starts,
 * unmounted when the last one has ended. By workers, in the daemon's mount namespace: shims that
 * start afterwards have the mount, and let go of those that are not theirs (shim --let-go).
 *
 * Invariants
 * 1. Nothing is counted: who uses a volume is asked of the containers' states, whether it is
 * mounted of the kernel. So a daemon that was killed has nothing to repair but what nobody uses.
 * 2. At most one job works on a volume; who needs it meanwhile waits (awaits_volume) and looks
 * again.
 */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "container/internal.h"
#include "job/job.h"
#include "volume/volume.h"

struct volume_job {
	struct list node; /* in set->volume_jobs */
	struct container_set *set;
	bool unmounts;
	char name[];
};

static bool is_busy(const struct container_set *s, const char *name)
{
	list_each (pos, &s->volume_jobs) {
		if (strcmp(container_of(pos, struct volume_job, node)->name, name) == 0) {
			return true;
		}
	}
	return false;
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

static int begin(struct container_set *s, struct volume *v, bool unmounts, struct err *e);

/* Nobody needs it any more: away with the mount. */
static void settle(struct container_set *s, const char *name)
{
	struct err e;
	struct volume *v = volume_find(s->d.volumes, name, &e);
	if (!v || !volume_needs_mount(v) || s->closing || is_busy(s, name) || is_needed(s, name) ||
		!volume_is_mounted(v)) {
		return;
	}
	if (begin(s, v, true, &e) < 0) {
		log_warning("volume", "not_unmounted", "name", name, "reason", e.msg, NULL);
	}
}

/* Those who waited: those of this volume have failed with it, the others look again. */
static void wake(struct container_set *s, const char *failed, const struct err *why)
{
	scoped(strv) struct strv ids = STRV_INIT;
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
		if (failed && uses(c, failed)) {
			container_start_failed(c, why);
		} else {
			container_launch(c);
		}
	}
}

static void job_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	scoped(free) struct volume_job *w = owner;
	struct container_set *s = w->set;
	struct err reason = {0};
	list_remove(&w->node);
	if (s->closing || (!result && e->kind == ERR_BUSY)) { /* the daemon ends */
		return;
	}
	if (!result) {
		const struct volume *v = volume_find(s->d.volumes, w->name, &reason);
		reason = *e;
		(void)err_wrap(&reason, "error while mounting volume '%s'",
			v ? volume_mountpoint(v) : w->name);
		log_warning("volume", w->unmounts ? "not_unmounted" : "not_mounted", "name",
			w->name, "reason", e->msg, NULL);
	}
	wake(s, !result && !w->unmounts ? w->name : NULL, &reason);
	if (!w->unmounts) {
		settle(s, w->name); /* who asked may have gone meanwhile */
	}
}

static int begin(struct container_set *s, struct volume *v, bool unmounts, struct err *e)
{
	static const struct job_handlers handlers = {NULL, NULL, job_done};
	size_t n = strlen(volume_name(v)) + 1;
	struct volume_job *w = xcalloc(1, sizeof(*w) + n);
	w->set = s;
	w->unmounts = unmounts;
	memcpy(w->name, volume_name(v), n);
	if (!job_start(s->d.jobs, unmounts ? "unmount-volume" : "mount-volume",
		    volume_mount_request(v), -1, false, &handlers, w, e)) {
		free(w);
		return -1;
	}
	list_append(&s->volume_jobs, &w->node);
	return 0;
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
			if (volume_is_mounted(v)) {
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
		if (volume_needs_mount(v) && !uses(c, volume_name(v)) && volume_is_mounted(v)) {
			strv_add(ret, volume_mountpoint(v));
		}
	}
}
