/* Invariants
 * 1. A build is in api->kit_builds from its request until its session is done and its request is
 *    over.
 * 2. An upload is there from its request until it is read or its client has left; the build that
 *    has its id takes the body, whichever of the two requests came first.
 */
#include <stdbool.h>
#include <string.h>
#include <uv.h>

#include "api/builds_kit.h"
#include "api/call.h"
#include "api/progress.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/gateway.h"
#include "build/session.h"
#include "buildkit/solve.h"
#include "buildkit/status.h"

#define UPLOAD "upload-request"
#define QUIET_MAX (1u << 20) /* of what `docker build -q` shows when the build fails */

struct kit_build {
	struct list node;
	struct call *call;             /* its r is NULL once the client has left */
	struct build_session *session; /* NULL: done */
	struct kit_upload *upload;     /* whose body is the context; NULL: none, or not yet */
	json_t *options;               /* until the upload is there */
	char *id;
	struct status *status;
	bool wants_upload, begun, quiet;
	struct buf held; /* of a quiet build */
};

struct kit_upload {
	struct list node;
	struct call *call;
	char *id;
	struct kit_build *build; /* NULL: not yet, or it is over */
	bool taken;
};

/* --- the answer --- */

static void say(struct kit_build *b, const char *id, json_t *take_aux)
{
	scoped(json) json_t *msg = json_pack("{ss so}", "id", id, "aux", take_aux);
	if (!msg || !b->call->r) {
		return;
	}
	if (b->quiet) {
		scoped(free) char *text = json_text(msg);
		size_t before = b->held.len;
		if (before + strlen(text) + 2 < QUIET_MAX) {
			buf_printf(&b->held, "%s\r\n", text);
		}
		return;
	}
	if (!b->begun) {
		b->begun = true;
		progress_begin(b->call);
	}
	progress_send(b->call, msg);
}

static void build_progress(void *owner, json_t *msg)
{
	struct kit_build *b = owner;
	scoped(buf) struct buf packed = BUF_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	if (status_pack(b->status, msg, &packed)) {
		base64_encode(buf_str(&packed), packed.len, &text);
		say(b, "moby.buildkit.trace", json_string(buf_str(&text)));
	}
}

static void build_accepted(void *owner)
{
}

/* Of a quiet build all is shown when it fails, the image's id when it does not. */
static void end_quiet(struct kit_build *b, const char *image, bool failed)
{
	if (!b->call->r) {
		return;
	}
	b->begun = true;
	progress_begin(b->call);
	if (failed) {
		http_stream_write(b->call->r, buf_str(&b->held), b->held.len);
	} else if (*image) {
		scoped(free) char *line = xasprintf("%s\n", image);
		scoped(json) json_t *msg = json_pack("{ss}", "stream", line);
		progress_send(b->call, msg);
	}
}

static void build_free(struct kit_build *b)
{
	list_remove(&b->node);
	if (b->upload) {
		b->upload->build = NULL;
	}
	call_unref(b->call);
	json_decref(b->options);
	status_free(b->status);
	buf_deinit(&b->held);
	free(b->id);
	free(b);
}

static void build_done(void *owner, const json_t *result, int code, const struct err *e)
{
	struct kit_build *b = owner;
	const char *image = result ? json_str(result, "id") : "";
	b->session = NULL;
	if (*image) {
		say(b, "moby.image.id", json_pack("{ss}", "ID", image));
	}
	if (b->quiet) {
		end_quiet(b, image, e != NULL);
	}
	if (b->call->r) {
		if (!b->begun) { /* also what fails before anything was said is a build's failure */
			b->begun = true;
			progress_begin(b->call);
		}
		progress_end(b->call, b->begun, e, 0); /* build_left follows */
	} else {
		build_free(b);
	}
}

/* The client has its answer, or has left. */
static void build_left(struct call *c)
{
	struct kit_build *b = c->stream;
	if (b->session) {
		build_cancel(b->session); /* build_done follows */
	} else {
		build_free(b);
	}
}

/* --- the context --- */

static struct kit_upload *find_upload(struct api *a, const char *id)
{
	list_each (pos, &a->kit_uploads) {
		struct kit_upload *u = container_of(pos, struct kit_upload, node);
		if (!u->taken && strcmp(u->id, id) == 0) {
			return u;
		}
	}
	return NULL;
}

static struct kit_build *find_build(struct api *a, const char *id)
{
	list_each (pos, &a->kit_builds) {
		struct kit_build *b = container_of(pos, struct kit_build, node);
		if (strcmp(b->id, id) == 0) {
			return b;
		}
	}
	return NULL;
}

static void feed_drained(void *owner)
{
	struct call *c = owner;
	if (c->r) {
		http_body_pause(c->r, false);
	}
}

/* Bytes of the body of the build's own request. */
static void body_arrived(void *owner, struct http_request *r, const char *data, size_t n)
{
	struct kit_build *b = owner;
	if (!b->session) {
		return;
	}
	if (!data) {
		build_feed_end(b->session);
	} else if (!build_feed(b->session, data, n, feed_drained, b->call)) {
		http_body_pause(r, true);
	}
}

