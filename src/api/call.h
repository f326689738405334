/* api/call.h - one request while it is being answered.
 *
 * A call is counted: the request holds one reference, and each pending operation with the call as
 * owner holds another (call_ref). When the client has gone c->r is NULL: replies are then no-ops,
 * pending work goes on to its end.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/action_times.h"
#include "api/api.h"
#include "api/memory.h"
#include "api/version.h"
#include "base/err.h"
#include "base/list.h"
#include "http/server.h"

#define CALL_ARGS_MAX 2
#define CALL_BODY_MAX (4u << 20) /* JSON bodies */

struct api {
	struct api_deps d;
	int64_t started_ns;
	char engine_id[65];
	struct memory_watch memory;
	unsigned peer_transfers; /* layers on their way to peers */
	struct action_times times;
	struct list kit_builds, kit_uploads; /* builds_kit.c */
};

struct call {
	unsigned refs;
	struct api *api;
	struct http_request *r;    /* NULL once the client has left */
	enum user_role role;       /* what the client may */
	int version;               /* the 45 of v1.45; API_VERSION without a prefix */
	char *args[CALL_ARGS_MAX]; /* what the {} of the pattern matched, decoded */
	enum action action;        /* what to count when it is done, */
	int64_t began_ns;          /* and since when: clock_mono_ns */
	void *stream;              /* the handler's own state for a long answer */
	/* Called once when the request is over, while stream is still the handler's to free. */
	void (*stream_closed)(struct call *c);
};

struct call *call_new(struct api *a, struct http_request *r, int version);
struct call *call_ref(struct call *c);
void call_unref(struct call *c);

/* It was done, for replies that do not go through these. */
void call_note_done(struct call *c);
/* Replies: nothing happens when the client has left. */
void call_reply_json(struct call *c, int status, json_t *take_doc);
void call_reply_empty(struct call *c, int status);
void call_reply_error(struct call *c, const struct err *e);
/* ERR_DENIED, and answered, unless the client is an admin: for what a route does only sometimes. */
bool call_needs_admin(struct call *c, const char *what);
/* The event of a finished prune. */
void call_publish_prune(struct call *c, const char *type, int64_t bytes);
/* A container_done_fn whose owner is a call_ref: 204, or the error; drops the reference. */
void call_done_empty(void *owner, const struct err *e);

/* Reads the body as one JSON object (or null) and calls fn; anything else is answered here as
 * dockerd does (400). An empty body is {} when optional: for everything but a container's creation.
 * body is borrowed. */
typedef void call_body_fn(struct call *c, const json_t *body);
void call_body_json(struct call *c, bool optional, call_body_fn *fn);
/* The same without a look at it. Both use c->stream until fn is called. */
typedef void call_raw_fn(struct call *c, const char *data, size_t n);
void call_body_raw(struct call *c, call_raw_fn *fn);

const char *call_query(const struct call *c, const char *name); /* NULL when absent */
const char *call_query_or(
	const struct call *c, const char *name, const char *dflt); /* dflt when absent or "" */
bool call_query_bool(const struct call *c, const char *name, bool dflt);
int call_query_int(const struct call *c, const char *name, int dflt, int *ret, struct err *e);
/* h and w of a terminal; both must be there, as in dockerd. */
int call_query_size(const struct call *c, unsigned *ret_rows, unsigned *ret_columns, struct err *e);
/* "1795331066", "1795331066.5", "...123456789" digits or RFC 3339 in ns; 0 when absent or "0". */
int call_query_time(const struct call *c, const char *name, int64_t *ret_ns, struct err *e);
/* X-Registry-Auth and the like: base64url JSON; *ret_auth NULL when absent or empty. */
int call_auth_header(const struct call *c, const char *name, json_t **ret_auth, struct err *e);
