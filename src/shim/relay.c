/* Invariants
 * 1. A client whose queue is over QUEUE_HIGH stops the reading of output; the container then waits,
 * memory does not grow.
 * 2. Bytes for the container's stdin wait in one buffer; while it is not empty no client's input is
 * read.
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "codec/shim_frame.h"
#include "shim/pages.h"

#define CLIENTS_MAX 32
#define QUEUE_HIGH (256u << 10)
#define READ_BYTES (32u << 10) /* one frame */
#define READS_A_TURN 8         /* of each stream: clients and signals get their turn */
#define FIRST_CLIENT 6         /* slots of struct polls before it */

struct client {
	int fd; /* -1: free slot */
	enum { NEW, CONTROL, ATTACHED } kind;
	unsigned want;
	uint8_t in[SHIM_FRAME_HEAD + SHIM_PAYLOAD_MAX];
	size_t in_n;
	char *queue;
	size_t queue_n, queue_cap;
};

struct relay {
	int listen_fd, signal_fd;
	struct log *log;
	bool tty;
	struct relay_stdio io;
	struct client *clients[CLIENTS_MAX];
	uint8_t state;
	uint8_t state_payload[4096];
	size_t state_n;
	char stdin_data[SHIM_PAYLOAD_MAX];
	size_t stdin_n;
	bool stdin_ending; /* close it once stdin_data is written */
	bool go;           /* the daemon said it */
	bool released;     /* and relay_wait has told */
	bool abandoned;    /* the daemon went before it said GO */
	char chunk[READ_BYTES];
};

struct relay *relay_new(int listen_fd, int signal_fd, struct log *l, bool tty)
{
	struct relay *r = pages_new(sizeof(*r));
	if (r) {
		r->listen_fd = listen_fd;
		r->signal_fd = signal_fd;
		r->log = l;
		r->tty = tty;
		r->io = (struct relay_stdio){-1, -1, -1};
		r->state = SHIM_READY;
	}
	return r;
}

static void client_free(struct relay *r, struct client *c)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (r->clients[i] == c) {
			r->clients[i] = NULL;
		}
	}
	r->abandoned = r->abandoned || (c->kind == CONTROL && !r->go);
	close(c->fd);
	free(c->queue);
	pages_free(c, sizeof(*c));
}

void relay_free(struct relay *r)
{
	for (size_t i = 0; r && i < CLIENTS_MAX; i++) {
		if (r->clients[i]) {
			client_free(r, r->clients[i]);
		}
	}
	pages_free(r, sizeof(*r));
}

/* --- to clients --- */

static void flush_client(struct client *c)
{
	size_t sent = 0;
	while (sent < c->queue_n) {
		ssize_t n = send(
			c->fd, c->queue + sent, c->queue_n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			break; /* EAGAIN: poll tells; anything else shows when it is read */
		}
		sent += (size_t)n;
	}
	memmove(c->queue, c->queue + sent, c->queue_n - sent);
	c->queue_n -= sent;
	if (c->queue_n == 0 && c->queue_cap > SHIM_PAYLOAD_MAX) {
		free(c->queue);
		c->queue = NULL;
		c->queue_cap = 0;
	}
}

static bool make_room(struct client *c, size_t n)
{
	if (c->queue_n + n <= c->queue_cap) {
		return true;
	}
	size_t cap = c->queue_cap ? c->queue_cap : 4096;
	while (cap < c->queue_n + n) {
		cap *= 2;
	}
	char *queue = realloc(c->queue, cap);
	if (!queue) {
		return false;
	}
	c->queue = queue;
	c->queue_cap = cap;
	return true;
}

static void send_frame(struct client *c, uint8_t type, const void *data, size_t n)
{
	uint8_t head[SHIM_FRAME_HEAD];
	shim_frame_head(type, (uint32_t)n, head);
	if (make_room(c, sizeof(head) + n)) { /* otherwise the client loses a whole frame; the
						 container goes on */
		memcpy(c->queue + c->queue_n, head, sizeof(head));
		c->queue_n += sizeof(head);
		if (n > 0) {
			memcpy(c->queue + c->queue_n, data, n);
			c->queue_n += n;
		}
	}
	flush_client(c);
}

