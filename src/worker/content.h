/* worker/content.h - OCI layouts on the client's side: blobs of a content store of its session
 * (buildkit/content.h), with their digests checked.
 */
#pragma once
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "tree/stream.h"

struct build;

struct content_store {
	const struct build *b; /* borrowed */
	char *id;              /* "export", "local:DIR", "oci:ID" */
};

/* How long a blob is; ERR_NOT_FOUND. */
int content_store_size(
	const struct content_store *s, const char *digest, int64_t *ret, struct err *e);
/* A small one, whole: at most limit bytes; appended. */
int content_store_text(const struct content_store *s, const char *digest, size_t limit,
	struct buf *ret, struct err *e);
/* Exactly size bytes, unchecked as a registry's: the caller hashes them. A stream, or NULL with *e.
 * Any thread. */
struct stream *content_store_open(
	const struct content_store *s, const char *digest, int64_t size, struct err *e);
/* size bytes of from with that digest. */
int content_store_put(const struct content_store *s, const char *digest, int64_t size,
	struct stream *from, struct err *e);
/* The same for bytes that are here. */
int content_store_put_text(const struct content_store *s, const char *digest, const void *text,
	size_t n, struct err *e);
