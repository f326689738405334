/* The stage of stream.h that decompresses: what the first bytes are decides. */
#include "tree/stream.h"

#include <archive.h>
#include <errno.h>
#include <string.h>
#include <zstd.h>

#include "base/list.h"
#include "base/mem.h"
#include "tree/gunzip.h"

#define ZSTD_WINDOW_LOG_MAX 25
#define MAGIC_MAX 6

enum format { UNDECIDED, PLAIN, GZIP, ZSTD, OTHER };

struct unzip_stream {
	struct stream base;
	struct stream *inner; /* our own peek stage */
	enum format format;
	struct gunzip *gzip;
	ZSTD_DCtx *zstd;
	struct archive *other; /* xz and bzip2, which only people's own archives use: libarchive may
				  look after them */
	bool inner_failed;     /* below other; inner_error says how */
	struct err inner_error;
	unsigned char *in;
	size_t in_begin, in_end;
	bool in_over;    /* inner has ended */
	bool frame_over; /* between two zstd frames: the input may end here */
};

static enum format find_format(const unsigned char *magic, size_t n)
{
	static const struct {
		enum format format;
		size_t n;
		const char *magic;
	} known[] = {
		{GZIP, 2, "\x1f\x8b"},
		{ZSTD, 4, "\x28\xb5\x2f\xfd"},
		{OTHER, 6,
			"\xfd"
			"7zXZ\0"},
		{OTHER, 3, "BZh"},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (n >= known[i].n && memcmp(magic, known[i].magic, known[i].n) == 0) {
			return known[i].format;
		}
	}
	return PLAIN;
}

bool stream_is_compressed(const void *begin, size_t n)
{
	return find_format(begin, n) != PLAIN;
}

static la_ssize_t read_inner(struct archive *a, void *owner, const void **ret)
{
	struct unzip_stream *u = owner;
	*ret = u->in;
	ssize_t n = stream_read(u->inner, u->in, STREAM_CHUNK, &u->inner_error);
	if (n < 0) {
		u->inner_failed = true;
		archive_set_error(a, EIO, "the source failed");
	}
	return n;
}

static int other_failed(struct unzip_stream *u, struct err *e)
{
	if (u->inner_failed) {
		*e = u->inner_error;
		return -1;
	}
	const char *reason = archive_error_string(u->other);
	return err_set(e, ERR_INVALID, "invalid compressed data: %.200s",
		reason ? reason : "it is damaged");
}

static int begin_other(struct unzip_stream *u, struct err *e)
{
	struct archive_entry *entry;
	u->other = archive_read_new();
	if (!u->other || archive_read_support_filter_xz(u->other) != ARCHIVE_OK ||
		archive_read_support_filter_bzip2(u->other) != ARCHIVE_OK ||
		archive_read_support_format_raw(u->other) != ARCHIVE_OK) {
		return err_sys(e, ENOMEM, "cannot unpack");
	}
	if (archive_read_open(u->other, u, NULL, read_inner, NULL) != ARCHIVE_OK ||
		archive_read_next_header(u->other, &entry) != ARCHIVE_OK) {
		return other_failed(u, e);
	}
	return 0;
}

static int unzip_begin(struct unzip_stream *u, struct err *e)
{
	const void *magic;
	ssize_t n = stream_peek(u->inner, &magic, MAGIC_MAX, e);
	if (n < 0) {
		return -1;
	}
	u->format = find_format(magic, (size_t)n);
	if (u->format == PLAIN) {
		return 0;
	}
	u->in = xnew_array(unsigned char, STREAM_CHUNK);
	if (u->format == OTHER) {
		return begin_other(u, e);
	}
	if (u->format == GZIP) {
		u->gzip = gunzip_new();
		return 0;
	}
	u->zstd = ZSTD_createDCtx();
	if (!u->zstd) {
		return err_sys(e, ENOMEM, "cannot unpack zstd");
	}
	ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX);
	return 0;
}

static int unzip_fill(struct unzip_stream *u, struct err *e)
{
	if (u->in_begin < u->in_end || u->in_over) {
		return 0;
	}
	ssize_t n = stream_read(u->inner, u->in, STREAM_CHUNK, e);
	if (n < 0) {
		return -1;
	}
	u->in_begin = 0;
	u->in_end = (size_t)n;
	u->in_over = n == 0;
	return 0;
}

/* One step; *ret_out bytes were written to data, perhaps none yet. */
static int gzip_step(struct unzip_stream *u, void *data, size_t n, size_t *ret_out, struct err *e)
{
	size_t used;
	if (gunzip_step(u->gzip, u->in + u->in_begin, u->in_end - u->in_begin, &used, data, n,
		    ret_out, e) < 0) {
		return -1;
	}
	u->in_begin += used;
	return 0;
}

static int zstd_step(struct unzip_stream *u, void *data, size_t n, size_t *ret_out, struct err *e)
{
	ZSTD_inBuffer in = {u->in + u->in_begin, u->in_end - u->in_begin, 0};
	ZSTD_outBuffer out = {data, n, 0};
	size_t r = ZSTD_decompressStream(u->zstd, &out, &in);
	if (ZSTD_isError(r)) {
		return err_set(e, ERR_INVALID, "invalid zstd data: %s", ZSTD_getErrorName(r));
	}
	u->in_begin += in.pos;
	*ret_out = out.pos;
	u->frame_over = r == 0;
	return 0;
}

static bool may_end(const struct unzip_stream *u)
{
	return u->format == GZIP ? gunzip_is_over(u->gzip) : u->frame_over;
}

static ssize_t unzip_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct unzip_stream *u = container_of(s, struct unzip_stream, base);
	if (u->format == UNDECIDED && unzip_begin(u, e) < 0) {
		return -1;
	}
	if (u->format == PLAIN) {
		return stream_read(u->inner, data, n, e);
	}
	if (u->format == OTHER) {
		la_ssize_t got = archive_read_data(u->other, data, n);
		return got < 0 ? other_failed(u, e) : got;
	}
	for (;;) {
		if (unzip_fill(u, e) < 0) {
			return -1;
		}
		if (u->in_over && may_end(u)) {
			return 0;
		}
		size_t out = 0;
		int r = u->format == GZIP ? gzip_step(u, data, n, &out, e)
					  : zstd_step(u, data, n, &out, e);
		if (r < 0) {
			return -1;
		}
		if (out > 0) {
			return (ssize_t)out;
		}
		if (u->in_over && !may_end(u)) {
			return err_set(
				e, ERR_INVALID, "unexpected EOF: the compressed data is cut short");
		}
	}
}

static void unzip_free(struct stream *s)
{
	struct unzip_stream *u = container_of(s, struct unzip_stream, base);
	gunzip_free(u->gzip);
	ZSTD_freeDCtx(u->zstd);
	archive_read_free(u->other);
	stream_free(u->inner);
	free(u->in);
	free(u);
}

struct stream *stream_decompress_new(struct stream *inner)
{
	struct unzip_stream *u = xnew(struct unzip_stream);
	u->base = (struct stream){unzip_read, unzip_free};
	u->inner = stream_peek_new(inner);
	return &u->base;
}
