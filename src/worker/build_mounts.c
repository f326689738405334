#include "worker/build_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "worker/context.h"
#include "worker/overlay.h"

#define PRIVATE_CACHES_MAX 64

struct build_stub {
	char *path;
	bool is_file;
	struct timespec parent_times[2];
};

/* One --mount flag. */
struct mount_flag {
	char *type, *target, *source, *from, *id, *sharing, *size, *mode, *uid, *gid;
	bool readonly, readwrite;
};

static void scoped_mount_flag(struct mount_flag *f)
{
	char *all[] = {f->type, f->target, f->source, f->from, f->id, f->sharing, f->size, f->mode,
		f->uid, f->gid};
	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		free(all[i]);
	}
}

void build_mounts_init(struct build_mounts *m, const struct build_step *t)
{
	*m = (struct build_mounts){.t = t};
}

void build_mounts_deinit(struct build_mounts *m)
{
	for (size_t k = m->mounted.n; k > 0; k--) {
		umount2(m->mounted.v[k - 1], MNT_DETACH | UMOUNT_NOFOLLOW);
	}
	for (size_t k = 0; k < m->n_locks; k++) {
		close(m->locks[k]);
	}
	for (size_t k = 0; k < m->n_stubs; k++) {
		free(m->stubs[k].path);
	}
	free(m->stubs);
	strv_deinit(&m->texts);
	strv_deinit(&m->mounted);
}

/* --- flags --- */

static char *first_option(const char *text, const char *const *names)
{
	for (; *names; names++) {
		char *value = plan_mount_option(text, *names);
		if (value) {
			return value;
		}
	}
	return NULL;
}

/* True for "ro" and "ro=true". */
static bool is_set(const char *text, const char *const *names)
{
	scoped(free) char *value = first_option(text, names);
	return value && strcasecmp(value, "false") != 0 && strcmp(value, "0") != 0;
}

static int check_keys(const char *text, struct err *e)
{
	static const char *const known[] = {"type", "target", "dst", "destination", "source", "src",
		"from", "id", "sharing", "size", "mode", "uid", "gid", "readonly", "ro",
		"readwrite", "rw", "required", "env", NULL};
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, text, ',');
	for (size_t k = 0; k < parts.n; k++) {
		size_t n = strcspn(parts.v[k], "=");
		bool found = false;
		for (size_t i = 0; known[i] && !found; i++) {
			found = strlen(known[i]) == n && strncasecmp(parts.v[k], known[i], n) == 0;
		}
		if (!found) {
			return err_set(e, ERR_INVALID, "--mount: unexpected key '%.*s'",
				n > 40 ? 40 : (int)n, parts.v[k]);
		}
	}
	return 0;
}

static int check_flag(const struct mount_flag *f, struct err *e)
{
	if (strcmp(f->type, "secret") == 0 || strcmp(f->type, "ssh") == 0) {
		return err_set(e, ERR_INVALID,
			"--mount=type=%s is not supported: the classic build call has no way to send secrets",
			f->type);
	}
	if (strcmp(f->type, "bind") != 0 && strcmp(f->type, "cache") != 0 &&
		strcmp(f->type, "tmpfs") != 0) {
		return err_set(e, ERR_INVALID, "--mount: unsupported mount type '%.40s'", f->type);
	}
	if (!f->target || !*f->target || strcmp(f->target, "/") == 0) {
		return err_set(e, ERR_INVALID, "--mount: it needs a target other than /");
	}
	if (strcmp(f->type, "cache") == 0 && f->from) {
		return err_set(e, ERR_INVALID, "--mount=type=cache with from= is not supported");
	}
	return 0;
}

static int parse_flag(
	const struct build_step *t, const char *raw, struct mount_flag *ret, struct err *e)
{
	scoped(free) char *text = NULL;
	if (build_expand(t, raw, &text, e) < 0) {
		return -1;
	}
	ret->type = plan_mount_option(text, "type");
	ret->type = ret->type ? ret->type : xstrdup("bind");
	scoped(free) char *target =
		first_option(text, (const char *const[]){"target", "dst", "destination", NULL});
	ret->target = target ? path_join(build_config_workdir(&t->s->c), target) : NULL;
	ret->source = first_option(text, (const char *const[]){"source", "src", NULL});
	ret->from = plan_mount_option(text, "from");
	ret->id = plan_mount_option(text, "id");
	ret->sharing = plan_mount_option(text, "sharing");
	ret->size = plan_mount_option(text, "size");
	ret->mode = plan_mount_option(text, "mode");
	ret->uid = plan_mount_option(text, "uid");
	ret->gid = plan_mount_option(text, "gid");
	ret->readonly = is_set(text, (const char *const[]){"readonly", "ro", NULL});
	ret->readwrite = is_set(text, (const char *const[]){"readwrite", "rw", NULL});
	return check_keys(text, e) < 0 || check_flag(ret, e) < 0 ? build_fail(t, e) : 0;
}

