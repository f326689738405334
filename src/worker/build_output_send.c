/* Outputs to the client: "local" as files, "tar" as an archive of them, "oci" and "docker" as an
 * archive of the image. moby.filesync.v1.FileSend/DiffCopy of the client's session takes them all:
 * by the output's number the client knows where this one goes.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "buildkit/fsutil.h"
#include "grpc/grpc.h"
#include "session.pb-c.h"
#include "worker/build_output.h"
#include "worker/content.h"
#include "worker/diff.h"
#include "worker/layout.h"
#include "worker/overlay.h"
#include "worker/session.h"

#define FILE_SEND "/moby.filesync.v1.FileSend/DiffCopy"
#define PIECE (64u << 10) /* of an archive in one message */

/* --- the call --- */

/* What the client may want to know before it opens its file goes along. */
static struct grpc_call *open_call(const struct build_output *o, struct err *e)
{
	scoped(strv) struct strv metadata = STRV_INIT;
	const char *name;
	json_t *value;
	strv_add(&metadata, "buildkit-attachable-exporter-id");
	strv_addf(&metadata, "%d", o->number);
	json_object_foreach (o->all->response, name, value) {
		strv_addf(&metadata, "exporter-md-%s", name);
		strv_add(&metadata, json_string_value(value));
	}
	return session_call(o->all->b, FILE_SEND, &metadata, e);
}

/* --- bytes --- */

struct byte_sender {
	struct grpc_call *call; /* borrowed */
	struct buf pending, packed;
};

/* A client that has the file already says so instead of taking it: that is success. */
static int has_it(const struct byte_sender *s)
{
	const char *message;
	const struct buf *details;
	return grpc_status(s->call, &message, &details) == GRPC_ALREADY_EXISTS;
}

static int flush(struct byte_sender *s, struct err *e)
{
	Buildkit__BytesMessage m = BUILDKIT__BYTES_MESSAGE__INIT;
	if (s->pending.len == 0) {
		return 0;
	}
	m.data.data = (uint8_t *)s->pending.data;
	m.data.len = s->pending.len;
	buf_clear(&s->packed);
	char *to = buf_room(&s->packed, buildkit__bytes_message__get_packed_size(&m));
	buf_added(&s->packed, buildkit__bytes_message__pack(&m, (uint8_t *)to));
	buf_clear(&s->pending);
	return grpc_send(s->call, s->packed.data, s->packed.len, e);
}

