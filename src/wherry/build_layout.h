/* wherry/build_layout.h - an OCI layout in a directory of ours (image-spec image-layout.md): what a
 * build's session reads and writes for the engine.
 *
 * Names below the directory are made from digests that were checked by their grammar; a link in it
 * leads nowhere outside. The engine's bytes get their name only when they have its digest.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

/* An fd of the directory, which is made (with make) or must be there. -1 with *e. */
int build_layout_open(const char *path, bool make, struct err *e);

/* What index.json has under the name: that of an image or a tag, or, without one (""), the only
 * image. ERR_NOT_FOUND. */
int build_layout_find(int dir_fd, const char *name, char ret_digest[static 72], struct err *e);
/* Adds a descriptor under the name, in the place of the one before; oci-layout is written, too.
 * The name is a tag, or the name of an image ("docker.io/library/x:1"), whose tag it then is. */
int build_layout_put(int dir_fd, const json_t *descriptor, const char *name, struct err *e);

/* ERR_NOT_FOUND when there is no such blob; ERR_INVALID for what is no digest. */
int build_layout_blob(int dir_fd, const char *digest, int64_t *ret_size, struct err *e);

/* A blob on its way. */
struct build_layout_write {
	int dir_fd; /* of the blobs */
	int fd;
	char name[64]; /* until it has its own */
	int64_t size;
};
int build_layout_begin(int dir_fd, struct build_layout_write *ret, struct err *e);
/* At the end of what there is; offset 0 begins anew. */
int build_layout_append(
	struct build_layout_write *w, int64_t offset, const void *data, size_t n, struct err *e);
int build_layout_commit(struct build_layout_write *w, const char *digest, struct err *e);
void build_layout_end(struct build_layout_write *w); /* removes what was not committed */
