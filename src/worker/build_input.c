/* What a build is made from: the context, the Dockerfile, what is ignored. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "tree/stream.h"
#include "worker/build.h"
#include "worker/build_context.h"
#include "worker/context.h"
#include "worker/session.h"

/* 1: there was one */
static int read_ignore_file(struct build *b, int dir_fd, const char *name, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (context_read(dir_fd, name, IGNORE_TEXT_MAX, &text, e) < 0) {
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	}
	b->ignore = ignore_parse(buf_str(&text), text.len, name, e);
	return b->ignore ? 1 : -1;
}

/* NAME.dockerignore, which is where the Dockerfile is, stands before the context's .dockerignore.
 */
static int read_ignore(struct build *b, int dir_fd, const char *dockerfile, struct err *e)
{
	static const char name[] = ".dockerignore";
	scoped(free) char *own = xasprintf("%s.dockerignore", dockerfile);
	int r = read_ignore_file(b, dir_fd, own, e);
	if (r != 0 || !build_context_by_session(b, "context")) {
		return r < 0                                             ? -1
		       : r > 0                                           ? 0
		       : read_ignore_file(b, b->context_fd, name, e) < 0 ? -1
									 : 0;
	}
	scoped(strv) struct strv files = STRV_INIT;
	strv_add(&files, name);
	scoped(close) int fd = build_context_fetch(
		b, "context", &files, "[internal] load .dockerignore", "ignore", e);
	return fd < 0 || read_ignore_file(b, fd, name, e) < 0 ? -1 : 0;
}

/* Where the Dockerfile is: an fd of the caller's. */
static int open_dockerfile_dir(struct build *b, const char *name, struct err *e)
{
	if (!build_context_by_session(b, "dockerfile_source")) {
		int fd = dup(b->context_fd);
		return fd < 0 ? err_sys(e, errno, "cannot open the context") : fd;
	}
	scoped(strv) struct strv files = STRV_INIT;
	scoped(free) char *what = xasprintf("[internal] load build definition from %s", name);
	strv_add(&files, name);
	strv_addf(&files, "%s.dockerignore", name);
	if (strcmp(name, "Dockerfile") == 0) {
		strv_add(&files, "dockerfile");
	}
	return build_context_fetch(b, "dockerfile", &files, what, "dockerfile", e);
}

static int parse_dockerfile(struct build *b, const char *name, struct err *e)
{
	if (b->definition) { /* it was fetched */
		return dockerfile_parse(buf_str(&b->text), b->text.len, name, &b->d, e);
	}
	b->definition = b->fetched ? b->fetched
				   : build_event_vertex(b->events, NULL, 0,
					     "[internal] load build definition from %s", name);
	build_event_begin(b->events, b->definition);
	int r = dockerfile_parse(buf_str(&b->text), b->text.len, name, &b->d, e);
	build_event_end(b->events, b->definition, false, r < 0 ? e : NULL);
	return r;
}

static int read_dockerfile(struct build *b, struct err *e)
{
	const char *name = json_str(b->options, "dockerfile");
	name = *name ? name : "Dockerfile";
	scoped(close) int dir = open_dockerfile_dir(b, name, e);
	if (dir < 0) {
		return -1;
	}
	int r = context_read(dir, name, DF_TEXT_MAX, &b->text, e);
	if (r < 0 && e->kind == ERR_NOT_FOUND && strcmp(name, "Dockerfile") == 0) {
		name = "dockerfile"; /* as Docker tries, too */
		r = context_read(dir, name, DF_TEXT_MAX, &b->text, e);
	}
	if (r < 0 && e->kind == ERR_NOT_FOUND) {
		return err_set(e, ERR_INVALID, "Cannot locate specified Dockerfile: %.200s",
			*json_str(b->options, "dockerfile") ? json_str(b->options, "dockerfile")
							    : "Dockerfile");
	}
	if (r < 0 || parse_dockerfile(b, name, e) < 0) {
		return -1;
	}
	return read_ignore(b, dir, name, e);
}

static int make_context(struct build *b, struct err *e)
{
	if (mkdirat(b->tmp_fd, "context", 0755) < 0) {
		return err_sys(e, errno, "cannot prepare %s", b->tmp_dir);
	}
	b->context_fd = openat(b->tmp_fd, "context", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->context_fd < 0 ? err_sys(e, errno, "cannot prepare %s", b->tmp_dir) : 0;
}

/* The tar that a classic client sends as a body, another by its session. */
static int open_body(struct build *b, struct err *e)
{
	const json_t *source = json_object_get(b->options, "context");
	if (strcmp(json_str(source, "kind"), "upload") == 0) {
		return session_upload_open(b, json_str(source, "path"), e);
	}
	int fd = dup(0);
	return fd < 0 ? err_sys(e, errno, "cannot read the context") : fd;
}

static int unpack_context(struct build *b, struct err *e)
{
	scoped(close) int fd = open_body(b, e);
	if (fd < 0) {
		return -1;
	}
	scoped(stream_free) struct stream *body = stream_from_fd(fd);
	const struct extract_options o = {.context = true};
	if (make_context(b, e) < 0) {
		return -1;
	}
	return context_extract(b->context_fd, ".", body, &o, e) < 0
		       ? err_wrap(e, "the build context")
		       : 0;
}

/* What is wrong with the request or the file is known before anything is run. */
int build_input(struct build *b, struct err *e)
{
	bool session = build_context_by_session(b, "context");
	int r = session ? 0 : build_remote_is(b) ? build_remote_load(b, e) : unpack_context(b, e);
	if (r < 0 || read_dockerfile(b, e) < 0) {
		return -1;
	}
	return b->ignore && !session ? context_prune(b->context_fd, b->ignore, e) : 0;
}
