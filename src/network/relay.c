/* Invariants
 * 1. A pair or flow that is in its relay's list has the relay; one that is not only waits for its
 * handles to close.
 * 2. A side reads only while the other side has nothing to write.
 */
#include "network/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"

#define BUFFER_BYTES 65536
#define BACKLOG 128
#define FLOW_IDLE_MS 90000 /* as Docker's proxy: UDPConnTrackTimeout */

struct relay {
	union {
		uv_handle_t handle;
		uv_stream_t stream;
		uv_tcp_t tcp;
		uv_udp_t udp;
	};
	uint8_t proto;
	struct sockaddr_storage target;
	struct list children; /* of struct pair or struct flow */
	size_t n;
	char *datagram; /* UDP: what has just come */
};

/* --- TCP --- */

struct side {
	uv_tcp_t tcp;
	struct pair *pair;
	struct side *other;
	uv_write_t write;
	uv_shutdown_t shutdown;
	char *buffer;
	bool ended; /* nothing more comes from here */
};

struct pair {
	struct list link;
	struct relay *relay;
	struct side sides[2]; /* client, container */
	uv_connect_t connect;
	int open_handles;
};

static void side_closed(uv_handle_t *handle)
{
	struct side *s = handle->data;
	struct pair *p = s->pair;
	free(s->buffer);
	s->buffer = NULL;
	if (--p->open_handles == 0) {
		free(p);
	}
}

static void pair_close(struct pair *p)
{
	if (!p->relay) {
		return;
	}
	list_remove(&p->link);
	p->relay->n--;
	p->relay = NULL;
	for (int i = 0; i < 2; i++) {
		uv_close((uv_handle_t *)&p->sides[i].tcp, side_closed);
	}
}

static void side_read(struct side *s);

static void on_written(uv_write_t *write, int status)
{
	struct side *s = write->data;
	if (!s->pair->relay) {
		return;
	}
	free(s->buffer);
	s->buffer = NULL;
	if (status < 0) {
		pair_close(s->pair);
	} else {
		side_read(s);
	}
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
	struct side *s = shutdown->data;
	if (s->pair->relay && (status < 0 || (s->ended && s->other->ended))) {
		pair_close(s->pair);
	}
}

