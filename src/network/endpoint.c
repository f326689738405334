/* One container's place on one network: its veth pair, address, names and ports. */
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "network/internal.h"
#include "network/resolver.h"
#include "network/rules.h"
#include "sys/netns.h"

#define LO_INDEX 1 /* in every network namespace */
#define ALIASES_MAX 256

struct endpoint *endpoint_find(const struct network *w, const char *container_id)
{
	list_each (i, &w->endpoints) {
		struct endpoint *p = container_of(i, struct endpoint, link);
		if (strcmp(p->container_id, container_id) == 0) {
			return p;
		}
	}
	return NULL;
}

bool network_has_container(const struct network_set *n, const char *container_id)
{
	map_each (n->by_id, struct network, w) {
		if (endpoint_find(w, container_id)) {
			return true;
		}
	}
	return false;
}

/* 44 bits of the id: several daemons share one name space. */
void endpoint_veth_name(const char *endpoint_id, char ret[static IF_NAMESIZE])
{
	snprintf(ret, IF_NAMESIZE, "veth%.11s", endpoint_id);
}

void endpoint_free(struct endpoint *p)
{
	if (!p) {
		return;
	}
	list_remove(&p->link);
	port_list_deinit(&p->ports);
	strv_deinit(&p->names);
	free(p->container_id);
	free(p->container_name);
	free(p);
}
SCOPED(struct endpoint *, endpoint_free)

static struct endpoint *endpoint_new(struct network *w, const struct endpoint_config *c)
{
	struct endpoint *p = xnew(struct endpoint);
	list_init(&p->link);
	p->network = w;
	p->container_id = xstrdup(c->container_id);
	p->container_name = xstrdup(c->container_name ? c->container_name : "");
	p->gateway = c->gateway;
	strv_add(&p->names, p->container_name);
	for (size_t i = 0; c->aliases && i < c->aliases->n && i < ALIASES_MAX; i++) {
		strv_add(&p->names, c->aliases->v[i]);
	}
	strv_addn(&p->names, c->container_id, ID_SHORT_LEN);
	if (c->hostname && *c->hostname) {
		strv_add(&p->names, c->hostname);
	}
	snprintf(p->info.network_id, sizeof(p->info.network_id), "%s", w->id);
	return p;
}

/* --- address --- */

static int choose_address(
	const struct network *w, const struct endpoint_config *c, uint32_t *ret, struct err *e)
{
	size_t n = 0;
	list_each (i, &w->endpoints) {
		n++;
	}
	json_t *aux = json_object_get(
		json_array_get(json_object_get(json_object_get(w->doc, "IPAM"), "Config"), 0),
		"AuxiliaryAddresses");
	scoped(free) uint32_t *used = xnew_array(uint32_t, n + json_object_size(aux) + 1);
	n = 0;
	list_each (i, &w->endpoints) {
		used[n++] = container_of(i, struct endpoint, link)->address;
	}
	const char *key;
	json_t *value;
	json_object_foreach (aux, key, value) {
		if (ipam_parse_address(json_string_value(value), &used[n]) == 0) {
			n++;
		}
	}
	if (!c->ipv4 || !*c->ipv4) {
		return ipam_pick_address(&w->ipam, used, n, ret) == 0
			       ? 0
			       : err_set(e, ERR_SYSTEM,
					 "no available IPv4 addresses on this network's address pools: %s (%s)",
					 network_name(w), w->id);
	}
	if (ipam_parse_address(c->ipv4, ret) < 0) {
		return err_set(e, ERR_INVALID, "invalid IPv4 address: %s", c->ipv4);
	}
	int r = ipam_check_address(&w->ipam, used, n, *ret);
	return r == 0 ? 0
	       : r == -EINVAL
		       ? err_set(e, ERR_INVALID,
				 "no configured subnet or ip-range contain the IP address %s",
				 c->ipv4)
		       : err_set(e, ERR_DENIED, "Address already in use");
}

/* "02:42:ac:11:00:02", of one interface, not of a group. */
static int parse_mac(const char *text, uint8_t ret[6])
{
	if (strlen(text) != 17) {
		return -1;
	}
	for (int i = 0; i < 6; i++) {
		const char *p = text + 3 * i;
		if (!isxdigit((unsigned char)p[0]) || !isxdigit((unsigned char)p[1]) ||
			(i < 5 && p[2] != ':' && p[2] != '-')) {
			return -1;
		}
		ret[i] = (uint8_t)strtoul(p, NULL, 16);
	}
	return ret[0] & 1 ? -1 : 0;
}

