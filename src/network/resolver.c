/* Invariants
 * 1. A client's sockets are open exactly while its container is on a network: an open socket keeps
 * the namespace, and with it the container's links, alive.
 * 2. Whatever waits in the loop (datagram sockets, questions, connections) either belongs to a
 * client, or has been detached from it and only waits to be closed.
 */
#include "network/resolver.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/scoped.h"
#include "network/internal.h"
#include "network/names.h"
#include "network/resolv.h"
#include "network/resolver_client.h"
#include "sys/netns.h"
#include "sys/nft.h"

#define LISTEN_ADDRESS 0x7f00000b /* 127.0.0.11 */
#define DNS_PORT 53
#define TABLE "wherry-dns"
#define TTL_S 60
#define LO_INDEX 1

struct resolver {
	struct network_set *set;
	struct map *clients; /* by container id */
	struct resolv_follow host;
	size_t pending_n;
	struct datagram_batch *batch;
	uint8_t out[QUERY_BYTES_MAX];
};

/* A question that came by UDP and is under way upstream. */
struct question {
	struct list link;
	struct client *client;
	struct forward *forward;
	struct sockaddr_in from;
	uint8_t *message;
	size_t n;
};

/* --- answers --- */

static ssize_t write_local(const struct dns_query *q, const struct dns_answer *answers, size_t n,
	uint8_t *out, size_t limit)
{
	return (ssize_t)dns_write_answer(q, DNS_NOERROR, TTL_S, answers, n, out, limit);
}

static unsigned families_of(uint16_t type)
{
	return type == DNS_TYPE_A      ? NAMES_V4
	       : type == DNS_TYPE_AAAA ? NAMES_V6
	       : type == DNS_TYPE_ANY  ? NAMES_V4 | NAMES_V6
				       : 0;
}

ssize_t client_answer(
	struct client *c, const uint8_t *message, size_t n, bool tcp, uint8_t *out, size_t limit)
{
	const struct network_set *set = c->resolver->set;
	struct dns_query q;
	int r = dns_parse_query(message, n, &q);
	if (r == -EINVAL) {
		return r;
	}
	if (r < 0 || q.opcode != 0) {
		return (ssize_t)dns_write_answer(
			&q, r < 0 ? DNS_FORMERR : DNS_NOTIMP, 0, NULL, 0, out, limit);
	}
	if (!tcp && limit > q.udp_bytes) {
		limit = q.udp_bytes;
	}
	struct dns_answer answers[NAMES_ADDRESSES_MAX];
	char text[DNS_NAME_MAX];
	struct ip address;
	size_t found;
	if (q.class != DNS_CLASS_IN) {
		return -EAGAIN;
	}
	if (q.type == DNS_TYPE_PTR && dns_parse_reverse(q.name, &address) &&
		names_reverse(set, c->container_id, address, text)) {
		answers[0] = (struct dns_answer){.type = DNS_TYPE_PTR, .target = text};
		return write_local(&q, answers, 1, out, limit);
	}
	if (!names_lookup(set, c->container_id, q.name, families_of(q.type), answers, &found)) {
		return -EAGAIN;
	}
	/* A known name without an address of this kind is NOERROR and empty: NXDOMAIN would deny
	 * its other records as well. */
	return write_local(&q, answers, found, out, limit);
}

size_t client_refuse(const uint8_t *message, size_t n, uint8_t *out, size_t limit)
{
	struct dns_query q;
	return dns_parse_query(message, n, &q) == 0
		       ? dns_write_answer(&q, DNS_SERVFAIL, 0, NULL, 0, out, limit)
		       : 0;
}

static const struct strv *servers_of(struct client *c)
{
	struct resolver *r = c->resolver;
	if (c->servers.n > 0) {
		return &c->servers;
	}
	if (r->set->dns.n > 0) {
		return &r->set->dns;
	}
	resolv_follow_refresh(&r->host);
	return &r->host.now.servers;
}

struct forward *client_forward(struct client *c, const uint8_t *message, size_t n, bool tcp,
	forward_done_fn *done, void *owner)
{
	struct resolver *r = c->resolver;
	if (r->pending_n >= PENDING_MAX || c->pending_n >= CLIENT_PENDING_MAX ||
		!names_may_leave(r->set, c->container_id)) {
		return NULL;
	}
	struct forward *f =
		forward_start(r->set->loop, servers_of(c), message, n, tcp, done, owner);
	if (f) {
		r->pending_n++;
		c->pending_n++;
	}
	return f;
}

