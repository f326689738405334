/* Invariants
 * 1. Nothing is opened by a name of more than one component, except below a root (path_open_in).
 * 2. A directory is entered through a link only where the destination has one (lib -> usr/lib),
 * resolved below to_root.
 */
#include "worker/copy_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"

#define CHUNK_BYTES (128u << 10)
#define SPACE_CHECK_BYTES (32 << 20)
#define XATTR_NAMES_MAX 65536

/* A file with several names, where it was seen first. */
struct first_name {
	char *from, *to;
};

struct copy *copy_new(int from_root, int to_root, const struct copy_options *o)
{
	struct copy *c = xnew(struct copy);
	*c = (struct copy){.from_root = from_root,
		.to_root = to_root,
		.o = *o,
		.links = map_new(),
		.chunk = xnew_array(char, CHUNK_BYTES)};
	return c;
}

void copy_free(struct copy *c)
{
	if (!c) {
		return;
	}
	map_each (c->links, struct first_name, first) {
		free(first->from);
		free(first->to);
		free(first);
	}
	copy_later_free(c);
	map_free(c->links);
	free(c->chunk);
	free(c);
}

static int copy_error(struct err *e, int errnum, const char *path)
{
	if (errnum == ENOSPC || errnum == EDQUOT) {
		return err_set(e, ERR_SYSTEM, "cannot copy %s: no space left on device", path);
	}
	return err_sys(e, errnum, "cannot copy %s", path);
}

static int check_space(struct copy *c, int fd, size_t n, struct err *e)
{
	c->unchecked_bytes += (int64_t)n;
	if (c->unchecked_bytes < SPACE_CHECK_BYTES) {
		return 0;
	}
	c->unchecked_bytes = 0;
	struct statvfs fs;
	if (fstatvfs(fd, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < COPY_RESERVE_BYTES) {
		return err_set(e, ERR_SYSTEM, "cannot copy: no space left on device");
	}
	return 0;
}

/* --- attributes --- */

static bool xattr_wanted(const struct copy *c, const char *name)
{
	if (strcmp(name, "security.capability") == 0) {
		return true;
	}
	return c->o.user_xattrs &&
	       (text_starts(name, "user.") || text_starts(name, "system.posix_acl_"));
}

/* What the other filesystem cannot hold is left out: the file is whole without it. */
static void copy_xattrs(const struct copy *c, int from_fd, int to_fd)
{
	scoped(free) char *names = xnew_array(char, XATTR_NAMES_MAX);
	ssize_t n = flistxattr(from_fd, names, XATTR_NAMES_MAX);
	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		char value[4096];
		ssize_t size =
			xattr_wanted(c, p) ? fgetxattr(from_fd, p, value, sizeof(value)) : -1;
		if (size >= 0) {
			fsetxattr(to_fd, p, value, (size_t)size, 0);
		}
	}
}

static mode_t wanted_mode(const struct copy *c, mode_t mode)
{
	return c->o.mode ? c->o.mode(c->o.owner, mode) & 07777 : mode & 07777;
}

static uid_t wanted_uid(const struct copy *c, const struct stat *st)
{
	return c->o.set_owner ? c->o.uid : st->st_uid;
}

static gid_t wanted_gid(const struct copy *c, const struct stat *st)
{
	return c->o.set_owner ? c->o.gid : st->st_gid;
}

/* Owner, then mode (chown clears setuid), then attributes (chown clears capabilities), then times.
 */
static int set_attributes(const struct copy *c, int from_fd, int to_fd, const struct stat *st)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	if (fchown(to_fd, wanted_uid(c, st), wanted_gid(c, st)) < 0 ||
		fchmod(to_fd, wanted_mode(c, st->st_mode)) < 0) {
		return -1;
	}
	copy_xattrs(c, from_fd, to_fd);
	futimens(to_fd, times);
	return 0;
}

/* --- files --- */

