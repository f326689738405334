/* A session stream, the build worker's end: frames on a unix socket, no thread of our own. The
 * process at the other end is ours and trusted, the messages it relays are not. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "grpc/call.h"

#define READ_CHUNK (64u << 10)

struct over {
	struct grpc_call call;
	int fd;
	bool peer; /* the other end: it receives no status, it sends one */
	char *chunk;
	size_t pos, n;       /* what of chunk was not taken yet */
	struct buf gathered; /* the sender's: kept back for more */
};

static int lost(struct err *e)
{
	return err_set(e, ERR_BUSY, "the client's session has ended");
}

static int send_parts(struct over *o, struct iovec *parts, size_t n, struct err *e)
{
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = n};
	while (m.msg_iovlen > 0) {
		ssize_t sent = sendmsg(o->fd, &m, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent < 0) {
			return lost(e);
		}
		for (; m.msg_iovlen > 0 && (size_t)sent >= m.msg_iov->iov_len; m.msg_iovlen--) {
			sent -= (ssize_t)m.msg_iov++->iov_len;
		}
		if (m.msg_iovlen > 0) {
			m.msg_iov->iov_base = (char *)m.msg_iov->iov_base + sent;
			m.msg_iov->iov_len -= (size_t)sent;
		}
	}
	return 0;
}

static int flush(struct over *o, struct err *e)
{
	struct iovec all = {o->gathered.data, o->gathered.len};
	int r = all.iov_len > 0 ? send_parts(o, &all, 1, e) : 0;
	buf_clear(&o->gathered);
	return r;
}

static int over_send(struct grpc_call *c, struct iovec *parts, size_t n, bool more, struct err *e)
{
	struct over *o = (struct over *)c;
	size_t bytes = 0;
	for (size_t i = 0; i < n; i++) {
		bytes += parts[i].iov_len;
	}
	if (bytes >= GRPC_GATHER || (!more && o->gathered.len == 0)) { /* not worth a copy */
		return flush(o, e) < 0 ? -1 : send_parts(o, parts, n, e);
	}
	for (size_t i = 0; i < n; i++) {
		buf_append(&o->gathered, parts[i].iov_base, parts[i].iov_len);
	}
	return more && o->gathered.len < GRPC_GATHER ? 0 : flush(o, e);
}

/* {"code": N, "message": ""} */
static void take_status(struct over *o, const struct buf *text)
{
	struct err e = {0};
	scoped(json) json_t *doc = json_parse(buf_str(text), text->len, "the status", &e);
	int64_t code = doc ? json_i64(doc, "code", GRPC_UNKNOWN) : GRPC_UNKNOWN;
	call_set_status(&o->call,
		code >= 0 && code <= GRPC_UNAUTHENTICATED ? (enum grpc_code)code : GRPC_UNKNOWN,
		doc ? json_str(doc, "message") : e.msg);
}

/* The other end's status is what it says itself, in the thread that sends; this one only reads. */
static int receiving_failed(struct over *o, enum grpc_code code, const struct err *e)
{
	if (!o->peer) {
		call_set_status(&o->call, code, e->msg);
	}
	return -1;
}

void grpc_call_over_wait(struct grpc_call *c, unsigned seconds)
{
	const struct timeval wait = {.tv_sec = (time_t)seconds};
	setsockopt(((struct over *)c)->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
}

static int late(struct grpc_call *c, struct err *e)
{
	(void)err_set(e, ERR_BUSY, "the client does not answer");
	call_set_status(c, GRPC_DEADLINE_EXCEEDED, e->msg);
	return -1;
}

/* More bytes into the empty chunk. 0 at the end. */
static ssize_t fill(struct over *o)
{
	ssize_t n;
	do {
		n = read(o->fd, o->chunk, READ_CHUNK);
	} while (n < 0 && errno == EINTR);
	o->pos = 0;
	o->n = n > 0 ? (size_t)n : 0;
	return n;
}

static int over_recv(struct grpc_call *c, struct buf *ret, struct err *e)
{
	struct over *o = (struct over *)c;
	if (!o->peer && c->status.known) {
		return call_result(c, e);
	}
	for (;;) {
		size_t used;
		enum frame_type type;
		int r = frame_take(
			&c->reader, o->chunk + o->pos, o->n - o->pos, &used, ret, &type, e);
		if (r < 0) {
			return receiving_failed(o, GRPC_INTERNAL, e);
		}
		o->pos += used;
		if (r > 0 && type == FRAME_MESSAGE) {
			return 1;
		}
		if (r > 0) {
			take_status(o, ret);
			return call_result(c, e);
		}
		ssize_t n = fill(o);
		if (n == 0 && o->peer && !c->reader.begun) {
			return 0;
		}
		if (n < 0 && errno == EAGAIN) {
			return late(c, e);
		}
		if (n <= 0) {
			(void)lost(e);
			return receiving_failed(o, GRPC_UNAVAILABLE, e);
		}
	}
}

static void over_recv_ready(struct grpc_call *c, size_t enough, struct buf *ret)
{
	struct over *o = (struct over *)c;
	size_t n = ret->len < enough
			   ? frames_whole(o->chunk + o->pos, o->n - o->pos, enough - ret->len)
			   : 0;
	buf_append(ret, o->chunk + o->pos, n);
	o->pos += n;
}

static int over_send_end(struct grpc_call *c, struct err *e)
{
	struct over *o = (struct over *)c;
	return flush(o, e) < 0 || shutdown(o->fd, SHUT_WR) < 0 ? lost(e) : 0;
}

/* Another thread may be inside read: shutdown wakes it, close would not. */
static void over_cancel(struct grpc_call *c)
{
	shutdown(((struct over *)c)->fd, SHUT_RDWR);
}

static void over_finish(struct grpc_call *c)
{
	struct err ignored;
	uint8_t head[FRAME_HEAD];
	struct over *o = (struct over *)c;
	const struct call_status *s = &c->status;
	scoped(json) json_t *doc =
		json_pack("{si ss}", "code", (int)s->code, "message", s->message ? s->message : "");
	scoped(free) char *text = json_text(doc);
	size_t n = text ? strlen(text) : 0;
	frame_head(FRAME_STATUS, n, head);
	struct iovec parts[] = {{head, FRAME_HEAD}, {text, n}};
	(void)over_send(c, parts, 2, false, &ignored);
	shutdown(o->fd, SHUT_WR);
}

static void over_free(struct grpc_call *c)
{
	struct over *o = (struct over *)c;
	close(o->fd);
	free(o->chunk);
	buf_deinit(&o->gathered);
	call_deinit(c);
	free(o);
}

static struct over *over_new(int take_fd)
{
	static const struct call_ops ops = {.send = over_send,
		.recv = over_recv,
		.recv_ready = over_recv_ready,
		.send_end = over_send_end,
		.cancel = over_cancel,
		.free = over_free,
		.finish = over_finish};
	struct over *o = xnew(struct over);
	call_init(&o->call, &ops, NULL, "");
	o->fd = take_fd;
	o->chunk = xnew_array(char, READ_CHUNK);
	return o;
}

struct grpc_call *grpc_call_over(int take_fd)
{
	struct over *o = over_new(take_fd);
	o->call.reader.with_status = true;
	return &o->call;
}

struct grpc_call *grpc_call_over_peer(int take_fd, const void *early, size_t n_early)
{
	struct over *o = over_new(take_fd);
	o->peer = true;
	o->n = n_early < READ_CHUNK ? n_early : READ_CHUNK;
	if (o->n > 0) {
		memcpy(o->chunk, early, o->n);
	}
	return &o->call;
}
