/* Invariants
 * 1. A name is only ever resolved below root_fd (RESOLVE_IN_ROOT); its last component is never
 * followed, except where a directory entry meets a link to a directory.
 * 2. No attribute of overlayfs is taken from an archive.
 */
#include "worker/context.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
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
#include "base/text.h"
#include "tree/stream.h"
#include "tree/unpack.h"

#define SPACE_CHECK_BYTES (32 << 20)
#define DIR_NAMES_MAX (64u << 20)

static void free_archive(struct archive *a)
{
	archive_read_free(a);
}
SCOPED(struct archive *, free_archive)

struct extract {
	int root_fd;
	const char *base;
	struct stream *tar;
	const struct extract_options *o;
	char *chunk;
	struct err *stream_error;
	bool stream_failed;
	int64_t entries;
	int64_t unchecked_bytes;
	struct buf dirs; /* paths, NUL, struct timespec: times are set last, because children change
			    them */
};

static int entry_error(struct err *e, int errnum, const char *name)
{
	if (errnum == ENOSPC || errnum == EDQUOT) {
		return err_set(e, ERR_SYSTEM, "cannot unpack %s: no space left on device", name);
	}
	return err_sys(e, errnum, "cannot unpack %s", name);
}

static int archive_failed(const struct extract *x, struct archive *a, struct err *e)
{
	if (x->stream_failed) {
		return -1; /* *e is the stream's */
	}
	const char *reason = archive_error_string(a);
	return err_set(
		e, ERR_INVALID, "invalid tar archive: %s", reason ? reason : "it is damaged");
}

static int check_space(struct extract *x, size_t n, struct err *e)
{
	x->unchecked_bytes += (int64_t)n;
	if (x->unchecked_bytes < SPACE_CHECK_BYTES) {
		return 0;
	}
	x->unchecked_bytes = 0;
	struct statvfs fs;
	if (fstatvfs(x->root_fd, &fs) == 0 &&
		(uint64_t)fs.f_bavail * fs.f_frsize < CONTEXT_RESERVE_BYTES) {
		return err_set(e, ERR_SYSTEM, "cannot unpack: no space left on device");
	}
	return 0;
}

/* --- one entry --- */

static void entry_times(struct archive_entry *entry, struct timespec ret[2])
{
	ret[1].tv_sec = archive_entry_mtime(entry);
	ret[1].tv_nsec = archive_entry_mtime_nsec(entry);
	ret[0] = ret[1];
}

static uid_t entry_uid(const struct extract *x, struct archive_entry *entry)
{
	return x->o->context ? 0 : x->o->set_owner ? x->o->uid : (uid_t)archive_entry_uid(entry);
}

static gid_t entry_gid(const struct extract *x, struct archive_entry *entry)
{
	return x->o->context ? 0 : x->o->set_owner ? x->o->gid : (gid_t)archive_entry_gid(entry);
}

static mode_t entry_mode(struct archive_entry *entry)
{
	return archive_entry_perm(entry) & 07777;
}

static void set_capability(int fd, struct archive_entry *entry)
{
	const char *name;
	const void *value;
	size_t n;
	archive_entry_xattr_reset(entry);
	while (archive_entry_xattr_next(entry, &name, &value, &n) == ARCHIVE_OK) {
		if (name && strcmp(name, "security.capability") == 0) { /* invariant 2 */
			fsetxattr(fd, name, value, n, 0);
		}
	}
}

/* Owner, then mode (chown clears setuid), then capabilities (chown clears them, too). */
static int set_attributes(
	const struct extract *x, int fd, struct archive_entry *entry, struct err *e)
{
	if (fchown(fd, entry_uid(x, entry), entry_gid(x, entry)) < 0 ||
		fchmod(fd, entry_mode(entry)) < 0) {
		return entry_error(e, errno, archive_entry_pathname(entry));
	}
	if (!x->o->context) {
		set_capability(fd, entry);
	}
	return 0;
}

static int write_data(
	struct extract *x, struct archive *a, struct archive_entry *entry, int fd, struct err *e)
{
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
			return archive_failed(x, a, e);
		}
		int failed = path_write_at(fd, data, n, offset);
		if (failed < 0) {
			return entry_error(e, -failed, archive_entry_pathname(entry));
		}
		end = offset + (int64_t)n;
		if (check_space(x, n, e) < 0) {
			return -1;
		}
	}
	if (archive_entry_size(entry) > end && ftruncate(fd, archive_entry_size(entry)) < 0) {
		return entry_error(e, errno, archive_entry_pathname(entry));
	}
	return 0;
}

static int make_file(struct extract *x, struct archive *a, struct archive_entry *entry, int dir,
	const char *name, struct err *e)
{
	scoped(close) int fd =
		openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return entry_error(e, errno, name);
	}
	struct timespec times[2];
	entry_times(entry, times);
	if (write_data(x, a, entry, fd, e) < 0 || set_attributes(x, fd, entry, e) < 0) {
		return -1;
	}
	futimens(fd, times);
	return 0;
}

