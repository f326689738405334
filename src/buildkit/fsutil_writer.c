#include "buildkit/fsutil_writer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"

#define SPACE_CHECK_BYTES (32 << 20)

struct dir {
	char *path;
	mode_t mode;
	int64_t mtime_ns;
};

struct fsutil_writer {
	int root_fd;
	uid_t uid;
	gid_t gid;
	struct buf parent; /* the path of parent_fd */
	int parent_fd;     /* -1: none is open */
	struct dir *dirs;
	size_t n_dirs, dirs_room;
	int64_t unchecked_bytes;
};

struct fsutil_writer *fsutil_writer_new(int root_fd, uid_t uid, gid_t gid)
{
	struct fsutil_writer *w = xnew(struct fsutil_writer);
	*w = (struct fsutil_writer){.root_fd = root_fd, .uid = uid, .gid = gid, .parent_fd = -1};
	return w;
}

static void forget_parent(struct fsutil_writer *w)
{
	if (w->parent_fd >= 0) {
		close(w->parent_fd);
		w->parent_fd = -1;
	}
}

void fsutil_writer_free(struct fsutil_writer *w)
{
	if (!w) {
		return;
	}
	for (size_t i = 0; i < w->n_dirs; i++) {
		free(w->dirs[i].path);
	}
	free(w->dirs);
	forget_parent(w);
	buf_deinit(&w->parent);
	free(w);
}

static int write_error(struct err *e, int errnum, const char *path)
{
	if (errnum == ENOSPC || errnum == EDQUOT) {
		return err_set(e, ERR_SYSTEM, "cannot write %.200s: no space left on device", path);
	}
	return err_sys(e, errnum, "cannot write %.200s", path);
}

/* The directory that path is in, borrowed until the next call, and its name there. -errno */
static int open_parent(struct fsutil_writer *w, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;
	*ret_name = slash ? slash + 1 : path;
	if (!slash) {
		return w->root_fd;
	}
	if (w->parent_fd >= 0 && w->parent.len == n && memcmp(w->parent.data, path, n) == 0) {
		return w->parent_fd;
	}
	forget_parent(w);
	buf_clear(&w->parent);
	buf_append(&w->parent, path, n);
	w->parent_fd = path_open_plain(w->root_fd, buf_str(&w->parent), O_RDONLY | O_DIRECTORY);
	return w->parent_fd;
}

/* --- what stands in the way --- */

static int clear_way(struct fsutil_writer *w, int dir, const char *name)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT) {
		return 0;
	}
	if (errno != EISDIR && errno != EPERM) { /* POSIX says EPERM */
		return -errno;
	}
	return path_remove_tree(dir, name);
}

int fsutil_writer_remove(struct fsutil_writer *w, const char *path, struct err *e)
{
	const char *name;
	int dir = open_parent(w, path, &name);
	bool gone = dir == -ENOENT || dir == -ENOTDIR || dir == -ELOOP; /* with its parent */
	int r = gone ? 0 : dir < 0 ? dir : clear_way(w, dir, name);
	forget_parent(w); /* it may be what went */
	return r < 0 ? write_error(e, -r, path) : 0;
}

/* --- entries --- */

static void mtime(int64_t ns, struct timespec ret[2])
{
	int64_t sec = ns / 1000000000, rest = ns % 1000000000;
	ret[1].tv_sec = rest < 0 ? sec - 1 : sec;
	ret[1].tv_nsec = rest < 0 ? rest + 1000000000 : rest;
	ret[0] = ret[1];
}

static int set_owner(const struct fsutil_writer *w, int dir, const char *name, int flags)
{
	if (w->uid == (uid_t)-1 && w->gid == (gid_t)-1) {
		return 0;
	}
	return fchownat(dir, name, w->uid, w->gid, flags) < 0 ? -errno : 0;
}

void fsutil_writer_touch(struct fsutil_writer *w, const struct fsutil_stat *st)
{
	if (w->n_dirs == w->dirs_room) {
		w->dirs_room = w->dirs_room ? w->dirs_room * 2 : 64;
		w->dirs = xrealloc(w->dirs, w->dirs_room, sizeof(*w->dirs));
	}
	w->dirs[w->n_dirs++] = (struct dir){xstrdup(st->path), st->mode & 07777, st->mtime_ns};
}

static int make_dir(
	struct fsutil_writer *w, int dir, const char *name, const struct fsutil_stat *st)
{
	struct stat there;
	fsutil_writer_touch(w, st);
	if (mkdirat(dir, name, 0700) == 0) {
		return set_owner(w, dir, name, AT_SYMLINK_NOFOLLOW);
	}
	if (errno != EEXIST || fstatat(dir, name, &there, AT_SYMLINK_NOFOLLOW) < 0) {
		return -errno;
	}
	if (S_ISDIR(there.st_mode)) {
		return 0;
	}
	if (unlinkat(dir, name, 0) < 0 || mkdirat(dir, name, 0700) < 0) {
		return -errno;
	}
	return set_owner(w, dir, name, AT_SYMLINK_NOFOLLOW);
}

