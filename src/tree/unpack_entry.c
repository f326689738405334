#include "tree/unpack_entry.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "tree/write_behind.h"

#define SPACE_CHECK_BYTES (32 << 20)
#define PAGE_BYTES 4096

int unpack_entry_error(struct err *e, int errnum, const char *name)
{
	if (errnum == ENOSPC || errnum == EDQUOT) { /* Go's spelling, which scripts look for */
		(void)err_set(e, ERR_SYSTEM, "cannot unpack %.300s: no space left on device", name);
		e->sys = errnum;
		return -1;
	}
	return err_sys(e, errnum, "cannot unpack %.300s", name);
}

bool unpack_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* A directory as a readable fd, never through a link. */
int unpack_open_dir(const struct unpack_target *t)
{
	return openat(t->dir_fd, t->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int unpack_make_opaque(const struct unpack_target *t, struct err *e)
{
	scoped(close) int fd = unpack_open_dir(t);
	if (fd < 0 || fsetxattr(fd, OVERLAY_OPAQUE, "y", 1, 0) < 0) {
		return unpack_entry_error(e, errno, t->name);
	}
	return 0;
}

static bool xattr_allowed(const char *name)
{
	return (text_starts(name, "user.") &&
		       !text_starts(name, "user.overlay.")) || /* unpack.c, invariant 2 */
	       strcmp(name, "security.capability") == 0;
}

/* Attributes of a regular file or directory, after chown: the kernel drops capabilities on a change
 * of owner. */
static int set_xattrs(const struct unpack *u, int fd, struct archive_entry *entry, struct err *e)
{
	const char *name;
	const void *value;
	size_t n;
	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &n) == ARCHIVE_OK) {
		if (!name || !xattr_allowed(name) || fsetxattr(fd, name, value, n, 0) == 0) {
			continue;
		}
		bool lenient = u->place && u->place->lenient;
		if ((errno == ENOTSUP && text_starts(name, "user.")) ||
			(lenient && (errno == EPERM || errno == ENOTSUP))) {
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

static uid_t entry_uid(const struct unpack *u, struct archive_entry *entry)
{
	return u->place && u->place->set_owner ? u->place->uid : (uid_t)archive_entry_uid(entry);
}

static gid_t entry_gid(const struct unpack *u, struct archive_entry *entry)
{
	return u->place && u->place->set_owner ? u->place->gid : (gid_t)archive_entry_gid(entry);
}

static bool is_owner(int64_t id)
{
	return id >= 0 && id < UINT32_MAX;
}

/* The kernel takes 2^32-1 for "as it is", which is root here, and cuts what is larger: a file of
 * nobody would become somebody's. */
int unpack_check_owner(const struct unpack *u, struct archive_entry *entry, struct err *e)
{
	if ((u->place && u->place->set_owner) ||
		(is_owner(archive_entry_uid(entry)) && is_owner(archive_entry_gid(entry)))) {
		return 0;
	}
	return err_set(e, ERR_INVALID, "invalid tar archive: '%.200s' is of owner %lld:%lld",
		archive_entry_pathname(entry), (long long)archive_entry_uid(entry),
		(long long)archive_entry_gid(entry));
}

/* Of what is not opened: links and devices. */
static int chown_entry(
	const struct unpack *u, struct archive_entry *entry, const struct unpack_target *t)
{
	return fchownat(
		t->dir_fd, t->name, entry_uid(u, entry), entry_gid(u, entry), AT_SYMLINK_NOFOLLOW);
}

/* Owner, then mode (chown clears setuid), then attributes. */
static int set_owner_and_mode(
	const struct unpack *u, int fd, struct archive_entry *entry, struct err *e)
{
	const char *name = archive_entry_pathname(entry);
	uid_t uid = entry_uid(u, entry);
	gid_t gid = entry_gid(u, entry);
	struct stat st; /* most files are root's, and made with their mode */
	if (fstat(fd, &st) < 0) {
		return unpack_entry_error(e, errno, name);
	}
	bool other_owner = st.st_uid != uid || st.st_gid != gid;
	if (other_owner && fchown(fd, uid, gid) < 0) {
		return unpack_entry_error(e, errno, name);
	}
	if ((other_owner || (st.st_mode & 07777) != entry_mode(entry)) &&
		fchmod(fd, entry_mode(entry)) < 0) {
		return unpack_entry_error(e, errno, name);
	}
	return set_xattrs(u, fd, entry, e);
}

/* A bomb must not fill the disk to the last byte, which would take the daemon's own state with it;
 * nor keep a processor busy with more than the disk can hold, although zeros become holes. */
static int check_space(struct unpack *u, size_t n, struct err *e)
{
	if (u->place && u->place->lenient) {
		return 0;
	}
	struct statvfs fs;
	bool first = u->passed_bytes == 0;
	u->passed_bytes += (int64_t)n;
	u->unchecked_bytes += (int64_t)n;
	if (u->unchecked_bytes < SPACE_CHECK_BYTES && !first) {
		return 0;
	}
	u->unchecked_bytes = 0;
	if (fstatvfs(u->root_fd, &fs) < 0) {
		return 0;
	}
	uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (first) {
		u->room_bytes = room;
	}
	if (room < UNPACK_RESERVE_BYTES || (uint64_t)u->passed_bytes > u->room_bytes) {
		return unpack_entry_error(e, ENOSPC, "the archive");
	}
	return 0;
}

int unpack_archive_error(struct unpack *u, struct err *e)
{
	if (u->stream_failed) {
		return -1; /* *e is the stream's */
	}
	const char *reason = archive_error_string(u->archive);
	if (reason && strstr(reason, "runcated")) {
		return err_set(e, ERR_INVALID, "invalid tar archive: unexpected EOF");
	}
	return err_set(
		e, ERR_INVALID, "invalid tar archive: %.200s", reason ? reason : "it is damaged");
}

static bool is_zero(const char *data, size_t n) /* n > 0 */
{
	return data[0] == 0 && memcmp(data, data + 1, n - 1) == 0;
}

/* Pages of zeros stay holes: a sparse file comes back as one. *end: after the last byte
 * written. */
static int write_block(int fd, const char *data, size_t n, int64_t offset, int64_t *end)
{
	size_t begin = 0;
	for (size_t at = 0; at < n;) {
		size_t page = PAGE_BYTES - (size_t)(offset + (int64_t)at) % PAGE_BYTES;
		size_t len = page < n - at ? page : n - at;
		bool hole = is_zero(data + at, len);
		size_t stop = hole ? at : at + len;
		if ((hole || stop == n) && stop > begin) {
			int r = path_write_at(
				fd, data + begin, stop - begin, offset + (int64_t)begin);
			if (r < 0) {
				return r;
			}
			*end = offset + (int64_t)stop;
		}
		at += len;
		begin = hole ? at : begin;
	}
	return 0;
}

/* Copies the data blocks; what lies between them stays a hole. */
static int write_data(
	struct unpack *u, struct archive_entry *entry, int fd, int64_t *ret_size, struct err *e)
{
	const char *name = archive_entry_pathname(entry);
	int64_t end = 0;
	int64_t size = archive_entry_size(entry); /* a sparse file's blocks may lie beyond it */
	for (;;) {
		const void *data;
		size_t n;
		la_int64_t offset;
		int r = archive_read_data_block(u->archive, &data, &n, &offset);
		if (r == ARCHIVE_EOF) {
			break;
		}
		if (r < ARCHIVE_OK) {
			return unpack_archive_error(u, e);
		}
		if (unpack_recipe_block(u, n, offset, e) < 0) {
			return -1;
		}
		int64_t reach = 0;
		int failed = __builtin_add_overflow(offset, n, &reach)
				     ? -EFBIG
				     : write_block(fd, data, n, offset, &end);
		if (failed < 0) {
			return unpack_entry_error(e, -failed, name);
		}
		size = n > 0 && reach > size ? reach : size;
		if (u->behind) {
			write_behind_grow(u->behind, fd, end);
		}
		if (check_space(u, n, e) < 0) {
			return -1;
		}
	}
	if (size > end && ftruncate(fd, size) < 0) {
		return unpack_entry_error(e, errno, name);
	}
	*ret_size = size > end ? size : end;
	u->result.bytes += *ret_size;
	return 0;
}

int unpack_make_file(
	struct unpack *u, struct archive_entry *entry, const struct unpack_target *t, struct err *e)
{
	/* nobody sees a layer before it is whole; a place may be looked at meanwhile */
	scoped(close) int fd =
		openat(t->dir_fd, t->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			u->place ? 0600 : entry_mode(entry) & 0777);
	if (fd < 0) {
		return unpack_entry_error(e, errno, archive_entry_pathname(entry));
	}
	struct timespec times[2];
	entry_times(entry, times);
	int64_t size = 0;
	if (unpack_recipe_file(u, t, e) < 0 || write_data(u, entry, fd, &size, e) < 0 ||
		set_owner_and_mode(u, fd, entry, e) < 0) {
		return -1;
	}
	futimens(fd, times);
	if (u->behind) {
		write_behind_close(u->behind, TAKE_FD(fd), size);
	}
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
int unpack_make_dir(struct unpack *u, struct archive_entry *entry, const struct unpack_target *t,
	const char *path, bool exists, bool over_whiteout, struct err *e)
{
	if (!exists && mkdirat(t->dir_fd, t->name, 0700) < 0) {
		return unpack_entry_error(e, errno, path);
	}
	if (over_whiteout && unpack_make_opaque(t, e) < 0) {
		return -1; /* the layer deletes the lower one and brings its own */
	}
	scoped(close) int fd = unpack_open_dir(t);
	if (fd < 0) {
		return unpack_entry_error(e, errno, path);
	}
	if (set_owner_and_mode(u, fd, entry, e) < 0) {
		return -1;
	}
	return remember_dir(u, path, entry, e);
}

int unpack_make_symlink(
	struct unpack *u, struct archive_entry *entry, const struct unpack_target *t, struct err *e)
{
	const char *to = archive_entry_symlink(entry);
	if (!to || !*to) {
		return err_set(
			e, ERR_INVALID, "invalid archive: the link '%s' points nowhere", t->name);
	}
	struct timespec times[2];
	entry_times(entry, times);
	if (symlinkat(to, t->dir_fd, t->name) < 0 || chown_entry(u, entry, t) < 0) {
		return unpack_entry_error(e, errno, archive_entry_pathname(entry));
	}
	utimensat(t->dir_fd, t->name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

/* fchmodat(2) has no way not to follow a link that somebody puts there meanwhile, and it would be
 * followed outside of the root. */
static int chmod_node(const struct unpack_target *t, mode_t mode)
{
	char self[64];
	struct stat st;
	scoped(close) int fd = openat(t->dir_fd, t->name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		return -1;
	}
	if (S_ISLNK(st.st_mode)) {
		errno = ELOOP;
		return -1;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return chmod(self, mode);
}

int unpack_make_node(
	struct unpack *u, struct archive_entry *entry, const struct unpack_target *t, struct err *e)
{
	mode_t type = archive_entry_filetype(entry);
	dev_t device = type == S_IFIFO ? 0
				       : makedev(archive_entry_rdevmajor(entry),
						 archive_entry_rdevminor(entry));
	struct timespec times[2];
	entry_times(entry, times);
	if (mknodat(t->dir_fd, t->name, type | 0600, device) < 0 || chown_entry(u, entry, t) < 0 ||
		chmod_node(t, entry_mode(entry)) < 0) {
		return unpack_entry_error(e, errno, archive_entry_pathname(entry));
	}
	utimensat(t->dir_fd, t->name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

/* The target is an earlier entry; links on the way to it are resolved inside the root (unpack.c,
 * invariant 1). */
int unpack_make_hardlink(
	struct unpack *u, const char *to, const struct unpack_target *t, struct err *e)
{
	scoped(free) char *path = unpack_path(u, to, e);
	if (!path) {
		return -1;
	}
	scoped(close) int fd = path_open_in(u->root_fd, path, O_PATH | O_NOFOLLOW, 0);
	if (fd < 0) {
		return err_set(e, ERR_INVALID,
			"invalid archive: the hard link '%.200s' has no target '%.200s': %s",
			t->name, to, strerror(-fd));
	}
	struct stat st;
	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode) || unpack_is_whiteout(&st)) {
		return err_set(e, ERR_INVALID,
			"invalid archive: '%s' is a hard link to '%s', which is not a file",
			t->name, to);
	}
	if (linkat(fd, "", t->dir_fd, t->name, AT_EMPTY_PATH) < 0) {
		return unpack_entry_error(e, errno, t->name);
	}
	return 0;
}
