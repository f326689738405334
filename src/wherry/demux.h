/* wherry/demux.h - takes apart the multiplexed output of containers without a terminal.
 *
 * Docker API ContainerAttach, "Stream format": 8 bytes {type, 0, 0, 0, length as 32-bit big
 * endian}, then the payload. Pure.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define DEMUX_HEAD 8

struct demux {
	uint8_t head[DEMUX_HEAD];
	size_t head_n;
	uint32_t left; /* of the present payload */
};

/* type: 1 stdout, 2 stderr, 3 an error of the engine. */
typedef int demux_fn(void *owner, int type, const char *data, size_t n, struct err *e);

/* Any pieces; fn is called for each part of a payload, and its -1 ends the call. ERR_SYSTEM for an
 * unknown type. */
int demux_feed(
	struct demux *d, const char *data, size_t n, demux_fn *fn, void *owner, struct err *e);
