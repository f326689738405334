#include <fcntl.h>

#include "base/json.h"
#include "base/path.h"
#include "worker/jobs.h"

json_t *worker_tree_sizes(struct rpc *r, const json_t *request, struct err *e)
{
	json_t *sizes = json_array();
	size_t i;
	json_t *path;
	json_array_foreach (json_object_get(request, "paths"), i, path) {
		int64_t bytes = 0;
		const char *text = json_string_value(path);
		if (text) { /* what is gone, or cannot be read, counts as empty */
			(void)path_tree_size(AT_FDCWD, text, &bytes);
		}
		json_array_append_new(sizes, json_integer(bytes));
	}
	return json_pack("{so}", "sizes", sizes);
}
