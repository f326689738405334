#include "worker/build_copy.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "worker/build_context.h"
#include "worker/context.h"

#define SOURCES_MAX 10000

void copy_step_deinit(struct copy_step *c)
{
	for (size_t k = 0; k < c->n; k++) {
		free(c->v[k].path);
		free(c->v[k].name);
		free(c->v[k].parents);
		free(c->v[k].base);
		git_url_deinit(&c->v[k].git);
		if (c->v[k].download) {
			unlinkat(c->t->s->place.fd, c->v[k].download, 0);
		}
		free(c->v[k].download);
	}
	free(c->v);
	free(c->root);
	free(c->dest);
	free(c->dest_text);
	free(c->chown_text);
	free(c->chmod_text);
	ignore_free(c->exclude);
}

static enum copy_verdict verdict_of(const struct copy_step *c, const char *path)
{
	return !ignore_match(c->exclude, path)          ? COPY_TAKE
	       : ignore_may_hold_kept(c->exclude, path) ? COPY_LOOK
							: COPY_SKIP;
}

/* With --parents a pattern is about the path that is kept, otherwise about what is below the copied
 * directory. */
enum copy_verdict copy_filter_excluded(void *owner, const char *top, const char *path)
{
	const struct copy_step *c = owner;
	scoped(free) char *kept = NULL;
	for (size_t k = 0; c->parents && !kept && k < c->n; k++) {
		if (c->v[k].kind == SOURCE_DIR && strcmp(c->v[k].path, top) == 0) {
			scoped(free) char *whole = path_join(c->v[k].parents, path);
			kept = path_clean(whole);
		}
	}
	return verdict_of(c, kept ? kept : path);
}

/* --- flags --- */

int copy_read_flag(const struct build_step *t, const char *name, char **ret, struct err *e)
{
	const char *value = df_flag(t->i, name);
	return value ? build_expand(t, value, ret, e) : 0;
}

static int read_excludes(struct copy_step *c, struct err *e)
{
	const struct build_step *t = c->t;
	scoped(strv) struct strv patterns = STRV_INIT;
	for (size_t k = 0; k < t->i->flags.n; k++) {
		if (!text_starts(t->i->flags.v[k], "--exclude=")) {
			continue;
		}
		scoped(free) char *text = NULL;
		if (build_expand(t, t->i->flags.v[k] + strlen("--exclude="), &text, e) < 0) {
			return -1;
		}
		strv_take(&patterns, TAKE(text));
	}
	if (patterns.n == 0) {
		return 0;
	}
	c->exclude = ignore_from_list(&patterns, e);
	return c->exclude ? 0 : build_fail(t, e);
}

int copy_read_flags(struct copy_step *c, struct err *e)
{
	static const char *const copy[] = {
		"from", "chown", "chmod", "link", "parents", "exclude", NULL};
	static const char *const add[] = {
		"chown", "chmod", "link", "checksum", "keep-git-dir", "unpack", "exclude", NULL};
	const struct build_step *t = c->t;
	if (df_check_flags(t->d, t->i, t->i->kind == DF_COPY ? copy : add, e) < 0 ||
		copy_read_flag(t, "chown", &c->chown_text, e) < 0 ||
		copy_read_flag(t, "chmod", &c->chmod_text, e) < 0 || read_excludes(c, e) < 0) {
		return -1;
	}
	c->has_chown = c->chown_text && *c->chown_text;
	c->has_chmod = c->chmod_text && *c->chmod_text;
	bool link = false; /* a step of its own either way: only its spelling is checked */
	c->unpack = t->i->kind == DF_ADD;
	if (df_flag_bool(t->d, t->i, "parents", &c->parents, e) < 0 ||
		df_flag_bool(t->d, t->i, "link", &link, e) < 0 ||
		df_flag_bool(t->d, t->i, "unpack", &c->unpack, e) < 0) {
		return -1;
	}
	if (c->has_chmod && chmod_parse(c->chmod_text, &c->chmod, e) < 0) {
		return build_fail(t, e);
	}
	return 0;
}

/* --- sources --- */

struct copy_source *copy_new_source(struct copy_step *c, struct err *e)
{
	if (c->n >= SOURCES_MAX) {
		(void)err_set(e, ERR_INVALID, "more than %d sources", SOURCES_MAX);
		return NULL;
	}
	c->v = xrealloc(c->v, c->n + 1, sizeof(*c->v));
	c->v[c->n] = (struct copy_source){.mtime = -1};
	return &c->v[c->n++];
}

/* The path of an open file below the source root, with every link on its way resolved by the
 * kernel. */
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

/* How many components stand before the pivot of --parents: "a/./b/c" keeps "b". */
static size_t pivot_depth(const char *written)
{
	const char *pivot = strstr(written, "/./");
	scoped(free) char *before = pivot ? xstrndup(written, (size_t)(pivot - written)) : NULL;
	scoped(free) char *clean = path_join("/", before ? before : "");
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, clean + 1, '/');
	return parts.n;
}

/* --parents: the path without its pivot's part is what is kept below the destination. */
static const char *kept_path(const struct copy_step *c, const char *clean)
{
	const char *kept = clean;
	for (size_t k = 0; k < c->pivot && strchr(kept, '/'); k++) {
		kept = strchr(kept, '/') + 1;
	}
	return kept;
}

