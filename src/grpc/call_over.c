/* A session stream, the build worker's end: frames on a unix socket, no thread of our own. The
 * process at the other end is ours and trusted, the messages it relays are not. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
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
	size_t pos, n; /* what of chunk was not taken yet */
};

static int lost(struct err *e)
{
	return err_set(e, ERR_BUSY, "the client's session has ended");
}

static int send_frame(
	struct over *o, enum frame_type type, const void *data, size_t n, struct err *e)
{
	uint8_t head[FRAME_HEAD];
	frame_head(type, n, head);
	struct iovec parts[] = {{head, FRAME_HEAD}, {(void *)data, n}};
	struct msghdr m = {.msg_iov = parts, .msg_iovlen = 2};
	while (parts[0].iov_len + parts[1].iov_len > 0) {
		ssize_t sent = sendmsg(o->fd, &m, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent < 0) {
			return lost(e);
		}
		for (size_t i = 0; i < 2; i++) {
			size_t part =
				(size_t)sent < parts[i].iov_len ? (size_t)sent : parts[i].iov_len;
			parts[i].iov_base = (char *)parts[i].iov_base + part;
			parts[i].iov_len -= part;
			sent -= (ssize_t)part;
		}
	}
	return 0;
}

static int over_send(struct grpc_call *c, const void *data, size_t n, struct err *e)
{
	return send_frame((struct over *)c, FRAME_MESSAGE, data, n, e);
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
		if (n <= 0) {
			(void)lost(e);
			return receiving_failed(o, GRPC_UNAVAILABLE, e);
		}
	}
}

static int over_send_end(struct grpc_call *c, struct err *e)
{
	struct over *o = (struct over *)c;
	return shutdown(o->fd, SHUT_WR) < 0 ? lost(e) : 0;
}

/* Another thread may be inside read: shutdown wakes it, close would not. */
static void over_cancel(struct grpc_call *c)
{
	shutdown(((struct over *)c)->fd, SHUT_RDWR);
}

static void over_finish(struct grpc_call *c)
{
	struct err ignored;
	const struct call_status *s = &c->status;
	scoped(json) json_t *doc =
		json_pack("{si ss}", "code", (int)s->code, "message", s->message ? s->message : "");
	scoped(free) char *text = json_text(doc);
	send_frame((struct over *)c, FRAME_STATUS, text, text ? strlen(text) : 0, &ignored);
	shutdown(((struct over *)c)->fd, SHUT_WR);
}

static void over_free(struct grpc_call *c)
{
	struct over *o = (struct over *)c;
	close(o->fd);
	free(o->chunk);
	call_deinit(c);
	free(o);
}

static struct over *over_new(int take_fd)
{
	static const struct call_ops ops = {.send = over_send,
		.recv = over_recv,
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
