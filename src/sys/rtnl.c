#include "sys/rtnl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/scoped.h"
#include "sys/netns.h"

#define REQUEST_MAX 512 /* the longest request: a veth pair with its names */
#define REPLY_BYTES 32768

int rtnl_open(struct rtnl *r, int netns_fd)
{
	*r = (struct rtnl)RTNL_INIT;
	int fd = netns_socket(netns_fd, AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	if (fd < 0) {
		return fd;
	}
	r->fd = fd;
	/* Errors then come without a copy of the request: small replies, whatever we send. */
	int one = 1;
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	return 0;
}

void rtnl_close(struct rtnl *r)
{
	if (r->fd >= 0) {
		close(r->fd);
	}
	*r = (struct rtnl)RTNL_INIT;
}

static struct nlmsghdr *start(struct rtnl *r, uint16_t type, uint16_t flags)
{
	if (r->used + REQUEST_MAX > sizeof(r->batch)) {
		return NULL;
	}
	struct nlmsghdr *h = mnl_nlmsg_put_header(r->batch + r->used);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	h->nlmsg_seq = ++r->seq;
	return h;
}

static int queue(struct rtnl *r, const struct nlmsghdr *h)
{
	r->used += MNL_ALIGN(h->nlmsg_len);
	r->queued++;
	return 0;
}

static struct ifinfomsg *start_link(
	struct rtnl *r, struct nlmsghdr **ret, uint16_t type, uint16_t flags)
{
	*ret = start(r, type, flags);
	return *ret ? mnl_nlmsg_put_extra_header(*ret, sizeof(struct ifinfomsg)) : NULL;
}

/* Reads acknowledgements up to sequence number last; the first failure is the result. */
static int collect(struct rtnl *r, uint32_t last)
{
	int first = 0;
	char reply[REPLY_BYTES];
	for (bool done = false; !done;) {
		ssize_t got = recv(r->fd, reply, sizeof(reply), 0);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return -errno;
		}
		int left = (int)got;
		for (struct nlmsghdr *h = (void *)reply; mnl_nlmsg_ok(h, left);
			h = mnl_nlmsg_next(h, &left)) {
			if (h->nlmsg_type != NLMSG_ERROR ||
				mnl_nlmsg_get_payload_len(h) < sizeof(struct nlmsgerr)) {
				continue;
			}
			const struct nlmsgerr *answer = mnl_nlmsg_get_payload(h);
			if (answer->error && !first) {
				first = answer->error;
			}
			done = done || h->nlmsg_seq == last;
		}
	}
	return first;
}

int rtnl_commit(struct rtnl *r)
{
	if (r->queued == 0) {
		return 0;
	}
	ssize_t sent = send(r->fd, r->batch, r->used, 0);
	int failed = sent < 0 ? -errno : 0;
	r->used = 0;
	r->queued = 0;
	return failed ? failed : collect(r, r->seq);
}

