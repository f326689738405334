/* Which subnets are taken: by our networks, and by what this host routes. */
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "base/log.h"
#include "base/scoped.h"
#include "network/internal.h"

struct taken {
	struct ip_range *v;
	bool *far; /* reached by a gateway: a part of it may become a network of ours when a user
		      says so */
	size_t n;
	uint32_t skip_link;
	bool routes;
};

static void add(struct taken *t, struct ip_range r, bool far)
{
	t->v = xrealloc(t->v, t->n + 1, sizeof(*t->v));
	t->far = xrealloc(t->far, t->n + 1, sizeof(*t->far));
	t->v[t->n] = r;
	t->far[t->n++] = far;
}

static int add_host_range(void *owner, const struct rtnl_range *range)
{
	struct taken *t = owner;
	if (range->index != t->skip_link || t->skip_link == 0) {
		add(t, ip_range_of(range->address, range->prefix_len), t->routes);
	}
	return 0;
}

static int collect(struct network_set *n, const char *bridge, bool host, struct taken *t)
{
	map_each (n->by_id, struct network, w) {
		for (size_t i = 0; i < w->subnets_n; i++) {
			if (!*bridge || strcmp(w->bridge, bridge) != 0) {
				add(t, w->subnets[i].subnet, false);
			}
		}
	}
	if (!host) {
		return 0;
	}
	rtnl_index(&n->rtnl, bridge, &t->skip_link); /* absent: nothing to skip */
	int r = rtnl_each_address(&n->rtnl, add_host_range, t);
	t->routes = true;
	return r < 0 ? r : rtnl_each_route(&n->rtnl, add_host_range, t);
}

static void taken_deinit(struct taken *t)
{
	free(t->v);
	free(t->far);
}

int network_pick_subnet(struct network_set *n, const char *bridge, uint8_t size,
	struct ip_range *ret, struct err *e)
{
	struct taken t = {0};
	int r = collect(n, bridge, true, &t);
	if (r == 0) {
		r = ipam_pick_subnet(&n->pools, size, t.v, t.n, ret);
	}
	taken_deinit(&t);
	if (r == -ENOSPC) {
		return err_set(
			e, ERR_INVALID, "all predefined address pools have been fully subnetted");
	}
	return r < 0 ? err_sys(e, -r, "cannot read this host's routes") : 0;
}

int network_check_subnet(
	struct network_set *n, const char *bridge, struct ip_range subnet, bool host, struct err *e)
{
	struct taken t = {0};
	int r = collect(n, bridge, host, &t);
	bool overlaps = false;
	for (size_t i = 0; i < t.n; i++) {
		overlaps = overlaps ||
			   (ip_overlap(subnet, t.v[i]) && !(t.far[i] && t.v[i].len < subnet.len));
	}
	taken_deinit(&t);
	if (overlaps) {
		return err_set(e, ERR_DENIED, "Pool overlaps with other one on this address space");
	}
	return r < 0 ? err_sys(e, -r, "cannot read this host's routes") : 0;
}

/* --- subnets of networks that are kept from one run to the next --- */

/* Looks for a link other than the network's own in its subnet. */
struct shared {
	struct ip_range subnet;
	uint32_t own;   /* the network's bridge; 0: it has none now */
	uint32_t other; /* the link that was found, or 0 */
	bool routes;
};

static int find_shared(void *owner, const struct rtnl_range *range)
{
	struct shared *s = owner;
	struct ip_range r = ip_range_of(range->address, range->prefix_len);
	bool around = s->routes &&
		      r.len < s->subnet.len; /* ours is a part of it: it is the better route */
	if (!s->other && range->index != s->own && ip_overlap(s->subnet, r) && !around) {
		s->other = range->index;
	}
	return 0;
}

static void warn_of_shared(struct network_set *n, const struct network *w, struct ip_range subnet)
{
	struct shared s = {.subnet = subnet};
	char text[IP_TEXT_MAX], name[IF_NAMESIZE] = "?";
	rtnl_index(&n->rtnl, w->bridge, &s.own);
	rtnl_each_address(&n->rtnl, find_shared, &s);
	s.routes = true;
	rtnl_each_route(&n->rtnl, find_shared, &s);
	if (s.other) {
		if_indextoname(s.other, name);
		log_warning("network", "subnet_shared", "name", network_name(w), "subnet",
			ip_format_range(subnet, text), "link", name, NULL);
	}
}

void network_warn_shared(struct network_set *n)
{
	map_each (n->by_id, struct network, w) {
		for (size_t i = 0; w->driver == DRIVER_BRIDGE && i < w->subnets_n; i++) {
			warn_of_shared(n, w, w->subnets[i].subnet);
		}
	}
}
