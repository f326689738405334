/* Calls over a connection: the blocking functions of grpc.h against the session that another thread
 * runs.
 *
 * Invariants
 * 1. A stream exists while nghttp2 has it (open) or a caller or handler has it (held).
 * 2. When open ends, everybody who waits is woken; no function of nghttp2 is called with its id
 *    afterwards.
 * 3. What a stream has queued is at most H2_WINDOW each way; conn->assembling is the sum of all
 *    partly, and bounds what unfinished messages take.
 */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "grpc/h2_conn.h"

#define NV(n, v)                                                                           \
	{                                                                                  \
		(uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE \
	}

static struct h2_stream *stream_of(struct grpc_call *c)
{
	return container_of(c, struct h2_stream, call);
}

/* --- life --- */

struct h2_stream *h2_stream_new(struct h2 *c, const char *path, bool server)
{
	struct h2_stream *s = xnew(struct h2_stream);
	call_init(&s->call, server ? &h2_server_ops : &h2_client_ops, c, path);
	s->conn = c;
	pthread_cond_init(&s->changed, NULL);
	list_append(&c->streams, &s->node);
	return s;
}

void h2_stream_drop(struct h2_stream *s)
{
	if (s->open || s->held) {
		return;
	}
	list_remove(&s->node);
	s->conn->assembling -= s->partly;
	call_deinit(&s->call);
	pthread_cond_destroy(&s->changed);
	buf_deinit(&s->in);
	buf_deinit(&s->out);
	free(s->http_method);
	free(s->http_status);
	free(s->content_type);
	free(s->encoding);
	free(s->grpc_status);
	free(s->grpc_message);
	free(s->grpc_details);
	free(s);
}

void h2_stream_changed(struct h2_stream *s)
{
	pthread_cond_broadcast(&s->changed);
}

/* Why a client's call has no status of the peer's. gRPC over HTTP2 "Errors". */
static void explain(struct h2_stream *s, uint32_t error_code)
{
	switch (error_code) {
	case H2_LOST:
		call_set_status(&s->call, GRPC_UNAVAILABLE, "the connection has gone");
		break;
	case NGHTTP2_REFUSED_STREAM:
		call_set_status(&s->call, GRPC_UNAVAILABLE, "the peer has too many calls");
		break;
	case NGHTTP2_CANCEL:
		call_set_status(&s->call, GRPC_CANCELLED, "canceled");
		break;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		call_set_status(&s->call, GRPC_RESOURCE_EXHAUSTED, "the peer asks for less");
		break;
	default:
		call_set_status(&s->call, GRPC_INTERNAL, "the peer reset the call");
	}
}

void h2_stream_over(struct h2_stream *s, uint32_t error_code)
{
	bool server = s->conn->o.server;
	bool ordinary = server && s->out_ended && error_code == NGHTTP2_NO_ERROR;
	s->open = false;
	s->broken = s->broken || error_code != NGHTTP2_NO_ERROR;
	if (!server) {
		explain(s, error_code);
	}
	if (s->gone && !ordinary) {
		s->gone(s->gone_arg);
	}
	s->gone = NULL;
	h2_stream_changed(s);
	h2_stream_drop(s);
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

/* For -bin values on the wire no padding is needed; we send it, every reader takes both. */
static void add_status(const struct h2_stream *s, struct strv *pairs)
{
	const struct call_status *st = &s->call.status;
	struct buf text = BUF_INIT;
	strv_add(pairs, "grpc-status");
	strv_addf(pairs, "%d", st->code);
	if (st->message && *st->message) {
		percent_encode(st->message, &text);
		strv_add(pairs, "grpc-message");
		strv_take(pairs, buf_take_str(&text));
	}
	if (st->has_details && st->details.len < GRPC_METADATA_MAX / 2) {
		base64_encode(st->details.data, st->details.len, &text);
		strv_add(pairs, "grpc-status-details-bin");
		strv_take(pairs, buf_take_str(&text));
	}
	buf_deinit(&text);
}

/* Names and values in turns; the strings are borrowed. */
static nghttp2_nv *make_nv(const struct strv *pairs, size_t *ret_n)
{
	size_t n = pairs->n / 2;
	nghttp2_nv *nv = xnew_array(nghttp2_nv, n + 1);
	for (size_t i = 0; i < n; i++) {
		nv[i] = (nghttp2_nv)NV(pairs->v[2 * i], pairs->v[2 * i + 1]);
	}
	*ret_n = n;
	return nv;
}

static void submit_trailers(struct h2_stream *s)
{
	size_t n;
	scoped(strv) struct strv pairs = STRV_INIT;
	add_status(s, &pairs);
	scoped(free) nghttp2_nv *nv = make_nv(&pairs, &n);
	nghttp2_submit_trailer(s->conn->session, s->id, nv, n);
}

ssize_t h2_stream_read_out(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
	uint32_t *flags, nghttp2_data_source *source, void *owner)
{
	struct h2_stream *s = source->ptr;
	size_t there = s->out.len - s->out_pos;
	size_t n = there < room ? there : room;
	if (n > 0) {
		memcpy(to, s->out.data + s->out_pos, n);
	}
	s->out_pos += n;
	if (s->out_pos == s->out.len) {
		buf_clear(&s->out);
		s->out_pos = 0;
	}
	h2_stream_changed(s);
	if (there > n || !s->out_ended) {
		return n > 0 ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (s->conn->o.server) {
		*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
		submit_trailers(s);
	}
	return (ssize_t)n;
}

/* A server's head, before its first message, or with the status when there is none. */
static void send_head(struct h2_stream *s, bool only)
{
	size_t n;
	scoped(strv) struct strv pairs = STRV_INIT;
	const nghttp2_data_provider body = {.source.ptr = s, .read_callback = h2_stream_read_out};
	strv_add(&pairs, ":status");
	strv_add(&pairs, "200");
	strv_add(&pairs, "content-type");
	strv_add(&pairs, "application/grpc");
	if (only) {
		add_status(s, &pairs);
	}
	scoped(free) nghttp2_nv *nv = make_nv(&pairs, &n);
	nghttp2_submit_response(s->conn->session, s->id, nv, n, only ? NULL : &body);
	s->head_sent = true;
}

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
		nghttp2_session_resume_data(s->conn->session, s->id);
		wake_if_wanted(s->conn);
	}
	return 0;
}

static int h2_send(struct grpc_call *c, const void *data, size_t n, struct err *e)
{
	struct h2_stream *s = stream_of(c);
	uint8_t head[FRAME_HEAD];
	frame_head(FRAME_MESSAGE, n, head);
	pthread_mutex_lock(&s->conn->lock);
	if (s->conn->o.server && !s->head_sent && s->open) {
		send_head(s, false);
	}
	int r = queue(s, head, FRAME_HEAD, e) < 0 ? -1 : queue(s, data, n, e);
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
		nghttp2_session_resume_data(s->conn->session, s->id);
		wake_if_wanted(s->conn);
	}
	int r = ok ? 0 : sending_failed(s, e);
	pthread_mutex_unlock(&s->conn->lock);
	return r;
}