int rtnl_add_bridge(struct rtnl *r, const char *name, const uint8_t mac[6], const char *alias)
{
	struct nlmsghdr *h;
	struct ifinfomsg *info = start_link(r, &h, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	if (!info) {
		return -ENOBUFS;
	}
	info->ifi_flags = IFF_UP;
	info->ifi_change = IFF_UP;
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	if (mac) {
		mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
	}
	struct nlattr *kind = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
	mnl_attr_nest_end(h, kind);
	queue(r, h);
	if (!alias) {
		return 0;
	}
	/* rtnl_newlink ignores an alias while it creates. */
	info = start_link(r, &h, RTM_SETLINK, 0);
	if (!info) {
		return -ENOBUFS;
	}
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	mnl_attr_put(h, IFLA_IFALIAS, strlen(alias), alias);
	return queue(r, h);
}

int rtnl_add_veth(struct rtnl *r, const struct rtnl_veth *v)
{
	struct nlmsghdr *h;
	struct ifinfomsg *info = start_link(r, &h, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	if (!info) {
		return -ENOBUFS;
	}
	info->ifi_flags = IFF_UP;
	info->ifi_change = IFF_UP;
	mnl_attr_put_strz(h, IFLA_IFNAME, v->name);
	if (v->master) {
		mnl_attr_put_u32(h, IFLA_MASTER, v->master);
	}
	if (v->mtu) {
		mnl_attr_put_u32(h, IFLA_MTU, v->mtu);
	}
	struct nlattr *link = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	struct nlattr *peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(h,
		sizeof(struct ifinfomsg)); /* not up: veth_open refuses an end without its peer */
	mnl_attr_put_strz(h, IFLA_IFNAME, v->peer_name);
	mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)v->peer_netns_fd);
	if (v->peer_mac) {
		mnl_attr_put(h, IFLA_ADDRESS, 6, v->peer_mac);
	}
	if (v->mtu) {
		mnl_attr_put_u32(h, IFLA_MTU, v->mtu);
	}
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, link);
	return queue(r, h);
}

int rtnl_add_child(struct rtnl *r, const struct rtnl_child *c)
{
	struct nlmsghdr *h;
	struct ifinfomsg *info = start_link(r, &h, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	if (!info) {
		return -ENOBUFS;
	}
	mnl_attr_put_strz(h, IFLA_IFNAME, c->name);
	if (c->parent) {
		mnl_attr_put_u32(h, IFLA_LINK, c->parent);
	}
	if (c->netns_fd >= 0) {
		mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)c->netns_fd);
	}
	if (c->mac) {
		mnl_attr_put(h, IFLA_ADDRESS, 6, c->mac);
	}
	if (c->mtu) {
		mnl_attr_put_u32(h, IFLA_MTU, c->mtu);
	}
	struct nlattr *link = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, c->kind);
	struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	for (size_t i = 0; i < c->n_data; i++) {
		mnl_attr_put(h, c->data[i].type, c->data[i].bytes, &c->data[i].value);
	}
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, link);
	return queue(r, h);
}

int rtnl_delete_link(struct rtnl *r, const char *name)
{
	struct nlmsghdr *h;
	if (!start_link(r, &h, RTM_DELLINK, 0)) {
		return -ENOBUFS;
	}
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	return queue(r, h);
}

int rtnl_set_up(struct rtnl *r, uint32_t index, bool up)
{
	struct nlmsghdr *h;
	struct ifinfomsg *info = start_link(r, &h, RTM_SETLINK, 0);
	if (!info) {
		return -ENOBUFS;
	}
	info->ifi_index = (int)index;
	info->ifi_flags = up ? IFF_UP : 0;
	info->ifi_change = IFF_UP;
	return queue(r, h);
}

int rtnl_set_master(struct rtnl *r, uint32_t index, uint32_t master)
{
	struct nlmsghdr *h;
	struct ifinfomsg *info = start_link(r, &h, RTM_SETLINK, 0);
	if (!info) {
		return -ENOBUFS;
	}
	info->ifi_index = (int)index;
	mnl_attr_put_u32(h, IFLA_MASTER, master);
	return queue(r, h);
}

int rtnl_set_mtu(struct rtnl *r, uint32_t index, uint32_t mtu)
{
	struct nlmsghdr *h;
	struct ifinfomsg *info = start_link(r, &h, RTM_SETLINK, 0);
	if (!info) {
		return -ENOBUFS;
	}
	info->ifi_index = (int)index;
	mnl_attr_put_u32(h, IFLA_MTU, mtu);
	return queue(r, h);
}

int rtnl_set_hairpin(struct rtnl *r, const char *name)
{
	struct nlmsghdr *h;
	if (!start_link(r, &h, RTM_NEWLINK,
		    0)) { /* RTM_SETLINK does not look at the data of a bridge's port */
		return -ENOBUFS;
	}
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	struct nlattr *link = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_SLAVE_KIND, "bridge");
	struct nlattr *data = mnl_attr_nest_start(h, IFLA_INFO_SLAVE_DATA);
	mnl_attr_put_u8(h, IFLA_BRPORT_MODE, 1);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, link);
	return queue(r, h);
}

