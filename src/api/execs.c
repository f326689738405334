#include <stdlib.h>

#include "api/call.h"
#include "api/frames.h"
#include "api/handlers.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "codec/detach.h"
#include "container/attach.h"
#include "container/container.h"
#include "container/exec.h"

static struct exec *find(struct call *c)
{
	struct err e;
	struct exec *x = exec_find(c->api->d.containers, c->args[0], &e);
	if (!x) {
		call_reply_error(c, &e);
	}
	return x;
}

static void create_with(struct call *c, const json_t *body)
{
	struct err e;
	struct container *k = container_find(c->api->d.containers, c->args[0], &e);
	struct exec *x = k ? exec_create(k, body, &e) : NULL;
	if (!x) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_json(c, 201, json_pack("{ss}", "Id", exec_id(x)));
}

void execs_create(struct call *c)
{
	call_body_json(c, true, create_with);
}

void execs_inspect(struct call *c)
{
	struct exec *x = find(c);
	if (x) {
		call_reply_json(c, 200, exec_inspect(x));
	}
}

void execs_resize(struct call *c)
{
	struct err e;
	unsigned rows;
	unsigned columns;
	struct exec *x = find(c);
	if (!x) {
		return;
	}
	if (call_query_size(c, &rows, &columns, &e) < 0 || exec_resize(x, rows, columns, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_empty(c, 200);
}

/* --- POST /exec/x/start --- */

struct exec_stream {
	struct call *call;
	struct attach *attach; /* NULL once the client has left by its keys */
	struct detach detach;  /* these keys, on a tty */
	bool tty;
};

static void exec_output(void *owner, int stream, const char *data, size_t n)
{
	struct exec_stream *s = owner;
	if (s->call->r && !frame_write(s->call->r, s->tty, stream, data, n)) {
		attach_pause(s->attach, true);
	}
}

static void exec_ended(void *owner)
{
	struct exec_stream *s = owner;
	if (s->call->r) {
		http_stream_end(s->call->r);
	}
}

static void output_drained(void *owner)
{
	struct exec_stream *s = owner;
	if (s->attach) {
		attach_pause(s->attach, false);
	}
}

static void input_drained(void *owner)
{
	struct exec_stream *s = owner;
	if (s->call->r) {
		http_body_pause(s->call->r, false);
	}
}

static void input_arrived(void *owner, struct http_request *r, const char *data, size_t n)
{
	struct exec_stream *s = owner;
	if (!s->attach) {
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
		struct exec *x = exec_find(s->call->api->d.containers, s->call->args[0], &ignored);
		attach_free(TAKE(s->attach));
		http_stream_end(r);
		if (x) {
			exec_detached(x);
		}
	}
}

static void exec_closed(struct call *c)
{
	struct exec_stream *s = c->stream;
	attach_free(s->attach);
	free(s);
}

/* The output is framed by what the start says of a tty, not by what the exec has: as in dockerd,
 * whose clients count on it. */
static void start_attached(struct call *c, struct exec *x, bool tty)
{
	static const struct attach_handlers handlers = {exec_output, exec_ended};
	struct err e;
	struct exec_stream *s = xnew(struct exec_stream);
	s->call = c;
	s->tty = tty;
	const char *keys = exec_detach_keys(x);
	if ((exec_is_tty(x) &&
		    detach_parse(*keys ? keys : DETACH_KEYS_DEFAULT, &s->detach, &e) < 0) ||
		exec_start(x, tty, &handlers, s, &s->attach, &e) < 0) {
		free(s);
		call_reply_error(c, &e);
		return;
	}
	c->stream = s;
	c->stream_closed = exec_closed;
	http_stream_on_drain(c->r, output_drained, s);
	http_hijack(c->r, frame_content_type(s->tty, c->version), input_arrived, s);
}

static void started_detached(void *owner, const struct err *e)
{
	struct call *c = owner;
	if (e) {
		call_reply_error(c, e);
	} else {
		call_reply_empty(c, 200);
	}
	call_unref(c);
}

static void start_with(struct call *c, const json_t *body)
{
	struct err e;
	bool detach;
	bool tty;
	struct exec *x = find(c);
	if (!x) {
		return;
	}
	if (json_get_bool(body, "Detach", false, &detach, &e) < 0 ||
		json_get_bool(body, "Tty", false, &tty, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	exec_set_console_size(x, body);
	if (!detach) {
		start_attached(c, x, tty);
		return;
	}
	exec_start_detached(x, started_detached, call_ref(c));
}

void execs_start(struct call *c)
{
	call_body_json(c, true, start_with);
}
