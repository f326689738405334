/* moby.buildkit.v1.Control, and what else clients ask of a BuildKit. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "bridge.pb-c.h"
#include "buildkit/solve.h"
#include "worker/gateway.h"

#define REF_MAX 256

/* --- Solve --- */

static json_t *strings_json(char **list, size_t n)
{
	json_t *doc = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(doc, json_string(list[i]));
	}
	return doc;
}

/* Clients that know several exporters also name the first in the old way. */
static json_t *read_control(const Buildkit__SolveRequest *q)
{
	json_t *control = json_object();
	json_t *exporters = exporters_json(q->exporters, q->n_exporters);
	if (q->n_exporters == 0 && *q->exporter) {
		json_t *one = json_object();
		json_put_str(one, "type", q->exporter);
		json_put(one, "attrs", pairs_json(q->exporter_attrs, q->n_exporter_attrs));
		json_array_append_new(exporters, one);
	}
	const Buildkit__CacheOptions *cache = q->cache;
	json_put_str(control, "session", q->session);
	json_put(control, "exporters", exporters);
	json_put(control, "imports",
		cache ? cache_json(cache->imports, cache->n_imports) : json_array());
	json_put(control, "exports",
		cache ? cache_json(cache->exports, cache->n_exports) : json_array());
	json_put(control, "entitlements", strings_json(q->entitlements, q->n_entitlements));
	return control;
}

static int check_solve(const Buildkit__SolveRequest *q, struct err *e)
{
	if (!*q->ref || strlen(q->ref) > REF_MAX) {
		return err_set(e, ERR_INVALID, "a build needs a Ref");
	}
	if (q->definition && q->definition->n_def > 0) {
		return err_set(e, ERR_NOT_IMPLEMENTED,
			"definitions (LLB) are not run: this engine builds Dockerfiles (frontend dockerfile.v0)");
	}
	return 0;
}

static void reply_solved(struct grpc_call *c, const struct gateway_run *r)
{
	Buildkit__SolveResponse answer = BUILDKIT__SOLVE_RESPONSE__INIT;
	json_t *response = json_object_get(r ? r->result : NULL, "response");
	size_t n = 0, room = json_object_size(response) + 1;
	Buildkit__Pair *pairs = xnew_array(Buildkit__Pair, room);
	Buildkit__Pair **list = xnew_array(Buildkit__Pair *, room);
	const char *key;
	json_t *value;
	json_object_foreach (response, key, value) {
		if (json_is_string(value)) {
			buildkit__pair__init(&pairs[n]);
			pairs[n].key = (char *)key;
			pairs[n].value = (char *)json_string_value(value);
			list[n] = &pairs[n];
			n++;
		}
	}
	answer.exporter_response = list;
	answer.n_exporter_response = n;
	gateway_reply(c, &answer.base);
	free(list);
	free(pairs);
}

static void finish_run(struct grpc_call *c, struct gateway_run *r)
{
	if (!gateway_run_finish(r, c)) {
		grpc_finish(c, GRPC_CANCELLED, "context canceled");
	} else if (r->result) {
		reply_solved(c, r);
	} else {
		gateway_fail_run(c, r);
	}
}

/* The client's own frontend function (buildx) drives LLBBridge meanwhile, and Return ends it. */
static void await_return(struct grpc_call *c, struct gateway_build *b)
{
	struct gateway_watch w = {.gateway = b->gateway};
	grpc_watch(c, gateway_gone, &w);
	pthread_mutex_lock(&b->gateway->lock);
	while (!b->returned && !w.gone) {
		gateway_wait(b->gateway, -1);
	}
	struct gateway_run *r = b->returned && !b->failed && *b->returned_ref
					? gateway_run_find(b, b->returned_ref)
					: NULL;
	bool unknown = b->returned && !b->failed && *b->returned_ref && !r;
	if (w.gone) {
		gateway_build_cancel(b);
	}
	pthread_mutex_unlock(&b->gateway->lock);
	grpc_unwatch(c);
	if (w.gone) {
		grpc_finish(c, GRPC_CANCELLED, "context canceled");
	} else if (b->failed) {
		gateway_fail_packed(c, &b->returned_error);
	} else if (unknown) {
		grpc_finish(c, GRPC_UNKNOWN, "the result that was returned is not known");
	} else if (r) {
		finish_run(c, r);
	} else {
		reply_solved(c, NULL);
	}
}

