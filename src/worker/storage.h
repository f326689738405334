/* worker/storage.h - what the jobs of storage share: the disks there are, and where they are
 * mounted.
 *
 * ROOT is a small tmpfs of ours, RUN/storage, a mount that is shared (mount_namespaces(7)): what is
 * mounted in it comes into the mount namespaces of shims and containers, and goes from them.
 *   ROOT/disk/8:17-42     a file system, mounted once: device number, then the kernel's diskseq, so
 *                         that one which comes back under the same number is another one
 *   ROOT/place/KEY        what a container has at its place: empty, or a bind of ROOT/disk/...
 *   ROOT/place/KEY/NAME   the same where there may be several
 * The tmpfs is read-only but while the job makes directories in it: what a container writes where
 * no disk is fails.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "device/device.h"
#include "device/storage_rule.h"

struct storage_disk {
	struct device *d;
	char id[64];         /* "8:17-42" */
	bool comes_and_goes; /* and nothing of the machine's own is on it */
	char *mounted;       /* its file system's number in mountinfo, or NULL */
	bool mounted_read_only;
	/* for the job: who wants it */
	bool wanted, wanted_writable;
	enum storage_fsck fsck;
};

struct storage_disks {
	struct storage_disk *v;
	size_t n;
};

/* The block devices with a file system on them, never those the system runs from. -1 with *e. */
int storage_disks_read(struct storage_disks *ret, struct err *e);
void storage_disks_deinit(struct storage_disks *s);

/* The id of the device at this path in sysfs, now; false: there is none, or no medium in it. */
bool storage_disk_id(const struct device *d, char ret[static 64]);
