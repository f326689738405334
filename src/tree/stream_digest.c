/* The stages of stream.h that need libraries: digest, peek. */
#include "tree/stream.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "base/text.h"

#define PEEK_MAX 512

/* --- digest --- */

struct digest_stream {
	struct stream base;
	struct stream *inner;
	EVP_MD_CTX *hash;
	int64_t bytes;
};

static ssize_t digest_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct digest_stream *d = container_of(s, struct digest_stream, base);
	ssize_t got = stream_read(d->inner, data, n, e);
	if (got > 0) {
		EVP_DigestUpdate(d->hash, data, (size_t)got);
		d->bytes += got;
	}
	return got;
}

static void digest_free(struct stream *s)
{
	struct digest_stream *d = container_of(s, struct digest_stream, base);
	EVP_MD_CTX_free(d->hash);
	free(d);
}

struct stream *stream_digest_new(struct stream *inner)
{
	struct digest_stream *d = xnew(struct digest_stream);
	d->base = (struct stream){digest_read, digest_free};
	d->inner = inner;
	d->hash = EVP_MD_CTX_new();
	if (!d->hash || !EVP_DigestInit_ex(d->hash, EVP_sha256(), NULL)) {
		abort(); /* out of memory, or an OpenSSL without SHA-256 */
	}
	return &d->base;
}

void stream_digest_text(struct stream *s, char ret[static STREAM_DIGEST_LEN + 1])
{
	struct digest_stream *d = container_of(s, struct digest_stream, base);
	unsigned char hash[32];
	EVP_MD_CTX *copy = EVP_MD_CTX_new();
	if (!copy || !EVP_MD_CTX_copy_ex(copy, d->hash) || !EVP_DigestFinal_ex(copy, hash, NULL)) {
		abort();
	}
	EVP_MD_CTX_free(copy);
	memcpy(ret, "sha256:", 7);
	text_hex(hash, sizeof(hash), ret + 7);
}

int64_t stream_digest_bytes(const struct stream *s)
{
	return container_of(s, struct digest_stream, base)->bytes;
}

/* --- peek --- */

struct peek_stream {
	struct stream base;
	struct stream *inner;
	unsigned char data[PEEK_MAX];
	size_t begin, end;
};

static ssize_t peek_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct peek_stream *p = container_of(s, struct peek_stream, base);
	size_t kept = p->end - p->begin;
	if (kept == 0) {
		return stream_read(p->inner, data, n, e);
	}
	n = n < kept ? n : kept;
	memcpy(data, p->data + p->begin, n);
	p->begin += n;
	return (ssize_t)n;
}

static void peek_free(struct stream *s)
{
	free(container_of(s, struct peek_stream, base));
}

struct stream *stream_peek_new(struct stream *inner)
{
	struct peek_stream *p = xnew(struct peek_stream);
	p->base = (struct stream){peek_read, peek_free};
	p->inner = inner;
	return &p->base;
}

ssize_t stream_peek(struct stream *peekable, const void **ret, size_t n, struct err *e)
{
	struct peek_stream *p = container_of(peekable, struct peek_stream, base);
	n = n < PEEK_MAX ? n : PEEK_MAX;
	memmove(p->data, p->data + p->begin, p->end - p->begin);
	p->end -= p->begin;
	p->begin = 0;
	while (p->end < n) {
		ssize_t got = stream_read(p->inner, p->data + p->end, n - p->end, e);
		if (got < 0) {
			return -1;
		}
		if (got == 0) {
			break;
		}
		p->end += (size_t)got;
	}
	*ret = p->data;
	return (ssize_t)(p->end < n ? p->end : n);
}
