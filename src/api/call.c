#include "api/call.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/redact.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "event/event.h"

static void request_closed(void *owner, bool left)
{
	struct call *c = owner;
	void (*stream_closed)(struct call *) = c->stream_closed;
	c->r = NULL; /* first: what stream_closed cancels may call back at once */
	c->stream_closed = NULL;
	if (stream_closed) {
		stream_closed(c);
	}
	call_unref(c);
}

struct call *call_new(struct api *a, struct http_request *r, int version)
{
	struct call *c = xnew(struct call);
	c->refs = 1;
	c->api = a;
	c->r = r;
	c->version = version;
	http_set_owner(r, c, request_closed);
	return c;
}

struct call *call_ref(struct call *c)
{
	c->refs++;
	return c;
}

void call_unref(struct call *c)
{
	if (--c->refs > 0) {
		return;
	}
	for (int i = 0; i < CALL_ARGS_MAX; i++) {
		free(c->args[i]);
	}
	free(c);
}

void call_note_done(struct call *c)
{
	action_times_add(&c->api->times, c->action, clock_mono_ns() - c->began_ns);
	c->action = ACTION_NONE;
}

static void note_status(struct call *c, int status)
{
	if (status < 300) {
		call_note_done(c);
	}
}

void call_reply_json(struct call *c, int status, json_t *take_doc)
{
	note_status(c, status);
	if (c->r && c->role < ROLE_ADMIN) {
		http_reply_json(c->r, status, redact(take_doc));
		json_decref(take_doc);
	} else if (c->r) {
		http_reply_json(c->r, status, take_doc);
	} else {
		json_decref(take_doc);
	}
}

void call_reply_empty(struct call *c, int status)
{
	note_status(c, status);
	if (c->r) {
		http_reply_empty(c->r, status);
	}
}

void call_reply_error(struct call *c, const struct err *e)
{
	if (c->r && e->kind == ERR_UNCHANGED) {
		http_reply_empty(c->r, 304);
	} else if (c->r) {
		http_reply_error(c->r, e);
	}
}

void call_done_empty(void *owner, const struct err *e)
{
	struct call *c = owner;
	if (e) {
		call_reply_error(c, e);
	} else {
		call_reply_empty(c, 204);
	}
	call_unref(c);
}

bool call_needs_admin(struct call *c, const char *what)
{
	struct err e;
	if (c->role >= ROLE_ADMIN) {
		return true;
	}
	(void)err_set(&e, ERR_DENIED, "the role %s may not do this: %s needs the role admin",
		role_word(c->role), what);
	call_reply_error(c, &e);
	return false;
}

void call_publish_prune(struct call *c, const char *type, int64_t bytes)
{
	scoped(free) char *reclaimed = xasprintf("%" PRId64, bytes);
	event_publish(c->api->d.bus, type, "prune", "", json_pack("{ss}", "reclaimed", reclaimed));
}

/* Content-Type must be application/json, with any parameters: moby httputils.CheckForJSON. */
static int check_content_type(const char *type, struct err *e)
{
	if (!type || !*type) {
		return err_set(
			e, ERR_INVALID, "malformed Content-Type header (): mime: no media type");
	}
	size_t n = strcspn(type, "; ");
	if (n == strlen("application/json") && strncasecmp(type, "application/json", n) == 0) {
		return 0;
	}
	return err_set(e, ERR_INVALID,
		"unsupported Content-Type header (%.64s): must be 'application/json'", type);
}

/* The document, or NULL with *e. */
static json_t *parse_body(
	const struct call *c, bool optional, const char *data, size_t n, struct err *e)
{
	const char *type = http_header(c->r, "Content-Type");
	if ((n > 0 || type) && check_content_type(type, e) < 0) {
		return NULL;
	}
	if (n == 0 && optional) {
		return json_object();
	}
	if (n == 0) {
		(void)err_set(e, ERR_INVALID, "invalid JSON: got EOF while reading request body");
		return NULL;
	}
	json_t *doc = json_parse_body(data, n, e);
	if (doc && !json_is_object(doc) && !json_is_null(doc)) {
		(void)err_set(e, ERR_INVALID, "invalid JSON: the request body must be an object");
		json_decref(doc);
		return NULL;
	}
	return doc;
}

