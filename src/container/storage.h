/* container/storage.h - disks that come and go while a container runs: labels wherry.storage.NAME.
 *
 * Each rule of a container has a place, RUN/storage/place/KEY, which is mounted in the container
 * read-only and empty; a disk that matches is mounted over it there and here at once, because what
 * happens to mounts in RUN/storage propagates (worker/storage.h). One job looks at all of it,
 * whenever something has changed: a device, or who needs what. Included by container/ only.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/strv.h"
#include "container/internal.h"
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

/* The container's labels and mounts are there; ERR_INVALID names a label. */
int storage_init(struct container *c, struct err *e);
void storage_free(struct storage *s);

/* Before anything is started for it: 1: go on; 0: container_launch is called again; -1 with *e: a
 * disk is missing. */
int storage_ready(struct container *c, struct err *e);
/* Calls add for each mount that its configuration gets, in this order. The texts are the caller's
 * to free. */
typedef void storage_mount_fn(
	void *arg, char *take_source, const char *target, const char *options);
void storage_mounts(const struct container *c, storage_mount_fn *add, void *arg);
void storage_shim_args(const struct container *c, struct strv *args);
bool storage_is_wanted(const struct container *c);
void storage_changed(struct container *c); /* it has started or ended */

/* "disk labelled MEDIA": a required one that is not there; the caller's, or NULL. */
char *storage_missing(const struct container *c);

void storage_listen(struct container_set *s);
void storage_unlisten(struct container_set *s);