static int choose_mac(
	const struct endpoint_config *c, uint32_t address, uint8_t ret[6], struct err *e)
{
	if (!c->mac || !*c->mac) {
		/* moby netutils.GenerateMACFromIP: who comes back with its address answers to the
		 * same MAC, too */
		const uint8_t mac[6] = {0x02, 0x42, (uint8_t)(address >> 24),
			(uint8_t)(address >> 16), (uint8_t)(address >> 8), (uint8_t)address};
		memcpy(ret, mac, 6);
		return 0;
	}
	return parse_mac(c->mac, ret) < 0
		       ? err_set(e, ERR_INVALID, "invalid MAC address: %s", c->mac)
		       : 0;
}

static int fill_info(
	struct endpoint *p, const struct endpoint_config *c, uint8_t mac[6], struct err *e)
{
	const struct network *w = p->network;
	char text[IPAM_TEXT_MAX];
	if (choose_address(w, c, &p->address, e) < 0 || choose_mac(c, p->address, mac, e) < 0) {
		return -1;
	}
	snprintf(p->info.ipv4, sizeof(p->info.ipv4), "%s", ipam_format(p->address, text));
	snprintf(p->info.gateway, sizeof(p->info.gateway), "%s",
		w->internal ? "" : ipam_format(w->ipam.gateway, text));
	p->info.prefix_len = w->ipam.subnet.len;
	snprintf(p->info.mac, sizeof(p->info.mac), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
		mac[2], mac[3], mac[4], mac[5]);
	return 0;
}

/* --- link --- */

struct names_taken {
	uint64_t eth; /* bit n: ethn is there */
};

static int note_eth(void *owner, const struct rtnl_link *link)
{
	struct names_taken *t = owner;
	int number;
	if (strncmp(link->name, "eth", 3) == 0 && parse_int(link->name + 3, 0, 63, &number) == 0) {
		t->eth |= UINT64_C(1) << number;
	}
	return 0;
}

static int free_name(struct rtnl *inside, char ret[static IF_NAMESIZE])
{
	struct names_taken t = {0};
	int r = rtnl_each_link(inside, note_eth, &t);
	if (r < 0) {
		return r;
	}
	for (int i = 0; i < 64; i++) {
		if (!(t.eth & UINT64_C(1) << i)) {
			snprintf(ret, IF_NAMESIZE, "eth%d", i);
			return 0;
		}
	}
	return -ENOSPC;
}

static int quiet_ipv6(void *owner)
{
	char path[96];
	snprintf(path, sizeof(path), "ipv6/conf/%s/disable_ipv6", (const char *)owner);
	return netns_sysctl(path, "1");
}

static int configure_inside(struct rtnl *inside, const struct endpoint *p)
{
	uint32_t index;
	const struct in_addr address = {htonl(p->address)};
	const struct in_addr gateway = {htonl(p->network->ipam.gateway)};
	int r = rtnl_index(inside, p->info.ifname, &index);
	if (r < 0) {
		return r;
	}
	rtnl_set_up(inside, LO_INDEX, true);
	rtnl_set_up(inside, index, true);
	rtnl_add_address(inside, index, address, p->info.prefix_len);
	if (p->gateway && !p->network->internal) {
		rtnl_add_default_route(inside, index, gateway);
	}
	return rtnl_commit(inside);
}

static int add_pair(struct network_set *n, struct endpoint *p, int netns_fd, const uint8_t mac[6])
{
	uint32_t bridge;
	char name[IF_NAMESIZE];
	int r = rtnl_index(&n->rtnl, p->network->bridge, &bridge);
	if (r < 0) {
		return r;
	}
	id_new(p->info.endpoint_id);
	endpoint_veth_name(p->info.endpoint_id, name);
	const struct rtnl_veth v = {.name = name,
		.master = bridge,
		.peer_name = p->info.ifname,
		.peer_netns_fd = netns_fd,
		.peer_mac = mac,
		.mtu = p->network->mtu};
	r = rtnl_add_veth(&n->rtnl, &v);
	r = r < 0 ? r : rtnl_set_hairpin(&n->rtnl, name);
	return r < 0 ? r : rtnl_commit(&n->rtnl);
}

