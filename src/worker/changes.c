/* Job "changes": what a container changed below its root, for GET /containers/x/changes.
 *
 * request  {"layers_dir", "lower", "upper"}
 * fd 1     after {"ask": "begin"}: [{"Path": "/etc", "Kind": 0}, ...] or null; 0 modified, 1 added,
 *          2 deleted; a directory comes before what is in it
 *
 * Only the upper directory is walked; what it covers is looked up in the image. moby
 * pkg/archive/changes.go compares two whole trees and comes to the same list: a directory in which
 * something changed is modified itself, what is below a deleted directory is not named.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "worker/jobs.h"
#include "worker/output.h"
#include "worker/overlay.h"
#include "tree/pack.h"
#include "worker/rpc.h"
#include "worker/stubs.h"

#define OPAQUE "trusted.overlay.opaque"
#define CAPABILITY "security.capability"

enum change { MODIFIED, ADDED, DELETED };

struct lister {
	struct output *out;
	int64_t n;
};

/* One directory on the way down. A change in it makes those above it changed: they are printed
 * first, when the first change below them is found. */
struct level {
	const struct level *parent;
	const char *path; /* "" at the top */
	int upper, lower; /* lower -1: the image has none, or it does not count */
	int depth;
	bool *shown; /* this directory is in the list */
};

static int print(struct lister *l, const char *path, enum change kind, struct err *e)
{
	scoped(json) json_t *o = json_pack("{ss+ si}", "Path", "/", path, "Kind", (int)kind);
	if (!o) { /* a name that is not UTF-8: as Go's encoder, which replaces the bytes */
		scoped(free) char *safe = xstrdup(path);
		for (char *p = safe; *p; p++) {
			*p = *p & '\x80' ? '?' : *p;
		}
		o = json_pack("{ss+ si}", "Path", "/", safe, "Kind", (int)kind);
	}
	scoped(free) char *text = json_text(o);
	const char *before = l->n++ ? "," : "[";
	return output_write(l->out, before, 1, e) < 0 ? -1
						      : output_write(l->out, text, strlen(text), e);
}

static int show_parents(struct lister *l, const struct level *at, struct err *e)
{
	if (!at || *at->shown) {
		return 0;
	}
	*at->shown = true;
	return show_parents(l, at->parent, e) < 0 ? -1 : print(l, at->path, MODIFIED, e);
}

static int report(
	struct lister *l, const struct level *in, const char *path, enum change kind, struct err *e)
{
	return show_parents(l, in, e) < 0 ? -1 : print(l, path, kind, e);
}

/* Equal, or one of them without a fraction, as a tar may have left it. */
static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && (a.tv_nsec == b.tv_nsec || a.tv_nsec == 0 || b.tv_nsec == 0);
}

static bool differs(const struct stat *a, const struct stat *b)
{
	return a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid ||
	       a->st_rdev != b->st_rdev ||
	       (!S_ISDIR(a->st_mode) &&
		       (!same_time(a->st_mtim, b->st_mtim) || a->st_size != b->st_size));
}

static ssize_t capability_of(int dir, const char *name, char *ret, size_t n)
{
	char self[64];
	scoped(close) int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return fd < 0 ? -1 : getxattr(self, CAPABILITY, ret, n);
}

static bool capability_differs(const struct level *at, const char *name)
{
	char a[64];
	char b[64];
	ssize_t n = capability_of(at->upper, name, a, sizeof(a));
	return n != capability_of(at->lower, name, b, sizeof(b)) ||
	       (n > 0 && memcmp(a, b, (size_t)n) != 0);
}

static bool is_opaque(int fd)
{
	char value = 0;
	return fgetxattr(fd, OPAQUE, &value, 1) == 1 && value == 'y';
}

static int list_dir(struct lister *l, const struct level *at, struct err *e);

