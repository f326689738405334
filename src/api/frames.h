/* api/frames.h - stdio on the wire: raw for a tty, else Docker's multiplexed frames (stream, 3 zero
 * bytes, 32-bit big endian length, payload). Docker API v1.45 ContainerAttach, "Stream format". */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

struct http_request;

/* As http_stream_write: false when the client reads slower. */
bool frame_write(struct http_request *r, bool tty, int stream, const char *data, size_t n);
void frame_append(struct buf *out, bool tty, int stream, const char *data, size_t n);
const char *frame_content_type(bool tty, int api_version);
