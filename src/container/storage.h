/* container/storage.h - disks that come and go while a container runs: labels wherry.storage.NAME.
 *
 * Each rule of a container has a place, RUN/storage/place/KEY, which is mounted in the container
 * read-only and empty; a disk that matches is mounted over it there and here at once, because what
 * happens to mounts in RUN/storage propagates (worker/storage.h). One job looks at all of it,
 * whenever something has changed: a device, or who needs what. Included by container/ only.
 *
 * storage.c           the job, and who waits for it
 * storage_use.c       what a container asks for, and the mounts it gets
 * storage_attempts.c  mounting one disk, and again when that failed
 * storage_shown.c     events, inspect, who uses a device
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/strv.h"
#include "container/internal.h"
#include "container/storage_attempts.h"
#include "device/storage_rule.h"

/* A rule of one container. */
struct storage_use {
	struct storage_rule *rule;
	char *key;
	json_t *disks; /* what is there, as the job told it; NULL before the first time */
	bool pending;  /* something that it wants is about to be mounted */
};

struct storage {
	struct storage_use *uses;
	size_t n;
	struct delay *patience;
	bool awaits;    /* its launch goes on when the job has looked */
	bool prepared;  /* it has: nothing comes to its places before it has started */
	bool impatient; /* it starts without what is pending */
};

/* --- storage_use.c --- */
/* The container's labels and mounts are there; ERR_INVALID names a label. */
int storage_init(struct container *c, struct err *e);
void storage_free(struct storage *s);
/* Calls add for each mount that its configuration gets, in this order. The texts are the caller's
 * to free. */
typedef void storage_mount_fn(
	void *arg, char *take_source, const char *target, const char *options);
void storage_mounts(const struct container *c, storage_mount_fn *add, void *arg);
void storage_shim_args(const struct container *c, struct strv *args);
bool storage_is_wanted(const struct container *c);
char *storage_root(const struct container_set *s); /* RUN/storage; the caller's */
char *storage_place(const struct container *c, const struct storage_use *u); /* the caller's */

/* --- storage.c --- */
/* Before anything is started for it: 1: go on; 0: container_launch is called again; -1 with *e: a
 * disk is missing. */
int storage_ready(struct container *c, struct err *e);
void storage_changed(struct container *c); /* it has started or ended */
void storage_listen(struct container_set *s);
void storage_unlisten(struct container_set *s);
const struct storage_attempts *storage_attempts_of(const struct container_set *s); /* or NULL */

/* --- storage_shown.c --- */
/* "disk labelled MEDIA": a required one that is not there, with the reason when it could not be
 * mounted; the caller's, or NULL. */
char *storage_missing(const struct container *c);
/* Log and events: disk, as the job told it, has come to its place or gone. */
void storage_tell_change(
	struct container *c, const struct storage_use *u, const json_t *disk, bool added);
/* To all who would have had it. */
void storage_tell_failure(struct container_set *s, const struct storage_attempt *a);
void storage_put_mounts(const struct container *c, json_t *list); /* as inspect shows binds */
json_t *storage_inspect(const struct container *c);               /* [] when it is not wanted */
struct device;
/* Those of its rules that mean d, as /wherry/v1/devices shows them. */
void storage_put_uses(const struct container *c, const struct device *d, json_t *uses);