static const char *mount_flag_text(const char *flag)
{
	return text_starts(flag, "--mount=") ? flag + strlen("--mount=") : NULL;
}

/* --- keys --- */

static int mix_bind(
	const struct build_step *t, const struct mount_flag *f, char key[static 65], struct err *e)
{
	char digest[72];
	if (f->from && *f->from) {
		scoped(strv) struct strv dirs = STRV_INIT;
		if (build_source_dirs(t, f->from, &dirs, digest, e) < 0) {
			return -1;
		}
	} else {
		const char *source = f->source && *f->source ? f->source : ".";
		if (context_digest(t->b->context_fd, source, false, NULL, NULL, digest, e) < 0) {
			return build_fail(t, e);
		}
	}
	build_mix(key, digest);
	return 0;
}

int build_mounts_key(const struct build_step *t, char key[static 65], struct err *e)
{
	for (size_t k = 0; k < t->i->flags.n; k++) {
		const char *text = mount_flag_text(t->i->flags.v[k]);
		scoped(mount_flag) struct mount_flag f = {0};
		if (!text) {
			continue;
		}
		if (parse_flag(t, text, &f, e) < 0) {
			return -1;
		}
		build_mix(key, text);
		if (strcmp(f.type, "bind") == 0 && mix_bind(t, &f, key, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- sources --- */

static const char *keep(struct build_mounts *m, char *take_text)
{
	strv_take(&m->texts, take_text);
	return take_text;
}

int build_mounts_add(struct build_mounts *m, const char *source, const char *target,
	const char *type, const char *options, bool is_file, struct err *e)
{
	if (m->n == BUILD_MOUNTS_MAX) {
		return err_set(e, ERR_INVALID, "more than %d mounts", BUILD_MOUNTS_MAX);
	}
	m->is_file[m->n] = is_file;
	m->v[m->n++] = (struct oci_mount){.source = keep(m, xstrdup(source)),
		.target = keep(m, xstrdup(target)),
		.type = keep(m, xstrdup(type)),
		.options = keep(m, xstrdup(options))};
	return 0;
}

/* A directory for a mount of ours below the build's. */
static char *make_mount_dir(struct build_mounts *m, const char *what, struct err *e)
{
	char *dir = xasprintf("%s/mount-%zu-%s", m->t->s->place.dir, m->n, what);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST) {
		(void)err_sys(e, errno, "cannot make a directory for a mount");
		free(dir);
		return NULL;
	}
	return dir;
}

/* The root that a bind's source is in: an open fd. */
static int open_bind_root(struct build_mounts *m, const struct mount_flag *f, struct err *e)
{
	struct build *b = m->t->b;
	if (!f->from || !*f->from) {
		return dup(b->context_fd);
	}
	scoped(strv) struct strv dirs = STRV_INIT;
	scoped(strv) struct strv lower = STRV_INIT;
	char chain[65];
	if (build_source_dirs(m->t, f->from, &dirs, chain, e) < 0) {
		return -1;
	}
	for (size_t k = dirs.n; k > 0; k--) {
		if (!strv_has(&lower, dirs.v[k - 1])) {
			strv_add(&lower, dirs.v[k - 1]);
		}
	}
	if (lower.n == 0) {
		strv_add(&lower, "empty");
	}
	scoped(free) char *at = make_mount_dir(m, "from", e);
	if (!at || overlay_mount(b->layers_dir, &lower, NULL, NULL, at, e) < 0) {
		return -1;
	}
	strv_add(&m->mounted, at);
	int fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the mount's source") : fd;
}

/* rw: what is written is thrown away afterwards, so it goes to a layer above the source. */
static int make_writable(struct build_mounts *m, char **path, struct err *e)
{
	scoped(free) char *upper = make_mount_dir(m, "upper", e);
	scoped(free) char *work = upper ? make_mount_dir(m, "work", e) : NULL;
	scoped(free) char *at = work ? make_mount_dir(m, "rw", e) : NULL;
	scoped(strv) struct strv lower = STRV_INIT;
	strv_add(&lower, *path);
	if (!at || overlay_mount(m->t->b->layers_dir, &lower, upper, work, at, e) < 0) {
		return -1;
	}
	strv_add(&m->mounted, at);
	free(*path);
	*path = TAKE(at);
	return 0;
}

static int open_bind(struct build_mounts *m, const struct mount_flag *f, struct err *e)
{
	scoped(close) int root = open_bind_root(m, f, e);
	if (root < 0) {
		return -1;
	}
	const char *source = f->source && *f->source ? f->source : ".";
	scoped(close) int fd = path_open_in(root, source, O_PATH, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		return err_set(
			e, ERR_INVALID, "--mount: %.200s does not exist in its source", source);
	}
	char link[64], path[4097];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n < 0) {
		return err_sys(e, errno, "cannot resolve %.200s", source);
	}
	path[n] = '\0';
	scoped(free) char *real = xstrdup(path);
	if (f->readwrite && !S_ISDIR(st.st_mode)) {
		return err_set(e, ERR_INVALID, "--mount: rw is supported for directories only");
	}
	if (f->readwrite && make_writable(m, &real, e) < 0) {
		return -1;
	}
	return build_mounts_add(m, real, f->target, "bind",
		f->readwrite ? "rbind,rprivate" : "rbind,rprivate,ro", !S_ISDIR(st.st_mode), e);
}

static int parse_number(const char *text, int base, int dflt, int *ret, struct err *e)
{
	char *end;
	if (!text || !*text) {
		*ret = dflt;
		return 0;
	}
	errno = 0;
	long value = strtol(text, &end, base);
	if (*end || errno || value < 0 || value > INT32_MAX) {
		return err_set(e, ERR_INVALID, "--mount: '%.40s' is not a number", text);
	}
	*ret = (int)value;
	return 0;
}

/* Makes or opens one cache directory. */
static int open_cache_dir(const char *dir, const struct mount_flag *f, struct err *e)
{
	int mode, uid, gid;
	if (parse_number(f->mode, 8, 0755, &mode, e) < 0 ||
		parse_number(f->uid, 10, 0, &uid, e) < 0 ||
		parse_number(f->gid, 10, 0, &gid, e) < 0) {
		return -1;
	}
	bool made = mkdir(dir, 0700) == 0;
	if (!made && errno != EEXIST) {
		return err_sys(e, errno, "cannot make the cache %s", dir);
	}
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot open the cache %s", dir);
	}
	if (made &&
		(fchown(fd, (uid_t)uid, (gid_t)gid) < 0 || fchmod(fd, (mode_t)mode & 07777) < 0)) {
		(void)err_sys(e, errno, "cannot make the cache %s", dir);
		close(fd);
		return -1;
	}
	return fd;
}

/* sharing=private: the first of the cache's directories that nobody uses. */
static int open_private_cache(
	const char *base, const struct mount_flag *f, char **ret_dir, struct err *e)
{
	for (int n = 0; n < PRIVATE_CACHES_MAX; n++) {
		scoped(free) char *dir = n ? xasprintf("%s.%d", base, n) : xstrdup(base);
		int fd = open_cache_dir(dir, f, e);
		if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0) {
			*ret_dir = TAKE(dir);
			return fd;
		}
		close(fd);
	}
	return err_set(e, ERR_BUSY, "--mount: too many builds use this cache at once");
}

