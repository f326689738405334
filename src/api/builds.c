/* POST /build: the classic builder's call. The context is the body, the answer is the progress. */
#include <stdlib.h>
#include <string.h>

#include "api/builds_kit.h"
#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
#include "api/progress.h"
#include "api/shapes.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "build/excerpt.h"
#include "build/session.h"
#include "build/usage.h"
#include "container/container.h"

struct build_stream {
	struct call *call;
	struct build_session *session; /* NULL once it is done */
	bool begun;
	json_t *source; /* of the error that comes, or NULL */
};

static void build_accepted(void *owner)
{
	struct build_stream *s = owner;
	if (!s->begun) {
		s->begun = true;
		progress_begin(s->call);
	}
}

static void build_progress(void *owner, json_t *msg)
{
	struct build_stream *s = owner;
	json_t *source = json_object_get(msg, "source");
	if (source) {
		json_decref(s->source);
		s->source = json_incref(source);
		return;
	}
	build_accepted(s);
	progress_send(s->call, msg);
}

static void free_stream(struct build_stream *s)
{
	json_decref(s->source);
	free(s);
}

/* Where in the Dockerfile: before the error in the stream, or behind it in the answer. */
static void end_failed(struct build_stream *s, int code, const struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	excerpt_of_source(s->source, e->msg, &text);
	if (s->begun || text.len == 0) {
		scoped(json) json_t *msg = json_pack("{ss}", "stream", buf_str(&text));
		if (text.len) {
			progress_send(s->call, msg);
		}
		progress_end(s->call, s->begun, e, code);
		return;
	}
	scoped(free) char *message = xasprintf("%s\n%s", e->msg, buf_str(&text));
	call_reply_json(s->call, 400, json_pack("{ss}", "message", message));
}

static void build_done(void *owner, const json_t *result, int code, const struct err *e)
{
	struct build_stream *s = owner;
	s->session = NULL;
	if (!s->call->r) { /* the client left before: build_closed kept s for us */
		call_unref(s->call);
		free_stream(s);
		return;
	}
	if (e) {
		end_failed(s, code, e);
	} else {
		progress_end(s->call, s->begun, NULL, code);
	}
}

static void build_closed(struct call *c)
{
	struct build_stream *s = c->stream;
	if (s->session) {
		call_ref(c); /* build_done drops it */
		build_cancel(s->session);
		return;
	}
	free_stream(s);
}

static void feed_drained(void *owner)
{
	struct build_stream *s = owner;
	if (s->call->r) {
		http_body_pause(s->call->r, false);
	}
}

static void context_arrived(void *owner, struct http_request *r, const char *data, size_t n)
{
	struct build_stream *s = owner;
	if (!s->session) {
		return;
	}
	if (!data) {
		build_feed_end(s->session);
	} else if (!build_feed(s->session, data, n, feed_drained, s)) {
		http_body_pause(r, true);
	}
}

/* A query parameter that holds JSON; compose sends "null" and "" for "nothing". */
static int put_json(struct call *c, json_t *options, const char *key, struct err *e)
{
	const char *text = call_query_or(c, key, NULL);
	if (!text) {
		return 0;
	}
	json_t *doc = json_parse(text, strlen(text), key, e);
	if (!doc) {
		return -1;
	}
	if (!json_is_object(doc)) {
		bool nothing = json_is_null(doc);
		json_decref(doc);
		return nothing ? 0
			       : err_set(e, ERR_INVALID, "invalid %s: expected a JSON object", key);
	}
	json_put(options, key, doc);
	return 0;
}

/* A repeated parameter, or one with commas when split is set. */
static void put_list(struct call *c, json_t *options, const char *key, const char *name, bool split)
{
	scoped(strv) struct strv values = STRV_INIT;
	const char *value;
	for (size_t i = 0; (value = http_query_nth(c->r, key, i)); i++) {
		if (split) {
			strv_split(&values, value, ',');
		} else if (*value) {
			strv_add(&values, value);
		}
	}
	json_put(options, name, json_strv(&values));
}

/* Names of images: BuildKit asks their registries for a cache, the classic builder looks at those
 * that are here. */
