/* seed-volume: a new volume begins as a copy of what the image has at its mount point.
 *
 * {"layers_dir", "lower": [names below it, topmost first], "path": "/data", "target":
 * "/abs/volume/_data", "subpath": "a/b" or ""} gives {"copied": bool}. With a subpath it is that
 * directory of the volume, if it is one.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "worker/copy.h"
#include "worker/jobs.h"
#include "worker/overlay.h"

static int is_empty(int fd)
{
	scoped(strv) struct strv names = STRV_INIT;
	int r = path_list(fd, &names);
	return r < 0 ? r : names.n == 0;
}

/* The image has nothing there, or no directory: the volume stays as it is. */
static bool has_directory(int root, const char *path)
{
	scoped(close) int fd = path_open_in(root, path, O_PATH | O_DIRECTORY, 0);
	return fd >= 0;
}

static json_t *answer(bool copied)
{
	json_t *result = json_object();
	json_put(result, "copied", json_boolean(copied));
	return result;
}

json_t *worker_seed_volume(struct rpc *r, const json_t *request, struct err *e)
{
	const char *target_path = json_str(request, "target");
	const char *path = json_str(request, "path");
	scoped(strv) struct strv lower = STRV_INIT;
	if (json_get_strv(request, "lower", &lower, e) < 0) {
		return NULL;
	}
	scoped(close) int top = open(target_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(close) int target = top < 0 ? -1
					   : path_open_beneath(top, json_str(request, "subpath"),
						     O_RDONLY | O_DIRECTORY);
	if (top >= 0 && target < 0) { /* a file, or nothing: the mount will say so */
		return answer(false);
	}
	if (top < 0) {
		(void)err_sys(e, errno, "cannot open the volume %s", target_path);
		return NULL;
	}
	int empty = is_empty(target);
	if (empty < 0) {
		(void)err_sys(e, -empty, "cannot read the volume %s", target_path);
		return NULL;
	}
	if (!empty || lower.n == 0) {
		return answer(false);
	}
	scoped(close) int root = overlay_open_merged(json_str(request, "layers_dir"), &lower, e);
	if (root < 0) {
		return NULL;
	}
	if (!has_directory(root, path)) {
		return answer(false);
	}
	scoped(copy_free) struct copy *c =
		copy_new(root, target, &(struct copy_options){.user_xattrs = true});
	if (copy_dir_content(c, path, ".", true, e) < 0) {
		(void)err_wrap(e, "cannot fill the volume");
		return NULL;
	}
	return answer(true);
}
