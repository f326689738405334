/* A connection's thread: bytes between the descriptor and nghttp2.
 *
 * Invariants
 * 1. Everything of the session and its streams is touched only with the connection's lock.
 * 2. The session is deleted by the thread alone, at its end; whoever has the lock sees it NULL
 * then.
 * 3. closed is set after all streams were told, and is the last thing that the thread does with the
 *    lock; the callback comes after it.
 */
#include "grpc/h2.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "grpc/h2_conn.h"

#define IO_CHUNK (64u << 10)
#define STACK_BYTES (256u << 10)

void h2_wake(struct h2 *c)
{
	if (!c->woken && !c->closed) {
		const uint64_t one = 1;
		c->woken = true;
		(void)!write(c->wake_fd, &one, sizeof(one));
	}
}

static void fail(struct h2 *c, int code)
{
	if (!*c->why.msg) {
		(void)err_set(&c->why, ERR_INVALID, "HTTP/2: %s", nghttp2_strerror(code));
	}
}

/* --- io, with the lock --- */

/* What the session has to say, as much as is worth a system call. */
static void fill_out(struct h2 *c)
{
	while (c->out.len < IO_CHUNK) {
		const uint8_t *data;
		ssize_t n = nghttp2_session_mem_send(c->session, &data);
		if (n < 0) {
			fail(c, (int)n);
		}
		if (n <= 0) {
			return;
		}
		buf_append(&c->out, data, (size_t)n);
	}
}

/* False when the peer takes nothing now, or never more. */
static bool flush(struct h2 *c)
{
	while (c->out_pos < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->out_pos, c->out.len - c->out_pos,
			MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			if (errno != EAGAIN) {
				c->close_asked = true;
			}
			buf_consume(&c->out, c->out_pos);
			c->out_pos = 0;
			return false;
		}
		c->out_pos += (size_t)n;
	}
	buf_clear(&c->out);
	c->out_pos = 0;
	return true;
}

static void take_in(struct h2 *c, const void *data, size_t n)
{
	if (n > 0) {
		ssize_t used = nghttp2_session_mem_recv(c->session, data, n);
		if (used < 0) {
			fail(c, (int)used);
		}
	}
}

/* --- the thread --- */

/* False: nothing more is to come or to go. */
static bool step(struct h2 *c)
{
	bool all_sent = true;
	if (c->close_asked || *c->why.msg) {
		nghttp2_session_terminate_session(
			c->session, *c->why.msg ? NGHTTP2_PROTOCOL_ERROR : NGHTTP2_NO_ERROR);
		fill_out(c);
		flush(c); /* one attempt: a peer that does not read is not waited for */
		return false;
	}
	do {
		fill_out(c);
	} while (c->out.len > 0 && (all_sent = flush(c)));
	return !c->close_asked && (nghttp2_session_want_read(c->session) ||
					  nghttp2_session_want_write(c->session) || !all_sent);
}

/* Waits for the peer or for us; reads without the lock. -1: the peer has gone. */
static ssize_t wait_and_read(struct h2 *c, bool pending, char *chunk)
{
	struct pollfd p[2] = {{.fd = c->fd, .events = (short)(POLLIN | (pending ? POLLOUT : 0))},
		{.fd = c->wake_fd, .events = POLLIN}};
	if (poll(p, 2, -1) < 0) {
		return errno == EINTR ? 0 : -1;
	}
	if (p[1].revents) {
		uint64_t count;
		(void)!read(c->wake_fd, &count, sizeof(count));
	}
	if (!(p[0].revents & (POLLIN | POLLHUP | POLLERR))) {
		return 0;
	}
	ssize_t n = recv(c->fd, chunk, IO_CHUNK, MSG_DONTWAIT);
	if (n < 0) {
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	}
	return n == 0 ? -1 : n;
}

static void end(struct h2 *c)
{
	list_each_safe (pos, &c->streams) {
		h2_stream_over(container_of(pos, struct h2_stream, node), H2_LOST);
	}
	nghttp2_session_del(TAKE(c->session));
	shutdown(c->fd, SHUT_RDWR);
	c->closed = true;
	pthread_cond_broadcast(&c->changed);
}

