/* POST /containers/prune: removes one after another, so that the answer can name them all. */
#include <stdlib.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
#include "api/measure.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "container/container.h"

struct prune {
	struct call *call;
	json_t *ids;
	json_t *sizes; /* what each had written, in the same order */
	size_t next;
	json_t *deleted;
	json_int_t bytes;
};

static void prune_next(struct prune *p);

static void prune_removed(void *owner, const struct err *e)
{
	struct prune *p = owner;
	if (!e) {
		json_array_append(p->deleted, json_array_get(p->ids, p->next - 1));
		p->bytes += json_integer_value(json_array_get(p->sizes, p->next - 1));
	}
	prune_next(p);
}

static bool is_idle(const struct container *k)
{
	return !container_is_running(k) && container_state(k) != CONTAINER_RESTARTING;
}

static void prune_next(struct prune *p)
{
	const char *id;
	while ((id = json_string_value(json_array_get(p->ids, p->next)))) {
		struct err ignored;
		struct container *k = container_find(p->call->api->d.containers, id, &ignored);
		p->next++;
		if (k && is_idle(k)) {
			container_remove(k, false, false, prune_removed, p);
			return;
		}
	}
	call_publish_prune(p->call, "container", p->bytes);
	call_reply_json(p->call, 200,
		json_pack("{so sI}", "ContainersDeleted", json_array_or_null(p->deleted),
			"SpaceReclaimed", p->bytes));
	call_unref(p->call);
	json_decref(p->ids);
	json_decref(p->sizes);
	free(p);
}

static void prune_sized(struct call *c, json_t *take_ids, const json_t *sizes)
{
	struct prune *p = xnew(struct prune);
	p->call = call_ref(c);
	p->ids = take_ids;
	p->sizes = json_incref((json_t *)sizes);
	p->deleted = json_array();
	prune_next(p);
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
	json_t *ids = json_array();
	json_t *paths = json_array();
	size_t pos = 0;
	for (struct container *k; (k = container_next(c->api->d.containers, &pos));) {
		if (is_idle(k) && container_created_ns(k) <= until_ns &&
			filters_match_labels(f, container_labels(k))) {
			scoped(free) char *upper = container_upper(k);
			json_array_append_new(ids, json_string(container_id(k)));
			json_array_append_new(paths, json_string(upper));
		}
	}
	measure(c, paths, ids, prune_sized);
}
