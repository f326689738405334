#include "sys/nft.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/scoped.h"
#include "sys/netns.h"

#define MESSAGE_BYTES 8192 /* one request; a rule of ours is far below 2 KiB */
#define REPLY_BYTES 65536

/* libnftnl's constructors fail only for want of memory: as base/mem.h. */
#define NEED(p)                              \
	({                                   \
		__typeof__(p) needed_ = (p); \
		if (!needed_) {              \
			abort();             \
		}                            \
		needed_;                     \
	})

struct message {
	_Alignas(8) char bytes[MESSAGE_BYTES];
	struct nlmsghdr *h;
};

static void start(struct nft_batch *b, struct message *m, uint16_t type, uint16_t flags)
{
	if (b->bytes.len == 0) {
		nftnl_batch_begin(m->bytes, b->seq++);
		buf_append(
			&b->bytes, m->bytes, MNL_ALIGN(((struct nlmsghdr *)m->bytes)->nlmsg_len));
	}
	m->h = nftnl_nlmsg_build_hdr(m->bytes, type, b->family, flags, b->seq++);
}

static void finish(struct nft_batch *b, const struct message *m)
{
	buf_append(&b->bytes, m->bytes, MNL_ALIGN(m->h->nlmsg_len));
}

int nft_open(int netns_fd)
{
	int fd = netns_socket(netns_fd, AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	if (fd < 0) {
		return fd;
	}
	/* A transaction is one datagram, however long; without the privilege the usual size has to
	 * do. */
	int size = NFT_BATCH_LIMIT;
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	int one = 1;
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	return fd;
}

/* The kernel has dealt with the whole batch when send returns, and answers only refusals: read what
 * is there. */
static int first_refusal(int fd)
{
	int first = 0;
	_Alignas(8) char reply[REPLY_BYTES];
	for (;;) {
		ssize_t got = recv(fd, reply, sizeof(reply), MSG_DONTWAIT);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got < 0) {
			return first || errno == EAGAIN ? first : -errno;
		}
		int left = (int)got;
		for (struct nlmsghdr *h = (void *)reply; mnl_nlmsg_ok(h, left);
			h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *answer = mnl_nlmsg_get_payload(h);
			if (h->nlmsg_type == NLMSG_ERROR && answer->error && !first) {
				first = answer->error;
			}
		}
	}
}

static int send_batch(int fd, struct nft_batch *b)
{
	if (b->bytes.len > NFT_BATCH_LIMIT) {
		return -EMSGSIZE;
	}
	if (send(fd, b->bytes.data, b->bytes.len, 0) < 0) {
		return -errno;
	}
	return first_refusal(fd);
}

int nft_commit(int fd, struct nft_batch *b)
{
	if (b->bytes.len == 0) {
		return 0;
	}
	_Alignas(8) char end[64];
	nftnl_batch_end(end, b->seq++);
	buf_append(&b->bytes, end, MNL_ALIGN(((struct nlmsghdr *)end)->nlmsg_len));
	int r = send_batch(fd, b);
	buf_clear(&b->bytes);
	return r;
}

int nft_watch(void)
{
	int fd = netns_socket(-1, AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK, NETLINK_NETFILTER);
	/* bind gives it a port id: the kernel sends to all but port 0, to which one without an id
	 * belongs. */
	const struct sockaddr_nl any = {.nl_family = AF_NETLINK};
	int group = NFNLGRP_NFTABLES;
	if (fd >= 0 && (bind(fd, (const struct sockaddr *)&any, sizeof(any)) < 0 ||
			       setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
				       sizeof(group)) < 0)) {
		int r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

bool nft_watch_read(int watch_fd)
{
	bool went = false;
	_Alignas(8) char message[REPLY_BYTES];
	for (;;) {
		ssize_t got = recv(watch_fd, message, sizeof(message), 0);
		if (got < 0 && errno == ENOBUFS) { /* more came than the socket could hold */
			went = true;
			continue;
		}
		if (got < 0 && errno == EINTR) {
			continue;
		}
		if (got <= 0) {
			return went;
		}
		int left = (int)got;
		for (struct nlmsghdr *h = (void *)message; mnl_nlmsg_ok(h, left);
			h = mnl_nlmsg_next(h, &left)) {
			went = went ||
			       h->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE);
		}
	}
}

