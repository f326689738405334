/* COPY and ADD.
 *
 * Sources are resolved below the context (or a stage's or image's root), destinations below the merged root of the step: no link on
 * either side leads outside. What a source is called, contains and becomes is the cache key, so that a copy that changes
 * nothing is not made.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/chmod.h"
#include "oci/passwd.h"
#include "worker/build.h"
#include "worker/context.h"
#include "worker/copy.h"
#include "worker/stream.h"

#define SOURCES_MAX 10000
#define DOWNLOAD_NAME "download"
#define HEREDOC_NAME "heredoc"

struct source {
	enum { SOURCE_FILE, SOURCE_DIR, SOURCE_ARCHIVE, SOURCE_TEXT, SOURCE_URL } kind;
	char *path;    /* below the source root, without links; of TEXT the content */
	char *name;    /* in a destination directory; of a URL may be "" */
	char *parents; /* --parents: directories to make below the destination, or NULL */
	char digest[72];
	int64_t mtime; /* of a URL, or -1 */
	char *download; /* file below tmp_dir, or NULL */
};

struct copy_step {
	const struct build_step *t;
	int root_fd;   /* of the sources; borrowed */
	char *root;    /* its path as the kernel says it */
	char *dest;    /* absolute, clean */
	bool dest_dir; /* it was written as a directory */
	char *chown_text, *chmod_text;
	bool has_chmod, has_chown;
	struct chmod_rule chmod;
	uid_t uid;
	gid_t gid;
	struct strv exclude;
	bool parents;
	struct source *v;
	size_t n;
	bool wildcard; /* a pattern was there: no match is fine */
};

static void copy_step_deinit(struct copy_step *c)
{
	for (size_t k = 0; k < c->n; k++) {
		free(c->v[k].path);
		free(c->v[k].name);
		free(c->v[k].parents);
		if (c->v[k].download) {
			unlinkat(c->t->b->tmp_fd, c->v[k].download, 0);
		}
		free(c->v[k].download);
	}
	free(c->v);
	free(c->root);
	free(c->dest);
	free(c->chown_text);
	free(c->chmod_text);
	strv_deinit(&c->exclude);
}

static void scoped_copy_step(struct copy_step *c)
{
	copy_step_deinit(c);
}

static bool skip_excluded(void *owner, const char *path)
{
	const struct copy_step *c = owner;
	for (size_t k = 0; k < c->exclude.n; k++) {
		if (ignore_pattern_match(c->exclude.v[k], path)) {
			return true;
		}
	}
	return false;
}

static mode_t new_mode(void *owner, mode_t mode)
{
	const struct copy_step *c = owner;
	return chmod_apply(&c->chmod, mode);
}

/* --- flags --- */

static int read_flag(const struct build_step *t, const char *name, char **ret, struct err *e)
{
	const char *value = df_flag(t->i, name);
	return value ? build_expand(t, value, ret, e) : 0;
}

static int read_excludes(struct copy_step *c, struct err *e)
{
	const struct build_step *t = c->t;
	for (size_t k = 0; k < t->i->flags.n; k++) {
		if (!text_starts(t->i->flags.v[k], "--exclude=")) {
			continue;
		}
		scoped(free) char *text = NULL;
		if (build_expand(t, t->i->flags.v[k] + strlen("--exclude="), &text, e) < 0) {
			return -1;
		}
		scoped(free) char *clean = path_clean(text);
		if (!ignore_pattern_valid(clean)) {
			(void)err_set(e, ERR_INVALID, "--exclude: '%.80s' is not a valid pattern", text);
			return build_fail(t, e);
		}
		strv_add(&c->exclude, *clean == '/' ? clean + 1 : clean);
	}
	return 0;
}

static int read_flags(struct copy_step *c, struct err *e)
{
	static const char *const copy[] = {"from", "chown", "chmod", "link", "parents", "exclude", NULL};
	static const char *const add[] = {"chown", "chmod", "link", "checksum", "keep-git-dir", "exclude", NULL};
	const struct build_step *t = c->t;
	if (df_check_flags(t->d, t->i, t->i->kind == DF_COPY ? copy : add, e) < 0 ||
		read_flag(t, "chown", &c->chown_text, e) < 0 || read_flag(t, "chmod", &c->chmod_text, e) < 0 ||
		read_excludes(c, e) < 0) {
		return -1;
	}
	c->has_chown = c->chown_text && *c->chown_text;
	c->has_chmod = c->chmod_text && *c->chmod_text;
	const char *parents = df_flag(t->i, "parents");
	c->parents = parents && strcasecmp(parents, "false") != 0;
	if (c->has_chmod && chmod_parse(c->chmod_text, &c->chmod, e) < 0) {
		return build_fail(t, e);
	}
	return 0;
}

