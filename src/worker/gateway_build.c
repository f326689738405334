/* What clients build: by their name for it (Ref), with what it has said so far.
 *
 * Invariants
 * 1. A build is freed by the sweep alone, when it is over, nobody holds it and a while has passed:
 *    a client may ask for the status of a build that is over already.
 * 2. A run is done when the daemon has said so, or when it was never told to begin.
 */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "buildkit/status.h"
#include "worker/gateway.h"
#include "worker/rpc.h"

#define BUILDS_MAX 256
#define RUNS_MAX 64
#define EVENTS_MAX 16384
#define EVENT_BYTES_MAX (4u << 20)
#define KEEP_MS 20000

/* --- events --- */

static struct buf *slot(const struct gateway_build *b, size_t i)
{
	return &b->events[i % EVENTS_MAX];
}

/* A client that reads slower than the build talks misses the oldest, as with a log that is full. */
static void add_event(struct gateway_build *b, struct buf *take_event)
{
	if (!b->events) {
		b->events = xnew_array(struct buf, EVENTS_MAX);
	}
	while (b->first_event < b->n_events &&
		(b->n_events - b->first_event == EVENTS_MAX ||
			b->event_bytes + take_event->len > EVENT_BYTES_MAX)) {
		struct buf *oldest = slot(b, b->first_event++);
		b->event_bytes -= oldest->len;
		buf_deinit(oldest);
	}
	*slot(b, b->n_events++) = *take_event;
	b->event_bytes += take_event->len;
	*take_event = (struct buf)BUF_INIT;
	gateway_changed(b->gateway);
}

const struct buf *gateway_event(const struct gateway_build *b, size_t *i)
{
	*i = *i < b->first_event ? b->first_event : *i;
	return *i < b->n_events ? slot(b, *i) : NULL;
}

/* --- builds --- */

static void run_free(struct gateway_run *r)
{
	list_remove(&r->node);
	json_decref(r->options);
	json_decref(r->result);
	json_decref(r->source);
	free(r->message);
	free(r);
}

static void build_free(struct gateway_build *b)
{
	list_remove(&b->node);
	list_each_safe (pos, &b->runs) {
		run_free(container_of(pos, struct gateway_run, node));
	}
	for (size_t i = b->first_event; i < b->n_events; i++) {
		buf_deinit(slot(b, i));
	}
	free(b->events);
	json_decref(b->control);
	status_free(b->status);
	buf_deinit(&b->returned_error);
	free(b->returned_ref);
	free(b->ref);
	free(b);
}

static struct gateway_build *find_build(struct gateway *g, const char *ref, size_t *ret_n)
{
	struct gateway_build *found = NULL;
	list_each (pos, &g->builds) {
		struct gateway_build *b = container_of(pos, struct gateway_build, node);
		(*ret_n)++;
		found = strcmp(b->ref, ref) == 0 ? b : found;
	}
	return found;
}

struct gateway_build *gateway_build_get(struct gateway *g, const char *ref)
{
	size_t n = 0;
	struct gateway_build *b = find_build(g, ref, &n);
	if (!b && n >= BUILDS_MAX) {
		return NULL;
	}
	if (!b) {
		b = xnew(struct gateway_build);
		b->gateway = g;
		b->ref = xstrdup(ref);
		b->status = status_new();
		id_new(b->refs);
		list_init(&b->runs);
		list_append(&g->builds, &b->node);
	}
	b->users++;
	return b;
}

struct gateway_build *gateway_build_wait(struct gateway *g, const char *ref, struct err *e)
{
	int64_t until = clock_mono_ms() + GATEWAY_WAIT_MS;
	size_t n = 0;
	struct gateway_build *b;
	while (!((b = find_build(g, ref, &n)) && b->control) && gateway_wait(g, until)) {
	}
	if (!b || !b->control) {
		(void)err_set(e, ERR_NOT_FOUND, "no such job %.100s", ref);
		return NULL;
	}
	b->users++;
	return b;
}

void gateway_build_drop(struct gateway_build *b)
{
	b->users--;
	if (!b->over) {
		b->over_ms = clock_mono_ms(); /* a name that nobody fills goes, too */
	}
}

void gateway_build_over(struct gateway_build *b)
{
	b->over = true;
	b->over_ms = clock_mono_ms();
	gateway_changed(b->gateway);
}

bool gateway_builds_sweep(struct gateway *g, bool at_end)
{
	bool busy = false;
	int64_t now = clock_mono_ms();
	list_each_safe (pos, &g->builds) {
		struct gateway_build *b = container_of(pos, struct gateway_build, node);
		bool idle = b->users == 0 && (b->over || !b->control);
		if (at_end || (idle && now - b->over_ms > KEEP_MS)) {
			build_free(b);
		} else {
			busy = busy || !idle;
		}
	}
	return busy;
}

void gateway_build_cancel(struct gateway_build *b)
{
	list_each (pos, &b->runs) {
		struct gateway_run *r = container_of(pos, struct gateway_run, node);
		if (r->state == RUN_RUNS) {
			rpc_send(b->gateway->rpc, json_pack("{sI}", "cancel", r->id));
		}
	}
}

/* --- runs --- */

