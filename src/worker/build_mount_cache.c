#include "worker/build_mount_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/copy.h"

#define PRIVATE_MAX 64  /* directories of one cache */
#define OPEN_TRIES 1000 /* against a prune that removes what is made */
#define KEY_SHOWN 32    /* digits in a directory's name */

/* --- which one --- */

/* What makes a cache another one: its id, its first content, and whose it is (BuildKit: the id and
 * the snapshot it begins with). */
static int cache_key(
	const struct build_mounts *m, const struct run_mount *f, char key[static 65], struct err *e)
{
	const struct build *b = m->t->b;
	const char *space = strv_env_get(&b->build_args, "BUILDKIT_CACHE_MOUNT_NS");
	memset(key, '0', 64);
	key[64] = '\0';
	scoped(free) char *id = path_clean(f->id);
	build_mix(key, space ? space : "");
	build_mix(key, id);
	if (f->has_owner) {
		scoped(free) char *owner = xasprintf("%o %u %u", f->mode, f->uid, f->gid);
		build_mix(key, owner);
	}
	if (f->from) {
		scoped(strv) struct strv dirs = STRV_INIT;
		char chain[65];
		if (build_source_dirs(m->t, f->from, &dirs, chain, e) < 0) {
			return -1;
		}
		build_mix(key, chain);
		build_mix(key, f->source ? f->source : "/");
	}
	return 0;
}

/* --- opening one --- */

static int open_caches_dir(const struct build_mounts *m, struct err *e)
{
	scoped(free) char *dir = xasprintf("%s/mounts", json_str(m->t->b->request, "cache_dir"));
	if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
		return err_sys(e, errno, "cannot make %s", dir);
	}
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open %s", dir) : fd;
}

