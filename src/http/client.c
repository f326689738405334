#include "http/client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/http1.h"
#include "http/client_ssh.h"
#include "http/client_tls.h"

#define READ_CHUNK (64u << 10)
#define CHUNK_HEAD_MAX 24
#define JSON_MAX (64u << 20)
#define EARLY_MAX (8u << 20) /* of an answer that comes while the request is still being sent */

struct http_client {
	char *url;  /* as the user gave it: for messages */
	char *path; /* unix socket, or NULL */
	char *host, *port;
	char *headers; /* of every request, or NULL */
	bool over_ssh;
	char *tls_worker; /* or NULL: no TLS */
	struct tls_files tls;
	int fd;    /* -1: not connected */
	bool used; /* the connection has answered before: a failure may mean that it was closed
		      while idle */
	struct buf in;
	struct http1_head head; /* of the present response */
	struct http1_chunked chunked;
	uint64_t left;
	bool body_done;
};

struct http_client *http_client_new(const char *host, struct err *e)
{
	struct http_client *c = xnew(struct http_client);
	c->fd = -1;
	c->url = xstrdup(host);
	c->body_done = true;
	if (text_starts(host, "unix://") && host[7] == '/') {
		c->path = xstrdup(host + 7);
		return c;
	}
	if (text_starts(host, "ssh://")) {
		c->over_ssh = true;
		c->host = xstrdup("ssh");
		return c;
	}
	const char *colon = text_starts(host, "tcp://") ? strrchr(host + 6, ':') : NULL;
	if (colon && colon[1] && colon > host + 6) {
		bool brackets = host[6] == '[' && colon[-1] == ']';
		c->host = xstrndup(host + 6 + brackets, (size_t)(colon - host - 6) - 2 * brackets);
		c->port = xstrndup(colon + 1, strcspn(colon + 1, "/"));
		return c;
	}
	err_set(e, ERR_INVALID, "invalid bind address format: %s", host);
	http_client_free(c);
	return NULL;
}

static void disconnect(struct http_client *c)
{
	if (c->fd >= 0) {
		close(c->fd);
	}
	c->fd = -1;
	c->used = false;
	c->body_done = true;
	buf_clear(&c->in);
}

void http_client_free(struct http_client *c)
{
	if (!c) {
		return;
	}
	disconnect(c);
	buf_deinit(&c->in);
	http1_head_deinit(&c->head);
	free(c->url);
	free(c->path);
	free(c->host);
	free(c->port);
	free(c->headers);
	free(c->tls_worker);
	tls_files_deinit(&c->tls);
	free(c);
}

void http_client_headers(struct http_client *c, const char *lines)
{
	free(c->headers);
	c->headers = xstrdup(lines);
}

void http_client_tls(struct http_client *c, const char *worker, const struct tls_files *t)
{
	free(c->tls_worker);
	tls_files_deinit(&c->tls);
	c->tls_worker = xstrdup(worker);
	c->tls = (struct tls_files){xstrdup(t->ca), xstrdup(t->cert), xstrdup(t->key), t->verify};
}

void http_response_deinit(struct http_response *r)
{
	buf_deinit(&r->head);
	*r = (struct http_response){0};
}

/* head holds "Name: value\n" lines. */
const char *http_response_header(const struct http_response *r, const char *name)
{
	size_t n = strlen(name);
	const char *p = buf_str(&r->head);
	const char *end = p + r->head.len;
	while (p < end) {
		if (strncasecmp(p, name, n) == 0 && p[n] == '\0') {
			return p + n + 1;
		}
		p += strlen(p) + 1; /* the name */
		p += strlen(p) + 1; /* the value */
	}
	return NULL;
}

static int unreachable(struct http_client *c, int errnum, struct err *e)
{
	if (errnum == EACCES || errnum == EPERM) {
		return err_set(e, ERR_DENIED,
			"permission denied while trying to connect to the Wherry daemon at %s: are you root or in the "
			"socket's group?",
			c->url);
	}
	return err_set(e, ERR_SYSTEM,
		"Cannot connect to the Wherry daemon at %s. Is the daemon running?", c->url);
}

static int connect_unix(struct http_client *c, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (strlen(c->path) >= sizeof(a.sun_path)) {
		return err_set(e, ERR_INVALID, "socket path %s is too long", c->path);
	}
	memcpy(a.sun_path, c->path, strlen(c->path) + 1);
	scoped(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		return unreachable(c, errno, e);
	}
	c->fd = TAKE_FD(fd);
	return 0;
}

