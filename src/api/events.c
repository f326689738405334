/* GET /events: what happened, past (from the bus's memory) and to come. */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
#include "api/redact.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "event/event.h"

struct event_stream {
	struct call *call;
	struct event_listener *listener;
	struct filters *filters;
	uv_timer_t *until; /* freed by its close callback */
};

static json_t *event_json(const struct event *v)
{
	json_t *o = json_object();
	if (strcmp(v->type, "container") == 0 || strcmp(v->type, "image") == 0) {
		json_put_str(
			o, "status", v->action); /* the form before 1.22, still sent by dockerd */
		json_put_str(o, "id", v->id);
		if (strcmp(v->type, "container") == 0) {
			json_put_str(o, "from", json_str(v->attributes, "image"));
		}
	}
	json_put_str(o, "Type", v->type);
	json_put_str(o, "Action", v->action);
	json_put(o, "Actor", json_pack("{ss sO}", "ID", v->id, "Attributes", v->attributes));
	json_put_str(o, "scope", "local");
	json_put(o, "time", json_integer(v->time_ns / NS_PER_SEC));
	json_put(o, "timeNano", json_integer(v->time_ns));
	return o;
}

/* container=, volume=, network=, daemon= ...: a prefix of the id or the name of what it is about,
 * whatever its type. moby daemon/events/filter.go */
static bool match_object(const struct filters *f, const char *key, const struct event *v)
{
	return filters_match_prefix(f, key, v->id) ||
	       filters_match_prefix(f, key, json_str(v->attributes, "name"));
}

/* image=: with and without the tag, and the image of a container's event. */
static bool match_image(const struct filters *f, const struct event *v)
{
	bool own = strcmp(v->type, "image") == 0;
	const char *name = json_str(v->attributes, own ? "name" : "image");
	const char *both[] = {v->id, name};
	for (size_t i = 0; i < 2; i++) {
		const char *slash = strrchr(both[i], '/');
		const char *from = slash ? slash : both[i];
		scoped(free) char *bare =
			xstrndup(both[i], (size_t)(from - both[i]) + strcspn(from, ":@"));
		if (filters_match(f, "image", both[i]) || filters_match(f, "image", bare)) {
			return true;
		}
	}
	return false;
}

/* "exec_create: ls" matches event=exec_create too. */
static bool match_action(const struct filters *f, const char *action)
{
	scoped(free) char *verb = xstrndup(action, strcspn(action, ":"));
	return filters_match(f, "event", action) || filters_match(f, "event", verb);
}

static bool matches(const struct filters *f, const struct event *v)
{
	static const char *const objects[] = {"daemon", "container", "plugin", "volume", "network",
		"node", "service", "secret", "config"};
	for (size_t i = 0; i < sizeof(objects) / sizeof(*objects); i++) {
		if (!match_object(f, objects[i], v)) {
			return false;
		}
	}
	return filters_match(f, "type", v->type) && filters_match(f, "scope", "local") &&
	       match_action(f, v->action) && match_image(f, v) &&
	       filters_match_labels(f, v->attributes);
}

static void event_arrived(void *owner, const struct event *v)
{
	struct event_stream *s = owner;
	if (!s->call->r || !matches(s->filters, v)) {
		return;
	}
	scoped(json) json_t *whole = event_json(v);
	scoped(json) json_t *doc = s->call->role < ROLE_ADMIN ? redact(whole) : json_incref(whole);
	scoped(free) char *text = json_text(doc);
	scoped(free) char *line = xasprintf("%s\n", text);
	if (!http_stream_write(s->call->r, line, strlen(line))) {
		http_stream_end(s->call->r); /* it does not listen, and events must not pile up */
	}
}

static void timer_closed(uv_handle_t *h)
{
	free(h);
}

static void events_closed(struct call *c)
{
	struct event_stream *s = c->stream;
	event_unlisten(s->listener);
	filters_free(s->filters);
	if (s->until) {
		uv_close((uv_handle_t *)s->until, timer_closed);
	}
	free(s);
}

static void until_reached(uv_timer_t *t)
{
	struct event_stream *s = t->data;
	if (s->call->r) {
		http_stream_end(s->call->r);
	}
}

static void start_until_timer(struct event_stream *s, int64_t wait_ns)
{
	s->until = xnew(uv_timer_t);
	uv_timer_init(s->call->api->d.loop, s->until);
	s->until->data = s;
	uv_timer_start(s->until, until_reached, (uint64_t)(wait_ns / NS_PER_MS + 1), 0);
}

/* Which past is wanted, and until when. dockerd remembers nothing before its memory either. */
struct event_span {
	int64_t since_ns, until_ns; /* until 0: for ever */
	bool past;                  /* since or until was given */
};

static int read_span(const struct call *c, struct event_span *ret, struct err *e)
{
	const char *since = call_query_or(c, "since", NULL);
	const char *until = call_query_or(c, "until", NULL);
	if (call_query_time(c, "since", &ret->since_ns, e) < 0 ||
		call_query_time(c, "until", &ret->until_ns, e) < 0) {
		return -1;
	}
	ret->past = since || until;
	if (since && until && ret->until_ns < ret->since_ns) {
		return err_set(e, ERR_INVALID,
			"`since` time (%.32s) cannot be after `until` time (%.32s)", since, until);
	}
	return 0;
}

void system_events(struct call *c)
{
	struct err e;
	struct event_span span;
	if (read_span(c, &span, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	struct filters *f = filters_read(c, NULL, &e);
	if (!f) {
		call_reply_error(c, &e);
		return;
	}
	struct event_stream *s = xnew(struct event_stream);
	s->call = c;
	s->filters = f;
	c->stream = s;
	c->stream_closed = events_closed;
	http_stream_begin(c->r, 200, "application/json");

	int64_t now = clock_real_ns();
	if (span.past) {
		event_replay(c->api->d.bus, span.since_ns,
			span.until_ns > 0 ? span.until_ns : INT64_MAX, event_arrived, s);
	}
	if (!c->r) {
		return;
	}
	if (span.until_ns > 0 && span.until_ns <= now) {
		http_stream_end(c->r);
		return;
	}
	s->listener = event_listen(c->api->d.bus, event_arrived, s);
	if (span.until_ns > 0) {
		start_until_timer(s, span.until_ns - now);
	}
}
