/* Job "keep-volume": {"root", "name", "target", "type", "device", "o", "credentials", "limit_ms"}
 * makes sure that a volume whose server may be away is mounted and answers: at target, which is
 * Docker's place for it, and at ROOT/rw/NAME and ROOT/ro/NAME, from where mounts propagate to its
 * containers. It gives {"answers", "fresh", "mounted", "reason", "words"}: mounted: something is at
 * target, dead or not; fresh: it is another mount than before; reason: for a person; words: as
 * dockerd says that a mount failed. Job "leave-volume" {"root", "name", "target", "limit_ms"} takes
 * all of it away and gives {"mounted"}.
 *
 * Invariants
 * 1. This process touches no file system but ROOT's: what may wait for a server is done by a child
 * that may be lost (job/limited.h).
 * 2. One child works on a volume: it holds a lock. While a lost one lives, there is no other.
 * 3. What answers is mounted at ROOT/new/NAME first, so that a dead mount is replaced only by one
 * that works.
 * 4. ROOT is read-only, but while the lock ROOT.lock is held.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "job/limited.h"
#include "sys/mounts.h"
#include "volume/remote.h"
#include "worker/jobs.h"
#include "worker/mount_volume.h"

#define LIMIT_MS_MIN 100
#define LIMIT_MS_MAX 600000
#define STACKED_MAX 64 /* mounts over each other */

static const char *const kinds[] = {"rw", "ro", "new", "lock"};
#define KINDS (sizeof(kinds) / sizeof(*kinds))

struct keep {
	const json_t *request;
	const char *root, *name, *target; /* borrowed from the request */
	/* what the child found: shared with it */
	struct keep_found {
		bool fresh;
		int errnum;
		struct err words; /* of a mount that failed */
	} * found;
};

static char *place_of(const struct keep *k, const char *kind)
{
	return xasprintf("%s/%s/%s", k->root, kind, k->name);
}

/* --- ROOT --- */

static int lock_root(const struct keep *k, struct err *e)
{
	scoped(free) char *path = xasprintf("%s.lock", k->root);
	scoped(close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX) < 0) {
		return err_sys(e, errno, "cannot lock %s", path);
	}
	return TAKE_FD(fd);
}

static int set_writable(const struct keep *k, bool writable)
{
	return mount(NULL, k->root, NULL,
		MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC | (writable ? 0 : MS_RDONLY), NULL);
}

static int make_root(const struct keep *k, struct err *e)
{
	int r = path_mkdirs(k->root, 0700);
	if (r < 0) {
		return err_sys(e, -r, "cannot make %s", k->root);
	}
	/* out of a peer group that it may have come into with its parent, into its own */
	if (!mount_is_at(k->root) &&
		(mount("wherry-volumes", k->root, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
			 "mode=0700,size=1m,nr_inodes=65536") < 0 ||
			mount(NULL, k->root, NULL, MS_PRIVATE, NULL) < 0 ||
			mount(NULL, k->root, NULL, MS_SHARED, NULL) < 0)) {
		return err_sys(e, errno, "cannot mount %s", k->root);
	}
	return set_writable(k, true) < 0 ? err_sys(e, errno, "cannot open %s", k->root) : 0;
}

/* Not to be made at each look: whoever watches the mounts, systemd for one, is woken by a remount.
 * The last one that is made is never covered. */
static bool has_places(const struct keep *k)
{
	scoped(free) char *last = place_of(k, kinds[KINDS - 1]);
	return mount_is_at(k->root) && access(last, F_OK) == 0;
}

static int make_places(const struct keep *k, struct err *e)
{
	if (has_places(k)) {
		return 0;
	}
	scoped(close) int lock = lock_root(k, e);
	if (lock < 0 || make_root(k, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < KINDS; i++) {
		scoped(free) char *dir = xasprintf("%s/%s", k->root, kinds[i]);
		scoped(free) char *place = place_of(k, kinds[i]);
		/* of a place that is covered only the name is asked for: EEXIST, not its server */
		if ((mkdir(dir, 0700) < 0 && errno != EEXIST) ||
			(mkdir(place, 0700) < 0 && errno != EEXIST)) {
			return err_sys(e, errno, "cannot make %s", place);
		}
	}
	return set_writable(k, false) < 0 ? err_sys(e, errno, "cannot close %s", k->root) : 0;
}

static bool is_empty(const char *path)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 || (path_list(fd, &names) == 0 && names.n == 0);
}

