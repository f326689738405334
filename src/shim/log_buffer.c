/* mode=non-blocking: the container's bytes wait in a buffer for a process that writes them; what
 * does not fit is dropped, the container never waits.
 *
 * Between the two is a socketpair of messages: one byte for the stream (0: the end), then bytes.
 */
#include "shim/log.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MESSAGE_MAX (32 << 10) /* one read of the relay, or less */

struct message {
	struct message *next;
	size_t n;
	char data[]; /* the stream, then the bytes */
};

struct log_buffer {
	int fd;
	pid_t pid;
	int64_t bytes, max_bytes;
	struct message *first, **last;
};

/* --- the writer --- */

static void reap(struct log *l)
{
	int status;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		log_child_ended(l, pid, status);
	}
}

/* Lines go to the file when nothing more is there at the moment. */
static void write_all(int fd, struct log *l)
{
	static char data[1 + MESSAGE_MAX];
	for (;;) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		if (poll(&p, 1, 0) == 0) {
			log_flush(l);
			poll(&p, 1, 1000); /* a helper that has ended is seen within a second */
		}
		reap(l);
		if (!(p.revents & (POLLIN | POLLHUP))) {
			continue;
		}
		ssize_t n = recv(fd, data, sizeof(data), 0);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0 || data[0] == 0) {
			log_end(l);
			return;
		}
		log_write(l, data[0], data + 1, (size_t)n - 1);
	}
}

static void writer(int fd, const struct log_options *o)
{
	struct log_options direct = *o;
	direct.buffer_bytes = 0;
	struct log *l = log_open(&direct);
	char opened = l ? 0 : (char)errno;
	if (send(fd, &opened, 1, MSG_NOSIGNAL) < 0 || !l) {
		_exit(1);
	}
	write_all(fd, l);
	_exit(0);
}

/* --- the shim --- */

struct log_buffer *log_buffer_new(const struct log_options *o, int64_t bytes)
{
	int fds[2];
	char opened = EIO;
	struct log_buffer *b = calloc(1, sizeof(*b));
	if (!b || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0) {
		free(b);
		return NULL;
	}
	b->max_bytes = bytes;
	b->last = &b->first;
	b->fd = fds[0];
	b->pid = fork();
	if (b->pid == 0) {
		/* it has a life of its own: what the shim handed over is written even if that is
		 * killed, and nobody must take its copy of shim.sock for the shim's */
		dup2(fds[1], 3);
		close_range(4, ~0u, 0);
		writer(3, o);
	}
	close(fds[1]);
	if (b->pid < 0 || recv(b->fd, &opened, 1, 0) != 1 || opened) {
		close(b->fd);
		free(b);
		errno = opened ? opened : EIO;
		return NULL;
	}
	return b;
}

void log_buffer_put(struct log_buffer *b, int stream, const char *data, size_t n)
{
	if (b->bytes + (int64_t)n > b->max_bytes) {
		return;
	}
	while (n > 0) {
		size_t part = n < MESSAGE_MAX ? n : MESSAGE_MAX;
		struct message *m = malloc(sizeof(*m) + 1 + part);
		if (!m) {
			return;
		}
		m->next = NULL;
		m->n = 1 + part;
		m->data[0] = (char)stream;
		memcpy(m->data + 1, data, part);
		*b->last = m;
		b->last = &m->next;
		b->bytes += (int64_t)part;
		data += part;
		n -= part;
	}
}

static bool send_first(struct log_buffer *b, int flags)
{
	struct message *m = b->first;
	ssize_t n = send(b->fd, m->data, m->n, MSG_NOSIGNAL | flags);
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)) {
		return false;
	}
	b->first = m->next; /* also when the writer has gone: these bytes have no place any more */
	b->last = b->first ? b->last : &b->first;
	b->bytes -= (int64_t)m->n - 1;
	free(m);
	return true;
}

void log_buffer_send(struct log_buffer *b)
{
	while (b->first && send_first(b, MSG_DONTWAIT)) {
	}
}

int log_buffer_fd(const struct log_buffer *b)
{
	return b->first ? b->fd : -1;
}

void log_buffer_end(struct log_buffer *b)
{
	const char end = 0;
	while (b->first) {
		send_first(b, 0);
	}
	if (send(b->fd, &end, 1, MSG_NOSIGNAL) < 0) {
		return;
	}
	while (waitpid(b->pid, NULL, 0) < 0 && errno == EINTR) {
	}
}

void log_buffer_free(struct log_buffer *b)
{
	if (b) {
		close(b->fd);
		while (b->first) {
			struct message *m = b->first;
			b->first = m->next;
			free(m);
		}
		free(b);
	}
}
