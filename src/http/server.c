/* Invariants
 * 1. A connection has at most one request; the next head is parsed only after the previous request is freed.
 * 2. A request is freed in finish(), from the server's idle handle, or when the connection closes, never inside a
 *    callback that the handler started; closed() is called there, once.
 * 3. in holds at most IN_MAX bytes: when nobody takes them, reading stops.
 * 4. While held (hijack), output collects in hold and nothing is written after the 101 head.
 */
#include "http/server.h"

#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "codec/http1.h"

#define IN_MAX (128u << 10)
#define READ_CHUNK (64u << 10)
#define QUERY_MAX 128
#define HOLD_POLL_MS 2
#define HOLD_MAX_MS 200

enum body_use { BODY_UNCLAIMED, BODY_WHOLE, BODY_PIECES, BODY_DROPPED };
enum answer { ANSWER_NONE, ANSWER_OPEN, ANSWER_ENDED };

struct http_request {
	struct conn *conn;
	struct http1_head head;
	struct strv query; /* name, value, name, value ... decoded */
	struct buf extra;  /* header lines of the answer */
	void *owner;
	void (*closed)(void *owner, bool left);

	enum body_use use;
	bool body_done;      /* all of it was taken from in */
	bool body_paused;
	uint64_t body_left;
	struct http1_chunked chunked;
	struct buf whole;
	size_t whole_limit;
	http_body_fn *whole_fn;
	http_chunk_fn *piece_fn;
	void *body_owner;

	enum answer answer;
	bool chunked_answer;
	bool no_body; /* HEAD, 204, 304 */
	void (*drained)(void *owner);
	void *drain_owner;
	bool wants_drain;
	bool hijacked;
	bool input_ended;
};

struct conn {
	struct list node;
	struct http_server *server;
	uv_pipe_t pipe;
	uv_timer_t hold_timer;
	struct http_request *r; /* NULL between requests */
	struct buf in;
	struct buf hold;
	uint64_t hold_until;
	bool held;
	bool reading;
	bool peer_ended;  /* it sends nothing more */
	bool busy;        /* inside process(): do not nest */
	bool close_after; /* once the queue is written */
	bool finish_due;
	bool process_due;
	bool lingering; /* a hijacked connection whose answer has ended: read and drop until the client closes */
	bool closing;
	int open_handles;
};

struct listener {
	struct list node;
	uv_pipe_t pipe;
	struct http_server *server;
	char *path;
};

struct http_server {
	uv_loop_t *loop;
	http_handler_fn *fn;
	void *owner;
	struct list conns;
	struct list listeners;
	uv_idle_t *idle; /* finishes requests whose answer is complete; own memory: closed after us */
	char *read_buffer;
};

static void process(struct conn *c);
static void conn_close(struct conn *c);

/* --- freeing --- */

static void request_free(struct http_request *r, bool left)
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
	free(c);
}

static void conn_close(struct conn *c)
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

static void idle_closed(uv_handle_t *h)
{
	free(h);
}

/* --- writing --- */

struct out {
	uv_write_t req;
	struct conn *conn;
	char data[];
};

static size_t queued(const struct conn *c)
{
	return uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe) + c->hold.len;
}

static void run_due(uv_idle_t *idle);

/* Ends the request from the loop, not from inside the handler's own call (invariant 2). */
static void schedule_finish(struct conn *c)
{
	c->finish_due = true;
	uv_idle_start(c->server->idle, run_due);
}

/* Looks at what has been read again, from the loop. */
static void schedule_process(struct conn *c)
{
	c->process_due = true;
	uv_idle_start(c->server->idle, run_due);
}

/* After bytes have left: wake a writer that was told to wait, or finish. */
static void after_write(struct conn *c)
{
	struct http_request *r = c->r;
	if (c->closing) {
		return;
	}
	if (r && r->wants_drain && queued(c) < HTTP_HIGH_WATER / 4) {
		r->wants_drain = false;
		if (r->drained) {
			r->drained(r->drain_owner);
		}
		return;
	}
	if (queued(c) == 0 && ((r && r->answer == ANSWER_ENDED) || (!r && c->close_after))) {
		schedule_finish(c);
	}
}

static void written(uv_write_t *req, int status)
{
	struct out *o = (struct out *)req;
	struct conn *c = o->conn;
	free(o);
	if (status < 0) {
		conn_close(c);
		return;
	}
	after_write(c);
}

