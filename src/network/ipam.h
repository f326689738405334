/* network/ipam.h - which subnet a network gets and which address a container gets: pure arithmetic.
 *
 * Nothing allocates but pool lists.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/ip.h"

/* Address space to be cut into subnets of prefix length size. */
struct ipam_pool {
	struct ip_range space;
	int size;
};
struct ipam_pools {
	struct ipam_pool *v;
	size_t n;
};
void ipam_pools_deinit(struct ipam_pools *p);
/* doc: default-address-pools [{"base": "10.0.0.0/8", "size": 24}], or NULL; a family that it does
 * not name has Docker's own: for IPv6 the /48 of RFC 4193 whose global id is the 5 bytes of
 * seed, in pieces of /64. */
int ipam_pools_read(
	const json_t *doc, const uint8_t seed[5], struct ipam_pools *ret, struct err *e);
/* The first subnet of the pools with addresses of that size (IP4_BYTES, IP6_BYTES) that overlaps
 * none of used. -ENOSPC when there is none. */
int ipam_pick_subnet(const struct ipam_pools *p, uint8_t size, const struct ip_range *used,
	size_t n, struct ip_range *ret);

struct ipam {
	struct ip_range subnet;
	struct ip_range range; /* where automatic addresses come from: the subnet or a part of it */
	struct ip gateway;
};
/* What a subnet is without any wish: all of it is the range, its first host the gateway. */
struct ipam ipam_of(struct ip_range subnet);
/* The lowest address of the range that is neither used, the gateway, nor the subnet's first or (of
 * IPv4) last; used is in any order and is sorted. -ENOSPC. */
int ipam_pick_address(const struct ipam *p, struct ip *used, size_t n, struct ip *ret);
/* A wanted address: -EINVAL outside the subnet or its first or last, -EADDRINUSE when used or the
 * gateway. */
int ipam_check_address(const struct ipam *p, const struct ip *used, size_t n, struct ip address);