static int open_cache(struct build_mounts *m, const struct mount_flag *f, struct err *e)
{
	char key[65];
	const char *sharing = f->sharing && *f->sharing ? f->sharing : "shared";
	bool locked = strcmp(sharing, "locked") == 0, private = strcmp(sharing, "private") == 0;
	if (!locked && !private && strcmp(sharing, "shared") != 0) {
		return err_set(
			e, ERR_INVALID, "--mount: unsupported sharing value '%.40s'", sharing);
	}
	memset(key, '0', 64);
	build_mix(key, f->id && *f->id ? f->id : f->target);
	scoped(free) char *base =
		xasprintf("%s/%.32s", json_str(m->t->b->request, "cache_dir"), key);
	scoped(free) char *dir = NULL;
	scoped(close) int fd = -1;
	if (private) {
		fd = open_private_cache(base, f, &dir, e);
	} else {
		dir = xstrdup(base);
		fd = open_cache_dir(base, f, e);
	}
	if (fd < 0) {
		return -1;
	}
	/* shared: users of the same cache exclude the private ones and the locked ones, not each
	 * other */
	if (!private && flock(fd, locked ? LOCK_EX : LOCK_SH) < 0) {
		return err_sys(e, errno, "cannot lock the cache");
	}
	const char *options = f->readonly ? "rbind,rprivate,ro" : "rbind,rprivate";
	if (build_mounts_add(m, dir, f->target, "bind", options, false, e) < 0) {
		return -1;
	}
	m->locks[m->n_locks++] = TAKE_FD(fd);
	return 0;
}

