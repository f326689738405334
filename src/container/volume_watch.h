/* container/volume_watch.h - volumes whose server may be away: their states, when they are looked
 * at, and what of them a container gets. Included by container/ only.
 *
 * Each is mounted by the job keep-volume (worker/keep_volume.c), and looked at by it: soon again
 * while it is away, now and then while it answers, never while nobody wants it. A container has a
 * read-only, empty place bound as a slave, and the volume over it; what is mounted later comes to
 * the place by itself, as disks do (storage.h).
 */
#pragma once
#include "container/bundle.h"
#include "container/internal.h"
#include "container/storage.h"

struct volume;

char *volume_watch_root(const struct container_set *s); /* RUN/volumes; the caller's */
/* The results of the jobs become the state. False with *ret_why: it is away; it is still mounted.
 */
bool volume_watch_kept(
	struct container_set *s, struct volume *v, const json_t *result, struct err *ret_why);
bool volume_watch_left(
	struct container_set *s, struct volume *v, const json_t *result, struct err *ret_why);
/* The daemon has just started; needed: by containers that run. */
void volume_watch_resume(struct container_set *s, struct volume *v, bool needed);
/* The next look, for one that somebody wants; volume_watch_again: very soon. */
void volume_watch_plan(struct container_set *s, struct volume *v);
void volume_watch_again(struct container_set *s, struct volume *v);
bool volume_watch_looked_since(
	struct container_set *s, const struct volume *v, int64_t mono_ms); /* a look has ended */
void volume_watches_free(struct container_set *s);

/* "volume media": one that keeps the container from starting, or NULL; the caller's. *ret_patient:
 * it was told to wait for it. */
char *volume_watch_missing(const struct container *c, bool *ret_patient);

/* The volume that m is, when it comes and goes in the container; NULL. */
const struct volume *volume_watch_of(const struct container *c, const struct mount_point *m);
/* access: ",ro" and the like, of the volume. */
void volume_watch_mounts(const struct container *c, const struct mount_point *m, const char *access,
	storage_mount_fn *add, void *arg);
void volume_watch_shim_args(const struct container *c, struct strv *args);
