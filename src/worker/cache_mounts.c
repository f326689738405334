/* Job "cache-mounts": what RUN --mount=type=cache has left (build_mount_cache.h), and its removal.
 *
 * And the clients' files that were kept (kept.h): "contexts": [{"name", "used", "bytes",
 * "in_use"}], and for "remove_contexts": [names] "removed_contexts": [{"name"}].
 *
 * {"dir": CACHE_DIR, "remove": [names]} or {"dir", "all": true} removes those that no step uses
 * now; then {"mounts": [{"name", "id", "target", "created", "used" (ns since the epoch), "bytes",
 * "in_use"}], "removed": [{"name", "id", "bytes"}]}: what is there afterwards, and what has gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/jobs.h"
#include "worker/kept.h"
#include "worker/tree_sizes.h"

#define ABOUT_MAX 65536
#define GONE "gone-" /* a cache on its way out; no name of one (hex digits) begins so */

struct caches {
	int fd;
	json_t *mounts, *removed;
};

static json_t *read_about(int cache_fd)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct err ignored;
	json_t *about = path_read(cache_fd, "about", ABOUT_MAX, &text) < 0
				? NULL
				: json_parse(buf_str(&text), text.len, "about", &ignored);
	if (!json_is_object(about)) {
		json_decref(about);
		about = json_object();
	}
	return about;
}

static int64_t time_ns(const struct timespec *t)
{
	return (int64_t)t->tv_sec * NS_PER_SEC + t->tv_nsec;
}

static json_t *describe(int cache_fd, const char *name)
{
	scoped(json) json_t *about = read_about(cache_fd);
	struct stat dir = {0}, used = {0};
	(void)fstat(cache_fd, &dir);
	if (fstatat(cache_fd, "about", &used, AT_SYMLINK_NOFOLLOW) < 0) {
		used = dir;
	}
	json_t *found = json_object();
	json_put_str(found, "name", name);
	json_put_str(found, "id", json_str(about, "id"));
	json_put_str(found, "target", json_str(about, "target"));
	int64_t created = json_i64(about, "created", time_ns(&dir.st_mtim));
	int64_t last = time_ns(&used.st_mtim); /* of a clock that ticks slower */
	json_put(found, "created", json_integer(created));
	json_put(found, "used", json_integer(last < created ? created : last));
	json_put(found, "bytes", json_integer(tree_bytes(cache_fd)));
	return found;
}

/* With the lock: renamed away first, so that who waits for it finds that it has gone. */
static int remove_locked(struct caches *c, const char *name, json_t *found, struct err *e)
{
	scoped(free) char *gone = xasprintf(GONE "%s", name);
	int r = renameat(c->fd, name, c->fd, gone) < 0 ? -errno : path_remove_tree(c->fd, gone);
	if (r < 0) {
		return err_sys(e, -r, "cannot remove the cache %.100s", json_str(found, "id"));
	}
	json_array_append(c->removed, found);
	return 0;
}

static int visit(struct caches *c, const char *name, bool remove, struct err *e)
{
	scoped(close) int fd = openat(c->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return errno == ENOENT ? 0 : err_sys(e, errno, "cannot open a cache");
	}
	bool in_use = flock(fd, LOCK_EX | LOCK_NB) < 0;
	scoped(json) json_t *found = describe(fd, name);
	if (remove && !in_use) {
		return remove_locked(c, name, found, e);
	}
	json_put(found, "in_use", json_boolean(in_use));
	json_array_append(c->mounts, found);
	return 0;
}

static int visit_all(struct caches *c, const json_t *request, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(strv) struct strv remove = STRV_INIT;
	if (json_get_strv(request, "remove", &remove, e) < 0) {
		return -1;
	}
	int r = path_list(c->fd, &names);
	if (r < 0) {
		return err_sys(e, -r, "cannot list the caches");
	}
	bool all = json_bool(request, "all");
	for (size_t k = 0; k < names.n; k++) {
		if (strncmp(names.v[k], GONE, strlen(GONE)) == 0) {
			path_remove_tree(c->fd, names.v[k]); /* of a removal that was killed */
		} else if (visit(c, names.v[k], all || strv_has(&remove, names.v[k]), e) < 0) {
			return -1;
		}
	}
	return 0;
}

static void add_context(void *owner, const struct kept_info *i)
{
	json_array_append_new(
		owner, json_pack("{ss sI sI sb}", "name", i->key, "used", (json_int_t)i->used_ns,
			       "bytes", (json_int_t)i->bytes, "in_use", i->in_use));
}

/* Those that a build uses stay. */
static int visit_contexts(const json_t *request, json_t *contexts, json_t *removed, struct err *e)
{
	scoped(free) char *dir = xasprintf("%s/contexts", json_str(request, "dir"));
	size_t i;
	json_t *name;
	json_array_foreach (json_object_get(request, "remove_contexts"), i, name) {
		if (kept_remove(dir, json_string_value(name), e) == 0) {
			json_array_append_new(removed, json_pack("{sO}", "name", name));
		} else if (e->kind != ERR_BUSY) {
			return -1;
		}
	}
	return kept_list(dir, add_context, contexts, e);
}

json_t *worker_cache_mounts(struct rpc *r, const json_t *request, struct err *e)
{
	scoped(free) char *dir = xasprintf("%s/mounts", json_str(request, "dir"));
	scoped(json) json_t *mounts = json_array();
	scoped(json) json_t *removed = json_array();
	scoped(close) int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno != ENOENT) { /* no cache was ever made */
		(void)err_sys(e, errno, "cannot open %s", dir);
		return NULL;
	}
	struct caches c = {fd, mounts, removed};
	if (fd >= 0 && visit_all(&c, request, e) < 0) {
		return NULL;
	}
	scoped(json) json_t *contexts = json_array();
	scoped(json) json_t *removed_contexts = json_array();
	if (visit_contexts(request, contexts, removed_contexts, e) < 0) {
		return NULL;
	}
	return json_pack("{sO sO sO sO}", "mounts", mounts, "removed", removed, "contexts",
		contexts, "removed_contexts", removed_contexts);
}
