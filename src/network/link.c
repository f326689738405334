/* A container's interface: one end of a veth pair, or a child of the network's parent. */
#include <errno.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "network/internal.h"
#include "sys/netns.h"

#define LO_INDEX 1 /* in every network namespace */
#define LINKS_MAX 64

/* 44 bits of the id: several daemons share one name space. */
void link_host_name(const char *endpoint_id, char ret[static IF_NAMESIZE])
{
	snprintf(ret, IF_NAMESIZE, "veth%.11s", endpoint_id);
}

/* --- its name inside --- */

struct names_taken {
	const char *prefix;
	uint64_t numbers; /* bit n: PREFIXn is there */
};

static int note_name(void *owner, const struct rtnl_link *link)
{
	struct names_taken *t = owner;
	size_t n = strlen(t->prefix);
	int number;
	if (strncmp(link->name, t->prefix, n) == 0 &&
		parse_int(link->name + n, 0, LINKS_MAX - 1, &number) == 0) {
		t->numbers |= UINT64_C(1) << number;
	}
	return 0;
}

static int free_name(struct rtnl *inside, const char *prefix, char ret[static IF_NAMESIZE])
{
	struct names_taken t = {.prefix = prefix};
	int r = rtnl_each_link(inside, note_name, &t);
	if (r < 0) {
		return r;
	}
	for (int i = 0; i < LINKS_MAX; i++) {
		if (!(t.numbers & UINT64_C(1) << i)) {
			snprintf(ret, IF_NAMESIZE, "%s%d", prefix, i);
			return 0;
		}
	}
	return -ENOSPC;
}

/* --- its addresses --- */

/* A container of an IPv4 network has no IPv6 at all on it, not even a link-local address; of an
 * IPv6 one only what it was given: the engine is its router. */
static int set_ipv6(void *owner)
{
	const struct endpoint *p = owner;
	const char *names[] = {"disable_ipv6", "accept_ra", "accept_dad"};
	const char *values[] = {p->address6.size ? "0" : "1", "0", "0"};
	int first = 0;
	for (size_t i = 0; i < 3; i++) {
		char path[96];
		snprintf(path, sizeof(path), "ipv6/conf/%s/%s", p->info.ifname, names[i]);
		int r = netns_sysctl(path, values[i]);
		first = first ? first : r;
	}
	return first;
}

static int add_default_routes(struct rtnl *inside, const struct endpoint *p, uint32_t index)
{
	const struct ip own[] = {p->address, p->address6};
	int r = 0;
	for (size_t i = 0; i < 2 && r == 0; i++) {
		const struct ipam *s = network_subnet_of(p->network, own[i]);
		if (!s) {
			continue;
		}
		bool direct =
			p->network->driver == DRIVER_IPVLAN &&
			p->network->mode != IPVLAN_MODE_L2; /* there is no gateway in layer 3 */
		r = direct ? rtnl_add_default_link(inside, index, own[i].size)
			   : rtnl_add_default_route(inside, index, s->gateway);
	}
	return r;
}

/* The networks of RFC 3927 and RFC 4291 2.5.6, as moby has them. */
static void add_link_local(struct rtnl *inside, uint32_t index, const struct strv *list)
{
	for (size_t i = 0; list && i < list->n; i++) {
		struct ip a;
		if (ip_parse(list->v[i], &a) == 0) {
			rtnl_add_address(inside, index, a, a.size == IP4_BYTES ? 16 : 64);
		}
	}
}

static int configure_inside(
	struct rtnl *inside, const struct endpoint *p, const struct strv *link_local)
{
	uint32_t index;
	int r = rtnl_index(inside, p->info.ifname, &index);
	if (r < 0) {
		return r;
	}
	rtnl_set_up(inside, LO_INDEX, true);
	rtnl_set_up(inside, index, true);
	rtnl_add_address(inside, index, p->address, p->info.prefix_len);
	if (p->address6.size) {
		rtnl_add_address(inside, index, p->address6, p->info.prefix_len6);
	}
	add_link_local(inside, index, link_local);
	if (p->info.is_gateway) {
		add_default_routes(inside, p, index);
	}
	return rtnl_commit(inside);
}

int link_add_route(const struct endpoint *p, int netns_fd)
{
	scoped(rtnl) struct rtnl inside;
	uint32_t index;
	int r = rtnl_open(&inside, netns_fd);
	r = r < 0 ? r : rtnl_index(&inside, p->info.ifname, &index);
	r = r < 0 ? r : add_default_routes(&inside, p, index);
	return r < 0 ? r : rtnl_commit(&inside);
}

/* --- the link --- */

