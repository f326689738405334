#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/mem.h"
#include "base/path.h"
#include "tree/recipe_format.h"
#include "tree/stream.h"
#include "tree/unpack.h"

#define LEVEL 1 /* headers repeat: 3 makes nothing smaller and takes 0.7 MB more */
#define SPACE_CHECK_BYTES (32 << 20)

/* --- writing --- */

void recipe_frame_writer_init(struct frame_writer *w, int fd)
{
	*w = (struct frame_writer){.fd = fd, .z = ZSTD_createCCtx()};
	w->out = xnew_array(char, STREAM_CHUNK);
	if (!w->z) {
		abort(); /* out of memory */
	}
	ZSTD_CCtx_setParameter(w->z, ZSTD_c_compressionLevel, LEVEL);
	ZSTD_CCtx_setParameter(w->z, ZSTD_c_windowLog, RECIPE_WINDOW_LOG);
	ZSTD_CCtx_setParameter(w->z, ZSTD_c_checksumFlag, 1);
}

void recipe_frame_writer_deinit(struct frame_writer *w)
{
	ZSTD_freeCCtx(w->z);
	free(w->out);
}

/* What a stranger's tar keeps here must not fill the disk to the last byte. */
static int check_space(struct frame_writer *w, size_t n)
{
	struct statvfs fs;
	w->unchecked_bytes += (int64_t)n;
	if (w->unchecked_bytes < SPACE_CHECK_BYTES) {
		return 0;
	}
	w->unchecked_bytes = 0;
	bool full = fstatvfs(w->fd, &fs) == 0 &&
		    (uint64_t)fs.f_bavail * fs.f_frsize < UNPACK_RESERVE_BYTES;
	return full ? -ENOSPC : 0;
}

static int write_out(struct frame_writer *w, size_t n, struct err *e)
{
	int r = path_write_all(w->fd, w->out, n);
	r = r < 0 ? r : check_space(w, n);
	w->at += (int64_t)n;
	if (r == -ENOSPC || r == -EDQUOT) { /* Go's spelling, which scripts look for */
		(void)err_set(e, ERR_SYSTEM, "cannot write the recipe: no space left on device");
		e->sys = -r;
		return -1;
	}
	return r < 0 ? err_sys(e, -r, "cannot write the recipe") : 0;
}

static int compress(
	struct frame_writer *w, const void *data, size_t n, ZSTD_EndDirective how, struct err *e)
{
	ZSTD_inBuffer in = {data, n, 0};
	for (;;) {
		ZSTD_outBuffer out = {w->out, STREAM_CHUNK, 0};
		size_t left = ZSTD_compressStream2(w->z, &out, &in, how);
		if (ZSTD_isError(left)) {
			return err_set(e, ERR_SYSTEM, "cannot write the recipe: %s",
				ZSTD_getErrorName(left));
		}
		if (out.pos > 0 && write_out(w, out.pos, e) < 0) {
			return -1;
		}
		if (how == ZSTD_e_end ? left == 0 : in.pos == in.size) {
			return 0;
		}
	}
}

int recipe_frame_write(struct frame_writer *w, const void *data, size_t n, struct err *e)
{
	return n > 0 ? compress(w, data, n, ZSTD_e_continue, e) : 0;
}

int recipe_frame_write_number(struct frame_writer *w, uint64_t n, struct err *e)
{
	unsigned char text[RECIPE_NUMBER_MAX];
	size_t len = 0;
	do {
		text[len++] = (unsigned char)((n & 0x7f) | (n > 0x7f ? 0x80 : 0));
		n >>= 7;
	} while (n > 0);
	return recipe_frame_write(w, text, len, e);
}

int recipe_frame_end(struct frame_writer *w, struct err *e)
{
	return compress(w, "", 0, ZSTD_e_end, e);
}

/* --- reading --- */

