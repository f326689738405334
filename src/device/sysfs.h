/* device/sysfs.h - where sysfs has a block device. */
#pragma once

#include "device/look.h"

/* The path below /sys ("/devices/...") that a link there leads to ("class/block/sda",
 * "dev/char/188:0"); the caller's, NULL when there is none. */
char *sysfs_follow(const struct device_roots *r, const char *link);
/* The disk that a partition is of; of a disk itself. The caller's. */
char *sysfs_disk(const struct device_roots *r, const char *sysfs);
