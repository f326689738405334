/* RUN --mount=type=bind, and what from= names. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/build_mounts.h"
#include "worker/overlay.h"

/* Lower directories at a place of ours; writable: what is written goes to a directory of the step
 * and is thrown away with it. An fd of the root. */
static int mount_lower(
	struct build_mounts *m, const struct strv *lower, bool writable, struct err *e)
{
	const char *at = build_mounts_dir(m, "from", e);
	const char *upper = at && writable ? build_mounts_dir(m, "upper", e) : NULL;
	const char *work = upper ? build_mounts_dir(m, "work", e) : NULL;
	if (!at || (writable && !work) ||
		overlay_mount(m->t->b->layers_dir, lower, upper, work, at, e) < 0) {
		return -1;
	}
	strv_add(&m->mounted, at);
	int fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the mount's source") : fd;
}

static int lower_of_from(
	const struct build_mounts *m, const char *from, struct strv *lower, struct err *e)
{
	scoped(strv) struct strv dirs = STRV_INIT;
	char chain[65];
	if (build_source_dirs(m->t, from, &dirs, chain, e) < 0) {
		return -1;
	}
	for (size_t k = dirs.n; k > 0; k--) {
		if (!strv_has(lower, dirs.v[k - 1])) {
			strv_add(lower, dirs.v[k - 1]);
		}
	}
	if (lower->n == 0) {
		strv_add(lower, "empty");
	}
	return 0;
}

static char *context_path(const struct build_mounts *m)
{
	char link[64], path[4097];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", m->t->b->context_fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	return xstrndup(path, n < 0 ? 0 : (size_t)n);
}

static int open_source(struct build_mounts *m, const char *from, bool writable, struct err *e)
{
	scoped(strv) struct strv lower = STRV_INIT;
	if (from) {
		return lower_of_from(m, from, &lower, e) < 0 ? -1
							     : mount_lower(m, &lower, writable, e);
	}
	scoped(free) char *context = context_path(m);
	if (writable) {
		strv_add(&lower, context);
		return mount_lower(m, &lower, true, e);
	}
	/* by its name, which is ours: the build's own fd is from before its mount namespace, and a
	 * mount of another namespace cannot be mounted */
	int fd = open(context, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the build context") : fd;
}

int build_mounts_missing(const struct run_mount *f, struct err *e)
{
	return err_set(e, ERR_INVALID, "--mount: %.200s does not exist in its source%s",
		f->source ? f->source : "/",
		f->from ? "" : " (the build context without what .dockerignore excludes)");
}

int build_mounts_from(struct build_mounts *m, const char *from, struct err *e)
{
	return open_source(m, from, false, e);
}

int build_mount_bind(struct build_mounts *m, const struct run_mount *f, struct err *e)
{
	scoped(close) int root = open_source(m, f->from, !f->readonly, e);
	if (root < 0) {
		return -1;
	}
	const char *source = f->source ? f->source : ".";
	scoped(close) int fd = path_open_in(root, source, O_PATH, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		return build_mounts_missing(f, e);
	}
	bool is_file = !S_ISDIR(st.st_mode);
	const char *at = build_mounts_by_fd(m, fd, is_file, "bind", e);
	scoped(free) char *target = build_mounts_target(m, f);
	return !at ? -1
		   : build_mounts_add(m, at, target, "bind",
			     f->readonly ? "rbind,rprivate,ro" : "rbind,rprivate", is_file, e);
}
