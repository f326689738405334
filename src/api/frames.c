#include "api/frames.h"

#include "codec/shim_frame.h"
#include "http/server.h"

bool frame_write(struct http_request *r, bool tty, int stream, const char *data, size_t n)
{
	if (!tty) {
		uint8_t head[SHIM_FRAME_HEAD];
		shim_frame_head((uint8_t)stream, (uint32_t)n, head);
		http_stream_write(r, head, sizeof(head));
	}
	return http_stream_write(r, data, n);
}

void frame_append(struct buf *out, bool tty, int stream, const char *data, size_t n)
{
	if (!tty) {
		uint8_t head[SHIM_FRAME_HEAD];
		shim_frame_head((uint8_t)stream, (uint32_t)n, head);
		buf_append(out, head, sizeof(head));
	}
	buf_append(out, data, n);
}

const char *frame_content_type(bool tty, int api_version)
{
	return tty || api_version < 42 ? "application/vnd.docker.raw-stream"
				       : "application/vnd.docker.multiplexed-stream";
}
