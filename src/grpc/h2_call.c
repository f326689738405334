/* Calls over a connection: the blocking functions of grpc.h against the session that another thread
 * runs.
 *
 * What a stream has queued is at most H2_WINDOW each way; conn->assembling is the sum of all
 * partly, and bounds what unfinished messages take.
 */
#include "grpc/h2_conn.h"

static struct h2_stream *stream_of(struct grpc_call *c)
{
	return container_of(c, struct h2_stream, call);
}

static void wake_if_wanted(struct h2 *c)
{
	if (c->session && nghttp2_session_want_write(c->session)) {
		h2_wake(c);
	}
}

static void reset(struct h2_stream *s, uint32_t error_code)
{
	if (s->open) {
		nghttp2_submit_rst_stream(s->conn->session, NGHTTP2_FLAG_NONE, s->id, error_code);
		h2_wake(s->conn);
	}
}

/* --- sending --- */

static int sending_failed(struct h2_stream *s, struct err *e)
{
	if (s->call.ops == &h2_client_ops && s->call.status.known && !s->cancelled) {
		return call_result(&s->call, e) < 0
			       ? -1
			       : err_set(e, ERR_BUSY, "the peer has ended the call");
	}
	return err_set(e, ERR_BUSY, "canceled");
}

static bool can_send(const struct h2_stream *s)
{
	return s->open && !s->cancelled && !s->out_ended && !s->broken;
}

/* What is queued may leave. */
static void release(struct h2_stream *s)
{
	nghttp2_session_resume_data(s->conn->session, s->id);
	wake_if_wanted(s->conn);
}

/* Queues bytes, as much at a time as there is room for. */
static int queue(struct h2_stream *s, const void *data, size_t n, struct err *e)
{
	const char *p = data;
	while (n > 0) {
		while (can_send(s) && s->out.len - s->out_pos >= H2_WINDOW) {
			pthread_cond_wait(&s->changed, &s->conn->lock);
		}
		if (!can_send(s)) {
			return sending_failed(s, e);
		}
		size_t room = H2_WINDOW - (s->out.len - s->out_pos);
		size_t part = n < room ? n : room;
		if (s->out_pos > H2_WINDOW) {
			buf_consume(&s->out, s->out_pos);
			s->out_pos = 0;
		}
		buf_append(&s->out, p, part);
		p += part;
		n -= part;
		if (n > 0) {
			release(s); /* who waits for room must not keep anything back */
		}
	}
	return 0;
}

static int h2_send(struct grpc_call *c, struct iovec *parts, size_t n, bool more, struct err *e)
{
	struct h2_stream *s = stream_of(c);
	int r = 0;
	pthread_mutex_lock(&s->conn->lock);
	if (s->conn->o.server && !s->head_sent && s->open) {
		h2_head_answer(s, false);
	}
	for (size_t i = 0; i < n && r == 0; i++) {
		r = queue(s, parts[i].iov_base, parts[i].iov_len, e);
	}
	if (r == 0 && (!more || s->out.len - s->out_pos >= GRPC_GATHER)) {
		release(s);
	}
	pthread_mutex_unlock(&s->conn->lock);
	return r;
}

static int h2_send_end(struct grpc_call *c, struct err *e)
{
	struct h2_stream *s = stream_of(c);
	pthread_mutex_lock(&s->conn->lock);
	bool ok = can_send(s);
	if (ok) {
		s->out_ended = true;
		release(s);
	}
	int r = ok ? 0 : sending_failed(s, e);
	pthread_mutex_unlock(&s->conn->lock);
	return r;
}

/* The status leaves when the handler returns: so that a client that begins its next call then never
 * meets more handlers than it has calls. */
static void h2_finish(struct grpc_call *c)
{
}

/* --- receiving --- */

/* n of the bytes that came are somebody's: the peer may send as many more. */
static void took(struct h2_stream *s, size_t n)
{
	s->in_pos += n;
	if (s->in_pos == s->in.len || s->in_pos > H2_WINDOW) {
		buf_consume(&s->in, s->in_pos);
		s->in_pos = 0;
	}
	if (n > 0 && s->open) {
		nghttp2_session_consume_stream(s->conn->session, s->id, n);
		wake_if_wanted(s->conn);
	}
}

/* Moves what has come into the message: 1 whole, 0 more is needed, -1 it is none. */
static int take_arrived(struct h2_stream *s, struct buf *ret, struct err *e)
{
	size_t used;
	enum frame_type type;
	struct h2 *c = s->conn;
	size_t there = s->in.len - s->in_pos;
	int r = frame_take(
		&s->call.reader, buf_str(&s->in) + s->in_pos, there, &used, ret, &type, e);
	if (r < 0) {
		return -1;
	}
	took(s, used);
	c->assembling -= s->partly;
	s->partly = r > 0 ? 0 : s->call.reader.head_n == FRAME_HEAD ? ret->len : 0;
	c->assembling += s->partly;
	if (c->assembling > H2_ASSEMBLING_MAX) {
		return err_set(e, ERR_BUSY, "too many long messages at once");
	}
	return r;
}

