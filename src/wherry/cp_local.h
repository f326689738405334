/* wherry/cp_local.h - this machine's end of `wherry cp`: its files as an archive, an archive as its
 * files. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "http/client.h"
#include "tree/stream.h"

struct cp_pack; /* an archive that is made while it is read */

/* path: absolute; a link at its end is followed when it says directory, or with follow. The root of
 * the archive is called name. *ret_is_dir as of the source. NULL with *e. */
struct cp_pack *cp_pack_new(const char *path, bool follow, bool *ret_is_dir, struct err *e);
/* Of whatever fill packs, on a thread of its own; cp_pack_start's name is not used then. */
struct pack;
typedef int cp_fill_fn(void *owner, struct pack *p, struct err *e);
struct cp_pack *cp_pack_of(cp_fill_fn *fill, void *owner);
/* Starts making it; then an http_source's read, owner is the pack. */
int cp_pack_start(struct cp_pack *p, const char *name, struct err *e);
long cp_pack_read(void *owner, char *data, size_t n);
int cp_pack_end(struct cp_pack *p, struct err *e); /* why the archive ended early, or 0 */
int64_t cp_pack_bytes(const struct cp_pack *p);
void cp_pack_free(struct cp_pack *p);

/* The archive's files below directory dir, as this user's. old_root, new_root: tree/unpack.h.
 * Nothing outside of dir is touched, whatever the archive holds. */
int cp_unpack(const char *dir, const char *old_root, const char *new_root, struct stream *tar,
	struct err *e);
