/* The first byte chooses. A head: parse, print, parse again gives the same message, and no part of
 * it can break a line. A chunked body: cut into single bytes it decodes to the same as whole. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "codec/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text)
{
	assert(!strpbrk(text, "\r\n"));
}

static void print(const struct http1_head *h, bool is_request, struct buf *b)
{
	if (is_request) {
		check_text(h->path);
		check_text(h->query);
		assert(*h->path == '/');
		buf_printf(b, "%s %s%s%s HTTP/1.%d\r\n", h->method, h->path, *h->query ? "?" : "",
			h->query, h->minor);
	} else {
		assert(h->status >= 0 && h->status <= 999);
		buf_printf(b, "HTTP/1.%d %03d X\r\n", h->minor, h->status);
	}
	for (size_t i = 0; i < h->n_headers; i++) {
		check_text(h->headers[i].name);
		check_text(h->headers[i].value);
		assert(http1_header(h, h->headers[i].name));
		buf_printf(b, "%s: %s\r\n", h->headers[i].name, h->headers[i].value);
	}
	buf_puts(b, "\r\n");
}

static int parse(struct http1_head *ret, bool is_request, const char *data, size_t n)
{
	struct err e;
	return is_request ? http1_parse_request(ret, data, n, &e)
			  : http1_parse_response(ret, data, n, false, &e);
}

static void check_head(bool is_request, const char *data, size_t size)
{
	ssize_t n = http1_head_length(data, size);
	struct http1_head first, again;
	assert(n <= (ssize_t)size);
	if (n <= 0 || parse(&first, is_request, data, (size_t)n) < 0) {
		return;
	}
	scoped(buf) struct buf b = BUF_INIT;
	print(&first, is_request, &b);
	/* what we print has more blanks than what we read */
	if (http1_head_length(buf_str(&b), b.len) > 0) {
		assert(http1_head_length(buf_str(&b), b.len) == (ssize_t)b.len);
		assert(parse(&again, is_request, buf_str(&b), b.len) == 0);
		assert(again.body == first.body && again.length == first.length &&
			again.n_headers == first.n_headers);
		assert(again.keep_alive == first.keep_alive && again.upgrade == first.upgrade);
		for (size_t i = 0; i < first.n_headers; i++) {
			assert(strcmp(first.headers[i].name, again.headers[i].name) == 0);
			assert(strcmp(first.headers[i].value, again.headers[i].value) == 0);
		}
		http1_head_deinit(&again);
	}
	http1_head_deinit(&first);
}

/* In pieces of at most step bytes. Returns how many bytes the body took, or -1. */
static ssize_t decode(const char *data, size_t size, size_t step, struct buf *ret, bool *ret_done)
{
	struct http1_chunked d = {0};
	size_t at = 0;
	while (at < size && !http1_chunked_done(&d)) {
		const char *piece;
		size_t n, left = size - at < step ? size - at : step;
		ssize_t taken = http1_chunked_decode(&d, data + at, left, &piece, &n);
		if (taken < 0) {
			return -1;
		}
		assert((size_t)taken <= left && taken > 0);
		assert(n == 0 || (piece >= data + at && piece + n <= data + at + taken));
		buf_append(ret, piece, n);
		at += (size_t)taken;
	}
	*ret_done = http1_chunked_done(&d);
	return (ssize_t)at;
}

static void check_chunked(const char *data, size_t size)
{
	scoped(buf) struct buf whole = BUF_INIT, pieces = BUF_INIT;
	bool whole_done = false, pieces_done = false;
	ssize_t a = decode(data, size, size, &whole, &whole_done);
	ssize_t b = decode(data, size, 1, &pieces, &pieces_done);
	assert(a == b && whole_done == pieces_done);
	assert(a < 0 ||
		(whole.len == pieces.len && strcmp(buf_str(&whole), buf_str(&pieces)) == 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1;
	if (size == 0) {
		return 0;
	}
	switch (data[0]) {
	case 'q':
		check_head(true, text, size - 1);
		break;
	case 's':
		check_head(false, text, size - 1);
		break;
	default:
		check_chunked(text, size - 1);
	}
	return 0;
}
