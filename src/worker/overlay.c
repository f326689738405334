#include "worker/overlay.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/scoped.h"

/* Names that overlayfs would split: our own never hold these, a data root that an administrator
 * chose may. */
static int check_name(const char *name, struct err *e)
{
	if (strpbrk(name, ":,\\")) {
		return err_set(e, ERR_INVALID,
			"the directory %s cannot be mounted: its name holds ':', ',' or '\\'",
			name);
	}
	return 0;
}

int overlay_enter_namespace(struct err *e)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
		return err_sys(e, errno, "cannot make a mount namespace");
	}
	return 0;
}

static int mount_options(const struct strv *lower, const char *upper, const char *work,
	struct buf *ret, struct err *e)
{
	buf_puts(ret, "index=off,redirect_dir=off,metacopy=off,lowerdir=");
	for (size_t i = 0; i < lower->n; i++) {
		if (check_name(lower->v[i], e) < 0) {
			return -1;
		}
		buf_puts(ret, i ? ":" : "");
		buf_puts(ret, lower->v[i]);
	}
	if (upper) {
		if (check_name(upper, e) < 0 || check_name(work, e) < 0) {
			return -1;
		}
		buf_printf(ret, ",upperdir=%s,workdir=%s", upper, work);
	}
	if (ret->len >= (size_t)getpagesize()) {
		return err_set(
			e, ERR_INVALID, "the image has too many layers to mount: %zu", lower->n);
	}
	return 0;
}

static int mount_here(const struct strv *lower, const char *upper, const char *work,
	const char *mount_point, struct err *e)
{
	if (!upper && lower->n == 1) {
		if (mount(lower->v[0], mount_point, NULL, MS_BIND, NULL) < 0 ||
			mount(NULL, mount_point, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) <
				0) {
			return err_sys(e, errno, "cannot mount a layer");
		}
		return 0;
	}
	scoped(buf) struct buf options = BUF_INIT;
	if (mount_options(lower, upper, work, &options, e) < 0) {
		return -1;
	}
	if (mount("overlay", mount_point, "overlay", upper ? 0 : MS_RDONLY, buf_str(&options)) <
		0) {
		return err_sys(e, errno, "cannot mount the layers");
	}
	return 0;
}

int overlay_mount(const char *layers_dir, const struct strv *lower, const char *upper,
	const char *work, const char *mount_point, struct err *e)
{
	scoped(close) int before = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (before < 0 || chdir(layers_dir) < 0) {
		return err_sys(e, errno, "cannot enter %s", layers_dir);
	}
	int r = mount_here(lower, upper, work, mount_point, e);
	if (fchdir(before) < 0 && r == 0) {
		return err_sys(e, errno, "cannot leave %s", layers_dir);
	}
	return r;
}

int overlay_open_merged(const char *layers_dir, const struct strv *lower, struct err *e)
{
	/* over the layers folder itself: it needs no directory made, and the names are resolved
	 * before it is covered */
	if (overlay_enter_namespace(e) < 0 ||
		overlay_mount(layers_dir, lower, NULL, NULL, layers_dir, e) < 0) {
		return -1;
	}
	int fd = open(layers_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open %s", layers_dir) : fd;
}
