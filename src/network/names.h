/* network/names.h - which container a name or an address means, as seen by one container. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "codec/dns.h"

struct network_set;

#define NAMES_ADDRESSES_MAX 32

enum { NAMES_V4 = 1u << 0, NAMES_V6 = 1u << 1 };

/* Addresses of the wanted families of everybody who answers to name on the first of the container's
 * user-defined networks where anybody does; name may carry ".NETWORK". False: unknown; a known name
 * may have no such address. */
bool names_lookup(const struct network_set *n, const char *container_id, const char *name,
	unsigned families, struct dns_answer ret[static NAMES_ADDRESSES_MAX], size_t *ret_n);
/* "NAME.NETWORK" of the neighbour with this address, in text; false when there is none. */
bool names_reverse(const struct network_set *n, const char *container_id, struct ip address,
	char text[static DNS_NAME_MAX]);
/* False when all networks of the container are internal: what it asks must not leave this host
 * either. */
bool names_may_leave(const struct network_set *n, const char *container_id);
