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
#include "worker/context.h"

/* NAME.dockerignore stands before .dockerignore. */
static int read_ignore(struct build *b, const char *dockerfile, struct err *e)
{
	scoped(free) char *own = xasprintf("%s.dockerignore", dockerfile);
	const char *const names[] = {own, ".dockerignore"};
	for (size_t i = 0; i < 2; i++) {
		scoped(buf) struct buf text = BUF_INIT;
		if (context_read(b->context_fd, names[i], IGNORE_TEXT_MAX, &text, e) == 0) {
			b->ignore = ignore_parse(buf_str(&text), text.len, names[i], e);
			return b->ignore ? 0 : -1;
		}
		if (e->kind != ERR_NOT_FOUND) {
			return -1;
		}
	}
	return 0;
}

static int parse_dockerfile(struct build *b, const char *name, struct err *e)
{
	b->definition = build_event_vertex(
		b->events, NULL, 0, "[internal] load build definition from %s", name);
	build_event_begin(b->events, b->definition);
	int r = dockerfile_parse(buf_str(&b->text), b->text.len, name, &b->d, e);
	build_event_end(b->events, b->definition, false, r < 0 ? e : NULL);
	return r;
}

static int read_dockerfile(struct build *b, struct err *e)
{
	const char *name = json_str(b->options, "dockerfile");
	name = *name ? name : "Dockerfile";
	int r = context_read(b->context_fd, name, DF_TEXT_MAX, &b->text, e);
	if (r < 0 && e->kind == ERR_NOT_FOUND && strcmp(name, "Dockerfile") == 0) {
		name = "dockerfile"; /* as Docker tries, too */
		r = context_read(b->context_fd, name, DF_TEXT_MAX, &b->text, e);
	}
	if (r < 0 && e->kind == ERR_NOT_FOUND) {
		return err_set(e, ERR_INVALID, "Cannot locate specified Dockerfile: %.200s",
			*json_str(b->options, "dockerfile") ? json_str(b->options, "dockerfile")
							    : "Dockerfile");
	}
	if (r < 0 || parse_dockerfile(b, name, e) < 0) {
		return -1;
	}
	return read_ignore(b, name, e);
}

static int make_context(struct build *b, struct err *e)
{
	if (mkdirat(b->tmp_fd, "context", 0755) < 0) {
		return err_sys(e, errno, "cannot prepare %s", b->tmp_dir);
	}
	b->context_fd = openat(b->tmp_fd, "context", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->context_fd < 0 ? err_sys(e, errno, "cannot prepare %s", b->tmp_dir) : 0;
}

/* What is wrong with the request or the file is known before anything is run. */
int build_input(struct build *b, struct err *e)
{
	scoped(stream_free) struct stream *body = stream_from_fd(0);
	const struct extract_options o = {.context = true};
	if (make_context(b, e) < 0) {
		return -1;
	}
	if (context_extract(b->context_fd, ".", body, &o, e) < 0) {
		return err_wrap(e, "the build context");
	}
	if (read_dockerfile(b, e) < 0) {
		return -1;
	}
	return b->ignore ? context_prune(b->context_fd, b->ignore, e) : 0;
}