static void conn_write(struct conn *c, const void *data, size_t n)
{
	if (c->closing || n == 0) {
		return;
	}
	if (c->held) {
		buf_append(&c->hold, data, n);
		return;
	}
	uv_buf_t b = uv_buf_init((char *)data, (unsigned)n);
	int sent = queued(c) == 0 ? uv_try_write((uv_stream_t *)&c->pipe, &b, 1) : UV_EAGAIN;
	if (sent == (int)n) {
		return;
	}
	size_t done = sent > 0 ? (size_t)sent : 0;
	struct out *o = malloc(sizeof(*o) + n - done);
	if (!o) {
		conn_close(c);
		return;
	}
	o->conn = c;
	memcpy(o->data, (const char *)data + done, n - done);
	b = uv_buf_init(o->data, (unsigned)(n - done));
	if (uv_write(&o->req, (uv_stream_t *)&c->pipe, &b, 1, written) < 0) {
		free(o);
		schedule_finish(c);
		c->close_after = true;
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

static void set_reading(struct conn *c, bool on);

static void read_end(struct conn *c)
{
	c->peer_ended = true;
	set_reading(c, false);
	if (!c->r || hung_up(c)) {
		conn_close(c);
		return;
	}
	process(c);
}

static void on_read(uv_stream_t *s, ssize_t n, const uv_buf_t *b)
{
	struct conn *c = s->data;
	if (n == 0) {
		return;
	}
	if (n < 0) {
		if (n == UV_EOF) {
			read_end(c);
		} else {
			conn_close(c);
		}
		return;
	}
	buf_append(&c->in, b->base, (size_t)n);
	process(c);
}

static void set_reading(struct conn *c, bool on)
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

/* --- the body --- */

static void fail_body(struct http_request *r, const char *what)
{
	struct err e;
	struct conn *c = r->conn;
	if (r->use == BODY_WHOLE && r->whole_fn) {
		http_body_fn *fn = r->whole_fn;
		r->whole_fn = NULL;
		r->use = BODY_DROPPED;
		c->close_after = true;
		err_set(&e, ERR_INVALID, "%s", what);
		fn(r->body_owner, r, NULL, 0, &e);
		return;
	}
	conn_close(c);
}

static void give(struct http_request *r, const char *data, size_t n)
{
	if (n == 0) {
		return;
	}
	if (r->use == BODY_WHOLE && r->whole_fn) {
		if (buf_append_limited(&r->whole, data, n, r->whole_limit) < 0) {
			fail_body(r, "the request body is too large");
		}
	} else if (r->use == BODY_PIECES) {
		r->piece_fn(r->body_owner, r, data, n);
	}
}

static void give_end(struct http_request *r)
{
	r->body_done = true;
	if (r->use == BODY_WHOLE && r->whole_fn) {
		http_body_fn *fn = r->whole_fn;
		r->whole_fn = NULL;
		fn(r->body_owner, r, buf_str(&r->whole), r->whole.len, NULL);
	} else if (r->use == BODY_PIECES && !r->hijacked) {
		r->piece_fn(r->body_owner, r, NULL, 0);
	}
}

/* Takes one piece of the body off in. False when nothing more can be done now. */
static bool take_piece(struct conn *c, struct http_request *r)
{
	const char *data = buf_str(&c->in);
	size_t n = c->in.len;
	ssize_t used;
	const char *piece = data;
	size_t piece_n = 0;
	if (r->head.body == HTTP1_CHUNKED) {
		used = http1_chunked_decode(&r->chunked, data, n, &piece, &piece_n);
		if (used < 0) {
			fail_body(r, "malformed chunked request body");
			return false;
		}
	} else {
		piece_n = n < r->body_left ? n : (size_t)r->body_left;
		r->body_left -= piece_n;
		used = (ssize_t)piece_n;
	}
	/* give() may lead to anything, a closed connection included: the bytes must be ours until it returns */
	scoped(free) char *copy = NULL;
	if (piece_n > 0) {
		copy = xrealloc(NULL, piece_n, 1);
		memcpy(copy, piece, piece_n);
	}
	buf_consume(&c->in, (size_t)used);
	bool ended = r->head.body == HTTP1_CHUNKED ? http1_chunked_done(&r->chunked) : r->body_left == 0;
	give(r, copy, piece_n);
	if (c->closing || c->r != r) {
		return false;
	}
	if (ended) {
		give_end(r);
		return false;
	}
	return used > 0;
}

static void take_body(struct conn *c, struct http_request *r)
{
	while (!c->closing && c->r == r && !r->body_done && !r->body_paused && r->use != BODY_UNCLAIMED) {
		if (c->in.len == 0 || !take_piece(c, r)) {
			break;
		}
	}
	if (!c->closing && c->r == r && !r->body_done && c->peer_ended && c->in.len == 0) {
		fail_body(r, "the request body ended early");
	}
}

/* After a hijack: what the client sends goes to the handler as it is. */
static void take_input(struct conn *c, struct http_request *r)
{
	if (r->body_paused || r->input_ended || r->answer == ANSWER_ENDED) {
		if (r->answer == ANSWER_ENDED) {
			buf_clear(&c->in);
		}
		return;
	}
	if (c->in.len > 0) {
		struct buf in = c->in;
		c->in = (struct buf)BUF_INIT;
		r->piece_fn(r->body_owner, r, in.data, in.len);
		buf_deinit(&in);
	}
	if (!c->closing && c->r == r && c->peer_ended && !r->body_paused && !r->input_ended && c->in.len == 0) {
		r->input_ended = true;
		r->piece_fn(r->body_owner, r, NULL, 0);
	}
}

static void claim_body(struct http_request *r, enum body_use use)
{
	r->use = use;
	if (r->head.expect_continue && !r->body_done && r->answer == ANSWER_NONE && use != BODY_DROPPED) {
		r->head.expect_continue = false;
		conn_write(r->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	}
	if (r->body_done && use != BODY_DROPPED) {
		give_end(r);
		return;
	}
	process(r->conn);
}

void http_body_read(struct http_request *r, size_t limit, http_body_fn *fn, void *owner)
{
	r->whole_limit = limit;
	r->whole_fn = fn;
	r->body_owner = owner;
	claim_body(r, BODY_WHOLE);
}

void http_body_stream(struct http_request *r, http_chunk_fn *fn, void *owner)
{
	r->piece_fn = fn;
	r->body_owner = owner;
	claim_body(r, BODY_PIECES);
}

void http_body_pause(struct http_request *r, bool pause)
{
	r->body_paused = pause;
	if (!pause) {
		process(r->conn);
	}
}

bool http_has_body(const struct http_request *r)
{
	return r->head.body == HTTP1_CHUNKED || (r->head.body == HTTP1_LENGTH && r->head.length > 0);
}

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
	set_reading(c, false);
	after_write(c);
}

/* Parses the next head and hands the request to the handler. False when there is none yet. */
static bool next_request(struct conn *c)
{
	struct err e;
	size_t blank = strspn(buf_str(&c->in), "\r\n"); /* RFC 9112 2.2: empty lines before a request */
	buf_consume(&c->in, blank);
	ssize_t n = http1_head_length(buf_str(&c->in), c->in.len);
	if (n == 0) {
		return false;
	}
	if (n < 0) {
		err_set(&e, ERR_INVALID, "the HTTP request head is longer than %u bytes", HTTP1_HEAD_MAX);
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

/* Reading goes on while somebody takes the bytes, and, to notice a client that leaves, while in has room. */
static void update_reading(struct conn *c)
{
	if (c->closing) {
		return;
	}
	set_reading(c, c->in.len < IN_MAX && !(c->r && c->r->body_paused && c->in.len > 0) && !(!c->r && c->close_after));
}

static void process(struct conn *c)
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
			take_input(c, c->r);
		} else if (!c->r->body_done) {
			struct http_request *r = c->r;
			take_body(c, r);
			more = !c->closing && c->r == r && r->body_done && r->hijacked;
		}
	}
	c->busy = false;
	if (!c->closing && c->r && c->r->body_done && c->r->answer == ANSWER_ENDED && queued(c) == 0) {
		schedule_finish(c); /* it waited for the rest of a dropped body */
	}
	update_reading(c);
}

/* A request whose answer is out but whose body still comes: drop it. True when it has all been taken. */
static bool drop_body(struct conn *c, struct http_request *r)
{
	r->use = BODY_DROPPED;
	r->body_paused = false;
	process(c);
	return !c->closing && r->body_done;
}

/* Both ends are done with a hijacked connection when the client closes too: closing first would look like a reset
 * to a client that has just sent something. */
static void linger(struct conn *c)
{
	uv_os_fd_t fd;
	request_free(c->r, false);
	c->lingering = true;
	buf_clear(&c->in);
	if (c->peer_ended || uv_fileno((uv_handle_t *)&c->pipe, &fd) < 0 || shutdown(fd, SHUT_WR) < 0) {
		conn_close(c);
		return;
	}
	set_reading(c, true);
}

/* The answer is out: call closed() and go on with the next request, or close. */
static void finish(struct conn *c)
{
	struct http_request *r = c->r;
	if (!r) {
		if (c->close_after && queued(c) == 0) {
			conn_close(c);
		}
		return;
	}
	if (r->answer != ANSWER_ENDED || queued(c) > 0) {
		return; /* after_write comes back */
	}
	if (r->hijacked) {
		linger(c);
		return;
	}
	bool last = c->close_after || !r->head.keep_alive || c->peer_ended;
	last = last || (!r->body_done && r->head.expect_continue); /* it was never told to send the body */
	if (last) {
		conn_close(c);
	} else if (r->body_done || drop_body(c, r)) {
		request_free(r, false);
		process(c);
	}
}

static struct conn *find_due(const struct http_server *s)
{
	list_each(pos, &s->conns) {
		struct conn *c = container_of(pos, struct conn, node);
		if (c->finish_due || c->process_due) {
			return c;
		}
	}
	return NULL;
}

static void run_due(uv_idle_t *idle)
{
	struct http_server *s = idle->data;
	uv_idle_stop(idle);
	/* what runs here may close any connection of the server: look from the start after each */
	for (struct conn *c; (c = find_due(s));) {
		if (c->process_due) {
			c->process_due = false;
			process(c);
		} else {
			c->finish_due = false;
			finish(c);
		}
	}
}

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

static void begin_head(struct http_request *r, struct buf *out, int status, const char *content_type)
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
	if (!r->conn->closing && queued(r->conn) == 0) {
		schedule_finish(r->conn);
	}
}

