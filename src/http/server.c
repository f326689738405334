#include "http/conn.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"

static void idle_closed(uv_handle_t *h)
{
	free(h);
}
/* --- limits --- */

static bool is_full(const struct http_server *s)
{
	size_t n = 0;
	list_each (pos, &s->conns) {
		n++;
	}
	return s->max_conns > 0 && n >= s->max_conns;
}

static void sweep(uv_timer_t *timer)
{
	struct http_server *s = timer->data;
	uint64_t now = uv_now(s->loop);
	list_each_safe (pos, &s->conns) {
		struct conn *c = container_of(pos, struct conn, node);
		if (now - c->moved_ms >= s->idle_ms) {
			conn_close(c);
		}
	}
}

void http_server_limit_conns(struct http_server *s, unsigned max_conns)
{
	s->max_conns = max_conns;
}

void http_server_limit(struct http_server *s, unsigned max_conns, unsigned idle_ms)
{
	s->max_conns = max_conns;
	s->idle_ms = idle_ms;
	if (!s->sweep) {
		s->sweep = xnew(uv_timer_t);
		uv_timer_init(s->loop, s->sweep);
		s->sweep->data = s;
	}
	uv_timer_start(s->sweep, sweep, idle_ms / 2 + 1, idle_ms / 2 + 1);
}

/* --- listening --- */

void http_server_check_peers(struct http_server *s, http_peer_fn *fn, void *owner)
{
	s->peer_fn = fn;
	s->peer_owner = owner;
}

static bool peer_is_welcome(const struct http_server *s, const struct conn *c)
{
	uv_os_fd_t fd;
	struct ucred who;
	socklen_t n = sizeof(who);
	return !s->peer_fn || (uv_fileno((const uv_handle_t *)&c->pipe, &fd) == 0 &&
				      getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
				      s->peer_fn(s->peer_owner, who.pid, who.uid));
}

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
	c->moved_ms = uv_now(l->server->loop);
	bool full = is_full(l->server);
	if (uv_accept(s, (uv_stream_t *)&c->pipe) < 0 || full || !peer_is_welcome(l->server, c)) {
		conn_close(c);
		return;
	}
	list_append(&l->server->conns, &c->node);
	conn_set_reading(c, true);
}

/* A socket file nobody listens on is what a killed daemon leaves. */
static int clear_place(const char *path, const struct sockaddr_un *a, struct err *e)
{
	struct stat st;
	if (lstat(path, &st) < 0) {
		return errno == ENOENT ? 0 : err_sys(e, errno, "cannot look at %s", path);
	}
	if (!S_ISSOCK(st.st_mode)) {
		return err_set(e, ERR_CONFLICT,
			"cannot listen on %s: something else than a socket is there", path);
	}
	scoped(close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 &&
		(connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 || errno == EAGAIN)) {
		return err_set(
			e, ERR_CONFLICT, "cannot listen on %s: another server answers there", path);
	}
	return unlink(path) < 0 && errno != ENOENT ? err_sys(e, errno, "cannot remove %s", path)
						   : 0;
}

/* Bound under a temporary name and renamed, so that nobody reaches it before its mode and group are
 * right. */
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
	if (chmod(temp, mode) < 0 || chown(temp, (uid_t)-1, gid) < 0 || listen(fd, 128) < 0 ||
		rename(temp, path) < 0) {
		err_sys(e, errno, "cannot listen on %s", path);
		unlink(temp);
		return -1;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* take_path NULL: the socket file is somebody else's to remove. */
static int listen_on(struct http_server *s, int take_fd, char *take_path, struct err *e)
{
	struct listener *l = xnew(struct listener);
	l->server = s;
	l->path = take_path;
	uv_pipe_init(s->loop, &l->pipe, 0);
	l->pipe.data = l;
	list_append(&s->listeners, &l->node);
	int r = uv_pipe_open(&l->pipe, take_fd);
	r = r < 0 ? r : uv_listen((uv_stream_t *)&l->pipe, 128, accept_one);
	return r < 0 ? err_sys(e, -r, "cannot listen on %s", take_path ? take_path : "fd://") : 0;
}

int http_server_listen_unix(
	struct http_server *s, const char *path, mode_t mode, gid_t gid, struct err *e)
{
	int fd;
	return bind_socket(path, mode, gid, &fd, e) < 0 ? -1 : listen_on(s, fd, xstrdup(path), e);
}

int http_server_listen_fd(struct http_server *s, int take_fd, struct err *e)
{
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof(a);
	int listens = 0;
	socklen_t len = sizeof(listens);
	if (getsockname(take_fd, (struct sockaddr *)&a, &n) < 0 || a.ss_family != AF_UNIX ||
		getsockopt(take_fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) < 0 || !listens) {
		return err_set(e, ERR_INVALID,
			"cannot listen on fd %d: expected a listening unix socket", take_fd);
	}
	if (fcntl(take_fd, F_SETFD, FD_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot listen on fd %d", take_fd);
	}
	return listen_on(s, take_fd, NULL, e);
}

/* --- TCP --- */

/* "HOST:PORT" with numbers. */
static int parse_address(
	const char *text, struct sockaddr_storage *ret, socklen_t *ret_n, struct err *e)
{
	const char *colon = strrchr(text, ':');
	bool brackets = *text == '[' && colon && colon > text && colon[-1] == ']';
	size_t n = colon ? (size_t)(colon - text) : 0;
	scoped(free) char *host = brackets ? xstrndup(text + 1, n - 2) : xstrndup(text, n);
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	uint16_t port;
	memset(ret, 0, sizeof(*ret));
	if (!colon || parse_u16(colon + 1, &port) < 0) {
		return err_set(e, ERR_INVALID, "invalid address %.64s: expected IP:PORT", text);
	}
	if (!brackets && inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*ret_n = sizeof(*v4);
	} else if (brackets && inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		*ret_n = sizeof(*v6);
	} else {
		return err_set(e, ERR_INVALID, "invalid address %.64s: expected IP:PORT", text);
	}
	return 0;
}

int http_server_listen_tcp(struct http_server *s, const char *address, struct err *e)
{
	struct sockaddr_storage a;
	socklen_t n;
	if (parse_address(address, &a, &n, e) < 0) {
		return -1;
	}
	scoped(close) int fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int on = 1;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
		bind(fd, (struct sockaddr *)&a, n) < 0) {
		return errno == EADDRINUSE
			       ? err_set(e, ERR_CONFLICT, "another program listens on %s", address)
			       : err_sys(e, errno, "cannot listen on %s", address);
	}
	return listen_on(s, TAKE_FD(fd), NULL, e);
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
	list_each_safe (pos, &s->listeners) {
		struct listener *l = container_of(pos, struct listener, node);
		list_remove(pos);
		if (l->path) {
			unlink(l->path);
		}
		uv_close((uv_handle_t *)&l->pipe, listener_closed);
	}
	while (!list_empty(&s->conns)) {
		conn_close(container_of(s->conns.next, struct conn, node));
	}
	uv_close((uv_handle_t *)s->idle, idle_closed);
	if (s->sweep) {
		uv_close((uv_handle_t *)s->sweep, idle_closed);
	}
	free(s->read_buffer);
	free(s);
}
