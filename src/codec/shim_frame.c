#include "codec/shim_frame.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

void shim_frame_head(uint8_t type, uint32_t len, uint8_t ret[static SHIM_FRAME_HEAD])
{
	const uint8_t head[SHIM_FRAME_HEAD] = {type, 0, 0, 0, (uint8_t)(len >> 24),
		(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len};
	memcpy(ret, head, sizeof(head));
}

int shim_frame_parse(
	const uint8_t head[static SHIM_FRAME_HEAD], uint8_t *ret_type, uint32_t *ret_len)
{
	uint32_t len = (uint32_t)head[4] << 24 | (uint32_t)head[5] << 16 | (uint32_t)head[6] << 8 |
		       head[7];
	bool known = head[0] <= SHIM_STDERR || (head[0] >= SHIM_CONTROL && head[0] <= SHIM_EXITED);
	if (!known || head[1] || head[2] || head[3] || len > SHIM_PAYLOAD_MAX) {
		return -EINVAL;
	}
	*ret_type = head[0];
	*ret_len = len;
	return 0;
}