static void change_table(struct nft_batch *b, const char *table, uint16_t type, uint16_t flags)
{
	struct message m;
	start(b, &m, type, flags);
	struct nftnl_table *t = NEED(nftnl_table_alloc());
	nftnl_table_set_str(t, NFTNL_TABLE_NAME, table);
	nftnl_table_nlmsg_build_payload(m.h, t);
	nftnl_table_free(t);
	finish(b, &m);
}

void nft_add_table(struct nft_batch *b, const char *table)
{
	change_table(b, table, NFT_MSG_NEWTABLE, NLM_F_CREATE);
}

void nft_delete_table(struct nft_batch *b, const char *table)
{
	nft_add_table(b, table); /* deleting what is absent would fail the whole batch */
	change_table(b, table, NFT_MSG_DELTABLE, 0);
}

/* What nft(8) writes there for itself: without it, it lists interface names the wrong way round,
 * and restores them so. */
#define BYTEORDER_HOST 1
static void note_byte_order(struct nftnl_set *set)
{
	struct nftnl_udata_buf *u = NEED(nftnl_udata_buf_alloc(64));
	nftnl_udata_put_u32(u, NFTNL_UDATA_SET_KEYBYTEORDER, BYTEORDER_HOST);
	nftnl_set_set_data(
		set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(u), nftnl_udata_buf_len(u));
	nftnl_udata_buf_free(u);
}

void nft_add_set(struct nft_batch *b, const char *table, const struct nft_set *s)
{
	struct message m;
	start(b, &m, NFT_MSG_NEWSET, NLM_F_CREATE);
	struct nftnl_set *set = NEED(nftnl_set_alloc());
	nftnl_set_set_str(set, NFTNL_SET_TABLE, table);
	nftnl_set_set_str(set, NFTNL_SET_NAME, s->name);
	nftnl_set_set_u32(set, NFTNL_SET_ID, b->seq); /* any number that is new in this batch */
	nftnl_set_set_u32(set, NFTNL_SET_FAMILY, b->family);
	nftnl_set_set_u32(set, NFTNL_SET_FLAGS, s->data_len ? NFT_SET_MAP : 0);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, s->key_type);
	nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, s->key_len);
	if (s->data_len) {
		nftnl_set_set_u32(set, NFTNL_SET_DATA_TYPE, s->data_type);
		nftnl_set_set_u32(set, NFTNL_SET_DATA_LEN, s->data_len);
	}
	if (s->key_type == NFT_TYPE_IFNAME) {
		note_byte_order(set);
	}
	nftnl_set_nlmsg_build_payload(m.h, set);
	nftnl_set_free(set);
	finish(b, &m);
}

static void change_element(struct nft_batch *b, const char *table, const char *set,
	const struct nft_element *e, uint16_t type, uint16_t flags)
{
	struct message m;
	start(b, &m, type, flags);
	struct nftnl_set *s = NEED(nftnl_set_alloc());
	nftnl_set_set_str(s, NFTNL_SET_TABLE, table);
	nftnl_set_set_str(s, NFTNL_SET_NAME, set);
	struct nftnl_set_elem *element = NEED(nftnl_set_elem_alloc());
	nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, e->key, e->key_len);
	if (e->data) {
		nftnl_set_elem_set(element, NFTNL_SET_ELEM_DATA, e->data, e->data_len);
	}
	nftnl_set_elem_add(s, element);
	nftnl_set_elems_nlmsg_build_payload(m.h, s);
	nftnl_set_free(s);
	finish(b, &m);
}

