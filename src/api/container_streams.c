/* attach, logs and wait: answers that last as long as the container does. */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/frames.h"
#include "api/handlers.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "codec/detach.h"
#include "codec/shim_frame.h"
#include "container/attach.h"
#include "container/container.h"
#include "container/logs.h"

#define BATCH_BYTES (64u << 10)

static struct container *find(struct call *c)
{
	struct err e;
	struct container *k = container_find(c->api->d.containers, c->args[0], &e);
	if (!k) {
		call_reply_error(c, &e);
	}
	return k;
}

/* --- POST /containers/x/wait --- */

static void wait_closed(struct call *c)
{
	container_wait_cancel(c->stream);
}

static void wait_ended(void *owner, int exit_code, const char *error)
{
	struct call *c = owner;
	c->stream_closed = NULL;
	if (!c->r) {
		return;
	}
	json_t *doc = json_object();
	if (error) {
		json_put(doc, "Error", json_pack("{ss}", "Message", error));
	}
	json_put(doc, "StatusCode", json_integer(exit_code));
	scoped(free) char *text = json_text(doc);
	json_decref(doc);
	http_stream_write(c->r, text, strlen(text));
	http_stream_write(c->r, "\n", 1);
	http_stream_end(c->r);
}

void containers_wait(struct call *c)
{
	struct err e;
	struct container *k = find(c);
	if (!k) {
		return;
	}
	/* the condition came with 1.30 */
	const char *condition =
		c->version < 30 ? "not-running" : call_query_or(c, "condition", "not-running");
	struct container_wait *w = container_wait(k, condition, wait_ended, c, &e);
	if (!w) {
		call_reply_error(c, &e);
		return;
	}
	c->stream = w;
	c->stream_closed = wait_closed;
	http_stream_begin(c->r, 200,
		"application/json"); /* docker run starts the container only after this head */
}

/* --- GET /containers/x/logs --- */

struct log_stream {
	struct call *call;
	struct log_reader *reader;
	struct buf batch; /* lines of one turn of the reader: one write for all of them */
	bool tty;
	void (*ended)(struct log_stream *s);
};

static void logs_drained(void *owner)
{
	struct log_stream *s = owner;
	log_reader_resume(s->reader);
}

static bool send_batch(struct http_request *r, struct buf *batch)
{
	bool more = !r || http_stream_write(r, buf_str(batch), batch->len);
	buf_deinit(batch);
	return more;
}

static bool logs_paused(void *owner)
{
	struct log_stream *s = owner;
	return send_batch(s->call->r, &s->batch);
}

static bool log_line(void *owner, int stream, const char *data, size_t n)
{
	struct log_stream *s = owner;
	frame_append(&s->batch, s->tty, stream, data, n);
	return s->batch.len < BATCH_BYTES || logs_paused(s);
}

static void logs_ended(void *owner)
{
	struct log_stream *s = owner;
	(void)logs_paused(s);
	if (s->call->r) {
		http_stream_end(s->call->r);
	}
}

static void logs_closed(struct call *c)
{
	struct log_stream *s = c->stream;
	log_reader_free(s->reader);
	buf_deinit(&s->batch);
	free(s);
}

/* tail=all, tail=N; anything else is everything, as in dockerd. */
static int64_t query_tail(const struct call *c)
{
	int64_t n;
	const char *text = call_query_or(c, "tail", "all");
	return parse_i64(text, 0, INT64_MAX, &n) == 0 ? n : -1;
}

static int log_query_read(const struct call *c, struct log_query *q, struct err *e)
{
	*q = (struct log_query){
		.follow = call_query_bool(c, "follow", false),
		.out = call_query_bool(c, "stdout", false),
		.err = call_query_bool(c, "stderr", false),
		.timestamps = call_query_bool(c, "timestamps", false),
		.details = call_query_bool(c, "details", false),
		.tail = query_tail(c),
	};
	if (!q->out && !q->err) {
		return err_set(
			e, ERR_INVALID, "Bad parameters: you must choose at least one stream");
	}
	if (call_query_time(c, "since", &q->since_ns, e) < 0 ||
		call_query_time(c, "until", &q->until_ns, e) < 0) {
		return -1;
	}
	return 0;
}

