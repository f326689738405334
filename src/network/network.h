/* network/network.h - networks, addresses, published ports and names for containers.
 *
 * Owns the bridges, veth pairs, the nftables table `wherry-<bridge prefix>` of this daemon, the
 * host-port reservations and the DNS sockets inside the containers' network namespaces; owns table
 * networks. Does not own containers: it is handed a namespace fd and remembers endpoints by
 * container id. At start it reconciles: bridges and rules that no network names are removed,
 * missing ones made.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"
#include "base/strv.h"

typedef struct uv_loop_s uv_loop_t;
struct store;
struct event_bus;
struct network_set; /* all networks of this daemon */
struct network;

struct network_options {
	const char *bridge; /* name of the default bridge: "wherry0"; also the prefix of rules
			       ("none": no default bridge) */
	/* What daemon.json says about networks, under dockerd's keys, or NULL: bip, bip6,
	 * fixed-cidr, fixed-cidr-v6, default-gateway, default-gateway-v6, ipv6, ip, icc, ip-masq,
	 * ip-forward, mtu, default-address-pools, default-network-opts. Types have been checked. */
	const json_t *settings;
	const struct strv *dns; /* upstream servers; empty: the host's resolv.conf, followed live */
};

struct network_set *network_set_new(uv_loop_t *l, struct store *s, struct event_bus *bus,
	const struct network_options *o, struct err *e);
/* Leaves bridges, rules and namespaces as they are: containers go on while the daemon is away. */
void network_set_free(struct network_set *n);
/* "the ingress", when a host port that cannot be had is held by something that fn knows of; NULL:
 * it is not. Static. */
typedef const char *network_holder_fn(void *owner, uint16_t port, bool udp);
void network_set_holder(struct network_set *n, network_holder_fn *fn, void *owner);
/* Takes everything down: tests and `wherryd --purge-network`. */
void network_set_purge(struct network_set *n);

/* By id, unique prefix or name. ERR_NOT_FOUND "network x not found". Borrowed until removed. */
struct network *network_find(struct network_set *n, const char *name, struct err *e);
struct network *network_next(const struct network_set *n, size_t *pos);
const char *network_id(const struct network *w);
const char *network_name(const struct network *w);
/* The address of this host on it, IPv4; "" when it has none. Returns text. */
const char *network_gateway(const struct network *w, char text[static IP_TEXT_MAX]);
/* Containers on it can be reached from this host by their addresses: not those of macvlan, ipvlan.
 */
bool network_host_reaches(const struct network *w);
/* Its names do not answer, because another container that it replaces, or is replaced by, has them.
 */
bool network_is_standby(const struct network_set *n, const char *container_id);
/* The user, not the pools, said which subnet it has for addresses of that size. */
bool network_has_user_subnet(const struct network *w, uint8_t size);
/* The network as Docker's GET /networks/x shows it (Name, Id, Created, Scope, Driver, IPAM, Labels,
 * Containers ...); new. */
json_t *network_inspect(const struct network *w);

/* body: POST /networks/create, already an object. Drivers bridge, macvlan, ipvlan. ERR_CONFLICT
 * "network with name x already exists", ERR_DENIED for predefined names, ERR_INVALID for a subnet
 * that overlaps another network or a host route. */
struct network *network_create(struct network_set *n, const json_t *body, struct err *e);
/* ERR_DENIED "... has active endpoints", also for predefined networks. */
int network_remove(struct network_set *n, struct network *w, struct err *e);

/* --- one container's place on one network --- */
struct endpoint_config {
	const char *container_id;
	const char *container_name; /* without the slash */
	const char *hostname;
	const char *ipv4;              /* wanted address or NULL */
	const char *ipv6;              /* the same */
	const char *mac;               /* wanted or NULL */
	const char *ifname;            /* wanted name of the interface inside, or NULL */
	const struct strv *link_local; /* further addresses, of IPv4 or IPv6, or NULL */
	const struct strv *aliases;    /* further DNS names: service names */
	const struct strv *links; /* "CONTAINER:ALIAS": names for this container alone, or NULL */
	const json_t
		*ports; /* HostConfig.PortBindings {"80/tcp":[{"HostIp":"","HostPort":"8080"}]}, or
			   NULL; published by whichever network is the gateway */
	/* A running container that this one is to replace: its fixed host ports are pending until
	 * network_take_over, or until it ends; so are its names. NULL. */
	const char *replaces;
	int64_t gateway_priority; /* the highest one gives the default route; then the first by name
				   */
};
struct endpoint_info {
	char network_id[65];
	char endpoint_id[65];
	char ipv4[16];
	int prefix_len;
	char gateway[16];
	char ipv6[46]; /* "": none, as in the next two */
	int prefix_len6;
	char gateway6[46];
	char mac[18];
	char ifname[16]; /* inside: eth0, eth1 ..., or the wanted one */
	bool is_gateway; /* gives the default route and publishes: may change: network_is_gateway */
};
/* Whether it can be the name of an interface: at most 15 bytes without blank, slash and colon. */
bool network_ifname_is_valid(const char *name);
/* Makes the veth pair, addresses, routes, names and published ports in the namespace netns_fd
 * (borrowed). On failure nothing is left. ERR_SYSTEM with Docker's words for a taken port: "driver
 * failed programming external connectivity on endpoint NAME (ID): Bind for 0.0.0.0:80 failed: port
 * is already allocated". *ret_ports, if asked for: NetworkSettings.Ports
 * {"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"80"},{"HostIp":"::",...}]}; new. */
int network_attach(struct network_set *n, struct network *w, int netns_fd,
	const struct endpoint_config *c, struct endpoint_info *ret, json_t **ret_ports,
	struct err *e);
/* Takes an endpoint down; the namespace may be gone already (it is, when the container died).
 * Unknown is fine. */
void network_detach(struct network_set *n, const char *network_id, const char *container_id);
bool network_is_gateway(
	const struct network_set *n, const char *network_id, const char *container_id);
/* NetworkSettings.Ports as they are now; new, or NULL. */
json_t *network_ports(const struct network_set *n, const char *container_id);
/* The host ports that from_id has and the other waits for change hands, and the names of the other
 * answer instead of from_id's. The same the other way round takes it back. */
void network_take_over(struct network_set *n, const char *container_id, const char *from_id);
/* docker rename: DNS and network_inspect know the new name from now on. */
void network_container_renamed(struct network_set *n, const char *container_id, const char *name);
/* After a restart of the daemon: the container still runs in netns_fd with this endpoint; restore
 * ports, names, DNS sockets. */
int network_restore(struct network_set *n, const struct endpoint_info *info, int netns_fd,
	const struct endpoint_config *c, struct err *e);

/* Starts the resolver at 127.0.0.11 inside a namespace (loopback up, redirect of port 53 to our
 * socket): user networks. Names are looked up among the networks this container is on; others go
 * upstream. Ended by network_dns_stop or when the namespace goes. */
int network_dns_start(struct network_set *n, const char *container_id, int netns_fd, struct err *e);
/* Upstream servers of this container alone (docker run --dns on a user network) instead of the
 * daemon's; after network_dns_start. */
void network_dns_servers(
	struct network_set *n, const char *container_id, const struct strv *servers);
void network_dns_stop(struct network_set *n, const char *container_id);
/* True when the container's resolv.conf must name 127.0.0.11 (any user-defined network). */
bool network_uses_dns(const struct network *w);
/* Upstream servers as resolv.conf text for the default bridge and host network; the caller's
 * string. */
char *network_resolv_conf(const struct network_set *n, bool embedded, const struct strv *dns,
	const struct strv *search, const struct strv *options);