static void *run(void *arg)
{
	struct h2 *c = arg;
	char *chunk = xnew_array(char, IO_CHUNK);
	pthread_mutex_lock(&c->lock);
	take_in(c, c->early.data, c->early.len);
	buf_deinit(&c->early);
	while (step(c)) {
		bool pending = c->out.len > 0;
		pthread_mutex_unlock(&c->lock);
		ssize_t n = wait_and_read(c, pending, chunk);
		pthread_mutex_lock(&c->lock);
		c->woken = false;
		if (n < 0) {
			break;
		}
		take_in(c, chunk, (size_t)n);
	}
	end(c);
	struct err why = c->why;
	struct h2_options o = c->o;
	pthread_mutex_unlock(&c->lock);
	free(chunk);
	if (o.closed) {
		o.closed(o.owner, c, &why);
	}
	return NULL;
}

/* --- life --- */

static void h2_destroy(struct h2 *c)
{
	nghttp2_session_del(c->session);
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->changed);
	buf_deinit(&c->early);
	buf_deinit(&c->out);
	close(c->fd);
	if (c->wake_fd >= 0) {
		close(c->wake_fd);
	}
	free(c);
}

/* Signals are for the threads of the program, not for ours. */
int h2_thread_start(pthread_t *ret, bool detached, void *(*run_it)(void *), void *arg)
{
	sigset_t all, before;
	pthread_attr_t a;
	sigfillset(&all);
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, STACK_BYTES);
	pthread_attr_setdetachstate(
		&a, detached ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int r = pthread_create(ret, &a, run_it, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&a);
	return r;
}

/* A peer that is gone without a word (its machine, the way to it) is noticed within two minutes. On
 * a unix socket these do nothing: the kernel knows. */
static void keep_alive(int fd)
{
	static const int options[][3] = {{SOL_SOCKET, SO_KEEPALIVE, 1},
		{IPPROTO_TCP, TCP_KEEPIDLE, 60}, {IPPROTO_TCP, TCP_KEEPINTVL, 15},
		{IPPROTO_TCP, TCP_KEEPCNT, 4}};
	for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++) {
		setsockopt(fd, options[i][0], options[i][1], &options[i][2], sizeof(int));
	}
}

struct h2 *h2_new(
	int take_fd, const void *early, size_t n_early, const struct h2_options *o, struct err *e)
{
	pthread_condattr_t monotonic;
	struct h2 *c = xnew(struct h2);
	c->fd = take_fd;
	c->o = *o;
	keep_alive(take_fd);
	list_init(&c->streams);
	pthread_mutex_init(&c->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&c->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	buf_append(&c->early, early, early ? n_early : 0);
	c->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	c->session = h2_session_new(c);
	int r = c->wake_fd < 0 ? EMFILE
		: !c->session  ? ENOMEM
			       : h2_thread_start(&c->thread, false, run, c);
	if (r != 0) {
		(void)err_sys(e, r, "cannot begin a connection");
		h2_destroy(c);
		return NULL;
	}
	return c;
}

void h2_close(struct h2 *c)
{
	pthread_mutex_lock(&c->lock);
	c->close_asked = true;
	h2_wake(c);
	pthread_mutex_unlock(&c->lock);
}

bool h2_is_closed(const struct h2 *c)
{
	struct h2 *mine = (struct h2 *)c;
	pthread_mutex_lock(&mine->lock);
	bool closed = c->closed;
	pthread_mutex_unlock(&mine->lock);
	return closed;
}

bool h2_wait_closed(struct h2 *c, int timeout_ms)
{
	struct timespec until;
	int64_t at = clock_mono_ns() + timeout_ms * NS_PER_MS;
	until.tv_sec = at / NS_PER_SEC;
	until.tv_nsec = at % NS_PER_SEC;
	int r = 0;
	pthread_mutex_lock(&c->lock);
	while (!c->closed && r == 0) {
		r = timeout_ms < 0 ? pthread_cond_wait(&c->changed, &c->lock)
				   : pthread_cond_timedwait(&c->changed, &c->lock, &until);
	}
	bool closed = c->closed;
	pthread_mutex_unlock(&c->lock);
	return closed;
}

void h2_free(struct h2 *c)
{
	if (!c) {
		return;
	}
	h2_close(c);
	pthread_join(c->thread, NULL);
	pthread_mutex_lock(&c->lock);
	while (c->n_handlers > 0) {
		pthread_cond_wait(&c->changed, &c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	h2_destroy(c);
}
