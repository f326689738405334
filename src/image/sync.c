/* A new image is there for good before somebody is told so: its rows are in SQLite's journal, which
 * nothing forces to the disk by itself, and the daemon waits for no disk. */
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "image/store.h"
#include "job/job.h"
#include "store/store.h"

struct image_sync {
	image_synced_fn *fn;
	void *owner;
};

static void on_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct image_sync y = *(struct image_sync *)owner;
	free(owner);
	if (!result && e->kind != ERR_BUSY) {
		log_error("image", "not-on-disk", "error", e->msg, NULL);
	}
	y.fn(y.owner, result ? NULL : e);
}

void image_sync(struct image_store *s, image_synced_fn *fn, void *owner)
{
	static const struct job_handlers handlers = {.done = on_done};
	struct err e;
	scoped(free) char *journal = store_journal(s->store);
	if (!*journal) {
		fn(owner, NULL);
		return;
	}
	struct image_sync *y = xnew(struct image_sync);
	*y = (struct image_sync){fn, owner};
	json_t *request = json_pack("{s[s]}", "paths", journal);
	if (!job_start(s->jobs, "sync", request, -1, false, &handlers, y, &e)) {
		on_done(y, NULL, NULL, &e);
	}
}