static void remove_link(struct network_set *n, const struct endpoint *p)
{
	char name[IF_NAMESIZE];
	endpoint_veth_name(p->info.endpoint_id, name);
	int r = rtnl_delete_link(&n->rtnl, name);
	r = r < 0 ? r : rtnl_commit(&n->rtnl);
	if (r < 0 && r != -ENODEV) { /* it went with the container's namespace */
		log_warning("network", "link_stays", "link", name, "error", strerror(-r), NULL);
	}
}

static int add_link(struct network_set *n, struct endpoint *p, int netns_fd, const uint8_t mac[6],
	struct err *e)
{
	scoped(rtnl) struct rtnl inside;
	int r = rtnl_open(&inside, netns_fd);
	r = r < 0 ? r : free_name(&inside, p->info.ifname);
	r = r < 0 ? r : add_pair(n, p, netns_fd, mac);
	if (r < 0) {
		return err_sys(e, -r,
			"failed to set up container networking: cannot add an interface to bridge %s",
			p->network->bridge);
	}
	netns_run(netns_fd, quiet_ipv6,
		p->info.ifname); /* a kernel without IPv6 has nothing to quieten */
	r = configure_inside(&inside, p);
	if (r < 0) {
		remove_link(n, p);
		return err_sys(e, -r,
			"failed to set up container networking: cannot configure %s with %s/%d",
			p->info.ifname, p->info.ipv4, p->info.prefix_len);
	}
	return 0;
}

/* --- ports --- */

static int reserve_ports(struct network_set *n, struct endpoint *p, const struct endpoint_config *c,
	bool restore, struct err *e)
{
	if (!c->ports || p->network->internal) {
		return 0;
	}
	const struct port_request r = {
		.bindings = c->ports,
		.address = p->address,
		.default_host = p->network->default_host,
		.remembered = restore ? rules_remembered : NULL,
		.owner = n->rules,
		.keep = restore,
	};
	if (port_list_reserve(&n->cursor, &r, &p->ports, e) < 0) {
		return err_wrap(e,
			"driver failed programming external connectivity on endpoint %s (%s)",
			p->container_name, p->info.endpoint_id);
	}
	return 0;
}

/* --- default route --- */

static bool routes_outside(const struct endpoint *p)
{
	return p->network->driver == DRIVER_BRIDGE && !p->network->internal;
}

/* Any endpoint of the container that could give, or gives, its default route. */
static struct endpoint *find_gateway(
	const struct network_set *n, const char *container_id, bool acting)
{
	map_each (n->by_id, struct network, w) {
		struct endpoint *p = endpoint_find(w, container_id);
		if (p && routes_outside(p) && (p->gateway || !acting)) {
			return p;
		}
	}
	return NULL;
}

static int add_route(const struct endpoint *p, int netns_fd)
{
	scoped(rtnl) struct rtnl inside;
	uint32_t index;
	const struct in_addr gateway = {htonl(p->network->ipam.gateway)};
	int r = rtnl_open(&inside, netns_fd);
	r = r < 0 ? r : rtnl_index(&inside, p->info.ifname, &index);
	r = r < 0 ? r : rtnl_add_default_route(&inside, index, gateway);
	return r < 0 ? r : rtnl_commit(&inside);
}

/* A container that leaves the network of its default route gets another one's, if it lives and has
 * one. */
static void pass_gateway_on(struct network_set *n, const char *container_id)
{
	struct endpoint *p = find_gateway(n, container_id, false);
	scoped(close) int netns_fd = p ? resolver_netns(n->resolver, container_id) : -1;
	if (netns_fd >= 0) {
		p->gateway = add_route(p, netns_fd) == 0;
	}
}

/* --- attach, detach, restore --- */