static void finish_locked(struct h2_stream *s)
{
	s->out_ended = true;
	if (!s->open) {
		return;
	}
	if (s->head_sent) {
		nghttp2_session_resume_data(s->conn->session, s->id);
	} else {
		send_head(s, true);
	}
	h2_wake(s->conn);
}

/* The status leaves when the handler returns: so that a client that begins its next call then never
 * meets more handlers than it has calls. */
static void h2_finish(struct grpc_call *c)
{
}

/* The call's own status, when it has one. */
void h2_stream_refuse(struct h2_stream *s, enum grpc_code code, const char *message)
{
	call_set_status(&s->call, code, message);
	finish_locked(s);
}

/* --- receiving --- */

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
	s->in_pos += used;
	if (s->in_pos == s->in.len || s->in_pos > H2_WINDOW) {
		buf_consume(&s->in, s->in_pos);
		s->in_pos = 0;
	}
	c->assembling -= s->partly;
	s->partly = r > 0 ? 0 : s->call.reader.head_n == FRAME_HEAD ? ret->len : 0;
	c->assembling += s->partly;
	if (c->assembling > H2_ASSEMBLING_MAX) {
		return err_set(e, ERR_BUSY, "too many long messages at once");
	}
	if (used > 0 && s->open) {
		nghttp2_session_consume_stream(c->session, s->id, used);
		wake_if_wanted(c);
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
	.send_end = h2_send_end,
	.cancel = h2_cancel,
	.free = h2_call_free};
