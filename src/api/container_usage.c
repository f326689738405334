/* What a container uses and may use: stats, top, update. */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/json.h"
#include "base/mem.h"
#include "container/container.h"
#include "container/stats.h"
#include "container/top.h"

#define ONE_SHOT_SINCE 41 /* API 1.41 */
#define PIDS_LIMIT_SINCE 40
#define JSON_TYPE "application/json"

static struct container *find(struct call *c)
{
	struct err e;
	struct container *k = container_find(c->api->d.containers, c->args[0], &e);
	if (!k) {
		call_reply_error(c, &e);
	}
	return k;
}

/* --- GET /containers/x/stats --- */

struct usage_stream {
	struct call *call;
	struct stats_watch *watch;
	bool once; /* stream=0: one document is the whole answer */
	bool full; /* the client reads slowly: it misses some */
};

static void usage_closed(struct call *c)
{
	struct usage_stream *s = c->stream;
	stats_unwatch(s->watch);
	free(s);
}

static void usage_drained(void *owner)
{
	struct usage_stream *s = owner;
	s->full = false;
}

static void usage_arrived(void *owner, const char *line, size_t n)
{
	struct usage_stream *s = owner;
	if (!s->call->r) {
		return;
	}
	if (s->once) {
		stats_unwatch(TAKE(s->watch)); /* first: the answer may end the call */
		http_reply(s->call->r, 200, JSON_TYPE, line ? line : "", n);
	} else if (!line) {
		http_stream_end(s->call->r);
	} else if (!s->full) {
		s->full = !http_stream_write(s->call->r, line, n);
	}
}

static void reply_text(struct call *c, char *take_text)
{
	http_reply(c->r, 200, JSON_TYPE, take_text, strlen(take_text));
	free(take_text);
}

void containers_stats(struct call *c)
{
	struct err e;
	struct container *k = find(c);
	if (!k) {
		return;
	}
	bool stream = call_query_bool(c, "stream", true);
	bool one_shot = c->version >= ONE_SHOT_SINCE && call_query_bool(c, "one-shot", false);
	if (stream && one_shot) {
		err_set(&e, ERR_INVALID, "cannot have stream=true and one-shot=true");
		call_reply_error(c, &e);
		return;
	}
	if (!stream && !container_is_running(k)) {
		reply_text(c, stats_nothing(k));
		return;
	}
	if (one_shot) {
		reply_text(c, stats_once(k));
		return;
	}
	struct usage_stream *s = xnew(struct usage_stream);
	s->call = c;
	s->once = !stream;
	s->watch = stats_watch(k, s->once, usage_arrived, s);
	c->stream = s;
	c->stream_closed = usage_closed;
	if (stream) {
		http_stream_on_drain(c->r, usage_drained, s);
		http_stream_begin(c->r, 200, JSON_TYPE);
	}
}

/* --- GET /containers/x/top --- */

/* ps may hang on a process that waits for memory: it ends with the client's patience. */
static void top_closed(struct call *c)
{
	container_top_cancel(c->stream);
}

static void top_listed(void *owner, const json_t *result, const struct err *e)
{
	struct call *c = owner;
	c->stream_closed = NULL;
	if (result) {
		call_reply_json(c, 200, json_incref((json_t *)result));
	} else {
		call_reply_error(c, e);
	}
	call_unref(c);
}

void containers_top(struct call *c)
{
	struct err e;
	const char *args = call_query_or(c, "ps_args", "");
	const bool usual = !*args || strcmp(args, "-ef") == 0 || strcmp(args, "aux") == 0;
	if (!usual && !call_needs_admin(c, "ps with options, which can show environments,")) {
		return;
	}
	if (container_top_check(args, &e) < 0) { /* before the name is looked up, as dockerd */
		call_reply_error(c, &e);
		return;
	}
	struct container *k = find(c);
	if (!k) {
		return;
	}
	c->stream = container_top(k, args, top_listed, call_ref(c), &e);
	if (!c->stream) {
		call_reply_error(c, &e);
		call_unref(c);
		return;
	}
	c->stream_closed = top_closed;
}

/* --- POST /containers/x/update --- */

struct update {
	struct call *call;
	json_t *warnings;
};

static void updated(void *owner, const struct err *e)
{
	struct update *u = owner;
	if (e) {
		json_decref(u->warnings);
		call_reply_error(u->call, e);
	} else {
		bool any = json_array_size(u->warnings) > 0;
		call_reply_json(u->call, 200,
			json_pack("{so}", "Warnings", any ? u->warnings : json_null()));
		if (!any) {
			json_decref(u->warnings);
		}
	}
	call_unref(u->call);
	free(u);
}

static void update_with(struct call *c, const json_t *body)
{
	struct err e;
	scoped(json) json_t *changes = NULL;
	scoped(json) json_t *warnings = NULL;
	scoped(json) json_t *request = json_copy((json_t *)body);
	if (c->version < PIDS_LIMIT_SINCE) {
		json_object_del(request, "PidsLimit");
	}
	/* before the name is looked up, as dockerd */
	if (container_update_check(c->api->d.containers, request, &changes, &warnings, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	struct container *k = find(c);
	if (!k) {
		return;
	}
	struct update *u = xnew(struct update);
	u->call = call_ref(c);
	u->warnings = TAKE(warnings);
	container_update(k, changes, updated, u);
}

void containers_update(struct call *c)
{
	call_body_json(c, false, update_with);
}
