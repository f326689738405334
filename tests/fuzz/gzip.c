/* The bytes as a gzip stream, and as a text that is compressed: zlib is asked about both.
 *
 * What zlib reads, we read to the same bytes; what it refuses for its head or its sums, we refuse.
 * (An incomplete Huffman code is one thing that zlib refuses and isa-l does not: harmless, because
 * the checksum decides.) Outputs end at a page that cannot be written: isa-l is assembler, which
 * ASan does not see into. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/scoped.h"
#include "tree/stream.h"

#define PLAIN_MAX (1u << 20)
#define ROOM (64u << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const size_t pieces[] = {1, 7, 700, ROOM};

struct memory {
	struct stream base;
	const uint8_t *data;
	size_t left, piece;
};

static ssize_t memory_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct memory *m = container_of(s, struct memory, base);
	n = n < m->left ? n : m->left;
	n = n < m->piece ? n : m->piece;
	if (n > 0) {
		memcpy(data, m->data, n);
	}
	m->data += n;
	m->left -= n;
	return (ssize_t)n;
}

static void memory_free(struct stream *s)
{
}

/* ROOM bytes, then a page that cannot be touched. */
static uint8_t *guarded(void)
{
	static uint8_t *begin;
	if (!begin) {
		size_t page = (size_t)getpagesize();
		begin = mmap(NULL, ROOM + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
		assert(begin != MAP_FAILED && mprotect(begin + ROOM, page, PROT_NONE) == 0);
	}
	return begin;
}

/* Everything, at most PLAIN_MAX; the result of the last read. */
static ssize_t read_all(struct stream *s, size_t piece, struct buf *ret)
{
	uint8_t *end = guarded() + ROOM;
	struct err e = {0};
	ssize_t n = 1;
	while (n > 0 && ret->len < PLAIN_MAX) {
		n = stream_read(s, end - piece, piece, &e);
		if (n > 0) {
			buf_append(ret, end - piece, (size_t)n);
		}
	}
	assert(n >= 0 || *e.msg);
	return n;
}

static ssize_t ours(const uint8_t *data, size_t size, size_t in, size_t out, struct buf *ret)
{
	struct memory m = {{memory_read, memory_free}, data, size, in};
	scoped(stream_free) struct stream *plain = stream_decompress_new(&m.base);
	return read_all(plain, out, ret);
}

enum verdict { GOOD, REFUSED, BAD_CODE };

/* Of members one after the other; GOOD also when there are more than PLAIN_MAX bytes. */
static enum verdict theirs(const uint8_t *data, size_t size, struct buf *ret)
{
	uint8_t out[4096];
	z_stream z = {.next_in = (Bytef *)data, .avail_in = (unsigned)size};
	assert(inflateInit2(&z, 16 + MAX_WBITS) == Z_OK);
	int r = Z_OK;
	while (ret->len < PLAIN_MAX && (r != Z_STREAM_END || z.avail_in > 0)) {
		if (r == Z_STREAM_END) {
			inflateReset(&z);
		}
		z.next_out = out;
		z.avail_out = sizeof(out);
		r = inflate(&z, Z_NO_FLUSH);
		buf_append(ret, out, sizeof(out) - z.avail_out);
		if (r != Z_OK && r != Z_STREAM_END) {
			break;
		}
	}
	bool of_deflate = r == Z_DATA_ERROR && strncmp(z.msg, "invalid", 7) == 0;
	inflateEnd(&z);
	return ret->len >= PLAIN_MAX || r == Z_STREAM_END ? GOOD : of_deflate ? BAD_CODE : REFUSED;
}

static void check_decompression(const uint8_t *data, size_t size)
{
	scoped(buf) struct buf want = BUF_INIT;
	enum verdict verdict = theirs(data, size, &want);
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++) {
		scoped(buf) struct buf got = BUF_INIT;
		ssize_t r = ours(data, size, pieces[i], pieces[3 - i], &got);
		if (verdict != BAD_CODE) {
			assert((r >= 0) == (verdict == GOOD));
		}
		if (verdict == GOOD) {
			size_t n = want.len < got.len ? want.len : got.len;
			assert(want.len >= PLAIN_MAX || got.len == want.len);
			assert(n == 0 || memcmp(got.data, want.data, n) == 0);
		}
	}
}

static void compress_text(
	const uint8_t *data, size_t size, size_t piece, unsigned level, struct buf *ret)
{
	struct memory m = {{memory_read, memory_free}, data, size, piece};
	scoped(stream_free) struct stream *packed = stream_gzip_new(&m.base, level);
	assert(read_all(packed, piece, ret) == 0);
}

static void check_compression(const uint8_t *data, size_t size)
{
	for (unsigned level = 1; level <= 3 && size < PLAIN_MAX / 2; level++) {
		scoped(buf) struct buf packed = BUF_INIT;
		scoped(buf) struct buf again = BUF_INIT;
		scoped(buf) struct buf plain = BUF_INIT;
		compress_text(data, size, 700, level, &packed);
		compress_text(data, size, ROOM, level, &again);
		assert(packed.len == again.len && memcmp(packed.data, again.data, again.len) == 0);
		assert(theirs((const uint8_t *)packed.data, packed.len, &plain) == GOOD);
		assert(plain.len == size && (size == 0 || memcmp(plain.data, data, size) == 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b) {
		check_decompression(data, size);
	}
	check_compression(data, size);
	return 0;
}
