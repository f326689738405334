/* Job "storage-disk": one file system of a disk that comes and goes is looked at as its rule says,
 * then mounted at ROOT/disk/ID (storage.h), or made writable there. It gives {"read_only",
 * "reason"}: why it is read-only although it was not asked to be, or "". ERR_INVALID: another
 * attempt would fail as well.
 *
 * What is on the disk is a stranger's: no device nodes, no set-user-id programs, and a file system
 * that asks for a panic when it has an error does not get it. Whatever the disk makes of this
 * process, a wait without end or a crash of fsck, nobody but its own places waits for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "worker/capture.h"
#include "worker/jobs.h"
#include "worker/storage.h"

/* What each kind is mounted as. A file system without owners is everybody's: of those to whom it
 * was given. vfat: flush, for it will be pulled out. */
static const struct {
	const char *fstype;   /* as blkid says */
	const char *types[2]; /* as the kernel says: the first that it has */
	const char *options;
} kinds[] = {
	{"vfat", {"vfat", NULL}, "umask=0,utf8=1,flush,errors=remount-ro"},
	{"exfat", {"exfat", NULL}, "umask=0,iocharset=utf8,errors=remount-ro"},
	{"ntfs", {"ntfs3", "ntfs"}, "umask=0"},
	{"ext2", {"ext2", "ext4"}, "errors=remount-ro"},
	{"ext3", {"ext3", "ext4"}, "errors=remount-ro"},
	{"ext4", {"ext4", NULL}, "errors=remount-ro"},
};

/* How each is checked. Bits of the exit status: errors are left, as fsck(8) and the programs' own
 * pages say. */
static const struct {
	const char *fstype;
	const char *check[3], *repair[3];
	int check_bad, repair_bad;
} checkers[] = {
	{"vfat", {"fsck.vfat", "-n", NULL}, {"fsck.vfat", "-a", NULL}, ~0, ~1},
	{"exfat", {"fsck.exfat", "-n", NULL}, {"fsck.exfat", "-p", NULL}, ~0, ~1},
	{"ntfs", {"ntfsfix", "-n", NULL}, {"ntfsfix", "-d", NULL}, ~0, ~0},
	{"ext2", {"e2fsck", "-n", NULL}, {"e2fsck", "-p", NULL}, ~0, ~3},
	{"ext3", {"e2fsck", "-n", NULL}, {"e2fsck", "-p", NULL}, ~0, ~3},
	{"ext4", {"e2fsck", "-n", NULL}, {"e2fsck", "-p", NULL}, ~0, ~3},
	{"xfs", {"xfs_repair", "-n", NULL}, {"xfs_repair", NULL, NULL}, ~0, ~0},
	{"f2fs", {"fsck.f2fs", "--dry-run", NULL}, {"fsck.f2fs", "-a", NULL}, ~0, ~0},
	{"btrfs", {"btrfsck", "--readonly", NULL}, {"btrfsck", "--readonly", NULL}, ~0, ~0},
};

/* --- checking --- */

/* -1: it could not be run. It ends with us: nobody mounts what an orphan repairs. */
static int run_checker(const char *const words[3], const char *node)
{
	scoped(strv) struct strv argv = STRV_INIT;
	scoped(buf) struct buf out = BUF_INIT;
	scoped(buf) struct buf err = BUF_INIT;
	int status;
	strv_add(&argv, "setpriv");
	strv_add(&argv, "--pdeathsig");
	strv_add(&argv, "KILL");
	for (int i = 0; i < 3 && words[i]; i++) {
		strv_add(&argv, words[i]);
	}
	strv_add(&argv, node);
	if (capture_run(&argv, &out, &err, &status) < 0 || !WIFEXITED(status) ||
		WEXITSTATUS(status) >= 126) {
		return -1;
	}
	return WEXITSTATUS(status);
}

/* Why it must not be written to; the caller's, NULL when it may. */
static char *check(const char *fstype, const char *node, const char *policy)
{
	bool repair = strcmp(policy, "repair") == 0;
	if (strcmp(policy, "no") == 0) {
		return NULL;
	}
	for (size_t i = 0; i < sizeof(checkers) / sizeof(*checkers); i++) {
		if (strcmp(checkers[i].fstype, fstype) != 0) {
			continue;
		}
		const char *const *words = repair ? checkers[i].repair : checkers[i].check;
		int status = run_checker(words, node);
		if (status < 0) {
			return xasprintf("%s is not installed, or failed", words[0]);
		}
		int bad = repair ? checkers[i].repair_bad : checkers[i].check_bad;
		return status & bad ? xasprintf("%s found errors%s", words[0],
					      repair ? " that it did not repair" : "")
				    : NULL;
	}
	return xasprintf("there is no fsck for %s", fstype);
}

