/* Which disks a machine runs from: a laptop's LUKS and LVM, a Pi whose root is an overlay that the
 * initramfs made, btrfs, a live system on a stick. Each has a stick besides, which is nobody's. */
#include "device/system_disks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tree.h"

#define USB "/devices/pci0/usb1/1-1/1-1:1.0/block/"
#define VIRTUAL "/devices/virtual/block/"

struct fixture {
	char dir[64];
	char sys[96], dev[96], proc[96];
	struct device_roots roots;
	struct system_disks disks;
};

/* A disk "…/block/sda" or its partition "…/block/sda/sda1", with its number. */
static void add(const struct fixture *f, const char *sysfs, const char *number)
{
	const char *name = strrchr(sysfs, '/') + 1;
	scoped(free) char *target = xasprintf("../..%s", sysfs);
	scoped(free) char *by_name = xasprintf("/sys/class/block/%s", name);
	scoped(free) char *by_number = xasprintf("/sys/dev/block/%s", number);
	scoped(free) char *dev = xasprintf("/sys%s/dev", sysfs);
	tree_link(f->dir, by_name, target);
	tree_link(f->dir, by_number, target);
	tree_put(f->dir, dev, number);
}

static void add_part(const struct fixture *f, const char *sysfs, const char *number)
{
	scoped(free) char *mark = xasprintf("/sys%s/partition", sysfs);
	add(f, sysfs, number);
	tree_put(f->dir, mark, "1\n");
}

