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

struct removal {
	const char *area;
	void (*done)(void *owner);
	void *owner;
};

static void removed(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct removal *r = owner;
	if (e && e->kind != ERR_BUSY) {
		log_warning(r->area, "rubbish-stays", "error", e->msg, NULL);
	}
	if (r->done) {
		r->done(r->owner);
	}
	free(r);
}

static bool remove_small(const char *dir, const json_t *names)
{
	const char *name = json_string_value(json_array_get(names, 0));
	scoped(close) int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && json_array_size(names) == 1 && name && path_is_component(name) &&
	       path_remove_small_tree(fd, name, SMALL_ENTRIES) == 0;
}

bool job_remove_trees(struct job_pool *p, const char *area, const char *dir, json_t *take_names,
	void (*done)(void *owner), void *owner)
{
	static const struct job_handlers handlers = {.done = removed};
	struct err e;
	scoped(json) json_t *names = take_names;
	if (json_array_size(names) == 0 || remove_small(dir, names)) {
		return true;
	}
	struct removal *r = xnew(struct removal);
	*r = (struct removal){area, done, owner};
	json_t *request = json_object();
	json_put_str(request, "dir", dir);
	json_put(request, "names", TAKE(names));
	if (!job_start(p, "remove-tree", request, -1, false, &handlers, r, &e)) {
		log_warning(area, "rubbish-stays", "error", e.msg, NULL);
		free(r);
		return true;
	}
	return false;
}
