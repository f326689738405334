/* Invariants
 * 1. A name is only ever resolved below root_fd (RESOLVE_IN_ROOT); its last component is never
 * followed.
 * 2. An extended attribute of overlayfs is only ever written by us: a layer that brings its own
 * could redirect to other directories of the host.
 * 3. parent_fd is the directory named parent_name; it is forgotten whenever something was removed
 * or linked.
 */
#include "worker/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"
#include "worker/stream.h"

#define OPAQUE "trusted.overlay.opaque"
#define SPACE_CHECK_BYTES (32 << 20)

static void free_archive(struct archive *a)
{
	archive_read_free(a);
}
SCOPED(struct archive *, free_archive)

struct unpack {
	int root_fd;
	struct stream *tar;
	char *chunk;
	struct err *stream_error; /* set when the source failed, rather than the tar */
	bool stream_failed;
	bool pad;          /* the last block may be short */
	int64_t tar_bytes; /* read so far */
	struct buf dirs; /* names, NUL, struct timespec: times are set last, because children change
			    them */
	char *parent_name;
	int parent_fd;
	int64_t unchecked_bytes;
	struct unpack_result result;
};

struct target {
	int dir_fd; /* borrowed from u->parent_fd */
	const char *name;
};

char *unpack_clean_name(const char *name, struct err *e)
{
	scoped(free) char *clean = path_clean(name);
	const char *p = clean;
	while (*p == '/') {
		p++;
	}
	if (strcmp(p, "..") == 0 || text_starts(p, "../")) {
		(void)err_set(e, ERR_INVALID,
			"invalid archive: the entry '%s' is outside of its root", name);
		return NULL;
	}
	return xstrdup(*p ? p : ".");
}

static int entry_error(struct err *e, int errnum, const char *name)
{
	if (errnum == ENOSPC || errnum == EDQUOT) { /* Go's spelling, which scripts look for */
		(void)err_set(e, ERR_SYSTEM, "cannot unpack %.300s: no space left on device", name);
		e->sys = errnum;
		return -1;
	}
	return err_sys(e, errnum, "cannot unpack %.300s", name);
}

static void forget_parent(struct unpack *u)
{
	if (u->parent_fd >= 0) {
		close(u->parent_fd);
	}
	u->parent_fd = -1;
	free(u->parent_name);
	u->parent_name = NULL;
}

/* Opens (and makes) the directory that holds path; ret->name is inside path. A directory that no
 * entry names is root's with mode 0755, as in Docker: what it is in a layer below cannot be known,
 * because this layer may stand on several. */
