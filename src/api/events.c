/* GET /events: what happened, past (from the bus's memory) and to come. */
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "api/call.h"
#include "api/filters.h"
#include "api/handlers.h"
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

/* type, image, network ... =NAME_OR_ID: only events of that type can match their own key. */
static bool match_object(const struct filters *f, const char *key, const struct event *v)
{
	if (!filters_has(f, key)) {
		return true;
	}
	if (strcmp(v->type, key) != 0) {
		return strcmp(key, "image") == 0 && strcmp(v->type, "container") == 0 &&
		       filters_match(f, key, json_str(v->attributes, "image"));
	}
	return filters_match_prefix(f, key, v->id) ||
	       filters_match(f, key, json_str(v->attributes, "name"));
}

/* "exec_create: ls" matches event=exec_create too. */
static bool match_action(const struct filters *f, const char *action)
{
	scoped(free) char *verb = xstrndup(action, strcspn(action, ":"));
	return filters_match(f, "event", action) || filters_match(f, "event", verb);
}

static void event_arrived(void *owner, const struct event *v)
{
	struct event_stream *s = owner;
	const struct filters *f = s->filters;
	static const char *const objects[] = {"container", "image", "network", "volume"};
	bool match = filters_match(f, "type", v->type) && match_action(f, v->action) &&
		     filters_match_labels(f, v->attributes);
	for (size_t i = 0; match && i < sizeof(objects) / sizeof(*objects); i++) {
		match = match_object(f, objects[i], v);
	}
	if (!match || !s->call->r) {
		return;
	}
	scoped(json) json_t *doc = event_json(v);
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

void system_events(struct call *c)
{
	static const char *const allowed[] = {"container", "daemon", "event", "image", "label",
		"network", "node", "plugin", "scope", "type", "volume", NULL};
	struct err e;
	int64_t since;
	int64_t until;
	if (call_query_time(c, "since", &since, &e) < 0 ||
		call_query_time(c, "until", &until, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	struct filters *f = filters_read(c, allowed, &e);
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
	if (since > 0) {
		event_replay(c->api->d.bus, since, until > 0 ? until : INT64_MAX, event_arrived, s);
	}
	if (until > 0 && until <= now) {
		http_stream_end(c->r);
		return;
	}
	s->listener = event_listen(c->api->d.bus, event_arrived, s);
	if (until > 0) {
		start_until_timer(s, until - now);
	}
}
