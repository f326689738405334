/* moby.buildkit.v1.frontend.LLBBridge: a client's frontend function (buildx, compose) asks for
 * results and returns one of them.
 *
 * A result is computed when it is returned or evaluated, not when it is asked for: only then are
 * exporters and what else Control.Solve has said to be used, once. What was returned is what
 * Control.Solve waits for (gateway_control.c). A build's calls name it in their metadata.
 */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "bridge.pb-c.h"
#include "buildkit/failure.h"
#include "buildkit/solve.h"
#include "worker/gateway.h"

#define BUILD_ID "buildkit-controlapi-buildid"

/* The call's build, held; NULL: the call was finished. */
static struct gateway_build *find_build(struct grpc_call *c, struct gateway *g)
{
	struct err e;
	const char *ref = grpc_metadata(c, BUILD_ID, 0);
	if (!ref) {
		grpc_finish(c, GRPC_UNKNOWN, "no buildid found in context");
		return NULL;
	}
	pthread_mutex_lock(&g->lock);
	struct gateway_build *b = gateway_build_wait(g, ref, &e);
	pthread_mutex_unlock(&g->lock);
	if (!b) {
		grpc_finish_err(c, &e);
	}
	return b;
}

static void leave_build(struct gateway_build *b)
{
	struct gateway *g = b->gateway;
	pthread_mutex_lock(&g->lock);
	gateway_build_drop(b);
	pthread_mutex_unlock(&g->lock);
}

/* --- Ping --- */

/* What clients look for before they use it. */
static const char *const frontend_caps[] = {"solve.base", "return", "returnmap", "importcaches",
	"reference.output", "proto.refarray", "frontend.inputs", "gateway.solve.metadata",
	"frontend.caps", "gateway.solve.evaluate", "gateway.evaluate"};
static const char *const llb_caps[] = {"source.image", "source.image.resolvemode", "source.local",
	"source.local.unique", "source.local.sessionid", "source.local.includepatterns",
	"source.local.followpaths", "source.local.excludepatterns", "source.local.sharedkeyhint",
	"source.git", "source.git.keepgitdir", "source.git.fullurl", "source.git.subdir",
	"source.http", "source.http.checksum", "source.http.perm", "exec.meta.base",
	"exec.meta.network", "exec.meta.proxyenv", "exec.meta.setsdefaultpath", "exec.meta.ulimit",
	"exec.mount.bind", "exec.mount.cache", "exec.mount.cache.sharing", "exec.mount.selector",
	"exec.mount.tmpfs", "exec.mount.tmpfs.size", "exec.mount.secret", "exec.mount.ssh",
	"exec.secretenv", "file.base", "constraints", "platform", "meta.ignorecache",
	"meta.description", "meta.exportcache", "mergeop", "exporter.sourcedateepoch",
	"exporter.multiple"};
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static void fill_caps(
	const char *const *ids, size_t n, Buildkit__ApiCap *space, Buildkit__ApiCap **ret)
{
	for (size_t i = 0; i < n; i++) {
		buildkit__api_cap__init(&space[i]);
		space[i].id = (char *)ids[i];
		space[i].enabled = true;
		ret[i] = &space[i];
	}
}

void gateway_bridge_ping(struct grpc_call *c, void *owner)
{
	Buildkit__ApiCap caps[COUNT(frontend_caps) + COUNT(llb_caps)];
	Buildkit__ApiCap *list[COUNT(caps)];
	Buildkit__PongResponse pong = BUILDKIT__PONG_RESPONSE__INIT;
	struct gateway_build *b = find_build(c, owner);
	if (!b) {
		return;
	}
	struct gateway_worker *w = gateway_worker_new();
	Buildkit__WorkerRecord *record = gateway_worker_record(w);
	pong.n_frontend_caps = COUNT(frontend_caps);
	pong.frontend_caps = list;
	fill_caps(frontend_caps, COUNT(frontend_caps), caps, list);
	pong.n_llb_caps = COUNT(llb_caps);
	pong.llb_caps = list + COUNT(frontend_caps);
	fill_caps(llb_caps, COUNT(llb_caps), caps + COUNT(frontend_caps), pong.llb_caps);
	pong.n_workers = 1;
	pong.workers = &record;
	gateway_reply(c, &pong.base);
	gateway_worker_free(w);
	leave_build(b);
}

