#include "worker/build_event.h"

#include <pthread.h>
#include <stdarg.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "worker/rpc.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define KEPT_MAX (1u << 20)     /* what a stage may say before its turn */
#define MESSAGE_MAX (32u << 10) /* text of one message */

struct build_turn {
	struct build_turn *next;
	struct buf kept; /* said before its turn */
	bool ended;
	bool unbound; /* somebody whose turn is before waits for it */
};

struct vertex {
	int64_t started_ns; /* 0: not begun */
	bool ended;
};

struct build_events {
	struct rpc *rpc;
	bool vertices;
	pthread_mutex_t lock; /* of all that follows, and of the order of messages */
	pthread_cond_t moved; /* the turn, or closed */
	struct build_turn *first, *last, *turn;
	bool closed;
	struct vertex *v; /* id - 1 */
	size_t n;
};

struct build_events *build_events_new(struct rpc *rpc, bool vertices)
{
	struct build_events *v = xnew(struct build_events);
	v->rpc = rpc;
	v->vertices = vertices;
	pthread_mutex_init(&v->lock, NULL);
	pthread_cond_init(&v->moved, NULL);
	return v;
}

void build_events_free(struct build_events *v)
{
	if (!v) {
		return;
	}
	while (v->first) {
		struct build_turn *t = v->first;
		v->first = t->next;
		buf_deinit(&t->kept);
		free(t);
	}
	pthread_mutex_destroy(&v->lock);
	pthread_cond_destroy(&v->moved);
	free(v->v);
	free(v);
}

/* --- text --- */

/* How many bytes at p are one valid UTF-8 character (RFC 3629); 0 for none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
	size_t want = p[0] < 0x80   ? 1
		      : p[0] < 0xc2 ? 0
		      : p[0] < 0xe0 ? 2
		      : p[0] < 0xf0 ? 3
		      : p[0] < 0xf5 ? 4
				    : 0;
	if (want == 0 || want > n) {
		return 0;
	}
	for (size_t i = 1; i < want; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
	bool beyond = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
	return overlong || beyond ? 0 : want;
}

static void clean_text(const char *text, size_t n, struct buf *ret)
{
	while (n > 0) {
		size_t len = utf8_length((const unsigned char *)text, n);
		if (len && *text) {
			buf_append(ret, text, len);
		} else {
			buf_puts(ret, REPLACEMENT);
		}
		len = len ? len : 1;
		text += len;
		n -= len;
	}
}

static json_t *clean_string(const char *text)
{
	scoped(buf) struct buf clean = BUF_INIT;
	clean_text(text, strlen(text), &clean);
	return json_string(buf_str(&clean));
}

static void put_text(json_t *o, const char *key, const char *text)
{
	if (text) {
		json_put(o, key, clean_string(text));
	}
}

static void put_time(json_t *o, const char *key, int64_t ns)
{
	if (ns) {
		json_put(o, key, json_integer(ns));
	}
}

/* {kind: take_body} */
static void send_as(struct build_events *v, const char *kind, json_t *take_body)
{
	json_t *msg = json_object();
	json_put(msg, kind, take_body);
	rpc_send(v->rpc, msg);
}

/* --- classic --- */

/* Valid text, in messages that cut no character. Locked. */
static void send_stream(struct build_events *v, const char *text, size_t n)
{
	while (n > 0) {
		size_t part = n > MESSAGE_MAX ? MESSAGE_MAX : n;
		while (part < n && ((unsigned char)text[part] & 0xc0) == 0x80) {
			part--;
		}
		send_as(v, "stream", json_stringn(text, part));
		text += part;
		n -= part;
	}
}

static void send_kept(struct build_events *v, struct build_turn *t)
{
	send_stream(v, t->kept.data, t->kept.len);
	buf_deinit(&t->kept);
}

