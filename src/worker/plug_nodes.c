#include "worker/plug_nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "sys/mounts.h"
#include "worker/view.h"

#define MOUNTINFO_MAX (8u << 20)
#define HALF_MADE ".wherry-plug"
#define LINK_MAX_BYTES 4096

/* --- the file systems that were made for the container --- */

/* It is of that type, and not one of the host's. */
static int check_mount(
	int fd, const char *mounts, const char *type, const char *name, struct err *e)
{
	struct mount_line line;
	int id;
	scoped(buf) struct buf own = BUF_INIT;
	int r = mount_of_fd(fd, &id);
	if (r < 0 || (r = path_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &own)) < 0) {
		return err_sys(e, -r, "cannot see what is mounted at the container's %s", name);
	}
	if (!mount_find(mounts, id, &line)) {
		return err_set(e, ERR_DENIED,
			"what is mounted at the container's %s is not known to it", name);
	}
	if (strcmp(line.type, type) != 0) {
		return err_set(e, ERR_DENIED, "the container's %s is of type %s, not the %s it had",
			name, line.type, type);
	}
	if (mount_has(buf_str(&own), line.major, line.minor)) {
		return err_set(
			e, ERR_DENIED, "the container's %s is mounted on the host too", name);
	}
	return 0;
}

static int open_at(int dir, const char *name, int flags, uint64_t resolve)
{
	struct open_how how = {
		.flags = (unsigned)flags | O_CLOEXEC,
		.resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	for (int tries = 0; tries < 32; tries++) {
		long fd = syscall(SYS_openat2, dir, name, &how, sizeof(how));
		if (fd >= 0) {
			return (int)fd;
		}
		if (errno != EAGAIN && errno != EINTR) {
			return -errno;
		}
	}
	return -EAGAIN;
}

int plug_place_open(struct plug_place *ret, struct err *e)
{
	scoped(buf) struct buf mounts = BUF_INIT;
	scoped(close) int root = view_open_running(&mounts, e);
	if (root < 0 || check_mount(root, buf_str(&mounts), "overlay", "root", e) < 0) {
		return -1;
	}
	scoped(close) int dev = open_at(root, "dev", O_PATH | O_DIRECTORY, 0);
	ret->why = (struct err){0};
	if (dev < 0) {
		(void)err_sys(&ret->why, -dev, "cannot open the container's /dev");
	} else if (check_mount(dev, buf_str(&mounts), "tmpfs", "/dev", &ret->why) < 0) {
		scoped_close(&dev);
		dev = -1;
	}
	ret->root = TAKE_FD(root);
	ret->dev = TAKE_FD(dev);
	return 0;
}

void plug_place_close(struct plug_place *p)
{
	scoped_close(&p->root);
	scoped_close(&p->dev);
}

/* --- the way to a node --- */

/* What an errno of open_at means for a person; the container may have brought it about. */
static int refuse(struct err *e, int errnum, const char *path, const char *part)
{
	switch (errnum) {
	case ELOOP:
		return err_set(e, ERR_DENIED, "%.150s: '%.80s' is a symbolic link", path, part);
	case EXDEV:
		return err_set(
			e, ERR_DENIED, "%.150s: something is mounted over '%.80s'", path, part);
	case ENOTDIR:
		return err_set(e, ERR_DENIED, "%.150s: '%.80s' is not a directory", path, part);
	default:
		return err_sys(e, errnum, "%.150s", path);
	}
}

/* Opens the folder of path, making it when make says so. *ret_name: the last component, the
 * caller's. -ENOENT as 1: there is no such folder. */
static int open_folder(const struct plug_place *p, const char *path, bool make, int *ret_dir,
	char **ret_name, struct err *e)
{
	bool in_dev = text_starts(path, "/dev/");
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, path + (in_dev ? strlen("/dev/") : 1), '/');
	if (*path != '/' || parts.n == 0) {
		return err_set(e, ERR_INVALID, "'%.150s' is no place for a device", path);
	}
	if (in_dev && p->dev < 0) {
		*e = p->why;
		return -1;
	}
	scoped(close) int dir = open_at(in_dev ? p->dev : p->root, ".", O_PATH | O_DIRECTORY, 0);
	for (size_t i = 0; i < parts.n; i++) {
		if (!path_is_component(parts.v[i])) {
			return err_set(e, ERR_INVALID, "'%.150s' is no place for a device", path);
		}
		if (dir < 0 || i + 1 == parts.n) {
			break;
		}
		int next = open_at(dir, parts.v[i], O_PATH | O_DIRECTORY, RESOLVE_NO_XDEV);
		if (next == -ENOENT && !make) {
			return 1;
		}
		if (next == -ENOENT && (mkdirat(dir, parts.v[i], 0755) == 0 || errno == EEXIST)) {
			next = open_at(dir, parts.v[i], O_PATH | O_DIRECTORY, RESOLVE_NO_XDEV);
		}
		if (next < 0) {
			return refuse(e, -next, path, parts.v[i]);
		}
		close(dir);
		dir = next;
	}
	if (dir < 0) {
		return err_sys(e, -dir, "%.150s", path);
	}
	*ret_dir = TAKE_FD(dir);
	*ret_name = xstrdup(parts.v[parts.n - 1]);
	return 0;
}

