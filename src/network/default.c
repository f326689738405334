/* The default bridge: what daemon.json says about it. Its id and, unless bip says otherwise, its
 * subnet stay the same from one start to the next. */
#include <string.h>

#include "base/json.h"
#include "network/internal.h"

/* bip, bip6: the bridge's own address. */
static int read_bip(const struct network_set *n, const char *key, uint8_t size, int shortest,
	int longest, struct ipam *ret, struct err *e)
{
	struct ip_range subnet;
	struct ip address;
	const char *text = json_str(n->defaults, key);
	bool good = ip_parse_range(text, &subnet, &address) == 0 && address.size == size &&
		    subnet.len >= shortest && subnet.len <= longest &&
		    !ip_equal(address, subnet.base) && !ip_equal(address, ip_last(subnet));
	if (!good) {
		return err_set(e, ERR_INVALID,
			"%s '%s' is no IPv%d address with a prefix of /%d to /%d", key, text,
			size == IP4_BYTES ? 4 : 6, shortest, longest);
	}
	*ret = ipam_of(subnet);
	ret->gateway = address;
	return 0;
}

/* fixed-cidr: the part of the subnet from which containers get their addresses. */
static int read_fixed(const struct network_set *n, const char *key, struct ipam *p, struct err *e)
{
	const char *text = json_str(n->defaults, key);
	struct ip_range r;
	if (!*text) {
		return 0;
	}
	if (ip_parse_range(text, &r, NULL) < 0 || r.len < p->subnet.len ||
		!ip_contains(p->subnet, r.base)) {
		char subnet[IP_TEXT_MAX];
		return err_set(e, ERR_INVALID,
			"%s '%s' is no part of the default bridge's subnet %s", key, text,
			ip_format_range(p->subnet, subnet));
	}
	p->range = r;
	return 0;
}

/* default-gateway: another router than the bridge itself. */
static int read_gateway(
	const struct network_set *n, const char *key, const struct ipam *p, struct err *e)
{
	const char *text = json_str(n->defaults, key);
	struct ip a;
	if (*text && (ip_parse(text, &a) < 0 || !ip_equal(a, p->gateway))) {
		return err_set(e, ERR_INVALID,
			"%s '%s' is not supported: the default bridge is its containers' router",
			key, text);
	}
	return 0;
}

/* bip, the subnet it had, that of a bridge the user made, or a free one. */
static int choose4(struct network_set *n, const struct network *w, const struct ipam *had,
	struct ipam *ret, struct err *e)
{
	struct ip_range subnet;
	if (*json_str(n->defaults, "bip")) {
		if (read_bip(n, "bip", IP4_BYTES, 8, 30, ret, e) < 0) {
			return -1;
		}
	} else if (had) {
		*ret = *had;
		ret->range = ret->subnet; /* fixed-cidr may be gone */
	} else if (!bridge_address(n, w->bridge, ret)) {
		if (network_pick_subnet(n, w->bridge, IP4_BYTES, &subnet, e) < 0) {
			return -1;
		}
		*ret = ipam_of(subnet);
	}
	return read_fixed(n, "fixed-cidr", ret, e) < 0 ||
			       read_gateway(n, "default-gateway", ret, e) < 0
		       ? -1
		       : 0;
}

/* bip6, fixed-cidr-v6 (which is the subnet where there is no bip6, as in dockerd), the subnet it
 * had, or a free one. */
static int choose6(struct network_set *n, const struct network *w, const struct ipam *had,
	struct ipam *ret, struct err *e)
{
	const char *fixed = json_str(n->defaults, "fixed-cidr-v6");
	struct ip_range subnet;
	if (*json_str(n->defaults, "bip6")) {
		return read_bip(n, "bip6", IP6_BYTES, 8, 126, ret, e) < 0 ||
				       read_fixed(n, "fixed-cidr-v6", ret, e) < 0
			       ? -1
			       : 0;
	}
	if (*fixed) {
		if (ip_parse_range(fixed, &subnet, NULL) < 0 || subnet.base.size != IP6_BYTES ||
			subnet.len > 126) {
			return err_set(
				e, ERR_INVALID, "fixed-cidr-v6 '%s' is no IPv6 subnet", fixed);
		}
		*ret = ipam_of(subnet);
		return read_gateway(n, "default-gateway-v6", ret, e);
	}
	if (had) {
		*ret = *had;
		return 0;
	}
	if (network_pick_subnet(n, w->bridge, IP6_BYTES, &subnet, e) < 0) {
		return -1;
	}
	*ret = ipam_of(subnet);
	return 0;
}

int network_choose_default(struct network_set *n, struct network *w, struct err *e)
{
	struct ipam chosen[2];
	size_t count = w->ipv6 ? 2 : 1;
	if (choose4(n, w, network_subnet(w, IP4_BYTES), &chosen[0], e) < 0 ||
		(w->ipv6 && choose6(n, w, network_subnet(w, IP6_BYTES), &chosen[1], e) < 0)) {
		return -1;
	}
	json_put(json_object_get(w->doc, "IPAM"), "Config", json_array());
	w->subnets_n = 0;
	for (size_t i = 0; i < count; i++) {
		w->subnets[w->subnets_n++] = chosen[i];
		network_spec_add_subnet(w->doc, &chosen[i]);
	}
	return 0;
}