/* host and none: the container is there, with nothing of its own. */
static int attach_nothing(struct endpoint *p, int netns_fd, struct err *e)
{
	id_new(p->info.endpoint_id);
	if (p->network->driver == DRIVER_HOST || netns_fd < 0) {
		return 0;
	}
	scoped(rtnl) struct rtnl inside;
	int r = rtnl_open(&inside, netns_fd);
	r = r < 0 ? r : rtnl_set_up(&inside, LO_INDEX, true);
	r = r < 0 ? r : rtnl_commit(&inside);
	return r < 0 ? err_sys(e, -r, "cannot set up the loopback interface") : 0;
}

static int attach_bridge(struct network_set *n, struct endpoint *p, int netns_fd,
	const struct endpoint_config *c, struct err *e)
{
	uint8_t mac[6];
	if (fill_info(p, c, mac, e) < 0 || add_link(n, p, netns_fd, mac, e) < 0) {
		return -1;
	}
	if (reserve_ports(n, p, c, false, e) < 0) {
		remove_link(n, p);
		return -1;
	}
	list_append(&p->network->endpoints, &p->link);
	if (p->ports.n > 0 && rules_publish(n, &p->ports, e) < 0) {
		list_remove(&p->link);
		remove_link(n, p);
		return -1;
	}
	return 0;
}

int network_attach(struct network_set *n, struct network *w, int netns_fd,
	const struct endpoint_config *c, struct endpoint_info *ret, json_t **ret_ports,
	struct err *e)
{
	if (endpoint_find(w, c->container_id)) {
		return err_set(e, ERR_DENIED, "endpoint with name %s already exists in network %s",
			c->container_name, network_name(w));
	}
	scoped(endpoint_free) struct endpoint *p = endpoint_new(w, c);
	if (!p->gateway && routes_outside(p) && !find_gateway(n, c->container_id, true)) {
		p->gateway = true; /* the first network is internal, say */
	}
	int r = w->driver == DRIVER_BRIDGE ? attach_bridge(n, p, netns_fd, c, e)
					   : attach_nothing(p, netns_fd, e);
	if (r < 0) {
		return -1;
	}
	if (list_empty(&p->link)) {
		list_append(&w->endpoints, &p->link);
	}
	*ret = p->info;
	if (ret_ports) {
		*ret_ports = port_list_json(&p->ports);
	}
	TAKE(p);
	resolver_resume(n->resolver, c->container_id, netns_fd);
	network_publish_event(w, "connect", c->container_id);
	return 0;
}

void network_detach(struct network_set *n, const char *network_id, const char *container_id)
{
	struct network *w = map_get(n->by_id, network_id);
	struct endpoint *p = w ? endpoint_find(w, container_id) : NULL;
	if (!p) {
		return;
	}
	bool gateway = p->gateway;
	list_remove(&p->link);
	if (p->ports.n > 0) {
		rules_unpublish(n, &p->ports);
	}
	if (w->driver == DRIVER_BRIDGE) {
		remove_link(n, p);
	}
	endpoint_free(p);
	if (!network_has_container(n, container_id)) {
		resolver_park(n->resolver,
			container_id); /* its sockets would keep the dead namespace alive */
	} else if (gateway) {
		pass_gateway_on(n, container_id);
	}
	network_publish_event(w, "disconnect", container_id);
}

struct link_search {
	const char *name;
	struct rtnl_link found;
};

static int match_link(void *owner, const struct rtnl_link *link)
{
	struct link_search *s = owner;
	if (strcmp(link->name, s->name) == 0) {
		s->found = *link;
	}
	return 0;
}

/* The host's end is where it was; the bridge may be a new one. */
static int restore_link(struct network_set *n, const struct endpoint *p, struct err *e)
{
	char name[IF_NAMESIZE];
	uint32_t bridge;
	endpoint_veth_name(p->info.endpoint_id, name);
	struct link_search s = {.name = name};
	int r = rtnl_each_link(&n->rtnl, match_link, &s);
	r = r < 0 ? r : rtnl_index(&n->rtnl, p->network->bridge, &bridge);
	if (r == 0 && s.found.index == 0) {
		r = -ENODEV;
	}
	if (r == 0 && s.found.master != bridge) {
		r = rtnl_set_master(&n->rtnl, s.found.index, bridge);
		r = r < 0 ? r : rtnl_set_hairpin(&n->rtnl, name);
		r = r < 0 ? r : rtnl_commit(&n->rtnl);
	}
	return r < 0 ? err_sys(e, -r, "cannot find interface %s of container %s again", name,
			       p->container_name)
		     : 0;
}

