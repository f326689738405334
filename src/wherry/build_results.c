/* Large things of a build's session: its results come in, standard input goes out. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "buildkit/fsutil.h"
#include "buildkit/session.pb-c.h"
#include "wherry/build_session.h"

#define PIECE (256u << 10)

/* --- results --- */

/* The index of the exporter; engines that know of only one do not say it. */
static const struct build_dest *find_dest(const struct build_request *r, struct grpc_call *c)
{
	const char *id = grpc_metadata(c, "buildkit-attachable-exporter-id", 0);
	int wanted = 0;
	if (!id && r->n_dests == 1) {
		return &r->dests[0];
	}
	if (id && parse_int(id, 0, INT32_MAX, &wanted) < 0) {
		return NULL;
	}
	for (size_t i = 0; i < r->n_dests; i++) {
		if (r->dests[i].export == (size_t)wanted) {
			return &r->dests[i];
		}
	}
	return NULL;
}

static int receive_tree(struct grpc_call *c, const char *path, struct err *e)
{
	int made = path_mkdirs(path, 0755);
	scoped(close) int fd = made < 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0) {
		return err_sys(e, made < 0 ? -made : errno, "cannot write to %s", path);
	}
	const struct fsutil_stream stream = fsutil_over_call(c);
	return fsutil_receive_tree(&stream, fd, (uid_t)-1, (gid_t)-1, e);
}

static int receive_bytes(struct grpc_call *c, int fd, const char *path, struct err *e)
{
	scoped(buf) struct buf bytes = BUF_INIT;
	int got;
	while ((got = grpc_recv(c, &bytes, e)) > 0) {
		Buildkit__BytesMessage *m = buildkit__bytes_message__unpack(
			NULL, bytes.len, (const uint8_t *)buf_str(&bytes));
		int r = m ? path_write_all(fd, m->data.data, m->data.len) : -EBADMSG;
		if (m) {
			buildkit__bytes_message__free_unpacked(m, NULL);
		}
		if (r < 0) {
			return err_sys(e, -r, "cannot write %s", path);
		}
	}
	return got;
}

/* A plain file appears when it is whole; a device or a pipe is written to as it comes. */
static int receive_file(struct grpc_call *c, const char *path, struct err *e)
{
	struct stat st;
	if (strcmp(path, "-") == 0) {
		return receive_bytes(c, STDOUT_FILENO, "standard output", e);
	}
	bool exists = stat(path, &st) == 0;
	bool special = exists && !S_ISREG(st.st_mode);
	scoped(free) char *temporary =
		special ? xstrdup(path) : xasprintf("%s.%d.part", path, getpid());
	scoped(close) int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0) {
		return err_sys(e, errno, "cannot write %s", path);
	}
	int r = receive_bytes(c, fd, path, e);
	if (r == 0 && !special && rename(temporary, path) < 0) {
		r = err_sys(e, errno, "cannot write %s", path);
	}
	if (r < 0 && !special) {
		unlink(temporary);
	}
	return r;
}

void build_serve_result(struct grpc_call *c, void *owner)
{
	const struct build_session *s = owner;
	const struct build_dest *d = find_dest(s->request, c);
	struct err e;
	if (!d) {
		grpc_finish(c, GRPC_NOT_FOUND, "no such exporter was asked for");
		return;
	}
	int r = d->tree ? receive_tree(c, d->path, &e) : receive_file(c, d->path, &e);
	if (r < 0) {
		grpc_finish_err(c, &e);
	} else {
		grpc_finish(c, GRPC_OK, "");
	}
}

/* --- standard input --- */

void build_serve_upload(struct grpc_call *c, void *owner)
{
	const struct build_session *s = owner;
	const struct build_request *r = s->request;
	const char *path = grpc_metadata(c, "urlpath", 0);
	struct err e;
	if (!r->upload_id || !path || strcmp(path + (*path == '/'), r->upload_id) != 0) {
		grpc_finish(c, GRPC_NOT_FOUND, "no such upload");
		return;
	}
	scoped(free) char *data = xnew_array(char, PIECE);
	int result = build_send_bytes(c, r->early.data, r->early.len, &e);
	for (ssize_t n = 1; result == 0 && n > 0;) {
		n = read(STDIN_FILENO, data, PIECE);
		if (n < 0 && errno == EINTR) {
			n = 1;
		} else if (n < 0) {
			result = err_sys(&e, errno, "cannot read stdin");
		} else if (n > 0) {
			result = build_send_bytes(c, data, (size_t)n, &e);
		}
	}
	if (result < 0) {
		grpc_finish_err(c, &e);
	} else {
		grpc_finish(c, GRPC_OK, "");
	}
}