static void upload_arrived(void *owner, struct http_request *r, const char *data, size_t n)
{
	struct kit_upload *u = owner;
	struct kit_build *b = u->build && u->build->session ? u->build : NULL;
	if (data && b && !build_feed(b->session, data, n, feed_drained, u->call)) {
		http_body_pause(r, true);
	} else if (!data) {
		if (b) {
			build_feed_end(b->session);
		}
		call_reply_empty(u->call, 200);
	}
}

static void upload_left(struct call *c)
{
	struct kit_upload *u = c->stream;
	if (u->build) {
		u->build->upload = NULL;
		if (u->build->session) {
			build_feed_end(u->build->session);
		}
	}
	list_remove(&u->node);
	free(u->id);
	free(u);
}

static int start(struct kit_build *b, struct err *e)
{
	static const struct build_handlers handlers = {build_progress, build_done, build_accepted};
	b->session = build_start(b->call->api->d.builder, TAKE(b->options), &handlers, b, e);
	return b->session ? 0 : -1;
}

static void join(struct kit_build *b, struct kit_upload *u)
{
	struct err e;
	u->build = b;
	u->taken = true;
	b->upload = u;
	if (start(b, &e) < 0) {
		call_reply_error(b->call, &e); /* the body that is still read goes nowhere */
	}
	http_body_stream(u->call->r, upload_arrived, u);
}

static void take_upload(struct call *c, const char *id)
{
	struct kit_upload *u = xnew(struct kit_upload);
	u->call = c;
	u->id = xstrdup(id);
	list_append(&c->api->kit_uploads, &u->node);
	c->stream = u;
	c->stream_closed = upload_left;
	struct kit_build *b = find_build(c->api, id);
	if (b && b->wants_upload && !b->upload && !b->session) {
		join(b, u);
	}
}

/* --- options --- */

static void put_query(struct call *c, json_t *attrs, const char *query, const char *name)
{
	const char *value = call_query_or(c, query, NULL);
	if (value) {
		json_put_str(attrs, name, value);
	}
}

/* {"a": "b"} of a parameter as attributes "prefix:a"; null values are left out. */
static int put_named(
	struct call *c, json_t *attrs, const char *query, const char *prefix, struct err *e)
{
	const char *text = call_query_or(c, query, NULL);
	scoped(json) json_t *doc = text ? json_parse(text, strlen(text), query, e) : json_null();
	const char *key;
	json_t *value;
	if (!doc) {
		return -1;
	}
	json_object_foreach (doc, key, value) {
		if (json_is_string(value)) {
			scoped(free) char *name = xasprintf("%s:%s", prefix, key);
			json_put(attrs, name, json_incref(value));
		}
	}
	return 0;
}

/* "name:1.2.3.4" of each parameter as "name=1.2.3.4,..." */
static void put_hosts(struct call *c, json_t *attrs)
{
	scoped(buf) struct buf text = BUF_INIT;
	const char *value;
	for (size_t i = 0; (value = http_query_nth(c->r, "extrahosts", i)); i++) {
		size_t n = strcspn(value, ":=");
		if (value[n]) {
			buf_printf(&text, "%s%.*s=%s", text.len ? "," : "", (int)n, value,
				value + n + 1);
		}
	}
	if (text.len) {
		json_put_str(attrs, "add-hosts", buf_str(&text));
	}
}

/* [{"Name": "nofile", "Soft": 1, "Hard": 2}] as "nofile=1:2,..." */
static int put_ulimits(struct call *c, json_t *attrs, struct err *e)
{
	const char *query = call_query_or(c, "ulimits", NULL);
	scoped(json) json_t *list =
		query ? json_parse(query, strlen(query), "ulimits", e) : json_null();
	scoped(buf) struct buf text = BUF_INIT;
	size_t i;
	json_t *limit;
	if (!list) {
		return -1;
	}
	json_array_foreach (list, i, limit) {
		buf_printf(&text, "%s%s=%lld:%lld", i ? "," : "", json_str(limit, "Name"),
			(long long)json_i64(limit, "Soft", 0),
			(long long)json_i64(limit, "Hard", 0));
	}
	if (text.len) {
		json_put_str(attrs, "ulimit", buf_str(&text));
	}
	return 0;
}

