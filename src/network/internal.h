/* network/internal.h - what the files of this folder share; nobody else includes it.
 *
 * Invariants
 * 1. A network is in the store before its bridge exists and until after the bridge is gone:
 * whatever carries our alias and is named by no network is garbage, removed at the next start.
 * 2. The nftables table is a function of memory: rules_rebuild may replace it at any time, in one
 * transaction.
 * 3. An endpoint is in its network's list exactly while its address, ports and names are taken.
 */
#pragma once
#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "network/ipam.h"
#include "network/network.h"
#include "network/ports.h"
#include "sys/rtnl.h"

#define NETWORKS_MAX 1024
#define NETWORK_SUBNETS_MAX 16
#define ALIAS_PREFIX "wherry:"
/* Member of a network's row that inspect does not show: families whose subnet came from the pools.
 */
#define NETWORK_CHOSEN "wherry.chosen"

struct resolver;
struct rules;

struct network_set {
	uv_loop_t *loop;
	struct store *store;
	struct event_bus *bus;
	char *prefix; /* name of the default bridge; names rules and marks bridges */
	bool default_bridge;
	json_t *defaults; /* what daemon.json says about networks: network.h */
	struct ipam_pools pools;
	struct strv dns;
	struct map *by_id; /* of struct network, in order of creation */
	struct rtnl rtnl;  /* our own namespace */
	struct rules *rules;
	struct resolver *resolver;
	struct port_cursor cursor;
	bool forwards6;     /* this host forwards IPv6: since the first network that has it */
	uv_timer_t *settle; /* once after the start: forgets what no container claimed; NULL
			       afterwards */
	network_holder_fn *holder; /* or NULL */
	void *holder_owner;
};

enum network_driver {
	DRIVER_BRIDGE,
	DRIVER_MACVLAN,
	DRIVER_IPVLAN,
	DRIVER_HOST,
	DRIVER_NULL,
};

struct network {
	struct network_set *set;
	char id[ID_LEN + 1];
	enum network_driver driver;
	json_t *doc; /* the row in the store: Docker's NetworkResource without Containers */
	bool predefined;
	/* all drivers with links, read from doc */
	struct ipam subnets[NETWORK_SUBNETS_MAX]; /* IPv6 ones only where it is enabled */
	size_t subnets_n;
	bool ipv6;
	bool internal;
	uint32_t mtu;
	char ifname_prefix[IF_NAMESIZE - 3]; /* of interfaces inside: "eth" */
	/* bridge driver */
	char bridge[IF_NAMESIZE];
	bool icc; /* containers of this network may talk to each other */
	bool masquerade;
	bool own_bridge;        /* we made it, so we remove it */
	struct ip default_host; /* where ports are published by default; size 0: everywhere */
	/* macvlan and ipvlan */
	char parent[IF_NAMESIZE];
	uint32_t mode; /* MACVLAN_MODE_*, IPVLAN_MODE_* */
	uint16_t mode_flags;
	struct list endpoints;
};

struct endpoint {
	struct list link;
	struct network *network;
	struct endpoint_info info;
	char *container_id;
	char *container_name;
	struct strv names;      /* all that DNS answers to, the container's name first */
	struct strv links;      /* "CONTAINER:ALIAS": names that only this container knows */
	struct ip address;      /* size 0: none */
	struct ip address6;     /* size 0: none */
	int64_t priority;       /* of its default route */
	struct port_list ports; /* only of the acting gateway */
	/* Container that answers in its place: this one is to replace that, or was replaced by it.
	 * NULL: it answers itself. */
	char *partner;
};

/* set.c */
struct network *network_by_name(struct network_set *n, const char *name);
void network_settle(struct network_set *n); /* what nobody claimed since the start is forgotten */
void network_publish_event(struct network *w, const char *action, const char *container_id);
bool network_has_links(const struct network *w); /* its containers have an interface */
/* The first subnet with addresses of that size, or NULL. */
const struct ipam *network_subnet(const struct network *w, uint8_t size);
/* The subnet that the address lies in, or NULL. */
const struct ipam *network_subnet_of(const struct network *w, struct ip address);

/* spec.c: the document of a network */
int network_spec_read(
	struct network_set *n, const json_t *body, const char *id, json_t **ret_doc, struct err *e);
int network_spec_parse(struct network *w, struct err *e); /* fills the fields from doc */
json_t *network_spec_predefined(
	const struct network_set *n, const char *name, const char *driver, const char *id);
/* A subnet that was chosen, at the end of IPAM.Config. */
void network_spec_add_subnet(json_t *doc, const struct ipam *subnet);