static int connect_tcp(struct http_client *c, struct err *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int r = getaddrinfo(c->host, c->port, &hints, &found);
	if (r != 0) {
		return err_set(e, ERR_SYSTEM, "Cannot connect to the Wherry daemon at %s: %s",
			c->url, gai_strerror(r));
	}
	int last = 0;
	for (struct addrinfo *a = found; a && c->fd < 0; a = a->ai_next) {
		scoped(close) int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) == 0) {
			c->fd = TAKE_FD(fd);
		} else {
			last = errno;
		}
	}
	freeaddrinfo(found);
	return c->fd < 0 ? unreachable(c, last, e) : 0;
}

static int establish(struct http_client *c, struct err *e)
{
	if (c->over_ssh) {
		c->fd = ssh_connect(c->url, e);
		return c->fd < 0 ? -1 : 0;
	}
	if (c->path) {
		return connect_unix(c, e);
	}
	if (connect_tcp(c, e) < 0 || !c->tls_worker) {
		return c->fd < 0 ? -1 : 0;
	}
	c->fd = tls_connect(c->tls_worker, c->fd, c->host, &c->tls, e);
	return c->fd < 0 ? err_wrap(e, "error during connect to %s", c->url) : 0;
}

int http_client_dial(struct http_client *c, struct err *e)
{
	return c->fd < 0 && establish(c, e) < 0 ? -1 : TAKE_FD(c->fd);
}

static int send_bytes(struct http_client *c, const char *data, size_t n)
{
	while (n > 0) {
		ssize_t sent = send(c->fd, data, n, MSG_NOSIGNAL);
		if (sent < 0 && errno == EINTR) {
			continue;
		}
		if (sent < 0) {
			return -errno;
		}
		data += sent;
		n -= (size_t)sent;
	}
	return 0;
}

/* One read into in. 0 at the end of the connection, -errno. EINTR is given to the caller's signal
 * handlers and retried. */
static ssize_t receive(struct http_client *c)
{
	char chunk[READ_CHUNK];
	for (;;) {
		ssize_t n = recv(c->fd, chunk, sizeof(chunk), 0);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		buf_append(&c->in, chunk, (size_t)n);
		return n;
	}
}

static void write_head(
	struct http_client *c, const struct http_call *call, const char *json, struct buf *out)
{
	buf_printf(out,
		"%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: Wherry-Client/" WHERRY_VERSION
		" (linux)\r\n",
		call->method, call->path, c->path ? "wherry" : c->host);
	buf_puts(out, c->headers ? c->headers : "");
	buf_puts(out, call->headers ? call->headers : "");
	if (call->upgrade) {
		buf_puts(out, "Connection: Upgrade\r\nUpgrade: tcp\r\n");
	}
	if (json) {
		buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			strlen(json), json);
	} else if (call->source) {
		buf_puts(out, "Transfer-Encoding: chunked\r\n\r\n");
	} else if (strcmp(call->method, "GET") == 0 || strcmp(call->method, "HEAD") == 0) {
		buf_puts(out, "\r\n");
	} else {
		buf_puts(out, "Content-Length: 0\r\n\r\n");
	}
}

/* Takes in what the server answers while we still send: progress of a load, say, whose sender would
 * otherwise wait for us. True when there is no point in sending more: an error was answered, or the
 * connection is gone. */
static bool answer_ends_sending(struct http_client *c)
{
	struct pollfd p = {.fd = c->fd, .events = POLLIN};
	while (c->in.len < EARLY_MAX && poll(&p, 1, 0) > 0) {
		if (receive(c) <= 0) {
			return true;
		}
	}
	ssize_t n = c->in.len > 0 ? http1_head_length(c->in.data, c->in.len) : 0;
	if (n <= 0) {
		return n < 0;
	}
	struct http1_head head;
	struct err ignored;
	if (http1_parse_response(&head, c->in.data, (size_t)n, false, &ignored) < 0) {
		return true;
	}
	bool refused = head.status >= 300;
	http1_head_deinit(&head);
	return refused;
}

/* A piece of a long body. Waits for room, but hears an answer meanwhile: a server that refuses may
 * read nothing more, and one that tells its progress may read on only when that is taken. -EPIPE
 * when there is no point in sending more. */
static int send_piece(struct http_client *c, const char *data, size_t n)
{
	while (n > 0) {
		struct pollfd p = {.fd = c->fd,
			.events = (short)(POLLOUT | (c->in.len < EARLY_MAX ? POLLIN : 0))};
		if (poll(&p, 1, -1) < 0) {
			continue;
		}
		if ((p.revents & ~POLLOUT) && answer_ends_sending(c)) {
			return -EPIPE;
		}
		if (!(p.revents & ~POLLIN)) {
			continue;
		}
		ssize_t sent = send(c->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno != EINTR && errno != EAGAIN) {
			return -errno;
		}
		data += sent > 0 ? sent : 0;
		n -= sent > 0 ? (size_t)sent : 0;
	}
	return 0;
}

