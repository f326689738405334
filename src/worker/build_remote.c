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
#include "tree/stream.h"
#include "worker/build.h"
#include "worker/build_git.h"
#include "worker/context.h"

/* --- a file --- */

/* Neither compressed nor not an archive: then it is a Dockerfile, and the context is empty. */
static int use_text(struct build *b, int fd, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct stat st;
	const char *name = json_str(b->options, "dockerfile");
	if (fstat(fd, &st) < 0 || st.st_size > DF_TEXT_MAX) {
		return err_set(
			e, ERR_INVALID, "the build context is neither an archive nor a Dockerfile");
	}
	int r = path_read(b->tmp_fd, "remote", DF_TEXT_MAX, &text);
	if (r == 0) {
		r = path_write(b->context_fd, path_is_component(name) ? name : "Dockerfile",
			buf_str(&text), text.len, 0644, false);
	}
	return r < 0 ? err_sys(e, -r, "cannot keep the Dockerfile") : 0;
}

static int make_context(struct build *b, struct err *e)
{
	if (mkdirat(b->tmp_fd, "context", 0755) < 0) {
		return err_sys(e, errno, "cannot prepare %s", b->tmp_dir);
	}
	b->context_fd = openat(b->tmp_fd, "context", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->context_fd < 0 ? err_sys(e, errno, "cannot prepare %s", b->tmp_dir) : 0;
}

static int use_file(struct build *b, int fd, struct err *e)
{
	const struct extract_options o = {.context = true};
	if (make_context(b, e) < 0) {
		return -1;
	}
	if (lseek(fd, 0, SEEK_SET) < 0 || !context_is_archive(fd)) {
		return use_text(b, fd, e);
	}
	scoped(stream_free) struct stream *packed = stream_from_fd(fd);
	return context_extract(b->context_fd, ".", packed, &o, e) < 0
		       ? err_wrap(e, "the build context")
		       : 0;
}

static int load_file(struct build *b, const json_t *source, struct err *e)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
	scoped(close) int fd = openat(b->tmp_fd, "remote", flags, 0600);
	struct build_fetched got;
	if (fd < 0) {
		return err_sys(e, errno, "cannot keep the build context");
	}
	int r = build_fetch(json_str(source, "url"), fd, &got, e);
	r = r < 0 ? -1 : use_file(b, fd, e);
	unlinkat(b->tmp_fd, "remote", 0);
	return r;
}

/* --- a repository --- */

static int load_git(struct build *b, const json_t *source, struct err *e)
{
	scoped(git_url) struct git_url g = {0};
	char commit[GIT_COMMIT_MAX];
	const char *keep = strv_env_get(&b->build_args, "BUILDKIT_CONTEXT_KEEP_GIT_DIR");
	if (git_url_parse(json_str(source, "url"), &g, e) < 0) {
		return -1;
	}
	g.keep_git_dir = g.keep_git_dir || (keep && strcmp(keep, "1") == 0);
	if (git_resolve(b, &g, commit, e) < 0) {
		return -1;
	}
	b->context_fd = git_checkout(b, &g, commit, b->tmp_dir, "context", e);
	return b->context_fd < 0 ? -1 : 0;
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
	int r = git ? load_git(b, source, e) : load_file(b, source, e);
	r = r < 0 ? -1 : enter_subdir(b, e);
	build_event_end(b->events, vertex, false, r < 0 ? e : NULL);
	return r;
}