void containers_logs(struct call *c)
{
	static const struct log_handlers handlers = {log_line, logs_paused, logs_ended};
	struct err e;
	struct log_query q;
	struct container *k = find(c);
	if (!k) {
		return;
	}
	if (log_query_read(c, &q, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	struct log_stream *s = xnew(struct log_stream);
	s->call = c;
	s->tty = container_is_tty(k);
	s->reader = log_reader_new(k, &q, &handlers, s, &e);
	if (!s->reader) {
		free(s);
		call_reply_error(c, &e);
		return;
	}
	c->stream = s;
	c->stream_closed = logs_closed;
	http_stream_on_drain(c->r, logs_drained, s);
	http_stream_begin(c->r, 200, frame_content_type(s->tty, c->version));
}

/* --- POST /containers/x/attach --- */

struct attach_stream {
	struct call *call;
	struct attach *attach;
	struct buf batch;
	struct log_reader *history; /* logs=1: what was printed before, shown first */
	struct detach detach;       /* the keys that end it, on a tty */
	bool tty;
	bool with_stdin;
};

static void attach_drained(void *owner)
{
	struct attach_stream *s = owner;
	if (s->history) {
		log_reader_resume(s->history);
	} else if (s->attach) {
		attach_pause(s->attach, false);
	}
}

static void attach_output(void *owner, int stream, const char *data, size_t n)
{
	struct attach_stream *s = owner;
	if (s->call->r && !frame_write(s->call->r, s->tty, stream, data, n)) {
		attach_pause(s->attach, true);
	}
}

static void attach_ended(void *owner)
{
	struct attach_stream *s = owner;
	if (s->call->r) {
		http_stream_end(s->call->r);
	}
}

static bool history_paused(void *owner)
{
	struct attach_stream *s = owner;
	return send_batch(s->call->r, &s->batch);
}

static bool history_line(void *owner, int stream, const char *data, size_t n)
{
	struct attach_stream *s = owner;
	frame_append(&s->batch, s->tty, stream, data, n);
	return s->batch.len < BATCH_BYTES || history_paused(s);
}

static void history_ended(void *owner)
{
	struct attach_stream *s = owner;
	(void)history_paused(s);
	log_reader_free(TAKE(s->history));
	if (s->attach) {
		attach_pause(s->attach, false);
	} else {
		attach_ended(s);
	}
}

static void input_drained(void *owner)
{
	struct attach_stream *s = owner;
	if (s->call->r) {
		http_body_pause(s->call->r, false);
	}
}

static void input_arrived(void *owner, struct http_request *r, const char *data, size_t n)
{
	struct attach_stream *s = owner;
	if (!s->with_stdin || !s->attach) {
		return;
	}
	if (!data) {
		attach_input_end(s->attach);
		return;
	}
	scoped(buf) struct buf typed = BUF_INIT;
	bool leaves = detach_feed(&s->detach, data, n, &typed);
	if (!attach_input(s->attach, buf_str(&typed), typed.len, input_drained, s)) {
		http_body_pause(r, true);
	}
	if (leaves) {
		struct err ignored;
		struct container *k =
			container_find(s->call->api->d.containers, s->call->args[0], &ignored);
		attach_free(TAKE(s->attach));
		http_stream_end(r);
		if (k) {
			container_detached(k);
		}
	}
}

static void attach_closed(struct call *c)
{
	struct attach_stream *s = c->stream;
	log_reader_free(s->history);
	attach_free(s->attach);
	buf_deinit(&s->batch);
	free(s);
}

static unsigned wanted_streams(const struct call *c, bool with_stdin)
{
	unsigned want = with_stdin ? SHIM_WANT_STDIN : 0;
	want |= call_query_bool(c, "stdout", false) ? SHIM_WANT_STDOUT : 0;
	want |= call_query_bool(c, "stderr", false) ? SHIM_WANT_STDERR : 0;
	return want;
}

/* History ends where the live stream begins: attach first, held back, then read the log up to now.
 */
static int open_sources(struct attach_stream *s, struct container *k, struct err *e)
{
	static const struct attach_handlers live = {attach_output, attach_ended};
	static const struct log_handlers past = {history_line, history_paused, history_ended};
	const struct call *c = s->call;
	unsigned want = wanted_streams(c, s->with_stdin);
	bool history = call_query_bool(c, "logs", false);
	if (call_query_bool(c, "stream", false)) {
		s->attach = attach_new(k, want, &live, s, e);
		if (!s->attach) {
			return -1;
		}
	}
	if (history) {
		struct log_query q = {.out = want & SHIM_WANT_STDOUT,
			.err = want & SHIM_WANT_STDERR,
			.until_ns = clock_real_ns(),
			.tail = -1};
		if (s->attach) {
			attach_pause(s->attach, true);
		}
		s->history = log_reader_new(k, &q, &past, s, e);
		return s->history ? 0 : -1;
	}
	if (!s->attach) {
		return err_set(
			e, ERR_INVALID, "Bad parameters: neither stream nor logs was asked for");
	}
	return 0;
}

void containers_attach(struct call *c)
{
	struct err e;
	struct container *k = find(c);
	if (!k) {
		return;
	}
	struct attach_stream *s = xnew(struct attach_stream);
	s->call = c;
	s->tty = container_is_tty(k);
	s->with_stdin = call_query_bool(c, "stdin", false) && container_open_stdin(k);
	const char *keys = call_query_or(c, "detachKeys", DETACH_KEYS_DEFAULT);
	if ((s->tty && detach_parse(keys, &s->detach, &e) < 0) || open_sources(s, k, &e) < 0) {
		attach_free(s->attach);
		free(s);
		call_reply_error(c, &e);
		return;
	}
	c->stream = s;
	c->stream_closed = attach_closed;
	http_stream_on_drain(c->r, attach_drained, s);
	http_hijack(c->r, frame_content_type(s->tty, c->version), input_arrived, s);
}
