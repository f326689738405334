#include "sys/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/scoped.h"

#define REPLY_BYTES 32768
#define REQUEST_BYTES 512
#define FORGET_BYTES_MAX (1u << 20) /* of tuples in one go: thousands */

struct search {
	conntrack_match_fn *match;
	const void *owner;
	struct buf found; /* CTA_TUPLE_ORIG attributes, as the kernel gave them */
};

static struct nlmsghdr *request(
	char *bytes, uint16_t type, uint16_t flags, uint32_t seq, uint8_t family_number)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(bytes);
	h->nlmsg_type = (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | type);
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = seq;
	struct nfgenmsg *family = mnl_nlmsg_put_extra_header(h, sizeof(*family));
	family->nfgen_family = family_number;
	family->version = NFNETLINK_V0;
	return h;
}

static const struct nlattr *find(const struct nlattr *nest, uint16_t type, size_t least)
{
	const struct nlattr *a;
	mnl_attr_for_each_nested(a, nest)
	{
		if (mnl_attr_get_type(a) == type && mnl_attr_get_payload_len(a) >= least) {
			return a;
		}
	}
	return NULL;
}

static bool matches(const struct search *s, const struct nlattr *tuple)
{
	const struct nlattr *ip = find(tuple, CTA_TUPLE_IP, 0);
	const struct nlattr *proto = find(tuple, CTA_TUPLE_PROTO, 0);
	const struct nlattr *to = ip ? find(ip, CTA_IP_V4_DST, IP4_BYTES) : NULL;
	uint8_t size = to ? IP4_BYTES : IP6_BYTES;
	to = to || !ip ? to : find(ip, CTA_IP_V6_DST, IP6_BYTES);
	const struct nlattr *number = proto ? find(proto, CTA_PROTO_NUM, 1) : NULL;
	const struct nlattr *port = proto ? find(proto, CTA_PROTO_DST_PORT, 2) : NULL;
	return to && number && port &&
	       s->match(s->owner, mnl_attr_get_u8(number),
		       ip_of_bytes(mnl_attr_get_payload(to), size), ntohs(mnl_attr_get_u16(port)));
}

static int visit(const struct nlmsghdr *h, void *owner)
{
	struct search *s = owner;
	const struct nlattr *a;
	mnl_attr_for_each(a, h, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == CTA_TUPLE_ORIG && matches(s, a) &&
			s->found.len + a->nla_len < FORGET_BYTES_MAX) {
			buf_append(&s->found, a, MNL_ALIGN(a->nla_len));
		}
	}
	return MNL_CB_OK;
}

static int collect(int fd, uint8_t family, struct search *s)
{
	_Alignas(8) char bytes[REQUEST_BYTES];
	_Alignas(8) char reply[REPLY_BYTES];
	struct nlmsghdr *h = request(bytes, IPCTNL_MSG_CT_GET, NLM_F_DUMP, 1, family);
	if (send(fd, h, h->nlmsg_len, 0) < 0) {
		return -errno;
	}
	for (;;) {
		ssize_t got = recv(fd, reply, sizeof(reply), 0);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		int more = got < 0 ? -1 : mnl_cb_run(reply, (size_t)got, 1, 0, visit, s);
		if (more <= 0) {
			return more < 0 ? -errno : 0;
		}
	}
}

static int forget(int fd, uint8_t family, const struct nlattr *tuple, uint32_t seq)
{
	_Alignas(8) char bytes[REQUEST_BYTES];
	_Alignas(8) char reply[REPLY_BYTES];
	struct nlmsghdr *h = request(bytes, IPCTNL_MSG_CT_DELETE, NLM_F_ACK, seq, family);
	if (tuple->nla_len > REQUEST_BYTES / 2) {
		return -EMSGSIZE;
	}
	memcpy(mnl_nlmsg_get_payload_tail(h), tuple, tuple->nla_len);
	h->nlmsg_len += MNL_ALIGN(tuple->nla_len);
	if (send(fd, h, h->nlmsg_len, 0) < 0) {
		return -errno;
	}
	ssize_t got = recv(fd, reply, sizeof(reply), 0);
	int r = got < 0 ? -1 : mnl_cb_run(reply, (size_t)got, seq, 0, NULL, NULL);
	return r < 0 && errno != ENOENT ? -errno : 0; /* it may have ended by itself meanwhile */
}

static int forget_family(int fd, uint8_t family, conntrack_match_fn *match, const void *owner)
{
	struct search s = {.match = match, .owner = owner};
	int r = collect(fd, family, &s);
	uint32_t seq = 1;
	for (size_t at = 0; at < s.found.len;) {
		const struct nlattr *tuple = (const void *)(s.found.data + at);
		int one = forget(fd, family, tuple, ++seq);
		r = r == 0 ? one : r;
		at += MNL_ALIGN(tuple->nla_len);
	}
	buf_deinit(&s.found);
	return r;
}

int conntrack_forget(conntrack_match_fn *match, const void *owner)
{
	scoped(close) int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (fd < 0) {
		return -errno;
	}
	int r = forget_family(fd, AF_INET, match, owner);
	int r6 = forget_family(fd, AF_INET6, match, owner);
	return r < 0 ? r : r6;
}
