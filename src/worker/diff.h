/* worker/diff.h - what one step changed, as its layer's digest.
 *
 * The directory is what overlayfs left in upperdir: changed files, whiteouts and opaque
 * directories. The digest is that of the OCI layer tar of it (image-spec layer.md), entries sorted,
 * times kept, which is hashed while it is made and never stored.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tree/pack.h"

struct diff_result {
	char diff_id[72]; /* "sha256:..." */
	int64_t bytes;    /* of regular files */
	int64_t entries;
};

/* Whether dir_fd/name, which is path below the upper directory, is no change that a layer should
 * have: it stays away with all below it. */
typedef bool diff_skip_fn(void *owner, int dir_fd, const char *name, const char *path);

/* recipe: what re-creates the tar from the directory. */
int diff_hash(int upper_fd, struct recipe_writer *recipe, struct diff_result *ret, struct err *e);

/* The tar itself, for whoever makes a layer of it: write is called with each piece, -1 with *e ends
 * it. skip may be NULL. */
int diff_pack(int upper_fd, pack_write_fn *write, diff_skip_fn *skip, void *owner,
	struct diff_result *ret, struct err *e);