/* "1234" alone is its own group; everything else as USER, in the files of the image that is being made. */
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

/* --- sources --- */

static struct source *add_source(struct copy_step *c, struct err *e)
{
	if (c->n >= SOURCES_MAX) {
		(void)err_set(e, ERR_INVALID, "more than %d sources", SOURCES_MAX);
		return NULL;
	}
	c->v = xrealloc(c->v, c->n + 1, sizeof(*c->v));
	c->v[c->n] = (struct source){.mtime = -1};
	return &c->v[c->n++];
}

/* The path of an open file below the source root, with every link on its way resolved by the kernel. */
static char *real_path(const struct copy_step *c, int fd)
{
	char link[64], path[4097];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, path, sizeof(path) - 1);
	size_t root = strlen(c->root);
	if (n < 0 || (size_t)n < root) {
		return NULL;
	}
	path[n] = '\0';
	const char *below = path + root;
	while (*below == '/') {
		below++;
	}
	return strncmp(path, c->root, root) == 0 ? xstrdup(*below ? below : ".") : NULL;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

/* --parents: what of the written path is kept below the destination: "a/./b/c" keeps "b". */
static char *kept_parents(const char *written, bool is_dir)
{
	const char *pivot = strstr(written, "/./");
	scoped(free) char *clean = path_clean(pivot ? pivot + 3 : written);
	const char *p = clean;
	while (*p == '/') {
		p++;
	}
	if (is_dir) {
		return xstrdup(p);
	}
	const char *slash = strrchr(p, '/');
	return slash ? xstrndup(p, (size_t)(slash - p)) : xstrdup(".");
}

static int add_path(struct copy_step *c, const char *path, const char *written, struct err *e)
{
	const struct build_step *t = c->t;
	scoped(close) int fd = path_open_in(c->root_fd, path, O_PATH, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		bool from = df_flag(t->i, "from") != NULL;
		return err_set(e, ERR_INVALID, "%s failed: %s: stat %.200s: file does not exist", df_keyword(t->i->kind),
			from ? "file not found in the source" : "file not found in build context or excluded by .dockerignore",
			written);
	}
	scoped(free) char *clean = path_clean(path);
	if (!S_ISDIR(st.st_mode) && skip_excluded(c, base_name(clean))) {
		return 0;
	}
	struct source *s = add_source(c, e);
	if (!s) {
		return -1;
	}
	s->kind = S_ISDIR(st.st_mode) ? SOURCE_DIR : SOURCE_FILE;
	s->path = real_path(c, fd);
	s->name = xstrdup(base_name(clean));
	s->parents = c->parents ? kept_parents(c->wildcard ? path : written, s->kind == SOURCE_DIR) : NULL;
	if (!s->path) {
		return err_set(e, ERR_SYSTEM, "cannot resolve %.200s", written);
	}
	if (t->i->kind == DF_ADD && S_ISREG(st.st_mode)) {
		scoped(close) int file = path_open_in(c->root_fd, s->path, O_RDONLY | O_NOFOLLOW, 0);
		s->kind = file >= 0 && context_is_archive(file) ? SOURCE_ARCHIVE : SOURCE_FILE;
	}
	return context_digest(c->root_fd, s->path, df_flag(t->i, "from") && !c->has_chown, skip_excluded, c, s->digest, e);
}