void http_reply(struct http_request *r, int status, const char *content_type, const void *data, size_t n)
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
		scoped(buf) struct buf out = BUF_INIT;
		buf_printf(&out, "%zx\r\n", n);
		buf_append(&out, data, n);
		buf_puts(&out, "\r\n");
		conn_write(c, out.data, out.len);
	} else {
		conn_write(c, data, n);
	}
	r->wants_drain = queued(c) > HTTP_HIGH_WATER;
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

/* --- hijack --- */

static void release_hold(struct conn *c)
{
	uv_timer_stop(&c->hold_timer);
	c->held = false;
	struct buf held = c->hold;
	c->hold = (struct buf)BUF_INIT;
	conn_write(c, held.data, held.len);
	buf_deinit(&held);
	after_write(c);
}

/* docker-py reads the 101 head through a buffered reader and loses what came with it: wait until the head is taken. */
static void poll_hold(uv_timer_t *t)
{
	struct conn *c = t->data;
	uv_os_fd_t fd;
	int unread = 0;
	bool known = uv_fileno((uv_handle_t *)&c->pipe, &fd) == 0 && ioctl(fd, SIOCOUTQ, &unread) == 0;
	if (!known || unread == 0 || uv_now(c->server->loop) >= c->hold_until) {
		release_hold(c);
	}
}