static int read_attrs(struct call *c, json_t *attrs, struct err *e)
{
	const char *remote = call_query_or(c, "remote", "");
	const char *mode = call_query_or(c, "networkmode", "default");
	put_query(c, attrs, "dockerfile", "filename");
	put_query(c, attrs, "target", "target");
	put_query(c, attrs, "platform", "platform");
	put_query(c, attrs, "cgroupparent", "cgroup-parent");
	put_hosts(c, attrs);
	if (*remote && strcmp(remote, "client-session") != 0 && strcmp(remote, UPLOAD) != 0) {
		json_put_str(attrs, "context", remote);
	}
	if (call_query_bool(c, "nocache", false)) {
		json_put_str(attrs, "no-cache", "");
	}
	if (call_query_bool(c, "pull", false)) {
		json_put_str(attrs, "image-resolve-mode", "pull");
	}
	if (strcmp(call_query_or(c, "shmsize", "0"), "0") != 0) {
		put_query(c, attrs, "shmsize", "shm-size");
	}
	if (strcmp(mode, "host") == 0 || strcmp(mode, "none") == 0) {
		json_put_str(attrs, "force-network-mode", mode);
	} else if (strcmp(mode, "default") != 0) {
		return err_set(
			e, ERR_INVALID, "network mode \"%.64s\" not supported by buildkit", mode);
	}
	return put_named(c, attrs, "buildargs", "build-arg", e) < 0 ||
			       put_named(c, attrs, "labels", "label", e) < 0
		       ? -1
		       : put_ulimits(c, attrs, e);
}

/* Of `--output`; without it an image of the engine's, under its tags. */
static json_t *read_exporters(struct call *c, struct err *e)
{
	const char *text = call_query_or(c, "outputs", NULL);
	scoped(json) json_t *given =
		text ? json_parse(text, strlen(text), "outputs", e) : json_null();
	scoped(buf) struct buf names = BUF_INIT;
	const char *tag;
	if (!given) {
		return NULL;
	}
	for (size_t i = 0; (tag = http_query_nth(c->r, "t", i)); i++) {
		buf_printf(&names, "%s%s", names.len && *tag ? "," : "", tag);
	}
	json_t *output = json_array_get(given, 0);
	const char *type = output ? json_str(output, "Type") : "moby";
	if (strcmp(type, "cacheonly") == 0) {
		return json_array();
	}
	json_t *attrs = json_object_get(output, "Attrs");
	json_t *own = json_is_object(attrs) ? json_copy(attrs) : json_object();
	if (names.len && (strcmp(type, "moby") == 0 || strcmp(type, "image") == 0)) {
		json_put_str(own, "name", buf_str(&names));
	}
	return json_pack("[{ss so}]", "type", type, "attrs", own);
}

static json_t *read_options(struct call *c, bool body, struct err *e)
{
	scoped(json) json_t *attrs = json_object();
	scoped(json) json_t *exporters = read_exporters(c, e);
	json_t *auths;
	if (!exporters || read_attrs(c, attrs, e) < 0 ||
		call_auth_header(c, "X-Registry-Config", &auths, e) < 0) {
		return NULL;
	}
	const struct solve_request request = {.frontend = "dockerfile.v0",
		.session = call_query_or(c, "session", ""),
		.attrs = attrs,
		.exporters = exporters};
	json_t *options = solve_options(&request, e);
	if (!options) {
		json_decref(auths);
		return NULL;
	}
	json_put(options, "auths", auths);
	gateway_put_key(c->api->d.gateway, options);
	if (body) {
		json_put(options, "context", json_pack("{ss}", "kind", "body"));
		json_object_del(options, "dockerfile_source");
	}
	return options;
}

/* --- the call --- */

static void begin(struct call *c, json_t *take_options, bool upload, bool body)
{
	struct err e;
	struct kit_build *b = xnew(struct kit_build);
	b->call = call_ref(c);
	b->options = take_options;
	b->id = xstrdup(call_query_or(c, "buildid", ""));
	b->quiet = call_query_bool(c, "q", false);
	b->wants_upload = upload;
	b->status = status_new();
	list_append(&c->api->kit_builds, &b->node);
	c->stream = b;
	c->stream_closed = build_left;
	if (upload) {
		struct kit_upload *u = find_upload(c->api, b->id);
		if (u) {
			join(b, u);
		}
		return;
	}
	if (start(b, &e) < 0) {
		call_reply_error(c, &e); /* build_left follows */
	} else if (body) {
		http_body_stream(c->r, body_arrived, b);
	} else {
		build_feed_end(b->session);
	}
}

void builds_kit_create(struct call *c)
{
	struct err e;
	const char *id = call_query_or(c, "buildid", "");
	const char *remote = call_query_or(c, "remote", "");
	if (text_starts(id, UPLOAD ":")) {
		take_upload(c, id + strlen(UPLOAD ":"));
		return;
	}
	if (*id && find_build(c->api, id)) {
		(void)err_set(&e, ERR_CONFLICT, "a build of the id %.64s runs already", id);
		call_reply_error(c, &e);
		return;
	}
	bool upload = strcmp(remote, UPLOAD) == 0;
	json_t *options = read_options(c, upload || !*remote, &e);
	if (!options) {
		call_reply_error(c, &e);
		return;
	}
	begin(c, options, upload, !*remote);
}

bool builds_kit_cancel(struct api *a, const char *id)
{
	struct kit_build *b = find_build(a, id);
	if (b && b->session) {
		build_cancel(b->session);
	}
	return b != NULL;
}
