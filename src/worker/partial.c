/* Invariants
 * 1. Whoever writes to or removes a file holds its lock (flock, which ends with its process).
 * 2. The file holds exactly the blob's bytes [0, end): it is written in order, and from a write
 * that failed on never again.
 */
#include "worker/partial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "tree/write_behind.h"

#define HEX_LEN 64
#define DAY_S (24 * 60 * 60)
/* Free space that a blob must find, in blobs: its plain bytes need more of it. */
#define ROOM_FACTOR 4

struct partial {
	int dir_fd, fd;
	char name[HEX_LEN + 1];
	int64_t kept; /* when it was opened */
	int64_t end;  /* now */
	bool gone;    /* dropped, or a write failed */
	struct write_behind *behind;
};

static int open_dir(const char *dir)
{
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		return -1;
	}
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* --- housekeeping --- */

struct found {
	char name[HEX_LEN + 1];
	time_t changed;
};

static int by_age(const void *a, const void *b)
{
	const struct found *l = a, *r = b;
	return l->changed < r->changed ? 1 : l->changed > r->changed ? -1 : 0; /* new ones first */
}

/* Invariant 1. */
static void remove_unused(int dir_fd, const char *name)
{
	scoped(close) int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
		unlinkat(dir_fd, name, 0);
	}
}

void partial_tidy(const char *path)
{
	struct found found[4 * PARTIAL_FILES_MAX];
	size_t n = 0;
	scoped(close) int dir_fd = open_dir(path);
	scoped(close) int list_fd = dir_fd < 0 ? -1 : fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	scoped(closedir) DIR *dir = list_fd < 0 ? NULL : fdopendir(list_fd);
	if (!dir) {
		return;
	}
	(void)TAKE_FD(list_fd);
	struct dirent *entry;
	while (n < sizeof(found) / sizeof(*found) && (entry = readdir(dir))) {
		struct stat st;
		if (text_is_hex(entry->d_name, HEX_LEN) &&
			fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			snprintf(found[n].name, sizeof(found[n].name), "%.64s", entry->d_name);
			found[n++].changed = st.st_mtime;
		}
	}
	qsort(found, n, sizeof(*found), by_age);
	time_t oldest = time(NULL) - (time_t)PARTIAL_DAYS_MAX * DAY_S;
	for (size_t i = 0; i < n; i++) {
		if (i >= PARTIAL_FILES_MAX || found[i].changed < oldest) {
			remove_unused(dir_fd, found[i].name);
		}
	}
}

/* --- one blob --- */

static bool has_room(int dir_fd, int64_t size)
{
	struct statvfs fs;
	return fstatvfs(dir_fd, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * fs.f_frsize / ROOM_FACTOR > (uint64_t)size;
}

/* The file with its lock; -1 when somebody else has it, or has just removed it. */
static int open_locked(int dir_fd, const char *name)
{
	struct stat st;
	scoped(close) int fd =
		openat(dir_fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 ||
		!S_ISREG(st.st_mode) || st.st_nlink == 0) {
		return -1;
	}
	return TAKE_FD(fd);
}

struct partial *partial_open(const char *path, const char *digest, int64_t size)
{
	const char *hex = strchr(digest, ':');
	if (size < PARTIAL_MIN_BYTES || !hex || !text_is_hex(hex + 1, HEX_LEN)) {
		return NULL;
	}
	scoped(close) int dir_fd = open_dir(path);
	if (dir_fd < 0 || !has_room(dir_fd, size)) {
		return NULL;
	}
	scoped(close) int fd = open_locked(dir_fd, hex + 1);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		return NULL;
	}
	if (st.st_size > size) {
		if (ftruncate(fd, 0) < 0) {
			return NULL;
		}
		st.st_size = 0;
	}
	struct partial *p = xnew(struct partial);
	p->dir_fd = TAKE_FD(dir_fd);
	p->fd = TAKE_FD(fd);
	snprintf(p->name, sizeof(p->name), "%.64s", hex + 1);
	p->kept = p->end = st.st_size;
	p->behind = write_behind_new();
	return p;
}

void partial_free(struct partial *p)
{
	if (!p) {
		return;
	}
	write_behind_free(p->behind);
	close(p->fd);
	close(p->dir_fd);
	free(p);
}

int64_t partial_bytes(const struct partial *p)
{
	return p ? p->kept : 0;
}

void partial_drop(struct partial *p)
{
	if (p && !p->gone) {
		unlinkat(p->dir_fd, p->name, 0);
		p->gone = true;
	}
}

/* --- as a stream --- */

struct partial_stream {
	struct stream base;
	struct partial *partial;
	struct stream *rest;
	int64_t at;
};

static void keep(struct partial *p, const void *data, size_t n)
{
	if (p->gone) {
		return;
	}
	if (path_write_at(p->fd, data, n, p->end) < 0) {
		partial_drop(p); /* the layer itself needs the space more */
		return;
	}
	p->end += (int64_t)n;
	write_behind_grow(p->behind, p->fd, p->end);
}

static ssize_t replay(struct partial_stream *s, void *data, size_t n, struct err *e)
{
	struct partial *p = s->partial;
	int64_t left = p->kept - s->at;
	n = (int64_t)n < left ? n : (size_t)left;
	ssize_t got = pread(p->fd, data, n, s->at);
	if (got <= 0) { /* ERR_INVALID: the file is wrong, not the machine */
		return err_set(e, ERR_INVALID, "cannot read what was kept of the layer");
	}
	s->at += got;
	if (s->at == p->kept) {
		(void)posix_fadvise(p->fd, 0, p->kept, POSIX_FADV_DONTNEED);
	}
	return got;
}

static ssize_t partial_read(struct stream *base, void *data, size_t n, struct err *e)
{
	struct partial_stream *s = container_of(base, struct partial_stream, base);
	if (s->at < s->partial->kept) {
		return replay(s, data, n, e);
	}
	ssize_t got = stream_read(s->rest, data, n, e);
	if (got > 0) {
		keep(s->partial, data, (size_t)got);
	}
	return got;
}

static void partial_stream_free(struct stream *base)
{
	free(container_of(base, struct partial_stream, base));
}

struct stream *partial_stream_new(struct partial *p, struct stream *rest)
{
	struct partial_stream *s = xnew(struct partial_stream);
	s->base = (struct stream){partial_read, partial_stream_free};
	s->partial = p;
	s->rest = rest;
	return &s->base;
}