/* --- Solve --- */

static json_t *read_options(
	const struct gateway_build *b, const Buildkit__BridgeSolveRequest *q, struct err *e)
{
	scoped(json) json_t *attrs = pairs_json(q->frontend_opt, q->n_frontend_opt);
	scoped(json) json_t *imports = json_copy(json_object_get(b->control, "imports"));
	scoped(json) json_t *more = cache_json(q->cache_imports, q->n_cache_imports);
	json_array_extend(imports, more);
	if (q->definition && q->definition->n_def > 0) {
		(void)err_set(e, ERR_NOT_IMPLEMENTED,
			"definitions (LLB) are not run: this engine builds Dockerfiles (frontend dockerfile.v0)");
		return NULL;
	}
	const struct solve_request request = {
		.frontend = q->frontend,
		.session = json_str(b->control, "session"),
		.attrs = attrs,
		.exporters = json_object_get(b->control, "exporters"),
		.imports = imports,
		.exports = json_object_get(b->control, "exports"),
		.entitlements = json_object_get(b->control, "entitlements"),
	};
	return solve_options(&request, e);
}

static void reply_metadata(struct grpc_call *c, const json_t *response)
{
	Buildkit__BridgeSolveResponse answer = BUILDKIT__BRIDGE_SOLVE_RESPONSE__INIT;
	Buildkit__BridgeResult result = BUILDKIT__BRIDGE_RESULT__INIT;
	size_t room = json_object_size(response) + 1;
	Buildkit__BytesPair *pairs = xnew_array(Buildkit__BytesPair, room);
	Buildkit__BytesPair **list = xnew_array(Buildkit__BytesPair *, room);
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)response, key, value) {
		if (json_is_string(value)) {
			Buildkit__BytesPair *p = &pairs[result.n_metadata];
			buildkit__bytes_pair__init(p);
			p->key = (char *)key;
			p->value.len = json_string_length(value);
			p->value.data = (uint8_t *)json_string_value(value);
			list[result.n_metadata++] = p;
		}
	}
	result.metadata = list;
	answer.result = &result;
	gateway_reply(c, &answer.base);
	free(list);
	free(pairs);
}

/* What a frontend can be asked besides building: names, versions, descriptions. */
static const char described[] =
	"[{\"name\":\"frontend.lint\",\"version\":\"1.0.0\",\"type\":\"rpc\","
	"\"description\":\"Lint a Dockerfile\","
	"\"opts\":null,\"metadata\":[{\"name\":\"result.json\"},{\"name\":\"result.txt\"},{\"name\":\"result.statuscode\"}]},"
	"{\"name\":\"frontend.outline\",\"version\":\"1.0.0\",\"type\":\"rpc\","
	"\"description\":\"List all parameters current build target supports\","
	"\"opts\":[{\"name\":\"target\",\"description\":\"Target build stage\"}],"
	"\"metadata\":[{\"name\":\"result.json\"},{\"name\":\"result.txt\"}]},"
	"{\"name\":\"frontend.targets\",\"version\":\"1.0.0\",\"type\":\"rpc\","
	"\"description\":\"List all targets current build supports\",\"opts\":null,"
	"\"metadata\":[{\"name\":\"result.json\"},{\"name\":\"result.txt\"}]},"
	"{\"name\":\"frontend.subrequests.describe\",\"version\":\"1.0.0\",\"type\":\"rpc\","
	"\"description\":\"List available subrequest types\",\"opts\":null,"
	"\"metadata\":[{\"name\":\"result.json\"},{\"name\":\"result.txt\"}]}]";
static const char described_text[] =
	"NAME                            VERSION  DESCRIPTION\n"
	"frontend.lint                   1.0.0    Lint a Dockerfile\n"
	"frontend.outline                1.0.0    List all parameters current build target supports\n"
	"frontend.targets                1.0.0    List all targets current build supports\n"
	"frontend.subrequests.describe   1.0.0    List available subrequest types\n";

static void refuse_request(struct grpc_call *c, const char *name)
{
	scoped(buf) struct buf details = BUF_INIT;
	scoped(free) char *message = xasprintf("unsupported request %.100s", name);
	failure_pack_request(GRPC_UNIMPLEMENTED, message, name, &details);
	grpc_finish_details(c, GRPC_UNIMPLEMENTED, message, details.data, details.len);
}