/* The client names a frontend itself: docker's CLI 20.10, buildctl. */
static void solve_at_once(
	struct grpc_call *c, struct gateway_build *b, const Buildkit__SolveRequest *q)
{
	struct err e;
	scoped(json) json_t *attrs = pairs_json(q->frontend_attrs, q->n_frontend_attrs);
	const struct solve_request request = {
		.frontend = q->frontend,
		.session = q->session,
		.attrs = attrs,
		.exporters = json_object_get(b->control, "exporters"),
		.imports = json_object_get(b->control, "imports"),
		.exports = json_object_get(b->control, "exports"),
		.entitlements = json_object_get(b->control, "entitlements"),
	};
	json_t *options = solve_options(&request, &e);
	if (!options) {
		grpc_finish(c, GRPC_UNKNOWN, e.msg); /* clients put other codes in front */
		return;
	}
	pthread_mutex_lock(&b->gateway->lock);
	struct gateway_run *r = gateway_run_new(b, options);
	pthread_mutex_unlock(&b->gateway->lock);
	finish_run(c, r);
}

/* NULL with *e: such a build runs already, or too many do. */
static struct gateway_build *begin_build(
	struct gateway *g, const Buildkit__SolveRequest *q, struct err *e)
{
	pthread_mutex_lock(&g->lock);
	struct gateway_build *b = gateway_build_get(g, q->ref);
	if (!b) {
		(void)err_set(e, ERR_BUSY, "too many builds at once");
	} else if (b->control) {
		gateway_build_drop(b);
		b = NULL;
		(void)err_set(e, ERR_CONFLICT, "job ID %.100s exists", q->ref);
	} else {
		b->control = read_control(q);
		gateway_changed(g);
	}
	pthread_mutex_unlock(&g->lock);
	return b;
}

static void control_solve(struct grpc_call *c, void *owner)
{
	struct err e;
	struct gateway *g = owner;
	Buildkit__SolveRequest *q =
		(Buildkit__SolveRequest *)gateway_request(c, &buildkit__solve_request__descriptor);
	if (!q) {
		return;
	}
	struct gateway_build *b = check_solve(q, &e) < 0 ? NULL : begin_build(g, q, &e);
	if (!b) {
		grpc_finish(c, GRPC_UNKNOWN, e.msg);
	} else if (*q->frontend) {
		solve_at_once(c, b, q);
	} else {
		await_return(c, b);
	}
	if (b) {
		pthread_mutex_lock(&g->lock);
		gateway_build_over(b);
		gateway_build_drop(b);
		pthread_mutex_unlock(&g->lock);
	}
	buildkit__solve_request__free_unpacked(q, NULL);
}

/* --- Status --- */

/* A copy of the next event: 1; 0: no more will come; -1: the client has gone. */
static int next_event(struct gateway_build *b, size_t *i, const bool *gone, struct buf *ret)
{
	const struct buf *event;
	buf_clear(ret);
	pthread_mutex_lock(&b->gateway->lock);
	while (!(event = gateway_event(b, i)) && !b->over && !*gone) {
		gateway_wait(b->gateway, -1);
	}
	if (event) {
		buf_append(ret, event->data, event->len);
		(*i)++;
	}
	int r = *gone ? -1 : event != NULL;
	pthread_mutex_unlock(&b->gateway->lock);
	return r;
}

static void send_events(struct grpc_call *c, struct gateway_build *b)
{
	struct err e;
	struct gateway_watch w = {.gateway = b->gateway};
	scoped(buf) struct buf event = BUF_INIT;
	size_t i = 0;
	int r;
	grpc_watch(c, gateway_gone, &w);
	while ((r = next_event(b, &i, &w.gone, &event)) > 0) {
		if (grpc_send(c, event.data, event.len, &e) < 0) {
			break;
		}
	}
	grpc_unwatch(c);
	if (r == 0) {
		grpc_finish(c, GRPC_OK, "");
	}
}

