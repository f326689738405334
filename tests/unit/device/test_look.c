/* A device as sysfs and udevd's database tell of it. /dev/null plays a USB serial adapter: a node
 * of its own would need root. */
#include "device/look.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/path.h"
#include "tree.h"

#define USB "/devices/pci0/usb1/1-1"
#define LINE USB "/1-1:1.0/ttyUSB0/tty/null"

struct fixture {
	char dir[64];
	char sys[96], udev[96];
	struct device_roots roots;
};

static int set_up(void **state)
{
	struct fixture *f = xnew(struct fixture);
	snprintf(f->dir, sizeof(f->dir), "/tmp/wherry-look.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->sys, sizeof(f->sys), "%s/sys", f->dir);
	snprintf(f->udev, sizeof(f->udev), "%s/udev", f->dir);
	f->roots = (struct device_roots){f->sys, "/dev", f->udev, NULL};
	tree_link(f->dir, "/sys/dev/char/1:3", "../.." LINE);
	tree_put(f->dir, "/sys/dev/block/none", "");
	tree_put(f->dir, "/sys" USB "/idVendor", "0403\n");
	tree_put(f->dir, "/sys" USB "/idProduct", "6001\n");
	tree_put(f->dir, "/sys" USB "/serial", "ZB0001\n");
	tree_put(f->dir, "/sys" LINE "/dev", "1:3\n");
	tree_put(f->dir, "/sys" LINE "/uevent", "MAJOR=1\nMINOR=3\nDEVNAME=null\n");
	tree_link(f->dir, "/sys" LINE "/subsystem", "../../../../../../../class/tty");
	tree_link(f->dir, "/sys" LINE "/device", "../../../ttyUSB0");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	path_remove_tree(AT_FDCWD, f->dir);
	free(f);
	return 0;
}

static void what_udevd_knows_counts(void **state)
{
	struct fixture *f = *state;
	tree_put(f->dir, "/udev/data/c1:3",
		"S:serial/by-path/b\nS:serial/by-id/a\nI:12\nE:ID_BUS=usb\nE:ID_VENDOR_ID=0403\n"
		"E:ID_MODEL_ID=6001\nE:ID_SERIAL=QEMU_X_ZB0001\nE:ID_SERIAL_SHORT=ZB0001\n"
		"E:ID_PATH=pci-usb-0:1:1.0\nE:ID_FS_LABEL_ENC=MY\\x20DATA\\x2\nG:systemd\nQ:systemd\nV:1\n");

	scoped(device_free) struct device *d = device_look(&f->roots, LINE, "/dev/null", LOOK_UDEV);

	assert_non_null(d);
	assert_string_equal(d->node, "/dev/null");
	assert_string_equal(d->subsystem, "tty");
	assert_string_equal(d->vendor, "0403");
	assert_string_equal(d->product, "6001");
	assert_string_equal(d->serial, "QEMU_X_ZB0001");
	assert_string_equal(d->serial_short, "ZB0001");
	assert_string_equal(d->port, "pci-usb-0:1:1.0");
	assert_string_equal(d->usb_port, "1-1");
	assert_string_equal(d->label, "MY DATA\\x2");
	assert_int_equal(d->classes, DEVICE_SERIAL);
	assert_int_equal(d->links.n, 2);
	assert_string_equal(d->links.v[0], "/dev/serial/by-id/a");
	assert_int_equal(d->type, 'c');
	assert_int_equal(d->major, 1);
	assert_int_equal(d->minor, 3);
}

static void without_udevd_the_usb_device_is_asked(void **state)
{
	const struct fixture *f = *state;
	scoped(device_free) struct device *d = device_look(&f->roots, LINE, NULL, LOOK_MAY_BLOCK);
	scoped(device_free) struct device *quick = device_look(&f->roots, LINE, "/dev/null", 0);
	assert_string_equal(d->node, "/dev/null");
	assert_string_equal(d->vendor, "0403");
	assert_string_equal(d->serial_short, "ZB0001");
	assert_string_equal(quick->product, "6001");
	assert_string_equal(quick->serial_short, ""); /* would wait for the driver */
}

/* What a forged message could say. */
static void only_the_device_s_own_node_is_taken(void **state)
{
	const struct fixture *f = *state;
	assert_null(device_look(&f->roots, LINE, "/dev/zero", 0));
	assert_null(device_look(&f->roots, LINE, "/etc/passwd", 0));
	assert_null(device_look(&f->roots, LINE, "/dev/shm/null", 0));
	assert_null(device_look(&f->roots, "/devices/none", "/dev/null", 0));
	assert_null(device_look(&f->roots, "/../etc", "/dev/null", 0));
	assert_null(device_look(&f->roots, "/devices/../../dev", "/dev/null", 0));
}

static void what_udevd_has_not_seen_is_not_there_yet(void **state)
{
	const struct fixture *f = *state;
	assert_null(device_look(&f->roots, LINE, "/dev/null", LOOK_UDEV));
}

static void a_terminal_without_hardware_is_of_no_use(void **state)
{
	const struct fixture *f = *state;
	scoped(free) char *link = xasprintf("%s" LINE "/device", f->sys);
	assert_int_equal(unlink(link), 0);
	assert_null(device_look(&f->roots, LINE, "/dev/null", 0));
}

static void count(void *owner, struct device *take_device)
{
	(*(int *)owner)++;
	device_free(take_device);
}

static void a_look_at_all_goes_by_number(void **state)
{
	const struct fixture *f = *state;
	int n = 0;
	assert_int_equal(device_look_all(&f->roots, 0, count, &n), 0);
	assert_int_equal(n, 1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(what_udevd_knows_counts),
		CASE(without_udevd_the_usb_device_is_asked),
		CASE(only_the_device_s_own_node_is_taken),
		CASE(what_udevd_has_not_seen_is_not_there_yet),
		CASE(a_terminal_without_hardware_is_of_no_use),
		CASE(a_look_at_all_goes_by_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
