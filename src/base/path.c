#include "base/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "base/strv.h"

#define SMALL_FILE_BLOCKS (2 << 10) /* of 512 bytes: 1 MiB */

static int open_resolved(int root_fd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.mode = (flags & (O_CREAT | O_TMPFILE)) ? mode : 0,
		.resolve = resolve | RESOLVE_NO_MAGICLINKS,
	};
	/* EAGAIN: a rename or mount raced with ".." resolution; openat2(2) says to try again */
	for (int tries = 0; tries < 32; tries++) {
		long fd = syscall(SYS_openat2, root_fd, *path ? path : ".", &how, sizeof(how));
		if (fd >= 0) {
			return (int)fd;
		}
		if (errno != EAGAIN && errno != EINTR) {
			return -errno;
		}
	}
	return -EAGAIN;
}

int path_open_in(int root_fd, const char *path, int flags, mode_t mode)
{
	return open_resolved(root_fd, path, flags, mode, RESOLVE_IN_ROOT);
}

int path_open_beneath(int root_fd, const char *path, int flags)
{
	return open_resolved(root_fd, path, flags, 0, RESOLVE_BENEATH);
}

int path_open_plain(int root_fd, const char *path, int flags)
{
	return open_resolved(root_fd, path, flags, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

/* Opens prefix as a directory in root, making it when it is missing; its parent is known to exist.
 */
static int open_or_make(int root_fd, const char *prefix, mode_t mode)
{
	int fd = path_open_in(root_fd, prefix, O_PATH | O_DIRECTORY, 0);
	if (fd != -ENOENT) {
		return fd;
	}
	scoped(free) char *copy = xstrdup(prefix);
	char *slash = strrchr(copy, '/');
	const char *name = slash ? slash + 1 : copy;
	const char *parent = ".";
	if (slash) {
		*slash = '\0';
		parent = copy;
	}
	scoped(close) int parent_fd = path_open_in(root_fd, parent, O_PATH | O_DIRECTORY, 0);
	if (parent_fd < 0) {
		return parent_fd;
	}
	if (mkdirat(parent_fd, name, mode) < 0 && errno != EEXIST) {
		return -errno;
	}
	fd = path_open_in(root_fd, prefix, O_PATH | O_DIRECTORY, 0);
	return fd == -ENOENT ? -ENOTDIR : fd; /* a dangling link stands there */
}

int path_mkdir_in(int root_fd, const char *path, mode_t mode)
{
	scoped(free) char *clean = path_clean(path);
	int fd = path_open_in(root_fd, clean, O_PATH | O_DIRECTORY, 0);
	if (fd != -ENOENT) {
		return fd;
	}
	for (char *p = clean; *p; p++) {
		char *slash = strchrnul(p + 1, '/');
		char kept = *slash;
		*slash = '\0';
		scoped(close) int level = open_or_make(root_fd, clean, mode);
		if (level < 0) {
			return level;
		}
		*slash = kept;
		if (!kept) {
			return TAKE_FD(level);
		}
		p = slash - 1;
	}
	return path_open_in(root_fd, clean, O_PATH | O_DIRECTORY, 0);
}

int path_mkdirs(const char *path, mode_t mode)
{
	scoped(free) char *copy = path_clean(path);
	for (char *p = copy + 1;; p++) {
		p = strchrnul(p, '/');
		char kept = *p;
		*p = '\0';
		if (mkdir(copy, mode) < 0 && errno != EEXIST) {
			return -errno;
		}
		*p = kept;
		if (!kept) {
			return 0;
		}
	}
}

/* entries_left: NULL for a tree of any size. */
static int remove_tree(int dirfd, const char *name, uint64_t resolve, size_t *entries_left);

/* Freeing the blocks of a large file takes long, too. */
static bool is_within(int dirfd, const char *name, size_t *entries_left)
{
	struct stat st;
	if (!entries_left) {
		return true;
	}
	if (*entries_left == 0) {
		return false;
	}
	--*entries_left;
	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	       st.st_blocks <= SMALL_FILE_BLOCKS;
}

static int remove_entries(DIR *dir, dev_t dev, size_t *entries_left)
{
	int first_error = 0;
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		const char *name = entry->d_name;
		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
			continue;
		}
		if (!is_within(dirfd(dir), name, entries_left)) {
			return -E2BIG;
		}
		if (unlinkat(dirfd(dir), name, 0) == 0 || errno == ENOENT) {
			continue;
		}
		struct stat st;
		if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			first_error = first_error ? first_error : -errno;
			continue;
		}
		int r = S_ISDIR(st.st_mode) && st.st_dev == dev
				? remove_tree(dirfd(dir), name, RESOLVE_NO_XDEV, entries_left)
				: -EBUSY;
		if (r < 0 && !first_error) {
			first_error = r;
		}
	}
	return first_error;
}