/* path: below root_fd. A link to a directory that stands there is kept (lib -> usr/lib). */
static int make_dir(struct extract *x, struct archive_entry *entry, int dir, const char *name,
	const char *path, struct err *e)
{
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST) {
		return entry_error(e, errno, path);
	}
	int made = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (made < 0) {
		made = path_open_in(x->root_fd, path, O_RDONLY | O_DIRECTORY, 0);
	}
	scoped(close) int fd = made;
	if (fd < 0) { /* something else is in the way */
		if (unlinkat(dir, name, 0) < 0 || mkdirat(dir, name, 0700) < 0) {
			return entry_error(e, errno, path);
		}
		fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0) {
			return entry_error(e, errno, path);
		}
	}
	struct timespec times[2];
	entry_times(entry, times);
	if (buf_append_limited(&x->dirs, path, strlen(path) + 1, DIR_NAMES_MAX) < 0 ||
		buf_append_limited(&x->dirs, times, sizeof(times), DIR_NAMES_MAX) < 0) {
		return err_set(e, ERR_INVALID, "invalid archive: it holds too many directories");
	}
	return set_attributes(x, fd, entry, e);
}

static int make_symlink(
	struct extract *x, struct archive_entry *entry, int dir, const char *name, struct err *e)
{
	const char *to = archive_entry_symlink(entry);
	struct timespec times[2];
	entry_times(entry, times);
	if (!to || !*to) {
		return err_set(
			e, ERR_INVALID, "invalid archive: the link '%s' points nowhere", name);
	}
	if (symlinkat(to, dir, name) < 0 || fchownat(dir, name, entry_uid(x, entry),
						    entry_gid(x, entry), AT_SYMLINK_NOFOLLOW) < 0) {
		return entry_error(e, errno, name);
	}
	utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static int make_node(
	struct extract *x, struct archive_entry *entry, int dir, const char *name, struct err *e)
{
	mode_t type = archive_entry_filetype(entry);
	dev_t device = type == S_IFIFO ? 0
				       : makedev(archive_entry_rdevmajor(entry),
						 archive_entry_rdevminor(entry));
	if (type != S_IFIFO && (x->o->context || device == 0)) {
		return 0; /* a client has no business with device nodes; 0:0 would be a whiteout */
	}
	struct timespec times[2];
	entry_times(entry, times);
	if (mknodat(dir, name, type | 0600, device) < 0 ||
		fchownat(dir, name, entry_uid(x, entry), entry_gid(x, entry), AT_SYMLINK_NOFOLLOW) <
			0 ||
		fchmodat(dir, name, entry_mode(entry), 0) < 0) {
		return entry_error(e, errno, name);
	}
	utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
	return 0;
}

static char *path_below(const struct extract *x, const char *clean)
{
	return strcmp(x->base, ".") == 0 ? xstrdup(clean) : xasprintf("%s/%s", x->base, clean);
}

static int make_hardlink(
	struct extract *x, const char *to, int dir, const char *name, struct err *e)
{
	scoped(free) char *clean = unpack_clean_name(to, e);
	if (!clean) {
		return -1;
	}
	scoped(free) char *path = path_below(x, clean);
	scoped(close) int fd = path_open_in(x->root_fd, path, O_PATH | O_NOFOLLOW, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0 || S_ISDIR(st.st_mode)) {
		return err_set(e, ERR_INVALID,
			"invalid archive: the hard link '%s' has no target '%s'", name, to);
	}
	if (linkat(fd, "", dir, name, AT_EMPTY_PATH) < 0) {
		return entry_error(e, errno, name);
	}
	return 0;
}

/* Anything but a directory replaces what is there; a directory with content does not go for a file.
 */
static int clear_way(int dir, const char *name, struct err *e)
{
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT) {
		if (errno != EISDIR || unlinkat(dir, name, AT_REMOVEDIR) < 0) {
			return entry_error(e, errno, name);
		}
	}
	return 0;
}

static int make_by_type(struct extract *x, struct archive *a, struct archive_entry *entry, int dir,
	const char *name, const char *path, struct err *e)
{
	const char *link = archive_entry_hardlink(entry);
	mode_t type = link ? 0 : archive_entry_filetype(entry);
	if (type == S_IFDIR) {
		return make_dir(x, entry, dir, name, path, e);
	}
	if (type == S_IFSOCK) {
		return 0;
	}
	if (clear_way(dir, name, e) < 0) {
		return -1;
	}
	switch (type) {
	case 0:
		return make_hardlink(x, link ? link : "", dir, name, e);
	case S_IFREG:
		return make_file(x, a, entry, dir, name, e);
	case S_IFLNK:
		return make_symlink(x, entry, dir, name, e);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
		return make_node(x, entry, dir, name, e);
	default:
		return err_set(e, ERR_INVALID, "invalid archive: '%s' is of an unknown type", path);
	}
}

