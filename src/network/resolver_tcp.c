/* DNS over TCP (RFC 7766): two bytes of length before every message, several questions on one
 * connection, one at a time.
 *
 * Invariant: a connection that is no longer in its client's list has client NULL and only waits for
 * its handles to close.
 */
#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "network/resolver_client.h"

#define IDLE_MS 10000
#define READ_BYTES 1024
#define BACKLOG 8

struct connection {
	struct list link;
	struct client *client;
	uv_tcp_t tcp;
	uv_timer_t timer;
	int open_handles;
	uv_write_t write;
	struct buf in;
	struct buf out;
	size_t asked;            /* bytes of in that the question under way takes */
	struct forward *forward; /* under way upstream */
	bool writing;
};

static void handle_closed(uv_handle_t *handle)
{
	struct connection *k = handle->data;
	if (--k->open_handles == 0) {
		buf_deinit(&k->in);
		buf_deinit(&k->out);
		free(k);
	}
}

static void connection_close(struct connection *k)
{
	if (!k->client) {
		return;
	}
	if (k->forward) {
		forward_cancel(k->forward);
		k->forward = NULL;
		client_pending_done(k->client);
	}
	list_remove(&k->link);
	k->client->connections_n--;
	k->client = NULL;
	uv_close((uv_handle_t *)&k->tcp, handle_closed);
	uv_close((uv_handle_t *)&k->timer, handle_closed);
}

static void on_idle(uv_timer_t *timer)
{
	connection_close(timer->data);
}

static void next_question(struct connection *k);

static void on_written(uv_write_t *write, int status)
{
	struct connection *k = write->data;
	if (!k->client) {
		return;
	}
	k->writing = false;
	if (status < 0) {
		connection_close(k);
		return;
	}
	next_question(k);
}

static void answer_question(struct connection *k, const uint8_t *answer, size_t n)
{
	const uint8_t length[2] = {(uint8_t)(n >> 8), (uint8_t)n};
	buf_consume(&k->in, k->asked);
	k->asked = 0;
	buf_clear(&k->out);
	buf_append(&k->out, length, 2);
	buf_append(&k->out, answer, n);
	const uv_buf_t b = uv_buf_init(k->out.data, (unsigned)k->out.len);
	k->writing = true;
	k->write.data = k;
	if (uv_write(&k->write, (uv_stream_t *)&k->tcp, &b, 1, on_written) < 0) {
		connection_close(k);
	}
}

static void refuse_question(struct connection *k)
{
	uint8_t out[DNS_UDP_BYTES];
	size_t n = client_refuse((const uint8_t *)k->in.data + 2, k->asked - 2, out, sizeof(out));
	answer_question(k, out, n);
}

static void on_upstream(void *owner, const uint8_t *answer, size_t n)
{
	struct connection *k = owner;
	k->forward = NULL;
	client_pending_done(k->client);
	if (answer) {
		answer_question(k, answer, n);
	} else {
		refuse_question(k);
	}
}

static void take_question(struct connection *k, const uint8_t *message, size_t n)
{
	uint8_t out[QUERY_BYTES_MAX];
	ssize_t r = client_answer(k->client, message, n, true, out, sizeof(out));
	if (r == -EINVAL) {
		connection_close(k);
	} else if (r >= 0) {
		answer_question(k, out, (size_t)r);
	} else {
		k->forward = client_forward(k->client, message, n, true, on_upstream, k);
		if (!k->forward) {
			refuse_question(k);
		}
	}
}

static void next_question(struct connection *k)
{
	if (k->forward || k->writing || k->in.len < 2) {
		return;
	}
	const uint8_t *p = (const uint8_t *)k->in.data;
	size_t n = (size_t)(p[0] << 8 | p[1]);
	if (n > QUERY_BYTES_MAX) {
		connection_close(k);
		return;
	}
	if (k->in.len < n + 2) {
		return;
	}
	k->asked = n + 2;
	uv_timer_again(&k->timer);
	take_question(k, p + 2, n);
}

static void alloc_read(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	*ret = uv_buf_init(xcalloc(READ_BYTES, 1), READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
	struct connection *k = stream->data;
	scoped(free) char *data = b->base;
	if (!k->client || n == 0) {
		return;
	}
	/* Who sends questions without waiting for answers gets as far as two of the longest. */
	if (n < 0 || buf_append_limited(
			     &k->in, data, (size_t)n, 2 * (size_t)(QUERY_BYTES_MAX + 2)) < 0) {
		connection_close(k);
		return;
	}
	next_question(k);
}

static void on_connection(uv_stream_t *server, int status)
{
	struct client *c = server->data;
	if (!c || status < 0) {
		return;
	}
	struct connection *k = xnew(struct connection);
	k->client = c;
	k->open_handles = 2;
	uv_tcp_init(server->loop, &k->tcp);
	uv_timer_init(server->loop, &k->timer);
	k->tcp.data = k;
	k->timer.data = k;
	list_init(&k->link);
	list_append(&c->connections, &k->link);
	c->connections_n++;
	if (uv_accept(server, (uv_stream_t *)&k->tcp) < 0 ||
		c->connections_n > CLIENT_CONNECTIONS_MAX ||
		uv_read_start((uv_stream_t *)&k->tcp, alloc_read, on_read) < 0) {
		connection_close(k);
		return;
	}
	uv_timer_start(&k->timer, on_idle, IDLE_MS, IDLE_MS);
}

int client_listen(uv_loop_t *l, struct client *c, int take_fd)
{
	c->tcp = xnew(uv_tcp_t);
	uv_tcp_init(l, c->tcp);
	c->tcp->data = c;
	int r = uv_tcp_open(c->tcp, take_fd);
	if (r < 0) {
		close(take_fd);
		return r;
	}
	return uv_listen((uv_stream_t *)c->tcp, BACKLOG, on_connection);
}

void client_close_connections(struct client *c)
{
	list_each_safe (i, &c->connections) {
		connection_close(container_of(i, struct connection, link));
	}
}