/* Nothing more will come. */
static int received_all(struct h2_stream *s, struct err *e)
{
	bool server = s->call.ops == &h2_server_ops;
	if (server && s->in_ended && !s->broken && !s->call.reader.begun) {
		return 0;
	}
	if (!server && s->call.status.known && s->call.status.code != GRPC_OK) {
		return call_result(&s->call, e);
	}
	if (!server && s->call.status.known && !s->call.reader.begun) {
		return 0;
	}
	return s->call.reader.begun && s->in_ended
		       ? err_set(e, ERR_INVALID, "the call ended within a message")
		       : err_set(e, ERR_BUSY, "canceled");
}

static int h2_recv(struct grpc_call *c, struct buf *ret, struct err *e)
{
	struct h2_stream *s = stream_of(c);
	int r;
	pthread_mutex_lock(&s->conn->lock);
	for (;;) {
		if (s->cancelled || (s->broken && s->call.ops == &h2_server_ops)) {
			r = err_set(e, ERR_BUSY, "canceled");
			break;
		}
		r = take_arrived(s, ret, e);
		if (r < 0) {
			s->broken = true;
			call_set_status(c, grpc_code_of(e->kind), e->msg);
			reset(s, NGHTTP2_CANCEL);
		}
		if (r != 0) {
			break;
		}
		if (s->in_ended || !s->open) {
			r = received_all(s, e);
			break;
		}
		pthread_cond_wait(&s->changed, &s->conn->lock);
	}
	pthread_mutex_unlock(&s->conn->lock);
	return r;
}

static void h2_recv_ready(struct grpc_call *c, size_t enough, struct buf *ret)
{
	struct h2_stream *s = stream_of(c);
	pthread_mutex_lock(&s->conn->lock);
	bool usable = ret->len < enough && !s->cancelled && !s->broken && !c->reader.begun;
	const char *data = buf_str(&s->in) + s->in_pos;
	size_t n = usable ? frames_whole(data, s->in.len - s->in_pos, enough - ret->len) : 0;
	buf_append(ret, data, n);
	took(s, n);
	pthread_mutex_unlock(&s->conn->lock);
}

/* --- the end --- */

static void h2_cancel(struct grpc_call *c)
{
	struct h2_stream *s = stream_of(c);
	pthread_mutex_lock(&s->conn->lock);
	if (!s->cancelled) {
		s->cancelled = true;
		reset(s, NGHTTP2_CANCEL);
		h2_stream_changed(s);
	}
	pthread_mutex_unlock(&s->conn->lock);
}

static void h2_call_free(struct grpc_call *c)
{
	struct h2_stream *s = stream_of(c);
	struct h2 *conn = s->conn;
	pthread_mutex_lock(&conn->lock);
	if (!s->cancelled && !(s->in_ended && s->out_ended)) {
		reset(s, NGHTTP2_CANCEL);
	}
	s->cancelled = true;
	s->held = false;
	h2_stream_drop(s);
	pthread_mutex_unlock(&conn->lock);
}

static void h2_watch(struct grpc_call *c, void (*gone)(void *arg), void *arg)
{
	struct h2_stream *s = stream_of(c);
	pthread_mutex_lock(&s->conn->lock);
	if (gone && !s->open) {
		gone(arg);
		gone = NULL;
	}
	s->gone = gone;
	s->gone_arg = arg;
	pthread_mutex_unlock(&s->conn->lock);
}

const struct call_ops h2_client_ops = {.send = h2_send,
	.recv = h2_recv,
	.recv_ready = h2_recv_ready,
	.send_end = h2_send_end,
	.cancel = h2_cancel,
	.free = h2_call_free};
const struct call_ops h2_server_ops = {.send = h2_send,
	.recv = h2_recv,
	.recv_ready = h2_recv_ready,
	.send_end = h2_send_end,
	.cancel = h2_cancel,
	.free = h2_call_free,
	.finish = h2_finish,
	.watch = h2_watch};

/* --- a client's calls --- */

struct grpc_call *grpc_call_new(
	struct h2 *conn, const char *method, const struct strv *metadata, struct err *e)
{
	if (h2_head_check(metadata, e) < 0) {
		return NULL;
	}
	pthread_mutex_lock(&conn->lock);
	if (conn->closed || conn->close_asked) {
		pthread_mutex_unlock(&conn->lock);
		(void)err_set(e, ERR_BUSY, "the connection has gone");
		return NULL;
	}
	struct h2_stream *s = h2_stream_new(conn, method, false);
	s->id = h2_head_request(s, metadata);
	if (s->id < 0) {
		(void)err_set(e, ERR_BUSY, "HTTP/2: %s", nghttp2_strerror(s->id));
		h2_stream_drop(s);
		s = NULL;
	} else {
		s->open = true;
		s->held = true;
		h2_wake(conn);
	}
	pthread_mutex_unlock(&conn->lock);
	return s ? &s->call : NULL;
}
