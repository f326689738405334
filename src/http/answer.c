#include "http/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/mem.h"

/* --- what the handler says --- */

void http_set_owner(struct http_request *r, void *owner, void (*closed)(void *owner, bool left))
{
	r->owner = owner;
	r->closed = closed;
}

const char *http_method(const struct http_request *r)
{
	return r->head.method;
}

const char *http_path(const struct http_request *r)
{
	return r->head.path;
}

const char *http_query_nth(const struct http_request *r, const char *name, size_t i)
{
	for (size_t k = 0; k + 1 < r->query.n; k += 2) {
		if (strcmp(r->query.v[k], name) == 0 && i-- == 0) {
			return r->query.v[k + 1];
		}
	}
	return NULL;
}

const char *http_query(const struct http_request *r, const char *name)
{
	return http_query_nth(r, name, 0);
}

const char *http_query_text(const struct http_request *r)
{
	return r->head.query;
}

const char *http_header(const struct http_request *r, const char *name)
{
	return http1_header(&r->head, name);
}

bool http_wants_upgrade(const struct http_request *r)
{
	return r->head.upgrade;
}

pid_t http_peer_pid(const struct http_request *r)
{
	uv_os_fd_t fd;
	struct ucred who;
	socklen_t n = sizeof(who);
	if (uv_fileno((uv_handle_t *)&r->conn->pipe, &fd) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0) {
		return 0;
	}
	return who.pid;
}

void http_set_header(struct http_request *r, const char *name, const char *value)
{
	if (!strpbrk(value, "\r\n")) {
		buf_printf(&r->extra, "%s: %s\r\n", name, value);
	}
}

static void begin_head(
	struct http_request *r, struct buf *out, int status, const char *content_type)
{
	r->no_body = r->no_body || status == 204 || status == 304;
	buf_printf(out, "HTTP/1.1 %d %s\r\n", status, http1_reason(status));
	buf_puts(out, "Server: Wherry/" WHERRY_VERSION " (linux)\r\n");
	buf_append(out, buf_str(&r->extra), r->extra.len);
	if (content_type) {
		buf_printf(out, "Content-Type: %s\r\n", content_type);
	}
}

static void end_answer(struct http_request *r)
{
	r->answer = ANSWER_ENDED;
	if (!r->conn->closing && conn_queued(r->conn) == 0) {
		conn_schedule_finish(r->conn);
	}
}

void http_reply(
	struct http_request *r, int status, const char *content_type, const void *data, size_t n)
{
	scoped(buf) struct buf out = BUF_INIT;
	begin_head(r, &out, status, content_type);
	if (status != 204 && status != 304) {
		buf_printf(&out, "Content-Length: %zu\r\n", n);
	}
	if (!r->head.keep_alive) {
		buf_puts(&out, "Connection: close\r\n");
	}
	buf_puts(&out, "\r\n");
	if (!r->no_body) {
		buf_append(&out, data, n);
	}
	conn_write(r->conn, out.data, out.len);
	end_answer(r);
}

void http_reply_empty(struct http_request *r, int status)
{
	http_reply(r, status, NULL, "", 0);
}

void http_reply_json(struct http_request *r, int status, json_t *take_doc)
{
	scoped(json) json_t *doc = take_doc;
	scoped(free) char *text = json_text(doc);
	scoped(free) char *line = xasprintf("%s\n", text);
	http_reply(r, status, "application/json", line, strlen(line));
}

void http_reply_error(struct http_request *r, const struct err *e)
{
	static const int status[] = {
		[ERR_SYSTEM] = 500,
		[ERR_INVALID] = 400,
		[ERR_DENIED] = 403,
		[ERR_NOT_FOUND] = 404,
		[ERR_CONFLICT] = 409,
		[ERR_UNCHANGED] = 304,
		[ERR_BUSY] = 503,
		[ERR_NOT_IMPLEMENTED] = 501,
		[ERR_UNAUTHORIZED] = 401,
	};
	json_t *doc = json_object();
	json_put_str(doc, "message", e->msg);
	http_reply_json(r, status[e->kind], doc);
}

void http_stream_begin(struct http_request *r, int status, const char *content_type)
{
	scoped(buf) struct buf out = BUF_INIT;
	begin_head(r, &out, status, content_type);
	r->answer = ANSWER_OPEN;
	r->chunked_answer = r->head.minor > 0 && !r->no_body;
	if (r->chunked_answer) {
		buf_puts(&out, "Transfer-Encoding: chunked\r\n\r\n");
	} else {
		r->head.keep_alive = false;
		buf_puts(&out, "Connection: close\r\n\r\n");
	}
	conn_write(r->conn, out.data, out.len);
}