/* The last one takes ROOT along. */
static int remove_places(const struct keep *k, struct err *e)
{
	bool empty = true;
	scoped(close) int lock = lock_root(k, e);
	if (lock < 0) {
		return -1;
	}
	if (!mount_is_at(k->root) || set_writable(k, true) < 0) {
		return 0;
	}
	for (size_t i = 0; i < KINDS; i++) {
		scoped(free) char *dir = xasprintf("%s/%s", k->root, kinds[i]);
		scoped(free) char *place = place_of(k, kinds[i]);
		rmdir(place);
		empty = empty && is_empty(dir);
	}
	if (empty && umount2(k->root, MNT_DETACH | UMOUNT_NOFOLLOW) == 0) {
		rmdir(k->root);
		return 0;
	}
	(void)set_writable(k, false);
	return 0;
}

/* --- in the child --- */

/* The other one, whose server has not answered it, goes on waiting. */
static int lock_volume(const struct keep *k, struct err *e)
{
	scoped(free) char *path = place_of(k, "lock");
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int reason = errno;
		close(fd);
		return reason == EWOULDBLOCK ? err_set(e, ERR_BUSY, "an earlier look has not ended")
					     : err_sys(e, reason, "cannot lock %s", path);
	}
	return fd; /* until this process ends */
}

/* 0, or -errno: asks the server, not what is known of it. */
static int look(const char *path)
{
	struct statx st;
	struct statfs fs;
	if (statx(AT_FDCWD, path, AT_STATX_FORCE_SYNC | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &st) <
			0 ||
		statfs(path, &fs) < 0) {
		return -errno;
	}
	return 0;
}

/* With all below it. What is shared is made private first: detaching copies of shared mounts
 * (o=rbind) would unmount what they are copies of. A network's has none below, and is not to be
 * looked up. */
static void detach_all(const struct keep *k, const char *path)
{
	const char *type = json_str(k->request, "type");
	bool has_server = remote_type_is_nfs(type) || remote_type_is_cifs(type);
	for (int i = 0; i < STACKED_MAX && mount_is_at(path); i++) {
		if (!has_server) {
			mount(NULL, path, NULL, MS_REC | MS_PRIVATE, NULL);
		}
		if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0) {
			return;
		}
	}
}

/* A copy with its flags set before it is anywhere: what propagates has the flags it is attached
 * with. */
static int put_copy(const char *from, const char *to, bool read_only)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	scoped(close) int fd =
		open_tree(AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
	if (fd < 0 ||
		(read_only && mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
				      sizeof(attr)) < 0) ||
		move_mount(fd, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
		return -errno;
	}
	return 0;
}

static int put_copies(const struct keep *k, const char *from, bool over, struct err *e)
{
	for (int i = 0; i < 2; i++) {
		scoped(free) char *place = place_of(k, kinds[i]);
		if (over) {
			detach_all(k, place);
		}
		int r = mount_is_at(place) ? 0 : put_copy(from, place, i == 1);
		if (r < 0) {
			return err_sys(e, -r, "cannot bind %s", place);
		}
	}
	return 0;
}

/* As is asked for; in place of one that is dead also apart from it: cifs would take that one's
 * superblock, and find the same stale root in it. */
static json_t *request_of(const struct keep *k, bool apart)
{
	json_t *request = json_copy((json_t *)k->request);
	if (apart && remote_type_is_cifs(json_str(request, "type"))) {
		const char *o = json_str(request, "o");
		scoped(free) char *more = xasprintf("%s%snosharesock", o, *o ? "," : "");
		json_put_str(request, "o", more);
	}
	return request;
}

