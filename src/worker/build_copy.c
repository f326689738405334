/* COPY and ADD.
 *
 * Sources are resolved below the context (or a stage's or image's root), destinations below the
 * merged root of the step: no link on either side leads outside. What a source is called, contains
 * and becomes is the cache key, so that a copy that changes nothing is not made.
 */
#include "worker/build_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "oci/passwd.h"
#include "worker/build_context.h"
#include "worker/context.h"
#include "worker/copy.h"
#include "tree/stream.h"

#define HEREDOC_NAME "heredoc"

static mode_t new_mode(void *owner, mode_t mode)
{
	const struct copy_step *c = owner;
	return chmod_apply(&c->chmod, mode);
}

/* "1234" alone is its own group; everything else as USER, in the files of the image that is being
 * made. */
static int resolve_chown(struct copy_step *c, struct build_layer *l, struct err *e)
{
	int number;
	struct oci_user u = {0};
	if (!c->has_chown) {
		return 0;
	}
	if (parse_int(c->chown_text, 0, INT32_MAX, &number) == 0) {
		c->uid = (uid_t)number;
		c->gid = (gid_t)number;
		return 0;
	}
	scoped(strv) struct strv roots = STRV_INIT;
	strv_add(&roots, l->root);
	if (oci_user_find(&roots, c->chown_text, NULL, &u, e) < 0) {
		(void)err_wrap(e, "--chown=%.80s", c->chown_text);
		return -1;
	}
	c->uid = u.uid;
	c->gid = u.gid;
	return 0;
}

/* --- keys --- */

static void begin_key(const struct copy_step *c, char key[static 65])
{
	const struct build_step *t = c->t;
	build_chain(&t->s->layers, key);
	build_mix(key, df_keyword(t->i->kind));
	build_mix(key, c->dest);
	build_mix(key, c->dest_dir ? "/" : "");
	build_mix(key, c->chown_text ? c->chown_text : "");
	build_mix(key, c->chmod_text ? c->chmod_text : "");
	build_mix(key, c->parents ? "parents" : "");
	scoped(strv) struct strv excluded = STRV_INIT;
	ignore_patterns(c->exclude, &excluded);
	for (size_t k = 0; k < excluded.n; k++) {
		build_mix(key, excluded.v[k]);
	}
}

/* Modes and owners of the directories that --parents makes. */
static void parents_key(const struct copy_step *c, const struct copy_source *s, char key[static 65])
{
	scoped(free) char *path = xasprintf("%s%s", s->base, s->parents);
	for (char *slash = path; slash;) {
		struct stat st;
		scoped(close) int fd = path_open_in(c->root_fd, path, O_PATH | O_DIRECTORY, 0);
		if (fd >= 0 && fstat(fd, &st) == 0) {
			scoped(free) char *text =
				xasprintf("%o %u %u", st.st_mode, st.st_uid, st.st_gid);
			build_mix(key, text);
		}
		slash = strrchr(path, '/');
		if (slash) {
			*slash = '\0';
		}
	}
}

static void content_key(const struct copy_step *c, char key[static 65])
{
	static const char *const kinds[] = {"file", "dir", "archive", "text", "url", "git"};
	begin_key(c, key);
	for (size_t k = 0; k < c->n; k++) {
		const struct copy_source *s = &c->v[k];
		build_mix(key, kinds[s->kind]);
		build_mix(key, s->kind == SOURCE_DIR || s->kind == SOURCE_ARCHIVE ? "" : s->name);
		build_mix(key, s->parents ? s->parents : "");
		if (s->parents) {
			parents_key(c, s, key);
		}
		build_mix(key, s->digest);
	}
}

/* Of --from: when nothing below changed, the sources need not be read at all. */
static int chain_key(
	const struct copy_step *c, const char *from_chain, char key[static 65], struct err *e)
{
	const struct build_step *t = c->t;
	begin_key(c, key);
	build_mix(key, from_chain);
	for (size_t k = 0; k + 1 < t->i->words.n; k++) {
		scoped(free) char *written = NULL;
		if (build_expand(t, t->i->words.v[k], &written, e) < 0) {
			return -1;
		}
		build_mix(key, written);
	}
	return 0;
}

/* --- copying --- */

static int is_dir(const struct build_layer *l, const char *path)
{
	scoped(close) int fd = path_open_in(l->root_fd, path, O_PATH | O_DIRECTORY, 0);
	return fd >= 0;
}

