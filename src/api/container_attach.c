/* POST /containers/x/attach over a hijacked connection, GET /containers/x/attach/ws over WebSocket
 * frames (RFC 6455): the same streams, the second one without Docker's stream heads. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/call.h"
#include "api/frames.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "codec/detach.h"
#include "codec/shim_frame.h"
#include "codec/websocket.h"
#include "container/attach.h"
#include "container/container.h"
#include "container/logs.h"

#define BATCH_BYTES (64u << 10)

struct attach_stream {
	struct call *call;
	char id[65];
	struct attach *attach;
	struct log_reader *history; /* logs=1: what was printed before, shown first */
	struct buf batch;           /* lines of it that go together */
	bool tty;
	bool with_stdin;
	bool ends_stdin;      /* StdinOnce: the container's input ends with ours */
	bool unread;          /* more is queued than the client reads: no pings are answered */
	struct detach detach; /* n 0: nothing that is typed leaves */
	bool over_websocket;
	struct websocket websocket;
};

/* --- to the client --- */

static bool send_control(
	const struct attach_stream *s, enum websocket_opcode opcode, const void *data, size_t n)
{
	uint8_t head[WEBSOCKET_HEAD_MAX];
	size_t length = websocket_head(opcode, n, head);
	http_stream_write(s->call->r, head, length);
	return http_stream_write(s->call->r, data, n);
}

static bool send_output(const struct attach_stream *s, int stream, const char *data, size_t n)
{
	struct http_request *r = s->call->r;
	if (!r) {
		return true;
	}
	if (!s->over_websocket) {
		return frame_write(r, s->tty, stream, data, n);
	}
	uint8_t head[WEBSOCKET_HEAD_MAX];
	http_stream_write(r, head, websocket_head(WEBSOCKET_BINARY, n, head));
	return http_stream_write(r, data, n);
}

static void end_stream(const struct attach_stream *s, uint16_t code)
{
	const uint8_t reason[2] = {(uint8_t)(code >> 8), (uint8_t)code};
	if (!s->call->r) {
		return;
	}
	if (s->over_websocket) {
		(void)send_control(s, WEBSOCKET_CLOSE, reason, sizeof(reason));
	}
	http_stream_end(s->call->r);
}

static void attach_drained(void *owner)
{
	struct attach_stream *s = owner;
	s->unread = false;
	if (s->history) {
		log_reader_resume(s->history);
	} else if (s->attach) {
		attach_pause(s->attach, false);
	}
}

static void attach_output(void *owner, int stream, const char *data, size_t n)
{
	struct attach_stream *s = owner;
	if (!send_output(s, stream, data, n)) {
		attach_pause(s->attach, true);
	}
}

static void attach_ended(void *owner)
{
	end_stream(owner, WEBSOCKET_NORMAL);
}

static bool history_paused(void *owner)
{
	struct attach_stream *s = owner;
	scoped(buf) struct buf batch = s->batch;
	s->batch = (struct buf)BUF_INIT;
	if (batch.len == 0 || !s->call->r) {
		return true;
	}
	return s->over_websocket ? send_output(s, SHIM_STDOUT, batch.data, batch.len)
				 : http_stream_write(s->call->r, batch.data, batch.len);
}

