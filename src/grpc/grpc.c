#include "grpc/grpc.h"

#include <string.h>

#include "base/mem.h"
#include "grpc/call.h"

/* --- status --- */

static const struct {
	enum grpc_code code;
	enum err_kind kind;
} kinds[] = {
	/* the first of a kind is what grpc_code_of gives */
	{GRPC_UNKNOWN, ERR_SYSTEM},
	{GRPC_INTERNAL, ERR_SYSTEM},
	{GRPC_DATA_LOSS, ERR_SYSTEM},
	{GRPC_INVALID_ARGUMENT, ERR_INVALID},
	{GRPC_OUT_OF_RANGE, ERR_INVALID},
	{GRPC_FAILED_PRECONDITION, ERR_INVALID},
	{GRPC_PERMISSION_DENIED, ERR_DENIED},
	{GRPC_NOT_FOUND, ERR_NOT_FOUND},
	{GRPC_ALREADY_EXISTS, ERR_CONFLICT},
	{GRPC_ABORTED, ERR_CONFLICT},
	{GRPC_UNAVAILABLE, ERR_BUSY},
	{GRPC_CANCELLED, ERR_BUSY},
	{GRPC_DEADLINE_EXCEEDED, ERR_BUSY},
	{GRPC_RESOURCE_EXHAUSTED, ERR_BUSY},
	{GRPC_UNIMPLEMENTED, ERR_NOT_IMPLEMENTED},
	{GRPC_UNAUTHENTICATED, ERR_UNAUTHORIZED},
};
#define N_KINDS (sizeof(kinds) / sizeof(*kinds))

enum err_kind grpc_kind(enum grpc_code code)
{
	for (size_t i = 0; i < N_KINDS; i++) {
		if (kinds[i].code == code) {
			return kinds[i].kind;
		}
	}
	return ERR_SYSTEM;
}

enum grpc_code grpc_code_of(enum err_kind kind)
{
	for (size_t i = 0; i < N_KINDS; i++) {
		if (kinds[i].kind == kind) {
			return kinds[i].code;
		}
	}
	return GRPC_UNKNOWN;
}

void call_set_status(struct grpc_call *c, enum grpc_code code, const char *message)
{
	if (!c->status.known) {
		c->status.known = true;
		c->status.code = code;
		c->status.message = xstrdup(message);
	}
}

int call_result(const struct grpc_call *c, struct err *e)
{
	if (c->status.code == GRPC_OK) {
		return 0;
	}
	const char *message = c->status.message ? c->status.message : "";
	return err_set(e, grpc_kind(c->status.code), "%s",
		*message ? message : "the call failed without a reason");
}

/* --- life --- */

void call_init(struct grpc_call *c, const struct call_ops *ops, struct h2 *conn, const char *path)
{
	c->ops = ops;
	c->conn = conn;
	c->path = xstrdup(path);
}

void call_deinit(struct grpc_call *c)
{
	free(c->path);
	strv_deinit(&c->metadata);
	free(c->status.message);
	buf_deinit(&c->status.details);
}

void grpc_call_free(struct grpc_call *c)
{
	if (c) {
		c->ops->free(c);
	}
}

/* --- both sides --- */

static int send_message(struct grpc_call *c, const void *data, size_t n, bool more, struct err *e)
{
	uint8_t head[FRAME_HEAD];
	if (n > GRPC_MESSAGE_MAX) {
		return err_set(e, ERR_INVALID, "a message of %zu bytes is longer than %u", n,
			GRPC_MESSAGE_MAX);
	}
	frame_head(FRAME_MESSAGE, n, head);
	struct iovec parts[] = {{head, FRAME_HEAD}, {(void *)data, n}};
	return c->ops->send(c, parts, 2, more, e);
}

int grpc_send(struct grpc_call *c, const void *data, size_t n, struct err *e)
{
	return send_message(c, data, n, false, e);
}

int grpc_send_more(struct grpc_call *c, const void *data, size_t n, struct err *e)
{
	return send_message(c, data, n, true, e);
}