static int set_text(struct rtnl *r, uint32_t index, uint16_t attribute, const void *text, size_t n)
{
	struct nlmsghdr *h;
	struct ifinfomsg *info = start_link(r, &h, RTM_SETLINK, 0);
	if (!info) {
		return -ENOBUFS;
	}
	info->ifi_index = (int)index;
	mnl_attr_put(h, attribute, n, text);
	return queue(r, h);
}

int rtnl_rename(struct rtnl *r, uint32_t index, const char *name)
{
	return set_text(r, index, IFLA_IFNAME, name, strlen(name) + 1);
}

int rtnl_set_alias(struct rtnl *r, uint32_t index, const char *alias)
{
	return set_text(r, index, IFLA_IFALIAS, alias, strlen(alias));
}

static int change_address(struct rtnl *r, uint16_t type, uint16_t flags, uint32_t index,
	struct ip address, int prefix_len)
{
	struct nlmsghdr *h = start(r, type, flags);
	if (!h) {
		return -ENOBUFS;
	}
	struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(h, sizeof(*a));
	a->ifa_family = (unsigned char)ip_family(address);
	a->ifa_prefixlen = (unsigned char)prefix_len;
	a->ifa_index = index;
	mnl_attr_put(h, IFA_LOCAL, address.size, address.b);
	mnl_attr_put(h, IFA_ADDRESS, address.size, address.b);
	if (type == RTM_NEWADDR && address.size == IP4_BYTES && prefix_len < 31) {
		struct ip last = ip_last(ip_range_of(address, prefix_len));
		mnl_attr_put(h, IFA_BROADCAST, last.size, last.b);
	}
	if (type == RTM_NEWADDR && address.size == IP6_BYTES) {
		/* Nobody else has it: without the flag it could not be used for a second. */
		a->ifa_flags = IFA_F_NODAD;
	}
	return queue(r, h);
}

int rtnl_add_address(struct rtnl *r, uint32_t index, struct ip address, int prefix_len)
{
	return change_address(
		r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address, prefix_len);
}

int rtnl_delete_address(struct rtnl *r, uint32_t index, struct ip address, int prefix_len)
{
	return change_address(r, RTM_DELADDR, 0, index, address, prefix_len);
}

static struct rtmsg *start_route(
	struct rtnl *r, struct nlmsghdr **ret, uint16_t type, uint16_t flags, int family)
{
	*ret = start(r, type, flags);
	if (!*ret) {
		return NULL;
	}
	struct rtmsg *route = mnl_nlmsg_put_extra_header(*ret, sizeof(*route));
	route->rtm_family = (unsigned char)family;
	route->rtm_table = RT_TABLE_MAIN;
	return route;
}

static int add_default_route(struct rtnl *r, uint32_t index, int family, const struct ip *gateway)
{
	struct nlmsghdr *h;
	struct rtmsg *route =
		start_route(r, &h, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, family);
	if (!route) {
		return -ENOBUFS;
	}
	route->rtm_protocol = RTPROT_BOOT;
	route->rtm_scope = gateway || family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	route->rtm_type = RTN_UNICAST;
	if (gateway) {
		mnl_attr_put(h, RTA_GATEWAY, gateway->size, gateway->b);
	}
	mnl_attr_put_u32(h, RTA_OIF, index);
	return queue(r, h);
}

int rtnl_add_default_route(struct rtnl *r, uint32_t index, struct ip gateway)
{
	return add_default_route(r, index, ip_family(gateway), &gateway);
}

int rtnl_add_default_link(struct rtnl *r, uint32_t index, uint8_t size)
{
	return add_default_route(r, index, ip_family(ip_any(size)), NULL);
}

