#include "worker/view.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "worker/overlay.h"

#define MOUNTINFO_MAX (8u << 20)

/* --- a container that runs --- */

struct visit {
	bool bare;
	int proc;   /* ours */
	int fd;     /* or -errno */
	int mounts; /* or -errno */
};

/* A thread with a root of its own visits the namespace and brings the descriptor back: system calls
 * only. The namespace's root, not that of the container's first process, which may have changed its
 * own by chroot(2). */
static void *visit_namespace(void *arg)
{
	struct visit *v = arg;
	if (unshare(CLONE_FS) < 0 || setns(VIEW_NS_FD, CLONE_NEWNS) < 0) {
		v->fd = -errno;
		return NULL;
	}
	v->fd = v->bare ? open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC)
			: open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (v->fd < 0) {
		v->fd = -errno;
	}
	v->mounts = openat(v->proc, "thread-self/mountinfo", O_RDONLY | O_CLOEXEC);
	if (v->mounts < 0) {
		v->mounts = -errno;
	}
	return NULL;
}

static int visit(bool bare, int *ret_mounts, struct err *e)
{
	scoped(close) int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	struct visit v = {bare, proc, -1, -1};
	pthread_t thread;
	int r = pthread_create(&thread, NULL, visit_namespace, &v);
	if (r != 0) {
		return err_sys(e, r, "cannot make a thread");
	}
	pthread_join(thread, NULL);
	*ret_mounts = v.mounts;
	return v.fd < 0 ? err_sys(e, -v.fd, "cannot enter the container's mounts") : v.fd;
}

static int open_running(bool bare, struct err *e)
{
	scoped(close) int mounts = -1;
	return visit(bare, &mounts, e);
}

int view_open_running(struct buf *ret_mounts, struct err *e)
{
	scoped(close) int mounts = -1;
	scoped(close) int root = visit(false, &mounts, e);
	int r = root < 0     ? 0
		: mounts < 0 ? mounts
			     : path_read_fd(mounts, MOUNTINFO_MAX, ret_mounts);
	if (r < 0) {
		return err_sys(e, -r, "cannot read the container's mounts");
	}
	return TAKE_FD(root);
}

/* --- one that does not --- */

/* A mount point that is missing is made, as the runtime would. The descriptor is what is mounted
 * on: a link that somebody puts there meanwhile (another container with the same volume) leads
 * nowhere (GHSA-vp62-88p7-qqf5). */
static int open_mount_point(int root, const char *target, bool is_dir)
{
	int fd = is_dir ? path_mkdir_in(root, target, 0755) : path_open_in(root, target, O_PATH, 0);
	if (is_dir || fd != -ENOENT) {
		return fd;
	}
	scoped(free) char *parent = xstrdup(target);
	char *slash = strrchr(parent, '/');
	*slash = '\0';
	scoped(close) int dir = path_mkdir_in(root, *parent ? parent : "/", 0755);
	if (dir < 0) {
		return dir;
	}
	fd = openat(dir, slash + 1, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : fd;
}

/* A part of a volume is looked for inside of it, whatever links its containers put there. */
static int open_source(const json_t *mount)
{
	scoped(close) int fd = open(json_str(mount, "source"), O_PATH | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	const char *subpath = json_str(mount, "subpath");
	return *subpath ? path_open_in(fd, subpath, O_PATH, 0) : TAKE_FD(fd);
}

static int clone_source(const json_t *mount)
{
	bool recursive = !json_bool(mount, "non_recursive");
	unsigned deep = recursive ? AT_RECURSIVE : 0;
	scoped(close) int source = open_source(mount);
	if (source < 0) {
		return source;
	}
	scoped(close) int fd =
		open_tree(source, "", AT_EMPTY_PATH | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | deep);
	struct mount_attr attr = {
		.attr_set = json_bool(mount, "read_only") ? MOUNT_ATTR_RDONLY : 0,
		.propagation = MS_PRIVATE,
	};
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | deep, &attr, sizeof(attr)) < 0) {
		return -errno;
	}
	return TAKE_FD(fd);
}

static int mount_one(int root, const json_t *mount, struct err *e)
{
	const char *target = json_str(mount, "target");
	struct stat st;
	scoped(close) int source = clone_source(mount);
	if (source < 0 || fstat(source, &st) < 0) {
		return err_sys(e, source < 0 ? -source : errno, "cannot mount %.200s for %.200s",
			json_str(mount, "source"), target);
	}
	scoped(close) int at = open_mount_point(root, target, S_ISDIR(st.st_mode));
	if (at < 0) {
		return err_sys(e, -at, "cannot make the mount point %.200s", target);
	}
	if (move_mount(source, "", at, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0) {
		return err_sys(e, errno, "cannot mount %.200s", target);
	}
	return 0;
}

static int mount_overlay(const json_t *request, bool bare, struct err *e)
{
	const char *layers_dir = json_str(request, "layers_dir");
	const char *upper = json_str(request, "upper");
	scoped(strv) struct strv lower = STRV_INIT;
	if (bare) {
		strv_add(&lower, upper);
	}
	/* over the layers folder, which nothing needs any more in this namespace */
	if (json_get_strv(request, "lower", &lower, e) < 0 || overlay_enter_namespace(e) < 0 ||
		overlay_mount(layers_dir, &lower, bare ? NULL : upper,
			bare ? NULL : json_str(request, "work"), layers_dir, e) < 0) {
		return -1;
	}
	int fd = open(layers_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the container's root") : fd;
}

static int open_stopped(const json_t *request, struct err *e)
{
	scoped(close) int root = mount_overlay(request, false, e);
	if (root < 0) {
		return -1;
	}
	size_t i;
	json_t *mount;
	json_array_foreach (json_object_get(request, "mounts"), i, mount) {
		if (mount_one(root, mount, e) < 0) {
			return -1;
		}
	}
	return TAKE_FD(root);
}

int view_open(const json_t *request, struct err *e)
{
	return json_bool(request, "running") ? open_running(false, e) : open_stopped(request, e);
}

int view_open_bare(const json_t *request, struct err *e)
{
	return json_bool(request, "running") ? open_running(true, e)
					     : mount_overlay(request, true, e);
}

bool view_same_mount(int a, int b)
{
	struct statx x;
	struct statx y;
	return statx(a, "", AT_EMPTY_PATH, STATX_MNT_ID, &x) == 0 &&
	       statx(b, "", AT_EMPTY_PATH, STATX_MNT_ID, &y) == 0 && x.stx_mnt_id == y.stx_mnt_id;
}
