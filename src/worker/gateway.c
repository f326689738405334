/* The main thread of the job "buildkit": takes connections, frees what has ended, ends itself when
 * nobody is there. */
#include "worker/gateway.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "worker/jobs.h"
#include "worker/rpc.h"

#define LISTEN_FD 4
#define IDLE_MS 10000 /* where the request does not say */
#define SWEEP_MS 10000
#define LINE_MAX_BYTES (128u << 10)
#define CONNS_MAX 64
#define THREADS_MAX 512

/* --- threads --- */

bool gateway_wait(struct gateway *g, int64_t until_ms)
{
	if (until_ms < 0) {
		return pthread_cond_wait(&g->changed, &g->lock) == 0;
	}
	const struct timespec until = {
		.tv_sec = until_ms / 1000, .tv_nsec = (until_ms % 1000) * NS_PER_MS};
	return pthread_cond_timedwait(&g->changed, &g->lock, &until) == 0;
}

void gateway_changed(struct gateway *g)
{
	const uint64_t one = 1;
	pthread_cond_broadcast(&g->changed);
	(void)!write(g->wake_fd, &one, sizeof(one));
}

void gateway_gone(void *watch)
{
	struct gateway_watch *w = watch;
	pthread_mutex_lock(&w->gateway->lock);
	w->gone = true;
	gateway_changed(w->gateway);
	pthread_mutex_unlock(&w->gateway->lock);
}

int gateway_thread(struct gateway *g, void *(*run)(void *), void *arg)
{
	pthread_t thread;
	pthread_attr_t a;
	pthread_attr_init(&a);
	pthread_attr_setstacksize(&a, 256u << 10);
	pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
	pthread_mutex_lock(&g->lock);
	int r = g->n_threads < THREADS_MAX ? pthread_create(&thread, &a, run, arg) : EAGAIN;
	g->n_threads += r == 0;
	pthread_mutex_unlock(&g->lock);
	pthread_attr_destroy(&a);
	return r;
}

void gateway_thread_end(struct gateway *g)
{
	pthread_mutex_lock(&g->lock);
	g->n_threads--;
	gateway_changed(g);
	pthread_mutex_unlock(&g->lock);
}

/* --- a client's connection --- */

static void conn_closed(void *owner, struct h2 *h2, const struct err *why)
{
	struct gateway *g = owner;
	pthread_mutex_lock(&g->lock);
	list_each (pos, &g->conns) {
		struct gateway_conn *c = container_of(pos, struct gateway_conn, node);
		c->closed = c->closed || c->h2 == h2;
	}
	gateway_changed(g);
	pthread_mutex_unlock(&g->lock);
}

static bool has_room(struct gateway *g)
{
	size_t n = 0;
	pthread_mutex_lock(&g->lock);
	list_each (pos, &g->conns) {
		n++;
	}
	pthread_mutex_unlock(&g->lock);
	return n < CONNS_MAX;
}

/* With the lock around both, conn_closed finds the connection however early it comes. */
static void add_conn(struct gateway *g, int take_fd, const json_t *head, const struct buf *early)
{
	struct err e;
	bool session = strcmp(json_str(head, "connection"), "session") == 0;
	struct gateway_conn *c = xnew(struct gateway_conn);
	const struct h2_options o = {
		.server = !session, .methods = gateway_methods, .owner = g, .closed = conn_closed};
	c->gateway = g;
	c->session = session ? xstrdup(json_str(head, "id")) : NULL;
	pthread_mutex_lock(&g->lock);
	c->h2 = h2_new(take_fd, early->data, early->len, &o, &e);
	if (c->h2) {
		list_append(&g->conns, &c->node);
		gateway_changed(g);
	} else {
		free(c->session);
		free(c);
	}
	pthread_mutex_unlock(&g->lock);
}

static void take_client(struct gateway *g, int take_fd, const json_t *head, const struct buf *early)
{
	static const char upgraded[] =
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
	static const char refused[] =
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
		"{\"message\":\"too many clients build at once\"}\n";
	scoped(close) int fd = take_fd;
	bool room = has_room(g);
	const char *answer = room ? upgraded : refused;
	/* It is the first that the client gets: a socket's buffer has room for it. */
	ssize_t n = send(fd, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT);
	if (room && n == (ssize_t)strlen(answer)) {
		add_conn(g, TAKE_FD(fd), head, early);
	}
}

/* --- greetings --- */

struct greeting {
	struct gateway *gateway;
	int fd;
};

/* Some bytes, and the descriptor that comes with the first of them. */
static ssize_t receive(int fd, struct buf *in, int *ret_passed)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = {buf_room(in, 4096), 4096};
	struct msghdr m = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	ssize_t n;
	do {
		n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
	if (c && c->cmsg_type == SCM_RIGHTS && *ret_passed < 0) {
		memcpy(ret_passed, CMSG_DATA(c), sizeof(int));
	}
	if (n > 0) {
		buf_added(in, (size_t)n);
	}
	return n;
}