void http_hijack(struct http_request *r, const char *content_type, http_chunk_fn *input, void *owner)
{
	struct conn *c = r->conn;
	scoped(buf) struct buf out = BUF_INIT;
	bool upgrade = r->head.upgrade;
	if (upgrade) {
		buf_printf(&out, "HTTP/1.1 101 UPGRADED\r\nContent-Type: %s\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
			content_type);
	} else {
		buf_printf(&out, "HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n", content_type);
	}
	conn_write(c, out.data, out.len);
	r->answer = ANSWER_OPEN;
	r->chunked_answer = false;
	r->no_body = false;
	r->hijacked = true;
	r->piece_fn = input;
	r->body_owner = owner;
	if (!r->body_done) {
		r->use = BODY_DROPPED;
	}
	if (upgrade && !c->closing) {
		c->held = true;
		c->hold_until = uv_now(c->server->loop) + HOLD_MAX_MS;
		uv_timer_start(&c->hold_timer, poll_hold, 0, HOLD_POLL_MS);
	}
	schedule_process(c);
}

/* --- listening --- */

static void accept_one(uv_stream_t *s, int status)
{
	struct listener *l = s->data;
	if (status < 0) {
		log_warning("http", "accept_failed", "reason", uv_strerror(status), NULL);
		return;
	}
	struct conn *c = xnew(struct conn);
	c->server = l->server;
	c->open_handles = 2;
	uv_pipe_init(l->server->loop, &c->pipe, 0);
	uv_timer_init(l->server->loop, &c->hold_timer);
	c->pipe.data = c;
	c->hold_timer.data = c;
	list_init(&c->node);
	if (uv_accept(s, (uv_stream_t *)&c->pipe) < 0) {
		conn_close(c);
		return;
	}
	list_append(&l->server->conns, &c->node);
	set_reading(c, true);
}