static int copy_range(struct copy *c, int from_fd, int to_fd, off_t at, off_t end, const char *path,
	struct err *e)
{
	while (at < end) {
		size_t want = end - at < CHUNK_BYTES ? (size_t)(end - at) : CHUNK_BYTES;
		ssize_t n = pread(from_fd, c->chunk, want, at);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return copy_error(e, errno, path);
		}
		if (n == 0) {
			return 0; /* it became shorter */
		}
		if (lseek(to_fd, at, SEEK_SET) < 0) {
			return copy_error(e, errno, path);
		}
		int r = path_write_all(to_fd, c->chunk, (size_t)n);
		if (r < 0) {
			return copy_error(e, -r, path);
		}
		at += n;
		if (check_space(c, to_fd, (size_t)n, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Holes stay holes. */
static int copy_data(
	struct copy *c, int from_fd, int to_fd, off_t size, const char *path, struct err *e)
{
	off_t at = 0;
	while (at < size) {
		off_t data = lseek(from_fd, at, SEEK_DATA);
		if (data < 0 && errno == ENXIO) {
			break; /* a hole up to the end */
		}
		off_t hole = data < 0 ? size : lseek(from_fd, data, SEEK_HOLE);
		if (data < 0) {
			data = at; /* a filesystem that does not know */
		}
		if (hole < 0 || hole > size) {
			hole = size;
		}
		if (copy_range(c, from_fd, to_fd, data, hole, path, e) < 0) {
			return -1;
		}
		at = hole;
	}
	return ftruncate(to_fd, size) < 0 ? copy_error(e, errno, path) : 0;
}

static int clear_way(int to_fd, const char *name, const char *path, struct err *e)
{
	struct stat st;
	if (fstatat(to_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT ? 0 : copy_error(e, errno, path);
	}
	if (S_ISDIR(st.st_mode)) {
		return err_set(e, ERR_INVALID,
			"cannot copy %s: a directory of that name is in the way", path);
	}
	return unlinkat(to_fd, name, 0) < 0 ? copy_error(e, errno, path) : 0;
}

static int copy_regular(struct copy *c, int from_fd, int to_fd, const char *name,
	const struct stat *st, const char *path, struct err *e)
{
	scoped(close) int fd =
		openat(to_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return copy_error(e, errno, path);
	}
	if (copy_data(c, from_fd, fd, st->st_size, path, e) < 0) {
		return -1;
	}
	return set_attributes(c, from_fd, fd, st) < 0 ? copy_error(e, errno, path) : 0;
}

/* A name of a file that this copy has made already becomes a link to it. *ret_done says so. */
static int try_link(struct copy *c, const struct level *l, const char *from_name, const char *name,
	const struct stat *st, bool *ret_done)
{
	char key[64];
	*ret_done = false;
	if (st->st_nlink < 2) {
		return 0;
	}
	snprintf(key, sizeof(key), "%jx:%jx", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
	const char *top = strcmp(l->from_top, ".") == 0 ? "" : l->from_top;
	scoped(free) char *from = xasprintf(
		"%s%s%s%s%s", top, *top ? "/" : "", l->path, *l->path ? "/" : "", from_name);
	const struct first_name *made = map_get(c->links, key);
	if (!made) {
		struct first_name *first = xnew(struct first_name);
		*first = (struct first_name){TAKE(from), xasprintf("%s/%s", l->to_path, name)};
		map_put(c->links, key, first);
		return 0;
	}
	if (strcmp(made->from, from) == 0) {
		return 0; /* the same name again: its others may be in layers (copy_link) */
	}
	scoped(close) int fd = path_open_in(c->to_root, made->to, O_PATH | O_NOFOLLOW, 0);
	*ret_done = fd >= 0 && linkat(fd, "", l->to_fd, name, AT_EMPTY_PATH) == 0;
	return 0;
}

static int copy_symlink(struct copy *c, const struct level *l, const char *name,
	const char *to_name, const struct stat *st, const char *path, struct err *e)
{
	char to[4097];
	ssize_t n = readlinkat(l->from_fd, name, to, sizeof(to) - 1);
	if (n < 0) {
		return copy_error(e, errno, path);
	}
	to[n] = '\0';
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	if (symlinkat(to, l->to_fd, to_name) < 0 ||
		fchownat(l->to_fd, to_name, wanted_uid(c, st), wanted_gid(c, st),
			AT_SYMLINK_NOFOLLOW) < 0) {
		return copy_error(e, errno, path);
	}
	utimensat(l->to_fd, to_name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int copy_node(struct copy *c, const struct level *l, const char *to_name,
	const struct stat *st, const char *path, struct err *e)
{
	const struct timespec times[2] = {st->st_atim, st->st_mtim};
	if (mknodat(l->to_fd, to_name, (st->st_mode & S_IFMT) | 0600, st->st_rdev) < 0 ||
		fchownat(l->to_fd, to_name, wanted_uid(c, st), wanted_gid(c, st),
			AT_SYMLINK_NOFOLLOW) < 0 ||
		fchmodat(l->to_fd, to_name, wanted_mode(c, st->st_mode), 0) < 0) {
		return copy_error(e, errno, path);
	}
	utimensat(l->to_fd, to_name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

/* The copy would have the attributes that the source has. */
static bool is_same(const struct copy *c, const struct stat *st)
{
	return wanted_uid(c, st) == st->st_uid && wanted_gid(c, st) == st->st_gid &&
	       wanted_mode(c, st->st_mode) == (st->st_mode & 07777);
}

/* Anything but a directory: l->from_fd/name to l->to_fd/to_name, whose place is free afterwards or
 * taken by it. */
static int copy_leaf(struct copy *c, const struct level *l, const char *name, const char *to_name,
	const struct stat *st, const char *path, struct err *e)
{
	bool whiteout = S_ISCHR(st->st_mode) && st->st_rdev == 0;
	if (S_ISSOCK(st->st_mode) || whiteout) {
		return 0; /* mean nothing elsewhere */
	}
	if (clear_way(l->to_fd, to_name, path, e) < 0) {
		return -1;
	}
	if (S_ISLNK(st->st_mode)) {
		return copy_symlink(c, l, name, to_name, st, path, e);
	}
	bool done;
	if (try_link(c, l, name, to_name, st, &done) < 0 || done) {
		return 0;
	}
	if (!S_ISREG(st->st_mode)) {
		return copy_node(c, l, to_name, st, path, e);
	}
	if (copy_link(c, l, name, to_name, st, is_same(c, st))) {
		return 0;
	}
	scoped(close) int fd =
		openat(l->from_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		return copy_error(e, errno, path);
	}
	return copy_regular(c, fd, l->to_fd, to_name, st, path, e);
}

/* --- directories --- */

static int copy_level(struct copy *c, const struct level *l, struct err *e);

/* The destination's directory of that name, made when missing; a link to a directory is entered
 * (invariant 2). */
static int enter_target(
	struct copy *c, const struct level *l, const char *name, const char *to_path)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	if (mkdirat(l->to_fd, name, 0700) < 0 && errno != EEXIST) {
		return -errno;
	}
	int fd = openat(l->to_fd, name, flags);
	if (fd >= 0) {
		return fd;
	}
	if (errno != ENOTDIR && errno != ELOOP) {
		return -errno;
	}
	fd = path_open_in(c->to_root, to_path, O_RDONLY | O_DIRECTORY, 0);
	if (fd >= 0) {
		return fd;
	}
	/* a file, or a link to nowhere: the directory replaces it, as `cp -r` does not but Docker's
	 * classic builder does */
	if (unlinkat(l->to_fd, name, 0) < 0 || mkdirat(l->to_fd, name, 0700) < 0) {
		return -errno;
	}
	fd = openat(l->to_fd, name, flags);
	return fd < 0 ? -errno : fd;
}

static int copy_subdir(struct copy *c, const struct level *l, const char *name,
	const struct stat *st, const char *path, struct err *e)
{
	if (l->depth >= COPY_DEPTH_MAX) {
		return err_set(e, ERR_INVALID,
			"cannot copy %s: more than %d directories in each other", path,
			COPY_DEPTH_MAX);
	}
	scoped(free) char *to_path = xasprintf("%s/%s", l->to_path, name);
	scoped(close) int from =
		openat(l->from_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (from < 0) {
		return copy_error(e, errno, path);
	}
	scoped(close) int to = enter_target(c, l, name, to_path);
	if (to < 0) {
		return copy_error(e, -to, path);
	}
	const struct level below = {from, to, to_path, path, l->depth + 1, l->from_top};
	if (copy_level(c, &below, e) < 0) {
		return -1;
	}
	return set_attributes(c, from, to, st) < 0 ? copy_error(e, errno, path) : 0;
}

/* Whether the filter takes anything below a directory that it does not take itself. */
static bool holds_taken(const struct copy *c, int dir, const char *name, const char *top,
	const char *path, int depth)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool taken = false;
	if (fd < 0 || depth >= COPY_DEPTH_MAX || path_list(fd, &names) < 0) {
		return false;
	}
	for (size_t k = 0; k < names.n && !taken; k++) {
		scoped(free) char *below = xasprintf("%s/%s", path, names.v[k]);
		enum copy_verdict v = c->o.filter(c->o.owner, top, below);
		taken = v == COPY_TAKE ||
			(v == COPY_LOOK && holds_taken(c, fd, names.v[k], top, below, depth + 1));
	}
	return taken;
}

int copy_entry(struct copy *c, const struct level *l, const char *name, struct err *e)
{
	scoped(free) char *path = *l->path ? xasprintf("%s/%s", l->path, name) : xstrdup(name);
	struct stat st;
	if (fstatat(l->from_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return copy_error(e, errno, path);
	}
	enum copy_verdict v = c->o.filter ? c->o.filter(c->o.owner, l->from_top, path) : COPY_TAKE;
	if (v == COPY_SKIP || (v == COPY_LOOK && (!S_ISDIR(st.st_mode) ||
							 !holds_taken(c, l->from_fd, name,
								 l->from_top, path, l->depth)))) {
		return 0;
	}
	return S_ISDIR(st.st_mode) ? copy_subdir(c, l, name, &st, path, e)
				   : copy_leaf(c, l, name, name, &st, path, e);
}

static int copy_level(struct copy *c, const struct level *l, struct err *e)
{
	int own =
		openat(l->from_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC); /* its own position */
	scoped(closedir) DIR *dir = own < 0 ? NULL : fdopendir(own);
	scoped(strv) struct strv later = STRV_INIT;
	if (!dir) {
		return copy_error(e, errno, l->path);
	}
	for (;;) {
		errno = 0;
		struct dirent *entry = readdir(dir);
		if (!entry) {
			return errno ? copy_error(e, errno, l->path)
				     : copy_later_end(c, l, &later, e);
		}
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			continue;
		}
		if (!copy_later_add(c, l, entry->d_name, &later) &&
			copy_entry(c, l, entry->d_name, e) < 0) {
			return -1;
		}
	}
}

int copy_dir_content(
	struct copy *c, const char *from, const char *to, bool with_self, struct err *e)
{
	scoped(close) int from_fd = path_open_in(c->from_root, from, O_RDONLY | O_DIRECTORY, 0);
	if (from_fd < 0) {
		return copy_error(e, -from_fd, from);
	}
	scoped(close) int to_fd = path_open_in(c->to_root, to, O_RDONLY | O_DIRECTORY, 0);
	if (to_fd < 0) {
		return copy_error(e, -to_fd, to);
	}
	struct stat st;
	if (fstat(from_fd, &st) < 0) {
		return copy_error(e, errno, from);
	}
	const struct level top = {from_fd, to_fd, to, "", 0, from};
	if (copy_level(c, &top, e) < 0) {
		return -1;
	}
	return with_self && set_attributes(c, from_fd, to_fd, &st) < 0 ? copy_error(e, errno, to)
								       : 0;
}

int copy_file(struct copy *c, const char *from, const char *to_dir, const char *name, struct err *e)
{
	scoped(free) char *clean = path_clean(from);
	char *slash = strrchr(clean, '/');
	const char *from_name = slash ? slash + 1 : clean;
	scoped(free) char *parent = slash ? xstrndup(clean, (size_t)(slash - clean)) : xstrdup(".");
	scoped(close) int from_fd =
		path_open_in(c->from_root, *parent ? parent : "/", O_RDONLY | O_DIRECTORY, 0);
	if (from_fd < 0) {
		return copy_error(e, -from_fd, from);
	}
	scoped(close) int to_fd = path_open_in(c->to_root, to_dir, O_RDONLY | O_DIRECTORY, 0);
	if (to_fd < 0) {
		return copy_error(e, -to_fd, to_dir);
	}
	struct stat st;
	if (fstatat(from_fd, from_name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return copy_error(e, errno, from);
	}
	if (S_ISDIR(st.st_mode)) {
		return copy_error(e, EISDIR, from);
	}
	const struct level l = {from_fd, to_fd, to_dir, "", 0, parent};
	return copy_leaf(c, &l, from_name, name, &st, from, e);
}

int copy_attributes(struct copy *c, const char *from, const char *to, struct err *e)
{
	struct stat st;
	scoped(close) int from_fd = path_open_in(c->from_root, from, O_RDONLY | O_DIRECTORY, 0);
	scoped(close) int to_fd = path_open_in(c->to_root, to, O_RDONLY | O_DIRECTORY, 0);
	if (from_fd < 0 || to_fd < 0) {
		return copy_error(e, from_fd < 0 ? -from_fd : -to_fd, from_fd < 0 ? from : to);
	}
	return fstat(from_fd, &st) < 0 || set_attributes(c, from_fd, to_fd, &st) < 0
		       ? copy_error(e, errno, to)
		       : 0;
}
