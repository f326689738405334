/* worker/build_mounts.h - RUN --mount: what a step sees in its root that is not part of it.
 *
 * A source is never named to the runtime by a path that a stranger's link could change: it is
 * opened below its root (base/path.h), mounted by that descriptor at a place of ours, and the
 * runtime gets that place. Targets are resolved in the step's root before anything runs there.
 * Caches: build_mount_cache.h.
 */
#pragma once
#include "build/run_mount.h"
#include "oci/spec.h"
#include "worker/build.h"

#define BUILD_MOUNTS_MAX 64

struct build_cache_use;
struct ssh_relay;

struct build_mounts {
	const struct build_step *t;
	struct run_mount flags[BUILD_MOUNTS_MAX];
	size_t n_flags;
	struct oci_mount v[BUILD_MOUNTS_MAX]; /* strings are owned by texts */
	bool is_file[BUILD_MOUNTS_MAX];
	size_t n;
	struct strv texts;
	struct strv mounted;            /* our own mount points, to be unmounted again */
	struct build_cache_use *caches; /* build_mount_cache.c's */
	size_t n_caches;
	struct strv env;          /* NAME=value: secrets of the step's environment */
	struct strv env_defaults; /* NAME=value, unless the step has it: SSH_AUTH_SOCK */
	const char *private;      /* a tmpfs for what must not reach the disk, or NULL */
	struct ssh_relay *relays[BUILD_MOUNTS_MAX];
	size_t n_relays;
	struct build_stub *stubs; /* mount points made in the root */
	size_t n_stubs;
};

void build_mounts_init(struct build_mounts *m, const struct build_step *t);
void build_mounts_deinit(struct build_mounts *m); /* unmounts, unlocks */
static inline void scoped_build_mounts(struct build_mounts *m)
{
	build_mounts_deinit(m);
}

/* Reads the step's --mount flags. First of all. */
int build_mounts_read(struct build_mounts *m, struct err *e);
/* Mixes what the flags mean into a cache key: contents of binds, but not of caches or secrets. */
int build_mounts_key(const struct build_mounts *m, char key[static 65], struct err *e);
/* Prepares the sources of all flags. */
int build_mounts_open(struct build_mounts *m, struct err *e);
int build_mounts_add(struct build_mounts *m, const char *source, const char *target,
	const char *type, const char *options, bool is_file, struct err *e);

/* --- build_mount_points.c --- */
/* Makes the mount points in the root, and remembers which; drop takes those away that nobody has
 * filled. Targets become what they are with all links resolved; /proc, /sys and /dev are refused.
 */
int build_mounts_make_points(struct build_mounts *m, struct build_layer *l, struct err *e);
void build_mounts_drop_points(struct build_mounts *m, struct build_layer *l);

/* --- shared by the build_mount_*.c --- */
/* The text lives as long as m. */
const char *build_mounts_keep(struct build_mounts *m, char *take_text);
/* A new directory of ours for this step: its path (kept), or NULL. */
const char *build_mounts_dir(struct build_mounts *m, const char *what, struct err *e);
/* The step's tmpfs, made when it is first wanted: its path, or NULL. The bundle and the runtime's
 * state are in it then, too: both hold the step's environment. */
const char *build_mounts_private(struct build_mounts *m, struct err *e);
/* Mounts what fd is at a place of ours: its path (kept), or NULL. */
const char *build_mounts_by_fd(
	struct build_mounts *m, int fd, bool is_file, const char *what, struct err *e);
/* An absolute, clean target. */
char *build_mounts_target(const struct build_mounts *m, const struct run_mount *f);
/* What from= names, mounted read-only: an open fd of its root; the context when from is NULL. */
int build_mounts_from(struct build_mounts *m, const char *from, struct err *e);
int build_mounts_missing(const struct run_mount *f, struct err *e); /* the error: -1 */
/* --- one flag of each type --- */
int build_mount_bind(struct build_mounts *m, const struct run_mount *f, struct err *e);
int build_mount_secret(struct build_mounts *m, const struct run_mount *f, struct err *e);
int build_mount_ssh(struct build_mounts *m, const struct run_mount *f, struct err *e);
