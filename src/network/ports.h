/* network/ports.h - host ports that containers publish: what was asked for, and holding on to it.
 *
 * A port is held by a bound socket on which nobody listens: the kernel then refuses it to everybody
 * else, while connections reach the container by the nat rules, which come first.
 */
#pragma once
#include <jansson.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"
#include "network/network.h"

#define PORTS_MAX 4096 /* of one container */

struct port {
	uint8_t proto;       /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	uint16_t inside;     /* the container's port */
	uint16_t outside;    /* the host's port */
	struct ip host;      /* the host's address; 0.0.0.0 and :: are all of that family */
	struct ip address;   /* the container's */
	int fd;              /* what holds the port; -1: nothing */
	bool pending;        /* another container has it until it gives it up: network/handover.c */
	struct relay *relay; /* or NULL */
};
/* The packet filter leads it to the container. */
static inline bool port_is_mapped(const struct port *p)
{
	return !p->pending && p->host.size == p->address.size &&
	       !(p->host.size == IP6_BYTES && ip_is_loopback(p->host));
}
/* So does the daemon: network/relay.h. :: is both, for ::1 is among its addresses. */
static inline bool port_is_relayed(const struct port *p)
{
	return !p->pending && p->host.size == IP6_BYTES &&
	       (p->address.size == IP4_BYTES || ip_is_any(p->host) || ip_is_loopback(p->host));
}
struct port_list {
	struct port *v;
	size_t n;
};
void port_list_deinit(struct port_list *l); /* gives the ports back */

/* "80/tcp", "53/udp", "80" (tcp). -EINVAL */
int port_parse_key(const char *text, uint8_t *ret_proto, uint16_t *ret_port);
/* "8080", "8000-8010"; "" and "0" give 0 to 0: any. -EINVAL */
int port_parse_range(const char *text, uint16_t *ret_first, uint16_t *ret_last);
const char *port_proto_name(uint8_t proto);

/* Where the search for a free port goes on, so that one just given back is not reused at once. */
struct port_cursor {
	uint16_t next;
};

struct port_request {
	const json_t *bindings; /* HostConfig.PortBindings */
	struct ip address;      /* the container's */
	struct ip address6;     /* or none: then IPv6 ports of the host lead to address */
	struct ip default_host; /* for an empty HostIp; none: all addresses of both families */
	/* A host port that this container had before the daemon was restarted, or 0; may be NULL.
	 */
	uint16_t (*remembered)(void *owner, const struct port *p);
	void *owner;
	/* Somebody else has the port now, but is to give it up to this container; may be NULL. */
	bool (*is_handed_over)(void *owner, const struct port *p);
	/* Who of the host's own has a port that is taken: words in brackets; may be NULL. */
	network_holder_fn *holder;
	void *holder_owner;
	bool keep; /* a port that somebody took meanwhile is published all the same, unheld */
};
/* Fills and holds *ret. ERR_SYSTEM "Bind for 0.0.0.0:80 failed: port is already allocated",
 * ERR_INVALID; then nothing is held. */
int port_list_reserve(
	struct port_cursor *c, const struct port_request *r, struct port_list *ret, struct err *e);
/* The container has other addresses now: relays are stopped. */
void port_list_lead(struct port_list *l, struct ip address, struct ip address6);
static inline bool port_is_same(const struct port *a, const struct port *b)
{
	return a->proto == b->proto && a->outside == b->outside && ip_equal(a->host, b->host);
}
/* NetworkSettings.Ports, without pending ones; new. */
json_t *port_list_json(const struct port_list *l);
