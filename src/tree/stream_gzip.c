/* The stage of stream.h that compresses.
 *
 * The same bytes must always become the same blob. isa-l's choices depend on how much it is given
 * at once: every call but the last gets a full buffer. And levels 1 and 2 of 2.30 are not
 * repeatable for inputs below 16 KiB (one in some hundreds differs): what fits one buffer gets
 * level 3. */
#include <assert.h>
#include <isa-l/igzip_lib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "tree/stream.h"

struct gzip_stream {
	struct stream base;
	struct stream *inner;
	struct isal_zstream z;
	bool begun, in_over; /* inner has given something; has ended */
	uint8_t *level_buf;
	uint8_t in[STREAM_CHUNK];
	uint8_t out[STREAM_CHUNK];
	size_t out_begin, out_end;
};

static int gzip_fill(struct gzip_stream *g, struct err *e)
{
	size_t n = 0;
	while (n < sizeof(g->in) && !g->in_over) {
		ssize_t got = stream_read(g->inner, g->in + n, sizeof(g->in) - n, e);
		if (got < 0) {
			return -1;
		}
		g->in_over = got == 0;
		n += (size_t)got;
	}
	if (g->in_over && !g->begun) {
		g->z.level = 3;
	}
	g->begun = true;
	g->z.next_in = g->in;
	g->z.avail_in = (uint32_t)n;
	g->z.end_of_stream = g->in_over;
	return 0;
}

/* Fills out; empty after the last byte. */
static int gzip_deflate(struct gzip_stream *g, struct err *e)
{
	g->z.next_out = g->out;
	g->z.avail_out = sizeof(g->out);
	while (g->z.avail_out > 0 && g->z.internal_state.state != ZSTATE_END) {
		if (g->z.avail_in == 0 && !g->in_over && gzip_fill(g, e) < 0) {
			return -1;
		}
		if (isal_deflate(&g->z) != COMP_OK) {
			return err_set(e, ERR_SYSTEM, "cannot compress");
		}
	}
	g->out_begin = 0;
	g->out_end = sizeof(g->out) - g->z.avail_out;
	return 0;
}

static ssize_t gzip_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct gzip_stream *g = container_of(s, struct gzip_stream, base);
	if (g->out_begin == g->out_end && gzip_deflate(g, e) < 0) {
		return -1;
	}
	size_t kept = g->out_end - g->out_begin;
	n = n < kept ? n : kept;
	memcpy(data, g->out + g->out_begin, n);
	g->out_begin += n;
	return (ssize_t)n;
}

static void gzip_free(struct stream *s)
{
	struct gzip_stream *g = container_of(s, struct gzip_stream, base);
	free(g->level_buf);
	free(g);
}

struct stream *stream_gzip_new(struct stream *inner, unsigned level)
{
	assert(level >= 1 && level <= 3);
	struct gzip_stream *g = xnew(struct gzip_stream);
	g->base = (struct stream){gzip_read, gzip_free};
	g->inner = inner;
	isal_deflate_init(&g->z);
	g->z.gzip_flag = IGZIP_GZIP;
	g->z.level = level;
	g->z.level_buf_size = ISAL_DEF_LVL3_DEFAULT; /* enough for the others too */
	g->level_buf = xnew_array(uint8_t, ISAL_DEF_LVL3_DEFAULT);
	g->z.level_buf = g->level_buf;
	return &g->base;
}