static char *join_name(const char *dir, const char *name)
{
	return path_join(dir, *name == '/' ? name + 1 : name);
}

static struct copy_options copy_options(struct copy_step *c)
{
	bool from = df_flag(c->t->i, "from") != NULL;
	return (struct copy_options){
		.set_owner = c->has_chown || !from, /* the context's files belong to root */
		.uid = c->uid,
		.gid = c->gid,
		.mode = c->has_chmod ? new_mode : NULL,
		.filter = c->exclude ? copy_filter_excluded : NULL,
		.owner = c,
		.link = build_context_is(c->t->b, c->root_fd),
	};
}

/* A file of ours (heredoc, download) in the tmp directory, copied like any other. */
static int copy_own(struct copy_step *c, struct build_layer *l, const char *file, const char *dir,
	const char *name, struct err *e)
{
	struct copy_options o = copy_options(c);
	o.set_owner = true;
	o.filter = NULL;
	o.link = false;
	struct copy *copy = copy_new(l->t->s->place.fd, l->root_fd, &o);
	int r = copy_file(copy, file, dir, name, e);
	copy_free(copy);
	return r;
}

static int copy_text(struct copy_step *c, struct build_layer *l, const struct copy_source *s,
	const char *dir, const char *name, struct err *e)
{
	int r = path_write(l->t->s->place.fd, HEREDOC_NAME, s->path, strlen(s->path), 0644, false);
	if (r < 0) {
		return err_sys(e, -r, "cannot write the heredoc %.80s", s->name);
	}
	r = copy_own(c, l, HEREDOC_NAME, dir, name, e);
	unlinkat(l->t->s->place.fd, HEREDOC_NAME, 0);
	return r;
}

static int unpack_archive(struct copy_step *c, struct build_layer *l, const struct copy_source *s,
	const char *dir, struct err *e)
{
	scoped(close) int fd =
		s->download ? openat(c->t->s->place.fd, s->download, O_RDONLY | O_CLOEXEC)
			    : path_open_in(c->root_fd, s->path, O_RDONLY | O_NOFOLLOW, 0);
	if (fd < 0) {
		return err_sys(e, -fd, "cannot open %.200s", s->path);
	}
	const struct extract_options o = {.set_owner = c->has_chown, .uid = c->uid, .gid = c->gid};
	scoped(stream_free) struct stream *packed = stream_from_fd(fd);
	return context_extract(l->root_fd, dir, packed, &o, e);
}

/* The directory and the name that a file gets. */
static int file_target(struct copy_step *c, struct build_layer *l, const struct copy_source *s,
	char **ret_dir, char **ret_name, struct err *e)
{
	bool into_dir = c->dest_dir || is_dir(l, c->dest);
	if (into_dir && !*s->name) {
		return err_set(e, ERR_INVALID,
			"cannot determine a file name from %.200s: give the destination one",
			s->path);
	}
	if (into_dir) {
		*ret_dir = s->parents ? join_name(c->dest, s->parents) : xstrdup(c->dest);
		*ret_name = xstrdup(s->name);
		return 0;
	}
	const char *slash = strrchr(c->dest, '/');
	*ret_dir = slash == c->dest ? xstrdup("/") : xstrndup(c->dest, (size_t)(slash - c->dest));
	*ret_name = xstrdup(slash + 1);
	return 0;
}

static int copy_one_file(struct copy_step *c, struct build_layer *l, struct copy *copy,
	const struct copy_source *s, struct err *e)
{
	scoped(free) char *dir = NULL;
	scoped(free) char *name = NULL;
	if (file_target(c, l, s, &dir, &name, e) < 0 ||
		build_layer_mkdirs(l, dir, c->uid, c->gid, e) < 0) {
		return -1;
	}
	switch (s->kind) {
	case SOURCE_TEXT:
		return copy_text(c, l, s, dir, name, e);
	case SOURCE_URL:
		return copy_own(c, l, s->download, dir, name, e);
	default:
		return copy_file(copy, s->path, dir, name, e);
	}
}

/* The directories that --parents makes are as those that they come from; what is there already
 * stays as it is. */
static int make_parents(struct copy_step *c, struct build_layer *l, struct copy *copy,
	const struct copy_source *s, struct err *e)
{
	for (const char *end = s->parents; end && strcmp(s->parents, ".") != 0;) {
		end = strchrnul(end, '/');
		scoped(free) char *part = xstrndup(s->parents, (size_t)(end - s->parents));
		scoped(free) char *from = xasprintf("%s%s", s->base, part);
		scoped(free) char *to = join_name(c->dest, part);
		bool there = is_dir(l, to);
		if (build_layer_mkdirs(l, to, c->uid, c->gid, e) < 0 ||
			(!there && copy_attributes(copy, from, to, e) < 0)) {
			return -1;
		}
		end = *end ? end + 1 : NULL;
	}
	return 0;
}

