/* device/system_disks.h - the disks that the machine runs from, which no container is given because
 * it asked for whatever can be plugged.
 *
 * Found by what is mounted where a system has its parts, active swap, and root= of the kernel's
 * command line (an overlay's layers may have been mounted where nobody sees it); from there down
 * through what these are made of: partitions, LVM, LUKS and RAID (slaves/ in sysfs), the other
 * devices of a btrfs, the file behind a loop device, the layers of an overlay.
 */
#pragma once
#include <stdbool.h>

#include "base/strv.h"
#include "device/look.h"

struct system_disks {
	struct strv
		paths; /* whole disks in sysfs, "/devices/.../block/sda", below it their parts */
};

void system_disks_read(const struct device_roots *r, struct system_disks *ret);
void system_disks_deinit(struct system_disks *s);
/* sysfs: of a disk or of a partition. */
bool system_disks_have(const struct system_disks *s, const char *sysfs);
