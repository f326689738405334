/* Mount points in a step's root: made where they are missing, gone afterwards.
 *
 * Invariants
 * 1. Every target is resolved in the root before the step's first process exists, so nothing can
 * move under it; the runtime gets a path without links.
 * 2. What is removed afterwards is what was made (by inode), found from the root without following
 * any link: the step may have put links in its place (CVE-2024-23652).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "worker/build_mounts.h"

#define LINKS_MAX 40 /* as the kernel follows */

struct build_stub {
	const char *path; /* without links */
	dev_t dev;
	ino_t ino;
	bool is_file;
	struct timespec parent_times[2];
};

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return !slash || slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

static int point_error(const char *path, int failed, struct err *e)
{
	return err_sys(e, -failed, "cannot make the mount point %.200s", path);
}

/* --- resolving --- */

/* The path in the root of what fd is: the caller's, or NULL. */
static char *path_in_root(const struct build_layer *l, int fd)
{
	char link[64], path[4097];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	size_t root = strlen(l->root);
	if (n < (ssize_t)root || strncmp(path, l->root, root) != 0) {
		return NULL;
	}
	path[n] = '\0';
	return xstrdup(path[root] ? path + root : "/");
}

static int make_stub(struct build_mounts *m, int dir, const char *path, bool is_file, struct err *e)
{
	const char *name = strrchr(path, '/') + 1;
	struct stat parent, st;
	if (fstat(dir, &parent) < 0) {
		return point_error(path, -errno, e);
	}
	int r = is_file ? mknodat(dir, name, S_IFREG | 0644, 0) : mkdirat(dir, name, 0755);
	if (r < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return point_error(path, -errno, e);
	}
	m->stubs = xrealloc(m->stubs, m->n_stubs + 1, sizeof(*m->stubs));
	m->stubs[m->n_stubs++] = (struct build_stub){build_mounts_keep(m, xstrdup(path)), st.st_dev,
		st.st_ino, is_file, {parent.st_atim, parent.st_mtim}};
	return 0;
}

/* A link that leads nowhere: *path becomes what it says. 1: it was one. */
static int follow_link(int dir, char **path, const char *parent)
{
	char link[4097];
	ssize_t n = readlinkat(dir, strrchr(*path, '/') + 1, link, sizeof(link) - 1);
	if (n < 0) {
		return errno == EINVAL || errno == ENOENT ? 0 : -errno;
	}
	link[n] = '\0';
	scoped(free) char *next = path_join(parent, link);
	free(*path);
	*path = path_join("/", next);
	return 1;
}

static int resolve(struct build_mounts *m, struct build_layer *l, const char *path, bool is_file,
	int links, char **ret, struct err *e);

/* The last component is missing, or a link to what is. */
static int make_missing(struct build_mounts *m, struct build_layer *l, const char *path,
	bool is_file, int links, char **ret, struct err *e)
{
	scoped(free) char *parent = parent_of(path);
	scoped(free) char *real_parent = NULL;
	if (resolve(m, l, parent, false, links, &real_parent, e) < 0) {
		return -1;
	}
	scoped(close) int dir = path_open_in(l->root_fd, real_parent, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0) {
		return point_error(path, dir, e);
	}
	scoped(free) char *here = path_join(real_parent, strrchr(path, '/') + 1);
	int linked = follow_link(dir, &here, real_parent);
	if (linked < 0 || (linked && links == 0)) {
		return point_error(path, linked < 0 ? linked : -ELOOP, e);
	}
	if (linked) {
		return resolve(m, l, here, is_file, links - 1, ret, e);
	}
	if (make_stub(m, dir, here, is_file, e) < 0) {
		return -1;
	}
	*ret = TAKE(here);
	return 0;
}

/* *ret: path, which is made if it is missing, without links on the way; the caller's. */
static int resolve(struct build_mounts *m, struct build_layer *l, const char *path, bool is_file,
	int links, char **ret, struct err *e)
{
	scoped(close) int fd = path_open_in(l->root_fd, path, O_PATH, 0);
	if (fd == -ENOENT) {
		return make_missing(m, l, path, is_file, links, ret, e);
	}
	if (fd < 0) {
		return point_error(path, fd, e);
	}
	*ret = path_in_root(l, fd);
	return *ret ? 0 : point_error(path, -EXDEV, e);
}

/* --- all of a step --- */

/* The runtime mounts these itself, with what Docker hides and protects in them: nothing of a user's
 * goes over or into them, whatever the path was called. */
static int check_target(const char *target, const char *real, struct err *e)
{
	static const char *const kept[] = {"/proc", "/sys"};
	bool bad = strcmp(real, "/") == 0 || strcmp(real, "/dev") == 0;
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		size_t n = strlen(kept[i]);
		bad = bad || (strncmp(real, kept[i], n) == 0 && (!real[n] || real[n] == '/'));
	}
	return bad ? err_set(e, ERR_INVALID,
			     "invalid mount target \"%.200s\": /, /proc, /sys and /dev are the runtime's",
			     target)
		   : 0;
}

static int make_point(struct build_mounts *m, struct build_layer *l, size_t k, struct err *e)
{
	scoped(free) char *real = NULL;
	scoped(free) char *clean = path_clean(m->v[k].target);
	if (check_target(m->v[k].target, clean, e) < 0) {
		return -1;
	}
	if (text_starts(clean, "/dev/")) {
		return 0; /* in the tmpfs that the runtime mounts there */
	}
	if (resolve(m, l, clean, m->is_file[k], LINKS_MAX, &real, e) < 0 ||
		check_target(m->v[k].target, real, e) < 0) {
		return -1;
	}
	m->v[k].target = build_mounts_keep(m, TAKE(real));
	return 0;
}

int build_mounts_make_points(struct build_mounts *m, struct build_layer *l, struct err *e)
{
	static const char *const always[] = {"/proc", "/sys", "/dev"};
	for (size_t k = 0; k < sizeof(always) / sizeof(*always); k++) {
		scoped(free) char *real = NULL;
		if (resolve(m, l, always[k], false, 0, &real, e) < 0) {
			return -1;
		}
		if (strcmp(real, always[k]) != 0) {
			return err_set(
				e, ERR_INVALID, "%s of the image must be a directory", always[k]);
		}
	}
	for (size_t k = 0; k < m->n; k++) {
		if (make_point(m, l, k, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Only while no link stands on the way. */
static int open_real(const struct build_layer *l, const char *path)
{
	scoped(close) int fd = path_open_in(l->root_fd, path, O_RDONLY | O_DIRECTORY, 0);
	scoped(free) char *real = fd < 0 ? NULL : path_in_root(l, fd);
	return real && strcmp(real, path) == 0 ? TAKE_FD(fd) : -1;
}

void build_mounts_drop_points(struct build_mounts *m, struct build_layer *l)
{
	for (size_t k = m->n_stubs; k > 0; k--) {
		const struct build_stub *s = &m->stubs[k - 1];
		const char *name = strrchr(s->path, '/') + 1;
		scoped(free) char *parent = parent_of(s->path);
		scoped(close) int dir = open_real(l, parent);
		struct stat st;
		if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			st.st_dev != s->dev || st.st_ino != s->ino) {
			continue;
		}
		bool filled = s->is_file && st.st_size > 0;
		if (!filled && unlinkat(dir, name, s->is_file ? 0 : AT_REMOVEDIR) == 0) {
			futimens(dir, s->parent_times);
		}
	}
}
