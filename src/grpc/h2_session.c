/* What nghttp2 tells us about the peer's frames, and the bounds that it keeps for us. All of this
 * runs inside nghttp2_session_mem_recv or _mem_send, with the connection's lock. */
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"
#include "grpc/h2_conn.h"

/* --- heads --- */

/* A name of the HTTP or gRPC layer goes here, anything else into the call's metadata. */
static char **place_of(struct h2_stream *s, const char *name)
{
	const struct {
		const char *name;
		char **place;
	} places[] = {
		{":method", &s->http_method},
		{":path", &s->call.path},
		{":status", &s->http_status},
		{"content-type", &s->content_type},
		{"grpc-encoding", &s->encoding},
		{"grpc-status", &s->grpc_status},
		{"grpc-message", &s->grpc_message},
		{"grpc-status-details-bin", &s->grpc_details},
	};
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (strcmp(places[i].name, name) == 0) {
			return places[i].place;
		}
	}
	return NULL;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *f, void *owner)
{
	struct h2 *c = owner;
	if (!c->o.server || f->headers.cat != NGHTTP2_HCAT_REQUEST) {
		return 0;
	}
	if (c->n_handlers >= H2_STREAMS_MAX) { /* reset streams whose handlers still run */
		nghttp2_submit_rst_stream(
			session, NGHTTP2_FLAG_NONE, f->hd.stream_id, NGHTTP2_REFUSED_STREAM);
		return 0;
	}
	struct h2_stream *s = h2_stream_new(c, "", true);
	s->id = f->hd.stream_id;
	s->open = true;
	nghttp2_session_set_stream_user_data(session, s->id, s);
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *f, const uint8_t *name,
	size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags, void *owner)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, f->hd.stream_id);
	if (!s) {
		return 0;
	}
	s->head_bytes += name_n + value_n;
	if (s->head_bytes > GRPC_METADATA_MAX || s->call.metadata.n > H2_METADATA_PAIRS) {
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* resets the stream */
	}
	char **place = place_of(s, (const char *)name);
	if (place) {
		free(*place);
		*place = xstrndup((const char *)value, value_n);
	} else if (*name != ':' && !s->head_done) {
		strv_addn(&s->call.metadata, (const char *)name, name_n);
		strv_addn(&s->call.metadata, (const char *)value, value_n);
	}
	return 0;
}

/* --- whole frames --- */

static void request_arrived(struct h2_stream *s)
{
	if (!s->http_method || strcmp(s->http_method, "POST") != 0 || !s->content_type ||
		!text_starts(s->content_type, "application/grpc")) {
		h2_stream_refuse(s, GRPC_INTERNAL, "this is no gRPC call");
	} else if (s->encoding && strcmp(s->encoding, "identity") != 0) {
		h2_stream_refuse(s, GRPC_UNIMPLEMENTED, "compressed messages are not taken");
	} else {
		h2_stream_handle(s);
	}
}

static void take_details(struct h2_stream *s)
{
	struct call_status *st = &s->call.status;
	st->has_details = s->grpc_details && base64_decode(s->grpc_details, strlen(s->grpc_details),
						     &st->details) == 0;
}

/* The last head of a client's call. RFC 9113 has no reason but the HTTP status for one without
 * grpc-status. */
static void trailers_arrived(struct h2_stream *s)
{
	struct buf message = BUF_INIT;
	int code = GRPC_UNKNOWN;
	if (s->grpc_status && parse_int(s->grpc_status, 0, GRPC_UNAUTHENTICATED, &code) < 0) {
		code = GRPC_UNKNOWN;
	}
	if (!s->grpc_status) {
		buf_printf(&message, "the peer answered HTTP status %.8s without a gRPC status",
			s->http_status ? s->http_status : "none");
	} else if (s->grpc_message &&
		   percent_decode(s->grpc_message, strlen(s->grpc_message), false, &message) < 0) {
		buf_clear(&message);
		buf_puts(&message, s->grpc_message);
	}
	if (!s->call.status.known) {
		take_details(s);
		call_set_status(&s->call, (enum grpc_code)code, buf_str(&message));
	}
	buf_deinit(&message);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *f, void *owner)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, f->hd.stream_id);
	bool last = f->hd.flags & NGHTTP2_FLAG_END_STREAM;
	if (!s || (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA)) {
		return 0;
	}
	bool head = f->hd.type == NGHTTP2_HEADERS && !s->head_done;
	if (head && s->http_status && *s->http_status == '1') { /* an interim answer */
		return 0;
	}
	s->head_done = true;
	s->in_ended = s->in_ended || last;
	if (last && !s->conn->o.server) {
		trailers_arrived(s);
	}
	if (head && s->conn->o.server) {
		request_arrived(s);
	}
	h2_stream_changed(s);
	return 0;
}

