/* Messages of the kernel and of udevd. */
#include "codec/uevent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define KERNEL                                                                     \
	"add@/devices/x/tty/ttyUSB0\0ACTION=add\0DEVPATH=/devices/x/tty/ttyUSB0\0" \
	"SUBSYSTEM=tty\0MAJOR=188\0DEVNAME=ttyUSB0"

static void kernel_message_is_read(void **state)
{
	struct uevent u;
	struct err e;

	int r = uevent_parse(KERNEL, sizeof(KERNEL), &u, &e);

	assert_int_equal(r, 0);
	assert_false(u.from_udev);
	assert_string_equal(u.action, "add");
	assert_string_equal(u.devpath, "/devices/x/tty/ttyUSB0");
	assert_string_equal(u.subsystem, "tty");
	assert_string_equal(uevent_get(&u, "DEVNAME"), "ttyUSB0");
	assert_string_equal(uevent_get(&u, "DEV"), ""); /* a whole key, not its beginning */
}

static void what_is_written_is_read_again(void **state)
{
	static const char properties[] = "ACTION=remove\0DEVPATH=/devices/x\0SUBSYSTEM=block";
	struct uevent u;
	struct err e;
	scoped(buf) struct buf b = BUF_INIT;

	uevent_write(properties, sizeof(properties), &b);
	int r = uevent_parse(b.data, b.len, &u, &e);

	assert_int_equal(r, 0);
	assert_true(u.from_udev);
	assert_string_equal(u.action, "remove");
	assert_string_equal(u.subsystem, "block");
	assert_int_equal(u.properties_bytes, sizeof(properties));
}

/* A stream of Debian 12's kernel and udevd: a USB serial adapter and a stick, plugged and pulled.
 * Each message has its group and its length in front. What libudev filters by, hashes and tags, is
 * written as udevd wrote it. */
static void recorded_messages_are_read_and_written_alike(void **state)
{
	static const char *const said[] = {"add ttyUSB0", "add /dev/ttyUSB0", "add sda1",
		"add /dev/sda1", "remove ttyUSB0", "remove /dev/ttyUSB0", "remove sda1",
		"remove /dev/sda1"};
	FILE *f = fopen(UEVENTS "/serial-and-stick", "re");
	uint32_t head[2];
	size_t n = 0;
	assert_non_null(f);
	for (; fread(head, sizeof(head), 1, f) == 1; n++) {
		char data[UEVENT_BYTES_MAX];
		char text[64];
		struct uevent u;
		struct err e;
		assert_in_range(head[1], 1, sizeof(data));
		assert_int_equal(fread(data, head[1], 1, f), 1);
		assert_int_equal(uevent_parse(data, head[1], &u, &e), 0);
		assert_int_equal(u.from_udev, head[0] == 2);
		snprintf(text, sizeof(text), "%s %s", u.action, uevent_get(&u, "DEVNAME"));
		assert_string_equal(text, said[n]);
		if (u.from_udev) {
			scoped(buf) struct buf b = BUF_INIT;
			uevent_write(u.properties, u.properties_bytes, &b);
			assert_int_equal(b.len, head[1]);
			assert_memory_equal(b.data, data, b.len);
		}
	}
	fclose(f);
	assert_int_equal(n, sizeof(said) / sizeof(*said));
}

static void a_device_gets_other_names(void **state)
{
	static const char properties[] =
		"ACTION=add\0DEVNAME=/dev/ttyUSB0\0DEVPATH=/x\0DEVLINKS=/dev/a /dev/b\0TAGS=:systemd:";
	static const char named[] =
		"ACTION=add\0DEVPATH=/x\0TAGS=:systemd:\0DEVNAME=/dev/zigbee\0DEVLINKS=/dev/c";
	static const char alone[] = "ACTION=add\0DEVPATH=/x\0TAGS=:systemd:\0DEVNAME=/dev/zigbee";
	const struct uevent u = {.properties = properties, .properties_bytes = sizeof(properties)};
	scoped(buf) struct buf two = BUF_INIT;
	scoped(buf) struct buf one = BUF_INIT;

	uevent_rename(&u, "/dev/zigbee", "/dev/c", &two);
	uevent_rename(&u, "/dev/zigbee", "", &one);

	assert_int_equal(two.len, sizeof(named));
	assert_memory_equal(two.data, named, sizeof(named));
	assert_int_equal(one.len, sizeof(alone));
	assert_memory_equal(one.data, alone, sizeof(alone));
}

static void broken_messages_are_refused(void **state)
{
	static const struct {
		const char *data;
		size_t n;
	} bad[] = {
		{"", 0},
		{"add@/devices/x", 14},                  /* no end */
		{"add@/devices/x\0", 15},                /* no properties */
		{"add\0ACTION=add\0DEVPATH=/x\0", 26},   /* no head */
		{"add@/x\0ACTION=add\0DEVPATH=/x", 28},  /* the last one has no end */
		{"add@/x\0ACTION=add\0DEVPATH=x\0", 28}, /* no path */
		{"add@/x\0ACTION=\0DEVPATH=/x\0", 26},   /* no action */
		{"libudev\0", 8},                        /* half a header */
		{"libudev\0\376\355\312\376\50\0\0\0\377\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
			40},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct uevent u;
		struct err e = {0};
		assert_int_equal(uevent_parse(bad[i].data, bad[i].n, &u, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_message_is_read),
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(recorded_messages_are_read_and_written_alike),
		cmocka_unit_test(a_device_gets_other_names),
		cmocka_unit_test(broken_messages_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
