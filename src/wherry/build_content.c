/* OCI layouts of ours for the engine (buildkit/content.h): only the directories that the request
 * names, and only those that it names for that are written to. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "buildkit/content.h"
#include "wherry/build_layout.h"
#include "wherry/build_session.h"

#define PIECE (256u << 10) /* bytes in one message */

/* The directory that the call is about, or -1: the call was finished. */
static int open_store(struct grpc_call *c, const struct build_session *s, bool write)
{
	const struct build_request *r = s->request;
	const char *id = grpc_metadata(c, CONTENT_STORE_ID, 0);
	struct err e;
	for (size_t i = 0; id && i < r->n_stores; i++) {
		const struct build_store *store = &r->stores[i];
		if (strcmp(store->id, id) != 0 || (write && !store->write)) {
			continue;
		}
		int fd = build_layout_open(store->path, store->write, &e);
		if (fd < 0) {
			grpc_finish_err(c, &e);
		}
		return fd;
	}
	scoped(free) char *message = xasprintf("unknown store %.100s", id ? id : "");
	grpc_finish(c, GRPC_NOT_FOUND, message);
	return -1;
}

static void *read_request(struct grpc_call *c, const ProtobufCMessageDescriptor *type)
{
	scoped(buf) struct buf bytes = BUF_INIT;
	if (!build_serve_request(c, &bytes)) {
		return NULL;
	}
	void *m =
		protobuf_c_message_unpack(type, NULL, bytes.len, (const uint8_t *)buf_str(&bytes));
	if (!m) {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "the request is malformed");
	}
	return m;
}

static int send(struct grpc_call *c, const ProtobufCMessage *m, struct err *e)
{
	scoped(buf) struct buf packed = BUF_INIT;
	size_t n = protobuf_c_message_get_packed_size(m);
	protobuf_c_message_pack(m, (uint8_t *)buf_room(&packed, n + 1));
	return grpc_send(c, packed.data, n, e);
}

static void finish(struct grpc_call *c, int r, const struct err *e)
{
	if (r < 0) {
		grpc_finish_err(c, e);
	} else {
		grpc_finish(c, GRPC_OK, "");
	}
}

void build_serve_content_info(struct grpc_call *c, void *owner)
{
	struct err e;
	Buildkit__ContentInfo info = BUILDKIT__CONTENT_INFO__INIT;
	Buildkit__ContentInfoResponse answer = BUILDKIT__CONTENT_INFO_RESPONSE__INIT;
	Buildkit__ContentInfoRequest *q =
		read_request(c, &buildkit__content_info_request__descriptor);
	scoped(close) int dir = q ? open_store(c, owner, false) : -1;
	scoped(close) int fd = dir >= 0 ? build_layout_blob(dir, q->digest, &info.size, &e) : -1;
	if (fd >= 0) {
		info.digest = q->digest;
		answer.info = &info;
		finish(c, send(c, &answer.base, &e), &e);
	} else if (dir >= 0) {
		grpc_finish_err(c, &e);
	}
	if (q) {
		buildkit__content_info_request__free_unpacked(q, NULL);
	}
}

/* --- read --- */

static int send_blob(struct grpc_call *c, int fd, int64_t from, int64_t to, struct err *e)
{
	scoped(free) char *piece = xnew_array(char, PIECE);
	Buildkit__ContentReadResponse m = BUILDKIT__CONTENT_READ_RESPONSE__INIT;
	while (from < to) {
		int64_t left = to - from;
		ssize_t n = pread(fd, piece, left < PIECE ? (size_t)left : PIECE, from);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? err_sys(e, errno, "cannot read the content")
				     : err_set(e, ERR_SYSTEM, "the content has become shorter");
		}
		m.offset = from;
		m.data.data = (uint8_t *)piece;
		m.data.len = (size_t)n;
		if (send(c, &m.base, e) < 0) {
			return -1;
		}
		from += n;
	}
	return 0;
}

static int send_part(
	struct grpc_call *c, int dir, const Buildkit__ContentReadRequest *q, struct err *e)
{
	int64_t size;
	scoped(close) int fd = build_layout_blob(dir, q->digest, &size, e);
	if (fd < 0) {
		return -1;
	}
	int64_t from = q->offset > 0 ? q->offset : 0;
	int64_t wanted = q->size > 0 ? q->size : size - from;
	return from > size || wanted > size - from
		       ? err_set(e, ERR_INVALID, "read past object length %lld bytes",
				 (long long)size)
		       : send_blob(c, fd, from, from + wanted, e);
}