void relay_set_state(struct relay *r, uint8_t type, const void *payload, size_t n)
{
	r->state = type;
	r->state_n = n < sizeof(r->state_payload) ? n : sizeof(r->state_payload);
	if (n > 0) {
		memcpy(r->state_payload, payload, r->state_n);
	}
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (r->clients[i] && r->clients[i]->kind == CONTROL) {
			send_frame(r->clients[i], type, r->state_payload, r->state_n);
		}
	}
}

static void spread(struct relay *r, int stream, const char *data, size_t n)
{
	unsigned flag = stream == 1 ? SHIM_WANT_STDOUT : SHIM_WANT_STDERR;
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = r->clients[i];
		if (c && c->kind == ATTACHED && (c->want & flag)) {
			send_frame(c, (uint8_t)stream, data, n);
		}
	}
}

/* --- the container's stdio --- */

void relay_set_stdio(struct relay *r, struct relay_stdio io)
{
	int fds[3] = {io.in, io.out, io.err};
	for (int i = 0; i < 3; i++) {
		if (fds[i] >= 0) {
			fcntl(fds[i], F_SETFL, fcntl(fds[i], F_GETFL) | O_NONBLOCK);
		}
	}
	r->io = io;
}

static void close_input(struct relay *r)
{
	if (r->io.in >= 0 && !r->tty) {
		close(r->io.in);
	}
	r->io.in = -1;
	r->stdin_n = 0;
}

static void write_stdin(struct relay *r)
{
	while (r->stdin_n > 0 && r->io.in >= 0) {
		ssize_t n = write(r->io.in, r->stdin_data, r->stdin_n);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0 && errno == EAGAIN) {
			return;
		}
		if (n < 0) { /* nobody reads any more */
			close_input(r);
			return;
		}
		memmove(r->stdin_data, r->stdin_data + n, r->stdin_n - (size_t)n);
		r->stdin_n -= (size_t)n;
	}
	if (r->stdin_n == 0 && r->stdin_ending && r->io.in >= 0) {
		if (r->tty) { /* a terminal is not closed: the line discipline's end-of-file
				 character */
			r->stdin_ending = false;
			return;
		}
		close_input(r);
	}
}

/* One read. Returns bytes, 0 at the end, -1 when there is nothing now. */
static ssize_t read_output(struct relay *r, int stream)
{
	int *fd = stream == 1 ? &r->io.out : &r->io.err;
	ssize_t n = read(*fd, r->chunk, sizeof(r->chunk));
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		return -1;
	}
	if (n <= 0) { /* a pty says EIO when its last user has gone */
		if (r->tty && r->io.in == *fd) {
			r->io.in = -1;
		}
		close(*fd);
		*fd = -1;
		return 0;
	}
	if (r->log) {
		log_write(r->log, stream, r->chunk, (size_t)n);
	}
	spread(r, stream, r->chunk, (size_t)n);
	return n;
}

static bool somebody_is_slow(const struct relay *r)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (r->clients[i] && r->clients[i]->queue_n > QUEUE_HIGH) {
			return true;
		}
	}
	return false;
}

/* One poll for several reads: a busy container would cost one for each line it writes. */
static void read_much(struct relay *r, int stream)
{
	for (int i = 0; i < READS_A_TURN && !somebody_is_slow(r); i++) {
		if (read_output(r, stream) <= 0) {
			break;
		}
	}
}

void relay_drain_output(struct relay *r)
{
	for (int stream = 1; stream <= 2; stream++) {
		while ((stream == 1 ? r->io.out : r->io.err) >= 0 && read_output(r, stream) > 0) {
		}
	}
	if (r->log) {
		log_flush(r->log);
	}
}

/* --- from clients --- */

static void resize(struct relay *r, const uint8_t *p, size_t n)
{
	if (n == 4 && r->tty && r->io.out >= 0) {
		struct winsize w = {.ws_row = (unsigned short)(p[0] << 8 | p[1]),
			.ws_col = (unsigned short)(p[2] << 8 | p[3])};
		ioctl(r->io.out, TIOCSWINSZ, &w);
	}
}

