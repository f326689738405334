/* Invariants: 1. watches[wd] is the path that the kernel's watch wd is of. 2. Every directory below
 * a root that is not skipped has a watch, from before its content was read. */
#include "wherry/watch_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"

#define DEPTH_MAX 256
#define EVENTS                                                                            \
	(IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE | IN_MOVED_FROM | \
		IN_MOVED_TO | IN_DELETE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK)

struct watch_tree {
	int fd;
	watch_skip_fn *skip;
	void *owner;
	struct strv roots;
	char **watches; /* by wd */
	size_t cap;
	struct map *changed; /* of the batch that is read */
	bool lost;
};

const char *watch_below(const char *root, const char *path)
{
	size_t n = strlen(root);
	n -= n > 0 && root[n - 1] == '/'; /* "/" */
	if (strncmp(root, path, n) != 0 || (path[n] && path[n] != '/')) {
		return NULL;
	}
	return path[n] ? path + n + 1 : "";
}

struct watch_tree *watch_tree_new(watch_skip_fn *skip, void *owner, struct err *e)
{
	struct watch_tree *t = xnew(struct watch_tree);
	t->skip = skip;
	t->owner = owner;
	t->changed = map_new();
	t->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (t->fd < 0) {
		err_sys(e, errno,
			"cannot watch files (sysctl fs.inotify.max_user_instances may be too small)");
		watch_tree_free(t);
		return NULL;
	}
	return t;
}

void watch_tree_free(struct watch_tree *t)
{
	if (!t) {
		return;
	}
	if (t->fd >= 0) {
		close(t->fd);
	}
	for (size_t i = 0; i < t->cap; i++) {
		free(t->watches[i]);
	}
	free(t->watches);
	strv_deinit(&t->roots);
	map_free(t->changed);
	free(t);
}

int watch_tree_fd(const struct watch_tree *t)
{
	return t->fd;
}

static bool is_in_roots(const struct watch_tree *t, const char *path)
{
	for (size_t i = 0; i < t->roots.n; i++) {
		if (watch_below(t->roots.v[i], path)) {
			return true;
		}
	}
	return false;
}

static bool is_above_roots(const struct watch_tree *t, const char *path)
{
	for (size_t i = 0; i < t->roots.n; i++) {
		if (watch_below(path, t->roots.v[i])) {
			return true;
		}
	}
	return false;
}

static void remember(struct watch_tree *t, int wd, const char *path)
{
	if ((size_t)wd >= t->cap) {
		size_t cap = ((size_t)wd + 1) * 2;
		t->watches = xrealloc(t->watches, cap, sizeof(*t->watches));
		memset(t->watches + t->cap, 0, (cap - t->cap) * sizeof(*t->watches));
		t->cap = cap;
	}
	free(t->watches[wd]);
	t->watches[wd] = xstrdup(path);
}

static void note(struct watch_tree *t, const char *path)
{
	static char present[] = "";
	if (map_count(t->changed) >= WATCH_CHANGES_MAX) {
		t->lost = true;
	} else if (!t->lost) {
		map_put(t->changed, path, present);
	}
}

static char *join(const char *dir, const char *name)
{
	return xasprintf("%s/%s", strcmp(dir, "/") == 0 ? "" : dir, name);
}

/* Watches a directory and those below it; with report, everything that is in it has changed. Above
 * the roots only what leads to one. */
