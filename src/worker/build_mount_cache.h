/* worker/build_mount_cache.h - RUN --mount=type=cache: directories that outlive the build.
 *
 * CACHE_DIR/mounts/KEY[.N]/ belongs to one cache; N counts the ones that sharing=private has made
 * because the others were in use. In it:
 *   data/    what the step sees
 *   about    {"id", "target", "from", "created"}: for people; its mtime is the last use
 * A directory is flock(2)ed while a step uses it: shared, or exclusively (sharing=locked, private).
 * Who removes one locks it exclusively first and renames it away (cache_mounts.c); who opens
 * one looks, with the lock, whether it is still there.
 */
#pragma once
#include "worker/build_mounts.h"

struct build_cache_use {
	char key[65];
	enum run_mount_sharing sharing; /* the strictest that the step asks for */
	const struct run_mount *flag;   /* the first */
	int lock_fd, data_fd;
};

/* Opens the caches of all flags, each once, in the order of their keys: two steps that want the
 * same ones never wait for each other. Waits as long as other steps hold one. */
int build_caches_open(struct build_mounts *m, struct err *e);
void build_caches_close(struct build_mounts *m);
/* Adds the mount of an opened one. */
int build_mount_cache(struct build_mounts *m, const struct run_mount *f, struct err *e);