/* False when the client must go. */
static bool handle_frame(
	struct relay *r, struct client *c, uint8_t type, const uint8_t *p, size_t n)
{
	switch (type) {
	case SHIM_CONTROL:
		c->kind = CONTROL;
		send_frame(c, r->state, r->state_payload, r->state_n);
		return true;
	case SHIM_ATTACH:
		if (n != 1) {
			return false;
		}
		c->kind = ATTACHED;
		c->want = p[0];
		send_frame(c, SHIM_ATTACHED, NULL, 0);
		return true;
	case SHIM_STDIN:
		if (r->io.in >= 0 && !r->stdin_ending) {
			memcpy(r->stdin_data, p, n);
			r->stdin_n = n;
			write_stdin(r);
		}
		return true;
	case SHIM_STDIN_END:
		r->stdin_ending = true;
		write_stdin(r);
		return true;
	case SHIM_RESIZE:
		resize(r, p, n);
		return true;
	case SHIM_GO:
		r->go = true;
		return true;
	default:
		return false;
	}
}

/* Handles whole frames; stops at stdin bytes while earlier ones still wait, or before there is a
 * stdin. */
static bool handle_input(struct relay *r, struct client *c)
{
	while (c->in_n >= SHIM_FRAME_HEAD) {
		uint8_t type;
		uint32_t len;
		if (shim_frame_parse(c->in, &type, &len) < 0) {
			return false;
		}
		bool early = r->state == SHIM_READY || r->stdin_n > 0;
		if (c->in_n < SHIM_FRAME_HEAD + len ||
			(early && (type == SHIM_STDIN || type == SHIM_STDIN_END))) {
			return true;
		}
		if (!handle_frame(r, c, type, c->in + SHIM_FRAME_HEAD, len)) {
			return false;
		}
		c->in_n -= SHIM_FRAME_HEAD + len;
		memmove(c->in, c->in + SHIM_FRAME_HEAD + len, c->in_n);
	}
	return true;
}

static void read_client(struct relay *r, struct client *c)
{
	if (c->in_n < sizeof(c->in)) {
		ssize_t n = recv(c->fd, c->in + c->in_n, sizeof(c->in) - c->in_n, MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			client_free(r, c);
			return;
		}
		c->in_n += n > 0 ? (size_t)n : 0;
	}
	if (!handle_input(r, c)) {
		client_free(r, c);
	}
}

static void accept_client(struct relay *r)
{
	int fd = accept4(r->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	for (size_t i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
		if (!r->clients[i]) {
			r->clients[i] = pages_new(sizeof(struct client));
			if (r->clients[i]) {
				r->clients[i]->fd = fd;
				return;
			}
		}
	}
	if (fd >= 0) {
		close(fd);
	}
}

/* --- the loop --- */

struct polls {
	struct pollfd fds[FIRST_CLIENT + CLIENTS_MAX];
	struct client *clients[FIRST_CLIENT + CLIENTS_MAX];
	nfds_t n;
};

static void add_poll(struct polls *p, int fd, short events, struct client *c)
{
	p->fds[p->n] = (struct pollfd){.fd = fd, .events = events};
	p->clients[p->n++] = c;
}

static bool can_take_input(const struct relay *r, const struct client *c)
{
	return c->in_n < sizeof(c->in) && !(r->stdin_n > 0 && c->in_n >= SHIM_FRAME_HEAD);
}

/* Slots 0 to 5 are listener, signals, stdin, stdout, stderr, log; then clients. */
static void fill_polls(const struct relay *r, struct polls *p)
{
	bool held = somebody_is_slow(r);
	p->n = 0;
	add_poll(p, r->listen_fd, POLLIN, NULL);
	add_poll(p, r->signal_fd, POLLIN, NULL);
	add_poll(p, r->stdin_n > 0 ? r->io.in : -1, POLLOUT, NULL);
	add_poll(p, held ? -1 : r->io.out, POLLIN, NULL);
	add_poll(p, held ? -1 : r->io.err, POLLIN, NULL);
	add_poll(p, r->log ? log_fd(r->log) : -1, POLLOUT, NULL);
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = r->clients[i];
		if (c) {
			short events = (short)((can_take_input(r, c) ? POLLIN : 0) |
					       (c->queue_n > 0 ? POLLOUT : 0));
			add_poll(p, c->fd, events, c);
		}
	}
}