static int enter(struct watch_tree *t, const char *path, bool report, int depth, struct err *e)
{
	bool inside = is_in_roots(t, path);
	if ((!inside && !is_above_roots(t, path)) || depth > DEPTH_MAX ||
		(inside && t->skip && t->skip(t->owner, path))) {
		return 0;
	}
	int wd = inotify_add_watch(t->fd, path, EVENTS);
	if (wd < 0) {
		return errno == ENOENT || errno == ENOTDIR || errno == EACCES
			       ? 0
			       : err_sys(e, errno,
					 "cannot watch %.200s (sysctl fs.inotify.max_user_watches may be too small)",
					 path);
	}
	remember(t, wd, path);
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	scoped(strv) struct strv names = STRV_INIT;
	if (fd < 0 || path_list(fd, &names) < 0) {
		return 0; /* is gone again */
	}
	for (size_t i = 0; i < names.n; i++) {
		struct stat st;
		scoped(free) char *below = join(path, names.v[i]);
		bool is_dir = fstatat(fd, names.v[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			      S_ISDIR(st.st_mode);
		if (report && is_in_roots(t, below) && !(is_dir && strv_has(&t->roots, below))) {
			note(t, below);
		}
		if (is_dir && enter(t, below, report, depth + 1, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int watch_tree_add(struct watch_tree *t, const char *path, struct err *e)
{
	scoped(free) char *dir = xstrdup(path);
	struct stat st;
	strv_add(&t->roots, path);
	do { /* from above it, so that its going and coming is seen */
		char *slash = strrchr(dir, '/');
		dir[!slash ? 0 : slash == dir ? 1 : slash - dir] = '\0';
	} while (strcmp(dir, "/") != 0 && (stat(dir, &st) < 0 || !S_ISDIR(st.st_mode)));
	return enter(t, dir, false, 0, e);
}

/* The watches of a directory that moved away are of other paths now. */
static void forget_below(struct watch_tree *t, const char *path)
{
	for (size_t i = 0; i < t->cap; i++) {
		if (t->watches[i] && watch_below(path, t->watches[i])) {
			inotify_rm_watch(t->fd, (int)i);
			free(TAKE(t->watches[i]));
		}
	}
}

static int take(struct watch_tree *t, const struct inotify_event *event, struct err *e)
{
	if (event->mask & IN_Q_OVERFLOW) {
		t->lost = true;
		return 0;
	}
	if (event->wd < 0 || (size_t)event->wd >= t->cap || !t->watches[event->wd]) {
		return 0;
	}
	if (event->mask & IN_IGNORED) {
		free(TAKE(t->watches[event->wd]));
		return 0;
	}
	if (event->len == 0) {
		return 0;
	}
	scoped(free) char *path = join(t->watches[event->wd], event->name);
	bool is_dir = event->mask & IN_ISDIR;
	bool came = event->mask & (IN_CREATE | IN_MOVED_TO);
	bool is_root = strv_has(&t->roots, path);
	/* a root's own coming is no change, its content is */
	if (is_in_roots(t, path) && !(is_dir && (is_root || (event->mask & IN_MODIFY)))) {
		note(t, path);
	}
	if (is_dir && (event->mask & (IN_MOVED_FROM | IN_DELETE))) {
		forget_below(t, path);
	}
	return is_dir && came ? enter(t, path, true, 0, e) : 0;
}

int watch_tree_read(struct watch_tree *t, struct strv *ret, bool *ret_all, struct err *e)
{
	_Alignas(struct inotify_event) char data[16384];
	ssize_t n;
	while ((n = read(t->fd, data, sizeof(data))) > 0) {
		for (const char *p = data; p < data + n;) {
			const struct inotify_event *event = (const struct inotify_event *)p;
			if (take(t, event, e) < 0) {
				return -1;
			}
			p += sizeof(*event) + event->len;
		}
	}
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		return err_sys(e, errno, "cannot read what has changed");
	}
	size_t pos = 0;
	const char *path;
	*ret_all = *ret_all || t->lost;
	while (map_next(t->changed, &pos, &path)) {
		strv_add(ret, path);
	}
	t->lost = false;
	map_free(t->changed);
	t->changed = map_new();
	return 0;
}

static int list(const char *path, watch_skip_fn *skip, void *owner, int depth, struct strv *ret,
	struct err *e)
{
	struct stat st;
	if (lstat(path, &st) < 0) {
		return errno == ENOENT ? 0 : err_sys(e, errno, "lstat %.300s", path);
	}
	if (depth > 0 || !S_ISDIR(st.st_mode)) {
		strv_add(ret, path);
	}
	if (!S_ISDIR(st.st_mode) || depth > DEPTH_MAX || (skip && skip(owner, path))) {
		return 0;
	}
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	scoped(strv) struct strv names = STRV_INIT;
	int r = fd < 0 ? -errno : path_list(fd, &names);
	if (r < 0) {
		return err_sys(e, -r, "open %.300s", path);
	}
	for (size_t i = 0; i < names.n; i++) {
		scoped(free) char *below = join(path, names.v[i]);
		if (list(below, skip, owner, depth + 1, ret, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int watch_tree_list(
	const char *root, watch_skip_fn *skip, void *owner, struct strv *ret, struct err *e)
{
	return list(root, skip, owner, 0, ret, e);
}