int rtnl_delete_default_route(struct rtnl *r, uint8_t size)
{
	struct nlmsghdr *h;
	struct rtmsg *route = start_route(r, &h, RTM_DELROUTE, 0, ip_family(ip_any(size)));
	if (!route) {
		return -ENOBUFS;
	}
	route->rtm_scope = RT_SCOPE_NOWHERE; /* any */
	return queue(r, h);
}

/* --- questions --- */

struct visit {
	rtnl_link_fn *link_fn;
	rtnl_range_fn *range_fn;
	void *owner;
	int result; /* the first thing other than 0 that a callback said; the dump is read to its
		       end all the same */
};

static void read_text(const struct nlattr *a, char *ret, size_t size)
{
	size_t n = mnl_attr_get_payload_len(a);
	n = n < size ? n : size - 1;
	memcpy(ret, mnl_attr_get_payload(a), n);
	ret[n] = '\0';
}

static void read_kind(const struct nlattr *info, struct rtnl_link *link)
{
	const struct nlattr *a;
	mnl_attr_for_each_nested(a, info)
	{
		if (mnl_attr_get_type(a) == IFLA_INFO_KIND) {
			read_text(a, link->kind, sizeof(link->kind));
		}
	}
}

static int visit_link(const struct nlmsghdr *h, void *owner)
{
	struct visit *v = owner;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(h);
	if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(*info)) {
		return MNL_CB_OK;
	}
	struct rtnl_link link = {
		.index = (uint32_t)info->ifi_index, .up = info->ifi_flags & IFF_UP};
	const struct nlattr *a;
	mnl_attr_for_each(a, h, sizeof(*info))
	{
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			read_text(a, link.name, sizeof(link.name));
			break;
		case IFLA_MASTER:
			link.master = mnl_attr_get_u32(a);
			break;
		case IFLA_IFALIAS:
			read_text(a, link.alias, sizeof(link.alias));
			break;
		case IFLA_LINKINFO:
			read_kind(a, &link);
			break;
		default:
			break;
		}
	}
	if (v->result == 0) {
		v->result = v->link_fn(v->owner, &link);
	}
	return MNL_CB_OK;
}

static bool read_ip(const struct nlattr *a, struct ip *ret)
{
	uint16_t n = mnl_attr_get_payload_len(a);
	if (n != IP4_BYTES && n != IP6_BYTES) {
		return false;
	}
	*ret = ip_of_bytes(mnl_attr_get_payload(a), (uint8_t)n);
	return true;
}

static int visit_route(const struct nlmsghdr *h, void *owner)
{
	struct visit *v = owner;
	const struct rtmsg *route = mnl_nlmsg_get_payload(h);
	if (h->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(h) < sizeof(*route) ||
		route->rtm_table != RT_TABLE_MAIN || route->rtm_dst_len == 0) {
		return MNL_CB_OK;
	}
	struct rtnl_range range = {.prefix_len = route->rtm_dst_len};
	const struct nlattr *a;
	mnl_attr_for_each(a, h, sizeof(*route))
	{
		if (mnl_attr_get_type(a) == RTA_DST) {
			read_ip(a, &range.address);
		} else if (mnl_attr_get_type(a) == RTA_OIF) {
			range.index = mnl_attr_get_u32(a);
		}
	}
	if (v->result == 0 && range.address.size) {
		v->result = v->range_fn(v->owner, &range);
	}
	return MNL_CB_OK;
}