/* The bytes wait in the stream until they are taken, which opens its window again; the connection's
 * window is open always, so that no call waits for another. */
static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
	size_t n, void *owner)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	nghttp2_session_consume_connection(session, n);
	if (!s || !s->held || s->broken) {
		nghttp2_session_consume_stream(session, id, n);
		return 0;
	}
	buf_append(&s->in, data, n);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t error_code, void *owner)
{
	struct h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
	if (s) {
		nghttp2_session_set_stream_user_data(session, id, NULL);
		h2_stream_over(s, error_code);
	}
	return 0;
}

/* Our status has left while the client still sends: it need not. RFC 9113 8.1. */
static void status_sent(nghttp2_session *session, int32_t id)
{
	if (!nghttp2_session_get_stream_remote_close(session, id)) {
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_NO_ERROR);
	}
}

static int on_sent(nghttp2_session *session, const nghttp2_frame *f, void *owner)
{
	struct h2 *c = owner;
	if (f->hd.type == NGHTTP2_GOAWAY && f->goaway.error_code != NGHTTP2_NO_ERROR &&
		!*c->why.msg) { /* nghttp2 has found a peer at fault */
		(void)err_set(&c->why, ERR_INVALID, "HTTP/2: %s",
			nghttp2_http2_strerror(f->goaway.error_code));
	}
	if (c->o.server && f->hd.type == NGHTTP2_HEADERS &&
		(f->hd.flags & NGHTTP2_FLAG_END_STREAM)) {
		status_sent(session, f->hd.stream_id);
	}
	return 0;
}

static struct h2_stream *find_stream(struct h2 *c, int32_t id)
{
	list_each (pos, &c->streams) {
		struct h2_stream *s = container_of(pos, struct h2_stream, node);
		if (s->id == id && s->open) {
			return s;
		}
	}
	return NULL;
}

/* A head that could not be sent (too long, or the peer wants no more calls): nobody must wait for
 * what follows. */
static int on_not_sent(nghttp2_session *session, const nghttp2_frame *f, int code, void *owner)
{
	struct h2 *c = owner;
	struct h2_stream *s =
		f->hd.type == NGHTTP2_HEADERS ? find_stream(c, f->hd.stream_id) : NULL;
	if (s && c->o.server) {
		nghttp2_submit_rst_stream(
			session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_INTERNAL_ERROR);
	} else if (s) {
		nghttp2_session_set_stream_user_data(session, s->id, NULL);
		h2_stream_over(s, NGHTTP2_REFUSED_STREAM);
	}
	return 0;
}

/* --- the session --- */

static nghttp2_session_callbacks *make_callbacks(void)
{
	nghttp2_session_callbacks *cb;
	if (nghttp2_session_callbacks_new(&cb) != 0) {
		return NULL;
	}
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_not_sent);
	return cb;
}

static int greet(struct h2 *c)
{
	const nghttp2_settings_entry settings[] = {
		{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW},
		{NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, GRPC_METADATA_MAX},
		{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
		{NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
	};
	size_t n = c->o.server ? 3 : 4; /* a server's ENABLE_PUSH is refused by old clients */
	int r = nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, n);
	return r != 0 ? r
		      : nghttp2_session_set_local_window_size(
				c->session, NGHTTP2_FLAG_NONE, 0, 4 * H2_WINDOW);
}

nghttp2_session *h2_session_new(struct h2 *c)
{
	nghttp2_option *o = NULL;
	nghttp2_session_callbacks *cb = make_callbacks();
	if (cb && nghttp2_option_new(&o) == 0) {
		nghttp2_option_set_no_auto_window_update(o, 1);
		nghttp2_option_set_no_closed_streams(o, 1);
		nghttp2_option_set_max_send_header_block_length(o, 2 * GRPC_METADATA_MAX);
		int r = c->o.server ? nghttp2_session_server_new2(&c->session, cb, c, o)
				    : nghttp2_session_client_new2(&c->session, cb, c, o);
		if (r != 0 || greet(c) != 0) {
			nghttp2_session_del(TAKE(c->session));
		}
	}
	nghttp2_option_del(o);
	nghttp2_session_callbacks_del(cb);
	return c->session;
}