bool http_stream_write(struct http_request *r, const void *data, size_t n)
{
	struct conn *c = r->conn;
	if (n == 0 || r->answer != ANSWER_OPEN || r->no_body || c->closing) {
		return true;
	}
	if (r->chunked_answer) {
		char head[24];
		int head_n = snprintf(head, sizeof(head), "%zx\r\n", n);
		const uv_buf_t parts[] = {uv_buf_init(head, (unsigned)head_n),
			uv_buf_init((char *)data, (unsigned)n), uv_buf_init((char *)"\r\n", 2)};
		conn_write_parts(c, parts, 3);
	} else {
		conn_write(c, data, n);
	}
	r->wants_drain = conn_queued(c) > HTTP_HIGH_WATER;
	return !r->wants_drain;
}

void http_stream_on_drain(struct http_request *r, void (*drained)(void *owner), void *owner)
{
	r->drained = drained;
	r->drain_owner = owner;
}

void http_stream_end(struct http_request *r)
{
	if (r->answer != ANSWER_OPEN) {
		return;
	}
	if (r->chunked_answer) {
		conn_write(r->conn, "0\r\n\r\n", 5);
	}
	end_answer(r);
}

void http_stream_abort(struct http_request *r)
{
	conn_close(r->conn);
}

/* --- hijack --- */

static void release_hold(struct conn *c)
{
	uv_timer_stop(&c->hold_timer);
	c->held = false;
	struct buf held = c->hold;
	c->hold = (struct buf)BUF_INIT;
	conn_write(c, held.data, held.len);
	buf_deinit(&held);
	conn_after_write(c);
}

/* docker-py reads the 101 head through a buffered reader and loses what came with it: wait until
 * the head is taken. */
static void poll_hold(uv_timer_t *t)
{
	struct conn *c = t->data;
	uv_os_fd_t fd;
	int unread = 0;
	bool known =
		uv_fileno((uv_handle_t *)&c->pipe, &fd) == 0 && ioctl(fd, SIOCOUTQ, &unread) == 0;
	if (!known || unread == 0 || uv_now(c->server->loop) >= c->hold_until) {
		release_hold(c);
	}
}

static void take_over(struct http_request *r, const struct buf *head, bool switched,
	http_chunk_fn *input, void *owner)
{
	struct conn *c = r->conn;
	conn_write(c, head->data, head->len);
	r->answer = ANSWER_OPEN;
	r->chunked_answer = false;
	r->no_body = false;
	r->hijacked = true;
	r->piece_fn = input;
	r->body_owner = owner;
	if (!r->body_done) {
		r->use = BODY_DROPPED;
	}
	if (switched && !c->closing) {
		c->held = true;
		c->hold_until = uv_now(c->server->loop) + HOLD_MAX_MS;
		uv_timer_start(&c->hold_timer, poll_hold, 0, HOLD_POLL_MS);
	}
	conn_schedule_process(c);
}

void http_hijack(
	struct http_request *r, const char *content_type, http_chunk_fn *input, void *owner)
{
	scoped(buf) struct buf head = BUF_INIT;
	bool upgrade = r->head.upgrade;
	if (upgrade) {
		buf_printf(&head,
			"HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
			content_type);
	} else {
		buf_puts(&head,
			"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n");
	}
	take_over(r, &head, upgrade, input, owner);
}

int http_detach(struct http_request *r, struct buf *ret_early, struct err *e)
{
	struct conn *c = r->conn;
	uv_os_fd_t fd;
	if (!r->body_done || r->answer != ANSWER_NONE || conn_queued(c) > 0) {
		return err_set(
			e, ERR_INVALID, "a request that upgrades its connection has no body");
	}
	int own = uv_fileno((uv_handle_t *)&c->pipe, &fd) == 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
	if (own < 0) {
		return err_sys(e, errno, "cannot take over the connection");
	}
	buf_append(ret_early, buf_str(&c->in), c->in.len);
	r->answer = ANSWER_ENDED; /* the client has not left */
	conn_close(c);
	return own;
}

void http_hijack_websocket(
	struct http_request *r, const char *accept, http_chunk_fn *input, void *owner)
{
	scoped(buf) struct buf head = BUF_INIT;
	buf_printf(&head,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		accept);
	take_over(r, &head, true, input, owner);
}
