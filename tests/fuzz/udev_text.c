/* What udevd keeps of a device, and what blkid says of a disk that a stranger wrote. */
#include "codec/udev_text.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct udev_record r;
	scoped(free) char *text = xstrndup((const char *)data, size);
	scoped(free) char *decoded = udev_text_decode(text);
	assert(strlen(decoded) <= strlen(text) && !*decoded == !*text);
	udev_record_parse(text, &r);
	assert(r.links.n <= UDEV_LINKS_MAX);
	for (size_t i = 0; i < r.links.n; i++) {
		assert(strncmp(r.links.v[i], "/dev/", 5) == 0 && !strchr(r.links.v[i], '\n'));
		assert(i == 0 || strcmp(r.links.v[i - 1], r.links.v[i]) <= 0);
	}
	const char *label = strv_env_get(&r.properties, "ID_FS_LABEL_ENC");
	scoped(free) char *value = udev_text_decode(label);
	assert(!label == !value);
	udev_record_deinit(&r);
	return 0;
}