static void say_clean(struct build_events *v, struct build_turn *turn, const char *text, size_t n)
{
	pthread_mutex_lock(&v->lock);
	while (turn && turn != v->turn && turn->kept.len > KEPT_MAX && !turn->unbound &&
		!v->closed) {
		pthread_cond_wait(&v->moved, &v->lock);
	}
	if (!v->closed && turn && turn != v->turn) {
		buf_append(&turn->kept, text, n);
	} else if (!v->closed) {
		send_stream(v, text, n);
	}
	pthread_mutex_unlock(&v->lock);
}

struct build_turn *build_turn_new(struct build_events *v)
{
	struct build_turn *t = xnew(struct build_turn);
	if (v->last) {
		v->last->next = t;
	} else {
		v->first = t;
		v->turn = t;
	}
	v->last = t;
	return t;
}

void build_turn_end(struct build_events *v, struct build_turn *t)
{
	pthread_mutex_lock(&v->lock);
	t->ended = true;
	while (!v->closed && v->turn && v->turn->ended) {
		v->turn = v->turn->next;
		if (v->turn) {
			send_kept(v, v->turn);
		}
	}
	pthread_cond_broadcast(&v->moved);
	pthread_mutex_unlock(&v->lock);
}

static void set_unbound(struct build_events *v, struct build_turn *t, bool unbound)
{
	pthread_mutex_lock(&v->lock);
	t->unbound = unbound;
	pthread_cond_broadcast(&v->moved);
	pthread_mutex_unlock(&v->lock);
}

void build_turn_unbound(struct build_events *v, struct build_turn *t)
{
	set_unbound(v, t, true);
}

void build_turn_bound(struct build_events *v, struct build_turn *t)
{
	set_unbound(v, t, false);
}

void build_say(struct build_events *v, struct build_turn *turn, const char *fmt, ...)
{
	if (v->vertices) {
		return;
	}
	va_list args;
	va_start(args, fmt);
	scoped(free) char *text = xvasprintf(fmt, args);
	va_end(args);
	scoped(buf) struct buf clean = BUF_INIT;
	clean_text(text, strlen(text), &clean);
	say_clean(v, turn, clean.data, clean.len);
}

/* --- vertices --- */

/* NULL for nobody's. Locked. */
static struct vertex *find_vertex(struct build_events *v, int id)
{
	return v->vertices && !v->closed && id > 0 && (size_t)id <= v->n ? &v->v[id - 1] : NULL;
}

int build_event_vertex(
	struct build_events *v, const int *inputs, size_t n_inputs, const char *fmt, ...)
{
	if (!v->vertices) {
		return 0;
	}
	va_list args;
	va_start(args, fmt);
	scoped(free) char *name = xvasprintf(fmt, args);
	va_end(args);
	json_t *list = json_array();
	for (size_t k = 0; k < n_inputs; k++) {
		if (inputs[k] > 0) {
			json_array_append_new(list, json_integer(inputs[k]));
		}
	}
	pthread_mutex_lock(&v->lock);
	v->v = xrealloc(v->v, v->n + 1, sizeof(*v->v));
	v->v[v->n] = (struct vertex){0};
	int id = (int)++v->n;
	json_t *body =
		json_pack("{si so so}", "id", id, "name", clean_string(name), "inputs", list);
	if (v->closed) {
		json_decref(body);
	} else {
		send_as(v, "vertex", body);
	}
	pthread_mutex_unlock(&v->lock);
	return id;
}

void build_event_begin(struct build_events *v, int id)
{
	pthread_mutex_lock(&v->lock);
	struct vertex *x = find_vertex(v, id);
	if (x && !x->started_ns) {
		x->started_ns = clock_real_ns();
		json_t *body = json_pack("{si}", "id", id);
		put_time(body, "started", x->started_ns);
		send_as(v, "vertex", body);
	}
	pthread_mutex_unlock(&v->lock);
}