static int read_cache_from(struct call *c, json_t *options, struct err *e)
{
	const char *text = call_query_or(c, "cachefrom", "");
	scoped(json) json_t *names =
		*text ? json_parse(text, strlen(text), "cachefrom", e) : json_array();
	const char *type =
		strcmp(call_query_or(c, "version", "1"), "2") == 0 ? "registry" : "image";
	json_t *list = json_array();
	size_t i;
	json_t *name;
	json_put(options, "cache_from", list);
	json_array_foreach (names, i, name) {
		if (json_is_string(name)) {
			json_array_append_new(
				list, json_pack("{ss s{sO}}", "type", type, "attrs", "ref", name));
		}
	}
	return names ? 0 : -1;
}

static int refuse(struct call *c, struct err *e)
{
	if (call_query_bool(c, "squash", false)) {
		return err_set(
			e, ERR_INVALID, "squash is not supported: use a multi-stage build instead");
	}
	if (call_query_or(c, "cgroupparent", NULL)) {
		return err_set(e, ERR_INVALID,
			"a cgroup parent for builds is not supported: steps run in a group of the builder, with the limits that the build has");
	}
	const char *asked = call_query_or(c, "securityopt", NULL);
	if (asked && strcmp(asked, "null") != 0 && strcmp(asked, "[]") != 0) { /* JSON */
		return err_set(e, ERR_INVALID,
			"The daemon on this platform does not support setting security options on build");
	}
	const char *version = call_query_or(c, "version", "1");
	if (strcmp(version, "1") != 0) {
		return err_set(e, ERR_INVALID, "invalid version %.64s", version);
	}
	return 0;
}

/* What Docker's classic builder gives each RUN: the query's names in HostConfig's. */
static int read_limits(struct call *c, json_t *options, struct err *e)
{
	static const struct {
		const char *query, *key;
		bool text;
	} names[] = {
		{"memory", "Memory", false},
		{"memswap", "MemorySwap", false},
		{"cpushares", "CpuShares", false},
		{"cpuperiod", "CpuPeriod", false},
		{"cpuquota", "CpuQuota", false},
		{"cpusetcpus", "CpusetCpus", true},
		{"cpusetmems", "CpusetMems", true},
	};
	scoped(json) json_t *host = json_object();
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *value = call_query_or(c, names[i].query, NULL);
		int64_t number;
		if (value && names[i].text) {
			json_put_str(host, names[i].key, value);
		} else if (value && parse_i64(value, INT64_MIN, INT64_MAX, &number) < 0) {
			return err_set(e, ERR_INVALID, "invalid %s: %.64s is not a number",
				names[i].query, value);
		} else if (value && number != 0) {
			json_put(host, names[i].key, json_integer(number));
		}
	}
	const char *ulimits = call_query_or(c, "ulimits", NULL);
	json_t *list = ulimits ? json_parse(ulimits, strlen(ulimits), "ulimits", e) : json_null();
	if (!list) {
		return -1;
	}
	json_put(host, "Ulimits", list);
	json_t *resources;
	json_t *rlimits;
	if (container_limits(host, c->api->d.cgroups, &resources, &rlimits, e) < 0) {
		return -1;
	}
	json_put(options, "resources", resources);
	json_put(options, "rlimits", rlimits);
	return 0;
}

/* [{"Type", "Attrs": {}}]; without it the image goes into the store under the tags. */
static int read_outputs(struct call *c, json_t *options, struct err *e)
{
	const char *text = call_query_or(c, "outputs", NULL);
	scoped(json) json_t *doc = text ? json_parse(text, strlen(text), "outputs", e) : NULL;
	if (!text || json_is_null(doc)) {
		return 0;
	}
	if (!json_is_array(doc)) {
		return doc ? err_set(e, ERR_INVALID, "invalid outputs: expected a JSON array") : -1;
	}
	json_t *outputs = json_array();
	size_t i;
	json_t *one;
	json_array_foreach (doc, i, one) {
		json_t *attrs = json_object_get(one, "Attrs");
		json_t *output = json_object();
		json_put_str(output, "type", json_str(one, "Type"));
		json_put(output, "attrs",
			json_is_object(attrs) ? json_incref(attrs) : json_object());
		json_array_append_new(outputs, output);
	}
	json_put(options, "outputs", outputs);
	return 0;
}

