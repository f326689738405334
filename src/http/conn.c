#include "http/conn.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* --- freeing --- */

void request_free(struct http_request *r, bool left)
{
	struct conn *c = r->conn;
	c->r = NULL;
	if (r->closed) {
		r->closed(r->owner, left);
	}
	http1_head_deinit(&r->head);
	strv_deinit(&r->query);
	buf_deinit(&r->extra);
	buf_deinit(&r->whole);
	free(r);
}

static void handle_closed(uv_handle_t *h)
{
	struct conn *c = h->data;
	if (--c->open_handles > 0) {
		return;
	}
	buf_deinit(&c->in);
	buf_deinit(&c->hold);
	buf_deinit(&c->pending);
	free(c);
}

void conn_close(struct conn *c)
{
	if (c->closing) {
		return;
	}
	c->closing = true;
	list_remove(&c->node);
	if (c->r) {
		request_free(c->r, c->r->answer != ANSWER_ENDED);
	}
	uv_close((uv_handle_t *)&c->pipe, handle_closed);
	uv_close((uv_handle_t *)&c->hold_timer, handle_closed);
}

/* --- writing --- */

struct out {
	uv_write_t req;
	struct conn *conn;
	struct buf data;
};

size_t conn_queued(const struct conn *c)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe) + c->pending.len +
	       c->hold.len;
}

/* Ends the request from the loop, not from inside the handler's own call (invariant 2). */
void conn_schedule_finish(struct conn *c)
{
	c->finish_due = true;
	uv_idle_start(c->server->idle, conn_run_due);
}

/* Looks at what has been read again, from the loop. */
void conn_schedule_process(struct conn *c)
{
	c->process_due = true;
	uv_idle_start(c->server->idle, conn_run_due);
}

/* After bytes have left: wake a writer that was told to wait, or finish. */
void conn_after_write(struct conn *c)
{
	struct http_request *r = c->r;
	if (c->closing) {
		return;
	}
	if (r && r->wants_drain && conn_queued(c) < HTTP_HIGH_WATER / 4) {
		r->wants_drain = false;
		if (r->drained) {
			r->drained(r->drain_owner);
		}
		return;
	}
	if (conn_queued(c) == 0 && ((r && r->answer == ANSWER_ENDED) || (!r && c->close_after))) {
		conn_schedule_finish(c);
	}
}

static void send_pending(struct conn *c);

static void written(uv_write_t *req, int status)
{
	struct out *o = (struct out *)req;
	struct conn *c = o->conn;
	buf_deinit(&o->data);
	free(o);
	c->writing = false;
	if (c->closing) {
		return; /* the server may be gone */
	}
	c->moved_ms = uv_now(c->server->loop);
	if (status < 0) {
		conn_close(c);
		return;
	}
	if (c->pending.len > 0) {
		send_pending(c);
	}
	conn_after_write(c);
}

static void send_pending(struct conn *c)
{
	struct out *o = xnew(struct out);
	o->conn = c;
	o->data = c->pending;
	c->pending = (struct buf)BUF_INIT;
	uv_buf_t b = uv_buf_init(o->data.data, (unsigned)o->data.len);
	if (uv_write(&o->req, (uv_stream_t *)&c->pipe, &b, 1, written) < 0) {
		buf_deinit(&o->data);
		free(o);
		conn_schedule_finish(c);
		c->close_after = true;
		return;
	}
	c->writing = true;
}

/* One write is on its way at a time, and what comes meanwhile collects: log lines are a few bytes
 * each, and a write of its own for each would cost thirty times that. */
void conn_write_parts(struct conn *c, const uv_buf_t *parts, size_t n)
{
	if (c->closing) {
		return;
	}
	int sent = c->held || c->writing
			   ? UV_EAGAIN
			   : uv_try_write((uv_stream_t *)&c->pipe, parts, (unsigned)n);
	size_t done = sent > 0 ? (size_t)sent : 0;
	c->moved_ms = done > 0 ? uv_now(c->server->loop) : c->moved_ms;
	struct buf *rest = c->held ? &c->hold : &c->pending;
	for (size_t i = 0; i < n; i++) {
		size_t skip = done < parts[i].len ? done : parts[i].len;
		done -= skip;
		if (skip < parts[i].len) {
			buf_append(rest, parts[i].base + skip, parts[i].len - skip);
		}
	}
	if (!c->held && !c->writing && c->pending.len > 0) {
		send_pending(c);
	}
}

void conn_write(struct conn *c, const void *data, size_t n)
{
	const uv_buf_t whole = uv_buf_init((char *)data, (unsigned)n);
	if (n > 0) {
		conn_write_parts(c, &whole, 1);
	}
}

/* --- reading --- */

static void allocate(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
	struct conn *c = h->data;
	*b = uv_buf_init(c->server->read_buffer, READ_CHUNK);
}

/* True when the client closed both directions; false after a mere shutdown of its sending side. */
static bool hung_up(struct conn *c)
{
	uv_os_fd_t fd;
	if (uv_fileno((uv_handle_t *)&c->pipe, &fd) < 0) {
		return true;
	}
	struct pollfd p = {.fd = fd};
	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}

void conn_set_reading(struct conn *c, bool on);

static void conn_read_end(struct conn *c)
{
	c->peer_ended = true;
	conn_set_reading(c, false);
	if (!c->r || hung_up(c)) {
		conn_close(c);
		return;
	}
	conn_process(c);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct conn *c = s->data;
	if (n == 0) {
		return;
	}
	if (n < 0) {
		if (n == UV_EOF) {
			conn_read_end(c);
		} else {
			conn_close(c);
		}
		return;
	}
	c->moved_ms = uv_now(c->server->loop);
	buf_append(&c->in, b->base, (size_t)n);
	conn_process(c);
}

void conn_set_reading(struct conn *c, bool on)
{
	if (c->closing || on == c->reading || (on && c->peer_ended)) {
		return;
	}
	c->reading = on;
	if (on) {
		uv_read_start((uv_stream_t *)&c->pipe, allocate, on_read);
	} else {
		uv_read_stop((uv_stream_t *)&c->pipe);
	}
}
