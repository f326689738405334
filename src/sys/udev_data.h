/* sys/udev_data.h - udevd's database, as far as a container may read it.
 *
 * libudev listens to udevd only where /run/udev/control exists (any file of that name), and reads
 * what is known of a device from /run/udev/data/cMAJOR:MINOR. All return -errno.
 */
#pragma once
#include "base/strv.h"

/* Makes dir with an empty control file and an empty data/. */
int udev_data_make(const char *dir);
/* Makes dir/data hold these and no others: copied from the host's, where udevd runs and has them.
 * Each is "c188:0", and in further lines the links that the device has there, without "/dev/". */
int udev_data_copy(const char *dir, const struct strv *names);
