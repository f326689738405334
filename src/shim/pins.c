/* Sources of mounts that must not be looked up by name when crun mounts them. A pin is a mount of
 * the thing itself at DIR/pins/NAME, in the shim's own mount namespace:
 *  - a path inside a volume, resolved with the volume as its root: a link that another container
 *    puts there later leads nowhere (CVE-2021-30465);
 *  - a source with shared propagation, taken before our namespace becomes the host's slave: it
 * stays in the host's peer group;
 *  - the tree of an image, or a path inside it, mounted of its layers for this container alone;
 *  - /dev/shm of another container (IpcMode container:x), taken from inside its mount namespace. */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/shim.h"

static int clone_tree(int fd, const char *path)
{
	return (int)syscall(SYS_open_tree, fd, path,
		OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE | (*path ? 0 : AT_EMPTY_PATH));
}

/* The path as a process chrooted into root would see it. */
static int take_below(const char *root, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
	int root_fd = open(root, O_PATH | O_CLOEXEC);
	int fd = root_fd;
	if (root_fd >= 0 && *path) {
		fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
		close(root_fd);
	}
	if (fd < 0) {
		return -1;
	}
	int tree = clone_tree(fd, "");
	close(fd);
	return tree;
}

/* From inside the mount namespace of pid, and back: root and working directory are ours again. */
static int take_from(pid_t pid, const char *path)
{
	char name[64];
	snprintf(name, sizeof(name), "/proc/%d/ns/mnt", (int)pid);
	int theirs = open(name, O_RDONLY | O_CLOEXEC);
	int ours = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int tree = -1;
	if (theirs >= 0 && ours >= 0 && root >= 0 && setns(theirs, CLONE_NEWNS) == 0) {
		tree = clone_tree(AT_FDCWD, path);
		int saved = errno;
		if (setns(ours, CLONE_NEWNS) < 0 || fchdir(root) < 0 || chroot(".") < 0) {
			abort(); /* nothing may go on in a stranger's namespace */
		}
		errno = saved;
	}
	int saved = errno;
	close(theirs);
	close(ours);
	close(root);
	errno = saved;
	return tree;
}

int pins_take(struct shim_pin *pins, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct shim_pin *p = &pins[i];
		if (p->lower) {
			continue; /* pins_mount makes it */
		}
		p->tree_fd = p->pid > 0 ? take_from(p->pid, p->path) : take_below(p->root, p->path);
		if (p->tree_fd < 0) {
			return -1;
		}
	}
	return 0;
}

static int make_place(int fd, const char *place)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return -1;
	}
	if (S_ISDIR(st.st_mode)) {
		return mkdir(place, 0700);
	}
	int file = open(place, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return file < 0 ? -1 : close(file);
}

/* What is mounted at `place` for a moment; its clone stays. */
static int take_of_layers(const struct shim_pin *p, const char *place, const char *layers)
{
	static char options[65536];
	/* a single directory is no overlay for the kernel; one of no layers is empty itself */
	const char *more = strchr(p->lower, ':') || strcmp(p->lower, "empty") == 0 ? "" : ":empty";
	int n = snprintf(options, sizeof(options),
		"index=off,redirect_dir=off,metacopy=off,lowerdir=%s%s", p->lower, more);
	if (n >= (int)getpagesize()) { /* mount(2) takes one page */
		errno = E2BIG;
		return -1;
	}
	if (mkdir(place, 0700) < 0 || chdir(layers) < 0) {
		return -1;
	}
	int r = strcmp(p->lower, "empty") == 0
			? mount("empty", place, NULL, MS_BIND, NULL)
			: mount("overlay", place, "overlay", MS_RDONLY | MS_NODEV, options);
	int tree = r < 0 ? -1 : take_below(place, p->path);
	int saved = errno;
	if (r == 0) {
		umount2(place, MNT_DETACH | UMOUNT_NOFOLLOW);
	}
	rmdir(place);
	errno = saved;
	return chdir("/") < 0 ? -1 : tree;
}

int pins_mount(struct shim_pin *pins, size_t n, const char *dir, const char *layers)
{
	char place[4096];
	snprintf(place, sizeof(place), "%s/pins", dir);
	if (n > 0 && mkdir(place, 0700) < 0 && errno != EEXIST) {
		return -1;
	}
	for (size_t i = 0; i < n; i++) {
		if (pins[i].lower) {
			snprintf(place, sizeof(place), "%s/pins/%s.image", dir, pins[i].name);
			pins[i].tree_fd = take_of_layers(&pins[i], place, layers);
		}
		if (pins[i].tree_fd < 0) {
			return -1;
		}
		snprintf(place, sizeof(place), "%s/pins/%s", dir, pins[i].name);
		if (make_place(pins[i].tree_fd, place) < 0 ||
			syscall(SYS_move_mount, pins[i].tree_fd, "", AT_FDCWD, place,
				MOVE_MOUNT_F_EMPTY_PATH) < 0) {
			return -1;
		}
		close(pins[i].tree_fd);
	}
	return 0;
}
