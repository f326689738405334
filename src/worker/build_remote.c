/* Build contexts that the client does not have: a repository, an archive or a Dockerfile behind a
 * URL. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "tree/stream.h"
#include "worker/build.h"
#include "worker/build_git.h"
#include "worker/context.h"

/* --- a file --- */

static int make_dir(struct build *b, const char *name, struct err *e)
{
	if (mkdirat(b->tmp_fd, name, 0755) < 0) {
		return err_sys(e, errno, "cannot prepare %s", b->tmp_dir);
	}
	int fd = openat(b->tmp_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot prepare %s", b->tmp_dir) : fd;
}

/* Not an archive: then it is a Dockerfile, and the context has nothing else. */
static int use_text(struct build *b, int file_fd, const char *file, int dir_fd, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct stat st;
	const char *name = json_str(b->options, "dockerfile");
	if (fstat(file_fd, &st) < 0 || st.st_size > DF_TEXT_MAX) {
		return err_set(
			e, ERR_INVALID, "the build context is neither an archive nor a Dockerfile");
	}
	int r = path_read(b->tmp_fd, file, DF_TEXT_MAX, &text);
	if (r == 0) {
		r = path_write(dir_fd, path_is_component(name) ? name : "Dockerfile",
			buf_str(&text), text.len, 0644, false);
	}
	return r < 0 ? err_sys(e, -r, "cannot keep the Dockerfile") : 0;
}

static int unpack(int file_fd, int dir_fd, struct err *e)
{
	const struct extract_options o = {.context = true};
	scoped(stream_free) struct stream *packed = stream_from_fd(file_fd);
	return context_extract(dir_fd, ".", packed, &o, e) < 0 ? err_wrap(e, "the build context")
							       : 0;
}

/* What the URL holds, in tmp/NAME: an fd. text: it may also be a Dockerfile. */
static int load_file(struct build *b, const char *url, const char *name, bool text, struct err *e)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	scoped(free) char *file = xasprintf("%s.download", name);
	scoped(close) int fd = openat(b->tmp_fd, file, flags, 0600);
	struct build_fetched got;
	if (fd < 0) {
		return err_sys(e, errno, "cannot keep the build context");
	}
	scoped(close) int dir = build_fetch(url, fd, &got, e) < 0 ? -1 : make_dir(b, name, e);
	int r = dir < 0 || lseek(fd, 0, SEEK_SET) < 0 ? -1 : 0;
	if (r == 0 && context_is_archive(fd)) {
		r = unpack(fd, dir, e);
	} else if (r == 0) {
		r = text ? use_text(b, fd, file, dir, e)
			 : err_set(e, ERR_INVALID, "%.200s is not an archive", url);
	}
	unlinkat(b->tmp_fd, file, 0);
	return r < 0 ? -1 : TAKE_FD(dir);
}

/* --- a repository --- */

static int load_git(struct build *b, const char *url, const char *name, struct err *e)
{
	scoped(git_url) struct git_url g = {0};
	char commit[GIT_COMMIT_MAX];
	const char *keep = strv_env_get(&b->build_args, "BUILDKIT_CONTEXT_KEEP_GIT_DIR");
	if (git_url_parse(url, &g, e) < 0) {
		return -1;
	}
	g.keep_git_dir = g.keep_git_dir || (keep && strcmp(keep, "1") == 0);
	return git_resolve(b, &g, commit, e) < 0 ? -1
						 : git_checkout(b, &g, commit, b->tmp_dir, name, e);
}

static int load(struct build *b, const char *url, const char *name, bool text, struct err *e)
{
	return git_url_is(url, true) ? load_git(b, url, name, e) : load_file(b, url, name, text, e);
}

/* --- any --- */

bool build_remote_is(const struct build *b)
{
	const char *kind = json_str(json_object_get(b->options, "context"), "kind");
	return strcmp(kind, "git") == 0 || strcmp(kind, "http") == 0;
}

static int enter_subdir(struct build *b, struct err *e)
{
	const char *subdir = json_str(b->options, "context_subdir");
	if (!*subdir) {
		return 0;
	}
	int fd = path_open_in(b->context_fd, subdir, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0) {
		return err_set(e, ERR_INVALID, "there is no directory %.200s in the build context",
			subdir);
	}
	close(b->context_fd);
	b->context_fd = fd;
	return 0;
}

int build_remote_load(struct build *b, struct err *e)
{
	const json_t *source = json_object_get(b->options, "context");
	const char *url = json_str(source, "url");
	scoped(free) char *shown = git_url_redact(url);
	bool git = git_url_is(url, true);
	int vertex =
		git ? build_event_vertex(b->events, NULL, 0, "[internal] load git source %s", shown)
		    : build_event_vertex(
			      b->events, NULL, 0, "[internal] load remote build context");
	build_event_begin(b->events, vertex);
	b->context_fd = load(b, url, "context", true, e);
	int r = b->context_fd < 0 ? -1 : enter_subdir(b, e);
	build_event_end(b->events, vertex, false, r < 0 ? e : NULL);
	return r;
}

/* --- named ones --- */

#define NAMED_MAX 64

struct build_remotes {
	pthread_mutex_t lock; /* also while one is loaded: two stages want the same files once */
	struct strv urls;
	int fds[NAMED_MAX];
};

struct build_remotes *build_remotes_new(void)
{
	struct build_remotes *r = xnew(struct build_remotes);
	pthread_mutex_init(&r->lock, NULL);
	return r;
}

void build_remotes_free(struct build_remotes *r)
{
	if (!r) {
		return;
	}
	for (size_t k = 0; k < r->urls.n; k++) {
		close(r->fds[k]);
	}
	strv_deinit(&r->urls);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static int find_or_load(struct build *b, const char *url, struct err *e)
{
	struct build_remotes *r = b->remotes;
	for (size_t k = 0; k < r->urls.n; k++) {
		if (strcmp(r->urls.v[k], url) == 0) {
			return r->fds[k];
		}
	}
	if (r->urls.n == NAMED_MAX) {
		return err_set(e, ERR_INVALID, "more than %d named contexts", NAMED_MAX);
	}
	scoped(free) char *name = xasprintf("named-%zu", r->urls.n);
	scoped(free) char *shown = git_url_redact(url);
	int vertex = build_event_vertex(b->events, NULL, 0, "[context] load %s", shown);
	build_event_begin(b->events, vertex);
	int fd = load(b, url, name, false, e);
	build_event_end(b->events, vertex, false, fd < 0 ? e : NULL);
	if (fd >= 0) {
		r->fds[r->urls.n] = fd;
		strv_add(&r->urls, url);
	}
	return fd;
}

bool build_remote_is_named(const char *context)
{
	return text_starts(context, "http://") || text_starts(context, "https://") ||
	       git_url_is(context, false);
}

int build_remote_named(struct build *b, const char *url, int *ret_fd, struct err *e)
{
	pthread_mutex_lock(&b->remotes->lock);
	int fd = find_or_load(b, url, e);
	pthread_mutex_unlock(&b->remotes->lock);
	*ret_fd = fd;
	return fd < 0 ? -1 : 0;
}