/* A source as a whole; a directory's own name counts only where it is kept. */
static bool is_excluded(const struct copy_step *c, const char *clean, bool is_dir)
{
	enum copy_verdict v = c->parents ? verdict_of(c, kept_path(c, clean + 1))
			      : is_dir   ? COPY_TAKE
					 : verdict_of(c, base_name(clean));
	return v == COPY_SKIP || (v == COPY_LOOK && !is_dir);
}

static void set_parents(struct copy_step *c, struct copy_source *s, const char *clean)
{
	const char *kept = kept_path(c, clean);
	const char *slash = strrchr(kept, '/');
	size_t n = s->kind == SOURCE_DIR ? strlen(kept) : slash ? (size_t)(slash - kept) : 0;
	s->parents = n ? xstrndup(kept, n) : xstrdup(".");
	s->base = xstrndup(clean, (size_t)(kept - clean));
}

static int add_path(struct copy_step *c, const char *path, const char *written, struct err *e)
{
	const struct build_step *t = c->t;
	scoped(close) int fd = path_open_in(c->root_fd, path, O_PATH, 0);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0) {
		return copy_missing(c, written, e);
	}
	scoped(free) char *clean = path_join("/", path);
	if (is_excluded(c, clean, S_ISDIR(st.st_mode))) {
		return 0;
	}
	struct copy_source *s = copy_new_source(c, e);
	if (!s) {
		return -1;
	}
	s->kind = S_ISDIR(st.st_mode) ? SOURCE_DIR : SOURCE_FILE;
	s->path = real_path(c, fd);
	s->name = xstrdup(base_name(clean));
	if (c->parents) {
		set_parents(c, s, clean + 1);
	}
	if (!s->path) {
		return err_set(e, ERR_SYSTEM, "cannot resolve %.200s", written);
	}
	if (c->unpack && S_ISREG(st.st_mode)) {
		scoped(close) int file =
			path_open_in(c->root_fd, s->path, O_RDONLY | O_NOFOLLOW, 0);
		s->kind = file >= 0 && context_is_archive(file) ? SOURCE_ARCHIVE : SOURCE_FILE;
	}
	bool with_owners = df_flag(t->i, "from") && !c->has_chown;
	return build_context_digest(
		t->b, c->root_fd, s->path, with_owners, copy_filter_excluded, c, s->digest, e);
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
static void match_names(
	const struct copy_step *c, const char *dir, const char *pattern, struct strv *ret)
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
static int expand_wildcard(
	struct copy_step *c, const char *dir, const struct strv *parts, size_t at, struct err *e)
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
		bool top = strcmp(dir, ".") == 0;
		scoped(free) char *path =
			top ? xstrdup(names.v[k]) : xasprintf("%s/%s", dir, names.v[k]);
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
		build_say(c->t->b->events, c->t->s->turn,
			"[Warning] %.80s:%d: nothing matches '%.200s'\n", c->t->d->name,
			c->t->i->line, written);
	}
	return 0;
}

static int add_heredoc(struct copy_step *c, const struct df_heredoc *h, struct err *e)
{
	scoped(free) char *text = df_heredoc_text(h);
	struct copy_source *s = copy_new_source(c, e);
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

static int add_written(struct copy_step *c, const char *written, struct err *e)
{
	const struct build_step *t = c->t;
	c->pivot = c->parents ? pivot_depth(written) : 0;
	if (t->i->kind == DF_ADD && copy_is_remote(written)) {
		return copy_add_remote(c, written, e);
	}
	if (df_flag(t->i, "checksum")) {
		return err_set(e, ERR_INVALID, "checksum requires HTTP(S) or Git sources");
	}
	if (has_wildcard(written)) {
		return add_wildcard(c, written, e);
	}
	return add_path(c, written, written, e);
}

const struct df_heredoc *copy_find_heredoc(const struct df_instruction *i, const char *word)
{
	for (size_t k = 0; !i->json && k < i->n_heredocs; k++) {
		if (strcmp(i->heredocs[k].word, word) == 0) {
			return &i->heredocs[k];
		}
	}
	return NULL;
}

int copy_read_sources(struct copy_step *c, struct err *e)
{
	const struct build_step *t = c->t;
	for (size_t k = 0; k + 1 < t->i->words.n; k++) {
		const struct df_heredoc *h = copy_find_heredoc(t->i, t->i->words.v[k]);
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
			(void)err_set(
				e, ERR_INVALID, "%s: a source is empty", df_keyword(t->i->kind));
			return build_fail(t, e);
		}
		if (add_written(c, written, e) < 0) {
			return build_fail(t, e);
		}
	}
	return 0;
}

int copy_read_dest(struct copy_step *c, struct err *e)
{
	const struct build_step *t = c->t;
	if (t->i->words.n < 2) {
		(void)err_set(e, ERR_INVALID,
			"%s requires at least two arguments, but only one was provided. Destination could not be determined",
			df_keyword(t->i->kind));
		return build_fail(t, e);
	}
	scoped(free) char *text = NULL;
	if (build_expand(t, t->i->words.v[t->i->words.n - 1], &text, e) < 0) {
		return -1;
	}
	/* as BuildKit: an empty destination is the working directory */
	c->dest_dir = !*text || text_ends(text, "/") || text_ends(text, "/.") ||
		      strcmp(text, ".") == 0 || strcmp(text, "..") == 0 || c->parents;
	c->dest = path_join(build_config_workdir(&t->s->c), text);
	c->dest_text = TAKE(text);
	return 0;
}
