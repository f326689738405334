#include "container/volume_watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "volume/volume.h"

#define STEADY_MS 30000 /* between two looks at one that answers */
#define FIRST_MS 2000   /* after the first failure; then twice as long each time, */
#define LONGEST_MS 60000
#define AGAIN_MS 1000
#define SHOWN_MS 2000 /* between two looks because somebody looks */

/* When a volume is looked at again. */
struct volume_look {
	struct list node; /* in set->volume_looks */
	struct container_set *set;
	struct delay *due;
	int failures; /* in a row */
	int64_t looked_ms;
	char name[];
};

char *volume_watch_root(const struct container_set *s)
{
	return xasprintf("%s/volumes", s->d.exec_root);
}

/* --- looks --- */

static struct volume_look *look_of(struct container_set *s, const char *name)
{
	list_each (pos, &s->volume_looks) {
		struct volume_look *l = container_of(pos, struct volume_look, node);
		if (strcmp(l->name, name) == 0) {
			return l;
		}
	}
	return NULL;
}

static struct volume_look *look_for(struct container_set *s, const char *name)
{
	size_t n = strlen(name) + 1;
	struct volume_look *l = look_of(s, name);
	if (!l) {
		l = xcalloc(1, sizeof(*l) + n);
		l->set = s;
		memcpy(l->name, name, n);
		list_append(&s->volume_looks, &l->node);
	}
	return l;
}

static void look_free(struct volume_look *l)
{
	delay_cancel(l->due);
	list_remove(&l->node);
	free(l);
}

static void forget(struct container_set *s, const char *name)
{
	struct volume_look *l = look_of(s, name);
	if (l) {
		look_free(l);
	}
}

void volume_watches_free(struct container_set *s)
{
	list_each_safe (pos, &s->volume_looks) {
		look_free(container_of(pos, struct volume_look, node));
	}
}

static void is_due(void *owner)
{
	struct volume_look *l = owner;
	struct container_set *s = l->set;
	struct err ignored;
	struct volume *v = volume_find(s->d.volumes, l->name, &ignored);
	l->due = NULL;
	if (!v || !container_volume_is_wanted(s, l->name)) {
		look_free(l);
		return;
	}
	container_volume_look(s, v);
}

static void look_in(struct container_set *s, struct volume *v, int64_t ms)
{
	struct volume_look *l = look_for(s, volume_name(v));
	delay_cancel(l->due);
	l->due = delay_start(s->d.loop, ms, is_due, l);
}

static int64_t pause_after(int failures)
{
	int64_t ms = FIRST_MS;
	for (int i = 1; i < failures && ms < LONGEST_MS; i++) {
		ms *= 2;
	}
	return ms < LONGEST_MS ? ms : LONGEST_MS;
}

void volume_watch_plan(struct container_set *s, struct volume *v)
{
	const struct volume_look *l = look_for(s, volume_name(v));
	if (!l->due) {
		look_in(s, v,
			volume_state(v) == VOLUME_MOUNTED ? STEADY_MS : pause_after(l->failures));
	}
}

void volume_watch_again(struct container_set *s, struct volume *v)
{
	look_in(s, v, AGAIN_MS);
}

bool volume_watch_looked_since(struct container_set *s, const struct volume *v, int64_t mono_ms)
{
	const struct volume_look *l = look_of(s, volume_name(v));
	return l && l->looked_ms && l->looked_ms >= mono_ms;
}

void container_volume_shown(struct container_set *s, struct volume *v)
{
	if (volume_is_watched(v) && !volume_watch_looked_since(s, v, clock_mono_ms() - SHOWN_MS)) {
		container_volume_look(s, v);
	}
}

void container_volume_retry(struct container_set *s, struct volume *v)
{
	if (volume_is_watched(v) && volume_state(v) != VOLUME_MOUNTED) {
		container_volume_look(s, v);
	}
}

/* --- states --- */

static void note_look(struct container_set *s, const struct volume *v, bool answers)
{
	struct volume_look *l = look_for(s, volume_name(v));
	l->failures = answers ? 0 : l->failures + 1;
	l->looked_ms = clock_mono_ms();
	delay_cancel(l->due); /* the next one is planned anew */
	l->due = NULL;
}

