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

/* --- storage_tree.c; root is RUN/storage --- */
char *storage_real_root(const char *path); /* as mountinfo names it: /var/run is a link */
/* ROOT/kind/a/b, or without b when that is ""; the caller's, as is the one above. */
char *storage_path(const char *root, const char *kind, const char *a, const char *b);
int storage_set_writable(const char *root, bool writable); /* -1 with errno */
/* there: the tmpfs is mounted. */
int storage_make_root(const char *root, bool there, struct err *e);
void storage_drop_root(const char *root);
void storage_let_go(const char *path); /* lazily */
/* A copy of the disk's mount with its flags set before it is anywhere: what propagates has the
 * flags it is attached with. -errno. */
int storage_bind(const char *root, const char *id, const char *path, bool read_only);