static int make_hardlink(
	struct fsutil_writer *w, int dir, const char *name, const struct fsutil_stat *st)
{
	struct stat there;
	scoped(close) int fd = path_open_plain(w->root_fd, st->link, O_PATH);
	if (fd < 0 || fstat(fd, &there) < 0) {
		return fd < 0 ? fd : -errno;
	}
	if (!S_ISREG(there.st_mode)) {
		return -EINVAL;
	}
	char self[64];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int make_special(
	struct fsutil_writer *w, int dir, const char *name, const struct fsutil_stat *st)
{
	struct timespec times[2];
	int r;
	if (S_ISLNK(st->mode)) {
		r = *st->link ? symlinkat(st->link, dir, name) : (errno = EINVAL, -1);
	} else {
		dev_t dev = S_ISFIFO(st->mode) ? 0 : makedev(st->dev_major, st->dev_minor);
		r = mknodat(dir, name, (st->mode & S_IFMT) | 0600, dev);
	}
	if (r < 0) {
		return -errno;
	}
	r = set_owner(w, dir, name, AT_SYMLINK_NOFOLLOW);
	if (r == 0 && !S_ISLNK(st->mode) && fchmodat(dir, name, st->mode & 07777, 0) < 0) {
		r = -errno;
	}
	mtime(st->mtime_ns, times);
	utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
	return r;
}

int fsutil_writer_make(struct fsutil_writer *w, const struct fsutil_stat *st, struct err *e)
{
	const char *name;
	int dir = open_parent(w, st->path, &name);
	int r = dir < 0 ? dir : 0;
	if (r == 0 && S_ISDIR(st->mode)) {
		r = make_dir(w, dir, name, st);
	} else if (r == 0 && !S_ISSOCK(st->mode)) {
		r = clear_way(w, dir, name);
		r = r < 0               ? r
		    : S_ISREG(st->mode) ? make_hardlink(w, dir, name, st)
					: make_special(w, dir, name, st);
	}
	return r < 0 ? write_error(e, -r, st->path) : 0;
}

/* --- contents --- */

int fsutil_writer_open(struct fsutil_writer *w, const char *path, int *ret_fd, struct err *e)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	const char *name;
	int dir = open_parent(w, path, &name);
	int fd = dir < 0 ? dir : openat(dir, name, flags, 0);
	if (dir >= 0 && fd < 0 && errno == EEXIST) {
		int r = clear_way(w, dir, name);
		fd = r < 0 ? -1 : openat(dir, name, flags, 0);
	}
	if (fd < 0) {
		return write_error(e, dir < 0 ? -dir : errno, path);
	}
	*ret_fd = fd;
	return 0;
}

static int check_space(struct fsutil_writer *w, size_t n, const char *path, struct err *e)
{
	struct statvfs fs;
	w->unchecked_bytes += (int64_t)n;
	if (w->unchecked_bytes < SPACE_CHECK_BYTES) {
		return 0;
	}
	w->unchecked_bytes = 0;
	if (fstatvfs(w->root_fd, &fs) == 0 &&
		(uint64_t)fs.f_bavail * fs.f_frsize < FSUTIL_RESERVE_BYTES) {
		return write_error(e, ENOSPC, path);
	}
	return 0;
}

int fsutil_writer_write(struct fsutil_writer *w, int fd, const void *data, size_t n,
	const char *path, struct err *e)
{
	int r = path_write_all(fd, data, n);
	return r < 0 ? write_error(e, -r, path) : check_space(w, n, path, e);
}

static bool xattr_wanted(const char *name)
{
	return text_starts(name, "user.") || strcmp(name, "security.capability") == 0;
}

/* Owner, attributes (chown clears capabilities), times, and the mode last: then it is complete. */
int fsutil_writer_close(
	struct fsutil_writer *w, int take_fd, const struct fsutil_stat *st, struct err *e)
{
	scoped(close) int fd = take_fd;
	struct timespec times[2];
	int r = set_owner(w, fd, "", AT_EMPTY_PATH);
	for (size_t i = 0; i < st->n_xattrs; i++) {
		if (xattr_wanted(st->xattrs[i].key)) { /* the file is whole without it */
			fsetxattr(fd, st->xattrs[i].key, st->xattrs[i].value, st->xattrs[i].n, 0);
		}
	}
	mtime(st->mtime_ns, times);
	futimens(fd, times);
	if (r == 0 && fchmod(fd, st->mode & 07777) < 0) {
		r = -errno;
	}
	return r < 0 ? write_error(e, -r, st->path) : 0;
}

/* --- the end --- */

/* From the deepest: a directory without permission to search is entered no more. */
int fsutil_writer_end(struct fsutil_writer *w, struct err *e)
{
	forget_parent(w);
	for (; w->n_dirs > 0; w->n_dirs--) {
		const struct dir *d = &w->dirs[w->n_dirs - 1];
		struct timespec times[2];
		scoped(free) char *path = d->path;
		scoped(close) int fd = path_open_plain(w->root_fd, path, O_RDONLY | O_DIRECTORY);
		if (fd == -ENOENT || fd == -ENOTDIR) {
			continue; /* it went after it was told */
		}
		mtime(d->mtime_ns, times);
		if (fd < 0 || fchmod(fd, d->mode) < 0) {
			int why = fd < 0 ? -fd : errno;
			w->n_dirs--;
			return write_error(e, why, path);
		}
		futimens(fd, times);
	}
	return 0;
}