static int read_options(struct call *c, json_t *options, struct err *e)
{
	if (refuse(c, e) < 0 || put_json(c, options, "buildargs", e) < 0 ||
		put_json(c, options, "labels", e) < 0 || read_limits(c, options, e) < 0) {
		return -1;
	}
	json_t *auths;
	if (call_auth_header(c, "X-Registry-Config", &auths, e) < 0) {
		return -1;
	}
	json_put(options, "auths", auths);
	json_put_str(options, "dockerfile", call_query_or(c, "dockerfile", "Dockerfile"));
	json_put_str(options, "target", call_query_or(c, "target", ""));
	json_put_str(options, "networkmode", call_query_or(c, "networkmode", "default"));
	if (read_outputs(c, options, e) < 0 || read_cache_from(c, options, e) < 0) {
		return -1;
	}
	const char *platform = call_query_or(c, "platform", "");
	if (strchr(platform, ',')) {
		put_list(c, options, "platform", "platforms", true);
	} else {
		json_put_str(options, "platform", platform);
	}
	json_put(options, "nocache", json_boolean(call_query_bool(c, "nocache", false)));
	json_put(options, "pull", json_boolean(call_query_bool(c, "pull", false)));
	json_put(options, "quiet", json_boolean(call_query_bool(c, "q", false)));
	int shmsize;
	if (call_query_int(c, "shmsize", 0, &shmsize, e) < 0) {
		return -1;
	}
	json_put(options, "shmsize", json_integer(shmsize));
	put_list(c, options, "t", "tags", false);
	const char *remote = call_query_or(c, "remote", NULL);
	if (remote) {
		json_t *context = json_object(); /* the worker looks what is there */
		json_put_str(context, "kind", "http");
		json_put_str(context, "url", remote);
		json_put(options, "context", context);
	}
	put_list(c, options, "extrahosts", "extrahosts", true);
	return 0;
}

void builds_create(struct call *c)
{
	static const struct build_handlers handlers = {build_progress, build_done, build_accepted};
	struct err e;
	if (strcmp(call_query_or(c, "version", "1"), "2") == 0) {
		builds_kit_create(c);
		return;
	}
	json_t *options = json_object();
	if (read_options(c, options, &e) < 0) {
		json_decref(options);
		call_reply_error(c, &e);
		return;
	}
	struct build_stream *s = xnew(struct build_stream);
	s->call = c;
	s->session = build_start(c->api->d.builder, options, &handlers, s, &e);
	if (!s->session) {
		free(s);
		call_reply_error(c, &e);
		return;
	}
	c->stream = s;
	c->stream_closed = build_closed;
	http_body_stream(c->r, context_arrived, s);
}

/* A classic build has no id to cancel it by: its client hangs up. One that is not known may have
 * ended. */
void builds_cancel(struct call *c)
{
	struct err e;
	const char *id = call_query_or(c, "id", NULL);
	if (!id) {
		err_set(&e, ERR_INVALID, "build ID not provided");
		call_reply_error(c, &e);
		return;
	}
	(void)builds_kit_cancel(c->api, id);
	call_reply_empty(c, 200);
}

/* --- what is kept --- */

/* moby's answer; clients up to 28 read " Parents", with the blank of a slip of the pen there. */
json_t *shape_build_cache(const json_t *r, int api_version)
{
	char text[CLOCK_TEXT_MAX];
	json_t *parents = json_object_get(r, "parents");
	json_t *o = json_pack("{ss}", "ID", json_str(r, "id"));
	if (json_array_size(parents) > 0 && api_version < 42) {
		json_put(o, "Parent", json_incref(json_array_get(parents, 0)));
	} else if (json_array_size(parents) > 0) {
		json_put(o, "Parents", json_incref(parents));
		json_put(o, " Parents", json_incref(parents));
	}
	json_put_str(o, "Type", json_str(r, "type"));
	json_put_str(o, "Description", json_str(r, "description"));
	json_put(o, "InUse", json_boolean(json_bool(r, "in_use")));
	json_put(o, "Shared", json_boolean(json_bool(r, "shared")));
	json_put(o, "Size", json_integer(json_i64(r, "size", 0)));
	json_put_str(o, "CreatedAt", clock_format(json_i64(r, "created", 0), text));
	json_put_str(o, "LastUsedAt", clock_format(json_i64(r, "used", 0), text));
	json_put(o, "UsageCount", json_integer(json_i64(r, "uses", 0)));
	return o;
}