static int copy_source(struct copy_step *c, struct build_layer *l, struct copy *copy,
	const struct copy_source *s, struct err *e)
{
	if (make_parents(c, l, copy, s, e) < 0) {
		return -1;
	}
	if (s->kind != SOURCE_DIR && s->kind != SOURCE_ARCHIVE && s->kind != SOURCE_GIT) {
		return copy_one_file(c, l, copy, s, e);
	}
	scoped(free) char *dir = s->parents ? join_name(c->dest, s->parents) : xstrdup(c->dest);
	if (build_layer_mkdirs(l, dir, c->uid, c->gid, e) < 0) {
		return -1;
	}
	if (s->kind == SOURCE_GIT) {
		struct copy_options o = copy_options(c);
		o.link = false; /* the checkout goes before the layer is done */
		return copy_git(c, s, l->root_fd, dir, &o, e);
	}
	return s->kind == SOURCE_DIR ? copy_dir_content(copy, s->path, dir, false, e)
				     : unpack_archive(c, l, s, dir, e);
}

static int check_several(const struct copy_step *c, const struct build_layer *l, struct err *e)
{
	if (c->n > 1 && !c->dest_dir && !is_dir(l, c->dest)) {
		return err_set(e, ERR_INVALID,
			"When using %s with more than one source file, the destination must be a directory and end with a /",
			df_keyword(c->t->i->kind));
	}
	return 0;
}

static int follow_dest(struct copy_step *c, const struct build_layer *l, struct err *e)
{
	char *dest = copy_resolve(l->root_fd, c->dest, e);
	if (!dest) {
		return -1;
	}
	free(c->dest);
	c->dest = dest;
	return 0;
}

/* Both sides by their paths: descriptors from before the build's own namespace are of other mounts.
 */
static int copy_later(struct copy_step *c, struct build_layer *l, struct copy *copy, struct err *e)
{
	scoped(close) int from = open(c->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0) {
		return err_sys(e, errno, "cannot open the sources");
	}
	scoped(close) int to = build_layer_detach(l, e);
	return to < 0 ? -1 : copy_later_run(copy, from, to, e);
}

static int copy_all(struct copy_step *c, struct build_layer *l, struct err *e)
{
	if (follow_dest(c, l, e) < 0 || check_several(c, l, e) < 0 || resolve_chown(c, l, e) < 0) {
		return -1;
	}
	const struct copy_options o = copy_options(c);
	struct copy *copy = copy_new(c->root_fd, l->root_fd, &o);
	int r = 0;
	for (size_t k = 0; k < c->n && r == 0; k++) {
		r = copy_source(c, l, copy, &c->v[k], e);
	}
	if (r == 0 && copy_later_is_needed(copy)) {
		r = copy_later(c, l, copy, e);
	}
	copy_free(copy);
	return r;
}

static int make_layer(struct copy_step *c, const struct strv *keys, struct err *e)
{
	scoped(build_layer) struct build_layer l = {0};
	if (build_layer_begin(c->t, &l, e) < 0 || copy_all(c, &l, e) < 0 ||
		build_layer_end(c->t, &l, keys, e) < 0) {
		return build_fail(c->t, e);
	}
	return 0;
}

static int set_root(struct copy_step *c, int root_fd, struct err *e)
{
	char link[64], path[4097];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", root_fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	if (n < 0) {
		return err_sys(e, errno, "cannot resolve the source");
	}
	path[n] = '\0';
	c->root_fd = root_fd;
	c->root = xstrdup(path);
	return 0;
}

/* Reads the sources, then copies what the cache does not have. quick_key: "" or one that the result
 * is known under, too. */
static int copy_from(struct copy_step *c, int root_fd, const char *quick_key, struct err *e)
{
	char key[65];
	if (set_root(c, root_fd, e) < 0 || copy_read_sources(c, e) < 0) {
		return -1;
	}
	content_key(c, key);
	scoped(strv) struct strv keys = STRV_INIT;
	strv_add(&keys, key);
	if (*quick_key) {
		strv_add(&keys, quick_key);
	}
	int cached = build_cache_look(c->t, key, e);
	if (cached != 0) {
		return cached > 0 ? 0 : -1;
	}
	return make_layer(c, &keys, e);
}