static int set_up(void **state)
{
	struct fixture *f = xnew(struct fixture);
	snprintf(f->dir, sizeof(f->dir), "/tmp/wherry-disks.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->sys, sizeof(f->sys), "%s/sys", f->dir);
	snprintf(f->dev, sizeof(f->dev), "%s/dev", f->dir);
	snprintf(f->proc, sizeof(f->proc), "%s/proc", f->dir);
	f->roots = (struct device_roots){f->sys, f->dev, "/none", f->proc};
	add(f, USB "sda", "8:0");
	add_part(f, USB "sda/sda1", "8:1");
	add_part(f, USB "sda/sda2", "8:2");
	add(f, USB "sdb", "8:16");
	add_part(f, USB "sdb/sdb1", "8:17");
	add(f, "/devices/x/block/sdaa", "65:160"); /* its name begins with another's */
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	system_disks_deinit(&f->disks);
	path_remove_tree(AT_FDCWD, f->dir);
	free(f);
	return 0;
}

static bool has(struct fixture *f, const char *sysfs)
{
	return system_disks_have(&f->disks, sysfs);
}

static void assert_only_sda(struct fixture *f)
{
	system_disks_read(&f->roots, &f->disks);
	assert_true(has(f, USB "sda"));
	assert_true(has(f, USB "sda/sda1"));
	assert_true(has(f, USB "sda/sda2"));
	assert_false(has(f, USB "sdb"));
	assert_false(has(f, USB "sdb/sdb1"));
	assert_false(has(f, "/devices/x/block/sdaa"));
}

static void one_partition_makes_the_whole_disk_the_system_s(void **state)
{
	struct fixture *f = *state;
	tree_put(f->dir, "/proc/self/mountinfo",
		"20 1 0:5 / / rw - nfs server:/root rw\n"
		"21 20 8:1 / /boot/firmware rw - vfat /dev/sda1 rw\n"
		"22 20 8:17 / /mnt/usb rw - vfat /dev/sdb1 rw\n");
	assert_only_sda(f);
}

static void a_root_on_btrfs_has_a_number_of_its_own(void **state)
{
	struct fixture *f = *state;
	tree_put(f->dir, "/proc/self/mountinfo",
		"20 1 0:31 /@ / rw - btrfs /dev/sda2 rw,subvolid=256,subvol=/@\n");
	assert_only_sda(f);
}

static void all_devices_of_a_btrfs_are_the_system_s(void **state)
{
	struct fixture *f = *state;
	tree_put(f->dir, "/proc/self/mountinfo", "20 1 0:31 / / rw - btrfs /dev/sda2 rw\n");
	tree_link(f->dir, "/sys/fs/btrfs/11-22/devices/sda2", "x");
	tree_link(f->dir, "/sys/fs/btrfs/11-22/devices/sdb1", "x");
	tree_link(f->dir, "/sys/fs/btrfs/33-44/devices/sdaa", "x");
	system_disks_read(&f->roots, &f->disks);
	assert_true(has(f, USB "sda/sda2"));
	assert_true(has(f, USB "sdb"));
	assert_false(has(f, "/devices/x/block/sdaa"));
}

static void lvm_on_luks_is_followed_down(void **state)
{
	struct fixture *f = *state;
	add(f, VIRTUAL "dm-0", "253:0");
	add(f, VIRTUAL "dm-1", "253:1");
	tree_link(f->dir, "/dev/mapper/vg-root", "../dm-1");
	tree_link(f->dir, "/sys" VIRTUAL "dm-1/slaves/dm-0", "x");
	tree_link(f->dir, "/sys" VIRTUAL "dm-0/slaves/sda2", "x");
	tree_put(f->dir, "/proc/self/mountinfo",
		"20 1 253:1 / / rw - ext4 /dev/mapper/vg-root rw\n");
	assert_only_sda(f);
	assert_true(has(f, VIRTUAL "dm-0"));
}

static void a_btrfs_in_luks_is_found_by_its_link(void **state)
{
	struct fixture *f = *state;
	add(f, VIRTUAL "dm-0", "253:0");
	tree_link(f->dir, "/dev/mapper/root", "../dm-0");
	tree_link(f->dir, "/sys" VIRTUAL "dm-0/slaves/sda2", "x");
	tree_put(f->dir, "/proc/self/mountinfo", "20 1 0:31 / / rw - btrfs /dev/mapper/root rw\n");
	assert_only_sda(f);
}

/* overlayroot: the layers are mounted where one sees them. */
static void an_overlay_s_layers_are_the_system_s(void **state)
{
	struct fixture *f = *state;
	tree_put(f->dir, "/proc/self/mountinfo",
		"20 1 0:23 / / rw - overlay overlayroot rw,lowerdir=/lower/root,upperdir=/rw/u,workdir=/rw/w\n"
		"21 20 8:2 / /lower ro - ext4 /dev/sda2 ro\n"
		"22 20 0:24 / /rw rw - tmpfs tmpfs rw\n");
	assert_only_sda(f);
}

/* raspi-config's: they are not, but the kernel was told which one it is. */
static void the_kernel_s_command_line_names_what_the_initramfs_hid(void **state)
{
	struct fixture *f = *state;
	tree_put(f->dir, "/proc/self/mountinfo",
		"20 1 0:23 / / rw - overlay overlay rw,lowerdir=/lower,upperdir=/upper/data\n");
	tree_link(f->dir, "/dev/disk/by-partuuid/4e639091-02", "../../sda2");
	tree_put(f->dir, "/proc/cmdline", "console=tty1 root=PARTUUID=4e639091-02 rootwait\n");
	assert_only_sda(f);
}

/* A live system: the overlay is on a squashfs that is a file on the stick. */
static void a_live_system_s_stick_is_not_given_away(void **state)
{
	struct fixture *f = *state;
	add(f, VIRTUAL "loop0", "7:0");
	tree_put(f->dir, "/sys" VIRTUAL "loop0/loop/backing_file",
		"/medium/live/filesystem.squashfs\n");
	tree_put(f->dir, "/proc/self/mountinfo",
		"20 1 0:23 / / rw - overlay overlay rw,lowerdir=/rootfs,upperdir=/cow/rw\n"
		"21 20 7:0 / /rootfs ro - squashfs /dev/loop0 ro\n"
		"22 20 8:1 / /medium ro - iso9660 /dev/sda1 ro\n");
	assert_only_sda(f);
}

static void swap_is_the_system_s(void **state)
{
	struct fixture *f = *state;
	tree_put(f->dir, "/proc/self/mountinfo", "20 1 0:5 / / rw - nfs server:/root rw\n");
	tree_put(f->dir, "/proc/swaps",
		"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
		"/dev/sda2                               partition\t102396\t\t0\t\t-2\n");
	assert_only_sda(f);
}

static void a_swap_file_s_disk_is_the_system_s(void **state)
{
	struct fixture *f = *state;
	tree_put(f->dir, "/proc/self/mountinfo",
		"20 1 0:5 / / rw - nfs server:/root rw\n22 20 8:1 / /mnt/a rw - ext4 /dev/sda1 rw\n");
	tree_put(f->dir, "/proc/swaps", "Filename Type\n/mnt/a/swap file\t1\t0\t-2\n");
	assert_only_sda(f);
}

/* Tables and links that lead in circles, or nowhere. */
static void nonsense_ends(void **state)
{
	struct fixture *f = *state;
	add(f, VIRTUAL "loop0", "7:0");
	tree_put(f->dir, "/sys" VIRTUAL "loop0/loop/backing_file", "/a/file (deleted)\n");
	tree_link(f->dir, "/sys" VIRTUAL "loop0/slaves/loop0", "x");
	tree_put(f->dir, "/proc/self/mountinfo",
		"20 1 0:23 / / rw - overlay o rw,lowerdir=/:/a:b:,upperdir=\n"
		"21 20 7:0 / /a rw - ext4 /dev/loop0 rw\nnonsense\n23 20 99:9 / /usr rw - x /dev/ rw\n");
	tree_put(f->dir, "/proc/cmdline", "root=UUID= root= root=/dev/none resume=LABEL=../../x");
	system_disks_read(&f->roots, &f->disks);
	assert_true(has(f, VIRTUAL "loop0"));
	assert_false(has(f, USB "sda"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		CASE(one_partition_makes_the_whole_disk_the_system_s),
		CASE(a_root_on_btrfs_has_a_number_of_its_own),
		CASE(all_devices_of_a_btrfs_are_the_system_s),
		CASE(lvm_on_luks_is_followed_down),
		CASE(a_btrfs_in_luks_is_found_by_its_link),
		CASE(an_overlay_s_layers_are_the_system_s),
		CASE(the_kernel_s_command_line_names_what_the_initramfs_hid),
		CASE(a_live_system_s_stick_is_not_given_away),
		CASE(swap_is_the_system_s),
		CASE(a_swap_file_s_disk_is_the_system_s),
		CASE(nonsense_ends),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
