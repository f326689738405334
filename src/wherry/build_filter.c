#include "wherry/build_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "build/ignore.h"
#include "buildkit/fsutil.h"

#define LINKS_MAX 40
#define PATHS_MAX 100000

struct build_filter {
	struct ignore *exclude; /* NULL: nothing */
	struct ignore *include; /* NULL: see below */
	bool all;               /* no path is named: everything is wanted */
	struct strv paths;      /* wanted, with what is below them; sorted */
};

void build_filter_values(const struct strv *metadata, const char *name, struct strv *ret)
{
	scoped(free) char *flag = xasprintf("%s-encoded", name);
	bool encoded = false;
	for (size_t i = 0; i + 1 < metadata->n; i += 2) {
		encoded = encoded || (strcmp(metadata->v[i], flag) == 0 &&
					     strcmp(metadata->v[i + 1], "1") == 0);
	}
	for (size_t i = 0; i + 1 < metadata->n; i += 2) {
		if (strcmp(metadata->v[i], name) != 0) {
			continue;
		}
		const char *value = metadata->v[i + 1];
		scoped(buf) struct buf text = BUF_INIT;
		bool plain = !encoded || percent_decode(value, strlen(value), true, &text) < 0;
		strv_add(ret, plain ? value : buf_str(&text));
	}
}

/* --- paths to follow --- */

static void want(struct build_filter *f, const char *path)
{
	if (!*path || strcmp(path, ".") == 0) {
		f->all = true;
	} else if (f->paths.n < PATHS_MAX) {
		strv_add(&f->paths, path);
	}
}

static void follow(
	struct build_filter *f, int root_fd, const char *done, const char *rest, int depth);

/* done is a link: it is wanted itself, and so is where it leads, inside the root. */
static void follow_link(
	struct build_filter *f, int root_fd, const char *done, const char *rest, int depth)
{
	char target[FSUTIL_PATH_MAX];
	ssize_t n = readlinkat(root_fd, done, target, sizeof(target) - 1);
	want(f, done);
	if (n <= 0 || depth >= LINKS_MAX) {
		return;
	}
	target[n] = '\0';
	const char *slash = strrchr(done, '/');
	scoped(free) char *from = xasprintf("/%.*s/%s/%s", slash ? (int)(slash - done) : 0, done,
		*target == '/' ? "" : target, rest);
	scoped(free) char *absolute = xasprintf("%s/%s", target, rest);
	scoped(free) char *clean = path_clean(*target == '/' ? absolute : from);
	follow(f, root_fd, "", clean + 1, depth + 1);
}

/* One component without wildcards. */
static void follow_name(struct build_filter *f, int root_fd, const char *done, const char *name,
	const char *rest, int depth)
{
	struct stat st;
	scoped(free) char *path = *done ? xasprintf("%s/%s", done, name) : xstrdup(name);
	if (fstatat(root_fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode)) {
		follow_link(f, root_fd, path, rest, depth);
	} else if (*rest) {
		follow(f, root_fd, path, rest, depth);
	} else {
		want(f, path); /* also when it is not there: the engine says so */
	}
}

/* One with: each name of the directory that it matches. */
static void follow_pattern(struct build_filter *f, int root_fd, const char *done,
	const char *pattern, const char *rest, int depth)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd =
		openat(root_fd, *done ? done : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (strcmp(pattern, "**") == 0) { /* anything below may match the rest */
		want(f, done);
		return;
	}
	if (fd < 0 || path_list(fd, &names) < 0) {
		return;
	}
	for (size_t i = 0; i < names.n; i++) {
		if (ignore_pattern_match(pattern, names.v[i])) {
			follow_name(f, root_fd, done, names.v[i], rest, depth);
		}
	}
}