static void serve_clients(struct relay *r, const struct polls *p)
{
	for (nfds_t i = FIRST_CLIENT; i < p->n; i++) {
		struct client *c = p->clients[i];
		if (p->fds[i].revents & POLLOUT) {
			flush_client(c);
		}
		if (p->fds[i].revents & POLLIN) {
			read_client(r, c);
		} else if (p->fds[i].revents & (POLLHUP | POLLERR)) {
			client_free(r, c);
		}
	}
}

/* Frames that waited for the state to change or for room in stdin. */
static void resume_input(struct relay *r)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = r->clients[i];
		if (c && c->in_n >= SHIM_FRAME_HEAD && !handle_input(r, c)) {
			client_free(r, c);
		}
	}
}

static bool child_changed(struct relay *r)
{
	struct signalfd_siginfo info;
	return read(r->signal_fd, &info, sizeof(info)) == sizeof(info);
}

static int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool is_readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, timeout_ms) > 0;
}

/* Accepts those who connected already and reads what they sent. */
static void hear_pending(struct relay *r)
{
	while (is_readable(r->listen_fd, 0)) {
		accept_client(r);
	}
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (r->clients[i] && is_readable(r->clients[i]->fd, 0)) {
			read_client(r, r->clients[i]);
		}
	}
}

static bool has_control(const struct relay *r)
{
	for (size_t i = 0; i < CLIENTS_MAX; i++) {
		if (r->clients[i] && r->clients[i]->kind == CONTROL) {
			return true;
		}
	}
	return false;
}

void relay_wait_control(struct relay *r, int limit_ms)
{
	int64_t end = now_ms() + limit_ms;
	hear_pending(r);
	while (!has_control(r) && now_ms() < end) {
		is_readable(r->listen_fd, 10);
		hear_pending(r);
	}
}

enum relay_event relay_wait(struct relay *r)
{
	struct polls p;
	for (;;) {
		resume_input(r);
		if (r->go && !r->released) {
			r->released = true;
			hear_pending(r); /* whoever attached before the start sees the first byte */
			return RELAY_GO;
		}
		if (r->abandoned) {
			return RELAY_ABANDONED;
		}
		fill_polls(r, &p);
		if (poll(p.fds, p.n, -1) < 0) {
			continue;
		}
		if (p.fds[3].revents) {
			read_much(r, 1);
		}
		if (p.fds[4].revents) {
			read_much(r, 2);
		}
		if (r->log) {
			log_flush(r->log);
		}
		if (p.fds[2].revents) {
			write_stdin(r);
		}
		serve_clients(r, &p);
		if (p.fds[0].revents) {
			accept_client(r);
		}
		if (p.fds[1].revents && child_changed(r)) {
			return RELAY_CHILD;
		}
	}
}

void relay_flush(struct relay *r, int limit_ms)
{
	int64_t end = now_ms() + limit_ms;
	for (;;) {
		struct polls p = {.n = 0};
		for (size_t i = 0; i < CLIENTS_MAX; i++) {
			if (r->clients[i] && r->clients[i]->queue_n > 0) {
				add_poll(&p, r->clients[i]->fd, POLLOUT, r->clients[i]);
			}
		}
		int64_t left = end - now_ms();
		if (p.n == 0 || left <= 0 || poll(p.fds, p.n, (int)left) <= 0) {
			return;
		}
		for (nfds_t i = 0; i < p.n; i++) {
			size_t before = p.clients[i]->queue_n;
			flush_client(p.clients[i]);
			if (p.clients[i]->queue_n == before &&
				(p.fds[i].revents & (POLLHUP | POLLERR))) {
				client_free(r, p.clients[i]);
			}
		}
	}
}