void client_pending_done(struct client *c)
{
	c->resolver->pending_n--;
	c->pending_n--;
}

/* --- UDP --- */

static void reply(struct client *c, const struct sockaddr_in *to, const uint8_t *answer, size_t n)
{
	if (c->udp && n > 0) {
		datagrams_send(c->udp, to, answer, n);
	}
}

struct datagram_batch *client_batch(const struct client *c)
{
	return c->resolver->batch;
}

static void question_free(struct question *q)
{
	list_remove(&q->link);
	client_pending_done(q->client);
	free(q->message);
	free(q);
}

static void on_upstream(void *owner, const uint8_t *answer, size_t n)
{
	struct question *q = owner;
	struct client *c = q->client;
	if (answer) {
		reply(c, &q->from, answer, n);
	} else {
		reply(c, &q->from, c->resolver->out,
			client_refuse(q->message, q->n, c->resolver->out, DNS_UDP_BYTES));
	}
	question_free(q);
}

void client_ask_upstream(
	struct client *c, const uint8_t *message, size_t n, const struct sockaddr_in *from)
{
	struct question *q = xnew(struct question);
	list_init(&q->link);
	q->client = c;
	q->from = *from;
	q->forward = client_forward(c, message, n, false, on_upstream, q);
	if (!q->forward) {
		free(q);
		reply(c, from, c->resolver->out,
			client_refuse(message, n, c->resolver->out, DNS_UDP_BYTES));
		return;
	}
	q->message = xnew_array(uint8_t, n);
	q->n = n;
	memcpy(q->message, message, n);
	list_append(&c->pending, &q->link);
}

/* --- a container's sockets --- */

static int bind_in(int netns_fd, int type, uint16_t *ret_port)
{
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t n = sizeof(a);
	a.sin_addr.s_addr = htonl(LISTEN_ADDRESS);
	int fd = netns_socket(netns_fd, AF_INET, type | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		return fd;
	}
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		getsockname(fd, (struct sockaddr *)&a, &n) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	*ret_port = ntohs(a.sin_port);
	return fd;
}

static void add_redirect(struct nft_batch *b, uint8_t proto, uint16_t port)
{
	const struct nft_op ops[] = {NFT_DESTINATION(0), NFT_IS(0, htonl(LISTEN_ADDRESS)),
		NFT_META(0, NFT_META_L4PROTO), NFT_COMPARE(0, NFT_CMP_EQ, proto, 1),
		NFT_DESTINATION_PORT(0), NFT_COMPARE(0, NFT_CMP_EQ, htons(DNS_PORT), 2),
		NFT_LOAD(0, htonl(LISTEN_ADDRESS), 4), NFT_LOAD(1, htons(port), 2),
		NFT_DNAT(NFPROTO_IPV4, 0, 1), NFT_END};
	nft_add_rule(b, TABLE, "output", ops);
}

