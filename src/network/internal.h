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
#define ALIAS_PREFIX "wherry:"

struct resolver;
struct rules;

struct network_set {
	uv_loop_t *loop;
	struct store *store;
	struct event_bus *bus;
	char *prefix; /* name of the default bridge; names rules and marks bridges */
	char *bip;    /* or NULL */
	bool default_bridge;
	struct ipam_pools pools;
	struct strv dns;
	struct map *by_id; /* of struct network, in order of creation */
	struct rtnl rtnl;  /* our own namespace */
	struct rules *rules;
	struct resolver *resolver;
	struct port_cursor cursor;
	uv_timer_t *settle; /* once after the start: forgets what no container claimed; NULL
			       afterwards */
};

enum network_driver { DRIVER_BRIDGE, DRIVER_HOST, DRIVER_NULL };

struct network {
	struct network_set *set;
	char id[ID_LEN + 1];
	enum network_driver driver;
	json_t *doc; /* the row in the store: Docker's NetworkResource without Containers */
	bool predefined;
	/* bridge driver, read from doc */
	char bridge[IF_NAMESIZE];
	struct ipam ipam;
	bool internal;
	bool icc; /* containers of this network may talk to each other */
	bool masquerade;
	bool own_bridge;       /* we made it, so we remove it */
	uint32_t default_host; /* where ports are published by default */
	uint32_t mtu;
	struct list endpoints;
};

struct endpoint {
	struct list link;
	struct network *network;
	struct endpoint_info info;
	char *container_id;
	char *container_name;
	struct strv names; /* all that DNS answers to, the container's name first */
	uint32_t address;  /* host byte order; 0: host and none */
	bool gateway;
	struct port_list ports;
};

/* set.c */
struct network *network_by_name(struct network_set *n, const char *name);
void network_settle(struct network_set *n); /* what nobody claimed since the start is forgotten */
void network_publish_event(struct network *w, const char *action, const char *container_id);

/* spec.c: the document of a network */
int network_spec_read(
	struct network_set *n, const json_t *body, const char *id, json_t **ret_doc, struct err *e);
int network_spec_parse(struct network *w, struct err *e); /* fills the fields from doc */
json_t *network_spec_predefined(
	const struct network_set *n, const char *name, const char *driver, const char *id);
int network_spec_put_subnet(json_t *doc, struct ipam_range subnet, uint32_t gateway);

/* subnet.c */
/* The first subnet of the pools that overlaps no network and no route of this host; bridge's own do
 * not count. */
int network_pick_subnet(
	struct network_set *n, const char *bridge, struct ipam_range *ret, struct err *e);
int network_check_subnet(
	struct network_set *n, const char *bridge, struct ipam_range r, struct err *e);

/* bridge.c */
int bridge_ensure(struct network_set *n, struct network *w, struct err *e);
/* The address of a bridge that may be there already; false when it has none. */
bool bridge_address(
	struct network_set *n, const char *bridge, struct ipam_range *ret, uint32_t *ret_address);
const char *bridge_alias(const struct network_set *n, char text[static RTNL_ALIAS_MAX]);
void bridge_remove(struct network_set *n, struct network *w);
void bridge_sweep(struct network_set *n); /* bridges of ours that no network names */

/* endpoint.c */
struct endpoint *endpoint_find(const struct network *w, const char *container_id);
void endpoint_veth_name(const char *endpoint_id, char ret[static IF_NAMESIZE]);
void endpoint_free(struct endpoint
		*p); /* out of the list, ports given back; links and rules are not touched */
bool network_has_container(const struct network_set *n, const char *container_id);
void endpoint_sweep(struct network_set *n); /* veths on our bridges that no endpoint names */
