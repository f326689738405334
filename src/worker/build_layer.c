#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "codec/sha256.h"
#include "worker/build.h"
#include "worker/build_cache_remote.h"
#include "worker/diff.h"
#include "worker/layers.h"
#include "worker/overlay.h"
#include "worker/rpc.h"
#include "worker/sync.h"
#include "tree/recipe.h"

#define SETTLE_MS 5000

/* An upper directory hides all that the same one below would show. */
void build_lower(const struct strv *dirs, struct strv *ret)
{
	for (size_t k = dirs->n; k > 0; k--) {
		if (!strv_has(ret, dirs->v[k - 1])) {
			strv_add(ret, dirs->v[k - 1]);
		}
	}
	if (ret->n == 0) {
		strv_add(ret, "empty");
	}
}

void build_chain(const struct strv *layers, char ret[static 65])
{
	memset(ret, '0', 64);
	ret[64] = '\0';
	for (size_t k = 0; k < layers->n; k++) {
		build_mix(ret, layers->v[k]);
	}
}

/* --- a root to work on --- */

/* The upper directory is the root that the step sees: it has the mode and owner of the one below.
 */
static int copy_root_attributes(
	struct build *b, const char *lower, const char *upper, struct err *e)
{
	struct stat st;
	scoped(close) int layers = open(b->layers_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (layers < 0 || fstatat(layers, lower, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		fchownat(b->tmp_fd, upper, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		fchmodat(b->tmp_fd, upper, st.st_mode & 07777, 0) < 0) {
		return err_sys(e, errno, "cannot prepare the step's root directory");
	}
	return 0;
}

int build_layer_begin(const struct build_step *t, struct build_layer *ret, struct err *e)
{
	struct build *b = t->b;
	const struct build_place *p = &t->s->place;
	*ret = (struct build_layer){.t = t, .root_fd = -1, .began_ns = build_file_clock_ns()};
	if (t->s->layers.n >= BUILD_LAYERS_MAX) {
		return err_set(e, ERR_INVALID, "the image would have more than %d layers",
			BUILD_LAYERS_MAX);
	}
	char name[16];
	ret->n = atomic_fetch_add(&b->n_layers, 1);
	snprintf(name, sizeof(name), "%d", ret->n);
	scoped(strv) struct strv lower = STRV_INIT;
	build_lower(&t->s->dirs, &lower);
	path_remove_tree(p->fd, "work"); /* of the step before */
	if (mkdirat(b->tmp_fd, name, 0755) < 0) {
		return err_sys(e, errno, "cannot make a directory for the step");
	}
	if (build_place_mkdir(p, "work", 0700, e) < 0 ||
		build_place_mkdir(p, "root", 0755, e) < 0 ||
		copy_root_attributes(b, lower.v[0], name, e) < 0) {
		return -1;
	}
	/* relative like the lower ones, which are short */
	scoped(free) char *upper = xasprintf("tmp/%s/%s", b->tmp_name, name);
	scoped(free) char *work = xasprintf("tmp/%s/%s/work", b->tmp_name, p->name);
	ret->root = xasprintf("%s/root", p->dir);
	if (overlay_mount(b->layers_dir, &lower, upper, work, ret->root, e) < 0) {
		return -1;
	}
	ret->mounted = true;
	ret->root_fd = open(ret->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return ret->root_fd < 0 ? err_sys(e, errno, "cannot open the step's root directory") : 0;
}

static int unmount(struct build_layer *l, struct err *e)
{
	if (l->root_fd >= 0) {
		close(l->root_fd);
		l->root_fd = -1;
	}
	if (l->mounted && umount2(l->root, UMOUNT_NOFOLLOW) < 0) {
		return err_sys(e, errno, "cannot unmount the step's root directory");
	}
	l->mounted = false;
	return 0;
}

int build_layer_detach(struct build_layer *l, struct err *e)
{
	scoped(free) char *path = xasprintf("%s/%d", l->t->b->tmp_dir, l->n);
	if (unmount(l, e) < 0) {
		return -1;
	}
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the step's layer") : fd;
}

static void forget(struct build_layer *l)
{
	free(l->root);
	l->root = NULL;
	l->t = NULL;
}

void build_layer_abort(struct build_layer *l)
{
	if (!l->t) {
		return;
	}
	struct err ignored;
	if (unmount(l, &ignored) < 0) {
		umount2(l->root, MNT_DETACH);
	}
	layer_remove(l->t->b->tmp_fd, l->n); /* a full disk gets its space back at once */
	forget(l);
}

int build_layer_mkdirs(struct build_layer *l, const char *path, uid_t uid, gid_t gid, struct err *e)
{
	scoped(free) char *part = xstrdup(path);
	for (char *p = part + 1;; p++) {
		p = strchrnul(p, '/');
		char kept = *p;
		*p = '\0';
		scoped(close) int there = path_open_in(l->root_fd, part, O_PATH | O_DIRECTORY, 0);
		if (there < 0) {
			scoped(close) int fd = path_mkdir_in(l->root_fd, part, 0755);
			if (fd < 0) {
				return err_sys(e, -fd, "cannot make the directory %.200s", part);
			}
			if (fchownat(fd, "", uid, gid, AT_EMPTY_PATH) < 0) {
				return err_sys(e, errno, "cannot make the directory %.200s", part);
			}
		}
		*p = kept;
		if (!kept) {
			return 0;
		}
	}
}

/* --- what a step made --- */

static void stage_add_layer(struct build_stage *s, const char *diff_id, const char *dir)
{
	strv_add(&s->layers, diff_id);
	strv_add(&s->dirs, dir);
}

/* As unpack.c for layers from elsewhere: the runtime mounts a tmpfs on /dev and makes nodes in it,
 * which must not happen in a directory that a link of the image chose. */
static int check_dev(int upper_fd, struct err *e)
{
	struct stat st;
	if (fstatat(upper_fd, "dev", &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode)) {
		return 0;
	}
	bool whiteout = S_ISCHR(st.st_mode) && st.st_rdev == 0;
	return whiteout ? 0 : err_set(e, ERR_INVALID, "/dev of an image must be a directory");
}

/* build_time.h */
static int set_times(const struct build_layer *l, int upper_fd, struct err *e)
{
	const struct build_step *t = l->t;
	if (t->i->kind != DF_RUN) {
		return build_time_set(upper_fd, l->began_ns, build_step_time_ns(t), true, e);
	}
	return t->b->rewrite ? build_time_set(upper_fd, t->b->epoch_ns, t->b->epoch_ns, false, e)
			     : 0;
}

static int hash_layer(struct build_layer *l, struct diff_result *ret, struct err *e)
{
	char name[16];
	snprintf(name, sizeof(name), "%d", l->n);
	scoped(close) int fd = openat(l->t->b->tmp_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot open the step's layer");
	}
	scoped(recipe_writer_free) struct recipe_writer *recipe =
		layer_recipe_new(l->t->b->tmp_fd, l->n, e);
	return !recipe || check_dev(fd, e) < 0 || set_times(l, fd, e) < 0 ||
			       diff_hash(fd, recipe, ret, e) < 0
		       ? -1
		       : 0;
}

const char *build_times_key(const struct build_step *t, const char *key, char own[static 65])
{
	if (t->b->epoch_ns < 0 || (t->i->kind == DF_RUN && !t->b->rewrite)) {
		return key;
	}
	scoped(free) char *epoch = xasprintf("epoch %lld", (long long)t->b->epoch_ns);
	snprintf(own, 65, "%s", key);
	build_mix(own, epoch);
	return own;
}

static int put_keys(const struct build_step *t, const struct strv *keys, const char *diff_id,
	const char *dir, struct err *e)
{
	for (size_t k = 0; keys && k < keys->n; k++) {
		char own[65];
		const char *key = build_times_key(t, keys->v[k], own);
		json_t *question = json_pack("{ss ss ss ss}", "ask", "cache-put", "key", key,
			"diff_id", diff_id, "parent", t->s->cache_key);
		json_put_str(question, "text", t->i->text); /* left out when it is not UTF-8 */
		scoped(json) json_t *answer = rpc_ask(t->b->rpc, question, e);
		if (!answer) {
			return -1;
		}
		build_caches_note(t->b, key, diff_id, dir);
	}
	char own[65];
	snprintf(t->s->cache_key, sizeof(t->s->cache_key), "%s",
		keys && keys->n ? build_times_key(t, keys->v[0], own) : "");
	t->s->made_ns = build_now_ns(t->b);
	return 0;
}

int build_settle(struct build *b, struct err *e)
{
	if (sync_filesystem(b->layers_dir, e) < 0) {
		return -1;
	}
	scoped(json) json_t *answer = rpc_ask(b->rpc, json_pack("{ss}", "ask", "settle"), e);
	return answer ? 0 : -1;
}

/* A power cut takes a few seconds of a build, not all of it. */
static int settle_sometimes(struct build *b, struct err *e)
{
	long long now = clock_mono_ms();
	long long last = atomic_load(&b->settled_ms);
	bool due = now - last > SETTLE_MS;
	return due && atomic_compare_exchange_strong(&b->settled_ms, &last, now)
		       ? build_settle(b, e)
		       : 0;
}

int build_layer_end(
	const struct build_step *t, struct build_layer *l, const struct strv *keys, struct err *e)
{
	struct diff_result made = {0};
	if (unmount(l, e) < 0 || hash_layer(l, &made, e) < 0) {
		return -1;
	}
	scoped(free) char *tmp = xasprintf("%s/%d", t->b->tmp_name, l->n);
	scoped(json) json_t *answer = rpc_ask(t->b->rpc,
		json_pack("{ss ss ss sI}", "ask", "add-layer", "diff_id", made.diff_id, "tmp", tmp,
			"size", (json_int_t)made.bytes),
		e);
	const char *dir = json_str(answer, "dir");
	if (!answer || put_keys(t, keys, made.diff_id, dir, e) < 0) {
		return -1;
	}
	stage_add_layer(t->s, made.diff_id, dir);
	forget(l);
	return settle_sometimes(t->b, e);
}

/* {} when neither this engine nor another's cache has it; NULL with *e. */
static json_t *find_cached(const struct build_step *t, const char *key, struct err *e)
{
	json_t *question = json_pack("{ss ss}", "ask", "cache", "key", key);
	scoped(json) json_t *answer = rpc_ask(t->b->rpc, json_incref(question), e);
	int more = answer && !*json_str(answer, "diff_id") ? build_import(t, key, e) : 0;
	if (more > 0) {
		json_decref(answer);
		answer = rpc_ask(t->b->rpc, json_incref(question), e);
	}
	json_decref(question);
	return more < 0 ? NULL : TAKE(answer);
}

int build_cache_look(const struct build_step *t, const char *key, struct err *e)
{
	if (t->s->no_cache) {
		return 0;
	}
	char own[65];
	key = build_times_key(t, key, own);
	scoped(json) json_t *answer = find_cached(t, key, e);
	if (!answer) {
		return -1;
	}
	const char *diff_id = json_str(answer, "diff_id");
	if (!*diff_id || !build_cache_image_allows(t, diff_id)) {
		return 0;
	}
	if (t->s->layers.n >= BUILD_LAYERS_MAX) {
		return err_set(e, ERR_INVALID, "the image would have more than %d layers",
			BUILD_LAYERS_MAX);
	}
	stage_add_layer(t->s, diff_id, json_str(answer, "dir"));
	build_caches_note(t->b, key, diff_id, json_str(answer, "dir"));
	snprintf(t->s->cache_key, sizeof(t->s->cache_key), "%s", key);
	t->s->made_ns = json_i64(answer, "created", 0);
	t->s->cached = true;
	build_say(t->b->events, t->s->turn, " ---> Using cache\n");
	return 1;
}

/* --- a source to copy from --- */

int build_source_open(const struct build_step *t, const struct strv *dirs, struct err *e)
{
	scoped(strv) struct strv lower = STRV_INIT;
	build_lower(dirs, &lower);
	scoped(free) char *at = xasprintf("%s/src", t->s->place.dir);
	if (build_place_mkdir(&t->s->place, "src", 0755, e) < 0 ||
		overlay_mount(t->b->layers_dir, &lower, NULL, NULL, at, e) < 0) {
		return -1;
	}
	int fd = open(at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		umount2(at, MNT_DETACH);
		return err_sys(e, errno, "cannot open the source");
	}
	return fd;
}

void build_source_close(const struct build_step *t, int take_fd)
{
	if (take_fd < 0) {
		return;
	}
	close(take_fd);
	scoped(free) char *at = xasprintf("%s/src", t->s->place.dir);
	umount2(at, MNT_DETACH);
}
