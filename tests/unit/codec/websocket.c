/* WebSocket frames, the server's end: RFC 6455. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "codec/websocket.h"

static void the_rfcs_key_gives_the_rfcs_answer(void **state)
{
	char accept[WEBSOCKET_ACCEPT_MAX];

	assert_true(websocket_accept("dGhlIHNhbXBsZSBub25jZQ==", accept)); /* RFC 6455 1.3 */
	assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_false(websocket_accept("", accept));
	assert_false(websocket_accept("dGhlIHNhbXBsZSBub25j", accept));
	assert_false(websocket_accept("dGhlIHNhbXBsZSBub25jZQ\r\n", accept));
}

static void lengths_take_one_two_or_eight_bytes(void **state)
{
	uint8_t head[WEBSOCKET_HEAD_MAX];

	assert_int_equal(websocket_head(WEBSOCKET_BINARY, 125, head), 2);
	assert_memory_equal(head, "\x82\x7d", 2);
	assert_int_equal(websocket_head(WEBSOCKET_CLOSE, 126, head), 4);
	assert_memory_equal(head, "\x88\x7e\x00\x7e", 4);
	assert_int_equal(websocket_head(WEBSOCKET_TEXT, 65536, head), 10);
	assert_memory_equal(head, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10);
}

/* All of data in pieces of at most step bytes; what came of it as text: "piece", "[ping x]". -1 for
 * a refusal. */
static int decode(const void *data, size_t n, size_t step, struct buf *ret)
{
	struct websocket w = {0};
	uint8_t copy[512];
	memcpy(copy, data, n);
	for (size_t at = 0; at < n;) {
		struct websocket_event e;
		ssize_t r = websocket_decode(&w, copy + at, n - at < step ? n - at : step, &e);
		if (r < 0) {
			return -1;
		}
		assert_true(r > 0);
		at += (size_t)r;
		if (e.opcode == WEBSOCKET_BINARY) {
			buf_append(ret, e.data, e.n);
		} else if (e.opcode != WEBSOCKET_CONTINUATION) {
			buf_printf(ret, "[%x %.*s]", e.opcode, (int)e.n, (const char *)e.data);
		}
	}
	return 0;
}

static void a_message_is_the_same_in_whatever_pieces_it_comes(void **state)
{
	/* "Hello" masked (RFC 6455 5.7), in two fragments with a ping between, then a close */
	static const char bytes[] = "\x01\x83\x37\xfa\x21\x3d\x7f\x9f\x4d"
				    "\x89\x82\x00\x00\x00\x00Hi"
				    "\x80\x82\x37\xfa\x21\x3d\x5b\x95"
				    "\x88\x82\x00\x00\x00\x00\x03\xe8";
	for (size_t step = 1; step < sizeof(bytes); step++) {
		scoped(buf) struct buf got = BUF_INIT;
		assert_int_equal(decode(bytes, sizeof(bytes) - 1, step, &got), 0);
		assert_string_equal(buf_str(&got), "Hel[9 Hi]lo[8 \x03\xe8]");
	}
}

static void what_is_not_the_protocol_is_refused(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} wrong[] = {{"\x82\x01x", 3},            /* not masked */
		{"\xc2\x80....", 6},              /* an extension nobody agreed on */
		{"\x83\x80....", 6},              /* no such opcode */
		{"\x8b\x80....", 6},              /* no such control */
		{"\x09\x80....", 6},              /* a control in fragments */
		{"\x89\xfe\x00\x7e....", 8},      /* a control of 126 bytes */
		{"\x80\x80....", 6},              /* continues nothing */
		{"\x02\x80....\x82\x80....", 12}, /* begins inside a message */
		{"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00....", 14}}; /* longer than 2^63 */
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		scoped(buf) struct buf got = BUF_INIT;
		assert_int_equal(decode(wrong[i].bytes, wrong[i].n, 512, &got), -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_rfcs_key_gives_the_rfcs_answer),
		cmocka_unit_test(lengths_take_one_two_or_eight_bytes),
		cmocka_unit_test(a_message_is_the_same_in_whatever_pieces_it_comes),
		cmocka_unit_test(what_is_not_the_protocol_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