static void alloc_side(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct side *s = handle->data;
	s->buffer = s->buffer ? s->buffer : xcalloc(BUFFER_BYTES, 1);
	*ret = uv_buf_init(s->buffer, BUFFER_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
	struct side *s = stream->data;
	if (!s->pair->relay || n == 0) {
		return;
	}
	if (n == UV_EOF) {
		uv_read_stop(stream);
		s->ended = true;
		s->shutdown.data = s;
		if (uv_shutdown(&s->shutdown, (uv_stream_t *)&s->other->tcp, on_shutdown) < 0) {
			pair_close(s->pair);
		}
		return;
	}
	const uv_buf_t out = uv_buf_init(b->base, n > 0 ? (unsigned)n : 0);
	uv_read_stop(stream);
	s->write.data = s;
	if (n < 0 || uv_write(&s->write, (uv_stream_t *)&s->other->tcp, &out, 1, on_written) < 0) {
		pair_close(s->pair);
	}
}

static void side_read(struct side *s)
{
	if (uv_read_start((uv_stream_t *)&s->tcp, alloc_side, on_read) < 0) {
		pair_close(s->pair);
	}
}

static void on_connected(uv_connect_t *connect, int status)
{
	struct pair *p = connect->data;
	if (!p->relay) {
		return;
	}
	if (status < 0) {
		pair_close(p);
		return;
	}
	for (int i = 0; i < 2 && p->relay; i++) {
		uv_tcp_nodelay(&p->sides[i].tcp, 1);
		side_read(&p->sides[i]);
	}
}

static void on_connection(uv_stream_t *server, int status)
{
	struct relay *r = server->data;
	if (!r || status < 0) {
		return;
	}
	struct pair *p = xnew(struct pair);
	p->relay = r;
	p->open_handles = 2;
	list_init(&p->link);
	list_append(&r->children, &p->link);
	r->n++;
	for (int i = 0; i < 2; i++) {
		struct side *s = &p->sides[i];
		s->pair = p;
		s->other = &p->sides[1 - i];
		uv_tcp_init(server->loop, &s->tcp);
		s->tcp.data = s;
	}
	p->connect.data = p;
	if (uv_accept(server, (uv_stream_t *)&p->sides[0].tcp) < 0 ||
		r->n > RELAY_CONNECTIONS_MAX ||
		uv_tcp_connect(&p->connect, &p->sides[1].tcp, (const struct sockaddr *)&r->target,
			on_connected) < 0) {
		pair_close(p);
	}
}

/* --- UDP --- */

/* What one client sends and gets. */
struct flow {
	struct list link;
	struct relay *relay;
	struct sockaddr_storage client;
	uv_udp_t udp; /* connected to the container */
	uv_timer_t timer;
	int open_handles;
};

static void flow_closed(uv_handle_t *handle)
{
	struct flow *f = handle->data;
	if (--f->open_handles == 0) {
		free(f);
	}
}

static void flow_close(struct flow *f)
{
	if (!f->relay) {
		return;
	}
	list_remove(&f->link);
	f->relay->n--;
	f->relay = NULL;
	uv_close((uv_handle_t *)&f->udp, flow_closed);
	uv_close((uv_handle_t *)&f->timer, flow_closed);
}

static void on_idle(uv_timer_t *timer)
{
	flow_close(timer->data);
}

static void alloc_answer(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	const struct flow *f = handle->data;
	*ret = f->relay ? uv_buf_init(f->relay->datagram, BUFFER_BYTES) : uv_buf_init(NULL, 0);
}

static void on_answer(
	uv_udp_t *udp, ssize_t n, const uv_buf_t *b, const struct sockaddr *from, unsigned flags)
{
	struct flow *f = udp->data;
	if (!f->relay || n < 0 || (n == 0 && !from) || flags & UV_UDP_PARTIAL) {
		return; /* also when nobody listens there: perhaps not yet */
	}
	const uv_buf_t out = uv_buf_init(b->base, (unsigned)n);
	uv_timer_again(&f->timer);
	uv_udp_try_send(&f->relay->udp, &out, 1, (const struct sockaddr *)&f->client);
}

static struct flow *flow_new(struct relay *r, const struct sockaddr_storage *client)
{
	struct flow *f = xnew(struct flow);
	f->relay = r;
	f->client = *client;
	f->open_handles = 2;
	list_init(&f->link);
	list_append(&r->children, &f->link);
	r->n++;
	uv_udp_init(r->udp.loop, &f->udp);
	uv_timer_init(r->udp.loop, &f->timer);
	f->udp.data = f;
	f->timer.data = f;
	uv_timer_start(&f->timer, on_idle, FLOW_IDLE_MS, FLOW_IDLE_MS);
	if (uv_udp_connect(&f->udp, (const struct sockaddr *)&r->target) < 0 ||
		uv_udp_recv_start(&f->udp, alloc_answer, on_answer) < 0) {
		flow_close(f);
		return NULL;
	}
	return f;
}

static struct flow *flow_of(struct relay *r, const struct sockaddr_storage *client)
{
	const struct sockaddr_in6 *wanted = (const void *)client;
	list_each (i, &r->children) {
		struct flow *f = container_of(i, struct flow, link);
		const struct sockaddr_in6 *known = (const void *)&f->client;
		if (known->sin6_port == wanted->sin6_port &&
			known->sin6_scope_id == wanted->sin6_scope_id &&
			memcmp(&known->sin6_addr, &wanted->sin6_addr, IP6_BYTES) == 0) {
			return f;
		}
	}
	return r->n < RELAY_FLOWS_MAX ? flow_new(r, client) : NULL;
}

static void alloc_datagram(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	const struct relay *r = handle->data;
	*ret = r ? uv_buf_init(r->datagram, BUFFER_BYTES) : uv_buf_init(NULL, 0);
}

static void on_datagram(
	uv_udp_t *udp, ssize_t n, const uv_buf_t *b, const struct sockaddr *from, unsigned flags)
{
	struct relay *r = udp->data;
	if (!r || n < 0 || !from || from->sa_family != AF_INET6 || flags & UV_UDP_PARTIAL) {
		return;
	}
	struct sockaddr_storage client = {0};
	memcpy(&client, from, sizeof(struct sockaddr_in6));
	struct flow *f = flow_of(r, &client);
	if (f) {
		const uv_buf_t out = uv_buf_init(b->base, (unsigned)n);
		uv_timer_again(&f->timer);
		uv_udp_try_send(&f->udp, &out, 1, NULL);
	}
}

/* --- the relay --- */

static int listen_tcp(uv_loop_t *l, struct relay *r, int fd)
{
	/* Connections that have ended keep the port for a minute (TIME_WAIT), against all who bind
	 * or listen without this; who listens is alone all the same. */
	int one = 1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	uv_tcp_init(l, &r->tcp);
	int e = uv_tcp_open(&r->tcp, fd);
	if (e < 0) {
		close(fd);
		return e;
	}
	return uv_listen(&r->stream, BACKLOG, on_connection);
}

static int listen_udp(uv_loop_t *l, struct relay *r, int fd)
{
	r->datagram = xcalloc(BUFFER_BYTES, 1);
	uv_udp_init(l, &r->udp);
	int e = uv_udp_open(&r->udp, fd);
	if (e < 0) {
		close(fd);
		return e;
	}
	return uv_udp_recv_start(&r->udp, alloc_datagram, on_datagram);
}

struct relay *relay_start(uv_loop_t *l, const struct port *p)
{
	int fd = p->fd < 0 ? -1 : fcntl(p->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)) {
		return NULL;
	}
	struct relay *r = xnew(struct relay);
	list_init(&r->children);
	r->proto = p->proto;
	ip_to_sockaddr(p->address, p->inside, &r->target);
	int failed = p->proto == IPPROTO_TCP ? listen_tcp(l, r, fd) : listen_udp(l, r, fd);
	r->handle.data = r;
	uv_unref(&r->handle);
	if (failed < 0) {
		log_warning("network", "no_relay", "port", LOG_N(p->outside), "error",
			uv_strerror(failed), NULL);
		relay_stop(r);
		return NULL;
	}
	return r;
}

static void relay_closed(uv_handle_t *handle)
{
	struct relay *r = (struct relay *)handle;
	free(r->datagram);
	free(r);
}

void relay_stop(struct relay *r)
{
	if (!r) {
		return;
	}
	list_each_safe (i, &r->children) {
		if (r->proto == IPPROTO_TCP) {
			pair_close(container_of(i, struct pair, link));
		} else {
			flow_close(container_of(i, struct flow, link));
		}
	}
	r->handle.data = NULL;
	uv_close(&r->handle, relay_closed);
}
