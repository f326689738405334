/* worker/context.h - the build context and the archives in it: a stranger's tar as plain files.
 *
 * Unlike unpack.h nothing is a whiteout here. Every name and every link on the way is resolved
 * below a root fd, so that no entry and no earlier link reaches outside.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "build/ignore.h"
#include "worker/copy.h"

struct file_index;
struct stream;

#define CONTEXT_ENTRIES_MAX 2000000
#define CONTEXT_RESERVE_BYTES (16u << 20) /* free space that is left to the rest of the system */

struct extract_options {
	bool context; /* everything belongs to root, devices are refused: what a client sent */
	bool set_owner;
	uid_t uid;
	gid_t gid;
};

/* tar, which may be compressed by gzip, bzip2, xz or zstd, below the existing directory base of
 * root_fd. */
int context_extract(int root_fd, const char *base, struct stream *packed,
	const struct extract_options *o, struct err *e);
/* Whether the file begins like an archive that ADD unpacks (and is not one without any entry); its
 * position is 0 again. */
bool context_is_archive(int fd);

/* A file of the context. ERR_NOT_FOUND when it is absent or no regular file. */
int context_read(int context_fd, const char *path, size_t limit, struct buf *ret, struct err *e);
/* Removes what the patterns ignore. */
int context_prune(int context_fd, const struct ignore *g, struct err *e);

/* What COPY of path means for the cache: a digest over names, types, modes, contents and link
 * targets (not times; owners too where with_owners) of the file or tree. filter as in copy.h. ret
 * holds 64 hex digits. */
int context_digest(int root_fd, const char *path, bool with_owners, copy_filter *filter,
	void *owner, char ret[static 65], struct err *e);
/* The same of a directory that belongs to root and whose files are known: nothing is read. path:
 * below its top, clean, through no link. */
int context_digest_index(const struct file_index *x, const char *path, copy_filter *filter,
	void *owner, char ret[static 65], struct err *e);