/* A question about the Dockerfile: the answer is needed at once. */
static void answer_request(struct grpc_call *c, struct gateway_run *r, const char *name)
{
	if (strcmp(name, "frontend.subrequests.describe") == 0) {
		scoped(json) json_t *response = json_pack("{ss ss ss}", "result.json", described,
			"result.txt", described_text, "version", "1.0.0");
		reply_metadata(c, response);
	} else if (!solve_is_question(name)) {
		refuse_request(c, name);
	} else if (!gateway_run_finish(r, c)) {
		grpc_finish(c, GRPC_CANCELLED, "context canceled");
	} else if (r->result) {
		reply_metadata(c, json_object_get(r->result, "response"));
	} else {
		gateway_fail_run(c, r);
	}
}

static void reply_ref(
	struct grpc_call *c, const struct gateway_run *r, const Buildkit__BridgeSolveRequest *q)
{
	Buildkit__BridgeSolveResponse answer = BUILDKIT__BRIDGE_SOLVE_RESPONSE__INIT;
	Buildkit__BridgeResult result = BUILDKIT__BRIDGE_RESULT__INIT;
	Buildkit__Ref ref = BUILDKIT__REF__INIT;
	struct gateway_definition *d = gateway_definition_new(r);
	ref.id = (char *)r->ref;
	ref.def = gateway_definition_of(d);
	if (!q->allow_result_return) {
		answer.ref = ref.id;
	} else if (q->allow_result_array_ref) {
		result.ref = &ref;
		answer.result = &result;
	} else {
		result.old_ref = ref.id;
		answer.result = &result;
	}
	gateway_reply(c, &answer.base);
	gateway_definition_free(d);
}

static const char *request_id(const Buildkit__BridgeSolveRequest *q)
{
	for (size_t i = 0; i < q->n_frontend_opt; i++) {
		if (strcmp(q->frontend_opt[i]->key, "requestid") == 0) {
			return q->frontend_opt[i]->value;
		}
	}
	return "";
}

/* Computes it now: true when it can be answered. */
static bool evaluate(struct grpc_call *c, struct gateway_run *r)
{
	if (!gateway_run_finish(r, c)) {
		grpc_finish(c, GRPC_CANCELLED, "context canceled");
		return false;
	}
	if (!r->result) {
		gateway_fail_run(c, r);
	}
	return r->result != NULL;
}

/* Contexts that are results of other builds ("input:KEY"): they are built first, and are images
 * then. False: the call was finished. */
static bool put_inputs(struct grpc_call *c, struct gateway *g,
	const Buildkit__BridgeSolveRequest *q, json_t *options)
{
	json_t *contexts = json_object_get(options, "named_contexts");
	for (size_t i = 0; i < q->n_frontend_inputs; i++) {
		const char *name;
		json_t *value;
		void *next;
		scoped(free) char *input = xasprintf("input:%s", q->frontend_inputs[i]->key);
		pthread_mutex_lock(&g->lock);
		struct gateway_run *r = gateway_input_find(g, q->frontend_inputs[i]->value);
		if (r && r->state == RUN_WAITS &&
			json_array_size(json_object_get(r->options, "outputs")) == 0) {
			json_object_del(r->options, "outputs"); /* it is an image of the engine's */
		}
		pthread_mutex_unlock(&g->lock);
		if (!r) {
			grpc_finish(c, GRPC_UNKNOWN,
				"an input that is no result of this engine cannot be used: definitions (LLB) are not run");
			return false;
		}
		bool built = evaluate(c, r);
		scoped(free) char *image =
			built ? xasprintf("docker-image://%s", json_str(r->result, "id")) : NULL;
		json_object_foreach_safe(contexts, next, name, value)
		{
			if (built && strcmp(json_string_value(value), input) == 0) {
				json_put_str(contexts, name, image);
			}
		}
		leave_build(r->build);
		if (!built) {
			return false;
		}
	}
	return true;
}

