/* Where COPY's destination is: links on its way, and it itself when it is one, lead on below the
 * root, also to what is not there yet. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/build_copy.h"

#define LINKS_MAX 40 /* path_resolution(7) */

/* What is left of a path, next component first. */
struct way {
	char *rest;
	int links;
};

static void scoped_way(struct way *w)
{
	free(w->rest);
}

/* The next component; "" at the end. The caller's. */
static char *next_component(struct way *w)
{
	const char *p = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(p, "/");
	char *name = xstrndup(p, n);
	char *rest = xstrdup(p + n);
	free(w->rest);
	w->rest = rest;
	return name;
}

/* The link dir/name, or NULL when it is none. The caller's. */
static char *read_link(int root_fd, const char *dir, const char *name)
{
	char to[4097];
	scoped(close) int fd = path_open_in(root_fd, *dir ? dir : "/", O_PATH | O_DIRECTORY, 0);
	ssize_t n = fd < 0 ? -1 : readlinkat(fd, name, to, sizeof(to) - 1);
	return n <= 0 ? NULL : xstrndup(to, (size_t)n);
}

static void go_up(char *done)
{
	char *slash = strrchr(done, '/');
	if (slash) {
		*slash = '\0';
	}
}

char *copy_resolve(int root_fd, const char *path, struct err *e)
{
	scoped(way) struct way w = {xstrdup(path), 0};
	scoped(free) char *done = xstrdup("");
	for (;;) {
		scoped(free) char *name = next_component(&w);
		if (!*name) {
			return *done ? TAKE(done) : xstrdup("/");
		}
		if (strcmp(name, ".") == 0) {
			continue;
		}
		if (strcmp(name, "..") == 0) {
			go_up(done);
			continue;
		}
		scoped(free) char *link = read_link(root_fd, done, name);
		if (link && ++w.links > LINKS_MAX) {
			(void)err_sys(e, ELOOP, "cannot follow %.200s", path);
			return NULL;
		}
		char *whole =
			link ? xasprintf("%s/%s", link, w.rest) : xasprintf("%s/%s", done, name);
		if (!link) {
			free(done);
			done = whole;
			continue;
		}
		free(w.rest);
		w.rest = whole;
		if (*link == '/') {
			*done = '\0';
		}
	}
}
