/* tree/kernel_fs.h - the filesystems that are the kernel's own: proc, sysfs, cgroup and their
 * kind.
 *
 * What is in them is not a container's files: reading may block or have effects, writing always
 * has.
 */
#pragma once
#include <stdbool.h>

/* fd may be O_PATH. An fd that cannot be asked counts as the kernel's. */
bool kernel_fs_is(int fd);
