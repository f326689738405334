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

#define DIFF_ENTRIES_MAX 2000000

struct diff_result {
	char diff_id[72]; /* "sha256:..." */
	int64_t bytes;    /* of regular files */
	int64_t entries;
};

int diff_hash(int upper_fd, struct diff_result *ret, struct err *e);

/* The tar itself, for whoever exports a layer: write is called with each piece, -1 with *e ends it.
 */
typedef int diff_write_fn(void *owner, const void *data, size_t n, struct err *e);
int diff_pack(
	int upper_fd, diff_write_fn *write, void *owner, struct diff_result *ret, struct err *e);
