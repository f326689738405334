#include "grpc/frame.h"

#include <string.h>

#include "grpc/grpc.h"

void frame_head(enum frame_type type, size_t n, uint8_t ret[static FRAME_HEAD])
{
	ret[0] = (uint8_t)type;
	for (size_t i = 0; i < 4; i++) {
		ret[1 + i] = (uint8_t)(n >> (8 * (3 - i)));
	}
}

static size_t frame_length(const uint8_t head[static FRAME_HEAD])
{
	size_t n = 0;
	for (size_t i = 1; i < FRAME_HEAD; i++) {
		n = n << 8 | head[i];
	}
	return n;
}

size_t frames_whole(const void *data, size_t n, size_t enough)
{
	const uint8_t *p = data;
	size_t at = 0;
	while (at < enough && n - at >= FRAME_HEAD && p[at] == FRAME_MESSAGE) {
		size_t body = frame_length(p + at);
		if (body > GRPC_MESSAGE_MAX || body > n - at - FRAME_HEAD) {
			break;
		}
		at += FRAME_HEAD + body;
	}
	return at;
}

static int begin_body(struct frame_reader *f, struct buf *body, struct err *e)
{
	bool status = f->head[0] == FRAME_STATUS && f->with_status;
	if (f->head[0] != FRAME_MESSAGE && !status) {
		return err_set(e, ERR_INVALID, "the message is compressed, which was not agreed");
	}
	f->left = frame_length(f->head);
	if (f->left > GRPC_MESSAGE_MAX) {
		return err_set(e, ERR_INVALID, "a message of %zu bytes is longer than %u", f->left,
			GRPC_MESSAGE_MAX);
	}
	buf_clear(body);
	return 0;
}

int frame_take(struct frame_reader *f, const void *data, size_t n, size_t *ret_used,
	struct buf *body, enum frame_type *ret_type, struct err *e)
{
	const char *p = data;
	size_t used = 0;
	f->begun = f->begun || n > 0;
	while (f->head_n < FRAME_HEAD && used < n) {
		f->head[f->head_n++] = (uint8_t)p[used++];
		if (f->head_n == FRAME_HEAD && begin_body(f, body, e) < 0) {
			return -1;
		}
	}
	*ret_used = used;
	if (f->head_n < FRAME_HEAD) {
		return 0;
	}
	size_t part = n - used < f->left ? n - used : f->left;
	if (buf_append_limited(body, p + used, part, GRPC_MESSAGE_MAX) < 0) {
		return err_set(e, ERR_BUSY, "no memory for a message of %zu bytes", f->left);
	}
	f->left -= part;
	*ret_used = used + part;
	if (f->left > 0) {
		return 0;
	}
	*ret_type = (enum frame_type)f->head[0];
	f->head_n = 0;
	f->begun = false;
	return 1;
}
