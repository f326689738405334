/* The directories of a build for the engine: only those that the request names, and of them only
 * what the engine asks for. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "buildkit/fsutil.h"
#include "wherry/build_filter.h"
#include "wherry/build_session.h"

static const char *find_directory(const struct build_request *r, const char *name)
{
	for (size_t i = 0; i < r->n_locals; i++) {
		if (strcmp(r->locals[i].name, name) == 0) {
			return r->locals[i].path;
		}
	}
	return NULL;
}

/* Who owns a file here is nobody's business there. */
static void make_root(void *owner, struct fsutil_stat *st)
{
	st->uid = 0;
	st->gid = 0;
}

static int send_directory(struct grpc_call *c, const char *path, struct err *e)
{
	scoped(close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, errno, "cannot read the directory %s", path);
	}
	scoped(build_filter_free) struct build_filter *f =
		build_filter_new(fd, grpc_metadata_all(c), e);
	if (!f) {
		return -1;
	}
	const struct fsutil_send_options o = {.filter = build_filter_path,
		.change = make_root,
		.owner = f,
		.below = "",
		.xattrs = true};
	const struct fsutil_stream stream = fsutil_over_call(c);
	return fsutil_send(&stream, fd, &o, e);
}

void build_serve_files(struct grpc_call *c, void *owner)
{
	const struct build_session *s = owner;
	scoped(strv) struct strv names = STRV_INIT;
	struct err e;
	build_filter_values(grpc_metadata_all(c), "dir-name", &names);
	const char *path = names.n > 0 ? find_directory(s->request, names.v[0]) : NULL;
	int r = path ? send_directory(c, path, &e)
		     : err_set(&e, ERR_NOT_FOUND, "no access allowed to dir \"%s\"",
			       names.n > 0 ? names.v[0] : "");
	if (r < 0) {
		grpc_finish_err(c, &e);
	} else {
		grpc_finish(c, GRPC_OK, "");
	}
}
