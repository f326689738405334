/* However the bytes are cut, they are the same messages, or the same error. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "grpc/frame.h"
#include "grpc/grpc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* All messages, each with its length in front; whether an error ended them. */
static bool read_all(const uint8_t *data, size_t size, size_t step, struct buf *ret)
{
	struct frame_reader f = {.with_status = true};
	scoped(buf) struct buf body = BUF_INIT;
	struct err e;
	for (size_t at = 0; at < size;) {
		size_t used = 0, n = size - at < step ? size - at : step;
		enum frame_type type;
		int r = frame_take(&f, data + at, n, &used, &body, &type, &e);
		assert(used <= n && body.len <= GRPC_MESSAGE_MAX);
		if (r < 0) {
			return false;
		}
		assert(r > 0 || used == n);
		if (r > 0) {
			buf_printf(ret, "%d %zu:", type, body.len);
			buf_append(ret, body.data, body.len);
		}
		at += used;
	}
	return true;
}

/* What goes on unread is what would have been read. */
static void check_whole(const uint8_t *data, size_t size)
{
	scoped(buf) struct buf first = BUF_INIT;
	scoped(buf) struct buf rest = BUF_INIT;
	scoped(buf) struct buf all = BUF_INIT;
	size_t n = frames_whole(data, size, size);
	assert(n <= size && frames_whole(data, n, n) == n);
	assert(frames_whole(data, size, 1) <= n);
	assert(read_all(data, n, n, &first));
	bool fine = read_all(data + n, size - n, size, &rest);
	assert(read_all(data, size, size, &all) == fine);
	buf_append(&first, rest.data, rest.len);
	assert(first.len == all.len && memcmp(buf_str(&first), buf_str(&all), all.len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_whole(data, size);
	scoped(buf) struct buf whole = BUF_INIT;
	bool fine = read_all(data, size, size, &whole);
	for (size_t step = 1; step < 8; step += 2) {
		scoped(buf) struct buf cut = BUF_INIT;
		assert(read_all(data, size, step, &cut) == fine);
		assert(cut.len == whole.len &&
			(cut.len == 0 || memcmp(cut.data, whole.data, cut.len) == 0));
	}
	return 0;
}