static bool is_link(const json_t *node)
{
	return *json_str(node, "type") == 'l';
}

static dev_t number_of(const json_t *node)
{
	return makedev((unsigned)json_i64(node, "major", 0), (unsigned)json_i64(node, "minor", 0));
}

static mode_t kind_of(const json_t *node)
{
	return *json_str(node, "type") == 'b' ? S_IFBLK : S_IFCHR;
}

/* Is the entry what node says? 1, or 0 when it is something else, or -errno (-ENOENT: nothing). */
static int compare(int dir, const char *name, const json_t *node)
{
	struct stat st;
	scoped(close) int fd = open_at(dir, name, O_PATH, RESOLVE_NO_XDEV);
	if (fd == -ELOOP && is_link(node)) {
		char target[LINK_MAX_BYTES];
		ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);
		if (n < 0) {
			return -errno;
		}
		target[n] = '\0';
		return strcmp(target, json_str(node, "target")) == 0;
	}
	if (fd < 0) {
		return fd;
	}
	if (fstat(fd, &st) < 0) {
		return -errno;
	}
	return !is_link(node) && (st.st_mode & S_IFMT) == kind_of(node) &&
	       st.st_rdev == number_of(node);
}

/* --- making --- */

/* Under another name first: whoever sees it appear finds it with its owner and mode. link(2) never
 * replaces what somebody has put there. */
static int make_node(int dir, const char *name, const json_t *node)
{
	unlinkat(dir, HALF_MADE, 0); /* of a worker that was killed here */
	if (mknodat(dir, HALF_MADE, kind_of(node), number_of(node)) < 0) {
		return -errno;
	}
	int r = compare(dir, HALF_MADE, node);
	scoped(close) int fd = open_at(dir, HALF_MADE, O_PATH, RESOLVE_NO_XDEV);
	char self[64];
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	if (r <= 0 || fd < 0) {
		r = r < 0 ? r : fd < 0 ? fd : -EEXIST;
	} else if (fchownat(fd, "", (uid_t)json_i64(node, "uid", 0),
			   (gid_t)json_i64(node, "gid", 0), AT_EMPTY_PATH) < 0 ||
		   chmod(self, (mode_t)json_i64(node, "mode", 0600)) < 0 ||
		   linkat(AT_FDCWD, self, dir, name, AT_SYMLINK_FOLLOW) < 0) {
		r = -errno;
	} else {
		r = 0;
	}
	unlinkat(dir, HALF_MADE, 0);
	return r;
}

static int make_link(int dir, const char *name, const json_t *node)
{
	return symlinkat(json_str(node, "target"), dir, name) < 0 ? -errno : 0;
}

int plug_node_add(const struct plug_place *p, const json_t *node, struct err *e)
{
	const char *path = json_str(node, "path");
	scoped(free) char *name = NULL;
	scoped(close) int dir = -1;
	if (open_folder(p, path, true, &dir, &name, e) < 0) {
		return -1;
	}
	int r = compare(dir, name, node);
	if (r == -ENOENT) {
		r = is_link(node) ? make_link(dir, name, node) : make_node(dir, name, node);
		return r < 0 ? refuse(e, -r, path, name) : 0;
	}
	if (r < 0) {
		return refuse(e, -r, path, name);
	}
	return r ? 0 : err_set(e, ERR_DENIED, "%.150s: something else is there", path);
}

int plug_node_remove(const struct plug_place *p, const json_t *node, struct err *e)
{
	const char *path = json_str(node, "path");
	scoped(free) char *name = NULL;
	scoped(close) int dir = -1;
	int r = open_folder(p, path, false, &dir, &name, e);
	if (r != 0) {
		return r < 0 ? -1 : 0;
	}
	r = compare(dir, name, node);
	if (r == 1 && unlinkat(dir, name, 0) < 0) {
		r = -errno;
	}
	if (r < 0 && r != -ENOENT) {
		return refuse(e, -r, path, name);
	}
	return r == 0 ? err_set(e, ERR_DENIED, "%.150s: something else is there now", path) : 0;
}