/* The daemon's settings of now in the document of the default bridge that the store had. */
void network_spec_refresh_default(const struct network_set *n, json_t *doc);

/* default.c */
/* Fills w->subnets and IPAM.Config of the default bridge. */
int network_choose_default(struct network_set *n, struct network *w, struct err *e);

/* spec_ipam.c */
int network_check_strings(const json_t *o, const char *what, struct err *e);
/* IPAM of the body, checked and as it is kept. */
int network_spec_read_ipam(const json_t *body, json_t **ret, struct err *e);
/* Fills w->subnets from doc. */
int network_spec_parse_ipam(struct network *w, struct err *e);

/* subnet.c */
/* The first subnet of the pools that overlaps no network and no route of this host; bridge's own do
 * not count. */
int network_pick_subnet(struct network_set *n, const char *bridge, uint8_t size,
	struct ip_range *ret, struct err *e);
/* host: routes and addresses of this host count too. */
int network_check_subnet(
	struct network_set *n, const char *bridge, struct ip_range r, bool host, struct err *e);
/* Says in the log which networks have a subnet that another link of this host is in, too: made
 * while the daemon did not run, it takes answers away from containers. */
void network_warn_shared(struct network_set *n);

/* bridge.c */
int bridge_ensure(struct network_set *n, struct network *w, struct err *e);
/* The IPv4 address of a bridge that may be there already; false when it has none. */
bool bridge_address(struct network_set *n, const char *bridge, struct ipam *ret);
const char *bridge_alias(const struct network_set *n, char text[static RTNL_ALIAS_MAX]);
void bridge_remove(struct network_set *n, struct network *w);
/* Bridges and parents of ours that no network names. */
void bridge_sweep(struct network_set *n);

/* parent.c: the interface that macvlan and ipvlan networks share */
int parent_read(struct network *w, struct err *e);
int parent_ensure(struct network_set *n, struct network *w, struct err *e);
void parent_remove(struct network_set *n, const struct network *w);

/* host.c: this host's own settings */
int host_forward4(struct err *e);
int host_forward6(struct err *e);

/* link.c: a container's interface */
void link_host_name(const char *endpoint_id, char ret[static IF_NAMESIZE]);
/* ifname: its name inside, or NULL for the next free one; link_local: further addresses, or NULL.
 */
int link_add(struct network_set *n, struct endpoint *p, int netns_fd, const uint8_t mac[6],
	const char *ifname, const struct strv *link_local, struct err *e);
int link_restore(struct network_set *n, const struct endpoint *p, struct err *e);
/* netns_fd: of the container, -1 when it is gone. */
void link_remove(struct network_set *n, const struct endpoint *p, int netns_fd);
int link_add_route(const struct endpoint *p, int netns_fd); /* the default ones */
void link_sweep(struct network_set *n); /* veths on our bridges that no endpoint names */

/* address.c */
/* Fills p->address, p->address6 and what inspect shows of them. */
int endpoint_choose_addresses(
	struct endpoint *p, const struct endpoint_config *c, uint8_t mac[6], struct err *e);

/* endpoint.c */
struct endpoint *endpoint_find(const struct network *w, const char *container_id);
/* Out of the list, ports given back; links and rules are not touched. */
void endpoint_free(struct endpoint *p);
bool network_has_container(const struct network_set *n, const char *container_id);

/* handover.c */
/* Whose ports are reserved; the owner in struct port_request. */
struct gateway_claim {
	struct network_set *set;
	const char *replaces; /* container id, or NULL */
	bool restore;
};
bool handover_is_due(void *claim, const struct port *p); /* a port_request's is_handed_over */
/* leaving, out of its list already, gives its ports to those that wait for them. */
void handover_leave(struct network_set *n, struct endpoint *leaving);

/* gateway.c */
bool endpoint_routes_outside(const struct endpoint *p);
/* The endpoint that gives the container its default route now, or NULL. */
struct endpoint *gateway_of(const struct network_set *n, const char *container_id);
/* p is to take the place of acting, which may be NULL. */
bool gateway_wins(const struct endpoint *p, const struct endpoint *acting);
/* When it is the gateway. */
int gateway_reserve_ports(struct network_set *n, struct endpoint *p,
	const struct endpoint_config *c, bool restore, struct err *e);
void gateway_start_relays(struct network_set *n, struct endpoint *p);
void gateway_move_ports(struct network_set *n, struct endpoint *from, struct endpoint *to);
/* from, out of its list already, hands route and ports to another endpoint of a living container.
 */
void gateway_pass_on(struct network_set *n, struct endpoint *from);
