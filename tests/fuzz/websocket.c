/* Whatever comes: no more is handed on than came, and it is the same whole or byte by byte. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(const uint8_t *data, size_t size, size_t step, struct buf *ret)
{
	struct websocket w = {0};
	uint8_t *copy = xcalloc(1, size + 1);
	size_t at = 0;
	if (size > 0) {
		memcpy(copy, data, size);
	}
	while (at < size) {
		struct websocket_event e;
		size_t n = size - at < step ? size - at : step;
		ssize_t r = websocket_decode(&w, copy + at, n, &e);
		if (r < 0) {
			buf_puts(ret, "!");
			break;
		}
		assert(r > 0 && (size_t)r <= n && e.n <= size);
		if (e.opcode == WEBSOCKET_BINARY) {
			buf_append(ret, e.data, e.n);
		} else if (e.opcode != WEBSOCKET_CONTINUATION) {
			assert(e.n <= WEBSOCKET_CONTROL_MAX);
			buf_printf(ret, "[%x]", e.opcode);
			buf_append(ret, e.data, e.n);
		}
		at += (size_t)r;
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	scoped(buf) struct buf whole = BUF_INIT;
	scoped(buf) struct buf single = BUF_INIT;
	decode(data, size, SIZE_MAX, &whole);
	decode(data, size, 1, &single);
	assert(whole.len == single.len &&
		memcmp(buf_str(&whole), buf_str(&single), whole.len) == 0);
	return 0;
}
