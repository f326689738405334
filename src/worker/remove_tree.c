#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/json.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/jobs.h"
#include "worker/sync.h"

json_t *worker_remove_tree(struct rpc *r, const json_t *request, struct err *e)
{
	const char *dir = json_str(request, "dir");
	scoped(close) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		(void)err_sys(e, errno, "cannot open %s", dir);
		return NULL;
	}
	const char *first = json_str(request, "sync");
	if (*first && sync_path(first, e) < 0) {
		return NULL;
	}
	size_t i;
	json_t *name;
	json_array_foreach (json_object_get(request, "names"), i, name) {
		const char *text = json_string_value(name);
		if (!text || !path_is_component(text)) {
			(void)err_set(
				e, ERR_INVALID, "a tree to remove must be one name below %s", dir);
			return NULL;
		}
		int failed = path_remove_tree(fd, text);
		if (failed < 0) {
			(void)err_sys(e, -failed, "cannot remove %s/%s", dir, text);
			return NULL;
		}
	}
	return json_object();
}
