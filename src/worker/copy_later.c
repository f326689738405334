/* What a copy makes by hard links, after overlayfs was unmounted: links cannot lead from one mount
 * to another, and what is below a mounted overlay must not be changed but through it.
 *
 * So names that the destination does not have yet wait: a new directory with all that is in it is
 * one name. Directories that exist in both are entered through the overlay as always.
 */
#include <errno.h>
#include <limits.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/copy_internal.h"

#define LATER_NAMES_MAX 100000 /* the rest is copied at once */

struct copy_later {
	char *from_top, *path; /* as in struct level */
	char *to;              /* the directory below the destination's root, through no link */
	int depth;
	struct strv names;
};

void copy_later_free(struct copy *c)
{
	for (size_t i = 0; i < c->n_later; i++) {
		free(c->later[i].from_top);
		free(c->later[i].path);
		free(c->later[i].to);
		strv_deinit(&c->later[i].names);
	}
	free(c->later);
	inodes_deinit(&c->linked);
}

/* The path of an open directory below an open root, as the kernel knows it. */
static char *path_below(int root_fd, int fd)
{
	char link[64], root[PATH_MAX], path[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", root_fd);
	ssize_t n = readlink(link, root, sizeof(root) - 1);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t m = readlink(link, path, sizeof(path) - 1);
	if (n < 0 || m < n || memcmp(root, path, (size_t)n) != 0) {
		return NULL;
	}
	path[m] = '\0';
	const char *below = path + n;
	while (*below == '/') {
		below++;
	}
	return xstrdup(*below ? below : ".");
}

bool copy_later_add(struct copy *c, const struct level *l, const char *name, struct strv *names)
{
	struct stat st;
	if (!c->o.link || c->linking || c->later_names >= LATER_NAMES_MAX ||
		fstatat(l->to_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT) {
		return false;
	}
	c->later_names++;
	strv_add(names, name);
	return true;
}

int copy_later_end(struct copy *c, const struct level *l, struct strv *names, struct err *e)
{
	struct stat st;
	if (names->n == 0) {
		return 0;
	}
	/* a change of nothing: a directory of a layer below comes up */
	if (fstat(l->to_fd, &st) < 0 || fchmod(l->to_fd, st.st_mode & 07777) < 0) {
		return err_sys(e, errno, "cannot copy into %s", l->to_path);
	}
	char *to = path_below(c->to_root, l->to_fd);
	if (!to) {
		return err_set(e, ERR_SYSTEM, "cannot resolve %s", l->to_path);
	}
	c->later = xrealloc(c->later, c->n_later + 1, sizeof(*c->later));
	c->later[c->n_later++] =
		(struct copy_later){xstrdup(l->from_top), xstrdup(l->path), to, l->depth, *names};
	*names = (struct strv)STRV_INIT;
	return 0;
}

/* --- links --- */

int copy_link(struct copy *c, const struct level *l, const char *name, const char *to_name,
	const struct stat *st, bool same)
{
	/* a second copy of one file is a file of its own, as it was before there were links */
	if (!c->linking || !same || inodes_has(&c->linked, st->st_ino)) {
		return 0;
	}
	if (linkat(l->from_fd, name, l->to_fd, to_name, 0) < 0) {
		return 0; /* too many (EMLINK), another filesystem (EXDEV) */
	}
	inodes_add(&c->linked, st->st_ino);
	return 1;
}

/* --- later --- */

static int open_sides(struct copy *c, const struct copy_later *x, int *ret_to, struct err *e)
{
	scoped(free) char *from = path_join(x->from_top, *x->path ? x->path : ".");
	scoped(close) int from_fd = path_open_in(c->from_root, from, O_RDONLY | O_DIRECTORY, 0);
	*ret_to = path_open_plain(c->to_root, x->to, O_RDONLY | O_DIRECTORY);
	if (from_fd < 0 || *ret_to < 0) {
		return err_sys(e, from_fd < 0 ? -from_fd : -*ret_to, "cannot copy into %s", x->to);
	}
	return TAKE_FD(from_fd);
}

static int run_one(struct copy *c, const struct copy_later *x, struct err *e)
{
	scoped(close) int to_fd = -1;
	scoped(close) int from_fd = open_sides(c, x, &to_fd, e);
	if (from_fd < 0) {
		return -1;
	}
	const struct level l = {from_fd, to_fd, x->to, x->path, x->depth, x->from_top};
	for (size_t i = 0; i < x->names.n; i++) {
		if (copy_entry(c, &l, x->names.v[i], e) < 0) {
			return -1;
		}
	}
	return 0;
}

bool copy_later_is_needed(const struct copy *c)
{
	return c->n_later > 0;
}

int copy_later_run(struct copy *c, int from_root, int to_root, struct err *e)
{
	c->from_root = from_root;
	c->to_root = to_root;
	c->linking = true;
	for (size_t i = 0; i < c->n_later; i++) {
		if (run_one(c, &c->later[i], e) < 0) {
			return -1;
		}
	}
	return 0;
}
