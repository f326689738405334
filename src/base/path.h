/* base/path.h - files and directories, safely. All return -errno on failure.
 *
 * Paths that an image, an archive or a user chose are resolved under a root fd by path_open_in,
 * never by joining strings (openat2(2) RESOLVE_IN_ROOT: "..", absolute links and magic links cannot
 * leave it).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/strv.h"

/* Opens path as a process chrooted into root_fd would see it; flags get O_CLOEXEC. Returns the fd.
 */
int path_open_in(int root_fd, const char *path, int flags, mode_t mode);
/* The same, but what leads out of root_fd, also to its top by an absolute link, is -EXDEV. */
int path_open_beneath(int root_fd, const char *path, int flags);
/* The same, and a link anywhere in path, its end included, is -ELOOP. */
int path_open_plain(int root_fd, const char *path, int flags);

/* Makes path and its missing parents under root_fd, every link resolved inside it; mode for new
 * ones. Returns an O_PATH fd of the last directory; -ENOTDIR when something else stands in the way.
 */
int path_mkdir_in(int root_fd, const char *path, mode_t mode);

/* For our own directories, whose parents we trust. */
int path_mkdirs(const char *path, mode_t mode);
/* Removes a tree without following links or entering what is mounted in it. -ENOENT is success. */
int path_remove_tree(int dirfd, const char *name);
/* The same for a directory of at most entries_max names, none of them a file over 1 MiB; -E2BIG
 * when more is there: then some of it is gone. */
int path_remove_small_tree(int dirfd, const char *name, size_t entries_max);

/* Reads a whole file of at most limit bytes; -EFBIG beyond. */
int path_read(int dirfd, const char *name, size_t limit, struct buf *ret);
int path_read_fd(int fd, size_t limit, struct buf *ret); /* from where fd is */
/* Replaces a file: temporary name, optional fsync, rename. */
int path_write(int dirfd, const char *name, const void *data, size_t n, mode_t mode, bool durable);

/* One path component as user-supplied names must be: not "", ".", "..", no '/', at most 255 bytes.
 */
bool path_is_component(const char *name);
/* Lexical clean-up as Go's path.Clean: "/a/./b/../c//" to "/a/c". The result is the caller's. */
char *path_clean(const char *path);
/* a/b, or b alone when it is absolute; cleaned; the result is the caller's. */
char *path_join(const char *a, const char *b);

/* Writes all n bytes to a blocking fd, through EINTR and short writes. */
int path_write_all(int fd, const void *data, size_t n);
int path_write_at(int fd, const void *data, size_t n, int64_t offset); /* pwrite(2) */

/* The names in a directory without "." and "..", sorted: what comes of them must not depend on the
 * filesystem. */
int path_list(int dirfd, struct strv *ret);
