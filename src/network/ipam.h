/* network/ipam.h - which subnet a network gets and which address a container gets: pure arithmetic.
 *
 * Addresses are in host byte order here. Nothing allocates but pool lists.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct ipam_range {
	uint32_t base; /* host bits are zero */
	int len;       /* prefix length, 0 to 32 */
};

/* "172.17.0.0/16"; *ret_address (may be NULL) keeps the host bits: "172.17.0.1/16" is 172.17.0.1 in
 * 172.17.0.0/16. -EINVAL for anything else, IPv6 too. */
int ipam_parse_cidr(const char *text, struct ipam_range *ret, uint32_t *ret_address);
int ipam_parse_address(const char *text, uint32_t *ret);
#define IPAM_TEXT_MAX 20
const char *ipam_format(uint32_t address, char text[static IPAM_TEXT_MAX]); /* returns text */
const char *ipam_format_range(struct ipam_range r, char text[static IPAM_TEXT_MAX]);

uint32_t ipam_mask(int len);
uint32_t ipam_last(struct ipam_range r); /* the broadcast address */
bool ipam_contains(struct ipam_range r, uint32_t address);
bool ipam_overlap(struct ipam_range a, struct ipam_range b);

/* Address space to be cut into subnets of prefix length size. */
struct ipam_pool {
	struct ipam_range space;
	int size;
};
struct ipam_pools {
	struct ipam_pool *v;
	size_t n;
};
void ipam_pools_deinit(struct ipam_pools *p);
/* doc: default-address-pools [{"base": "10.0.0.0/8", "size": 24}], or NULL for Docker's own. */
int ipam_pools_read(const json_t *doc, struct ipam_pools *ret, struct err *e);
/* The first subnet of the pools that overlaps none of used. -ENOSPC when there is none. */
int ipam_pick_subnet(const struct ipam_pools *p, const struct ipam_range *used, size_t n,
	struct ipam_range *ret);

struct ipam {
	struct ipam_range subnet;
	struct ipam_range
		range; /* where automatic addresses come from: the subnet or a part of it */
	uint32_t gateway;
};
/* The lowest address of the range that is neither used, the gateway, nor the subnet's first or
 * last; used is in any order and is sorted. -ENOSPC. */
int ipam_pick_address(const struct ipam *p, uint32_t *used, size_t n, uint32_t *ret);
/* A wanted address: -EINVAL outside the subnet or its first or last, -EADDRINUSE when used or the
 * gateway. */
int ipam_check_address(const struct ipam *p, const uint32_t *used, size_t n, uint32_t address);
