/* worker/build_mounts.h - RUN --mount: what a step sees in its root that is not part of it. */
#pragma once
#include "oci/spec.h"
#include "worker/build.h"

#define BUILD_MOUNTS_MAX 64

struct build_mounts {
	const struct build_step *t;
	struct oci_mount v[BUILD_MOUNTS_MAX]; /* strings are owned by texts */
	bool is_file[BUILD_MOUNTS_MAX];
	size_t n;
	struct strv texts;
	struct strv mounted; /* our own mount points, to be unmounted again */
	int locks[BUILD_MOUNTS_MAX];
	size_t n_locks;
	struct build_stub *stubs; /* mount points made in the root */
	size_t n_stubs;
};

void build_mounts_init(struct build_mounts *m, const struct build_step *t);
void build_mounts_deinit(struct build_mounts *m); /* unmounts, unlocks */
static inline void scoped_build_mounts(struct build_mounts *m)
{
	build_mounts_deinit(m);
}

/* Mixes what the --mount flags mean into a cache key: contents of binds, but not of caches. */
int build_mounts_key(const struct build_step *t, char key[static 65], struct err *e);
/* Prepares the sources of all --mount flags. */
int build_mounts_open(struct build_mounts *m, struct err *e);
int build_mounts_add(struct build_mounts *m, const char *source, const char *target,
	const char *type, const char *options, bool is_file, struct err *e);
/* Makes the mount points in the root, and remembers which; drop takes those away that nobody has
 * filled. */
int build_mounts_make_points(struct build_mounts *m, struct build_layer *l, struct err *e);
void build_mounts_drop_points(struct build_mounts *m, struct build_layer *l);