static int mount_anew(const struct keep *k, const char *place, bool apart, struct err *e)
{
	scoped(json) json_t *request = request_of(k, apart);
	if (mount_volume_at(request, place, &k->found->errnum, e) < 0) {
		k->found->words = *e;
		return -1;
	}
	int r = look(place);
	if (r < 0) {
		k->found->errnum = -r;
		detach_all(k, place);
		return err_sys(e, -r, "it is mounted, but does not work");
	}
	detach_all(k, k->target);
	k->found->fresh = true;
	r = put_copy(place, k->target, false);
	if (r < 0) {
		return err_sys(e, -r, "cannot bind %s", k->target);
	}
	return put_copies(k, place, true, e);
}

static int keep_now(void *arg, struct err *e)
{
	const struct keep *k = arg;
	scoped(free) char *place = place_of(k, "new");
	scoped(close) int lock = lock_volume(k, e);
	if (lock < 0) {
		return -1;
	}
	detach_all(k, place); /* of one that was killed */
	bool dead = mount_is_at(k->target);
	if (dead) {
		int r = look(k->target);
		if (r == 0) {
			return put_copies(k, k->target, false, e);
		}
		k->found->errnum = -r;
	}
	int r = mount_anew(k, place, dead, e);
	detach_all(k, place);
	return r;
}

static int leave_now(void *arg, struct err *e)
{
	const struct keep *k = arg;
	for (size_t i = 0; i < 3; i++) {
		scoped(free) char *place = place_of(k, kinds[i]);
		detach_all(k, place);
	}
	detach_all(k, k->target);
	return 0;
}

/* --- the jobs --- */

static int read_request(const json_t *request, struct keep *ret, int *ret_limit_ms, struct err *e)
{
	int64_t limit_ms = json_i64(request, "limit_ms", 0);
	*ret = (struct keep){.request = request,
		.root = json_str(request, "root"),
		.name = json_str(request, "name"),
		.target = json_str(request, "target")};
	if (!path_is_component(ret->name) || *ret->root != '/' || *ret->target != '/' ||
		limit_ms < LIMIT_MS_MIN || limit_ms > LIMIT_MS_MAX) {
		return err_set(e, ERR_INVALID, "that is no volume to keep");
	}
	*ret_limit_ms = (int)limit_ms;
	return 0;
}

static json_t *answer(const struct keep *k, bool answers, bool late, const struct err *e)
{
	const struct keep_found *f = k->found;
	const char *known =
		f->errnum ? remote_reason(json_str(k->request, "type"), f->errnum) : NULL;
	const char *reason = answers     ? ""
			     : late      ? "the server does not answer"
			     : known     ? known
			     : f->errnum ? strerror(f->errnum)
					 : e->msg;
	const char *words = *f->words.msg ? f->words.msg : reason;
	return json_pack("{sb sb sb ss ss}", "answers", answers, "fresh", f->fresh, "mounted",
		mount_is_at(k->target), "reason", reason, "words", answers ? "" : words);
}

json_t *worker_keep_volume(struct rpc *r, const json_t *request, struct err *e)
{
	struct keep k;
	int limit_ms;
	pid_t left;
	if (read_request(request, &k, &limit_ms, e) < 0 || make_places(&k, e) < 0) {
		return NULL;
	}
	k.found = mmap(
		NULL, sizeof(*k.found), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (k.found == MAP_FAILED) {
		(void)err_sys(e, errno, "cannot get memory");
		return NULL;
	}
	int done = limited_run(limit_ms, keep_now, &k, &left, e);
	return answer(&k, done == 0, done < 0 && e->kind == ERR_BUSY, e);
}

json_t *worker_leave_volume(struct rpc *r, const json_t *request, struct err *e)
{
	struct keep k;
	int limit_ms;
	pid_t left;
	if (read_request(request, &k, &limit_ms, e) < 0) {
		return NULL;
	}
	(void)limited_run(limit_ms, leave_now, &k, &left, e);
	if (remove_places(&k, e) < 0) {
		return NULL;
	}
	return json_pack("{sb}", "mounted", mount_is_at(k.target));
}