/* *ret_whole: the whole body was sent, so that the connection can be used again. */
static int send_source(
	struct http_client *c, const struct http_source *source, bool *ret_whole, struct err *e)
{
	/* a chunk goes out whole: each piece would wake the other side */
	scoped(free) char *chunk = xnew_array(char, CHUNK_HEAD_MAX + READ_CHUNK + 2);
	char *data = chunk + CHUNK_HEAD_MAX;
	*ret_whole = false;
	for (;;) {
		long n = source->read(source->owner, data, READ_CHUNK);
		if (n < 0) {
			return err_sys(e, (int)-n, "cannot read the data to send");
		}
		char head[CHUNK_HEAD_MAX];
		int head_n = snprintf(head, sizeof(head), "%lx\r\n", n);
		memcpy(data - head_n, head, (size_t)head_n);
		memcpy(data + n, "\r\n", 2);
		if (send_piece(c, data - head_n, (size_t)(head_n + n + 2)) < 0) {
			return 0; /* a broken connection shows when the answer is read */
		}
		if (n == 0) {
			*ret_whole = true;
			return 0;
		}
	}
}

static int read_head(struct http_client *c, bool to_head, struct err *e, bool *ret_closed)
{
	ssize_t n;
	*ret_closed = false;
	for (;;) {
		while ((n = http1_head_length(buf_str(&c->in), c->in.len)) == 0) {
			ssize_t got = receive(c);
			if (got <= 0) {
				*ret_closed = c->in.len == 0;
				return err_set(e, ERR_SYSTEM,
					"the connection to %s broke before an answer came", c->url);
			}
		}
		http1_head_deinit(&c->head);
		if (n < 0 || http1_parse_response(
				     &c->head, buf_str(&c->in), (size_t)n, to_head, e) < 0) {
			return err_set(e, ERR_SYSTEM, "%s does not answer in HTTP", c->url);
		}
		buf_consume(&c->in, (size_t)n);
		if (c->head.status / 100 != 1 || c->head.status == 101) {
			break; /* 100 Continue and its like are passed over */
		}
	}
	c->chunked = (struct http1_chunked){0};
	c->left = c->head.length;
	c->body_done =
		c->head.body == HTTP1_NO_BODY || (c->head.body == HTTP1_LENGTH && c->left == 0);
	return 0;
}

static void fill_response(const struct http_client *c, struct http_response *ret)
{
	*ret = (struct http_response){.status = c->head.status, .upgraded = c->head.status == 101};
	for (size_t i = 0; i < c->head.n_headers; i++) {
		buf_append(
			&ret->head, c->head.headers[i].name, strlen(c->head.headers[i].name) + 1);
		buf_append(
			&ret->head, c->head.headers[i].value, strlen(c->head.headers[i].value) + 1);
	}
}

int http_client_send(struct http_client *c, const struct http_call *call, struct http_response *ret,
	struct err *e)
{
	http_client_skip(c);
	scoped(free) char *json = call->body_json ? json_text(call->body_json) : NULL;
	scoped(buf) struct buf out = BUF_INIT;
	write_head(c, call, json, &out);
	for (bool again = c->fd >= 0;; again = false) {
		bool closed = false;
		if (c->fd < 0 && establish(c, e) < 0) {
			return -1;
		}
		int sent = send_bytes(c, out.data, out.len);
		bool whole = true;
		if (sent == 0 && call->source && send_source(c, call->source, &whole, e) < 0) {
			disconnect(c);
			return -1;
		}
		if (read_head(c, strcmp(call->method, "HEAD") == 0, e, &closed) == 0) {
			c->head.keep_alive = c->head.keep_alive && whole;
			break;
		}
		disconnect(c);
		if (!closed || !again || call->source) {
			return -1;
		}
	}
	c->used = true;
	fill_response(c, ret);
	return 0;
}

