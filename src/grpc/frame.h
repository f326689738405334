/* grpc/frame.h - messages in a stream of bytes: 1 byte type, 4 bytes length (big-endian), the
 * bytes.
 *
 * gRPC over HTTP2 "Length-Prefixed-Message", where the type is the compressed flag; a session
 * stream of a build worker ends with a frame of type FRAME_STATUS.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FRAME_HEAD 5

enum frame_type { FRAME_MESSAGE = 0, FRAME_STATUS = 0xff };

struct frame_reader {
	bool with_status; /* FRAME_STATUS may come */
	uint8_t head[FRAME_HEAD];
	size_t head_n; /* FRAME_HEAD: the body is being read */
	size_t left;   /* of the body */
	bool begun;    /* part of a frame was taken */
};

void frame_head(enum frame_type type, size_t n, uint8_t ret[static FRAME_HEAD]);

/* Of the n bytes, those that are whole frames of messages, one after another, until there are
 * enough. Stops before anything else. */
size_t frames_whole(const void *data, size_t n, size_t enough);

/* Takes bytes of at most one frame: *ret_used of the n. The body is collected in *body, which is
 * emptied at a frame's begin. 1: the frame is whole, *ret_type its type; 0: more is needed, all n
 * were used; -1 with *e (ERR_INVALID): no frame, or longer than GRPC_MESSAGE_MAX. */
int frame_take(struct frame_reader *f, const void *data, size_t n, size_t *ret_used,
	struct buf *body, enum frame_type *ret_type, struct err *e);
