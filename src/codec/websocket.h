/* codec/websocket.h - frames of the WebSocket protocol, the server's end: RFC 6455. No fds, no
 * clock, no globals.
 *
 * Payloads are handed on in pieces as they come, so that a frame may be of any size.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WEBSOCKET_ACCEPT_MAX 29 /* with NUL */
#define WEBSOCKET_HEAD_MAX 10   /* of a frame that we send */
#define WEBSOCKET_CONTROL_MAX 125

enum websocket_opcode {
	WEBSOCKET_CONTINUATION = 0x0,
	WEBSOCKET_TEXT = 0x1,
	WEBSOCKET_BINARY = 0x2,
	WEBSOCKET_CLOSE = 0x8,
	WEBSOCKET_PING = 0x9,
	WEBSOCKET_PONG = 0xa,
};
/* the code of a close frame: RFC 6455 7.4.1 */
#define WEBSOCKET_NORMAL 1000
#define WEBSOCKET_PROTOCOL_ERROR 1002

/* Sec-WebSocket-Accept for a Sec-WebSocket-Key; false when the key is not 16 bytes in base64. */
bool websocket_accept(const char *key, char ret[WEBSOCKET_ACCEPT_MAX]);

/* The head of a whole frame of n bytes, not masked; returns its length. */
size_t websocket_head(enum websocket_opcode opcode, uint64_t n, uint8_t ret[WEBSOCKET_HEAD_MAX]);

/* Zero it to begin. */
struct websocket {
	uint8_t head[14]; /* of the frame that is being read */
	size_t head_n;
	bool in_frame, in_message;
	uint8_t opcode;
	uint64_t left; /* of the payload */
	uint8_t mask[4];
	unsigned mask_at;
	uint8_t control[WEBSOCKET_CONTROL_MAX];
	size_t control_n;
};

struct websocket_event {
	enum websocket_opcode opcode; /* BINARY and TEXT: a piece of a message; else a whole control
					 frame */
	const void *data;             /* unmasked; in the caller's buffer, or in the websocket */
	size_t n;
};

/* Takes bytes off data, which is unmasked in place: returns how many, at least 1 of n > 0. *ret has
 * opcode CONTINUATION when there is nothing to hand on yet. -1: not the protocol; the connection is
 * to be closed. */
ssize_t websocket_decode(struct websocket *w, uint8_t *data, size_t n, struct websocket_event *ret);
