#include "ingress/lan.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"

#define NOT_IN_USE (IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED)
#define DRAIN_MAX 1024

struct look {
	struct rtnl_link *links;
	size_t n;
	struct lan *ret;
};

static int add_link(void *owner, const struct rtnl_link *link)
{
	struct look *l = owner;
	if (l->n < LAN_LINKS_MAX) {
		l->links = xrealloc(l->links, l->n + 1, sizeof(*l->links));
		l->links[l->n++] = *link;
	}
	return 0;
}

static bool is_virtual_port(const char *kind)
{
	return strcmp(kind, "veth") == 0 || strcmp(kind, "tun") == 0;
}

bool lan_link_counts(const struct rtnl_link *link, const struct rtnl_link *all, size_t n)
{
	if (!link->up || strcmp(link->name, "lo") == 0) {
		return false;
	}
	if (strcmp(link->kind, "bridge") != 0) {
		return true;
	}
	for (size_t i = 0; i < n; i++) {
		if (all[i].master == link->index && !is_virtual_port(all[i].kind)) {
			return true;
		}
	}
	return false;
}

bool lan_address_counts(struct ip address, uint32_t flags)
{
	/* of IPv4 the same bit says that it is the second one of a link */
	bool temporary = address.size == IP6_BYTES && (flags & IFA_F_TEMPORARY);
	return address.size && !temporary && !(flags & NOT_IN_USE) && !ip_is_loopback(address) &&
	       !ip_is_link_local(address);
}

/* proc(5) /proc/net/if_inet6; 0 where it does not say. */
static uint32_t flags6(struct ip address, uint32_t index)
{
	scoped(fclose) FILE *f = fopen("/proc/net/if_inet6", "re");
	char line[128];
	char wanted[2 * IP6_BYTES + 1];
	text_hex(address.b, IP6_BYTES, wanted);
	while (f && fgets(line, sizeof(line), f)) {
		char *rest = line + 2 * IP6_BYTES;
		if (strncmp(line, wanted, 2 * IP6_BYTES) != 0 || *rest != ' ' ||
			strtoul(rest, &rest, 16) != index) {
			continue;
		}
		strtoul(rest, &rest, 16); /* the prefix, the scope */
		strtoul(rest, &rest, 16);
		return (uint32_t)strtoul(rest, NULL, 16);
	}
	return 0;
}

static int add_address(void *owner, const struct rtnl_range *range)
{
	const struct look *l = owner;
	bool six = range->address.size == IP6_BYTES;
	uint32_t flags = six ? flags6(range->address, range->index) : 0;
	for (size_t i = 0; i < l->n && l->ret->n < LAN_ADDRESSES_MAX; i++) {
		if (l->links[i].index == range->index &&
			lan_address_counts(range->address, flags) &&
			lan_link_counts(&l->links[i], l->links, l->n)) {
			l->ret->v[l->ret->n++] =
				(struct lan_address){.ip = range->address, .index = range->index};
		}
	}
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct lan_address *x = a;
	const struct lan_address *y = b;
	int c = ip_compare(x->ip, y->ip);
	return c ? c : (x->index > y->index) - (x->index < y->index);
}

int lan_read(struct lan *ret)
{
	scoped(rtnl) struct rtnl r = RTNL_INIT;
	struct look l = {.ret = ret};
	*ret = (struct lan){.n = 0};
	int e = rtnl_open(&r, -1);
	e = e < 0 ? e : rtnl_each_link(&r, add_link, &l);
	e = e < 0 ? e : rtnl_each_address(&r, add_address, &l);
	free(l.links);
	qsort(ret->v, ret->n, sizeof(*ret->v), compare);
	return e;
}

bool lan_equal(const struct lan *a, const struct lan *b)
{
	bool equal = a->n == b->n;
	for (size_t i = 0; equal && i < a->n; i++) {
		equal = compare(&a->v[i], &b->v[i]) == 0;
	}
	return equal;
}

int lan_listen(void)
{
	const struct sockaddr_nl address = {
		.nl_family = AF_NETLINK, .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
	scoped(close) int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		return -errno;
	}
	return TAKE_FD(fd);
}

/* A message that did not fit is one as well. */
bool lan_drain(int fd)
{
	char message[8192];
	bool any = false;
	for (int i = 0; i < DRAIN_MAX; i++) {
		if (recv(fd, message, sizeof(message), 0) < 0 && errno != ENOBUFS) {
			break;
		}
		any = true;
	}
	return any;
}