static int open_tmpfs(struct build_mounts *m, const struct mount_flag *f, struct err *e)
{
	char options[96] = "nosuid,nodev,mode=1777";
	int64_t bytes;
	if (f->size && *f->size) {
		if (parse_size(f->size, &bytes) < 0 || bytes <= 0) {
			return err_set(e, ERR_INVALID, "--mount: '%.40s' is not a size", f->size);
		}
		snprintf(options, sizeof(options), "nosuid,nodev,mode=1777,size=%lld",
			(long long)bytes);
	}
	return build_mounts_add(m, "tmpfs", f->target, "tmpfs", options, false, e);
}

int build_mounts_open(struct build_mounts *m, struct err *e)
{
	for (size_t k = 0; k < m->t->i->flags.n; k++) {
		const char *text = mount_flag_text(m->t->i->flags.v[k]);
		scoped(mount_flag) struct mount_flag f = {0};
		if (!text) {
			continue;
		}
		if (parse_flag(m->t, text, &f, e) < 0) {
			return -1;
		}
		int r = strcmp(f.type, "bind") == 0    ? open_bind(m, &f, e)
			: strcmp(f.type, "cache") == 0 ? open_cache(m, &f, e)
						       : open_tmpfs(m, &f, e);
		if (r < 0) {
			return build_fail(m->t, e);
		}
	}
	return 0;
}

/* --- mount points --- */

static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return !slash || slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

/* Makes one missing entry, whose parent exists, and notes it. */
static int make_stub(struct build_mounts *m, struct build_layer *l, const char *path, bool is_file,
	struct err *e)
{
	scoped(free) char *parent = parent_of(path);
	const char *name = strrchr(path, '/') + 1;
	scoped(close) int dir = path_open_in(l->root_fd, parent, O_RDONLY | O_DIRECTORY, 0);
	struct stat st;
	if (dir < 0 || fstat(dir, &st) < 0) {
		return err_sys(
			e, dir < 0 ? -dir : errno, "cannot make the mount point %.200s", path);
	}
	int r = is_file ? mknodat(dir, name, S_IFREG | 0644, 0) : mkdirat(dir, name, 0755);
	if (r < 0 && errno == EEXIST) {
		return 0; /* a link to nowhere: the runtime makes what it wants there */
	}
	if (r < 0) {
		return err_sys(e, errno, "cannot make the mount point %.200s", path);
	}
	m->stubs = xrealloc(m->stubs, m->n_stubs + 1, sizeof(*m->stubs));
	m->stubs[m->n_stubs++] =
		(struct build_stub){xstrdup(path), is_file, {st.st_atim, st.st_mtim}};
	return 0;
}

static int make_point(struct build_mounts *m, struct build_layer *l, const char *target,
	bool is_file, struct err *e)
{
	scoped(free) char *part = path_join("/", target);
	for (char *p = part + 1;; p++) {
		p = strchrnul(p, '/');
		char kept = *p;
		*p = '\0';
		scoped(close) int there = path_open_in(l->root_fd, part, O_PATH, 0);
		if (there == -ENOENT && make_stub(m, l, part, is_file && !kept, e) < 0) {
			return -1;
		}
		*p = kept;
		if (!kept) {
			return 0;
		}
	}
}

int build_mounts_make_points(struct build_mounts *m, struct build_layer *l, struct err *e)
{
	static const char *const always[] = {"/proc", "/sys", "/dev"};
	for (size_t k = 0; k < sizeof(always) / sizeof(*always); k++) {
		if (make_point(m, l, always[k], false, e) < 0) {
			return -1;
		}
	}
	for (size_t k = 0; k < m->n; k++) {
		if (!text_starts(m->v[k].target, "/dev/") &&
			make_point(m, l, m->v[k].target, m->is_file[k], e) < 0) {
			return -1;
		}
	}
	return 0;
}

void build_mounts_drop_points(struct build_mounts *m, struct build_layer *l)
{
	for (size_t k = m->n_stubs; k > 0; k--) {
		const struct build_stub *s = &m->stubs[k - 1];
		const char *name = strrchr(s->path, '/') + 1;
		scoped(free) char *parent = parent_of(s->path);
		scoped(close) int dir = path_open_in(l->root_fd, parent, O_RDONLY | O_DIRECTORY, 0);
		struct stat st;
		if (dir < 0 || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
			continue;
		}
		bool empty_file = s->is_file && S_ISREG(st.st_mode) && st.st_size == 0;
		bool wanted = s->is_file && !empty_file;
		if (!wanted && unlinkat(dir, name, s->is_file ? 0 : AT_REMOVEDIR) == 0) {
			futimens(dir, s->parent_times);
		}
	}
}
