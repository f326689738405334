#include "codec/websocket.h"

#include <string.h>

#include "base/buf.h"
#include "base/text.h"

/* --- SHA-1, which the handshake is made of: RFC 3174. It protects nothing here. --- */

struct sha1 {
	uint32_t h[5];
};

static uint32_t rotate(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static void sha1_block(struct sha1 *s, const uint8_t block[64])
{
	static const uint32_t k[4] = {0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xca62c1d6};
	uint32_t w[80];
	uint32_t a = s->h[0], b = s->h[1], c = s->h[2], d = s->h[3], e = s->h[4];
	for (size_t t = 0; t < 80; t++) {
		w[t] = t < 16 ? (uint32_t)block[4 * t] << 24 | (uint32_t)block[4 * t + 1] << 16 |
					(uint32_t)block[4 * t + 2] << 8 | block[4 * t + 3]
			      : rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
		uint32_t f = t < 20              ? (b & c) | (~b & d)
			     : t >= 40 && t < 60 ? (b & c) | (b & d) | (c & d)
						 : b ^ c ^ d;
		uint32_t next = rotate(a, 5) + f + e + w[t] + k[t / 20];
		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	const uint32_t add[5] = {a, b, c, d, e};
	for (size_t i = 0; i < 5; i++) {
		s->h[i] += add[i];
	}
}

/* n is at most 119: two blocks with the padding. */
static void sha1_short(const void *data, size_t n, uint8_t ret[20])
{
	struct sha1 s = {{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
	uint8_t blocks[128] = {0};
	size_t total = n < 56 ? 64 : 128;
	memcpy(blocks, data, n);
	blocks[n] = 0x80;
	blocks[total - 2] = (uint8_t)(n * 8 >> 8);
	blocks[total - 1] = (uint8_t)(n * 8);
	for (size_t at = 0; at < total; at += 64) {
		sha1_block(&s, blocks + at);
	}
	for (size_t i = 0; i < 20; i++) {
		ret[i] = (uint8_t)(s.h[i / 4] >> (24 - 8 * (i % 4)));
	}
}

/* --- handshake: RFC 6455 4.2.2 --- */

bool websocket_accept(const char *key, char ret[WEBSOCKET_ACCEPT_MAX])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char text[24 + sizeof(guid)];
	uint8_t digest[20];
	scoped(buf) struct buf bytes = BUF_INIT;
	scoped(buf) struct buf encoded = BUF_INIT;
	if (strlen(key) != 24 || base64_decode(key, 24, &bytes) < 0 || bytes.len != 16) {
		return false;
	}
	memcpy(text, key, 24);
	memcpy(text + 24, guid, sizeof(guid));
	sha1_short(text, 24 + sizeof(guid) - 1, digest);
	base64_encode(digest, sizeof(digest), &encoded);
	memcpy(ret, buf_str(&encoded), WEBSOCKET_ACCEPT_MAX);
	return true;
}

/* --- frames: RFC 6455 5.2 --- */

size_t websocket_head(enum websocket_opcode opcode, uint64_t n, uint8_t ret[WEBSOCKET_HEAD_MAX])
{
	size_t bytes = n < 126 ? 0 : n <= UINT16_MAX ? 2 : 8;
	ret[0] = (uint8_t)(0x80 | opcode);
	ret[1] = (uint8_t)(bytes == 0 ? n : bytes == 2 ? 126 : 127);
	for (size_t i = 0; i < bytes; i++) {
		ret[2 + i] = (uint8_t)(n >> (8 * (bytes - 1 - i)));
	}
	return 2 + bytes;
}

static bool is_control(uint8_t opcode)
{
	return opcode & 0x8;
}

/* What the first two bytes allow. Extensions were not agreed on; clients mask (5.1). */
static bool head_is_legal(const struct websocket *w)
{
	uint8_t opcode = w->head[0] & 0x0f;
	bool fin = w->head[0] & 0x80;
	if (w->head[0] & 0x70 || !(w->head[1] & 0x80)) {
		return false;
	}
	if (is_control(opcode)) {
		return opcode <= WEBSOCKET_PONG && fin &&
		       (w->head[1] & 0x7f) <= WEBSOCKET_CONTROL_MAX;
	}
	return opcode <= WEBSOCKET_BINARY && w->in_message == (opcode == WEBSOCKET_CONTINUATION);
}

static size_t head_length(const struct websocket *w)
{
	if (w->head_n < 2) {
		return 2;
	}
	unsigned n = w->head[1] & 0x7f;
	return 2 + (n == 126 ? 2u : n == 127 ? 8u : 0u) + 4;
}

/* False for a length that has its top bit set. */
static bool begin_frame(struct websocket *w)
{
	size_t bytes = head_length(w) - 6;
	uint8_t opcode = w->head[0] & 0x0f;
	bool fin = w->head[0] & 0x80;
	w->left = bytes == 0 ? w->head[1] & 0x7f : 0;
	for (size_t i = 0; i < bytes; i++) {
		w->left = w->left << 8 | w->head[2 + i];
	}
	memcpy(w->mask, w->head + 2 + bytes, 4);
	w->mask_at = 0;
	w->control_n = 0;
	w->in_frame = true;
	w->head_n = 0;
	w->opcode = opcode;
	if (!is_control(opcode)) {
		w->opcode = WEBSOCKET_BINARY; /* pieces of text are bytes to us */
		w->in_message = !fin;
	}
	return !(w->left >> 63);
}

static ssize_t take_head(struct websocket *w, const uint8_t *data, size_t n)
{
	size_t taken = 0;
	while (taken < n && w->head_n < head_length(w)) {
		w->head[w->head_n++] = data[taken++];
		if (w->head_n == 2 && !head_is_legal(w)) {
			return -1;
		}
	}
	if (w->head_n == head_length(w) && !begin_frame(w)) {
		return -1;
	}
	return (ssize_t)taken;
}

static void unmask(struct websocket *w, uint8_t *data, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		data[i] ^= w->mask[w->mask_at++ & 3];
	}
}

ssize_t websocket_decode(struct websocket *w, uint8_t *data, size_t n, struct websocket_event *ret)
{
	size_t taken = 0;
	*ret = (struct websocket_event){WEBSOCKET_CONTINUATION, NULL, 0};
	if (!w->in_frame) {
		ssize_t head = take_head(w, data, n);
		if (head < 0 || !w->in_frame) {
			return head;
		}
		taken = (size_t)head;
	}
	size_t part = n - taken < w->left ? n - taken : (size_t)w->left;
	unmask(w, data + taken, part);
	w->left -= part;
	w->in_frame = w->left > 0;
	if (!is_control(w->opcode)) {
		*ret = (struct websocket_event){WEBSOCKET_BINARY, data + taken, part};
	} else {
		memcpy(w->control + w->control_n, data + taken, part);
		w->control_n += part;
		if (!w->in_frame) {
			*ret = (struct websocket_event){
				(enum websocket_opcode)w->opcode, w->control, w->control_n};
		}
	}
	return (ssize_t)(taken + part);
}
