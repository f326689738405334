#include "worker/find.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "base/text.h"
#include "tree/kernel_fs.h"

#define LINKS_MAX 255

void found_deinit(struct found *f)
{
	scoped_close(&f->fd);
	free(f->path);
	free(f->base);
	*f = (struct found){.fd = -1};
}

static bool is_mount_root(int fd)
{
	struct statx x;
	return statx(fd, "", AT_EMPTY_PATH, 0, &x) == 0 &&
	       (x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* Its last name is ".", whatever slashes follow: moby archive.specifiesCurrentDir. */
static bool says_here(const char *path)
{
	size_t n = strlen(path);
	while (n > 0 && path[n - 1] == '/') {
		n--;
	}
	return n > 0 && path[n - 1] == '.' && (n == 1 || path[n - 2] == '/');
}

static char *base_of(const char *path, const char *clean)
{
	if (says_here(path)) {
		return xstrdup(".");
	}
	const char *slash = strrchr(clean, '/');
	return xstrdup(slash[1] ? slash + 1 : "/");
}

static int not_found(const char *path, const char *container, struct err *e)
{
	return err_set(e, ERR_NOT_FOUND, "Could not find the file %.180s in container %.64s", path,
		container);
}

static int look(int root, const char *path, const char *container, bool follow, struct found *f,
	struct err *e)
{
	bool directory = says_here(path) || text_ends(path, "/");
	int flags = O_PATH | (directory ? O_DIRECTORY : 0) | (follow || directory ? 0 : O_NOFOLLOW);
	f->fd = path_open_in(root, f->path, flags, 0);
	if (f->fd == -ENOENT) {
		return not_found(path, container, e);
	}
	if (f->fd == -ENOTDIR) {
		return err_set(e, ERR_INVALID, "lstat %.200s: not a directory", path);
	}
	if (f->fd < 0 || fstat(f->fd, &f->st) < 0) {
		return err_sys(e, f->fd < 0 ? -f->fd : errno, "lstat %.200s", path);
	}
	f->kernel = kernel_fs_is(f->fd);
	return f->kernel && !is_mount_root(f->fd) ? not_found(path, container, e) : 0;
}

int find_path(int root, const char *path, const char *container, bool follow, struct found *ret,
	struct err *e)
{
	scoped(free) char *absolute = xasprintf("/%s", path);
	struct found f = {.fd = -1, .path = path_clean(absolute)};
	f.base = base_of(path, f.path);
	if (look(root, path, container, follow, &f, e) < 0) {
		found_deinit(&f);
		return -1;
	}
	*ret = f;
	return 0;
}

/* The components of path, last first: the rest of the way. */
static void push_parts(struct strv *way, const char *path)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, path, '/');
	for (size_t i = parts.n; i > 0; i--) {
		if (*parts.v[i - 1] && strcmp(parts.v[i - 1], ".") != 0) {
			strv_add(way, parts.v[i - 1]);
		}
	}
}

static ssize_t read_link(int root, const char *path, char *ret, size_t n)
{
	scoped(close) int fd = path_open_in(root, path, O_PATH | O_NOFOLLOW, 0);
	return fd < 0 ? -1 : readlinkat(fd, "", ret, n);
}

/* One step: at/part, or where the link of that name says. */
static void step(int root, char **at, const char *part, struct strv *way, int *links)
{
	char link[4097];
	scoped(free) char *next = path_join(*at, part);
	ssize_t n = strcmp(part, "..") == 0 ? -1 : read_link(root, next, link, sizeof(link) - 1);
	if (n < 0) {
		free(*at);
		*at = TAKE(next);
		return;
	}
	link[n] = '\0';
	++*links;
	push_parts(way, link);
	if (link[0] == '/') {
		free(*at);
		*at = xstrdup("/");
	}
}

char *find_link_target(int root, const char *path, struct err *e)
{
	scoped(strv) struct strv way = STRV_INIT;
	scoped(free) char *at = xstrdup("/");
	int links = 0;
	push_parts(&way, path);
	while (way.n > 0) {
		scoped(free) char *part = way.v[--way.n];
		way.v[way.n] = NULL;
		step(root, &at, part, &way, &links);
		if (links > LINKS_MAX) {
			(void)err_set(e, ERR_INVALID, "too many links in %.200s", path);
			return NULL;
		}
	}
	return TAKE(at);
}

int find_stat(int root, const struct found *f, struct path_stat *ret, struct err *e)
{
	char *target = S_ISLNK(f->st.st_mode) ? find_link_target(root, f->path, e) : xstrdup("");
	if (!target) {
		return -1;
	}
	*ret = (struct path_stat){
		.name = xstrdup(f->base),
		.size = f->st.st_size,
		.mode = f->st.st_mode,
		.mtime_ns = (int64_t)f->st.st_mtim.tv_sec * NS_PER_SEC + f->st.st_mtim.tv_nsec,
		.link_target = target,
	};
	return 0;
}