static int send_bytes(void *owner, const void *data, size_t n, struct err *e)
{
	struct byte_sender *s = owner;
	const char *p = data;
	while (n > 0) {
		size_t room = PIECE - s->pending.len;
		size_t part = n < room ? n : room;
		buf_append(&s->pending, p, part);
		p += part;
		n -= part;
		if (s->pending.len == PIECE && flush(s, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int finish_bytes(struct byte_sender *s, struct err *e)
{
	scoped(buf) struct buf ignored = BUF_INIT;
	int r = flush(s, e) < 0 || grpc_send_end(s->call, e) < 0 ? -1 : 1;
	while (r > 0) {
		r = grpc_recv(s->call, &ignored, e);
	}
	return r;
}

typedef int produce_fn(void *owner, pack_write_fn *write, void *to, struct err *e);

static int send_archive(
	const struct build_output *o, produce_fn *produce, void *owner, struct err *e)
{
	int64_t begun = clock_real_ns();
	scoped(grpc_call_free) struct grpc_call *call = open_call(o, e);
	if (!call) {
		return -1;
	}
	struct byte_sender s = {.call = call};
	int r = produce(owner, send_bytes, &s, e) < 0 ? -1 : finish_bytes(&s, e);
	buf_deinit(&s.pending);
	buf_deinit(&s.packed);
	if (r < 0 && !has_it(&s)) {
		return err_wrap(e, "cannot send the result to the client");
	}
	build_output_say(o, begun, "sending tarball");
	return 0;
}

/* --- an archive of the image --- */

struct layout_writer {
	const struct layout *layout;
	int fd;
	struct err error;
	int result;
};

static void *write_layout(void *owner)
{
	struct layout_writer *w = owner;
	w->result = layout_write(w->layout, w->fd, &w->error);
	close(w->fd);
	return NULL;
}

static int copy_from(int fd, pack_write_fn *write, void *to, struct err *e)
{
	scoped(free) char *chunk = xnew_array(char, PIECE);
	ssize_t n;
	while ((n = read(fd, chunk, PIECE)) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0 && write(to, chunk, (size_t)n, e) < 0) {
			return -1;
		}
	}
	return n < 0 ? err_sys(e, errno, "cannot read the archive") : 0;
}

/* The writer of layouts wants a descriptor: a thread fills a pipe. */
static int produce_layout(void *owner, pack_write_fn *write, void *to, struct err *e)
{
	int ends[2];
	pthread_t thread;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot make a pipe");
	}
	struct layout_writer w = {.layout = owner, .fd = ends[1]};
	if (pthread_create(&thread, NULL, write_layout, &w) != 0) {
		close(ends[0]);
		close(ends[1]);
		return err_set(e, ERR_SYSTEM, "cannot start a thread");
	}
	int r = copy_from(ends[0], write, to, e);
	close(ends[0]); /* when nobody takes more, the writer ends */
	pthread_join(thread, NULL);
	if (r == 0 && w.result < 0) {
		*e = w.error;
		return -1;
	}
	return r;
}

/* --- a layout that the client keeps unpacked --- */

/* Into its content store; the client writes index.json by what it is told of the image. */
static int send_layout(const struct build_output *o, const struct layout *l, struct err *e)
{
	const struct content_store store = {o->all->b, (char *)"export"};
	int64_t begun = clock_real_ns();
	if (layout_put(l, &store, e) < 0) {
		return err_wrap(e, "cannot send the result to the client");
	}
	build_output_say(o, begun, "copying layout");
	return 0;
}

int build_output_archive(struct build_output *o, struct err *e)
{
	struct build_outputs *all = o->all;
	bool tar;
	if (build_output_bool(o, "tar", true, &tar, e) < 0) {
		return -1;
	}
	if (strcmp(o->type, "docker") == 0 && all->n > 1) {
		return err_set(e, ERR_INVALID,
			"docker exporter does not currently support exporting manifest lists");
	}
	int64_t begun = clock_real_ns();
	scoped(json) json_t *request = build_output_request(o, e);
	scoped(layout_free) struct layout *l = request ? layout_new(request, e) : NULL;
	if (!l) {
		return -1;
	}
	build_output_respond(o, l);
	build_output_respond_names(o);
	build_output_say(o, begun, "exporting manifest %s",
		json_str(all->response, "containerimage.digest"));
	return tar ? send_archive(o, produce_layout, l, e) : send_layout(o, l, e);
}

/* --- files --- */

/* "linux_arm_v7": the directory of a platform. */
static char *platform_dir(const struct build_image *i)
{
	char *name = xstrdup(build_stage_platform(i->s));
	for (char *p = name; *p; p++) {
		*p = *p == '/' ? '_' : *p;
	}
	return name;
}

static int wants_split(const struct build_output *o, bool *ret, struct err *e)
{
	return build_output_bool(o, "platform-split", o->all->n > 1, ret, e);
}

/* Mounts what an image shows at the path, which is made. */
static int mount_image(
	const struct build *b, const struct build_image *i, const char *path, struct err *e)
{
	scoped(strv) struct strv lower = STRV_INIT;
	build_lower(&i->s->dirs, &lower);
	if (mkdir(path, 0755) < 0 && errno != EEXIST) {
		return err_sys(e, errno, "cannot make %s", path);
	}
	return overlay_mount(b->layers_dir, &lower, NULL, NULL, path, e);
}

struct tree {
	char *dir; /* below the build's; all that is in it is unmounted and goes */
	struct strv mounts;
	int fd;
};

static void tree_close(struct tree *t)
{
	if (t->fd >= 0) {
		close(t->fd);
	}
	for (size_t k = t->mounts.n; k > 0; k--) {
		umount2(t->mounts.v[k - 1], MNT_DETACH);
		(void)rmdir(t->mounts.v[k - 1]);
	}
	if (t->dir) {
		(void)rmdir(t->dir);
	}
	free(t->dir);
	strv_deinit(&t->mounts);
}

/* Images first to last, each in a directory of its own when split. */
static int tree_open(const struct build_output *o, size_t first, size_t last, bool split,
	struct tree *ret, struct err *e)
{
	const struct build_outputs *all = o->all;
	*ret = (struct tree){.fd = -1};
	ret->dir = xasprintf("%s/output-%d", all->b->tmp_dir, o->number);
	if (mkdir(ret->dir, 0755) < 0) {
		return err_sys(e, errno, "cannot make %s", ret->dir);
	}
	for (size_t k = first; k <= last; k++) {
		scoped(free) char *name = platform_dir(&all->images[k]);
		scoped(free) char *at =
			split ? xasprintf("%s/%s", ret->dir, name) : xstrdup(ret->dir);
		if (mount_image(all->b, &all->images[k], at, e) < 0) {
			return -1;
		}
		strv_add(&ret->mounts, at);
	}
	ret->fd = open(ret->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return ret->fd < 0 ? err_sys(e, errno, "cannot open %s", ret->dir) : 0;
}

static int produce_tar(void *owner, pack_write_fn *write, void *to, struct err *e)
{
	const struct tree *t = owner;
	struct diff_result packed;
	return diff_pack(t->fd, write, NULL, to, &packed, e);
}

int build_output_tar(struct build_output *o, struct err *e)
{
	bool split;
	struct tree t;
	if (wants_split(o, &split, e) < 0) {
		return -1;
	}
	if (!split && o->all->n > 1) {
		return err_set(e, ERR_INVALID,
			"an archive of several platforms needs a directory for each");
	}
	int r = tree_open(o, 0, o->all->n - 1, split, &t, e);
	r = r < 0 ? r : send_archive(o, produce_tar, &t, e);
	tree_close(&t);
	return r;
}

/* One platform: the client merges what comes one after another. */
static int send_files(struct build_output *o, size_t k, bool split, struct err *e)
{
	struct tree t;
	struct stat like;
	int64_t begun = clock_real_ns();
	scoped(free) char *below = split ? platform_dir(&o->all->images[k]) : xstrdup("");
	scoped(grpc_call_free) struct grpc_call *call = NULL;
	int r = tree_open(o, k, k, false, &t, e);
	if (r == 0 && fstat(t.fd, &like) < 0) {
		r = err_sys(e, errno, "cannot read %s", t.dir);
	}
	if (r == 0) {
		call = open_call(o, e);
		r = call ? 0 : -1;
	}
	if (r == 0) {
		const struct fsutil_stream s = fsutil_over_call(call);
		const struct fsutil_send_options options = {
			.below = below, .like = &like, .xattrs = true};
		r = fsutil_send(&s, t.fd, &options, e);
	}
	tree_close(&t);
	if (r < 0) {
		return err_wrap(e, "cannot send the result to the client");
	}
	build_output_say(o, begun, "copying files%s%s", *below ? " " : "", below);
	return 0;
}

int build_output_local(struct build_output *o, struct err *e)
{
	bool split;
	if (wants_split(o, &split, e) < 0) {
		return -1;
	}
	for (size_t k = 0; k < o->all->n; k++) {
		if (send_files(o, k, split, e) < 0) {
			return -1;
		}
	}
	return 0;
}
