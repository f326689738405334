/* buildkit/fsutil_writer.h - what a stream of files (fsutil.h) tells becomes files below a
 * directory.
 *
 * Paths are resolved beneath the root and through no link at all: what was made of an earlier entry
 * leads nowhere (CVE-2024-23652 and relatives). What stands in the way of an entry is removed, a
 * directory with all that is in it. A file has no permissions until its content is complete, so
 * that one which a killed program left can be told. Not for several threads; each may have a writer
 * of its own for its files.
 */
#pragma once
#include "base/buf.h"
#include "base/scoped.h"
#include "buildkit/fsutil.h"

#define FSUTIL_RESERVE_BYTES (16u << 20) /* free space that is left to the rest of the system */

struct fsutil_writer;

/* root_fd is borrowed. Everything becomes uid's and gid's, (uid_t)-1: the caller's own. */
struct fsutil_writer *fsutil_writer_new(int root_fd, uid_t uid, gid_t gid);
void fsutil_writer_free(struct fsutil_writer *w); /* NULL is fine */
SCOPED(struct fsutil_writer *, fsutil_writer_free)

/* Anything but the content of a file: a directory (one that is there is kept), a link, another name
 * of a file, a FIFO, a device. */
int fsutil_writer_make(struct fsutil_writer *w, const struct fsutil_stat *st, struct err *e);
int fsutil_writer_remove(struct fsutil_writer *w, const char *path, struct err *e);
/* The directory gets its mode and times at the end, whatever is made in it. make does this. */
void fsutil_writer_touch(struct fsutil_writer *w, const struct fsutil_stat *st);

/* A new, empty file: an fd to write to; then write any number of times, then close with the stat it
 * shall have. */
int fsutil_writer_open(struct fsutil_writer *w, const char *path, int *ret_fd, struct err *e);
int fsutil_writer_write(struct fsutil_writer *w, int fd, const void *data, size_t n,
	const char *path, struct err *e);
int fsutil_writer_close(
	struct fsutil_writer *w, int take_fd, const struct fsutil_stat *st, struct err *e);

/* Modes and times of the directories. */
int fsutil_writer_end(struct fsutil_writer *w, struct err *e);