static int make_entry(
	struct extract *x, struct archive *a, struct archive_entry *entry, struct err *e)
{
	const char *raw = archive_entry_pathname(entry);
	if (!raw) {
		return err_set(e, ERR_INVALID, "invalid archive: an entry has no readable name");
	}
	scoped(free) char *clean = unpack_clean_name(raw, e);
	if (!clean) {
		return -1;
	}
	if (strcmp(clean, ".") == 0) {
		return 0; /* the directory exists, with the mode it should have */
	}
	scoped(free) char *path = path_below(x, clean);
	scoped(free) char *parent = xstrdup(path);
	char *slash = strrchr(parent, '/');
	const char *name = slash ? path + (slash - parent) + 1 : path;
	if (slash) {
		*slash = '\0';
	}
	scoped(close) int at =
		path_mkdir_in(x->root_fd, slash ? (*parent ? parent : "/") : ".", 0755);
	if (at < 0) {
		return entry_error(e, -at, path);
	}
	return make_by_type(x, a, entry, at, name, path, e);
}

static void set_dir_times(const struct extract *x)
{
	const char *p = buf_str(&x->dirs);
	const char *end = p + x->dirs.len;
	while (p < end) {
		struct timespec times[2];
		const char *path = p;
		p += strlen(path) + 1;
		memcpy(times, p, sizeof(times));
		p += sizeof(times);
		scoped(close) int fd =
			path_open_in(x->root_fd, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, 0);
		if (fd >= 0) {
			futimens(fd, times);
		}
	}
}

/* --- the archive --- */

static la_ssize_t read_tar(struct archive *a, void *owner, const void **ret)
{
	struct extract *x = owner;
	*ret = x->chunk;
	ssize_t n = stream_read(x->tar, x->chunk, STREAM_CHUNK, x->stream_error);
	if (n < 0) {
		x->stream_failed = true;
		archive_set_error(a, EIO, "the source failed");
	}
	return n;
}

static struct archive *new_reader(void)
{
	struct archive *a = archive_read_new();
	if (!a) {
		return NULL;
	}
	/* by name: "all" would run programs for what libarchive cannot do itself */
	int r = archive_read_support_format_tar(a) | archive_read_support_format_empty(a) |
		archive_read_support_filter_bzip2(a) | archive_read_support_filter_xz(a);
	if (r < ARCHIVE_WARN) {
		archive_read_free(a);
		return NULL;
	}
	return a;
}

static int extract_entries(struct extract *x, struct archive *a, struct err *e)
{
	struct archive_entry *entry;
	for (;;) {
		int r = archive_read_next_header(a, &entry);
		if (r == ARCHIVE_EOF) {
			return 0;
		}
		if (r != ARCHIVE_OK && r != ARCHIVE_WARN) {
			return archive_failed(x, a, e);
		}
		if (++x->entries > CONTEXT_ENTRIES_MAX) {
			return err_set(e, ERR_INVALID, "invalid archive: more than %d entries",
				CONTEXT_ENTRIES_MAX);
		}
		if (make_entry(x, a, entry, e) < 0) {
			return -1;
		}
	}
}

int context_extract(int root_fd, const char *base, struct stream *packed,
	const struct extract_options *o, struct err *e)
{
	scoped(free_archive) struct archive *a = new_reader();
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	scoped(stream_free) struct stream *tar = stream_decompress_new(packed);
	struct extract x = {.root_fd = root_fd,
		.base = base,
		.tar = tar,
		.o = o,
		.chunk = chunk,
		.stream_error = e};
	if (!a) {
		return err_sys(e, ENOMEM, "cannot read an archive");
	}
	int r = archive_read_open(a, &x, NULL, read_tar, NULL) != ARCHIVE_OK
			? archive_failed(&x, a, e)
			: extract_entries(&x, a, e);
	if (r == 0) {
		r = stream_drain(tar, e);
	}
	if (r == 0) {
		set_dir_times(&x);
	}
	buf_deinit(&x.dirs);
	return r;
}

static int is_archive(struct stream *packed)
{
	struct err ignored;
	scoped(free_archive) struct archive *a = new_reader();
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	scoped(stream_free) struct stream *tar = stream_decompress_new(packed);
	struct extract x = {.tar = tar, .chunk = chunk, .stream_error = &ignored};
	struct archive_entry *entry;
	if (!a || archive_read_open(a, &x, NULL, read_tar, NULL) != ARCHIVE_OK) {
		return 0;
	}
	int r = archive_read_next_header(a, &entry);
	return r == ARCHIVE_OK || r == ARCHIVE_WARN;
}

bool context_is_archive(int fd)
{
	scoped(stream_free) struct stream *packed = stream_from_fd(fd);
	bool yes = is_archive(packed);
	return lseek(fd, 0, SEEK_SET) == 0 && yes;
}
