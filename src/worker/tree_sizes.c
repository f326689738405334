/* Job "tree-sizes": {"paths": [absolute directories]} gives {"sizes": [bytes]}. */
#include "worker/tree_sizes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "worker/jobs.h"
#include "tree/pack.h"

struct sum {
	int64_t bytes;
	struct map *seen; /* files with several names */
};

static bool is_new(struct sum *s, const struct stat *st)
{
	char key[64];
	if (st->st_nlink < 2) {
		return true;
	}
	snprintf(key, sizeof(key), "%jx:%jx", (uintmax_t)st->st_dev, (uintmax_t)st->st_ino);
	return !map_put(s->seen, key, s);
}

/* What is gone, or cannot be read, counts nothing: a container goes on meanwhile. */
static void add_dir(struct sum *s, int dir, int depth)
{
	scoped(strv) struct strv names = STRV_INIT;
	if (depth > PACK_DEPTH_MAX || path_list(dir, &names) < 0) {
		return;
	}
	for (size_t i = 0; i < names.n; i++) {
		struct stat st;
		if (fstatat(dir, names.v[i], &st, AT_SYMLINK_NOFOLLOW) < 0) {
			continue;
		}
		if (S_ISDIR(st.st_mode)) {
			scoped(close) int fd = openat(
				dir, names.v[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			add_dir(s, fd, depth + 1);
		} else if (is_new(s, &st)) {
			s->bytes += st.st_size;
		}
	}
}

int64_t tree_bytes(int dir_fd)
{
	struct sum s = {0, map_new()};
	add_dir(&s, dir_fd, 0);
	map_free(s.seen);
	return s.bytes;
}

json_t *worker_tree_sizes(struct rpc *r, const json_t *request, struct err *e)
{
	scoped(strv) struct strv paths = STRV_INIT;
	if (json_get_strv(request, "paths", &paths, e) < 0) {
		return NULL;
	}
	json_t *sizes = json_array();
	for (size_t i = 0; i < paths.n; i++) {
		scoped(close) int fd = open(paths.v[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		json_array_append_new(sizes, json_integer(fd < 0 ? 0 : tree_bytes(fd)));
	}
	return json_pack("{so}", "sizes", sizes);
}