int grpc_send_frames(struct grpc_call *c, const struct buf *frames, struct err *e)
{
	struct iovec part = {frames->data, frames->len};
	return c->ops->send(c, &part, 1, false, e);
}

int grpc_recv(struct grpc_call *c, struct buf *ret, struct err *e)
{
	return c->ops->recv(c, ret, e);
}

int grpc_recv_frames(struct grpc_call *c, size_t enough, struct buf *ret, struct err *e)
{
	uint8_t head[FRAME_HEAD];
	scoped(buf) struct buf first = BUF_INIT;
	int r = c->ops->recv(c, &first, e);
	if (r > 0) {
		buf_clear(ret);
		frame_head(FRAME_MESSAGE, first.len, head);
		buf_append(ret, head, FRAME_HEAD);
		buf_append(ret, first.data, first.len);
		c->ops->recv_ready(c, enough, ret);
	}
	return r;
}

int grpc_send_end(struct grpc_call *c, struct err *e)
{
	return c->ops->send_end(c, e);
}

void grpc_cancel(struct grpc_call *c)
{
	c->ops->cancel(c);
}

const char *grpc_metadata(struct grpc_call *c, const char *name, size_t i)
{
	const struct strv *m = &c->metadata;
	for (size_t k = 0; k + 1 < m->n; k += 2) {
		if (strcmp(m->v[k], name) == 0 && i-- == 0) {
			return m->v[k + 1];
		}
	}
	return NULL;
}

const struct strv *grpc_metadata_all(struct grpc_call *c)
{
	return &c->metadata;
}

const char *grpc_path(const struct grpc_call *c)
{
	return c->path;
}

struct h2 *grpc_conn(const struct grpc_call *c)
{
	return c->conn;
}

/* --- client --- */

enum grpc_code grpc_status(
	struct grpc_call *c, const char **ret_message, const struct buf **ret_details)
{
	const struct call_status *s = &c->status;
	if (ret_message) {
		*ret_message = s->message ? s->message : "";
	}
	if (ret_details) {
		*ret_details = s->has_details ? &s->details : NULL;
	}
	return s->known ? s->code : GRPC_UNKNOWN;
}

int grpc_exchange(struct grpc_call *c, const struct buf *request, struct buf *ret, struct err *e)
{
	struct err why;
	bool sent =
		grpc_send(c, request->data, request->len, &why) == 0 && grpc_send_end(c, &why) == 0;
	int r = grpc_recv(c, ret, e); /* also when nothing could be sent: it has the reason */
	if (r == 0) {
		return sent ? err_set(e, ERR_SYSTEM, "the call was not answered") : (*e = why, -1);
	}
	scoped(buf) struct buf more = BUF_INIT;
	return r < 0 || grpc_recv(c, &more, e) < 0 ? -1 : 0;
}

int grpc_unary(struct h2 *conn, const char *method, const struct strv *metadata,
	const struct buf *request, struct buf *ret, struct err *e)
{
	scoped(grpc_call_free) struct grpc_call *c = grpc_call_new(conn, method, metadata, e);
	return c ? grpc_exchange(c, request, ret, e) : -1;
}

/* --- server --- */

void grpc_finish_details(struct grpc_call *c, enum grpc_code code, const char *message,
	const void *details, size_t n)
{
	if (c->status.known || !c->ops->finish) {
		return;
	}
	call_set_status(c, code, message);
	if (details) {
		c->status.has_details = true;
		buf_append(&c->status.details, details, n);
	}
	c->ops->finish(c);
}

void grpc_finish(struct grpc_call *c, enum grpc_code code, const char *message)
{
	grpc_finish_details(c, code, message, NULL, 0);
}

void grpc_finish_err(struct grpc_call *c, const struct err *e)
{
	grpc_finish(c, grpc_code_of(e->kind), e->msg);
}

void grpc_watch(struct grpc_call *c, void (*gone)(void *arg), void *arg)
{
	if (c->ops->watch) {
		c->ops->watch(c, gone, arg);
	}
}

void grpc_unwatch(struct grpc_call *c)
{
	grpc_watch(c, NULL, NULL);
}