void nft_add_element(
	struct nft_batch *b, const char *table, const char *set, const struct nft_element *e)
{
	change_element(b, table, set, e, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
}

void nft_delete_element(
	struct nft_batch *b, const char *table, const char *set, const struct nft_element *e)
{
	change_element(b, table, set, e, NFT_MSG_DELSETELEM, 0);
}

struct visit {
	nft_element_fn *fn;
	void *owner;
};

static int visit_element(struct nftnl_set_elem *element, void *owner)
{
	struct visit *v = owner;
	struct nft_element e = {0};
	e.key = nftnl_set_elem_get(element, NFTNL_SET_ELEM_KEY, &e.key_len);
	if (nftnl_set_elem_is_set(element, NFTNL_SET_ELEM_DATA)) {
		e.data = nftnl_set_elem_get(element, NFTNL_SET_ELEM_DATA, &e.data_len);
	}
	if (e.key) {
		v->fn(v->owner, &e);
	}
	return 0;
}

static int visit_set(const struct nlmsghdr *h, void *owner)
{
	struct nftnl_set *s = NEED(nftnl_set_alloc());
	if (nftnl_set_elems_nlmsg_parse(h, s) == 0) {
		nftnl_set_elem_foreach(s, visit_element, owner);
	}
	nftnl_set_free(s);
	return MNL_CB_OK;
}

int nft_each_element(
	int fd, uint8_t family, const char *table, const char *set, nft_element_fn *fn, void *owner)
{
	struct message m;
	m.h = nftnl_nlmsg_build_hdr(m.bytes, NFT_MSG_GETSETELEM, family, NLM_F_DUMP, 1);
	struct nftnl_set *s = NEED(nftnl_set_alloc());
	nftnl_set_set_str(s, NFTNL_SET_TABLE, table);
	nftnl_set_set_str(s, NFTNL_SET_NAME, set);
	nftnl_set_elems_nlmsg_build_payload(m.h, s);
	nftnl_set_free(s);
	if (send(fd, m.bytes, m.h->nlmsg_len, 0) < 0) {
		return -errno;
	}
	struct visit v = {fn, owner};
	_Alignas(8) char reply[REPLY_BYTES];
	for (;;) {
		ssize_t got = recv(fd, reply, sizeof(reply), 0);
		if (got < 0 && errno == EINTR) {
			continue;
		}
		int more = got < 0 ? -1 : mnl_cb_run(reply, (size_t)got, 1, 0, visit_set, &v);
		if (more < 0) {
			return -errno;
		}
		if (more == MNL_CB_STOP) {
			return 0;
		}
	}
}

void nft_add_chain(struct nft_batch *b, const char *table, const char *chain, const char *type,
	uint32_t hook, int32_t priority)
{
	struct message m;
	start(b, &m, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	struct nftnl_chain *c = NEED(nftnl_chain_alloc());
	nftnl_chain_set_str(c, NFTNL_CHAIN_TABLE, table);
	nftnl_chain_set_str(c, NFTNL_CHAIN_NAME, chain);
	nftnl_chain_set_str(c, NFTNL_CHAIN_TYPE, type);
	nftnl_chain_set_u32(c, NFTNL_CHAIN_HOOKNUM, hook);
	nftnl_chain_set_s32(c, NFTNL_CHAIN_PRIO, priority);
	nftnl_chain_nlmsg_build_payload(m.h, c);
	nftnl_chain_free(c);
	finish(b, &m);
}

static struct nftnl_expr *expression(const char *name)
{
	return NEED(nftnl_expr_alloc(name));
}

static struct nftnl_expr *mask_expression(const struct nft_op *op)
{
	const uint8_t zero[16] = {0};
	uint32_t n = op->b ? op->b : 4;
	struct nftnl_expr *e = expression("bitwise");
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_SREG, op->reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_DREG, op->reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_BITWISE_LEN, n);
	nftnl_expr_set(
		e, NFTNL_EXPR_BITWISE_MASK, op->b ? op->data.bytes : (const void *)&op->a, n);
	nftnl_expr_set(e, NFTNL_EXPR_BITWISE_XOR, zero, n);
	return e;
}

static struct nftnl_expr *lookup_expression(const struct nft_op *op)
{
	struct nftnl_expr *e = expression("lookup");
	nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_SREG, op->reg);
	nftnl_expr_set_str(e, NFTNL_EXPR_LOOKUP_SET, op->name);
	if (op->b) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_DREG, op->b);
	}
	if (op->a) {
		nftnl_expr_set_u32(e, NFTNL_EXPR_LOOKUP_FLAGS, op->a);
	}
	return e;
}

