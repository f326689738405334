/* The bridges of our networks in the kernel. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "base/log.h"
#include "network/internal.h"
#include "sys/netns.h"

const char *bridge_alias(const struct network_set *n, char text[static RTNL_ALIAS_MAX])
{
	snprintf(text, RTNL_ALIAS_MAX, ALIAS_PREFIX "%s", n->prefix);
	return text;
}

struct search {
	const char *name;
	struct rtnl_link found;
};

static int match_name(void *owner, const struct rtnl_link *link)
{
	struct search *s = owner;
	if (strcmp(link->name, s->name) == 0) {
		s->found = *link;
	}
	return 0;
}

/* What a bridge has of the addresses that it should have, and what it has besides. */
struct address_search {
	uint32_t link;
	const struct network *network;
	uint32_t has; /* bit i: the gateway of subnet i */
	struct rtnl_range others[NETWORK_SUBNETS_MAX];
	size_t others_n;
};

static int match_address(void *owner, const struct rtnl_range *range)
{
	struct address_search *s = owner;
	const struct network *w = s->network;
	if (range->index != s->link || ip_is_link_local(range->address)) {
		return 0;
	}
	for (size_t i = 0; w && i < w->subnets_n; i++) {
		if (ip_equal(range->address, w->subnets[i].gateway) &&
			range->prefix_len == w->subnets[i].subnet.len) {
			s->has |= 1u << i;
			return 0;
		}
	}
	if (s->others_n < NETWORK_SUBNETS_MAX) {
		s->others[s->others_n++] = *range;
	}
	return 0;
}

static int make_bridge(struct network_set *n, const struct network *w)
{
	char alias[RTNL_ALIAS_MAX];
	/* A bridge without an address of its own takes its lowest port's, and changes it under the
	 * containers' feet. */
	uint8_t mac[6] = {0x02, 0x42};
	if (getrandom(mac + 2, 4, 0) != 4) {
		return -errno;
	}
	int r = rtnl_add_bridge(&n->rtnl, w->bridge, mac, bridge_alias(n, alias));
	return r < 0 ? r : rtnl_commit(&n->rtnl);
}

static void set_sysctl(const char *family, const char *bridge, const char *name, const char *value)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/conf/%s/%s", family, bridge, name);
	int r = netns_sysctl(path, value);
	if (r < 0 && r != -ENOENT) { /* a kernel without IPv6 */
		log_warning("network", "sysctl", "name", path, "error", strerror(-r), NULL);
	}
}

/* The daemon's bip may have changed; on a bridge that the user made, other addresses are the
 * user's. */
static int set_bridge_addresses(struct network_set *n, const struct network *w, uint32_t index)
{
	struct address_search s = {.link = index, .network = w};
	int r = rtnl_each_address(&n->rtnl, match_address, &s);
	for (size_t i = 0; r == 0 && w->own_bridge && i < s.others_n; i++) {
		r = rtnl_delete_address(
			&n->rtnl, index, s.others[i].address, s.others[i].prefix_len);
	}
	for (size_t i = 0; r == 0 && i < w->subnets_n; i++) {
		const struct ipam *subnet = &w->subnets[i];
		if (!(s.has & 1u << i)) {
			r = rtnl_add_address(&n->rtnl, index, subnet->gateway, subnet->subnet.len);
		}
	}
	return r < 0 ? r : rtnl_commit(&n->rtnl);
}

/* Frames between two ports of one bridge pass no rule of ours unless br_netfilter shows them to it.
 */
static int show_frames(const struct network *w)
{
	int r = netns_sysctl(
		"bridge/bridge-nf-call-iptables", "1"); /* moby setupBridgeNetFiltering */
	return r < 0 || !w->ipv6 ? r : netns_sysctl("bridge/bridge-nf-call-ip6tables", "1");
}

