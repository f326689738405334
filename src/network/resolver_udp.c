/* DNS over UDP, many datagrams a system call: a container that asks a lot is answered in batches,
 * one that asks little waits for none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "network/resolver_client.h"

#define BATCH 32
#define ROUNDS_MAX 4 /* in one turn of the loop: others wait */
#define QUERY_BYTES 1024
#define ANSWER_BYTES 1232 /* dnsflagday.net/2020; a longer one is cut, and asked for by TCP */

struct datagrams {
	uv_poll_t poll;
	int fd;
	struct client *client; /* NULL: only waits to be closed */
};

/* One batch: in use only while on_readable runs, so all containers share it. */
struct datagram_batch {
	struct mmsghdr in[BATCH];
	struct mmsghdr out[BATCH];
	struct iovec in_parts[BATCH];
	struct iovec out_parts[BATCH];
	struct sockaddr_in from[BATCH];
	uint8_t queries[BATCH][QUERY_BYTES];
	uint8_t answers[BATCH][ANSWER_BYTES];
};

struct datagram_batch *datagram_batch_new(void)
{
	struct datagram_batch *b = xnew(struct datagram_batch);
	for (size_t i = 0; i < BATCH; i++) {
		b->in_parts[i] = (struct iovec){b->queries[i], QUERY_BYTES};
		b->in[i].msg_hdr = (struct msghdr){
			.msg_name = &b->from[i], .msg_iov = &b->in_parts[i], .msg_iovlen = 1};
		b->out[i].msg_hdr = (struct msghdr){.msg_namelen = sizeof(b->from[i]),
			.msg_iov = &b->out_parts[i],
			.msg_iovlen = 1};
	}
	return b;
}

void datagram_batch_free(struct datagram_batch *b)
{
	free(b);
}

/* Answers what came; returns how many answers there are to send. */
static unsigned answer_all(struct client *c, struct datagram_batch *b, int n)
{
	unsigned answers = 0;
	for (int i = 0; i < n; i++) {
		const struct sockaddr_in *from = &b->from[i];
		size_t length = b->in[i].msg_len;
		if (b->in[i].msg_hdr.msg_flags & MSG_TRUNC || from->sin_family != AF_INET) {
			continue;
		}
		ssize_t r = client_answer(
			c, b->queries[i], length, false, b->answers[answers], ANSWER_BYTES);
		if (r == -EAGAIN) {
			client_ask_upstream(c, b->queries[i], length, from);
		} else if (r > 0) {
			b->out_parts[answers] = (struct iovec){b->answers[answers], (size_t)r};
			b->out[answers++].msg_hdr.msg_name = &b->from[i];
		}
	}
	return answers;
}

/* What the socket does not take is lost, as datagrams may be. */
static void send_all(int fd, struct datagram_batch *b, unsigned n)
{
	for (unsigned sent = 0; sent < n;) {
		int r = sendmmsg(fd, b->out + sent, n - sent, MSG_DONTWAIT);
		if (r <= 0) {
			return;
		}
		sent += (unsigned)r;
	}
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	const struct datagrams *d = poll->data;
	if (!d->client || status < 0) {
		return;
	}
	struct datagram_batch *b = client_batch(d->client);
	int n = BATCH;
	for (int round = 0; n == BATCH && round < ROUNDS_MAX; round++) {
		for (size_t i = 0; i < BATCH; i++) {
			b->in[i].msg_hdr.msg_namelen = sizeof(b->from[i]);
		}
		n = recvmmsg(d->fd, b->in, BATCH, MSG_DONTWAIT, NULL);
		if (n > 0) {
			send_all(d->fd, b, answer_all(d->client, b, n));
		}
	}
}

int datagrams_open(uv_loop_t *l, struct client *c, int take_fd, struct datagrams **ret)
{
	struct datagrams *d = xnew(struct datagrams);
	d->fd = take_fd;
	d->client = c;
	int r = uv_poll_init(l, &d->poll, take_fd);
	if (r < 0) {
		close(take_fd);
		free(d);
		return r;
	}
	d->poll.data = d;
	*ret = d; /* from here on it closes like any other */
	return uv_poll_start(&d->poll, UV_READABLE, on_readable);
}

int datagrams_fd(const struct datagrams *d)
{
	return d->fd;
}

void datagrams_send(
	const struct datagrams *d, const struct sockaddr_in *to, const uint8_t *answer, size_t n)
{
	/* lost datagrams are asked for again */
	ssize_t ignored =
		sendto(d->fd, answer, n, MSG_DONTWAIT, (const struct sockaddr *)to, sizeof(*to));
	(void)ignored;
}

static void on_closed(uv_handle_t *handle)
{
	struct datagrams *d = handle->data;
	close(d->fd);
	free(d);
}

void datagrams_close(struct datagrams *d)
{
	if (d) {
		d->client = NULL;
		uv_close((uv_handle_t *)&d->poll, on_closed);
	}
}
