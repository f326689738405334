#include "network/ipam.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"

#define POOLS_MAX 64
#define SUBNETS_MAX 65536 /* of one pool that are tried */

void ipam_pools_deinit(struct ipam_pools *p)
{
	free(p->v);
	*p = (struct ipam_pools){0};
}

static void add_pool(struct ipam_pools *p, struct ip_range space, int size)
{
	p->v = xrealloc(p->v, p->n + 1, sizeof(*p->v));
	p->v[p->n++] = (struct ipam_pool){space, size};
}

/* moby libnetwork/ipamutils: 172.17 to 172.31 as /16 each, then 192.168.0.0/16 in pieces of /20. */
static void add_default_pools4(struct ipam_pools *p)
{
	for (uint32_t second = 17; second <= 31; second++) {
		add_pool(p, ip_range_of(ip_of4(172u << 24 | second << 16), 16), 16);
	}
	add_pool(p, ip_range_of(ip_of4(192u << 24 | 168u << 16), 16), 20);
}

/* As dockerd since 27 (daemon deriveULABaseNetwork): fd, 40 bits that are this host's alone, then
 * 16 bits of subnet. */
static void add_default_pools6(struct ipam_pools *p, const uint8_t seed[5])
{
	struct ip base = {.size = IP6_BYTES, .b = {0xfd}};
	memcpy(base.b + 1, seed, 5);
	add_pool(p, ip_range_of(base, 48), 64);
}

static int read_pool(const json_t *row, struct ipam_pools *p, struct err *e)
{
	const char *base;
	int64_t size;
	struct ip_range space;
	if (!json_is_object(row)) {
		return err_set(
			e, ERR_INVALID, "an entry of default-address-pools must be an object");
	}
	if (json_get_str(row, "base", &base, e) < 0 || json_get_i64(row, "size", 0, &size, e) < 0) {
		return err_wrap(e, "default-address-pools");
	}
	if (!base || ip_parse_range(base, &space, NULL) < 0) {
		return err_set(e, ERR_INVALID, "default-address-pools: base '%s' is no subnet",
			base ? base : "");
	}
	int most = ip_bits(space.base) - 2;
	if (size < space.len || size > most) {
		return err_set(e, ERR_INVALID,
			"default-address-pools: size %lld of %s must lie between %d and %d",
			(long long)size, base, space.len, most);
	}
	add_pool(p, space, (int)size);
	return 0;
}

static bool has_pools_of(const struct ipam_pools *p, uint8_t size)
{
	for (size_t i = 0; i < p->n; i++) {
		if (p->v[i].space.base.size == size) {
			return true;
		}
	}
	return false;
}

int ipam_pools_read(const json_t *doc, const uint8_t seed[5], struct ipam_pools *ret, struct err *e)
{
	struct ipam_pools pools = {0};
	if (json_array_size(doc) > POOLS_MAX) {
		return err_set(e, ERR_INVALID, "default-address-pools has more than %d entries",
			POOLS_MAX);
	}
	size_t i;
	json_t *row;
	json_array_foreach (doc, i, row) {
		if (read_pool(row, &pools, e) < 0) {
			ipam_pools_deinit(&pools);
			return -1;
		}
	}
	if (!has_pools_of(&pools, IP4_BYTES)) {
		add_default_pools4(&pools);
	}
	if (!has_pools_of(&pools, IP6_BYTES)) {
		add_default_pools6(&pools, seed);
	}
	*ret = pools;
	return 0;
}

static bool is_free(struct ip_range r, const struct ip_range *used, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (ip_overlap(r, used[i])) {
			return false;
		}
	}
	return true;
}

int ipam_pick_subnet(const struct ipam_pools *p, uint8_t size, const struct ip_range *used,
	size_t n, struct ip_range *ret)
{
	for (size_t i = 0; i < p->n; i++) {
		const struct ipam_pool *pool = &p->v[i];
		int bits = pool->size - pool->space.len;
		uint64_t count = bits < 17 ? UINT64_C(1) << bits : SUBNETS_MAX;
		for (uint64_t k = 0; pool->space.base.size == size && k < count && k < SUBNETS_MAX;
			k++) {
			struct ip base =
				ip_add(pool->space.base, k, ip_bits(pool->space.base) - pool->size);
			struct ip_range r = {base, pool->size};
			if (is_free(r, used, n)) {
				*ret = r;
				return 0;
			}
		}
	}
	return -ENOSPC;
}

static int compare_addresses(const void *a, const void *b)
{
	return ip_compare(*(const struct ip *)a, *(const struct ip *)b);
}

/* RFC 3021: in a /31 both addresses are hosts; a /32 is one. IPv6 has no broadcast, but its first
 * address means any router (RFC 4291 2.6.1). */
static bool is_host(struct ip_range subnet, struct ip address)
{
	if (!ip_contains(subnet, address) || subnet.len >= ip_bits(address) - 1) {
		return ip_contains(subnet, address);
	}
	return !ip_equal(address, subnet.base) &&
	       (address.size == IP6_BYTES || !ip_equal(address, ip_last(subnet)));
}

struct ipam ipam_of(struct ip_range subnet)
{
	bool small = subnet.len >= ip_bits(subnet.base) - 1;
	return (struct ipam){subnet, subnet, ip_add(subnet.base, small ? 0 : 1, 0)};
}

int ipam_pick_address(const struct ipam *p, struct ip *used, size_t n, struct ip *ret)
{
	qsort(used, n, sizeof(*used), compare_addresses);
	size_t i = 0;
	struct ip last = ip_last(p->range);
	for (struct ip a = p->range.base;; a = ip_add(a, 1, 0)) {
		while (i < n && ip_compare(used[i], a) < 0) {
			i++;
		}
		bool taken = (i < n && ip_equal(used[i], a)) || ip_equal(a, p->gateway) ||
			     !is_host(p->subnet, a);
		if (!taken) {
			*ret = a;
			return 0;
		}
		if (ip_equal(a, last)) {
			return -ENOSPC;
		}
	}
}

int ipam_check_address(const struct ipam *p, const struct ip *used, size_t n, struct ip address)
{
	if (!is_host(p->subnet, address)) {
		return -EINVAL;
	}
	if (ip_equal(address, p->gateway)) {
		return -EADDRINUSE;
	}
	for (size_t i = 0; i < n; i++) {
		if (ip_equal(used[i], address)) {
			return -EADDRINUSE;
		}
	}
	return 0;
}
