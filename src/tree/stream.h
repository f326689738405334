/* tree/stream.h - bytes that are pulled, through hashes and decompressors, without ever being
 * kept.
 *
 * A chain (registry blob -> digest -> decompress -> digest -> tar reader) is built from the source
 * outwards. The outermost reader sets the pace: nothing is read from the network that nobody has
 * room for.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/scoped.h"

#define STREAM_CHUNK (64u << 10)
#define STREAM_DIGEST_LEN 71 /* "sha256:" and 64 hex digits */

struct stream {
	/* Fills data with 1 to n bytes; 0 at the end, -1 with *e. */
	ssize_t (*read)(struct stream *s, void *data, size_t n, struct err *e);
	void (*free)(struct stream *s);
};

ssize_t stream_read(struct stream *s, void *data, size_t n, struct err *e);
void stream_free(struct stream *s); /* this stage only; NULL is fine */
SCOPED(struct stream *, stream_free)

/* Reads and drops what is left. */
int stream_drain(struct stream *s, struct err *e);

struct stream *stream_from_fd(int fd); /* borrowed */

/* Everything before this stage works ahead in a thread of its own, a few chunks. inner is borrowed,
 * and this thread's until the stage is freed. */
struct stream *stream_ahead_new(struct stream *inner);

/* Hashes and counts what passes. inner is borrowed. */
struct stream *stream_digest_new(struct stream *inner);
void stream_digest_text(
	struct stream *s, char ret[static STREAM_DIGEST_LEN + 1]); /* of what passed so far */
int64_t stream_digest_bytes(const struct stream *s);

/* gzip (of any number of members), zstd, xz, bzip2 or plain, told by the first bytes. inner is
 * borrowed. A zstd window beyond 32 MiB is refused: it is memory that a stranger chooses. */
struct stream *stream_decompress_new(struct stream *inner);
bool stream_is_compressed(const void *begin, size_t n); /* 6 bytes are enough */
/* The first bytes without consuming them, at most n; fewer only at the end. */
ssize_t stream_peek(struct stream *peekable, const void **ret, size_t n, struct err *e);
struct stream *stream_peek_new(
	struct stream *inner); /* a stage that can stream_peek up to 512 bytes */

/* Compresses what it pulls to one gzip member without a name or a time; level 1 (fastest) to 3, as
 * igzip's. The bytes depend on the plain bytes and the kind of processor only, not on the pieces
 * they come in. inner is borrowed. */
struct stream *stream_gzip_new(struct stream *inner, unsigned level);

/* The same to one zstd frame with a checksum, at the library's level. */
struct stream *stream_zstd_new(struct stream *inner, int level);