static int redirect(int netns_fd, uint16_t udp_port, uint16_t tcp_port)
{
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT(NFPROTO_IPV4);
	scoped(close) int fd = nft_open(netns_fd);
	if (fd < 0) {
		return fd;
	}
	nft_delete_table(&b, TABLE);
	nft_add_table(&b, TABLE);
	nft_add_chain(&b, TABLE, "output", "nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST);
	add_redirect(&b, IPPROTO_UDP, udp_port);
	add_redirect(&b, IPPROTO_TCP, tcp_port);
	return nft_commit(fd, &b);
}

static int loopback_up(int netns_fd)
{
	scoped(rtnl) struct rtnl inside;
	int r = rtnl_open(&inside, netns_fd);
	r = r < 0 ? r : rtnl_set_up(&inside, LO_INDEX, true);
	return r < 0 ? r : rtnl_commit(&inside);
}

static void client_close(struct client *c)
{
	list_each_safe (i, &c->pending) {
		struct question *q = container_of(i, struct question, link);
		forward_cancel(q->forward);
		question_free(q);
	}
	client_close_connections(c);
	datagrams_close(TAKE(c->udp));
	if (c->tcp) {
		c->tcp->data = NULL;
		uv_close((uv_handle_t *)c->tcp, (uv_close_cb)free);
		c->tcp = NULL;
	}
}

static int client_open(struct client *c, int netns_fd)
{
	uint16_t udp_port = 0;
	uint16_t tcp_port = 0;
	int r = loopback_up(netns_fd); /* 127.0.0.0/8 is not there before */
	if (r < 0) {
		return r;
	}
	scoped(close) int udp = bind_in(netns_fd, SOCK_DGRAM, &udp_port);
	scoped(close) int tcp = bind_in(netns_fd, SOCK_STREAM, &tcp_port);
	if (udp < 0 || tcp < 0) {
		return udp < 0 ? udp : tcp;
	}
	r = redirect(netns_fd, udp_port, tcp_port);
	if (r == 0) {
		r = datagrams_open(c->resolver->set->loop, c, TAKE_FD(udp), &c->udp);
	}
	if (r == 0) {
		r = client_listen(c->resolver->set->loop, c, TAKE_FD(tcp));
	}
	if (r < 0) {
		client_close(c);
	}
	return r;
}

static void client_free(struct client *c)
{
	client_close(c);
	strv_deinit(&c->servers);
	free(c->container_id);
	free(c);
}

/* --- the module --- */

struct resolver *resolver_new(struct network_set *n)
{
	struct resolver *r = xnew(struct resolver);
	r->set = n;
	r->clients = map_new();
	r->batch = datagram_batch_new();
	r->host.path = "/etc/resolv.conf";
	return r;
}

void resolver_free(struct resolver *r)
{
	if (!r) {
		return;
	}
	map_each (r->clients, struct client, c) {
		client_free(c);
	}
	map_free(r->clients);
	datagram_batch_free(r->batch);
	resolv_follow_deinit(&r->host);
	free(r);
}

int resolver_start(struct resolver *r, const char *container_id, int netns_fd, struct err *e)
{
	struct client *c = map_get(r->clients, container_id);
	if (!c) {
		c = xnew(struct client);
		c->resolver = r;
		c->container_id = xstrdup(container_id);
		list_init(&c->pending);
		list_init(&c->connections);
		map_put(r->clients, container_id, c);
	}
	client_close(c); /* of an earlier run: another namespace */
	int failed = client_open(c, netns_fd);
	if (failed < 0) {
		resolver_stop(r, container_id);
		return err_sys(e, -failed, "cannot serve DNS to container %.12s", container_id);
	}
	return 0;
}

void resolver_stop(struct resolver *r, const char *container_id)
{
	struct client *c = map_remove(r->clients, container_id);
	if (c) {
		client_free(c);
	}
}

void resolver_park(struct resolver *r, const char *container_id)
{
	struct client *c = map_get(r->clients, container_id);
	if (c) {
		client_close(c);
	}
}

void resolver_resume(struct resolver *r, const char *container_id, int netns_fd)
{
	struct client *c = map_get(r->clients, container_id);
	struct err e;
	if (c && !c->udp && resolver_start(r, container_id, netns_fd, &e) < 0) {
		log_warning("network", "no_dns", "container", container_id, "error", e.msg, NULL);
	}
}

int resolver_netns(const struct resolver *r, const char *container_id)
{
	const struct client *c = map_get(r->clients, container_id);
	if (!c || !c->udp) {
		return -1;
	}
	return ioctl(datagrams_fd(c->udp), SIOCGSKNS); /* close-on-exec: fs/nsfs.c */
}

void resolver_set_servers(struct resolver *r, const char *container_id, const struct strv *servers)
{
	struct client *c = map_get(r->clients, container_id);
	if (c) {
		strv_clear(&c->servers);
		strv_copy(&c->servers, servers);
	}
}

int network_dns_start(struct network_set *n, const char *container_id, int netns_fd, struct err *e)
{
	return resolver_start(n->resolver, container_id, netns_fd, e);
}

void network_dns_stop(struct network_set *n, const char *container_id)
{
	resolver_stop(n->resolver, container_id);
}

void network_dns_servers(
	struct network_set *n, const char *container_id, const struct strv *servers)
{
	resolver_set_servers(n->resolver, container_id, servers);
}
