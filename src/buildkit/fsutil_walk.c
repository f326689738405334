#include "buildkit/fsutil_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"
#include "buildkit/fsutil_names.h"

#define XATTR_NAMES_MAX 65536
#define XATTR_VALUE_MAX 65536

struct walker {
	const struct fsutil_walk *w;
	struct buf path;   /* of the entry, below the root */
	struct buf told;   /* the same with below in front */
	struct map *links; /* "dev:ino" to the id plus one of a file with several names */
	uint32_t top;      /* parent of what is at the top */
	char *xattr_names;
	struct buf xattr_values;
	bool own_cwd; /* the thread's working directory is its own */
	int cwd;      /* an open fd of it, or -1 */
};

/* A directory on the way down. */
struct level {
	struct level *up; /* NULL at the top, which is never told */
	int fd;
	const char *name;
	size_t path_len;
	struct stat st;
	bool told;
	uint32_t id;
};

static int walk_error(struct err *e, int errnum, const char *path)
{
	return err_sys(e, errnum, "cannot read %.200s", path);
}

/* --- one entry --- */

static int64_t mtime_ns(const struct stat *st)
{
	return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static bool xattr_wanted(const char *name)
{
	return text_starts(name, "user.") || strcmp(name, "security.capability") == 0;
}

/* Into xattr_values, and their places into v: at most max. */
static size_t read_xattrs(struct walker *x, const char *self, struct fsutil_xattr *v, size_t max)
{
	size_t n = 0;
	ssize_t size = llistxattr(self, x->xattr_names, XATTR_NAMES_MAX);
	buf_clear(&x->xattr_values);
	for (const char *p = x->xattr_names; size > 0 && p < x->xattr_names + size && n < max;
		p += strlen(p) + 1) {
		if (!xattr_wanted(p)) {
			continue;
		}
		char *to = buf_room(&x->xattr_values, XATTR_VALUE_MAX);
		ssize_t got = lgetxattr(self, p, to, XATTR_VALUE_MAX);
		if (got < 0) {
			continue;
		}
		v[n++] = (struct fsutil_xattr){p, NULL, (size_t)got};
		buf_added(&x->xattr_values, (size_t)got);
	}
	const char *value = buf_str(&x->xattr_values); /* it may have moved */
	for (size_t i = 0; i < n; i++) {
		v[i].value = value;
		value += v[i].n;
	}
	return n;
}

/* Attributes are read by paths only (before Linux 6.13): from the directory itself, where the
 * thread may stand in it, else on the way through /proc, which takes three times as long. */
static void add_xattrs(
	struct walker *x, int dir, const char *name, struct fsutil_stat *st, struct fsutil_xattr *v)
{
	char self[64 + 256];
	if (!x->w->o->xattrs || S_ISLNK(st->mode) || strlen(name) > 255) {
		return;
	}
	if (x->own_cwd && x->cwd != dir) {
		x->cwd = fchdir(dir) == 0 ? dir : -1;
	}
	if (x->cwd == dir) {
		snprintf(self, sizeof(self), "%s", name);
	} else {
		snprintf(self, sizeof(self), "/proc/self/fd/%d/%s", dir, name);
	}
	st->n_xattrs = read_xattrs(x, self, v, FSUTIL_XATTRS_MAX);
	st->xattrs = v;
}

/* The path below the root as the receiver gets it. */
static const char *told_path(struct walker *x, const char *path)
{
	const char *below = x->w->o->below;
	if (!below || !*below) {
		return path;
	}
	buf_clear(&x->told);
	buf_printf(&x->told, "%s/%s", below, path);
	return buf_str(&x->told);
}

static int tell(struct walker *x, const struct level *in, const char *name, const struct stat *st,
	const char *path, const char *link, uint32_t *ret_id, struct err *e)
{
	struct fsutil_xattr xattrs[FSUTIL_XATTRS_MAX];
	bool linked = S_ISREG(st->st_mode) && *link;
	bool device = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
	struct fsutil_stat told = {
		.path = told_path(x, path),
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.size = S_ISDIR(st->st_mode) || linked ? 0 : st->st_size,
		.mtime_ns = mtime_ns(st),
		.link = link,
		.dev_major = device ? major(st->st_rdev) : 0,
		.dev_minor = device ? minor(st->st_rdev) : 0,
	};
	add_xattrs(x, in->fd, name, &told, xattrs);
	if (x->w->o->change) {
		x->w->o->change(x->w->o->owner, &told);
	}
	uint32_t parent = in->up ? in->id : x->top;
	return x->w->tell(
		x->w->owner, parent, name, &told, S_ISREG(st->st_mode) && !linked, ret_id, e);
}

/* The directories above come first, where they were not told yet. */
static int tell_parents(struct walker *x, struct level *in, struct err *e)
{
	if (!in->up || in->told) {
		return 0;
	}
	if (tell_parents(x, in->up, e) < 0) {
		return -1;
	}
	scoped(free) char *path = xstrndup(buf_str(&x->path), in->path_len);
	in->told = true;
	return tell(x, in->up, in->name, &in->st, path, "", &in->id, e);
}

/* *ret: where a link leads, or the first name of a file that was told; "" for everything else. */
static int find_link(struct walker *x, const struct level *in, const char *name,
	const struct stat *st, char key[static 64], char **ret, struct err *e)
{
	char to[FSUTIL_PATH_MAX + 1];
	*key = '\0';
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(in->fd, name, to, FSUTIL_PATH_MAX);
		if (n < 0) {
			return walk_error(e, errno, buf_str(&x->path));
		}
		to[n] = '\0';
		const char *below = x->w->o->below;
		bool moved = below && *below && *to == '/';
		*ret = moved ? xasprintf("/%s%s", below, to) : xstrdup(to);
		return 0;
	}
	if (S_ISREG(st->st_mode) && st->st_nlink > 1) {
		snprintf(key, 64, "%jx:%jx", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
		uintptr_t first = (uintptr_t)map_get(x->links, key);
		*ret = first ? xstrdup(told_path(x, x->w->path(x->w->owner, (uint32_t)first - 1)))
			     : xstrdup("");
		return 0;
	}
	*ret = xstrdup("");
	return 0;
}

static int tell_leaf(
	struct walker *x, struct level *in, const char *name, const struct stat *st, struct err *e)
{
	char key[64];
	scoped(free) char *link = NULL;
	if (S_ISSOCK(st->st_mode)) {
		return 0; /* means nothing elsewhere */
	}
	if (find_link(x, in, name, st, key, &link, e) < 0) {
		return e->sys == ENOENT ? 0 : -1;
	}
	uint32_t id;
	if (tell_parents(x, in, e) < 0 ||
		tell(x, in, name, st, buf_str(&x->path), link, &id, e) < 0) {
		return -1;
	}
	if (*key && !*link) {
		map_put(x->links, key, (void *)((uintptr_t)id + 1));
	}
	return 0;
}

/* --- directories --- */

static int walk_level(struct walker *x, struct level *l, int depth, struct err *e);

static int walk_subdir(struct walker *x, struct level *in, const char *name, const struct stat *st,
	unsigned what, int depth, struct err *e)
{
	struct level l = {.up = in, .name = name, .path_len = x->path.len, .st = *st};
	if (what & FSUTIL_SEND && tell_parents(x, &l, e) < 0) {
		return -1;
	}
	if (!(what & FSUTIL_ENTER)) {
		return 0;
	}
	scoped(close) int fd =
		openat(in->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return errno == ENOENT || errno == ENOTDIR ||
				       (errno == EACCES && !(what & FSUTIL_SEND))
			       ? 0
			       : walk_error(e, errno, buf_str(&x->path));
	}
	l.fd = fd;
	int r = walk_level(x, &l, depth + 1, e);
	x->cwd = x->cwd == fd ? -1 : x->cwd; /* the number is another directory's next */
	return r;
}

static int walk_entry(
	struct walker *x, struct level *in, const char *name, int depth, struct err *e)
{
	const struct fsutil_send_options *o = x->w->o;
	struct stat st;
	if (fstatat(in->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT ? 0 : walk_error(e, errno, buf_str(&x->path));
	}
	bool is_dir = S_ISDIR(st.st_mode);
	unsigned what = o->filter ? o->filter(o->owner, buf_str(&x->path), is_dir)
				  : FSUTIL_SEND | FSUTIL_ENTER;
	if (is_dir) {
		return walk_subdir(x, in, name, &st, what, depth, e);
	}
	return what & FSUTIL_SEND ? tell_leaf(x, in, name, &st, e) : 0;
}

static void set_length(struct buf *b, size_t n)
{
	b->len = n;
	if (b->data) {
		b->data[n] = '\0';
	}
}

static int walk_level(struct walker *x, struct level *l, int depth, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	int r = depth > FSUTIL_DEPTH_MAX ? -ELOOP : path_list(l->fd, &names);
	if (r < 0) {
		return walk_error(e, -r, l->up ? buf_str(&x->path) : ".");
	}
	for (size_t i = 0; i < names.n; i++) {
		size_t before = x->path.len;
		buf_puts(&x->path, before ? "/" : "");
		buf_puts(&x->path, names.v[i]);
		r = walk_entry(x, l, names.v[i], depth, e);
		set_length(&x->path, before);
		if (r < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- the whole --- */

static int tell_below(struct walker *x, struct err *e)
{
	const struct fsutil_send_options *o = x->w->o;
	x->top = FSUTIL_TOP;
	if (!o->below || !*o->below) {
		return 0;
	}
	struct fsutil_stat st = {.path = o->below,
		.mode = S_IFDIR | 0755,
		.mtime_ns = mtime_ns(o->like),
		.link = ""};
	if (o->change) {
		o->change(o->owner, &st);
	}
	return x->w->tell(x->w->owner, FSUTIL_TOP, "", &st, false, &x->top, e);
}

int fsutil_walk(const struct fsutil_walk *w, int root_fd, struct err *e)
{
	struct walker x = {.w = w, .links = map_new(), .cwd = -1};
	struct level top = {.fd = root_fd};
	x.xattr_names = w->o->xattrs ? xnew_array(char, XATTR_NAMES_MAX) : NULL;
	x.own_cwd = w->o->xattrs && unshare(CLONE_FS) == 0;
	int r = tell_below(&x, e) < 0 ? -1 : walk_level(&x, &top, 0, e);
	map_free(x.links);
	free(x.xattr_names);
	buf_deinit(&x.xattr_values);
	buf_deinit(&x.path);
	buf_deinit(&x.told);
	return r;
}