struct gateway_run *gateway_run_new(struct gateway_build *b, json_t *take_options)
{
	size_t n = 0;
	list_each (pos, &b->runs) {
		n++;
	}
	if (n >= RUNS_MAX) {
		json_decref(take_options);
		return NULL;
	}
	struct gateway_run *r = xnew(struct gateway_run);
	r->build = b;
	r->options = take_options;
	snprintf(r->ref, sizeof(r->ref), "%.64s-%zu", b->refs, n);
	list_append(&b->runs, &r->node);
	return r;
}

struct gateway_run *gateway_run_find(struct gateway_build *b, const char *ref)
{
	list_each (pos, &b->runs) {
		struct gateway_run *r = container_of(pos, struct gateway_run, node);
		if (strcmp(r->ref, ref) == 0) {
			return r;
		}
	}
	return NULL;
}

void gateway_run_start(struct gateway_run *r)
{
	struct gateway *g = r->build->gateway;
	if (r->state != RUN_WAITS) {
		return;
	}
	r->state = RUN_RUNS;
	r->id = ++g->last_id;
	rpc_send(g->rpc,
		json_pack("{ss sI so}", "ask", "solve", "id", r->id, "options", TAKE(r->options)));
}

bool gateway_run_finish(struct gateway_run *r, struct grpc_call *c)
{
	struct gateway *g = r->build->gateway;
	struct gateway_watch w = {.gateway = g};
	grpc_watch(c, gateway_gone, &w);
	pthread_mutex_lock(&g->lock);
	gateway_run_start(r);
	while (r->state != RUN_DONE && !w.gone) {
		gateway_wait(g, -1);
	}
	bool done = r->state == RUN_DONE;
	if (!done) {
		gateway_build_cancel(r->build);
	}
	pthread_mutex_unlock(&g->lock);
	grpc_unwatch(c);
	return done;
}

/* --- the daemon --- */

struct answer {
	struct list node;
	json_int_t id;
	json_t *msg; /* NULL: not yet */
};

json_t *gateway_ask(struct gateway *g, json_t *take_question, struct err *e)
{
	struct answer a = {0};
	json_t *done = NULL;
	pthread_mutex_lock(&g->lock);
	a.id = ++g->last_id;
	list_append(&g->answers, &a.node);
	json_put(take_question, "id", json_integer(a.id));
	rpc_send(g->rpc, take_question);
	while (!a.msg) {
		gateway_wait(g, -1);
	}
	list_remove(&a.node);
	pthread_mutex_unlock(&g->lock);
	done = json_incref(json_object_get(a.msg, "done"));
	if (!done) {
		(void)err_set(
			e, ERR_SYSTEM, "%s", json_str(json_object_get(a.msg, "error"), "message"));
	}
	json_decref(a.msg);
	return done;
}

static struct gateway_run *find_run(struct gateway *g, json_int_t id)
{
	list_each (pos, &g->builds) {
		struct gateway_build *b = container_of(pos, struct gateway_build, node);
		list_each (at, &b->runs) {
			struct gateway_run *r = container_of(at, struct gateway_run, node);
			if (r->state == RUN_RUNS && r->id == id) {
				return r;
			}
		}
	}
	return NULL;
}

static void run_said(struct gateway_run *r, const json_t *msg)
{
	struct buf event = BUF_INIT;
	json_t *source = json_object_get(msg, "source");
	if (source) {
		json_decref(r->source);
		r->source = json_incref(source);
	} else if (status_pack(r->build->status, msg, &event)) {
		add_event(r->build, &event);
	}
	buf_deinit(&event);
}

/* BuildKit's builds fail with Unknown, whose sentence clients show as it is. */
static void run_failed(struct gateway_run *r, const json_t *error)
{
	const char *message = json_str(error, "message");
	bool cancelled = strcmp(message, "canceled") == 0;
	r->state = RUN_DONE;
	r->code = cancelled ? GRPC_CANCELLED : GRPC_UNKNOWN;
	r->message = xstrdup(cancelled ? "context canceled" : message);
}

/* An image of the engine's own store: clients look for its id under these names. */
static void run_done(struct gateway_run *r, json_t *result)
{
	static const char *const names[] = {
		"containerimage.digest", "containerimage.config.digest"};
	const char *id = json_str(result, "id");
	json_t *response = json_object_get(result, "response");
	if (!response) {
		response = json_object();
		json_put(result, "response", response);
	}
	for (size_t i = 0; *id && i < sizeof(names) / sizeof(*names); i++) {
		if (!json_object_get(response, names[i])) {
			json_put_str(response, names[i], id);
		}
	}
	r->state = RUN_DONE;
	r->result = json_incref(result);
}

static void take_answer(struct gateway *g, json_int_t id, json_t *msg)
{
	list_each (pos, &g->answers) {
		struct answer *a = container_of(pos, struct answer, node);
		if (a->id == id && !a->msg) {
			a->msg = json_incref(msg);
		}
	}
}

void gateway_message(struct gateway *g, json_t *take_msg)
{
	json_t *msg = take_msg;
	json_int_t id = json_i64(msg, "id", 0);
	json_t *said = json_object_get(msg, "msg");
	json_t *done = json_object_get(msg, "done");
	pthread_mutex_lock(&g->lock);
	struct gateway_run *r = find_run(g, id);
	if (!r) {
		take_answer(g, id, msg);
	} else if (said) {
		run_said(r, said);
	} else if (done) {
		run_done(r, done);
	} else {
		run_failed(r, json_object_get(msg, "error"));
	}
	json_decref(msg); /* with the lock: others have parts of it */
	gateway_changed(g);
	pthread_mutex_unlock(&g->lock);
}
