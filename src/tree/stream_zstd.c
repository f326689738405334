/* The stage of stream.h that compresses to zstd. */
#include <string.h>
#include <zstd.h>

#include "base/list.h"
#include "base/mem.h"
#include "tree/stream.h"

struct zstd_stream {
	struct stream base;
	struct stream *inner;
	ZSTD_CCtx *z;
	char in[STREAM_CHUNK];
	ZSTD_inBuffer pending;
	bool in_over, over; /* inner has ended; so has the frame */
};

static ssize_t zstd_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct zstd_stream *z = container_of(s, struct zstd_stream, base);
	ZSTD_outBuffer out = {data, n, 0};
	while (out.pos == 0 && !z->over) {
		if (z->pending.pos == z->pending.size && !z->in_over) {
			ssize_t got = stream_read(z->inner, z->in, sizeof(z->in), e);
			if (got < 0) {
				return -1;
			}
			z->in_over = got == 0;
			z->pending = (ZSTD_inBuffer){z->in, (size_t)got, 0};
		}
		ZSTD_EndDirective how = z->in_over ? ZSTD_e_end : ZSTD_e_continue;
		size_t left = ZSTD_compressStream2(z->z, &out, &z->pending, how);
		if (ZSTD_isError(left)) {
			return err_set(
				e, ERR_SYSTEM, "cannot compress: %s", ZSTD_getErrorName(left));
		}
		z->over = z->in_over && left == 0;
	}
	return (ssize_t)out.pos;
}

static void zstd_free(struct stream *s)
{
	struct zstd_stream *z = container_of(s, struct zstd_stream, base);
	ZSTD_freeCCtx(z->z);
	free(z);
}

struct stream *stream_zstd_new(struct stream *inner, int level)
{
	struct zstd_stream *z = xnew(struct zstd_stream);
	z->base = (struct stream){zstd_read, zstd_free};
	z->inner = inner;
	z->z = ZSTD_createCCtx();
	if (!z->z) {
		abort(); /* out of memory */
	}
	ZSTD_CCtx_setParameter(z->z, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(z->z, ZSTD_c_checksumFlag, 1);
	return &z->base;
}
