#include "job/remove.h"

#include <fcntl.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "job/job.h"

#define SMALL_ENTRIES 64 /* in all: well below a millisecond */
#define SMALL_TREES 2    /* a layer and its recipe */

#define TRIES 3 /* a worker may be killed by whoever looks for memory */

struct removal {
	struct job_pool *pool;
	const char *area;
	json_t *request;
	int tries;
	void (*done)(void *owner);
	void *owner;
};

static int try_once(struct removal *r, struct err *e);

static void removal_free(struct removal *r)
{
	json_decref(r->request);
	free(r);
}

static void removed(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct removal *r = owner;
	struct err again;
	bool failed = e && e->kind != ERR_BUSY;
	if (failed && r->tries < TRIES && try_once(r, &again) == 0) {
		return;
	}
	if (failed) {
		log_warning(r->area, "rubbish-stays", "error", e->msg, NULL);
	}
	if (r->done) {
		r->done(r->owner);
	}
	removal_free(r);
}

static int try_once(struct removal *r, struct err *e)
{
	static const struct job_handlers handlers = {.done = removed};
	r->tries++;
	return job_start(
		       r->pool, "remove-tree", json_incref(r->request), -1, false, &handlers, r, e)
		       ? 0
		       : -1;
}

static bool remove_small(const char *dir, const json_t *names)
{
	scoped(close) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	bool ok = fd >= 0 && json_array_size(names) <= SMALL_TREES;
	size_t k;
	json_t *item;
	json_array_foreach (names, k, item) {
		const char *name = json_string_value(item);
		ok = ok && name && path_is_component(name) &&
		     path_remove_small_tree(fd, name, SMALL_ENTRIES / SMALL_TREES) == 0;
	}
	return ok;
}

bool job_remove_trees(struct job_pool *p, const char *area, const char *dir, json_t *take_names,
	void (*done)(void *owner), void *owner)
{
	scoped(json) json_t *names = take_names;
	return json_array_size(names) == 0 || remove_small(dir, names) ||
	       job_remove_trees_after(p, area, "", dir, TAKE(names), done, owner);
}

bool job_remove_trees_after(struct job_pool *p, const char *area, const char *synced,
	const char *dir, json_t *take_names, void (*done)(void *owner), void *owner)
{
	struct err e;
	scoped(json) json_t *names = take_names;
	if (json_array_size(names) == 0) {
		return true;
	}
	struct removal *r = xnew(struct removal);
	*r = (struct removal){.pool = p, .area = area, .done = done, .owner = owner};
	r->request = json_object();
	json_put_str(r->request, "dir", dir);
	json_put(r->request, "names", TAKE(names));
	json_put_str(r->request, "sync", synced);
	if (try_once(r, &e) < 0) {
		log_warning(area, "rubbish-stays", "error", e.msg, NULL);
		removal_free(r);
		return true;
	}
	return false;
}