static bool history_line(void *owner, int stream, const char *data, size_t n)
{
	struct attach_stream *s = owner;
	frame_append(&s->batch, s->tty || s->over_websocket, stream, data, n);
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

/* --- from the client --- */

static void input_drained(void *owner)
{
	struct attach_stream *s = owner;
	if (s->call->r) {
		http_body_pause(s->call->r, false);
	}
}

static void give(struct attach_stream *s, const char *data, size_t n)
{
	if (n > 0 && !attach_input(s->attach, data, n, input_drained, s)) {
		http_body_pause(s->call->r, true);
	}
}

/* The sequence was typed: the container goes on, the client is let go. */
static void leave(struct attach_stream *s)
{
	struct err ignored;
	struct container *k = container_find(s->call->api->d.containers, s->id, &ignored);
	attach_free(TAKE(s->attach));
	log_reader_free(TAKE(s->history));
	if (k) {
		container_detached(k);
	}
	end_stream(s, WEBSOCKET_NORMAL);
}

static void take_input(struct attach_stream *s, const char *data, size_t n)
{
	if (!s->with_stdin || !s->attach) {
		return;
	}
	if (!data) {
		if (s->ends_stdin) {
			attach_input_end(s->attach);
		}
		return;
	}
	scoped(buf) struct buf typed = BUF_INIT;
	bool left = detach_feed(&s->detach, data, n, &typed);
	give(s, buf_str(&typed), typed.len);
	if (left) {
		leave(s);
	}
}

static void input_arrived(void *owner, struct http_request *r, const char *data, size_t n)
{
	take_input(owner, data, n);
}

/* One frame's part: true when the connection goes on. */
static bool take_event(struct attach_stream *s, const struct websocket_event *e)
{
	switch (e->opcode) {
	case WEBSOCKET_BINARY:
		if (e->n > 0) {
			take_input(s, e->data, e->n);
		}
		return true;
	case WEBSOCKET_PING:
		s->unread = s->unread || !send_control(s, WEBSOCKET_PONG, e->data, e->n);
		return true;
	case WEBSOCKET_CLOSE:
		take_input(s, NULL, 0);
		end_stream(s, WEBSOCKET_NORMAL);
		return false;
	default:
		return true;
	}
}

static void frames_arrived(void *owner, struct http_request *r, const char *data, size_t n)
{
	struct attach_stream *s = owner;
	if (!data) {
		take_input(s, NULL, 0);
		return;
	}
	scoped(free) uint8_t *copy = xnew_array(uint8_t, n);
	memcpy(copy, data, n);
	for (size_t at = 0; at < n && s->call->r;) {
		struct websocket_event e;
		ssize_t taken = websocket_decode(&s->websocket, copy + at, n - at, &e);
		if (taken < 0) {
			end_stream(s, WEBSOCKET_PROTOCOL_ERROR);
			return;
		}
		if (!take_event(s, &e)) {
			return;
		}
		at += (size_t)taken;
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

/* --- opening --- */

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
	if (call_query_bool(c, "stream", false)) {
		s->attach = attach_new(k, want, &live, s, e);
		if (!s->attach) {
			return -1;
		}
	}
	if (!call_query_bool(c, "logs", false)) {
		return 0;
	}
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

/* detachKeys=, for a terminal; Docker's own when none are said. */
static int read_keys(struct attach_stream *s, struct err *e)
{
	const char *keys = call_query_or(s->call, "detachKeys", DETACH_KEYS_DEFAULT);
	struct detach read;
	if (detach_parse(keys, &read, e) < 0) {
		return err_set(e, ERR_INVALID, "Invalid detach keys (%.64s) provided", keys);
	}
	if (s->tty && s->with_stdin) {
		s->detach = read;
	}
	return 0;
}

static struct attach_stream *open_stream(struct call *c)
{
	struct err e;
	struct container *k = container_find(c->api->d.containers, c->args[0], &e);
	if (!k) {
		call_reply_error(c, &e);
		return NULL;
	}
	const bool types = call_query_bool(c, "stdin", false) && container_open_stdin(k);
	if (types && !call_needs_admin(c, "attaching to the input of a container")) {
		return NULL;
	}
	struct attach_stream *s = xnew(struct attach_stream);
	s->call = c;
	s->tty = container_is_tty(k);
	s->with_stdin = types;
	s->ends_stdin = json_bool(container_config(k), "StdinOnce");
	snprintf(s->id, sizeof(s->id), "%s", container_id(k));
	if (read_keys(s, &e) < 0 || container_check_attach(k, c->args[0], &e) < 0 ||
		open_sources(s, k, &e) < 0) {
		attach_free(s->attach);
		free(s);
		call_reply_error(c, &e);
		return NULL;
	}
	c->stream = s;
	c->stream_closed = attach_closed;
	http_stream_on_drain(c->r, attach_drained, s);
	return s;
}

/* Neither the stream nor what was printed: dockerd answers with an empty stream. */
static void end_if_empty(struct attach_stream *s)
{
	if (!s->attach && !s->history) {
		attach_ended(s);
	}
}

void containers_attach(struct call *c)
{
	struct attach_stream *s = open_stream(c);
	if (s) {
		http_hijack(c->r, frame_content_type(s->tty, c->version), input_arrived, s);
		end_if_empty(s);
	}
}

/* RFC 6455 4.2.1 */
static int read_handshake(
	const struct call *c, char ret_accept[WEBSOCKET_ACCEPT_MAX], struct err *e)
{
	const char *upgrade = http_header(c->r, "Upgrade");
	const char *version = http_header(c->r, "Sec-WebSocket-Version");
	const char *key = http_header(c->r, "Sec-WebSocket-Key");
	if (!http_wants_upgrade(c->r) || !upgrade || strcasecmp(upgrade, "websocket") != 0) {
		return err_set(e, ERR_INVALID, "the request is no WebSocket handshake");
	}
	if (!version || strcmp(version, "13") != 0) {
		return err_set(e, ERR_INVALID, "only version 13 of WebSocket is spoken");
	}
	if (!key || !websocket_accept(key, ret_accept)) {
		return err_set(e, ERR_INVALID, "Sec-WebSocket-Key must be 16 bytes in base64");
	}
	return 0;
}

void containers_attach_ws(struct call *c)
{
	struct err e;
	char accept[WEBSOCKET_ACCEPT_MAX];
	if (read_handshake(c, accept, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	struct attach_stream *s = open_stream(c);
	if (s) {
		s->over_websocket = true;
		http_hijack_websocket(c->r, accept, frames_arrived, s);
		end_if_empty(s);
	}
}