static int restore_bridge(
	struct network_set *n, struct endpoint *p, const struct endpoint_config *c, struct err *e)
{
	if (ipam_parse_address(p->info.ipv4, &p->address) < 0) {
		return err_set(e, ERR_SYSTEM, "endpoint %s has no address: '%s'",
			p->info.endpoint_id, p->info.ipv4);
	}
	list_append(&p->network->endpoints, &p->link);
	if (restore_link(n, p, e) < 0 || reserve_ports(n, p, c, true, e) < 0) {
		list_remove(&p->link);
		return -1;
	}
	if (p->ports.n > 0 && rules_publish(n, &p->ports, e) < 0) {
		list_remove(&p->link);
		return -1;
	}
	return 0;
}

int network_restore(struct network_set *n, const struct endpoint_info *info, int netns_fd,
	const struct endpoint_config *c, struct err *e)
{
	struct network *w = map_get(n->by_id, info->network_id);
	if (!w) {
		return err_set(e, ERR_NOT_FOUND, "network %s not found", info->network_id);
	}
	if (endpoint_find(w, c->container_id)) {
		return err_set(e, ERR_CONFLICT, "container %s is on network %s already",
			c->container_name, network_name(w));
	}
	scoped(endpoint_free) struct endpoint *p = endpoint_new(w, c);
	p->info = *info;
	if (w->driver == DRIVER_BRIDGE && restore_bridge(n, p, c, e) < 0) {
		return -1;
	}
	if (list_empty(&p->link)) {
		list_append(&w->endpoints, &p->link);
	}
	TAKE(p);
	return network_uses_dns(w) ? network_dns_start(n, c->container_id, netns_fd, e) : 0;
}

void network_container_renamed(struct network_set *n, const char *container_id, const char *name)
{
	map_each (n->by_id, struct network, w) {
		struct endpoint *p = endpoint_find(w, container_id);
		if (p) {
			free(p->container_name);
			free(p->names.v[0]); /* the container's name is the first: endpoint_new */
			p->container_name = xstrdup(name);
			p->names.v[0] = xstrdup(name);
		}
	}
}

/* --- after a restart --- */

struct veth_sweep {
	struct network_set *set;
	struct strv doomed;
	uint32_t bridges[NETWORKS_MAX];
	size_t bridges_n;
	char alias[RTNL_ALIAS_MAX];
};

static int note_bridge(void *owner, const struct rtnl_link *link)
{
	struct veth_sweep *s = owner;
	if (strcmp(link->kind, "bridge") == 0 && strcmp(link->alias, s->alias) == 0 &&
		s->bridges_n < NETWORKS_MAX) {
		s->bridges[s->bridges_n++] = link->index;
	}
	return 0;
}

static bool is_known_veth(const struct network_set *n, const char *name)
{
	char known[IF_NAMESIZE];
	map_each (n->by_id, struct network, w) {
		list_each (i, &w->endpoints) {
			endpoint_veth_name(
				container_of(i, struct endpoint, link)->info.endpoint_id, known);
			if (strcmp(known, name) == 0) {
				return true;
			}
		}
	}
	return false;
}

static int collect_veth(void *owner, const struct rtnl_link *link)
{
	struct veth_sweep *s = owner;
	bool ours = false;
	for (size_t i = 0; i < s->bridges_n; i++) {
		ours = ours || s->bridges[i] == link->master;
	}
	if (ours && strcmp(link->kind, "veth") == 0 && !is_known_veth(s->set, link->name)) {
		strv_add(&s->doomed, link->name);
	}
	return 0;
}

void endpoint_sweep(struct network_set *n)
{
	scoped(free) struct veth_sweep *s = xnew(struct veth_sweep);
	s->set = n;
	bridge_alias(n, s->alias);
	rtnl_each_link(&n->rtnl, note_bridge, s);
	rtnl_each_link(&n->rtnl, collect_veth, s);
	for (size_t i = 0; i < s->doomed.n; i++) {
		log_info("network", "stale_link_removed", "link", s->doomed.v[i], NULL);
		rtnl_delete_link(&n->rtnl, s->doomed.v[i]);
		rtnl_commit(&n->rtnl);
	}
	strv_deinit(&s->doomed);
}
