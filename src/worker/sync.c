/* Job "sync": {"paths": [files or directories]} reach the disk, in this order; before them all that
 * the file system of "fs" holds. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/scoped.h"
#include "worker/jobs.h"
#include "worker/sync.h"

int sync_path(const char *path, struct err *e)
{
	scoped(close) int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 || fsync(fd) < 0 ? err_sys(e, errno, "cannot write %s to disk", path) : 0;
}

int sync_filesystem(const char *path, struct err *e)
{
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || syncfs(fd) < 0 ? err_sys(e, errno, "cannot write %s to disk", path) : 0;
}

json_t *worker_sync(struct rpc *r, const json_t *request, struct err *e)
{
	size_t i;
	json_t *path;
	const char *fs = json_str(request, "fs");
	if (*fs && sync_filesystem(fs, e) < 0) {
		return NULL;
	}
	json_array_foreach (json_object_get(request, "paths"), i, path) {
		if (sync_path(json_string_value(path), e) < 0) {
			return NULL;
		}
	}
	return json_object();
}