static int finish_bridge(struct network_set *n, struct network *w, const struct rtnl_link *link)
{
	if (w->ipv6) { /* where the distribution switches it off for new links */
		set_sysctl("ipv6", w->bridge, "disable_ipv6", "0");
	}
	/* No container tells this host where the internet is: CVE-2020-13401. */
	set_sysctl("ipv6", w->bridge, "accept_ra", "0");
	int r = set_bridge_addresses(n, w, link->index);
	if (r == 0 && w->mtu) {
		r = rtnl_set_mtu(&n->rtnl, link->index, w->mtu);
	}
	if (r == 0 && !link->up) {
		r = rtnl_set_up(&n->rtnl, link->index, true);
	}
	if (r == 0) {
		r = rtnl_commit(&n->rtnl);
	}
	if (r == 0 && !w->icc) {
		r = show_frames(w);
	}
	if (r == 0) {
		/* What is published at 127.0.0.1 leaves by this bridge with a loopback destination
		 * before dnat. */
		set_sysctl("ipv4", w->bridge, "route_localnet", "1");
	}
	return r;
}

int bridge_ensure(struct network_set *n, struct network *w, struct err *e)
{
	char alias[RTNL_ALIAS_MAX];
	struct search s = {.name = w->bridge};
	int r = rtnl_each_link(&n->rtnl, match_name, &s);
	if (r == 0 && s.found.index == 0) {
		r = make_bridge(n, w);
		r = r < 0 ? r : rtnl_each_link(&n->rtnl, match_name, &s);
	}
	if (r < 0) {
		return err_sys(e, -r, "cannot make bridge %s", w->bridge);
	}
	if (strcmp(s.found.kind, "bridge") != 0) {
		return err_set(e, ERR_CONFLICT, "%s exists and is not a bridge", w->bridge);
	}
	w->own_bridge = strcmp(s.found.alias, bridge_alias(n, alias)) == 0;
	if (!w->own_bridge && strncmp(s.found.alias, ALIAS_PREFIX, strlen(ALIAS_PREFIX)) == 0) {
		return err_set(e, ERR_CONFLICT, "bridge %s belongs to another daemon (%s)",
			w->bridge, s.found.alias);
	}
	r = finish_bridge(n, w, &s.found);
	if (r < 0) {
		err_sys(e, -r, "cannot set up bridge %s%s", w->bridge,
			w->icc ? ""
			       : " without inter-container communication (does it have br_netfilter?)");
		bridge_remove(n, w);
		return -1;
	}
	return 0;
}

bool bridge_address(struct network_set *n, const char *bridge, struct ipam *ret)
{
	struct address_search s = {0};
	if (rtnl_index(&n->rtnl, bridge, &s.link) < 0 ||
		rtnl_each_address(&n->rtnl, match_address, &s) < 0) {
		return false;
	}
	for (size_t i = 0; i < s.others_n; i++) {
		const struct rtnl_range *r = &s.others[i];
		if (r->address.size == IP4_BYTES && r->prefix_len >= 8 && r->prefix_len <= 30) {
			*ret = ipam_of(ip_range_of(r->address, r->prefix_len));
			ret->gateway = r->address;
			return true;
		}
	}
	return false;
}

void bridge_remove(struct network_set *n, struct network *w)
{
	if (!w->own_bridge) {
		return;
	}
	int r = rtnl_delete_link(&n->rtnl, w->bridge);
	r = r < 0 ? r : rtnl_commit(&n->rtnl);
	if (r < 0 && r != -ENODEV) {
		log_warning("network", "bridge_stays", "bridge", w->bridge, "error", strerror(-r),
			NULL);
	}
}

struct sweep {
	struct network_set *set;
	struct strv doomed;
	char alias[RTNL_ALIAS_MAX];
};

static int collect_bridge(void *owner, const struct rtnl_link *link)
{
	struct sweep *s = owner;
	if (strcmp(link->alias, s->alias) != 0) {
		return 0;
	}
	map_each (s->set->by_id, struct network, w) {
		if (strcmp(w->bridge, link->name) == 0 || strcmp(w->parent, link->name) == 0) {
			return 0;
		}
	}
	strv_add(&s->doomed, link->name);
	return 0;
}

void bridge_sweep(struct network_set *n)
{
	struct sweep s = {.set = n};
	bridge_alias(n, s.alias);
	rtnl_each_link(&n->rtnl, collect_bridge, &s);
	for (size_t i = 0; i < s.doomed.n; i++) {
		log_info("network", "stale_bridge_removed", "bridge", s.doomed.v[i], NULL);
		rtnl_delete_link(&n->rtnl, s.doomed.v[i]);
		rtnl_commit(&n->rtnl);
	}
	strv_deinit(&s.doomed);
}
