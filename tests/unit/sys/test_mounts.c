/* Which mount a descriptor is on, from the kernel's tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>

#include "base/buf.h"
#include "base/path.h"
#include "base/scoped.h"
#include "sys/mounts.h"

static const char table[] =
	"25 30 0:23 / /sys rw,nosuid shared:7 - sysfs sysfs rw\n"
	"612 611 0:71 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755\n"
	"613 612 0:72 /a\\040-\\040b /dev/x rw master:1 propagate_from:2 - fuse.evil x rw";

static void a_mount_is_found_by_its_number(void **state)
{
	struct mount_line line;
	assert_true(mount_find(table, 612, &line));
	assert_string_equal(line.type, "tmpfs");
	assert_int_equal(line.major, 0);
	assert_int_equal(line.minor, 71);
	assert_true(mount_find(table, 613, &line)); /* no newline behind it */
	assert_string_equal(line.type, "fuse.evil");
	assert_false(mount_find(table, 61, &line));
	assert_false(mount_find("", 612, &line));
	assert_false(mount_find("612 611 0:71 / /dev rw\n\n612\n- - -\n", 612, &line));
}

static void a_file_system_is_known_wherever_it_is_mounted(void **state)
{
	assert_true(mount_has(table, 0, 72));
	assert_false(mount_has(table, 0, 7));
	assert_false(mount_has(table, 71, 0));
}

static void a_descriptor_says_its_mount(void **state)
{
	struct mount_line line;
	int id;
	scoped(close) int fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	scoped(buf) struct buf own = BUF_INIT;
	assert_int_equal(path_read(AT_FDCWD, "/proc/self/mountinfo", 8 << 20, &own), 0);

	assert_int_equal(mount_of_fd(fd, &id), 0);

	assert_true(mount_find(buf_str(&own), id, &line));
	assert_string_equal(line.type, "proc");
	assert_int_equal(mount_of_fd(-1, &id), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mount_is_found_by_its_number),
		cmocka_unit_test(a_file_system_is_known_wherever_it_is_mounted),
		cmocka_unit_test(a_descriptor_says_its_mount),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
