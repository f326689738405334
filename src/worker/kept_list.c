#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "worker/kept.h"

#define GONE ".gone-" /* in front of the name of one that is being removed */

static int64_t index_bytes(int fd)
{
	struct err none;
	scoped(file_index) struct file_index x = {0};
	int64_t bytes = 0;
	if (file_index_read(fd, "index", &x, &none) < 0) {
		return 0;
	}
	for (size_t i = 0; i < x.n; i++) {
		bytes += S_ISREG(x.v[i].mode) ? x.v[i].size : 0;
	}
	return bytes;
}

static void tell(int dir, const char *key, void (*found)(void *owner, const struct kept_info *i),
	void *owner)
{
	struct stat st;
	scoped(close) int fd = openat(dir, key, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		return;
	}
	const struct kept_info i = {
		.key = key,
		.bytes = index_bytes(fd),
		.used_ns = (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec,
		.in_use = flock(fd, LOCK_SH | LOCK_NB) < 0,
	};
	found(owner, &i);
}

int kept_list(const char *dir, void (*found)(void *owner, const struct kept_info *i), void *owner,
	struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		return 0;
	}
	int r = fd < 0 ? -errno : path_list(fd, &names);
	if (r < 0) {
		return err_sys(e, -r, "cannot read %s", dir);
	}
	for (size_t i = 0; i < names.n; i++) {
		if (text_starts(names.v[i], GONE)) {
			path_remove_tree(fd, names.v[i]); /* what a killed removal left */
		} else {
			tell(fd, names.v[i], found, owner);
		}
	}
	return 0;
}

int kept_remove(const char *dir, const char *key, struct err *e)
{
	scoped(close) int all = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(close) int fd =
		all < 0 || !path_is_component(key)
			? -1
			: openat(all, key, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return 0;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		return err_set(e, ERR_BUSY, "a build uses the context %.100s", key);
	}
	scoped(free) char *gone = xasprintf(GONE "%s", key);
	path_remove_tree(all, gone);
	if (renameat(all, key, all, gone) < 0) {
		return err_sys(e, errno, "cannot remove %s/%s", dir, key);
	}
	int r = path_remove_tree(all, gone);
	return r < 0 ? err_sys(e, -r, "cannot remove %s/%s", dir, key) : 0;
}

/* --- those that are not wanted --- */

struct aged {
	char *key;
	int64_t bytes, used_ns;
};

struct ages {
	struct aged *v;
	size_t n;
	int64_t bytes;
};

static void add_age(void *owner, const struct kept_info *i)
{
	struct ages *a = owner;
	a->bytes += i->bytes;
	if (!i->in_use) {
		a->v = xrealloc(a->v, a->n + 1, sizeof(*a->v));
		a->v[a->n++] = (struct aged){xstrdup(i->key), i->bytes, i->used_ns};
	}
}

static int by_age(const void *a, const void *b)
{
	const struct aged *x = a, *y = b;
	return (x->used_ns > y->used_ns) - (x->used_ns < y->used_ns);
}

void kept_trim(const char *dir, int64_t now_ns, int64_t max_age_ns, int64_t max_bytes)
{
	struct err ignored;
	struct ages a = {0};
	(void)kept_list(dir, add_age, &a, &ignored);
	if (a.n > 1) {
		qsort(a.v, a.n, sizeof(*a.v), by_age);
	}
	for (size_t i = 0; i < a.n; i++) {
		bool old = now_ns - a.v[i].used_ns > max_age_ns;
		if ((old || a.bytes > max_bytes) && kept_remove(dir, a.v[i].key, &ignored) == 0) {
			a.bytes -= a.v[i].bytes;
		}
		free(a.v[i].key);
	}
	free(a.v);
}