/* Whether the name still means the directory that is open. */
static bool is_there(int caches_fd, const char *name, int fd)
{
	struct stat named, open;
	return fstatat(caches_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(fd, &open) == 0 && named.st_dev == open.st_dev && named.st_ino == open.st_ino;
}

/* Made if it is missing, locked as flock(2)'s how. -EWOULDBLOCK with LOCK_NB. */
static int open_locked(int caches_fd, const char *name, int how)
{
	for (int tries = 0; tries < OPEN_TRIES; tries++) {
		if (mkdirat(caches_fd, name, 0700) < 0 && errno != EEXIST) {
			return -errno;
		}
		const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
		scoped(close) int fd = openat(caches_fd, name, flags);
		if (fd < 0 && errno != ENOENT) {
			return -errno;
		}
		if (fd >= 0 && flock(fd, how) < 0 && errno != EINTR) {
			return -errno;
		}
		if (fd >= 0 && is_there(caches_fd, name, fd)) {
			return TAKE_FD(fd);
		}
	}
	return -EBUSY;
}

/* sharing=private: the first of the cache's directories that nobody uses. */
static int open_private(int caches_fd, const char *base)
{
	for (int n = 0; n < PRIVATE_MAX; n++) {
		scoped(free) char *name = n ? xasprintf("%s.%d", base, n) : xstrdup(base);
		int fd = open_locked(caches_fd, name, LOCK_EX | LOCK_NB);
		if (fd != -EWOULDBLOCK) {
			return fd;
		}
	}
	return -EBUSY;
}

/* --- its content --- */

static int copy_first_content(
	struct build_mounts *m, const struct run_mount *f, int to_fd, struct err *e)
{
	scoped(close) int root = build_mounts_from(m, f->from, e);
	if (root < 0) {
		return -1;
	}
	const struct copy_options o = {.user_xattrs = true};
	scoped(copy_free) struct copy *copy = copy_new(root, to_fd, &o);
	if (copy_dir_content(copy, f->source ? f->source : ".", ".", true, e) < 0) {
		return err_wrap(e, "the first content of the cache %.100s", f->id);
	}
	return 0;
}

static int write_about(int cache_fd, const struct run_mount *f, struct err *e)
{
	scoped(json) json_t *about = json_object();
	json_put_str(about, "id", f->id);
	json_put_str(about, "target", f->target);
	json_put_str(about, "from", f->from ? f->from : "");
	json_put(about, "created", json_integer(clock_real_ns()));
	scoped(free) char *text = json_text(about);
	int r = path_write(cache_fd, "about", text, strlen(text), 0600, false);
	return r < 0 ? err_sys(e, -r, "cannot note the use of a cache") : 0;
}

/* Complete or not there: a build that is killed here leaves "new", which the next one removes. */
static int make_data(struct build_mounts *m, const struct run_mount *f, int cache_fd, struct err *e)
{
	path_remove_tree(cache_fd, "new");
	if (mkdirat(cache_fd, "new", 0700) < 0) {
		return err_sys(e, errno, "cannot make a cache");
	}
	scoped(close) int fd = openat(cache_fd, "new", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot make a cache");
	}
	if (f->from && copy_first_content(m, f, fd, e) < 0) {
		return -1;
	}
	bool owned = !f->from || f->has_owner;
	if (owned && (fchown(fd, f->uid, f->gid) < 0 || fchmod(fd, f->mode) < 0)) {
		return err_sys(e, errno, "cannot make a cache");
	}
	if (write_about(cache_fd, f, e) < 0) {
		return -1;
	}
	return renameat(cache_fd, "new", cache_fd, "data") < 0
		       ? err_sys(e, errno, "cannot make a cache")
		       : 0;
}

static int open_data(int cache_fd)
{
	return openat(cache_fd, "data", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Nobody else makes the data meanwhile. */
static int make_exclusively(
	struct build_mounts *m, const struct run_mount *f, int cache_fd, struct err *e)
{
	int fd = open_data(cache_fd);
	if (fd >= 0) {
		return fd;
	}
	if (make_data(m, f, cache_fd, e) < 0) {
		return -1;
	}
	fd = open_data(cache_fd);
	return fd < 0 ? err_sys(e, errno, "cannot open a cache") : fd;
}

/* The first of those who share a cache makes it, under a lock of its own: to want the directory's
 * exclusive one would be to wait for the others' steps. */
static int make_shared(
	struct build_mounts *m, const struct run_mount *f, int cache_fd, struct err *e)
{
	const int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC;
	scoped(close) int making = openat(cache_fd, "making", flags, 0600);
	if (making < 0 || flock(making, LOCK_EX) < 0) {
		return err_sys(e, errno, "cannot make a cache");
	}
	return make_exclusively(m, f, cache_fd, e);
}

static int open_one(struct build_mounts *m, struct build_cache_use *u, int caches_fd, struct err *e)
{
	scoped(free) char *name = xstrndup(u->key, KEY_SHOWN);
	bool shared = u->sharing == RUN_MOUNT_SHARED;
	int r = u->sharing == RUN_MOUNT_PRIVATE
			? open_private(caches_fd, name)
			: open_locked(caches_fd, name, shared ? LOCK_SH : LOCK_EX);
	if (r < 0) {
		return err_sys(e, -r, "cannot open the cache %.100s", u->flag->id);
	}
	u->lock_fd = r;
	u->data_fd = (shared ? make_shared : make_exclusively)(m, u->flag, u->lock_fd, e);
	utimensat(u->lock_fd, "about", NULL, 0); /* the last use */
	return u->data_fd < 0 ? -1 : 0;
}

/* --- of a step --- */

static int by_key(const void *a, const void *b)
{
	return strcmp(
		((const struct build_cache_use *)a)->key, ((const struct build_cache_use *)b)->key);
}

static struct build_cache_use *find_use(const struct build_mounts *m, const char *key)
{
	for (size_t k = 0; k < m->n_caches; k++) {
		if (strcmp(m->caches[k].key, key) == 0) {
			return &m->caches[k];
		}
	}
	return NULL;
}

static bool is_stricter(enum run_mount_sharing a, enum run_mount_sharing than)
{
	return a == RUN_MOUNT_LOCKED ? than != RUN_MOUNT_LOCKED
				     : a == RUN_MOUNT_PRIVATE && than == RUN_MOUNT_SHARED;
}

static int note_use(struct build_mounts *m, const struct run_mount *f, struct err *e)
{
	char key[65];
	if (cache_key(m, f, key, e) < 0) {
		return -1;
	}
	struct build_cache_use *u = find_use(m, key);
	if (!u) {
		u = &m->caches[m->n_caches++];
		*u = (struct build_cache_use){
			.flag = f, .sharing = f->sharing, .lock_fd = -1, .data_fd = -1};
		memcpy(u->key, key, sizeof(key));
	} else if (is_stricter(f->sharing, u->sharing)) {
		u->sharing = f->sharing;
	}
	return 0;
}

int build_caches_open(struct build_mounts *m, struct err *e)
{
	m->caches = xnew_array(struct build_cache_use, m->n_flags + 1);
	for (size_t k = 0; k < m->n_flags; k++) {
		if (m->flags[k].type == RUN_MOUNT_CACHE && note_use(m, &m->flags[k], e) < 0) {
			return -1;
		}
	}
	if (m->n_caches == 0) {
		return 0;
	}
	qsort(m->caches, m->n_caches, sizeof(*m->caches), by_key);
	scoped(close) int caches_fd = open_caches_dir(m, e);
	for (size_t k = 0; k < m->n_caches && caches_fd >= 0; k++) {
		if (open_one(m, &m->caches[k], caches_fd, e) < 0) {
			return -1;
		}
	}
	return caches_fd < 0 ? -1 : 0;
}

void build_caches_close(struct build_mounts *m)
{
	for (size_t k = 0; k < m->n_caches; k++) {
		scoped_close(&m->caches[k].data_fd);
		scoped_close(&m->caches[k].lock_fd);
	}
	free(m->caches);
	m->caches = NULL;
	m->n_caches = 0;
}

int build_mount_cache(struct build_mounts *m, const struct run_mount *f, struct err *e)
{
	char key[65];
	if (cache_key(m, f, key, e) < 0) {
		return -1;
	}
	const struct build_cache_use *u = find_use(m, key);
	/* what another step has made there may be a link to anywhere: it is resolved in the cache,
	 * and mounted by what it was found to be (CVE-2024-23651) */
	const char *source = f->source && !f->from ? f->source : ".";
	scoped(close) int fd = path_open_in(u->data_fd, source, O_PATH, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_set(e, ERR_INVALID, "--mount: %.200s does not exist in the cache %.100s",
			source, f->id);
	}
	bool is_file = !S_ISDIR(st.st_mode);
	const char *at = build_mounts_by_fd(m, fd, is_file, "cache", e);
	scoped(free) char *target = build_mounts_target(m, f);
	return !at ? -1
		   : build_mounts_add(m, at, target, "bind",
			     f->readonly ? "rbind,rprivate,ro" : "rbind,rprivate", is_file, e);
}
