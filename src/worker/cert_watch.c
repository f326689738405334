#include "worker/cert_watch.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"

#define LINKS_MAX 40 /* as the kernel's */

static void add_dir(struct strv *ret, const char *dir)
{
	if (ret->n < CERT_WATCH_MAX && !strv_has(ret, dir)) {
		strv_add(ret, *dir ? dir : "/");
	}
}

/* done/next where next is one component of what is still to be resolved. */
struct walk {
	char *done; /* resolved, "" is the root */
	char *rest; /* what follows, begins with '/' or is "" */
	int links;
};

/* Puts what a link says in the place of its name. */
static void follow(struct walk *w, const char *target, const char *after)
{
	char *rest = *target == '/' ? xasprintf("%s%s", target, after)
				    : xasprintf("/%s%s", target, after);
	if (*target == '/') {
		free(w->done);
		w->done = xstrdup("");
	}
	free(w->rest);
	w->rest = rest;
	w->links++;
}

static void go_up(struct walk *w)
{
	char *slash = strrchr(w->done, '/');
	if (slash) {
		*slash = '\0';
	}
}

/* One component. False at the end, or where nothing is. */
static bool step(struct walk *w, struct strv *ret)
{
	const char *name = w->rest + strspn(w->rest, "/");
	size_t n = strcspn(name, "/");
	if (n == 0) {
		return false;
	}
	scoped(free) char *after = xstrdup(name + n);
	scoped(free) char *one = xstrndup(name, n);
	if (strcmp(one, "..") == 0 || strcmp(one, ".") == 0) {
		if (n == 2) {
			go_up(w);
		}
		free(w->rest);
		w->rest = TAKE(after);
		return true;
	}
	scoped(free) char *path = xasprintf("%s/%s", w->done, one);
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target) - 1);
	struct stat st;
	if (len >= 0) {
		target[len] = '\0';
		add_dir(ret, w->done);
		follow(w, target, after);
		return w->links < LINKS_MAX;
	}
	if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
		add_dir(ret, w->done);
		return false;
	}
	free(w->done);
	w->done = TAKE(path);
	free(w->rest);
	w->rest = TAKE(after);
	return true;
}

void cert_watch_dirs(const char *path, struct strv *ret)
{
	struct walk w = {.done = xstrdup(""), .rest = xstrdup(path)};
	while (step(&w, ret)) {
	}
	free(w.done);
	free(w.rest);
}