/* Locked. */
static void end_vertex(struct build_events *v, int id, bool cached, const char *why)
{
	struct vertex *x = find_vertex(v, id);
	if (!x || x->ended) {
		return;
	}
	int64_t now = clock_real_ns();
	x->ended = true;
	x->started_ns = x->started_ns ? x->started_ns : now;
	json_t *body = json_pack("{si}", "id", id);
	put_time(body, "started", x->started_ns);
	put_time(body, "completed", now);
	put_text(body, "error", why);
	if (cached) {
		json_put(body, "cached", json_true());
	}
	send_as(v, "vertex", body);
}

void build_event_end(struct build_events *v, int id, bool cached, const struct err *why)
{
	pthread_mutex_lock(&v->lock);
	end_vertex(v, id, cached, why ? why->msg : NULL);
	pthread_mutex_unlock(&v->lock);
}

void build_event_status(struct build_events *v, int id, const struct build_status *s)
{
	pthread_mutex_lock(&v->lock);
	if (find_vertex(v, id)) {
		int64_t now = clock_real_ns();
		json_t *body = json_pack("{si sI sI}", "vertex", id, "current",
			(json_int_t)s->current, "time", (json_int_t)now);
		put_text(body, "id", s->id);
		put_time(body, "total", s->total);
		put_time(body, "started", s->started_ns);
		put_time(body, "completed", s->completed ? now : 0);
		send_as(v, "status", body);
	}
	pthread_mutex_unlock(&v->lock);
}

void build_event_warning(struct build_events *v, int id, const struct build_warning *w)
{
	if (!v->vertices) {
		build_say(v, NULL, "[Warning] %s%s%s\n", w->rule ? w->rule : "",
			w->rule ? ": " : "", w->text);
		return;
	}
	json_t *body = json_pack("{si si}", "vertex", id, "level", w->level);
	put_text(body, "rule", w->rule);
	put_text(body, "short", w->text);
	put_text(body, "url", w->url);
	if (w->detail) {
		json_put(body, "detail", json_pack("[o]", clean_string(w->detail)));
	}
	if (w->file) {
		put_text(body, "file", w->file);
		json_put(body, "lines", json_pack("[[ii]]", w->first, w->last));
	}
	pthread_mutex_lock(&v->lock);
	if (find_vertex(v, id)) {
		send_as(v, "warning", body);
	} else {
		json_decref(body);
	}
	pthread_mutex_unlock(&v->lock);
}

/* --- both --- */

static void send_log(struct build_events *v, int id, int stream, const struct buf *clean)
{
	pthread_mutex_lock(&v->lock);
	if (find_vertex(v, id)) {
		json_t *body = json_pack("{si si sI}", "vertex", id, "stream", stream, "time",
			(json_int_t)clock_real_ns());
		json_put(body, "data", json_stringn(clean->data, clean->len));
		send_as(v, "log", body);
	}
	pthread_mutex_unlock(&v->lock);
}

void build_event_log(struct build_events *v, struct build_turn *turn, int vertex, int stream,
	const char *text, size_t n)
{
	scoped(buf) struct buf clean = BUF_INIT;
	bool red = stream == BUILD_STDERR && !v->vertices;
	if (n == 0) {
		return;
	}
	buf_puts(&clean, red ? "\033[91m" : "");
	clean_text(text, n, &clean);
	buf_puts(&clean, red ? "\033[0m" : "");
	if (v->vertices) {
		send_log(v, vertex, stream, &clean);
	} else {
		say_clean(v, turn, clean.data, clean.len);
	}
}

void build_events_close(struct build_events *v)
{
	pthread_mutex_lock(&v->lock);
	for (struct build_turn *t = v->closed ? NULL : v->turn; t; t = t->next) {
		send_kept(v, t);
	}
	for (size_t k = 0; k < v->n; k++) {
		if (v->v[k].started_ns) {
			/* the words that clients know a canceled step by */
			end_vertex(v, (int)k + 1, false, "context canceled");
		}
	}
	v->closed = true;
	pthread_cond_broadcast(&v->moved);
	pthread_mutex_unlock(&v->lock);
}