/* --- mounting --- */

static int mount_types(const char *node, const char *path, const char *fstype, unsigned long flags)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (strcmp(kinds[i].fstype, fstype) != 0) {
			continue;
		}
		int r = mount(node, path, kinds[i].types[0], flags, kinds[i].options);
		if (r < 0 && errno == ENODEV && kinds[i].types[1]) {
			r = mount(node, path, kinds[i].types[1], flags, kinds[i].options);
		}
		return r < 0 ? -errno : 0;
	}
	return mount(node, path, fstype, flags, NULL) < 0 ? -errno : 0;
}

struct outcome {
	bool read_only;
	char *reason; /* NULL: as asked */
};

static int mount_disk(const json_t *o, const char *path, struct outcome *ret, struct err *e)
{
	const char *node = json_str(o, "node");
	const char *fstype = json_str(o, "fstype");
	const unsigned long flags = MS_NOSUID | MS_NODEV;
	ret->reason = check(fstype, node, json_str(o, "fsck"));
	ret->read_only = json_bool(o, "read_only") || ret->reason;
	int r = mount_types(node, path, fstype, flags | (ret->read_only ? MS_RDONLY : 0));
	if (r < 0 && r != -ENODEV && !ret->read_only) { /* write-protected, or not clean */
		int first = -r;
		r = mount_types(node, path, fstype, flags | MS_RDONLY);
		ret->read_only = true;
		ret->reason = r < 0 ? NULL : xasprintf("mounting it writable: %s", strerror(first));
	}
	if (r == -ENODEV) {
		return err_set(e, ERR_INVALID, "this kernel has no file system %s", fstype);
	}
	if (r == -EINVAL || r == -EUCLEAN) { /* what is on it is what it is */
		return err_set(
			e, ERR_INVALID, "cannot mount %s (%s): %s", node, fstype, strerror(-r));
	}
	return r < 0 ? err_sys(e, -r, "cannot mount %s (%s)", node, fstype) : 0;
}

/* It is mounted for somebody who only reads, and now another wants to write. A check that it had
 * then was of a disk that nobody had mounted: not again. */
static void make_writable(const json_t *o, const char *path, struct outcome *ret)
{
	if (strcmp(json_str(o, "fsck"), "no") != 0) {
		ret->read_only = true;
		ret->reason = xstrdup("it is mounted already and cannot be checked");
	} else if (mount(NULL, path, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, NULL) < 0) {
		ret->read_only = true;
		ret->reason = xasprintf("making it writable: %s", strerror(errno));
	}
}

/* The node may be another disk's by now. */
static int check_id(const json_t *o, struct err *e)
{
	char now[64];
	const struct device d = {
		.sysfs = (char *)json_str(o, "sysfs"), .devtype = (char *)json_str(o, "devtype")};
	return storage_disk_id(&d, now) && strcmp(now, json_str(o, "id")) == 0
		       ? 0
		       : err_set(e, ERR_NOT_FOUND, "%s is gone", json_str(o, "node"));
}

json_t *worker_storage_disk(struct rpc *r, const json_t *request, struct err *e)
{
	struct outcome got = {0};
	const char *id = json_str(request, "id");
	scoped(free) char *path = xasprintf("%s/disk/%s", json_str(request, "root"), id);
	json_t *result = NULL;
	if (!path_is_component(id)) {
		(void)err_set(e, ERR_INVALID, "'%.80s' is no disk", id);
		return NULL;
	}
	if (check_id(request, e) == 0) {
		int failed = 0;
		if (json_bool(request, "mounted")) {
			make_writable(request, path, &got);
		} else {
			failed = mount_disk(request, path, &got, e);
		}
		if (failed == 0 && check_id(request, e) < 0) {
			umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW);
			failed = -1;
		}
		result = failed < 0 ? NULL
				    : json_pack("{sb ss}", "read_only", got.read_only, "reason",
					      got.reason ? got.reason : "");
	}
	free(got.reason);
	return result;
}
