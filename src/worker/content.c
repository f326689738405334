#include "worker/content.h"

#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "buildkit/content.h"
#include "worker/layers.h"
#include "worker/session.h"

static struct grpc_call *open_call(const struct content_store *s, const char *method, struct err *e)
{
	scoped(strv) struct strv metadata = STRV_INIT;
	strv_add(&metadata, CONTENT_STORE_ID);
	strv_add(&metadata, s->id);
	return session_call(s->b, method, &metadata, e);
}

int content_store_size(
	const struct content_store *s, const char *digest, int64_t *ret, struct err *e)
{
	scoped(grpc_call_free) struct grpc_call *c = open_call(s, CONTENT_INFO, e);
	return c ? content_info(c, digest, ret, e) : -1;
}

struct stream *content_store_open(
	const struct content_store *s, const char *digest, int64_t size, struct err *e)
{
	struct grpc_call *c = open_call(s, CONTENT_READ, e);
	return c ? content_read(c, digest, size, e) : NULL;
}

static int read_text(struct stream *from, struct buf *ret, struct err *e)
{
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	ssize_t n;
	while ((n = stream_read(from, chunk, STREAM_CHUNK, e)) > 0) {
		buf_append(ret, chunk, (size_t)n);
	}
	return n < 0 ? -1 : 0;
}

int content_store_text(const struct content_store *s, const char *digest, size_t limit,
	struct buf *ret, struct err *e)
{
	int64_t size;
	if (content_store_size(s, digest, &size, e) < 0) {
		return -1;
	}
	if (size > (int64_t)limit) {
		return err_set(e, ERR_INVALID, "%.19s is longer than %zu bytes", digest, limit);
	}
	scoped(stream_free) struct stream *blob = content_store_open(s, digest, size, e);
	scoped(stream_free) struct stream *hashed = blob ? stream_digest_new(blob) : NULL;
	return !hashed || read_text(hashed, ret, e) < 0 ? -1
							: layer_verify(hashed, digest, size, e);
}

int content_store_put(const struct content_store *s, const char *digest, int64_t size,
	struct stream *from, struct err *e)
{
	scoped(free) char *ref = xasprintf("wherry-%s", digest);
	scoped(grpc_call_free) struct grpc_call *c = open_call(s, CONTENT_WRITE, e);
	return !c || content_write(c, ref, digest, size, from, e) < 0 ? -1 : 0;
}

/* --- bytes that are here --- */

struct text_stream {
	struct stream base;
	const char *at;
	size_t left;
};

static ssize_t text_read(struct stream *base, void *data, size_t n, struct err *e)
{
	struct text_stream *t = container_of(base, struct text_stream, base);
	n = n < t->left ? n : t->left;
	memcpy(data, t->at, n);
	t->at += n;
	t->left -= n;
	return (ssize_t)n;
}

int content_store_put_text(const struct content_store *s, const char *digest, const void *text,
	size_t n, struct err *e)
{
	struct text_stream t = {.base = {.read = text_read}, .at = text, .left = n};
	return content_store_put(s, digest, (int64_t)n, &t.base, e);
}
