/* The addresses an endpoint gets: wanted ones, or the lowest that are free. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "network/internal.h"

/* Everything of the network that is taken: its containers' addresses and the auxiliary ones. The
 * caller's. */
static struct ip *collect_used(const struct network *w, size_t *ret_n)
{
	const json_t *rows = json_object_get(json_object_get(w->doc, "IPAM"), "Config");
	size_t n = 0;
	size_t i;
	json_t *row;
	list_each (k, &w->endpoints) {
		n += 2;
	}
	json_array_foreach (rows, i, row) {
		n += json_object_size(json_object_get(row, "AuxiliaryAddresses"));
	}
	struct ip *used = xnew_array(struct ip, n + 1);
	n = 0;
	list_each (k, &w->endpoints) {
		const struct endpoint *p = container_of(k, struct endpoint, link);
		used[n++] = p->address;
		used[n++] = p->address6;
	}
	json_array_foreach (rows, i, row) {
		const char *key;
		json_t *value;
		json_object_foreach (json_object_get(row, "AuxiliaryAddresses"), key, value) {
			n += ip_parse(json_string_value(value), &used[n]) == 0;
		}
	}
	*ret_n = n;
	return used;
}

static int pick(const struct network *w, uint8_t size, struct ip *used, size_t n, struct ip *ret,
	struct err *e)
{
	for (size_t i = 0; i < w->subnets_n; i++) {
		if (w->subnets[i].subnet.base.size == size &&
			ipam_pick_address(&w->subnets[i], used, n, ret) == 0) {
			return 0;
		}
	}
	return err_set(e, ERR_SYSTEM,
		"no available %s addresses on this network's address pools: %s (%s)",
		size == IP4_BYTES ? "IPv4" : "IPv6", network_name(w), w->id);
}

static int take_wanted(const struct network *w, uint8_t size, const char *text,
	const struct ip *used, size_t n, struct ip *ret, struct err *e)
{
	struct ip a;
	if (ip_parse(text, &a) < 0 || a.size != size) {
		return err_set(e, ERR_INVALID, "invalid %s address: %.64s",
			size == IP4_BYTES ? "IPv4" : "IPv6", text);
	}
	const struct ipam *s = network_subnet_of(w, a);
	int r = s ? ipam_check_address(s, used, n, a) : -EINVAL;
	if (r == -EINVAL) {
		return err_set(e, ERR_INVALID,
			"no configured subnet or ip-range contain the IP address %s", text);
	}
	if (r < 0) {
		return err_set(e, ERR_DENIED, "Address already in use");
	}
	*ret = a;
	return 0;
}

static int choose(
	const struct network *w, uint8_t size, const char *wanted, struct ip *ret, struct err *e)
{
	size_t n;
	scoped(free) struct ip *used = collect_used(w, &n);
	return wanted && *wanted ? take_wanted(w, size, wanted, used, n, ret, e)
				 : pick(w, size, used, n, ret, e);
}

static int choose_mac(
	const struct endpoint_config *c, struct ip address, uint8_t ret[6], struct err *e)
{
	if (!c->mac || !*c->mac) {
		/* moby netutils.GenerateMACFromIP: who comes back with its address answers to the
		 * same MAC, too */
		const uint8_t mac[6] = {
			0x02, 0x42, address.b[0], address.b[1], address.b[2], address.b[3]};
		memcpy(ret, mac, 6);
		return 0;
	}
	return parse_mac(c->mac, ret) < 0
		       ? err_set(e, ERR_INVALID, "invalid MAC address: %s", c->mac)
		       : 0;
}

/* What a container's side of the addresses looks like in inspect. */
static void show(struct ip address, const struct network *w, char *text, size_t size,
	int *ret_prefix_len, char *gateway, size_t gateway_size)
{
	const struct ipam *s = network_subnet_of(w, address);
	bool direct = w->driver == DRIVER_IPVLAN && w->mode != 0;
	char buffer[IP_TEXT_MAX];
	snprintf(text, size, "%s", ip_format(address, buffer));
	snprintf(gateway, gateway_size, "%s",
		s && !w->internal && !direct ? ip_format(s->gateway, buffer) : "");
	*ret_prefix_len = s ? s->subnet.len : 0;
}

int endpoint_choose_addresses(
	struct endpoint *p, const struct endpoint_config *c, uint8_t mac[6], struct err *e)
{
	const struct network *w = p->network;
	struct endpoint_info *f = &p->info;
	if (choose(w, IP4_BYTES, c->ipv4, &p->address, e) < 0 ||
		(w->ipv6 && choose(w, IP6_BYTES, c->ipv6, &p->address6, e) < 0) ||
		choose_mac(c, p->address, mac, e) < 0) {
		return -1;
	}
	show(p->address, w, f->ipv4, sizeof(f->ipv4), &f->prefix_len, f->gateway,
		sizeof(f->gateway));
	show(p->address6, w, f->ipv6, sizeof(f->ipv6), &f->prefix_len6, f->gateway6,
		sizeof(f->gateway6));
	if (w->driver != DRIVER_IPVLAN) { /* there it is the parent's */
		snprintf(f->mac, sizeof(f->mac), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1],
			mac[2], mac[3], mac[4], mac[5]);
	}
	return 0;
}