static void pruned(void *owner, const json_t *records, const struct err *e)
{
	struct call *c = owner; /* a call_ref */
	if (!records) {
		call_reply_error(c, e);
		call_unref(c);
		return;
	}
	json_t *ids = json_array();
	int64_t bytes = 0;
	size_t i;
	json_t *record;
	json_array_foreach (records, i, record) {
		json_array_append_new(ids, json_string(json_str(record, "id")));
		bytes += json_i64(record, "size", 0);
	}
	call_reply_json(c, 200,
		json_pack("{so sI}", "CachesDeleted", json_array_or_null(ids), "SpaceReclaimed",
			(json_int_t)bytes));
	call_unref(c);
}

/* One value of each, all of which must be true: moby builder-next toBuildkitPruneInfo. */
static int read_cache_filter(const struct filters *f, json_t *ret_all, struct err *e)
{
	static const char *const fields[] = {
		"id", "parent", "type", "description", "inuse", "shared", "private"};
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++) {
		const char *value = filters_value(f, fields[i], 0);
		if (filters_value(f, fields[i], 1)) {
			return err_set(e, ERR_INVALID, "filter expects only one value");
		}
		if (value) {
			json_array_append_new(
				ret_all, json_pack("{ss ss ss}", "field", fields[i], "op",
						 *value ? "==" : "", "value", value));
		}
	}
	return 0;
}

static int read_bytes(struct call *c, const char *key, int64_t *ret, struct err *e)
{
	const char *text = call_query_or(c, key, NULL);
	*ret = 0;
	return text && parse_i64(text, INT64_MIN, INT64_MAX, ret) < 0
		       ? err_set(e, ERR_INVALID, "%s is in bytes and expects an integer, got %.64s",
				 key, text)
		       : 0;
}

static int read_prune(struct call *c, struct build_prune_query *q, json_t *all, struct err *e)
{
	static const char *const allowed[] = {"until", "unused-for", "id", "parent", "type",
		"description", "inuse", "shared", "private", NULL};
	scoped(filters) struct filters *f = filters_read(c, allowed, e);
	if (!f) {
		return err_wrap(e, "failed to prune build cache");
	}
	const char *unused_for = filters_value(f, "unused-for", 0);
	if (unused_for && filters_has(f, "until")) {
		return err_set(e, ERR_INVALID,
			"conflicting filters \"until\" and \"unused-for\", only one of them is allowed");
	}
	if (unused_for) {
		filters_add(f, "until", unused_for);
	}
	int64_t keep;
	if (filters_until(f, clock_real_ns(), &q->before_ns, e) < 0 ||
		read_cache_filter(f, all, e) < 0 || read_bytes(c, "keep-storage", &keep, e) < 0 ||
		read_bytes(c, "reserved-space", &q->reserved, e) < 0 ||
		read_bytes(c, "max-used-space", &q->max_used, e) < 0 ||
		read_bytes(c, "min-free-space", &q->min_free, e) < 0) {
		return -1;
	}
	q->reserved = q->reserved > 0 ? q->reserved : keep;
	q->all = call_query_bool(c, "all", false);
	return 0;
}

void builds_prune(struct call *c)
{
	struct err e;
	struct build_prune_query q = {0};
	scoped(json) json_t *all = json_array();
	if (read_prune(c, &q, all, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	scoped(json) json_t *filter =
		json_array_size(all) > 0 ? json_pack("[O]", all) : json_array();
	q.filter = filter;
	build_prune(c->api->d.builder, &q, pruned, call_ref(c));
}