static int copy_from_layers(struct copy_step *c, const char *from, struct err *e)
{
	const struct build_step *t = c->t;
	scoped(strv) struct strv dirs = STRV_INIT;
	char chain[65], key[65];
	if (build_source_dirs(t, from, &dirs, chain, e) < 0 || chain_key(c, chain, key, e) < 0) {
		return -1;
	}
	memcpy(c->from_key, key, sizeof(c->from_key));
	int cached = t->i->n_heredocs ? 0 : build_cache_look(t, key, e);
	if (cached != 0) {
		return cached > 0 ? 0 : -1;
	}
	int fd = build_source_open(t, &dirs, e);
	if (fd < 0) {
		return build_fail(t, e);
	}
	int r = copy_from(c, fd, t->i->n_heredocs ? "" : key, e);
	build_source_close(t, fd);
	return r;
}

/* --- history --- */

/* "file:", "dir:" or "multi:" and a digest, as the classic builder names the sources. Those of
 * --from are not read when the cache has the result: they are named by what was written. */
static void classic_sources(const struct copy_step *c, struct buf *ret)
{
	const struct df_instruction *i = c->t->i;
	char key[65];
	const char *digest = c->n == 1 ? c->v[0].digest : key;
	bool one = c->n == 1,
	     dir = one && (c->v[0].kind == SOURCE_DIR || c->v[0].kind == SOURCE_GIT);
	memset(key, '0', 64);
	key[64] = '\0';
	for (size_t k = 0; k < c->n; k++) {
		build_mix(key, c->v[k].digest);
	}
	if (*c->from_key) {
		one = i->words.n == 2;
		dir = one && text_ends(i->words.v[0], "/");
		digest = c->from_key;
	}
	digest = text_starts(digest, "sha256:") ? digest + 7 : digest;
	buf_printf(ret, " %s:%s in", one ? dir ? "dir" : "file" : "multi", digest);
}

static int buildkit_sources(const struct copy_step *c, struct buf *ret, struct err *e)
{
	const struct df_instruction *i = c->t->i;
	for (size_t k = 0; k + 1 < i->words.n; k++) {
		if (copy_find_heredoc(i, i->words.v[k])) {
			continue;
		}
		scoped(free) char *written = NULL;
		if (build_expand(c->t, i->words.v[k], &written, e) < 0) {
			return -1;
		}
		scoped(free) char *shown =
			copy_is_remote(written) ? git_url_redact(written) : xstrdup(written);
		buf_printf(ret, " %s", shown);
	}
	for (size_t k = 0; k < i->n_heredocs; k++) {
		buf_printf(ret, " <<%s", i->heredocs[k].name);
	}
	return 0;
}

static int say_history(const struct copy_step *c, struct err *e)
{
	const struct build_step *t = c->t;
	bool classic = !t->b->vertices;
	scoped(buf) struct buf text = BUF_INIT;
	buf_puts(&text, df_keyword(t->i->kind));
	buf_puts(&text, c->parents ? " --parents" : "");
	if (c->chown_text) {
		buf_printf(&text, " --chown=%s", c->chown_text);
	}
	if (c->chmod_text) {
		buf_printf(&text, " --chmod=%s", c->chmod_text);
	}
	if (classic) {
		classic_sources(c, &text);
	} else if (buildkit_sources(c, &text, e) < 0) {
		return -1;
	}
	buf_printf(&text, " %s %s", c->dest_text, classic ? "" : "# buildkit");
	scoped(free) char *whole = history_nop(&t->s->c, classic, true, buf_str(&text));
	build_history(t->s, whole, false);
	return 0;
}

int build_step_copy(const struct build_step *t, struct err *e)
{
	scoped(copy_step) struct copy_step c = {.t = t, .root_fd = -1};
	scoped(free) char *from = NULL;
	if (copy_read_flags(&c, e) < 0 || copy_read_dest(&c, e) < 0 ||
		copy_read_flag(t, "from", &from, e) < 0) {
		return -1;
	}
	int r = from && *from ? copy_from_layers(&c, from, e)
			      : copy_from(&c, t->b->context_fd, "", e);
	if (r < 0) {
		return -1;
	}
	if (say_history(&c, e) < 0) {
		return -1;
	}
	build_mix(t->s->state, t->s->layers.v[t->s->layers.n - 1]);
	return 0;
}