/* Moves at most n body bytes that were received. 0: more must be received (or the body is done). */
static long take(struct http_client *c, char *data, size_t n, struct err *e)
{
	const char *piece = buf_str(&c->in);
	size_t have = c->in.len < n ? c->in.len : n;
	if (c->head.body == HTTP1_CHUNKED) {
		size_t piece_n;
		ssize_t used =
			http1_chunked_decode(&c->chunked, buf_str(&c->in), have, &piece, &piece_n);
		if (used < 0) {
			return err_set(e, ERR_SYSTEM, "%s sent a malformed answer", c->url);
		}
		memcpy(data, piece, piece_n);
		buf_consume(&c->in, (size_t)used);
		c->body_done = http1_chunked_done(&c->chunked);
		return piece_n == 0 && used > 0 && !c->body_done ? take(c, data, n, e)
								 : (long)piece_n;
	}
	if (c->head.body == HTTP1_LENGTH && have > c->left) {
		have = (size_t)c->left;
	}
	memcpy(data, piece, have);
	buf_consume(&c->in, have);
	if (c->head.body == HTTP1_LENGTH) {
		c->left -= have;
		c->body_done = c->left == 0;
	}
	return (long)have;
}

long http_client_read(struct http_client *c, char *data, size_t n, struct err *e)
{
	while (!c->body_done) {
		long got = c->in.len > 0 ? take(c, data, n, e) : 0;
		if (got != 0) {
			return got;
		}
		if (c->body_done) {
			break;
		}
		ssize_t r = receive(c);
		if (r <= 0) {
			bool expected = c->head.body == HTTP1_UNTIL_CLOSE;
			disconnect(c);
			return expected && r == 0 ? 0
						  : err_set(e, ERR_SYSTEM,
							    "the connection to %s broke", c->url);
		}
	}
	if (!c->head.keep_alive) {
		disconnect(c);
	}
	return 0;
}

void http_client_skip(struct http_client *c)
{
	struct err ignored;
	char data[4096];
	if (c->fd >= 0 && !c->body_done && c->head.body == HTTP1_UNTIL_CLOSE) {
		disconnect(c); /* it may never end */
		return;
	}
	while (!c->body_done && http_client_read(c, data, sizeof(data), &ignored) > 0) {
	}
	if (c->fd >= 0 && c->head.text && !c->head.keep_alive) {
		disconnect(c);
	}
}

int http_client_take_socket(struct http_client *c, struct buf *ret_early)
{
	int fd = TAKE_FD(c->fd);
	*ret_early = c->in;
	c->in = (struct buf)BUF_INIT;
	disconnect(c);
	return fd;
}

static int read_body(struct http_client *c, struct buf *ret, struct err *e)
{
	char data[16384];
	long n;
	while ((n = http_client_read(c, data, sizeof(data), e)) > 0) {
		if (buf_append_limited(ret, data, (size_t)n, JSON_MAX) < 0) {
			return err_set(e, ERR_SYSTEM, "%s sent an answer of more than %u bytes",
				c->url, JSON_MAX);
		}
	}
	return n < 0 ? -1 : 0;
}

static enum err_kind kind_of(int status)
{
	switch (status) {
	case 304:
		return ERR_UNCHANGED;
	case 400:
		return ERR_INVALID;
	case 401:
		return ERR_UNAUTHORIZED;
	case 403:
		return ERR_DENIED;
	case 404:
		return ERR_NOT_FOUND;
	case 409:
		return ERR_CONFLICT;
	case 501:
		return ERR_NOT_IMPLEMENTED;
	case 503:
		return ERR_BUSY;
	default:
		return ERR_SYSTEM;
	}
}

int http_client_fail(struct http_client *c, const struct http_response *r, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct err ignored;
	if (read_body(c, &text, e) < 0) {
		return -1;
	}
	scoped(json) json_t *doc = json_parse(buf_str(&text), text.len, "the answer", &ignored);
	const char *message = json_str(doc, "message");
	if (*message) {
		return err_set(e, kind_of(r->status), "%s", message);
	}
	return err_set(e, kind_of(r->status), "%s answered with status %d%s%.200s", c->url,
		r->status, text.len ? ": " : "", buf_str(&text));
}

int http_client_json(struct http_client *c, const char *method, const char *path,
	const json_t *body, json_t **ret, struct err *e)
{
	struct http_response r;
	const struct http_call call = {.method = method, .path = path, .body_json = body};
	if (http_client_send(c, &call, &r, e) < 0) {
		return -1;
	}
	int result = r.status >= 400 ? http_client_fail(c, &r, e) : 0;
	http_response_deinit(&r);
	if (result < 0) {
		return -1;
	}
	scoped(buf) struct buf text = BUF_INIT;
	if (read_body(c, &text, e) < 0) {
		return -1;
	}
	if (ret) {
		*ret = text.len ? json_parse(buf_str(&text), text.len, "the answer", e) : NULL;
		return text.len && !*ret ? -1 : 0;
	}
	return 0;
}
