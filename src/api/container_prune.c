/* POST /containers/prune: removes one after another, so that the answer can name them all. */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "container/container.h"

struct prune {
	struct call *call;
	struct strv ids;
	size_t next;
	json_t *deleted;
};

static void prune_next(struct prune *p);

static void prune_removed(void *owner, const struct err *e)
{
	struct prune *p = owner;
	if (!e) {
		json_array_append_new(p->deleted, json_string(p->ids.v[p->next - 1]));
	}
	prune_next(p);
}

static void prune_next(struct prune *p)
{
	while (p->next < p->ids.n) {
		struct err ignored;
		struct container *k =
			container_find(p->call->api->d.containers, p->ids.v[p->next++], &ignored);
		if (k && !container_is_running(k)) {
			container_remove(k, false, false, prune_removed, p);
			return;
		}
	}
	call_reply_json(p->call, 200,
		json_pack("{so sI}", "ContainersDeleted", p->deleted, "SpaceReclaimed",
			(json_int_t)0));
	call_unref(p->call);
	strv_deinit(&p->ids);
	free(p);
}

void containers_prune(struct call *c)
{
	static const char *const allowed[] = {"label", "label!", "until", NULL};
	struct err e;
	int64_t until_ns;
	scoped(filters) struct filters *f = filters_read(c, allowed, &e);
	if (!f || filters_until(f, clock_real_ns(), &until_ns, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	struct prune *p = xnew(struct prune);
	p->call = call_ref(c);
	p->deleted = json_array();
	size_t pos = 0;
	for (struct container *k; (k = container_next(c->api->d.containers, &pos));) {
		bool idle = !container_is_running(k) && container_state(k) != CONTAINER_RESTARTING;
		if (idle && container_created_ns(k) <= until_ns &&
			filters_match_labels(f, container_labels(k))) {
			strv_add(&p->ids, container_id(k));
		}
	}
	prune_next(p);
}