static void follow(
	struct build_filter *f, int root_fd, const char *done, const char *rest, int depth)
{
	rest += strspn(rest, "/");
	size_t n = strcspn(rest, "/");
	if (n == 0) {
		want(f, done);
		return;
	}
	scoped(free) char *name = xstrndup(rest, n);
	const char *next = rest + n + strspn(rest + n, "/");
	if (strpbrk(name, "*?[\\")) {
		follow_pattern(f, root_fd, done, name, next, depth);
	} else {
		follow_name(f, root_fd, done, name, next, depth);
	}
}

/* --- patterns --- */

static int read_patterns(const struct strv *list, struct ignore **ret, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	for (size_t i = 0; i < list->n; i++) {
		/* a line of its own syntax: a comment cannot come, it was taken out there */
		buf_printf(&text, "%s%s\n", list->v[i][0] == '#' ? "\\" : "", list->v[i]);
	}
	*ret = list->n > 0 ? ignore_parse(buf_str(&text), text.len, "the engine's patterns", e)
			   : NULL;
	return list->n > 0 && !*ret ? -1 : 0;
}

struct build_filter *build_filter_new(int root_fd, const struct strv *metadata, struct err *e)
{
	scoped(strv) struct strv excludes = STRV_INIT;
	scoped(strv) struct strv includes = STRV_INIT;
	scoped(strv) struct strv follows = STRV_INIT;
	scoped(build_filter_free) struct build_filter *f = xnew(struct build_filter);
	build_filter_values(metadata, "exclude-patterns", &excludes);
	build_filter_values(metadata, "include-patterns", &includes);
	build_filter_values(metadata, "followpaths", &follows);
	if (read_patterns(&excludes, &f->exclude, e) < 0 ||
		read_patterns(&includes, &f->include, e) < 0) {
		return NULL;
	}
	f->all = follows.n == 0 && includes.n == 0;
	for (size_t i = 0; i < follows.n; i++) {
		scoped(free) char *rooted = xasprintf("/%s", follows.v[i]);
		scoped(free) char *clean = path_clean(rooted);
		follow(f, root_fd, "", clean + 1, 0);
	}
	strv_sort(&f->paths);
	return TAKE(f);
}

void build_filter_free(struct build_filter *f)
{
	if (f) {
		ignore_free(f->exclude);
		ignore_free(f->include);
		strv_deinit(&f->paths);
		free(f);
	}
}

/* The first of the sorted paths that is not less than text. */
static size_t lower_bound(const struct strv *paths, const char *text)
{
	size_t from = 0;
	size_t to = paths->n;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (strcmp(paths->v[middle], text) < 0) {
			from = middle + 1;
		} else {
			to = middle;
		}
	}
	return from;
}

/* Whether the path or a directory above it is wanted. */
static bool is_wanted(const struct build_filter *f, const char *path)
{
	scoped(free) char *above = xstrdup(path);
	for (;;) {
		size_t at = lower_bound(&f->paths, above);
		if (at < f->paths.n && strcmp(f->paths.v[at], above) == 0) {
			return true;
		}
		char *slash = strrchr(above, '/');
		if (!slash) {
			return f->include && ignore_match(f->include, path);
		}
		*slash = '\0';
	}
}

static bool may_hold_wanted(const struct build_filter *f, const char *dir)
{
	scoped(free) char *prefix = xasprintf("%s/", dir);
	size_t at = lower_bound(&f->paths, prefix);
	return (at < f->paths.n && text_starts(f->paths.v[at], prefix)) || f->include;
}

unsigned build_filter_path(void *filter, const char *path, bool is_dir)
{
	const struct build_filter *f = filter;
	bool wanted = f->all || is_wanted(f, path);
	if (!wanted && !(is_dir && may_hold_wanted(f, path))) {
		return 0;
	}
	if (f->exclude && ignore_match(f->exclude, path)) {
		return is_dir && ignore_may_hold_kept(f->exclude, path) ? FSUTIL_ENTER : 0;
	}
	return (wanted ? FSUTIL_SEND : 0) | (is_dir ? FSUTIL_ENTER : 0);
}
