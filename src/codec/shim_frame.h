/* codec/shim_frame.h - what the daemon and a shim say to each other on DIR/shim.sock.
 *
 * A frame is 8 bytes of head (type, three zero bytes, payload length as 32-bit big endian) and the
 * payload, as in Docker's multiplexed streams, so that output frames can be passed on to API
 * clients as they are. The first frame from the client says what the connection is for:
 * SHIM_CONTROL or SHIM_ATTACH.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define SHIM_FRAME_HEAD 8
#define SHIM_PAYLOAD_MAX (32u << 10)

enum shim_frame_type {
	SHIM_STDIN = 0,    /* to the shim: bytes for the container */
	SHIM_STDOUT = 1,   /* from the shim */
	SHIM_STDERR = 2,   /* from the shim */
	SHIM_CONTROL = 16, /* to the shim: state frames follow, beginning with the present state */
	SHIM_ATTACH =
		17, /* to the shim: payload 1 byte of SHIM_WANT_ flags; SHIM_ATTACHED answers */
	SHIM_ATTACHED = 18,
	SHIM_STDIN_END = 19, /* to the shim: the container's stdin is closed */
	SHIM_RESIZE = 20,    /* to the shim: rows, columns as two 16-bit big endian */
	SHIM_GO = 21,        /* to the shim: the network is wired, run crun */
	SHIM_READY = 22,     /* from the shim: namespaces exist */
	SHIM_STARTED = 23,   /* from the shim: 32-bit pid, 64-bit start time in ns since 1970 */
	SHIM_FAILED = 24,    /* from the shim: crun's words; the shim ends */
	SHIM_EXITED = 25, /* from the shim: 32-bit exit code (128 + signal), 64-bit time, 8-bit OOM
			     flag; all output was sent */
};

enum { SHIM_WANT_STDIN = 1u << 0, SHIM_WANT_STDOUT = 1u << 1, SHIM_WANT_STDERR = 1u << 2 };

void shim_frame_head(uint8_t type, uint32_t len, uint8_t ret[static SHIM_FRAME_HEAD]);
/* -EINVAL for an unknown type, non-zero padding or a length beyond SHIM_PAYLOAD_MAX. */
int shim_frame_parse(
	const uint8_t head[static SHIM_FRAME_HEAD], uint8_t *ret_type, uint32_t *ret_len);