static void json_arrived(
	struct call *c, bool optional, call_body_fn *fn, const char *data, size_t n)
{
	struct err e = {0};
	scoped(json) json_t *doc = parse_body(c, optional, data, n, &e);
	if (doc) {
		fn(c, doc);
	} else {
		call_reply_error(c, &e);
	}
}

struct body_wait {
	call_raw_fn *raw;
	call_body_fn *fn; /* for JSON */
	bool optional;
};

static void body_abandoned(struct call *c)
{
	free(c->stream);
}

static void raw_arrived(
	void *owner, struct http_request *r, const char *data, size_t n, const struct err *failed)
{
	struct call *c = owner;
	struct body_wait w = *(struct body_wait *)c->stream;
	free(c->stream);
	c->stream = NULL;
	c->stream_closed = NULL;
	if (failed) {
		call_reply_error(c, failed);
		return;
	}
	call_ref(c); /* fn may answer, and so end the request */
	if (w.raw) {
		w.raw(c, data, n);
	} else {
		json_arrived(c, w.optional, w.fn, data, n);
	}
	call_unref(c);
}

static void read_body(struct call *c, struct body_wait w)
{
	struct body_wait *own = xnew(struct body_wait);
	*own = w;
	c->stream = own;
	c->stream_closed = body_abandoned;
	http_body_read(c->r, CALL_BODY_MAX, raw_arrived, c);
}

void call_body_raw(struct call *c, call_raw_fn *fn)
{
	read_body(c, (struct body_wait){.raw = fn});
}

void call_body_json(struct call *c, bool optional, call_body_fn *fn)
{
	read_body(c, (struct body_wait){.fn = fn, .optional = optional});
}

const char *call_query(const struct call *c, const char *name)
{
	return c->r ? http_query(c->r, name) : NULL;
}

const char *call_query_or(const struct call *c, const char *name, const char *dflt)
{
	const char *value = call_query(c, name);
	return value && *value ? value : dflt;
}

bool call_query_bool(const struct call *c, const char *name, bool dflt)
{
	const char *value = call_query(c, name);
	return value ? parse_query_bool(value) : dflt;
}

int call_query_int(const struct call *c, const char *name, int dflt, int *ret, struct err *e)
{
	const char *value = call_query(c, name);
	*ret = dflt;
	if (!value || !*value) {
		return 0;
	}
	if (parse_int(value, INT32_MIN, INT32_MAX, ret) < 0) {
		return err_set(
			e, ERR_INVALID, "strconv.Atoi: parsing \"%.64s\": invalid syntax", value);
	}
	return 0;
}

int call_query_size(const struct call *c, unsigned *ret_rows, unsigned *ret_columns, struct err *e)
{
	static const char *const names[] = {"h", "w"};
	unsigned values[2] = {0};
	for (size_t i = 0; i < 2; i++) {
		uint16_t value;
		const char *text = call_query_or(c, names[i], "");
		if (parse_u16(text, &value) < 0) {
			return err_set(e, ERR_INVALID,
				"strconv.Atoi: parsing \"%.64s\": invalid syntax", text);
		}
		values[i] = value;
	}
	*ret_rows = values[0];
	*ret_columns = values[1];
	return 0;
}

int call_query_time(const struct call *c, const char *name, int64_t *ret_ns, struct err *e)
{
	const char *value = call_query(c, name);
	*ret_ns = 0;
	if (!value || !*value || strcmp(value, "0") == 0) {
		return 0;
	}
	int64_t parsed;
	if (clock_parse(value, &parsed) == 0) {
		*ret_ns = parsed;
		return 0;
	}
	if (timestamp_unix(value, ret_ns) == 0) {
		return 0;
	}
	return err_set(e, ERR_INVALID, "invalid value for %s: '%.64s' is not a time", name, value);
}

int call_auth_header(const struct call *c, const char *name, json_t **ret_auth, struct err *e)
{
	const char *value = http_header(c->r, name);
	*ret_auth = NULL;
	if (!value || !*value) {
		return 0;
	}
	scoped(buf) struct buf text = BUF_INIT;
	if (base64_decode(value, strlen(value), &text) < 0) {
		return err_set(e, ERR_INVALID, "invalid %s header: it is not base64url", name);
	}
	scoped(json) json_t *doc = json_parse(buf_str(&text), text.len, name, e);
	if (!doc) {
		return -1;
	}
	if (json_object_size(doc) > 0) {
		*ret_auth = TAKE(doc);
	}
	return 0;
}