static void control_status(struct grpc_call *c, void *owner)
{
	struct err e;
	struct gateway *g = owner;
	Buildkit__StatusRequest *q = (Buildkit__StatusRequest *)gateway_request(
		c, &buildkit__status_request__descriptor);
	if (!q) {
		return;
	}
	pthread_mutex_lock(&g->lock);
	struct gateway_build *b = gateway_build_wait(g, q->ref, &e);
	pthread_mutex_unlock(&g->lock);
	if (b) {
		send_events(c, b);
		pthread_mutex_lock(&g->lock);
		gateway_build_drop(b);
		pthread_mutex_unlock(&g->lock);
	} else {
		grpc_finish_err(c, &e);
	}
	buildkit__status_request__free_unpacked(q, NULL);
}

/* --- the rest of Control --- */

static void control_workers(struct grpc_call *c, void *owner)
{
	Buildkit__ListWorkersResponse answer = BUILDKIT__LIST_WORKERS_RESPONSE__INIT;
	struct gateway_worker *w = gateway_worker_new();
	Buildkit__WorkerRecord *record = gateway_worker_record(w);
	answer.n_record = 1;
	answer.record = &record;
	gateway_reply(c, &answer.base);
	gateway_worker_free(w);
}

static void control_info(struct grpc_call *c, void *owner)
{
	Buildkit__InfoResponse answer = BUILDKIT__INFO_RESPONSE__INIT;
	struct gateway_worker *w = gateway_worker_new();
	answer.version = gateway_worker_record(w)->version;
	gateway_reply(c, &answer.base);
	gateway_worker_free(w);
}

/* A record of build/usage.h as BuildKit's; what it points into lives as long as both. */
struct usage_record {
	Buildkit__UsageRecord record;
	Buildkit__Timestamp created, used;
	char *parent;
};

static void set_time(Buildkit__Timestamp *space, int64_t ns, Buildkit__Timestamp **ret)
{
	buildkit__timestamp__init(space);
	space->seconds = ns / NS_PER_SEC;
	space->nanos = (int32_t)(ns % NS_PER_SEC);
	*ret = space;
}

static void fill_record(struct usage_record *u, const json_t *r)
{
	buildkit__usage_record__init(&u->record);
	u->record.id = (char *)json_str(r, "id");
	u->record.mutable_ = json_bool(r, "mutable");
	u->record.in_use = json_bool(r, "in_use");
	u->record.size = json_i64(r, "size", 0);
	set_time(&u->created, json_i64(r, "created", 0), &u->record.created_at);
	set_time(&u->used, json_i64(r, "used", 0), &u->record.last_used_at);
	u->record.usage_count = json_i64(r, "uses", 0);
	u->record.description = (char *)json_str(r, "description");
	u->record.record_type = (char *)json_str(r, "type");
	u->record.shared = json_bool(r, "shared");
	const json_t *parent = json_array_get(json_object_get(r, "parents"), 0);
	if (parent) {
		u->parent = (char *)json_string_value(parent);
		u->record.n_parents = 1;
		u->record.parents = &u->parent;
	}
}

static json_t *texts_of(char **v, size_t n)
{
	json_t *texts = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(texts, json_string(v[i]));
	}
	return texts;
}

static void control_disk_usage(struct grpc_call *c, void *owner)
{
	struct err e;
	Buildkit__DiskUsageRequest *q = (Buildkit__DiskUsageRequest *)gateway_request(
		c, &buildkit__disk_usage_request__descriptor);
	if (!q) {
		return;
	}
	scoped(json) json_t *done = gateway_ask(owner,
		json_pack(
			"{ss so}", "ask", "disk-usage", "filter", texts_of(q->filter, q->n_filter)),
		&e);
	buildkit__disk_usage_request__free_unpacked(q, NULL);
	if (!done) {
		grpc_finish_err(c, &e);
		return;
	}
	const json_t *records = json_object_get(done, "records");
	size_t n = json_array_size(records);
	scoped(free) struct usage_record *v = xnew_array(struct usage_record, n + 1);
	scoped(free) Buildkit__UsageRecord **list = xnew_array(Buildkit__UsageRecord *, n + 1);
	for (size_t i = 0; i < n; i++) {
		fill_record(&v[i], json_array_get(records, i));
		list[i] = &v[i].record;
	}
	Buildkit__DiskUsageResponse answer = BUILDKIT__DISK_USAGE_RESPONSE__INIT;
	answer.n_record = n;
	answer.record = list;
	gateway_reply(c, &answer.base);
}