static int add_pair(struct network_set *n, struct endpoint *p, int netns_fd, const uint8_t mac[6])
{
	uint32_t bridge;
	char name[IF_NAMESIZE];
	int r = rtnl_index(&n->rtnl, p->network->bridge, &bridge);
	if (r < 0) {
		return r;
	}
	link_host_name(p->info.endpoint_id, name);
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

static int add_child(struct network_set *n, struct endpoint *p, int netns_fd, const uint8_t mac[6])
{
	const struct network *w = p->network;
	bool macvlan = w->driver == DRIVER_MACVLAN;
	struct rtnl_child c = {.name = p->info.ifname,
		.kind = macvlan ? "macvlan" : "ipvlan",
		.netns_fd = netns_fd,
		.mac = macvlan && w->mode != MACVLAN_MODE_PASSTHRU ? mac : NULL,
		.mtu = w->mtu};
	int r = rtnl_index(&n->rtnl, w->parent, &c.parent);
	if (r < 0) {
		return r;
	}
	if (macvlan) {
		c.data[c.n_data++] = (struct rtnl_data){
			.type = IFLA_MACVLAN_MODE, .bytes = 4, .value.u32 = w->mode};
	} else {
		c.data[c.n_data++] = (struct rtnl_data){
			.type = IFLA_IPVLAN_MODE, .bytes = 2, .value.u16 = (uint16_t)w->mode};
		c.data[c.n_data++] = (struct rtnl_data){
			.type = IFLA_IPVLAN_FLAGS, .bytes = 2, .value.u16 = w->mode_flags};
	}
	r = rtnl_add_child(&n->rtnl, &c);
	return r < 0 ? r : rtnl_commit(&n->rtnl);
}

bool network_ifname_is_valid(const char *name)
{
	size_t n = strlen(name); /* dev_valid_name() of the kernel; % begins a pattern there */
	return n > 0 && n < IF_NAMESIZE && strcspn(name, "/:% \t\n\v\f\r") == n &&
	       strcmp(name, ".") != 0 && strcmp(name, "..") != 0 && strcmp(name, "lo") != 0;
}

static int choose_name(struct rtnl *inside, const struct endpoint *p, const char *wanted,
	char ret[static IF_NAMESIZE], struct err *e)
{
	uint32_t taken;
	if (wanted && rtnl_index(inside, wanted, &taken) == 0) {
		return err_set(e, ERR_CONFLICT,
			"failed to set up container networking: the container has an interface %s already, network %s must have another interface_name",
			wanted, network_name(p->network));
	}
	if (wanted) {
		snprintf(ret, IF_NAMESIZE, "%s", wanted);
		return 0;
	}
	int r = free_name(inside, p->network->ifname_prefix, ret);
	return r < 0 ? err_sys(e, -r,
			       "failed to set up container networking: no name for an interface")
		     : 0;
}

int link_add(struct network_set *n, struct endpoint *p, int netns_fd, const uint8_t mac[6],
	const char *ifname, const struct strv *link_local, struct err *e)
{
	const struct network *w = p->network;
	bool bridge = w->driver == DRIVER_BRIDGE;
	scoped(rtnl) struct rtnl inside;
	int r = rtnl_open(&inside, netns_fd);
	if (r >= 0 && choose_name(&inside, p, ifname, p->info.ifname, e) < 0) {
		return -1;
	}
	r = r < 0 ? r : bridge ? add_pair(n, p, netns_fd, mac) : add_child(n, p, netns_fd, mac);
	if (r < 0) {
		return err_sys(e, -r,
			"failed to set up container networking: cannot add an interface to %s %s",
			bridge ? "bridge" : "parent", bridge ? w->bridge : w->parent);
	}
	netns_run(netns_fd, set_ipv6, p); /* what matters of it fails below */
	r = configure_inside(&inside, p, link_local);
	if (r < 0) {
		link_remove(n, p, netns_fd);
		return err_sys(e, -r,
			"failed to set up container networking: cannot configure %s with %s/%d",
			p->info.ifname, p->info.ipv4, p->info.prefix_len);
	}
	return 0;
}

static int remove_inside(const struct endpoint *p, int netns_fd)
{
	scoped(rtnl) struct rtnl inside;
	if (netns_fd < 0) {
		return 0; /* it went with the namespace */
	}
	int r = rtnl_open(&inside, netns_fd);
	r = r < 0 ? r : rtnl_delete_link(&inside, p->info.ifname);
	return r < 0 ? r : rtnl_commit(&inside);
}

void link_remove(struct network_set *n, const struct endpoint *p, int netns_fd)
{
	char name[IF_NAMESIZE];
	link_host_name(p->info.endpoint_id, name);
	int r;
	if (p->network->driver == DRIVER_BRIDGE) {
		r = rtnl_delete_link(&n->rtnl, name);
		r = r < 0 ? r : rtnl_commit(&n->rtnl);
	} else {
		r = remove_inside(p, netns_fd);
	}
	if (r < 0 && r != -ENODEV) { /* it went with the container's namespace */
		log_warning("network", "link_stays", "link", name, "error", strerror(-r), NULL);
	}
}

/* --- after a restart --- */

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
int link_restore(struct network_set *n, const struct endpoint *p, struct err *e)
{
	char name[IF_NAMESIZE];
	uint32_t bridge;
	if (p->network->driver != DRIVER_BRIDGE) {
		return 0; /* all of it is inside */
	}
	link_host_name(p->info.endpoint_id, name);
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
			link_host_name(
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

void link_sweep(struct network_set *n)
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
