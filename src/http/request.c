#include "http/conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

/* --- requests --- */

/* "a=1&b=%20" into name, value pairs. */
static int parse_query(struct strv *query, const char *text, struct err *e)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, text, '&');
	if (parts.n > QUERY_MAX) {
		return err_set(e, ERR_INVALID, "more than %d query parameters", QUERY_MAX);
	}
	for (size_t i = 0; i < parts.n; i++) {
		const char *p = parts.v[i];
		size_t name_n = strcspn(p, "=");
		const char *value = p[name_n] ? p + name_n + 1 : "";
		struct buf name_text = BUF_INIT;
		struct buf value_text = BUF_INIT;
		bool bad = percent_decode(p, name_n, true, &name_text) < 0 ||
			   percent_decode(value, strlen(value), true, &value_text) < 0;
		strv_take(query, buf_take_str(&name_text));
		strv_take(query, buf_take_str(&value_text));
		if (bad) {
			return err_set(e, ERR_INVALID, "invalid percent escape in the query");
		}
	}
	return 0;
}

static void refuse(struct conn *c, int status, const struct err *e)
{
	scoped(json) json_t *doc = json_pack("{ss}", "message", e->msg);
	scoped(free) char *text = json_text(doc);
	scoped(buf) struct buf out = BUF_INIT;
	buf_printf(&out,
		"HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s\n",
		status, http1_reason(status), strlen(text) + 1, text);
	c->close_after = true;
	conn_write(c, out.data, out.len);
	conn_set_reading(c, false);
	conn_after_write(c);
}

/* Parses the next head and hands the request to the handler. False when there is none yet. */
static bool next_request(struct conn *c)
{
	struct err e;
	size_t blank =
		strspn(buf_str(&c->in), "\r\n"); /* RFC 9112 2.2: empty lines before a request */
	buf_consume(&c->in, blank);
	ssize_t n = http1_head_length(buf_str(&c->in), c->in.len);
	if (n == 0) {
		return false;
	}
	if (n < 0) {
		err_set(&e, ERR_INVALID, "the HTTP request head is longer than %u bytes",
			HTTP1_HEAD_MAX);
		refuse(c, 431, &e);
		return false;
	}
	struct http_request *r = xnew(struct http_request);
	r->conn = c;
	if (http1_parse_request(&r->head, buf_str(&c->in), (size_t)n, &e) < 0 ||
		parse_query(&r->query, r->head.query, &e) < 0) {
		http1_head_deinit(&r->head);
		strv_deinit(&r->query);
		free(r);
		refuse(c, 400, &e);
		return false;
	}
	buf_consume(&c->in, (size_t)n);
	r->body_left = r->head.length;
	r->body_done = !http_has_body(r);
	r->no_body = strcmp(r->head.method, "HEAD") == 0;
	c->r = r;
	c->server->fn(c->server->owner, r);
	return true;
}

/* Reading goes on while somebody takes the bytes, and, to notice a client that leaves, while in has
 * room. */
static void conn_update_reading(struct conn *c)
{
	if (c->closing) {
		return;
	}
	conn_set_reading(c, c->in.len < IN_MAX && !(c->r && c->r->body_paused && c->in.len > 0) &&
				    !(!c->r && c->close_after));
}

void conn_process(struct conn *c)
{
	if (c->busy || c->closing) {
		return;
	}
	if (c->lingering) {
		buf_clear(&c->in);
		return;
	}
	c->busy = true;
	for (bool more = true; more && !c->closing;) {
		more = false;
		if (!c->r) {
			more = !c->close_after && next_request(c);
		} else if (c->r->hijacked && c->r->body_done) {
			body_take_input(c, c->r);
		} else if (!c->r->body_done) {
			struct http_request *r = c->r;
			body_take(c, r);
			more = !c->closing && c->r == r && r->body_done && r->hijacked;
		}
	}
	c->busy = false;
	if (!c->closing && c->r && c->r->body_done && c->r->answer == ANSWER_ENDED &&
		conn_queued(c) == 0) {
		conn_schedule_finish(c); /* it waited for the rest of a dropped body */
	}
	conn_update_reading(c);
}

/* A request whose answer is out but whose body still comes: drop it. True when it has all been
 * taken. */
static bool drop_body(struct conn *c, struct http_request *r)
{
	r->use = BODY_DROPPED;
	r->body_paused = false;
	conn_process(c);
	return !c->closing && r->body_done;
}

/* Both ends are done with a hijacked connection when the client closes too: closing first would
 * look like a reset to a client that has just sent something. */
static void linger(struct conn *c)
{
	uv_os_fd_t fd;
	request_free(c->r, false);
	c->lingering = true;
	buf_clear(&c->in);
	if (c->peer_ended || uv_fileno((uv_handle_t *)&c->pipe, &fd) < 0 ||
		shutdown(fd, SHUT_WR) < 0) {
		conn_close(c);
		return;
	}
	conn_set_reading(c, true);
}

/* The answer is out: call closed() and go on with the next request, or close. */
static void conn_finish(struct conn *c)
{
	struct http_request *r = c->r;
	if (!r) {
		if (c->close_after && conn_queued(c) == 0) {
			conn_close(c);
		}
		return;
	}
	if (r->answer != ANSWER_ENDED || conn_queued(c) > 0) {
		return; /* after_write comes back */
	}
	if (r->hijacked) {
		linger(c);
		return;
	}
	bool last = c->close_after || !r->head.keep_alive || c->peer_ended;
	last = last ||
	       (!r->body_done && r->head.expect_continue); /* it was never told to send the body */
	if (last) {
		conn_close(c);
	} else if (r->body_done || drop_body(c, r)) {
		request_free(r, false);
		conn_process(c);
	}
}

static struct conn *find_due(const struct http_server *s)
{
	list_each (pos, &s->conns) {
		struct conn *c = container_of(pos, struct conn, node);
		if (c->finish_due || c->process_due) {
			return c;
		}
	}
	return NULL;
}

void conn_run_due(uv_idle_t *idle)
{
	struct http_server *s = idle->data;
	uv_idle_stop(idle);
	/* what runs here may close any connection of the server: look from the start after each */
	for (struct conn *c; (c = find_due(s));) {
		if (c->process_due) {
			c->process_due = false;
			conn_process(c);
		} else {
			c->finish_due = false;
			conn_finish(c);
		}
	}
}
