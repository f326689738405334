/* The HEADERS that we send: a request, an answer's head, the trailers with its status. */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "grpc/h2_conn.h"

#define NV(n, v)                                                                           \
	{                                                                                  \
		(uint8_t *)(n), (uint8_t *)(v), strlen(n), strlen(v), NGHTTP2_NV_FLAG_NONE \
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

/* --- a server's --- */

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

void h2_head_trailers(struct h2_stream *s)
{
	size_t n;
	scoped(strv) struct strv pairs = STRV_INIT;
	add_status(s, &pairs);
	scoped(free) nghttp2_nv *nv = make_nv(&pairs, &n);
	nghttp2_submit_trailer(s->conn->session, s->id, nv, n);
}

void h2_head_answer(struct h2_stream *s, bool only)
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

/* --- a client's --- */

int h2_head_check(const struct strv *m, struct err *e)
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

int h2_head_request(struct h2_stream *s, const struct strv *metadata)
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