void recipe_frame_reader_init(struct frame_reader *r, int fd, const char *layer)
{
	*r = (struct frame_reader){.fd = fd, .layer = layer, .z = ZSTD_createDCtx()};
	r->in = xnew_array(unsigned char, STREAM_CHUNK);
	r->out = xnew_array(unsigned char, STREAM_CHUNK);
	if (!r->z) {
		abort(); /* out of memory */
	}
	ZSTD_DCtx_setParameter(r->z, ZSTD_d_windowLogMax, RECIPE_WINDOW_LOG);
}

void recipe_frame_reader_deinit(struct frame_reader *r)
{
	ZSTD_freeDCtx(r->z);
	free(r->in);
	free(r->out);
}

void recipe_frame_begin(struct frame_reader *r, int64_t at)
{
	ZSTD_DCtx_reset(r->z, ZSTD_reset_session_only);
	r->at = at;
	r->in_begin = r->in_end = r->out_begin = r->out_end = 0;
	r->over = false;
}

static int fill_in(struct frame_reader *r, struct err *e)
{
	ssize_t n;
	if (r->in_begin < r->in_end) {
		return 0;
	}
	do {
		n = pread(r->fd, r->in, STREAM_CHUNK, r->at);
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		return n < 0 ? err_sys(e, errno, "cannot read the recipe of layer %.64s", r->layer)
			     : recipe_damaged(r->layer, e);
	}
	r->at += n;
	r->in_begin = 0;
	r->in_end = (size_t)n;
	return 0;
}

/* Until there is something in out, or the frame is over. */
static int fill_out(struct frame_reader *r, struct err *e)
{
	while (r->out_begin == r->out_end && !r->over) {
		ZSTD_outBuffer out = {r->out, STREAM_CHUNK, 0};
		if (fill_in(r, e) < 0) {
			return -1;
		}
		ZSTD_inBuffer in = {r->in + r->in_begin, r->in_end - r->in_begin, 0};
		size_t left = ZSTD_decompressStream(r->z, &out, &in);
		if (ZSTD_isError(left)) {
			return recipe_damaged(r->layer, e);
		}
		r->in_begin += in.pos;
		r->out_begin = 0;
		r->out_end = out.pos;
		r->over = left == 0;
	}
	return 0;
}

ssize_t recipe_frame_read(struct frame_reader *r, void *data, size_t n, struct err *e)
{
	if (fill_out(r, e) < 0) {
		return -1;
	}
	size_t have = r->out_end - r->out_begin;
	if (have == 0) {
		return recipe_damaged(r->layer, e);
	}
	n = n < have ? n : have;
	memcpy(data, r->out + r->out_begin, n);
	r->out_begin += n;
	return (ssize_t)n;
}

int recipe_frame_read_all(struct frame_reader *r, void *data, size_t n, struct err *e)
{
	for (char *p = data; n > 0;) {
		ssize_t got = recipe_frame_read(r, p, n, e);
		if (got < 0) {
			return -1;
		}
		p += got;
		n -= (size_t)got;
	}
	return 0;
}

int recipe_frame_read_number(struct frame_reader *r, uint64_t *ret, struct err *e)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 63; shift += 7) { /* positions are int64_t */
		unsigned char byte;
		if (recipe_frame_read_all(r, &byte, 1, e) < 0) {
			return -1;
		}
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return 0;
		}
	}
	return recipe_damaged(r->layer, e);
}

int recipe_frame_skip(struct frame_reader *r, uint64_t n, struct err *e)
{
	while (n > 0) {
		if (fill_out(r, e) < 0) {
			return -1;
		}
		size_t have = r->out_end - r->out_begin;
		if (have == 0) {
			return recipe_damaged(r->layer, e);
		}
		have = n < have ? (size_t)n : have;
		r->out_begin += have;
		n -= have;
	}
	return 0;
}

int recipe_frame_finish(struct frame_reader *r, int64_t *ret, struct err *e)
{
	if (fill_out(r, e) < 0) {
		return -1;
	}
	if (r->out_begin < r->out_end) {
		return recipe_damaged(r->layer, e);
	}
	*ret = r->at - (int64_t)(r->in_end - r->in_begin);
	return 0;
}
