/* RUN/storage: the tmpfs, its directories, and what is mounted and let go of there. storage.h. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "worker/storage.h"

#define UMOUNT_LAZY (MNT_DETACH | UMOUNT_NOFOLLOW)

char *storage_real_root(const char *path)
{
	char real[PATH_MAX];
	scoped(free) char *parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
	return realpath(parent, real) ? xasprintf("%s%s", real, strrchr(path, '/')) : xstrdup(path);
}

char *storage_path(const char *root, const char *kind, const char *a, const char *b)
{
	return xasprintf("%s/%s/%s%s%s", root, kind, a, *b ? "/" : "", b);
}

int storage_set_writable(const char *root, bool writable)
{
	return mount(NULL, root, NULL,
		MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC | (writable ? 0 : MS_RDONLY), NULL);
}

int storage_make_root(const char *root, bool there, struct err *e)
{
	int r = path_mkdirs(root, 0700);
	if (r < 0) {
		return err_sys(e, -r, "cannot make %s", root);
	}
	if (!there && mount("wherry-storage", root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			      "mode=0700,size=1m,nr_inodes=8192") < 0) {
		return err_sys(e, errno, "cannot mount %s", root);
	}
	/* out of a peer group that it may have come into with its parent, into its own */
	scoped(free) char *disk = xasprintf("%s/disk", root);
	scoped(free) char *place = xasprintf("%s/place", root);
	if (access(place, F_OK) < 0) {
		if (mount(NULL, root, NULL, MS_PRIVATE, NULL) < 0 ||
			mount(NULL, root, NULL, MS_SHARED, NULL) < 0 ||
			(mkdir(disk, 0700) < 0 && errno != EEXIST) ||
			(mkdir(place, 0700) < 0 && errno != EEXIST)) {
			return err_sys(e, errno, "cannot prepare %s", root);
		}
	}
	return 0;
}

void storage_drop_root(const char *root)
{
	if (umount2(root, UMOUNT_LAZY) == 0) {
		rmdir(root);
	}
}

void storage_let_go(const char *path)
{
	if (umount2(path, UMOUNT_LAZY) < 0 && errno != EINVAL && errno != ENOENT) {
		log_warning(
			"storage", "not_unmounted", "path", path, "reason", strerror(errno), NULL);
	}
}

int storage_bind(const char *root, const char *id, const char *path, bool read_only)
{
	scoped(free) char *source = storage_path(root, "disk", id, "");
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					      (read_only ? MOUNT_ATTR_RDONLY : 0)};
	scoped(close) int fd = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ||
		move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
		return -errno;
	}
	return 0;
}