static bool has_wildcard(const char *text)
{
	return strpbrk(text, "*?[") != NULL;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names in the directory that match one component of a pattern; sorted. */
static void match_names(const struct copy_step *c, const char *dir, const char *pattern, struct strv *ret)
{
	int fd = path_open_in(c->root_fd, dir, O_RDONLY | O_DIRECTORY, 0);
	scoped(closedir) DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	while (d && (entry = readdir(d))) {
		bool self = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
		if (!self && ignore_pattern_match(pattern, entry->d_name)) {
			strv_add(ret, entry->d_name);
		}
	}
	if (ret->n > 1) {
		qsort(ret->v, ret->n, sizeof(*ret->v), compare_names);
	}
}

/* dir: what is matched so far; rest: components that follow. */
static int expand_wildcard(struct copy_step *c, const char *dir, const struct strv *parts, size_t at, struct err *e)
{
	if (at == parts->n) {
		scoped(close) int fd = path_open_in(c->root_fd, dir, O_PATH, 0);
		return fd < 0 ? 0 : add_path(c, dir, dir, e); /* "a*" "/b": not every a has one */
	}
	scoped(strv) struct strv names = STRV_INIT;
	if (has_wildcard(parts->v[at])) {
		match_names(c, dir, parts->v[at], &names);
	} else {
		strv_add(&names, parts->v[at]);
	}
	for (size_t k = 0; k < names.n; k++) {
		scoped(free) char *path = strcmp(dir, ".") == 0 ? xstrdup(names.v[k]) : xasprintf("%s/%s", dir, names.v[k]);
		if (expand_wildcard(c, path, parts, at + 1, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int add_wildcard(struct copy_step *c, const char *written, struct err *e)
{
	scoped(strv) struct strv parts = STRV_INIT;
	scoped(free) char *clean = path_join("/", written);
	if (!ignore_pattern_valid(clean)) {
		return err_set(e, ERR_INVALID, "'%.100s' is not a valid pattern", written);
	}
	c->wildcard = true;
	size_t before = c->n;
	strv_split(&parts, clean + 1, '/');
	if (expand_wildcard(c, ".", &parts, 0, e) < 0) {
		return -1;
	}
	if (c->n == before) {
		build_say(c->t->b, "[Warning] %.80s:%d: nothing matches '%.200s'\n", c->t->d->name, c->t->i->line, written);
	}
	return 0;
}

static int add_heredoc(struct copy_step *c, const struct df_heredoc *h, struct err *e)
{
	scoped(free) char *text = df_heredoc_text(h);
	struct source *s = add_source(c, e);
	if (!s) {
		return -1;
	}
	s->kind = SOURCE_TEXT;
	s->name = xstrdup(h->name);
	if (h->expand) {
		struct expander x = build_config_expander(&c->t->s->c, c->t->d->escape);
		x.keep_quotes = true;
		if (expand_word(&x, text, &s->path, e) < 0) {
			return -1;
		}
	} else {
		s->path = TAKE(text);
	}
	memset(s->digest, '0', 64);
	build_mix(s->digest, s->path);
	return 0;
}

/* --- ADD of a URL --- */

static bool is_url(const char *text)
{
	return text_starts(text, "http://") || text_starts(text, "https://");
}

static bool is_git(const char *text)
{
	size_t n = strcspn(text, "#?");
	return text_starts(text, "git@") || text_starts(text, "git://") || text_starts(text, "ssh://") ||
		(is_url(text) && n > 4 && strncmp(text + n - 4, ".git", 4) == 0);
}

static char *url_file_name(const char *url)
{
	const char *path = strchr(strstr(url, "://") + 3, '/');
	size_t n = path ? strcspn(path, "?#") : 0;
	scoped(free) char *clean = xstrndup(path ? path : "", n);
	scoped(buf) struct buf name = BUF_INIT;
	const char *last = base_name(clean);
	if (percent_decode(last, strlen(last), false, &name) < 0 || !path_is_component(buf_str(&name))) {
		return xstrdup("");
	}
	return buf_take_str(&name);
}

static int check_download(const struct copy_step *c, const struct source *s, struct err *e)
{
	const char *wanted = df_flag(c->t->i, "checksum");
	if (wanted && *wanted && strcmp(wanted, s->digest) != 0) {
		return err_set(e, ERR_INVALID, "digest mismatch for %.150s: it is %s", s->path, s->digest);
	}
	return 0;
}

static int add_url(struct copy_step *c, const char *url, struct err *e)
{
	struct build *b = c->t->b;
	struct source *s = add_source(c, e);
	if (!s) {
		return -1;
	}
	s->kind = SOURCE_URL;
	s->path = xstrdup(url);
	s->name = url_file_name(url);
	s->download = xasprintf("%s-%zu", DOWNLOAD_NAME, c->n);
	scoped(close) int fd = openat(b->tmp_fd, s->download, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		return err_sys(e, errno, "cannot make a file for %.200s", url);
	}
	build_say(b, "Downloading %.500s\n", url);
	struct build_fetched got;
	if (build_fetch(url, fd, &got, e) < 0) {
		return -1;
	}
	snprintf(s->digest, sizeof(s->digest), "%s", got.digest);
	s->mtime = got.mtime;
	if (got.mtime >= 0) {
		const struct timespec times[2] = {{.tv_sec = got.mtime}, {.tv_sec = got.mtime}};
		futimens(fd, times);
	}
	return check_download(c, s, e);
}

static int add_written(struct copy_step *c, const char *written, struct err *e)
{
	const struct build_step *t = c->t;
	if (t->i->kind == DF_ADD && is_git(written)) {
		return err_set(e, ERR_INVALID, "ADD of a git repository is not supported; clone it with RUN git clone");
	}
	if (t->i->kind == DF_ADD && is_url(written)) {
		return add_url(c, written, e);
	}
	if (has_wildcard(written)) {
		return add_wildcard(c, written, e);
	}
	return add_path(c, written, written, e);
}

static const struct df_heredoc *find_heredoc(const struct df_instruction *i, const char *word)
{
	for (size_t k = 0; k < i->n_heredocs; k++) {
		if (strcmp(i->heredocs[k].word, word) == 0) {
			return &i->heredocs[k];
		}
	}
	return NULL;
}

static int read_sources(struct copy_step *c, struct err *e)
{
	const struct build_step *t = c->t;
	for (size_t k = 0; k + 1 < t->i->words.n; k++) {
		const struct df_heredoc *h = t->i->json ? NULL : find_heredoc(t->i, t->i->words.v[k]);
		if (h) {
			if (add_heredoc(c, h, e) < 0) {
				return build_fail(t, e);
			}
			continue;
		}
		scoped(free) char *written = NULL;
		if (build_expand(t, t->i->words.v[k], &written, e) < 0) {
			return -1;
		}
		if (!*written) {
			(void)err_set(e, ERR_INVALID, "%s: a source is empty", df_keyword(t->i->kind));
			return build_fail(t, e);
		}
		if (add_written(c, written, e) < 0) {
			return build_fail(t, e);
		}
	}
	return 0;
}

static int read_dest(struct copy_step *c, struct err *e)
{
	const struct build_step *t = c->t;
	if (t->i->words.n < 2) {
		(void)err_set(e, ERR_INVALID, "%s requires at least two arguments: a source and the destination",
			df_keyword(t->i->kind));
		return build_fail(t, e);
	}
	scoped(free) char *text = NULL;
	if (build_expand(t, t->i->words.v[t->i->words.n - 1], &text, e) < 0) {
		return -1;
	}
	if (!*text) {
		(void)err_set(e, ERR_INVALID, "%s: the destination is empty", df_keyword(t->i->kind));
		return build_fail(t, e);
	}
	c->dest_dir = text_ends(text, "/") || text_ends(text, "/.") || strcmp(text, ".") == 0 || strcmp(text, "..") == 0 ||
		c->parents;
	c->dest = path_join(build_config_workdir(&t->s->c), text);
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
	for (size_t k = 0; k < c->exclude.n; k++) {
		build_mix(key, c->exclude.v[k]);
	}
}

static void content_key(const struct copy_step *c, char key[static 65])
{
	static const char *const kinds[] = {"file", "dir", "archive", "text", "url"};
	begin_key(c, key);
	for (size_t k = 0; k < c->n; k++) {
		const struct source *s = &c->v[k];
		build_mix(key, kinds[s->kind]);
		build_mix(key, s->kind == SOURCE_DIR || s->kind == SOURCE_ARCHIVE ? "" : s->name);
		build_mix(key, s->parents ? s->parents : "");
		build_mix(key, s->digest);
	}
}

/* Of --from: when nothing below changed, the sources need not be read at all. */
static int chain_key(const struct copy_step *c, const char *from_chain, char key[static 65], struct err *e)
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
		.skip = c->exclude.n ? skip_excluded : NULL,
		.owner = c,
	};
}

/* A file of ours (heredoc, download) in the tmp directory, copied like any other. */
static int copy_own(struct copy_step *c, struct build_layer *l, const char *file, const char *dir, const char *name,
	struct err *e)
{
	struct copy_options o = copy_options(c);
	o.set_owner = true;
	o.skip = NULL;
	struct copy *copy = copy_new(l->b->tmp_fd, l->root_fd, &o);
	int r = copy_file(copy, file, dir, name, e);
	copy_free(copy);
	return r;
}

static int copy_text(struct copy_step *c, struct build_layer *l, const struct source *s, const char *dir, const char *name,
	struct err *e)
{
	int r = path_write(l->b->tmp_fd, HEREDOC_NAME, s->path, strlen(s->path), 0644, false);
	if (r < 0) {
		return err_sys(e, -r, "cannot write the heredoc %.80s", s->name);
	}
	r = copy_own(c, l, HEREDOC_NAME, dir, name, e);
	unlinkat(l->b->tmp_fd, HEREDOC_NAME, 0);
	return r;
}

static int unpack_archive(struct copy_step *c, struct build_layer *l, const struct source *s, const char *dir, struct err *e)
{
	scoped(close) int fd = path_open_in(c->root_fd, s->path, O_RDONLY | O_NOFOLLOW, 0);
	if (fd < 0) {
		return err_sys(e, -fd, "cannot open %.200s", s->path);
	}
	const struct extract_options o = {.set_owner = c->has_chown, .uid = c->uid, .gid = c->gid};
	scoped(stream_free) struct stream *packed = stream_from_fd(fd);
	return context_extract(l->root_fd, dir, packed, &o, e);
}

/* The directory and the name that a file gets. */
static int file_target(struct copy_step *c, struct build_layer *l, const struct source *s, char **ret_dir, char **ret_name,
	struct err *e)
{
	bool into_dir = c->dest_dir || is_dir(l, c->dest);
	if (into_dir && !*s->name) {
		return err_set(e, ERR_INVALID, "cannot determine a file name from %.200s: give the destination one", s->path);
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

static int copy_one_file(struct copy_step *c, struct build_layer *l, struct copy *copy, const struct source *s, struct err *e)
{
	scoped(free) char *dir = NULL;
	scoped(free) char *name = NULL;
	if (file_target(c, l, s, &dir, &name, e) < 0 || build_layer_mkdirs(l, dir, c->uid, c->gid, e) < 0) {
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

static int copy_source(struct copy_step *c, struct build_layer *l, struct copy *copy, const struct source *s, struct err *e)
{
	if (s->kind != SOURCE_DIR && s->kind != SOURCE_ARCHIVE) {
		return copy_one_file(c, l, copy, s, e);
	}
	scoped(free) char *dir = s->parents ? join_name(c->dest, s->parents) : xstrdup(c->dest);
	if (build_layer_mkdirs(l, dir, c->uid, c->gid, e) < 0) {
		return -1;
	}
	return s->kind == SOURCE_DIR ? copy_dir_content(copy, s->path, dir, false, e) : unpack_archive(c, l, s, dir, e);
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

static int copy_all(struct copy_step *c, struct build_layer *l, struct err *e)
{
	if (check_several(c, l, e) < 0 || resolve_chown(c, l, e) < 0) {
		return -1;
	}
	const struct copy_options o = copy_options(c);
	struct copy *copy = copy_new(c->root_fd, l->root_fd, &o);
	int r = 0;
	for (size_t k = 0; k < c->n && r == 0; k++) {
		r = copy_source(c, l, copy, &c->v[k], e);
	}
	copy_free(copy);
	return r;
}

static int make_layer(struct copy_step *c, const struct strv *keys, struct err *e)
{
	scoped(build_layer) struct build_layer l = {0};
	if (build_layer_begin(c->t, &l, e) < 0 || copy_all(c, &l, e) < 0 || build_layer_end(c->t, &l, keys, e) < 0) {
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

static int use_cache(struct build *b, int cached)
{
	if (cached > 0) {
		build_say(b, " ---> Using cache\n");
	}
	return cached > 0 ? 0 : -1;
}

/* Reads the sources, then copies what the cache does not have. quick_key: "" or one that the result is known under, too. */
static int copy_from(struct copy_step *c, int root_fd, const char *quick_key, struct err *e)
{
	char key[65];
	if (set_root(c, root_fd, e) < 0 || read_sources(c, e) < 0) {
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
		return use_cache(c->t->b, cached);
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
	int cached = t->i->n_heredocs ? 0 : build_cache_look(t, key, e);
	if (cached != 0) {
		return use_cache(t->b, cached);
	}
	int fd = build_source_open(t->b, &dirs, e);
	if (fd < 0) {
		return build_fail(t, e);
	}
	int r = copy_from(c, fd, t->i->n_heredocs ? "" : key, e);
	build_source_close(t->b, fd);
	return r;
}

int build_step_copy(const struct build_step *t, struct err *e)
{
	scoped(copy_step) struct copy_step c = {.t = t, .root_fd = -1};
	scoped(free) char *from = NULL;
	if (read_flags(&c, e) < 0 || read_dest(&c, e) < 0 || read_flag(t, "from", &from, e) < 0) {
		return -1;
	}
	int r = from && *from ? copy_from_layers(&c, from, e) : copy_from(&c, t->b->context_fd, "", e);
	if (r < 0) {
		return -1;
	}
	build_history(t->s, t->i->text, false);
	build_mix(t->s->state, t->s->layers.v[t->s->layers.n - 1]);
	return 0;
}
