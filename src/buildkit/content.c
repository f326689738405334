#include "buildkit/content.h"

#include <string.h>

#include "base/list.h"
#include "base/mem.h"

#define PIECE (256u << 10) /* bytes in one message; gRPC's own bound in Go is 4 MiB */

static int send(struct grpc_call *c, const ProtobufCMessage *m, struct err *e)
{
	scoped(buf) struct buf packed = BUF_INIT;
	size_t n = protobuf_c_message_get_packed_size(m);
	protobuf_c_message_pack(m, (uint8_t *)buf_room(&packed, n + 1));
	return grpc_send(c, packed.data, n, e);
}

static int broken(struct err *e)
{
	return err_set(e, ERR_INVALID, "the answer of the client's content store is broken");
}

/* --- info --- */

int content_info(struct grpc_call *c, const char *digest, int64_t *ret_size, struct err *e)
{
	Buildkit__ContentInfoRequest q = BUILDKIT__CONTENT_INFO_REQUEST__INIT;
	scoped(buf) struct buf question = BUF_INIT;
	scoped(buf) struct buf answer = BUF_INIT;
	q.digest = (char *)digest;
	size_t n = buildkit__content_info_request__get_packed_size(&q);
	buildkit__content_info_request__pack(&q, (uint8_t *)buf_room(&question, n + 1));
	buf_added(&question, n);
	if (grpc_exchange(c, &question, &answer, e) < 0) {
		return -1;
	}
	Buildkit__ContentInfoResponse *a = buildkit__content_info_response__unpack(
		NULL, answer.len, (const uint8_t *)buf_str(&answer));
	bool good = a && a->info && a->info->size >= 0 && strcmp(a->info->digest, digest) == 0;
	if (good) {
		*ret_size = a->info->size;
	}
	if (a) {
		buildkit__content_info_response__free_unpacked(a, NULL);
	}
	return good ? 0 : broken(e);
}

/* --- read --- */

struct content_stream {
	struct stream base;
	struct grpc_call *call;
	Buildkit__ContentReadResponse *message; /* the piece that is being taken, or NULL */
	size_t at;                              /* in it */
	int64_t offset, size;                   /* of the blob: what came, what will */
};

static void drop_piece(struct content_stream *s)
{
	if (s->message) {
		buildkit__content_read_response__free_unpacked(s->message, NULL);
		s->message = NULL;
	}
	s->at = 0;
}

/* The next message that has bytes. 0 at the end. */
static int next_piece(struct content_stream *s, struct err *e)
{
	scoped(buf) struct buf packed = BUF_INIT;
	int got = 1;
	drop_piece(s);
	while (!s->message && (got = grpc_recv(s->call, &packed, e)) > 0) {
		s->message = buildkit__content_read_response__unpack(
			NULL, packed.len, (const uint8_t *)buf_str(&packed));
		if (!s->message || s->message->offset != s->offset ||
			s->message->data.len > (uint64_t)(s->size - s->offset)) {
			return broken(e);
		}
		if (s->message->data.len == 0) {
			drop_piece(s);
		}
	}
	return got;
}

static ssize_t content_stream_read(struct stream *base, void *data, size_t n, struct err *e)
{
	struct content_stream *s = container_of(base, struct content_stream, base);
	if (!s->message) {
		int got = next_piece(s, e);
		if (got == 0 && s->offset < s->size) {
			return err_set(e, ERR_INVALID,
				"the client's content store gave less than it said");
		}
		if (got <= 0) {
			return got;
		}
	}
	size_t left = s->message->data.len - s->at;
	n = n < left ? n : left;
	memcpy(data, s->message->data.data + s->at, n);
	s->at += n;
	s->offset += (int64_t)n;
	if (s->at == s->message->data.len) {
		drop_piece(s);
	}
	return (ssize_t)n;
}

static void content_stream_free(struct stream *base)
{
	struct content_stream *s = container_of(base, struct content_stream, base);
	drop_piece(s);
	grpc_call_free(s->call);
	free(s);
}

struct stream *content_read(
	struct grpc_call *take_call, const char *digest, int64_t size, struct err *e)
{
	struct content_stream *s = xnew(struct content_stream);
	Buildkit__ContentReadRequest q = BUILDKIT__CONTENT_READ_REQUEST__INIT;
	s->base = (struct stream){content_stream_read, content_stream_free};
	s->call = take_call;
	s->size = size;
	q.digest = (char *)digest;
	if (send(s->call, &q.base, e) < 0 || grpc_send_end(s->call, e) < 0) {
		content_stream_free(&s->base);
		return NULL;
	}
	return &s->base;
}

/* --- write --- */

struct writer {
	struct grpc_call *call;
	Buildkit__ContentWriteRequest request;
};

/* One request, and how far the store is after it. */
static int step(struct writer *w, enum content_action action, int64_t *ret_offset, struct err *e)
{
	scoped(buf) struct buf packed = BUF_INIT;
	struct err why;
	w->request.action = (int)action;
	bool sent = send(w->call, &w->request.base, &why) == 0;
	int got = grpc_recv(w->call, &packed, e); /* also when it was not sent: it has the reason */
	if (got <= 0) {
		return got < 0 ? -1 : sent ? broken(e) : (*e = why, -1);
	}
	Buildkit__ContentWriteResponse *a = buildkit__content_write_response__unpack(
		NULL, packed.len, (const uint8_t *)buf_str(&packed));
	if (!a) {
		return broken(e);
	}
	*ret_offset = a->offset;
	buildkit__content_write_response__free_unpacked(a, NULL);
	return 0;
}

static int write_all(struct writer *w, struct stream *from, int64_t size, struct err *e)
{
	scoped(free) char *piece = xnew_array(char, PIECE);
	int64_t at = 0, there;
	ssize_t n;
	while ((n = stream_read(from, piece, PIECE, e)) > 0) {
		w->request.offset = at;
		w->request.data.data = (uint8_t *)piece;
		w->request.data.len = (size_t)n;
		at += n;
		if (step(w, CONTENT_WRITTEN, &there, e) < 0) {
			return -1;
		}
		if (there != at) {
			return err_set(e, ERR_INVALID, "the client's content store has lost bytes");
		}
	}
	w->request.data.len = 0;
	w->request.offset = at;
	return n < 0        ? -1
	       : at != size ? err_set(e, ERR_SYSTEM, "a blob is not as long as it should be")
			    : step(w, CONTENT_COMMIT, &there, e);
}

static bool has_it(struct grpc_call *c)
{
	const char *message;
	return grpc_status(c, &message, NULL) == GRPC_ALREADY_EXISTS;
}

/* A store that has the blob says so to the first request, or, when somebody else was faster, to the
 * last. */
int content_write(struct grpc_call *c, const char *ref, const char *digest, int64_t size,
	struct stream *from, struct err *e)
{
	struct writer w = {.call = c, .request = BUILDKIT__CONTENT_WRITE_REQUEST__INIT};
	scoped(buf) struct buf ignored = BUF_INIT;
	int64_t there;
	w.request.ref = (char *)ref;
	w.request.expected = (char *)digest;
	w.request.total = size;
	if (step(&w, CONTENT_STAT, &there, e) < 0 || write_all(&w, from, size, e) < 0) {
		return has_it(c) ? 1 : -1;
	}
	grpc_send_end(c, e);
	return grpc_recv(c, &ignored, e) < 0 ? -1 : 0;
}