const struct call_ops h2_server_ops = {.send = h2_send,
	.recv = h2_recv,
	.send_end = h2_send_end,
	.cancel = h2_cancel,
	.free = h2_call_free,
	.finish = h2_finish,
	.watch = h2_watch};

/* --- handlers --- */

static const struct grpc_method *find_method(const struct h2_stream *s)
{
	const struct grpc_method *m = s->conn->o.methods;
	while (m && m->path && strcmp(m->path, s->call.path) != 0) {
		m++;
	}
	return m && m->path ? m : NULL;
}

static void *handle(void *arg)
{
	struct h2_stream *s = arg;
	struct h2 *c = s->conn;
	find_method(s)->fn(&s->call, c->o.owner);
	pthread_mutex_lock(&c->lock);
	s->gone = NULL;
	h2_stream_refuse(s, GRPC_UNKNOWN, "the call was not answered"); /* unless it was */
	s->held = false;
	buf_clear(&s->in); /* nobody reads it any more */
	s->in_pos = 0;
	h2_stream_drop(s);
	c->n_handlers--;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

void h2_stream_handle(struct h2_stream *s)
{
	pthread_t thread;
	if (!find_method(s)) {
		scoped(free) char *message = xasprintf("unknown method %.200s", s->call.path);
		h2_stream_refuse(s, GRPC_UNIMPLEMENTED, message);
		return;
	}
	s->held = true;
	s->conn->n_handlers++;
	if (h2_thread_start(&thread, true, handle, s) != 0) {
		s->held = false;
		s->conn->n_handlers--;
		h2_stream_refuse(s, GRPC_RESOURCE_EXHAUSTED, "no thread for the call");
	}
}

/* --- a client's calls --- */

static int check_metadata(const struct strv *m, struct err *e)
{
	size_t bytes = 0;
	for (size_t i = 0; m && i < m->n; i++) {
		const uint8_t *text = (const uint8_t *)m->v[i];
		size_t n = strlen(m->v[i]);
		bytes += n;
		bool good = i % 2 == 0 ? *text != ':' && nghttp2_check_header_name(text, n)
				       : nghttp2_check_header_value(text, n);
		if (!good) {
			return err_set(e, ERR_INVALID, "metadata %.64s is not for HTTP/2", m->v[i]);
		}
	}
	return bytes <= GRPC_METADATA_MAX
		       ? 0
		       : err_set(e, ERR_INVALID, "more than %u bytes of metadata",
				 GRPC_METADATA_MAX);
}

static int submit_request(struct h2_stream *s, const struct strv *metadata)
{
	size_t n;
	static const char *const fixed[] = {":method", "POST", ":scheme", "http", ":authority",
		"localhost", "content-type", "application/grpc", "te", "trailers"};
	scoped(strv) struct strv pairs = STRV_INIT;
	for (size_t i = 0; i < 6; i++) {
		strv_add(&pairs, fixed[i]);
	}
	strv_add(&pairs, ":path");
	strv_add(&pairs, s->call.path);
	for (size_t i = 6; i < sizeof(fixed) / sizeof(*fixed); i++) {
		strv_add(&pairs, fixed[i]);
	}
	if (metadata) {
		strv_copy(&pairs, metadata);
	}
	scoped(free) nghttp2_nv *nv = make_nv(&pairs, &n);
	const nghttp2_data_provider body = {.source.ptr = s, .read_callback = h2_stream_read_out};
	return nghttp2_submit_request(s->conn->session, NULL, nv, n, &body, s);
}

struct grpc_call *grpc_call_new(
	struct h2 *conn, const char *method, const struct strv *metadata, struct err *e)
{
	if (check_metadata(metadata, e) < 0) {
		return NULL;
	}
	pthread_mutex_lock(&conn->lock);
	if (conn->closed || conn->close_asked) {
		pthread_mutex_unlock(&conn->lock);
		(void)err_set(e, ERR_BUSY, "the connection has gone");
		return NULL;
	}
	struct h2_stream *s = h2_stream_new(conn, method, false);
	s->id = submit_request(s, metadata);
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