bool volume_watch_kept(
	struct container_set *s, struct volume *v, const json_t *result, struct err *ret_why)
{
	bool answers = json_bool(result, "answers");
	enum volume_state state = answers                        ? VOLUME_MOUNTED
				  : json_bool(result, "mounted") ? VOLUME_DEGRADED
								 : VOLUME_WAITING;
	note_look(s, v, answers);
	if (json_bool(result, "fresh") && volume_state(v) == VOLUME_DEGRADED) {
		log_info("volume", "mounted_anew", "name", volume_name(v), NULL);
	}
	volume_set_state(s->d.volumes, v, state, json_str(result, "reason"));
	if (!answers) {
		(void)err_set(ret_why, ERR_SYSTEM, "%s", json_str(result, "words"));
	}
	return answers;
}

bool volume_watch_left(
	struct container_set *s, struct volume *v, const json_t *result, struct err *ret_why)
{
	scoped(free) char *reason =
		xstrdup(volume_state(v) == VOLUME_MOUNTED ? "" : volume_reason(v));
	forget(s, volume_name(v));
	volume_set_state(s->d.volumes, v, VOLUME_UNUSED, reason);
	if (!json_bool(result, "mounted")) {
		return true;
	}
	(void)err_set(ret_why, ERR_SYSTEM, "volume %s cannot be unmounted", volume_name(v));
	log_warning("volume", "not_unmounted", "name", volume_name(v), NULL);
	return false;
}

void volume_watch_resume(struct container_set *s, struct volume *v, bool needed)
{
	bool mounted = volume_is_mounted(v);
	if (needed || mounted) {
		volume_take_state(v, mounted ? VOLUME_MOUNTED : VOLUME_WAITING);
	}
	if (needed) {
		look_in(s, v, 0);
	}
}

/* --- what a container gets --- */

char *volume_watch_missing(const struct container *c, bool *ret_patient)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		struct err ignored;
		const struct mount_point *m = &c->mounts.v[i];
		const struct volume *v = m->kind == MOUNT_VOLUME
						 ? volume_find(c->set->d.volumes, m->name, &ignored)
						 : NULL;
		if (!v || !volume_is_watched(v) || volume_state(v) == VOLUME_MOUNTED) {
			continue;
		}
		enum remote_start start = volume_start_of(v);
		bool away = volume_state(v) != VOLUME_UNUSED && start == REMOTE_START_FAILS;
		if (away || start == REMOTE_START_WAITS) {
			*ret_patient = start == REMOTE_START_WAITS;
			return xasprintf("volume %s", m->name);
		}
	}
	*ret_patient = false;
	return NULL;
}

const struct volume *volume_watch_of(const struct container *c, const struct mount_point *m)
{
	struct err ignored;
	const struct volume *v = m->kind == MOUNT_VOLUME && !m->subpath
					 ? volume_find(c->set->d.volumes, m->name, &ignored)
					 : NULL;
	return v && volume_is_watched(v) ? v : NULL;
}

static char *place_for(const struct container *c, const struct mount_point *m, bool read_only)
{
	scoped(free) char *root = volume_watch_root(c->set);
	return xasprintf("%s/%s/%s", root, read_only ? "ro" : "rw", m->name);
}

void volume_watch_mounts(const struct container *c, const struct mount_point *m, const char *access,
	storage_mount_fn *add, void *arg)
{
	const struct volume *v = volume_watch_of(c, m);
	add(arg, place_for(c, m, *access != '\0'), m->target,
		"rbind,rslave,ro,nosuid,nodev,noexec");
	if (volume_state(v) == VOLUME_MOUNTED) {
		char options[64];
		snprintf(options, sizeof(options), "rbind,rslave%s", access);
		add(arg, xstrdup(volume_mountpoint(v)), m->target, options);
	}
}

/* The place is mounted in the container without what is mounted on it: storage_shim_args. */
void volume_watch_shim_args(const struct container *c, struct strv *args)
{
	for (size_t i = 0; i < c->mounts.n; i++) {
		const struct mount_point *m = &c->mounts.v[i];
		for (int ro = 0; ro < 2 && volume_watch_of(c, m); ro++) {
			scoped(free) char *place = place_for(c, m, ro);
			strv_addf(args, "--let-go=%s", place);
		}
	}
}
