/* logs and wait: answers that last as long as the container does. */
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
