/* A message about a device: what is taken can be written as udevd does and read again. */
#include "codec/uevent.h"

#include <assert.h>
#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e;
	struct uevent u;
	if (uevent_parse(data, size, &u, &e) == 0) {
		struct uevent again;
		scoped(buf) struct buf b = BUF_INIT;
		size_t pos = 0;
		while (uevent_next(&u, &pos)) {
			assert(pos <= u.properties_bytes);
		}
		uevent_write(u.properties, u.properties_bytes, &b);
		assert(uevent_parse(b.data, b.len, &again, &e) == 0);
		assert(again.from_udev && strcmp(u.action, again.action) == 0);
		assert(strcmp(u.devpath, again.devpath) == 0);
		assert(strcmp(u.subsystem, again.subsystem) == 0);

		scoped(buf) struct buf named = BUF_INIT;
		scoped(buf) struct buf message = BUF_INIT;
		uevent_rename(&u, "/dev/x", "/dev/y /dev/z", &named);
		uevent_write(named.data, named.len, &message);
		assert(uevent_parse(message.data, message.len, &again, &e) == 0);
		assert(strcmp(uevent_get(&again, "DEVNAME"), "/dev/x") == 0);
		assert(strcmp(uevent_get(&again, "DEVLINKS"), "/dev/y /dev/z") == 0);
		assert(strcmp(uevent_get(&again, "MAJOR"), uevent_get(&u, "MAJOR")) == 0);
	}
	return 0;
}