/* The line, and behind it at least n more bytes if it says so ("early"). NULL: it was none. */
static json_t *read_head(int fd, struct buf *in, int *ret_passed)
{
	struct err ignored;
	json_t *head = NULL;
	for (;;) {
		char *newline = in->len ? memchr(in->data, '\n', in->len) : NULL;
		if (newline && !head) {
			size_t n = (size_t)(newline - in->data);
			head = json_parse(in->data, n, "the line", &ignored);
			buf_consume(in, n + 1);
		}
		if (newline && !head) {
			return NULL;
		}
		if (head && json_i64(head, "early", 0) <= (int64_t)in->len) {
			return head;
		}
		if (in->len > LINE_MAX_BYTES || receive(fd, in, ret_passed) <= 0) {
			json_decref(head);
			return NULL;
		}
	}
}

static void *greet(void *arg)
{
	struct greeting *p = arg;
	struct gateway *g = p->gateway;
	scoped(close) int fd = p->fd;
	scoped(close) int passed = -1;
	scoped(buf) struct buf in = BUF_INIT;
	free(p);
	scoped(json) json_t *head = read_head(fd, &in, &passed);
	if (head && passed >= 0) {
		take_client(g, TAKE_FD(passed), head, &in);
	} else if (head) {
		gateway_relay(g, TAKE_FD(fd), head, &in);
	}
	scoped_close(&fd);
	fd = -1;
	gateway_thread_end(g);
	return NULL;
}

static void accept_one(struct gateway *g)
{
	int fd = accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC);
	if (fd < 0) {
		return;
	}
	struct greeting *p = xnew(struct greeting);
	p->gateway = g;
	p->fd = fd;
	if (gateway_thread(g, greet, p) != 0) {
		close(fd);
		free(p);
	}
}

/* --- the end of things --- */

static struct gateway_conn *next_closed(struct gateway *g)
{
	list_each (pos, &g->conns) {
		struct gateway_conn *c = container_of(pos, struct gateway_conn, node);
		if (c->closed && c->users == 0) {
			list_remove(&c->node);
			return c;
		}
	}
	return NULL;
}

/* Whether anybody is there. */
static bool sweep(struct gateway *g)
{
	struct gateway_conn *c;
	pthread_mutex_lock(&g->lock);
	while ((c = next_closed(g))) {
		pthread_mutex_unlock(&g->lock);
		h2_free(c->h2); /* waits for its handlers, which see that it has gone */
		free(c->session);
		free(c);
		pthread_mutex_lock(&g->lock);
	}
	bool builds = gateway_builds_sweep(g, false);
	bool busy = !list_empty(&g->conns) || g->n_threads > 0 || builds;
	pthread_mutex_unlock(&g->lock);
	return busy;
}

static void *hear_daemon(void *arg)
{
	struct gateway *g = arg;
	for (;;) {
		struct err e;
		json_t *msg = rpc_next(g->rpc, &e); /* without a daemon the process ends */
		if (msg) {
			gateway_message(g, msg);
		}
	}
	return NULL;
}

static void serve(struct gateway *g, int64_t idle_ms)
{
	int64_t quiet_since = clock_mono_ms();
	for (;;) {
		struct pollfd p[2] = {
			{.fd = LISTEN_FD, .events = POLLIN}, {.fd = g->wake_fd, .events = POLLIN}};
		bool busy = sweep(g);
		int64_t now = clock_mono_ms();
		quiet_since = busy ? now : quiet_since;
		if (now - quiet_since >= idle_ms) {
			return;
		}
		(void)poll(p, 2, (int)(busy ? SWEEP_MS : quiet_since + idle_ms - now));
		if (p[1].revents) {
			uint64_t count;
			(void)!read(g->wake_fd, &count, sizeof(count));
		}
		if (p[0].revents) {
			accept_one(g);
			quiet_since = clock_mono_ms();
		}
	}
}

json_t *worker_buildkit(struct rpc *r, const json_t *request, struct err *e)
{
	pthread_t hearer;
	pthread_condattr_t monotonic;
	struct gateway g = {.rpc = r};
	list_init(&g.conns);
	list_init(&g.builds);
	list_init(&g.answers);
	pthread_mutex_init(&g.lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&g.changed, &monotonic);
	g.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (g.wake_fd < 0 || pthread_create(&hearer, NULL, hear_daemon, &g) != 0) {
		(void)err_sys(e, errno, "cannot begin");
		return NULL;
	}
	rpc_send(r, json_pack("{sb}", "ready", 1));
	serve(&g, json_i64(request, "idle_ms", IDLE_MS));
	pthread_mutex_lock(&g.lock);
	gateway_builds_sweep(&g, true);
	pthread_mutex_unlock(&g.lock);
	return json_object(); /* hear_daemon ends with the process */
}
