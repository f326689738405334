/* network/names.h - which container a name or an address means, as seen by one container. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "codec/dns.h"

struct network_set;

#define NAMES_ADDRESSES_MAX 32

/* Addresses of everybody who answers to name on the first of the container's user-defined networks
 * where anybody does; name may carry ".NETWORK". Returns how many; 0: unknown. */
size_t names_lookup(const struct network_set *n, const char *container_id, const char *name,
	struct dns_answer ret[static NAMES_ADDRESSES_MAX]);
/* "NAME.NETWORK" of the neighbour with this address, in text; false when there is none. */
bool names_reverse(const struct network_set *n, const char *container_id, const uint8_t address[4],
	char text[static DNS_NAME_MAX]);
/* False when all networks of the container are internal: what it asks must not leave this host
 * either. */
bool names_may_leave(const struct network_set *n, const char *container_id);