/* One message for each record that went. */
static int send_record(struct grpc_call *c, const json_t *r, struct err *e)
{
	struct usage_record u = {0};
	scoped(buf) struct buf packed = BUF_INIT;
	fill_record(&u, r);
	char *to = buf_room(&packed, buildkit__usage_record__get_packed_size(&u.record));
	buf_added(&packed, buildkit__usage_record__pack(&u.record, (uint8_t *)to));
	return grpc_send(c, packed.data, packed.len, e);
}

static void control_prune(struct grpc_call *c, void *owner)
{
	struct err e;
	Buildkit__PruneRequest *q =
		(Buildkit__PruneRequest *)gateway_request(c, &buildkit__prune_request__descriptor);
	if (!q) {
		return;
	}
	scoped(json) json_t *done = gateway_ask(owner,
		json_pack("{ss so sb sI sI sI sI}", "ask", "prune", "filter",
			texts_of(q->filter, q->n_filter), "all", q->all, "keep_duration",
			(json_int_t)q->keep_duration, "keep_bytes", (json_int_t)q->reserved_space,
			"max_used", (json_int_t)q->max_used_space, "min_free",
			(json_int_t)q->min_free_space),
		&e);
	buildkit__prune_request__free_unpacked(q, NULL);
	if (!done) {
		grpc_finish_err(c, &e);
		return;
	}
	size_t i;
	json_t *record;
	json_array_foreach (json_object_get(done, "records"), i, record) {
		if (send_record(c, record, &e) < 0) {
			return;
		}
	}
	grpc_finish(c, GRPC_OK, "");
}

/* No build is kept in a history: there are no records. */
static void control_history(struct grpc_call *c, void *owner)
{
	grpc_finish(c, GRPC_OK, "");
}

static void control_update_history(struct grpc_call *c, void *owner)
{
	Buildkit__UpdateHistoryRequest *q = (Buildkit__UpdateHistoryRequest *)gateway_request(
		c, &buildkit__update_history_request__descriptor);
	if (q) {
		scoped(free) char *message =
			xasprintf("no record of a build %.100s: not found", q->ref);
		grpc_finish(c, GRPC_NOT_FOUND, message);
		buildkit__update_history_request__free_unpacked(q, NULL);
	}
}

/* grpc.health.v1.Health/Check: {status: SERVING} */
static void health_check(struct grpc_call *c, void *owner)
{
	struct err e;
	if (grpc_send(c, "\x08\x01", 2, &e) == 0) {
		grpc_finish(c, GRPC_OK, "");
	}
}

const struct grpc_method gateway_methods[] = {
	{"/moby.buildkit.v1.Control/Solve", control_solve},
	{"/moby.buildkit.v1.Control/Status", control_status},
	{"/moby.buildkit.v1.Control/ListWorkers", control_workers},
	{"/moby.buildkit.v1.Control/Info", control_info},
	{"/moby.buildkit.v1.Control/DiskUsage", control_disk_usage},
	{"/moby.buildkit.v1.Control/Prune", control_prune},
	{"/moby.buildkit.v1.Control/ListenBuildHistory", control_history},
	{"/moby.buildkit.v1.Control/UpdateBuildHistory", control_update_history},
	{"/moby.buildkit.v1.frontend.LLBBridge/Ping", gateway_bridge_ping},
	{"/moby.buildkit.v1.frontend.LLBBridge/Solve", gateway_bridge_solve},
	{"/moby.buildkit.v1.frontend.LLBBridge/Return", gateway_bridge_return},
	{"/moby.buildkit.v1.frontend.LLBBridge/Evaluate", gateway_bridge_evaluate},
	{"/moby.buildkit.v1.frontend.LLBBridge/Inputs", gateway_bridge_inputs},
	{"/grpc.health.v1.Health/Check", health_check},
	{0},
};
