/* network/resolver_client.h - what resolver.c, resolver_udp.c and resolver_tcp.c share. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <uv.h>

#include "base/list.h"
#include "base/strv.h"
#include "codec/dns.h"
#include "network/forward.h"

#define PENDING_MAX 512       /* questions under way upstream, of all containers */
#define CLIENT_PENDING_MAX 64 /* of one container */
#define CLIENT_CONNECTIONS_MAX 16
#define QUERY_BYTES_MAX 4096

struct resolver;

/* One container. */
struct client {
	struct resolver *resolver;
	char *container_id;
	struct datagrams *udp; /* NULL while parked, as tcp */
	uv_tcp_t *tcp;
	struct strv servers; /* of this container alone; empty: the daemon's */
	struct list pending; /* struct question */
	size_t pending_n;
	struct list connections;
	size_t connections_n;
};

/* Answers at once (returns the answer's length in out), or -EAGAIN: it is a question for the
 * servers upstream; or -EINVAL: not to be answered at all. */
ssize_t client_answer(
	struct client *c, const uint8_t *message, size_t n, bool tcp, uint8_t *out, size_t limit);
/* SERVFAIL for a question that nobody answered. */
size_t client_refuse(const uint8_t *message, size_t n, uint8_t *out, size_t limit);
/* Asks upstream; NULL when that cannot be. The caller counts: client_pending_done when done ran or
 * after a cancel. */
struct forward *client_forward(struct client *c, const uint8_t *message, size_t n, bool tcp,
	forward_done_fn *done, void *owner);
void client_pending_done(struct client *c);

/* A question that came by UDP: the answer follows when there is one. */
void client_ask_upstream(
	struct client *c, const uint8_t *message, size_t n, const struct sockaddr_in *from);
struct datagram_batch *client_batch(const struct client *c);

/* --- resolver_udp.c --- */
struct datagram_batch *datagram_batch_new(void);
void datagram_batch_free(struct datagram_batch *b);
/* take_fd is bound and non-blocking. 0, or a negative error: *ret, when it is set, is to be closed.
 */
int datagrams_open(uv_loop_t *l, struct client *c, int take_fd, struct datagrams **ret);
int datagrams_fd(const struct datagrams *d); /* borrowed */
void datagrams_send(
	const struct datagrams *d, const struct sockaddr_in *to, const uint8_t *answer, size_t n);
void datagrams_close(struct datagrams *d); /* NULL is fine */

/* --- resolver_tcp.c: take_fd is bound; 0 or -errno --- */
int client_listen(uv_loop_t *l, struct client *c, int take_fd);
void client_close_connections(struct client *c);