/* A socket file nobody listens on is what a killed daemon leaves. */
static int clear_place(const char *path, const struct sockaddr_un *a, struct err *e)
{
	struct stat st;
	if (lstat(path, &st) < 0) {
		return errno == ENOENT ? 0 : err_sys(e, errno, "cannot look at %s", path);
	}
	if (!S_ISSOCK(st.st_mode)) {
		return err_set(e, ERR_CONFLICT, "cannot listen on %s: something else than a socket is there", path);
	}
	scoped(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && (connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN)) {
		return err_set(e, ERR_CONFLICT, "cannot listen on %s: another server answers there", path);
	}
	return unlink(path) < 0 && errno != ENOENT ? err_sys(e, errno, "cannot remove %s", path) : 0;
}

/* Bound under a temporary name and renamed, so that nobody reaches it before its mode and group are right. */
static int bind_socket(const char *path, mode_t mode, gid_t gid, int *ret_fd, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	scoped(free) char *temp = xasprintf("%s.new", path);
	if (strlen(temp) >= sizeof(a.sun_path)) {
		return err_set(e, ERR_INVALID, "socket path %s is too long", path);
	}
	memcpy(a.sun_path, path, strlen(path) + 1);
	if (clear_place(path, &a, e) < 0) {
		return -1;
	}
	memcpy(a.sun_path, temp, strlen(temp) + 1);
	unlink(temp);
	scoped(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		return err_sys(e, errno, "cannot listen on %s", path);
	}
	if (chmod(temp, mode) < 0 || chown(temp, (uid_t)-1, gid) < 0 || listen(fd, 128) < 0 || rename(temp, path) < 0) {
		err_sys(e, errno, "cannot listen on %s", path);
		unlink(temp);
		return -1;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int http_server_listen_unix(struct http_server *s, const char *path, mode_t mode, gid_t gid, struct err *e)
{
	int fd;
	if (bind_socket(path, mode, gid, &fd, e) < 0) {
		return -1;
	}
	struct listener *l = xnew(struct listener);
	l->server = s;
	l->path = xstrdup(path);
	uv_pipe_init(s->loop, &l->pipe, 0);
	l->pipe.data = l;
	list_append(&s->listeners, &l->node);
	int r = uv_pipe_open(&l->pipe, fd);
	r = r < 0 ? r : uv_listen((uv_stream_t *)&l->pipe, 128, accept_one);
	return r < 0 ? err_sys(e, -r, "cannot listen on %s", path) : 0;
}

struct http_server *http_server_new(uv_loop_t *l, http_handler_fn *fn, void *owner)
{
	struct http_server *s = xnew(struct http_server);
	s->loop = l;
	s->fn = fn;
	s->owner = owner;
	list_init(&s->conns);
	list_init(&s->listeners);
	s->read_buffer = xnew_array(char, READ_CHUNK);
	s->idle = xnew(uv_idle_t);
	uv_idle_init(l, s->idle);
	s->idle->data = s;
	return s;
}

static void listener_closed(uv_handle_t *h)
{
	struct listener *l = h->data;
	free(l->path);
	free(l);
}

void http_server_free(struct http_server *s)
{
	if (!s) {
		return;
	}
	list_each_safe(pos, &s->listeners) {
		struct listener *l = container_of(pos, struct listener, node);
		list_remove(pos);
		unlink(l->path);
		uv_close((uv_handle_t *)&l->pipe, listener_closed);
	}
	while (!list_empty(&s->conns)) {
		conn_close(container_of(s->conns.next, struct conn, node));
	}
	uv_close((uv_handle_t *)s->idle, idle_closed);
	free(s->read_buffer);
	free(s);
}
