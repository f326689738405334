/* ingress/lan.h - the addresses at which other machines reach this one. By rtnetlink.
 *
 * Left out: loopback and link-local ones, those that change by the day (RFC 8981) or are not in use
 * (yet, any more), and those of bridges that only containers or virtual machines are on.
 */
#pragma once
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "sys/rtnl.h"

#define LAN_ADDRESSES_MAX 64
#define LAN_LINKS_MAX 4096 /* that are looked at */

struct lan_address {
	struct ip ip;
	uint32_t index; /* of its link */
};
struct lan {
	struct lan_address v[LAN_ADDRESSES_MAX]; /* sorted */
	size_t n;
};

/* -errno */
int lan_read(struct lan *ret);
bool lan_equal(const struct lan *a, const struct lan *b);

/* Whether a link leads to other machines: it is up, not "lo", and if it is a bridge, something that
 * is neither a veth nor a tap is a port of it. all has n links; pure. */
bool lan_link_counts(const struct rtnl_link *link, const struct rtnl_link *all, size_t n);
/* Whether an address is one to tell; flags: IFA_F_*. Pure. */
bool lan_address_counts(struct ip address, uint32_t flags);

/* A non-blocking socket that is readable when an address came or went; -errno. */
int lan_listen(void);
/* Forgets what it said; true when it said anything. */
bool lan_drain(int fd);