static int open_parent(struct unpack *u, char *path, struct target *ret, struct err *e)
{
	char *slash = strrchr(path, '/');
	const char *parent = ".";
	if (slash) {
		*slash = '\0';
		parent = path;
	}
	if (!u->parent_name || strcmp(u->parent_name, parent) != 0) {
		forget_parent(u);
		int fd = path_mkdir_in(u->root_fd, parent, 0755);
		if (fd < 0) {
			return entry_error(e, -fd, path);
		}
		u->parent_fd = fd;
		u->parent_name = xstrdup(parent);
	}
	*ret = (struct target){u->parent_fd, slash ? slash + 1 : path};
	return 0;
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* A directory as a readable fd, never through a link. */
static int open_dir(const struct target *t)
{
	return openat(t->dir_fd, t->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int make_opaque(const struct target *t, struct err *e)
{
	scoped(close) int fd = open_dir(t);
	if (fd < 0 || fsetxattr(fd, OPAQUE, "y", 1, 0) < 0) {
		return entry_error(e, errno, t->name);
	}
	return 0;
}

/* Clears the way for an entry. A directory stays for a directory. */
static int make_room(struct unpack *u, const struct target *t, bool want_dir, bool *ret_is_dir,
	bool *ret_was_whiteout, struct err *e)
{
	struct stat st;
	*ret_is_dir = *ret_was_whiteout = false;
	if (fstatat(t->dir_fd, t->name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT ? 0 : entry_error(e, errno, t->name);
	}
	if (want_dir && S_ISDIR(st.st_mode)) {
		*ret_is_dir = true;
		return 0;
	}
	*ret_was_whiteout = is_whiteout(&st);
	int r = path_remove_tree(t->dir_fd, t->name);
	return r < 0 ? entry_error(e, -r, t->name) : 0;
}

static bool xattr_allowed(const char *name)
{
	return (text_starts(name, "user.") &&
		       !text_starts(name, "user.overlay.")) || /* invariant 2 */
	       strcmp(name, "security.capability") == 0;
}

/* Attributes of a regular file or directory, after chown: the kernel drops capabilities on a change
 * of owner. */
static int set_xattrs(int fd, struct archive_entry *entry, struct err *e)
{
	const char *name;
	const void *value;
	size_t n;
	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &n) == ARCHIVE_OK) {
		if (!name || !xattr_allowed(name) || fsetxattr(fd, name, value, n, 0) == 0) {
			continue;
		}
		if (errno == ENOTSUP && text_starts(name, "user.")) {
			continue; /* a filesystem without them: the file is whole without its notes
				   */
		}
		(void)err_sys(e, errno, "cannot set %s of %s", name, archive_entry_pathname(entry));
		return -1;
	}
	return 0;
}

static void entry_times(struct archive_entry *entry, struct timespec ret[2])
{
	ret[1].tv_sec = archive_entry_mtime(entry);
	ret[1].tv_nsec = archive_entry_mtime_nsec(entry);
	ret[0] = ret[1];
	if (archive_entry_atime_is_set(entry)) {
		ret[0].tv_sec = archive_entry_atime(entry);
		ret[0].tv_nsec = archive_entry_atime_nsec(entry);
	}
}

static mode_t entry_mode(struct archive_entry *entry)
{
	return archive_entry_perm(entry) & 07777;
}

/* Owner, then mode (chown clears setuid), then attributes. */
static int set_owner_and_mode(int fd, struct archive_entry *entry, struct err *e)
{
	const char *name = archive_entry_pathname(entry);
	if (fchown(fd, (uid_t)archive_entry_uid(entry), (gid_t)archive_entry_gid(entry)) < 0 ||
		fchmod(fd, entry_mode(entry)) < 0) {
		return entry_error(e, errno, name);
	}
	return set_xattrs(fd, entry, e);
}

/* A bomb must not fill the disk to the last byte, which would take the daemon's own state with it.
 */
static int check_space(struct unpack *u, size_t n, struct err *e)
{
	u->unchecked_bytes += (int64_t)n;
	if (u->unchecked_bytes < SPACE_CHECK_BYTES) {
		return 0;
	}
	u->unchecked_bytes = 0;
	struct statvfs fs;
	if (fstatvfs(u->root_fd, &fs) == 0 &&
		(uint64_t)fs.f_bavail * fs.f_frsize < UNPACK_RESERVE_BYTES) {
		return entry_error(e, ENOSPC, "the layer");
	}
	return 0;
}

static int archive_failed(struct unpack *u, struct archive *a, struct err *e)
{
	if (u->stream_failed) {
		return -1; /* *e is the stream's */
	}
	const char *reason = archive_error_string(a);
	if (reason && strstr(reason, "runcated")) {
		return err_set(e, ERR_INVALID, "invalid tar archive: unexpected EOF");
	}
	return err_set(
		e, ERR_INVALID, "invalid tar archive: %.200s", reason ? reason : "it is damaged");
}

/* Copies the data blocks; what lies between them stays a hole. */
static int write_data(
	struct unpack *u, struct archive *a, struct archive_entry *entry, int fd, struct err *e)
{
	const char *name = archive_entry_pathname(entry);
	int64_t end = 0;
	for (;;) {
		const void *data;
		size_t n;
		la_int64_t offset;
		int r = archive_read_data_block(a, &data, &n, &offset);
		if (r == ARCHIVE_EOF) {
			break;
		}
		if (r < ARCHIVE_OK) {
			return archive_failed(u, a, e);
		}
		int failed = path_write_at(fd, data, n, offset);
		if (failed < 0) {
			return entry_error(e, -failed, name);
		}
		end = offset + (int64_t)n;
		if (check_space(u, n, e) < 0) {
			return -1;
		}
	}
	int64_t size = archive_entry_size(entry);
	if (size > end && ftruncate(fd, size) < 0) {
		return entry_error(e, errno, name);
	}
	u->result.bytes += size > end ? size : end;
	return 0;
}

static int make_file(struct unpack *u, struct archive *a, struct archive_entry *entry,
	const struct target *t, struct err *e)
{
	scoped(close) int fd = openat(
		t->dir_fd, t->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return entry_error(e, errno, archive_entry_pathname(entry));
	}
	struct timespec times[2];
	entry_times(entry, times);
	if (write_data(u, a, entry, fd, e) < 0 || set_owner_and_mode(fd, entry, e) < 0) {
		return -1;
	}
	futimens(fd, times);
	return 0;
}

static int remember_dir(
	struct unpack *u, const char *path, struct archive_entry *entry, struct err *e)
{
	struct timespec times[2];
	entry_times(entry, times);
	if (buf_append_limited(&u->dirs, path, strlen(path) + 1, UNPACK_DIR_NAMES_MAX) < 0 ||
		buf_append_limited(&u->dirs, times, sizeof(times), UNPACK_DIR_NAMES_MAX) < 0) {
		return err_set(e, ERR_INVALID, "invalid archive: it holds too many directories");
	}
	return 0;
}

/* path: as cleaned, for the times. */
static int make_dir(struct unpack *u, struct archive_entry *entry, const struct target *t,
	const char *path, bool exists, bool over_whiteout, struct err *e)
{
	if (!exists && mkdirat(t->dir_fd, t->name, 0700) < 0) {
		return entry_error(e, errno, path);
	}
	if (over_whiteout && make_opaque(t, e) < 0) {
		return -1; /* the layer deletes the lower one and brings its own */
	}
	scoped(close) int fd = open_dir(t);
	if (fd < 0) {
		return entry_error(e, errno, path);
	}
	if (set_owner_and_mode(fd, entry, e) < 0) {
		return -1;
	}
	return remember_dir(u, path, entry, e);
}

static int make_symlink(
	struct unpack *u, struct archive_entry *entry, const struct target *t, struct err *e)
{
	const char *to = archive_entry_symlink(entry);
	if (!to || !*to) {
		return err_set(
			e, ERR_INVALID, "invalid archive: the link '%s' points nowhere", t->name);
	}
	struct timespec times[2];
	entry_times(entry, times);
	if (symlinkat(to, t->dir_fd, t->name) < 0 ||
		fchownat(t->dir_fd, t->name, (uid_t)archive_entry_uid(entry),
			(gid_t)archive_entry_gid(entry), AT_SYMLINK_NOFOLLOW) < 0) {
		return entry_error(e, errno, archive_entry_pathname(entry));
	}
	utimensat(t->dir_fd, t->name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int make_node(struct archive_entry *entry, const struct target *t, struct err *e)
{
	mode_t type = archive_entry_filetype(entry);
	dev_t device = type == S_IFIFO ? 0
				       : makedev(archive_entry_rdevmajor(entry),
						 archive_entry_rdevminor(entry));
	struct timespec times[2];
	entry_times(entry, times);
	if (mknodat(t->dir_fd, t->name, type | 0600, device) < 0 ||
		fchownat(t->dir_fd, t->name, (uid_t)archive_entry_uid(entry),
			(gid_t)archive_entry_gid(entry), AT_SYMLINK_NOFOLLOW) < 0 ||
		fchmodat(t->dir_fd, t->name, entry_mode(entry), 0) < 0) {
		return entry_error(e, errno, archive_entry_pathname(entry));
	}
	utimensat(t->dir_fd, t->name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

/* The target is an earlier entry; links on the way to it are resolved inside the root (invariant
 * 1). */
static int make_hardlink(struct unpack *u, const char *to, const struct target *t, struct err *e)
{
	scoped(free) char *path = unpack_clean_name(to, e);
	if (!path) {
		return -1;
	}
	scoped(close) int fd = path_open_in(u->root_fd, path, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0) {
		return err_sys(e, -fd, "invalid archive: the hard link '%s' has no target '%s'",
			t->name, to);
	}
	struct stat st;
	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode) || is_whiteout(&st)) {
		return err_set(e, ERR_INVALID,
			"invalid archive: '%s' is a hard link to '%s', which is not a file",
			t->name, to);
	}
	if (linkat(fd, "", t->dir_fd, t->name, AT_EMPTY_PATH) < 0) {
		return entry_error(e, errno, t->name);
	}
	return 0;
}

/* ".wh.x": x of the layers below is gone. What this layer itself brings stays. */
static int make_whiteout(const struct target *t, struct err *e)
{
	const struct target hidden = {t->dir_fd, t->name + strlen(".wh.")};
	struct stat st;
	if (!path_is_component(hidden.name)) {
		return err_set(e, ERR_INVALID, "invalid archive: the whiteout '%s' names nothing",
			t->name);
	}
	if (fstatat(hidden.dir_fd, hidden.name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		return S_ISDIR(st.st_mode) ? make_opaque(&hidden, e) : 0;
	}
	if (mknodat(hidden.dir_fd, hidden.name, S_IFCHR, makedev(0, 0)) < 0) {
		return entry_error(e, errno, hidden.name);
	}
	return 0;
}

static int make_opaque_parent(struct unpack *u, struct err *e)
{
	const struct target self = {u->parent_fd, "."};
	return make_opaque(&self, e);
}

static int make_root(struct unpack *u, struct archive_entry *entry, struct err *e)
{
	if (archive_entry_filetype(entry) != S_IFDIR || archive_entry_hardlink(entry)) {
		return err_set(e, ERR_INVALID, "invalid archive: its root is not a directory");
	}
	const struct target self = {u->root_fd, "."};
	return make_dir(u, entry, &self, ".", true, false, e);
}

static int make_by_type(struct unpack *u, struct archive *a, struct archive_entry *entry,
	const char *path, const struct target *t, struct err *e)
{
	const char *link = archive_entry_hardlink(entry);
	mode_t type = link ? 0 : archive_entry_filetype(entry);
	bool is_dir, was_whiteout;
	if (type == S_IFSOCK) {
		return 0; /* means nothing without the process that made it */
	}
	if (make_room(u, t, type == S_IFDIR, &is_dir, &was_whiteout, e) < 0) {
		return -1;
	}
	if (link) {
		return make_hardlink(u, link, t, e);
	}
	switch (type) {
	case S_IFREG:
		return make_file(u, a, entry, t, e);
	case S_IFDIR:
		return make_dir(u, entry, t, path, is_dir, was_whiteout, e);
	case S_IFLNK:
		return make_symlink(u, entry, t, e);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
		return make_node(entry, t, e);
	default:
		return err_set(e, ERR_INVALID, "invalid archive: '%s' is of an unknown type", path);
	}
}

static int make_entry(
	struct unpack *u, struct archive *a, struct archive_entry *entry, struct err *e)
{
	const char *name = archive_entry_pathname(entry);
	if (!name) {
		return err_set(e, ERR_INVALID, "invalid archive: an entry has no readable name");
	}
	scoped(free) char *path = unpack_clean_name(name, e);
	if (!path) {
		return -1;
	}
	if (strcmp(path, ".") == 0) {
		return make_root(u, entry, e);
	}
	scoped(free) char *copy = xstrdup(path);
	struct target t;
	if (open_parent(u, copy, &t, e) < 0) {
		/* umoci deletes what was below a directory that the same layer makes a file: the
		 * file hides it all */
		const char *slash = strrchr(path, '/');
		return e->sys == ENOTDIR && slash && text_starts(slash, "/.wh.") ? 0 : -1;
	}
	if (strcmp(t.name, ".wh..wh..opq") == 0) {
		return make_opaque_parent(u, e);
	}
	if (text_starts(t.name, ".wh..wh.")) {
		return 0; /* aufs' own book-keeping in images of 2014 */
	}
	if (text_starts(t.name, ".wh.")) {
		return make_whiteout(&t, e);
	}
	int r = make_by_type(u, a, entry, path, &t, e);
	if (archive_entry_filetype(entry) != S_IFREG) {
		forget_parent(u); /* invariant 3 */
	}
	return r;
}

static void set_dir_times(struct unpack *u)
{
	const char *p = buf_str(&u->dirs);
	const char *end = p + u->dirs.len;
	while (p < end) {
		struct timespec times[2];
		const char *path = p;
		p += strlen(path) + 1;
		memcpy(times, p, sizeof(times));
		p += sizeof(times);
		scoped(close) int fd = path_open_in(
			u->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0);
		if (fd >= 0) { /* a later entry may have replaced it */
			futimens(fd, times);
		}
	}
}

/* The runtime mounts a tmpfs on /dev before anything runs; through a link it would mount on, and
 * make nodes in, a directory that the image chose (CVE-2026-47766). */
static int check_dev(int root_fd, struct err *e)
{
	struct stat st;
	if (fstatat(root_fd, "dev", &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode) ||
		is_whiteout(&st)) {
		return 0;
	}
	return err_set(e, ERR_INVALID, "invalid image: /dev of a layer is not a directory");
}

static la_ssize_t read_tar(struct archive *a, void *owner, const void **ret)
{
	struct unpack *u = owner;
	*ret = u->chunk;
	ssize_t n = stream_read(u->tar, u->chunk, STREAM_CHUNK, u->stream_error);
	if (n < 0) {
		u->stream_failed = true;
		archive_set_error(a, EIO, "the source failed");
		return n;
	}
	if (n == 0 && u->pad && u->tar_bytes % 512 != 0) {
		n = 512 - u->tar_bytes % 512;
		memset(u->chunk, 0, (size_t)n);
	}
	u->tar_bytes += n;
	return n;
}

static int unpack_entries(struct unpack *u, struct archive *a, struct err *e)
{
	struct archive_entry *entry;
	for (;;) {
		int r = archive_read_next_header(a, &entry);
		if (r == ARCHIVE_EOF) {
			return 0;
		}
		/* ARCHIVE_WARN: some detail was not understood; a name that could not be read is
		 * caught below */
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN) {
			return archive_failed(u, a, e);
		}
		if (++u->result.entries > UNPACK_ENTRIES_MAX) {
			return err_set(e, ERR_INVALID, "invalid archive: more than %d entries",
				UNPACK_ENTRIES_MAX);
		}
		if (make_entry(u, a, entry, e) < 0) {
			return -1;
		}
	}
}

int unpack_layer(
	int root_fd, struct stream *tar, bool verified, struct unpack_result *ret, struct err *e)
{
	scoped(free_archive) struct archive *a = archive_read_new();
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	struct unpack u = {.root_fd = root_fd,
		.tar = tar,
		.chunk = chunk,
		.stream_error = e,
		.pad = verified,
		.parent_fd = -1};
	if (!a || archive_read_support_format_tar(a) != ARCHIVE_OK ||
		archive_read_support_format_empty(a) != ARCHIVE_OK) {
		return err_sys(e, ENOMEM, "cannot read an archive");
	}
	int r = 0;
	if (archive_read_open(a, &u, NULL, read_tar, NULL) != ARCHIVE_OK) {
		r = archive_failed(&u, a, e);
	}
	if (r == 0) {
		r = unpack_entries(&u, a, e);
	}
	if (r == 0) {
		r = stream_drain(tar, e);
	}
	if (r == 0) {
		set_dir_times(&u);
		r = check_dev(root_fd, e);
	}
	forget_parent(&u);
	buf_deinit(&u.dirs);
	if (r == 0) {
		*ret = u.result;
	}
	return r;
}

int unpack_sync(int root_fd, struct err *e)
{
	if (syncfs(root_fd) < 0) {
		return err_sys(e, errno, "cannot write the layer to disk");
	}
	return 0;
}
