/* A head that is accepted is exactly the one we would write. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "codec/shim_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (size_t at = 0; at + SHIM_FRAME_HEAD <= size;) {
		uint8_t type, again[SHIM_FRAME_HEAD];
		uint32_t n;
		if (shim_frame_parse(data + at, &type, &n) < 0) {
			return 0;
		}
		assert(n <= SHIM_PAYLOAD_MAX);
		shim_frame_head(type, n, again);
		assert(memcmp(again, data + at, SHIM_FRAME_HEAD) == 0);
		if (n > size - at - SHIM_FRAME_HEAD) {
			return 0;
		}
		at += SHIM_FRAME_HEAD + n;
	}
	return 0;
}