/* RESOLVE_NO_XDEV for what lies in a tree: a directory of the same filesystem may be mounted there.
 */
static int remove_tree(int dirfd, const char *name, uint64_t resolve, size_t *entries_left)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = resolve,
	};
	scoped(close) int fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	if (fd < 0) {
		if (errno == ENOENT || errno == EXDEV) {
			return errno == ENOENT ? 0 : -EBUSY;
		}
		return unlinkat(dirfd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	}
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	scoped(closedir) DIR *dir = fdopendir(fd);
	if (!dir) {
		return -errno;
	}
	TAKE_FD(fd);
	int r = remove_entries(dir, st.st_dev, entries_left);
	if (unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOENT) {
		return r < 0 ? r : -errno;
	}
	return 0;
}

int path_remove_tree(int dirfd, const char *name)
{
	return remove_tree(dirfd, name, 0, NULL);
}

int path_remove_small_tree(int dirfd, const char *name, size_t entries_max)
{
	return is_within(dirfd, name, &entries_max) ? remove_tree(dirfd, name, 0, &entries_max)
						    : -E2BIG;
}

int path_read(int dirfd, const char *name, size_t limit, struct buf *ret)
{
	scoped(close) int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : path_read_fd(fd, limit, ret);
}

int path_read_fd(int fd, size_t limit, struct buf *ret)
{
	scoped(buf) struct buf b = BUF_INIT;
	char chunk[16384];
	for (;;) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		if (n == 0) {
			break;
		}
		int r = buf_append_limited(&b, chunk, (size_t)n, limit);
		if (r < 0) {
			return r == -ENOBUFS ? -EFBIG : r;
		}
	}
	buf_deinit(ret);
	*ret = b;
	b = (struct buf)BUF_INIT;
	return 0;
}

int path_write_all(int fd, const void *data, size_t n)
{
	const char *p = data;
	while (n > 0) {
		ssize_t done = write(fd, p, n);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done < 0) {
			return -errno;
		}
		p += done;
		n -= (size_t)done;
	}
	return 0;
}

int path_write(int dirfd, const char *name, const void *data, size_t n, mode_t mode, bool durable)
{
	scoped(free) char *temp = xasprintf("%s.tmp", name);
	scoped(close) int fd =
		openat(dirfd, temp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0) {
		return -errno;
	}
	int r = path_write_all(fd, data, n);
	if (r == 0 && fchmod(fd, mode) < 0) { /* the umask */
		r = -errno;
	}
	if (r == 0 && durable && fsync(fd) < 0) {
		r = -errno;
	}
	if (r == 0 && renameat(dirfd, temp, dirfd, name) < 0) {
		r = -errno;
	}
	if (r < 0) {
		unlinkat(dirfd, temp, 0);
	}
	return r;
}

bool path_is_component(const char *name)
{
	size_t n = strlen(name);
	return n > 0 && n <= 255 && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

char *path_clean(const char *path)
{
	bool absolute = *path == '/';
	scoped(strv) struct strv parts = STRV_INIT;
	scoped(strv) struct strv kept = STRV_INIT;
	strv_split(&parts, path, '/');
	for (size_t i = 0; i < parts.n; i++) {
		const char *part = parts.v[i];
		if (!*part || strcmp(part, ".") == 0) {
			continue;
		}
		if (strcmp(part, "..") != 0) {
			strv_add(&kept, part);
		} else if (kept.n > 0 && strcmp(kept.v[kept.n - 1], "..") != 0) {
			free(kept.v[--kept.n]);
			kept.v[kept.n] = NULL;
		} else if (!absolute) {
			strv_add(&kept, part);
		}
	}
	struct buf out = BUF_INIT;
	if (absolute) {
		buf_putc(&out, '/');
	}
	for (size_t i = 0; i < kept.n; i++) {
		buf_printf(&out, "%s%s", i ? "/" : "", kept.v[i]);
	}
	if (out.len == 0) {
		buf_putc(&out, '.');
	}
	return buf_take_str(&out);
}

char *path_join(const char *a, const char *b)
{
	if (*b == '/') {
		return path_clean(b);
	}
	scoped(free) char *joined = xasprintf("%s/%s", a, b);
	return path_clean(joined);
}

int path_write_at(int fd, const void *data, size_t n, int64_t offset)
{
	const char *p = data;
	while (n > 0) {
		ssize_t done = pwrite(fd, p, n, offset);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done < 0) {
			return -errno;
		}
		p += done;
		offset += done;
		n -= (size_t)done;
	}
	return 0;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int path_list(int dirfd, struct strv *ret)
{
	int own = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(closedir) DIR *dir = own < 0 ? NULL : fdopendir(own);
	if (!dir) {
		return -errno;
	}
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
			strv_add(ret, entry->d_name);
		}
	}
	if (ret->n > 1) {
		qsort(ret->v, ret->n, sizeof(*ret->v), compare_names);
	}
	return 0;
}