/* Everything the image has in an opaque directory is gone but what was made again. */
static int list_hidden(struct lister *l, const struct level *at, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	int r = path_list(at->lower, &names);
	if (r < 0) {
		return err_sys(e, -r, "cannot read %.200s of the image", at->path);
	}
	for (size_t i = 0; i < names.n; i++) {
		struct stat st;
		scoped(free) char *path = xasprintf("%s/%s", at->path, names.v[i]);
		if (fstatat(at->upper, names.v[i], &st, AT_SYMLINK_NOFOLLOW) < 0 &&
			report(l, at, path, DELETED, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int list_subdir(struct lister *l, const struct level *at, const char *name, const char *path,
	bool shown, bool in_image, struct err *e)
{
	scoped(close) int upper =
		openat(at->upper, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (upper < 0) {
		return errno == ENOENT || errno == ENOTDIR
			       ? 0
			       : err_sys(e, errno, "cannot read %.200s", path);
	}
	scoped(close) int lower =
		in_image ? openat(at->lower, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
			 : -1;
	const struct level below = {at, path, upper, lower, at->depth + 1, &shown};
	if (lower >= 0 && is_opaque(upper) && list_hidden(l, &below, e) < 0) {
		return -1;
	}
	return list_dir(l, &below, e);
}

static bool is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

static int list_entry(struct lister *l, const struct level *at, const char *name, struct err *e)
{
	struct stat now;
	struct stat before;
	scoped(free) char *path = *at->path ? xasprintf("%s/%s", at->path, name) : xstrdup(name);
	if (fstatat(at->upper, name, &now, AT_SYMLINK_NOFOLLOW) < 0) {
		return errno == ENOENT ? 0 : err_sys(e, errno, "cannot read %.200s", path);
	}
	bool in_image =
		at->lower >= 0 && fstatat(at->lower, name, &before, AT_SYMLINK_NOFOLLOW) == 0;
	if (!in_image && stub_is(at->upper, name, path)) {
		return 0;
	}
	if (is_whiteout(&now)) {
		return in_image ? report(l, at, path, DELETED, e) : 0;
	}
	bool is_dir = S_ISDIR(now.st_mode);
	/* a directory that is there for its mount points alone is none of the container's doing */
	bool changed = !in_image || differs(&before, &now) || capability_differs(at, name);
	if (changed && report(l, at, path, in_image ? MODIFIED : ADDED, e) < 0) {
		return -1;
	}
	return is_dir ? list_subdir(
				l, at, name, path, changed, in_image && S_ISDIR(before.st_mode), e)
		      : 0;
}

static int list_dir(struct lister *l, const struct level *at, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	int r = at->depth > PACK_DEPTH_MAX ? -ELOOP : path_list(at->upper, &names);
	if (r < 0) {
		return err_sys(e, -r, "cannot read /%.200s", at->path);
	}
	for (size_t i = 0; i < names.n; i++) {
		if (list_entry(l, at, names.v[i], e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int list_all(int upper, int lower, struct err *e)
{
	bool shown = true; /* the root itself is never named */
	scoped(output_free) struct output *out = output_new(STDOUT_FILENO);
	struct lister l = {out, 0};
	const struct level top = {NULL, "", upper, lower, 0, &shown};
	if (list_dir(&l, &top, e) < 0) {
		return -1;
	}
	const char *end = l.n ? "]\n" : "null\n";
	return output_write(out, end, strlen(end), e) < 0 ? -1 : output_flush(out, e);
}

json_t *worker_changes(struct rpc *r, const json_t *request, struct err *e)
{
	const char *upper_path = json_str(request, "upper");
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int upper = open(upper_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (upper < 0) {
		(void)err_sys(e, errno, "cannot open %s", upper_path);
		return NULL;
	}
	if (json_get_strv(request, "lower", &names, e) < 0) {
		return NULL;
	}
	scoped(close) int lower = overlay_open_merged(json_str(request, "layers_dir"), &names, e);
	if (lower < 0) {
		return NULL;
	}
	scoped(json) json_t *answer = rpc_ask(r, json_pack("{ss}", "ask", "begin"), e);
	return answer && list_all(upper, lower, e) == 0 ? json_object() : NULL;
}
