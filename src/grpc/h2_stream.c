/* A stream of a connection, from its first frame to its last.
 *
 * Invariants
 * 1. A stream exists while nghttp2 has it (open) or a caller or handler has it (held).
 * 2. When open ends, everybody who waits is woken; no function of nghttp2 is called with its id
 *    afterwards.
 */
#include <string.h>

#include "base/mem.h"
#include "grpc/h2_conn.h"

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

/* --- what it sends --- */

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
		h2_head_trailers(s);
	}
	return (ssize_t)n;
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
		h2_head_answer(s, true);
	}
	h2_wake(s->conn);
}

/* The call's own status, when it has one. */
void h2_stream_refuse(struct h2_stream *s, enum grpc_code code, const char *message)
{
	call_set_status(&s->call, code, message);
	finish_locked(s);
}

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
