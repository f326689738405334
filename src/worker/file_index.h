/* worker/file_index.h - what a tree of files holds: names, stats, and digests of contents.
 *
 * Kept beside a directory (kept.h), so that the tree need not be read to know what it holds. In
 * memory it is some 120 bytes a file. On disk it is trusted as far as its own digest goes: who
 * changes the directory otherwise removes the index first.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"
#include "buildkit/fsutil.h"

struct file_entry {
	uint64_t path, link; /* in the index's text */
	int64_t size, mtime_ns;
	uint32_t mode; /* as in struct stat */
	bool has_digest;
	bool changed;             /* by the transfer that made this index; not kept */
	unsigned char digest[32]; /* SHA-256 of a regular file's content */
};

struct file_index {
	struct file_entry *v; /* in the order of fsutil_path_compare */
	size_t n, room;
	struct buf text;
	bool durable; /* what it says is on disk also after a power cut */
};

void file_index_deinit(struct file_index *x);
static inline void scoped_file_index(struct file_index *x)
{
	file_index_deinit(x);
}
/* Behind those that are there; paths come in order. */
struct file_entry *file_index_add(struct file_index *x, const struct fsutil_stat *st);
static inline const char *file_index_path(const struct file_index *x, const struct file_entry *f)
{
	return buf_str(&x->text) + f->path;
}
static inline const char *file_index_link(const struct file_index *x, const struct file_entry *f)
{
	return buf_str(&x->text) + f->link;
}
struct file_entry *file_index_find(const struct file_index *x, const char *path); /* or NULL */
/* The first that is not before path, or one behind the last. */
size_t file_index_from(const struct file_index *x, const char *path);
/* Whether the entry, told again, would be the same file: type, mode, size, time, link. */
bool file_index_same(
	const struct file_index *x, const struct file_entry *f, const struct fsutil_stat *st);

/* The file "index" in dir_fd. Without durable it is good for this boot of the machine only. */
int file_index_write(const struct file_index *x, int dir_fd, const char *name, struct err *e);
/* ERR_NOT_FOUND when there is none that can be trusted; *ret is empty then. */
int file_index_read(int dir_fd, const char *name, struct file_index *ret, struct err *e);
/* The one that was written is durable now: called after all that it names is. -errno */
int file_index_set_durable(int dir_fd, const char *name);
/* As file_index_read, of a text (tests, fuzzing). boot: 16 bytes. */
int file_index_parse(const void *data, size_t n, const unsigned char boot[static 16],
	struct file_index *ret, struct err *e);