static int visit_address(const struct nlmsghdr *h, void *owner)
{
	struct visit *v = owner;
	const struct ifaddrmsg *address = mnl_nlmsg_get_payload(h);
	if (h->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(h) < sizeof(*address)) {
		return MNL_CB_OK;
	}
	struct rtnl_range range = {
		.prefix_len = address->ifa_prefixlen, .index = address->ifa_index};
	const struct nlattr *a;
	mnl_attr_for_each(a, h, sizeof(*address))
	{
		/* IPv6 has IFA_LOCAL only where there is a peer. */
		if (mnl_attr_get_type(a) == IFA_LOCAL ||
			(mnl_attr_get_type(a) == IFA_ADDRESS && !range.address.size)) {
			read_ip(a, &range.address);
		}
	}
	if (v->result == 0 && range.address.size) {
		v->result = v->range_fn(v->owner, &range);
	}
	return MNL_CB_OK;
}

/* A link that came or went during the dump: libmnl would give up, but the rest of the answer is as
 * good as any. */
static void overlook_changes(char *reply, int left)
{
	for (struct nlmsghdr *h = (void *)reply; mnl_nlmsg_ok(h, left);
		h = mnl_nlmsg_next(h, &left)) {
		h->nlmsg_flags &= (uint16_t)~NLM_F_DUMP_INTR;
	}
}

/* Sends the one question in the batch and reads its answers. */
static int ask(struct rtnl *r, struct nlmsghdr *h, mnl_cb_t fn, struct visit *v)
{
	if (send(r->fd, h, h->nlmsg_len, 0) < 0) {
		return -errno;
	}
	char reply[REPLY_BYTES];
	for (;;) {
		ssize_t got = recv(r->fd, reply, sizeof(reply), 0);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return -errno;
		}
		overlook_changes(reply, (int)got);
		int more = mnl_cb_run(reply, (size_t)got, r->seq, 0, fn, v);
		if (more < 0) {
			return -errno;
		}
		if (more == MNL_CB_STOP) {
			return v->result;
		}
	}
}

static struct nlmsghdr *question(struct rtnl *r, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = start(r, type, flags);
	if (h) {
		h->nlmsg_flags = NLM_F_REQUEST | flags;
	}
	return h;
}

static int keep_index(void *owner, const struct rtnl_link *link)
{
	*(uint32_t *)owner = link->index;
	return 0;
}

int rtnl_index(struct rtnl *r, const char *name, uint32_t *ret)
{
	struct nlmsghdr *h;
	if (!start_link(
		    r, &h, RTM_GETLINK, 0)) { /* with its acknowledgement, which ends the answer */
		return -ENOBUFS;
	}
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	uint32_t index = 0;
	struct visit v = {.link_fn = keep_index, .owner = &index};
	int failed = ask(r, h, visit_link, &v);
	if (failed) {
		return failed;
	}
	*ret = index;
	return 0;
}

int rtnl_each_link(struct rtnl *r, rtnl_link_fn *fn, void *owner)
{
	struct nlmsghdr *h = question(r, RTM_GETLINK, NLM_F_DUMP);
	if (!h) {
		return -ENOBUFS;
	}
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	struct visit v = {.link_fn = fn, .owner = owner};
	return ask(r, h, visit_link, &v);
}

int rtnl_each_route(struct rtnl *r, rtnl_range_fn *fn, void *owner)
{
	struct nlmsghdr *h = question(r, RTM_GETROUTE, NLM_F_DUMP);
	if (!h) {
		return -ENOBUFS;
	}
	struct rtmsg *route = mnl_nlmsg_put_extra_header(h, sizeof(*route));
	route->rtm_family = AF_UNSPEC;
	struct visit v = {.range_fn = fn, .owner = owner};
	return ask(r, h, visit_route, &v);
}

int rtnl_each_address(struct rtnl *r, rtnl_range_fn *fn, void *owner)
{
	struct nlmsghdr *h = question(r, RTM_GETADDR, NLM_F_DUMP);
	if (!h) {
		return -ENOBUFS;
	}
	struct ifaddrmsg *address = mnl_nlmsg_put_extra_header(h, sizeof(*address));
	address->ifa_family = AF_UNSPEC;
	struct visit v = {.range_fn = fn, .owner = owner};
	return ask(r, h, visit_address, &v);
}