static struct nftnl_expr *dnat_expression(const struct nft_op *op)
{
	struct nftnl_expr *e = expression("nat");
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_TYPE, NFT_NAT_DNAT);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_FAMILY, op->b);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_ADDR_MIN, op->reg);
	nftnl_expr_set_u32(e, NFTNL_EXPR_NAT_REG_PROTO_MIN, op->a);
	return e;
}

static struct nftnl_expr *make_expression(const struct nft_op *op)
{
	struct nftnl_expr *e = NULL;
	switch (op->kind) {
	case NFT_OP_META:
		e = expression("meta");
		nftnl_expr_set_u32(e, NFTNL_EXPR_META_KEY, op->a);
		nftnl_expr_set_u32(e, NFTNL_EXPR_META_DREG, op->reg);
		break;
	case NFT_OP_PAYLOAD:
		e = expression("payload");
		nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_DREG, op->reg);
		nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_BASE, op->a);
		nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_OFFSET, op->b);
		nftnl_expr_set_u32(e, NFTNL_EXPR_PAYLOAD_LEN, op->c);
		break;
	case NFT_OP_CT:
		e = expression("ct");
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_KEY, op->a);
		nftnl_expr_set_u32(e, NFTNL_EXPR_CT_DREG, op->reg);
		break;
	case NFT_OP_FIB:
		e = expression("fib");
		nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_DREG, op->reg);
		nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
		nftnl_expr_set_u32(e, NFTNL_EXPR_FIB_FLAGS, op->a);
		break;
	case NFT_OP_MASK:
		return mask_expression(op);
	case NFT_OP_COMPARE:
		e = expression("cmp");
		nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_SREG, op->reg);
		nftnl_expr_set_u32(e, NFTNL_EXPR_CMP_OP, op->a);
		nftnl_expr_set(e, NFTNL_EXPR_CMP_DATA, &op->data, op->b);
		break;
	case NFT_OP_LOOKUP:
		return lookup_expression(op);
	case NFT_OP_SET:
		e = expression("immediate");
		nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, op->reg);
		nftnl_expr_set(e, NFTNL_EXPR_IMM_DATA, &op->data, op->b);
		break;
	case NFT_OP_DNAT:
		return dnat_expression(op);
	case NFT_OP_MASQUERADE:
		return expression("masq");
	case NFT_OP_VERDICT:
		e = expression("immediate");
		nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
		nftnl_expr_set_u32(e, NFTNL_EXPR_IMM_VERDICT, op->a);
		break;
	case NFT_OP_END:
		break;
	}
	return NEED(e);
}

void nft_add_rule(
	struct nft_batch *b, const char *table, const char *chain, const struct nft_op *ops)
{
	struct message m;
	start(b, &m, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	struct nftnl_rule *rule = NEED(nftnl_rule_alloc());
	nftnl_rule_set_u32(rule, NFTNL_RULE_FAMILY, b->family);
	nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, table);
	nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain);
	for (const struct nft_op *op = ops; op->kind != NFT_OP_END; op++) {
		nftnl_rule_add_expr(rule, make_expression(op));
	}
	nftnl_rule_nlmsg_build_payload(m.h, rule);
	nftnl_rule_free(rule);
	finish(b, &m);
}