void build_serve_content_read(struct grpc_call *c, void *owner)
{
	struct err e;
	Buildkit__ContentReadRequest *q =
		read_request(c, &buildkit__content_read_request__descriptor);
	scoped(close) int dir = q ? open_store(c, owner, false) : -1;
	if (dir >= 0) {
		finish(c, send_part(c, dir, q, &e), &e);
	}
	if (q) {
		buildkit__content_read_request__free_unpacked(q, NULL);
	}
}

/* --- write --- */

struct writing {
	struct build_layout_write blob;
	int64_t total;
	char expected[72];
	bool committed, there;
};

static int note_expected(
	struct writing *w, int dir, const Buildkit__ContentWriteRequest *q, struct err *e)
{
	struct err ignored;
	int64_t size;
	w->total = q->total > 0 ? q->total : w->total;
	if (*q->expected) {
		snprintf(w->expected, sizeof(w->expected), "%s", q->expected);
		scoped(close) int fd = build_layout_blob(dir, q->expected, &size, &ignored);
		w->there = fd >= 0;
	}
	return w->there ? err_set(e, ERR_CONFLICT, "content %s: already exists", w->expected) : 0;
}

static int check_size(const struct writing *w, bool whole, struct err *e)
{
	bool wrong = w->total > 0 && (whole ? w->blob.size != w->total : w->blob.size > w->total);
	return wrong ? err_set(e, ERR_INVALID, "%lld bytes of content are not the %lld expected",
			       (long long)w->blob.size, (long long)w->total)
		     : 0;
}

static int take_request(
	struct writing *w, int dir, const Buildkit__ContentWriteRequest *q, struct err *e)
{
	if (note_expected(w, dir, q, e) < 0) {
		return -1;
	}
	if (q->action != CONTENT_STAT &&
		build_layout_append(&w->blob, q->offset, q->data.data, q->data.len, e) < 0) {
		return -1;
	}
	if (q->action != CONTENT_COMMIT) {
		return check_size(w, false, e);
	}
	if (check_size(w, true, e) < 0 || build_layout_commit(&w->blob, w->expected, e) < 0) {
		return -1;
	}
	w->committed = true;
	return 0;
}

static int answer_request(
	struct grpc_call *c, const struct writing *w, int32_t action, struct err *e)
{
	Buildkit__ContentWriteResponse a = BUILDKIT__CONTENT_WRITE_RESPONSE__INIT;
	a.action = action;
	a.offset = w->blob.size;
	a.total = w->total;
	if (w->committed) {
		a.digest = (char *)w->expected;
	}
	return send(c, &a.base, e);
}

static int receive_blob(struct grpc_call *c, int dir, struct writing *w, struct err *e)
{
	scoped(buf) struct buf bytes = BUF_INIT;
	int got = 1;
	while (!w->committed && (got = grpc_recv(c, &bytes, e)) > 0) {
		Buildkit__ContentWriteRequest *q = buildkit__content_write_request__unpack(
			NULL, bytes.len, (const uint8_t *)buf_str(&bytes));
		int r = q ? take_request(w, dir, q, e)
			  : err_set(e, ERR_INVALID, "the request is malformed");
		r = r == 0 ? answer_request(c, w, q->action, e) : -1;
		if (q) {
			buildkit__content_write_request__free_unpacked(q, NULL);
		}
		if (r < 0) {
			return -1;
		}
	}
	return got < 0 ? -1 : 0;
}

void build_serve_content_write(struct grpc_call *c, void *owner)
{
	struct err e;
	struct writing w = {.blob = {.dir_fd = -1, .fd = -1}};
	scoped(close) int dir = open_store(c, owner, true);
	if (dir >= 0) {
		int r = build_layout_begin(dir, &w.blob, &e);
		finish(c, r < 0 ? r : receive_blob(c, dir, &w, &e), &e);
		build_layout_end(&w.blob);
	}
}

/* Nothing is kept of a write whose call has ended. */
void build_serve_content_abort(struct grpc_call *c, void *owner)
{
	scoped(buf) struct buf bytes = BUF_INIT;
	struct err e;
	if (build_serve_request(c, &bytes) && grpc_send(c, "", 0, &e) == 0) {
		grpc_finish(c, GRPC_OK, "");
	}
}