static void solve(
	struct grpc_call *c, struct gateway_build *b, const Buildkit__BridgeSolveRequest *q)
{
	struct err e;
	json_t *options = read_options(b, q, &e);
	if (!options) {
		grpc_finish(c, GRPC_UNKNOWN, e.msg); /* clients put other codes in front */
		return;
	}
	if (!put_inputs(c, b->gateway, q, options)) {
		json_decref(options);
		return;
	}
	pthread_mutex_lock(&b->gateway->lock);
	struct gateway_run *r = gateway_run_new(b, options);
	pthread_mutex_unlock(&b->gateway->lock);
	if (!r) {
		grpc_finish(c, GRPC_RESOURCE_EXHAUSTED, "a build of too many results");
	} else if (*request_id(q)) {
		answer_request(c, r, request_id(q));
	} else if (!q->evaluate || evaluate(c, r)) {
		reply_ref(c, r, q);
	}
}

void gateway_bridge_solve(struct grpc_call *c, void *owner)
{
	Buildkit__BridgeSolveRequest *q = (Buildkit__BridgeSolveRequest *)gateway_request(
		c, &buildkit__bridge_solve_request__descriptor);
	struct gateway_build *b = q ? find_build(c, owner) : NULL;
	if (b) {
		solve(c, b, q);
		leave_build(b);
	}
	buildkit__bridge_solve_request__free_unpacked(q, NULL);
}

/* --- the end of a frontend function --- */

/* Of several (one for each platform) each is the same run. */
static const char *returned_ref(const Buildkit__BridgeResult *result)
{
	if (!result) {
		return "";
	}
	if (result->ref) {
		return result->ref->id;
	}
	if (result->refs && result->refs->n_refs > 0 && result->refs->refs[0]->value) {
		return result->refs->refs[0]->value->id;
	}
	return result->old_ref;
}

static void take_return(struct gateway_build *b, const Buildkit__ReturnRequest *q)
{
	if (b->returned) {
		return;
	}
	b->returned = true;
	b->returned_ref = xstrdup(returned_ref(q->result));
	b->failed = q->error != NULL;
	if (b->failed) {
		size_t n = buildkit__rpc_status__get_packed_size(q->error);
		buildkit__rpc_status__pack(q->error, (uint8_t *)buf_room(&b->returned_error, n));
		buf_added(&b->returned_error, n);
	}
	gateway_changed(b->gateway);
}

void gateway_bridge_return(struct grpc_call *c, void *owner)
{
	struct gateway *g = owner;
	Buildkit__ReturnRequest *q = (Buildkit__ReturnRequest *)gateway_request(
		c, &buildkit__return_request__descriptor);
	struct gateway_build *b = q ? find_build(c, owner) : NULL;
	if (b) {
		const Buildkit__InputsResponse empty = BUILDKIT__INPUTS_RESPONSE__INIT;
		pthread_mutex_lock(&g->lock);
		take_return(b, q);
		pthread_mutex_unlock(&g->lock);
		gateway_reply(c, &empty.base);
		leave_build(b);
	}
	buildkit__return_request__free_unpacked(q, NULL);
}

void gateway_bridge_evaluate(struct grpc_call *c, void *owner)
{
	struct gateway *g = owner;
	Buildkit__EvaluateRequest *q = (Buildkit__EvaluateRequest *)gateway_request(
		c, &buildkit__evaluate_request__descriptor);
	struct gateway_build *b = q ? find_build(c, owner) : NULL;
	if (b) {
		const Buildkit__InputsResponse empty = BUILDKIT__INPUTS_RESPONSE__INIT;
		pthread_mutex_lock(&g->lock);
		struct gateway_run *r = gateway_run_find(b, q->ref);
		pthread_mutex_unlock(&g->lock);
		if (!r) {
			grpc_finish(c, GRPC_NOT_FOUND, "no such ref");
		} else if (evaluate(c, r)) {
			gateway_reply(c, &empty.base);
		}
		leave_build(b);
	}
	buildkit__evaluate_request__free_unpacked(q, NULL);
}

/* What a build got as named inputs is in its options (context:NAME); a frontend needs no more. */
void gateway_bridge_inputs(struct grpc_call *c, void *owner)
{
	const Buildkit__InputsResponse empty = BUILDKIT__INPUTS_RESPONSE__INIT;
	struct gateway_build *b = find_build(c, owner);
	if (b) {
		gateway_reply(c, &empty.base);
		leave_build(b);
	}
}
