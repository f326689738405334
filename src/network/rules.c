#include "network/rules.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter_ipv4.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/scoped.h"
#include "network/internal.h"
#include "sys/conntrack.h"
#include "sys/nft.h"

/* An element of a map as the registers hold it, every part in 4 bytes:
 * [host address] protocol port -> container address, port */
struct element {
	const char *map;
	uint8_t key[IP6_BYTES + 8];
	uint8_t data[IP6_BYTES + 4];
	struct nft_element e;
};

struct rules {
	int fd;
	char *table;
	struct port_list old; /* inherited: fds are -1 */
	struct watch *watch;
};

struct watch {
	uv_poll_t poll;
	int fd;
	struct network_set *set;
};

static const char *map_name(uint8_t size, bool any)
{
	return size == IP4_BYTES ? (any ? "published" : "published_at")
				 : (any ? "published6" : "published6_at");
}

static void element_of(const struct port *p, struct element *ret)
{
	bool any = ip_is_any(p->host);
	const uint16_t outside = htons(p->outside);
	const uint16_t inside = htons(p->inside);
	size_t at = any ? 0 : p->host.size;
	*ret = (struct element){.map = map_name(p->host.size, any)};
	memcpy(ret->key, p->host.b, at);
	ret->key[at] = p->proto;
	memcpy(ret->key + at + 4, &outside, sizeof(outside));
	memcpy(ret->data, p->address.b, p->address.size);
	memcpy(ret->data + p->address.size, &inside, sizeof(inside));
	ret->e = (struct nft_element){.key = ret->key,
		.key_len = (uint32_t)at + 8,
		.data = ret->data,
		.data_len = (uint32_t)p->address.size + 4};
}

struct inherit {
	struct rules *rules;
	uint8_t size; /* of addresses */
	bool any;
};

static void inherit(void *owner, const struct nft_element *e)
{
	const struct inherit *i = owner;
	const uint8_t *key = e->key;
	const uint8_t *data = e->data;
	struct port_list *old = &i->rules->old;
	uint32_t at = i->any ? 0 : i->size;
	if (e->key_len != at + 8 || !data || e->data_len != (uint32_t)i->size + 4) {
		return;
	}
	struct port p = {.fd = -1,
		.host = i->any ? ip_any(i->size) : ip_of_bytes(key, i->size),
		.proto = key[at],
		.outside = (uint16_t)(key[at + 4] << 8 | key[at + 5]),
		.address = ip_of_bytes(data, i->size),
		.inside = (uint16_t)(data[i->size] << 8 | data[i->size + 1])};
	old->v = xrealloc(old->v, old->n + 1, sizeof(*old->v));
	old->v[old->n++] = p;
}

struct rules *rules_new(const char *prefix, struct err *e)
{
	static const uint8_t sizes[] = {IP4_BYTES, IP6_BYTES};
	struct rules *r = xnew(struct rules);
	r->table = xasprintf("wherry-%s", prefix);
	r->fd = nft_open(-1);
	if (r->fd < 0) {
		err_sys(e, -r->fd, "cannot open a netfilter socket");
		rules_free(r);
		return NULL;
	}
	for (size_t i = 0; i < 4; i++) { /* no table, nothing to inherit */
		struct inherit in = {r, sizes[i / 2], i % 2};
		nft_each_element(
			r->fd, NFPROTO_INET, r->table, map_name(in.size, in.any), inherit, &in);
	}
	return r;
}

static void watch_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;
	close(w->fd);
	free(w);
}

static void unwatch(struct rules *r)
{
	if (r->watch) {
		uv_close((uv_handle_t *)&r->watch->poll, watch_closed);
		r->watch = NULL;
	}
}

void rules_free(struct rules *r)
{
	if (!r) {
		return;
	}
	unwatch(r);
	if (r->fd >= 0) {
		close(r->fd);
	}
	free(r->table);
	port_list_deinit(&r->old);
	free(r);
}

void rules_purge(struct rules *r)
{
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT(NFPROTO_INET);
	unwatch(r);
	nft_delete_table(&b, r->table);
	nft_commit(r->fd, &b);
}

bool rules_settle(struct rules *r)
{
	bool any = r->old.n > 0;
	port_list_deinit(&r->old);
	return any;
}

bool rules_lead_elsewhere(const struct rules *r, const struct port *p)
{
	for (size_t i = 0; i < r->old.n; i++) {
		if (port_is_same(&r->old.v[i], p) && !ip_equal(r->old.v[i].address, p->address)) {
			return true;
		}
	}
	return false;
}

uint16_t rules_remembered(const struct rules *r, const struct port *p)
{
	for (size_t i = 0; i < r->old.n; i++) {
		const struct port *o = &r->old.v[i];
		if (ip_equal(o->address, p->address) && o->inside == p->inside &&
			o->proto == p->proto && ip_equal(o->host, p->host)) {
			return o->outside;
		}
	}
	return 0;
}

/* --- elements --- */

typedef void change_fn(
	struct nft_batch *b, const char *table, const char *set, const struct nft_element *e);

static void change_element(
	const struct rules *r, struct nft_batch *b, const struct port *p, change_fn *change)
{
	struct element e;
	if (port_is_mapped(p)) {
		element_of(p, &e);
		change(b, r->table, e.map, &e.e);
	}
}

static void disinherit(struct rules *r, const struct port *p)
{
	for (size_t i = 0; i < r->old.n;) {
		const struct port *o = &r->old.v[i];
		if (port_is_same(o, p)) {
			r->old.v[i] = r->old.v[--r->old.n];
		} else {
			i++;
		}
	}
}

static bool is_to_port(const void *owner, uint8_t proto, struct ip address, uint16_t port)
{
	const struct port_list *l = owner;
	for (size_t i = 0; proto == IPPROTO_UDP && i < l->n; i++) {
		const struct port *p = &l->v[i];
		if (p->proto == proto && p->outside == port && p->host.size == address.size &&
			(ip_is_any(p->host) || ip_equal(p->host, address))) {
			return true;
		}
	}
	return false;
}

/* Datagrams that keep coming would go on to where the port led before. */
static void forget_flows(const struct port_list *l)
{
	bool any = false;
	for (size_t i = 0; i < l->n; i++) {
		any = any || l->v[i].proto == IPPROTO_UDP;
	}
	int r = any ? conntrack_forget(is_to_port, l) : 0;
	if (r < 0) {
		log_debug("network", "flows_stay", "error", strerror(-r), NULL);
	}
}

int rules_publish(struct network_set *n, const struct port_list *l, struct err *e)
{
	struct rules *r = n->rules;
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT(NFPROTO_INET);
	for (size_t i = 0; i < l->n; i++) {
		if (!l->v[i].pending) {
			disinherit(r, &l->v[i]);
		}
		change_element(r, &b, &l->v[i], nft_add_element);
	}
	/* Somebody may have flushed the ruleset, or an inherited element leads elsewhere: then the
	 * whole table anew. */
	if (nft_commit(r->fd, &b) < 0 && rules_rebuild(n, e) < 0) {
		return -1;
	}
	forget_flows(l);
	return 0;
}

int rules_replace(struct network_set *n, const struct port_list *gone, const struct port_list *come,
	struct err *e)
{
	struct rules *r = n->rules;
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT(NFPROTO_INET);
	for (size_t i = 0; i < gone->n; i++) {
		change_element(r, &b, &gone->v[i], nft_delete_element);
	}
	for (size_t i = 0; i < come->n; i++) {
		disinherit(r, &come->v[i]);
		change_element(r, &b, &come->v[i], nft_add_element);
	}
	if (nft_commit(r->fd, &b) < 0 && rules_rebuild(n, e) < 0) {
		return -1;
	}
	forget_flows(come);
	return 0;
}

void rules_unpublish(struct network_set *n, const struct port_list *l)
{
	struct rules *r = n->rules;
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT(NFPROTO_INET);
	for (size_t i = 0; i < l->n; i++) {
		change_element(r, &b, &l->v[i], nft_delete_element);
	}
	struct err e;
	if (nft_commit(r->fd, &b) < 0 && rules_rebuild(n, &e) < 0) {
		log_warning("network", "rules_stay", "error", e.msg, NULL);
	}
	forget_flows(l);
}

/* --- the table --- */

static void add_sets(struct nft_batch *b, const char *table)
{
	const uint32_t any = NFT_JOIN(NFT_TYPE_PROTO, NFT_TYPE_PORT);
	const uint32_t at4 = NFT_JOIN(NFT_JOIN(NFT_TYPE_IPV4, NFT_TYPE_PROTO), NFT_TYPE_PORT);
	const uint32_t at6 = NFT_JOIN(NFT_JOIN(NFT_TYPE_IPV6, NFT_TYPE_PROTO), NFT_TYPE_PORT);
	const uint32_t to4 = NFT_JOIN(NFT_TYPE_IPV4, NFT_TYPE_PORT);
	const uint32_t to6 = NFT_JOIN(NFT_TYPE_IPV6, NFT_TYPE_PORT);
	const struct nft_set sets[] = {
		{map_name(IP4_BYTES, true), any, 8, to4, IP4_BYTES + 4},
		{map_name(IP4_BYTES, false), at4, IP4_BYTES + 8, to4, IP4_BYTES + 4},
		{map_name(IP6_BYTES, true), any, 8, to6, IP6_BYTES + 4},
		{map_name(IP6_BYTES, false), at6, IP6_BYTES + 8, to6, IP6_BYTES + 4},
		{"bridges", NFT_TYPE_IFNAME, IFNAMSIZ, 0, 0},
		{"internal", NFT_TYPE_IFNAME, IFNAMSIZ, 0, 0},
		{"together", NFT_JOIN(NFT_TYPE_IFNAME, NFT_TYPE_IFNAME), 2 * IFNAMSIZ, 0, 0},
	};
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		nft_add_set(b, table, &sets[i]);
	}
}

#define FAMILY_IS(f) NFT_META(0, NFT_META_NFPROTO), NFT_COMPARE(0, NFT_CMP_EQ, f, 1)

static void add_raw_chain(struct nft_batch *b, const char *table)
{
	/* Our dnat and route_localnet would open what is published at 127.0.0.1 to the whole
	 * network, and the host's loopback services to containers: CVE-2020-8558. To ::1 the kernel
	 * lets nobody (ip6_rcv_core). */
	const struct nft_op to_loopback[] = {FAMILY_IS(NFPROTO_IPV4), NFT_DESTINATION(0),
		NFT_MASK(0, htonl(0xff000000)), NFT_IS(0, htonl(0x7f000000)),
		NFT_META(1, NFT_META_IIFNAME), NFT_IS_NOT_TEXT(1, "lo"), NFT_VERDICT(NF_DROP),
		NFT_END};
	nft_add_chain(b, table, "raw", "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW);
	nft_add_rule(b, table, "raw", to_loopback);
}

#define LOOPBACK6(op)                                                               \
	{                                                                           \
		.kind = NFT_OP_COMPARE, .reg = NFT_R(0), .a = (op), .b = IP6_BYTES, \
		.data.bytes = {                                                     \
			[15] = 1                                                    \
		}                                                                   \
	}
#define TO_US NFT_ADDRESS_TYPE(0, NFTA_FIB_F_DADDR), NFT_IS(0, RTN_LOCAL)

static void add_dnat_chain(struct nft_batch *b, const char *table, const char *chain, uint32_t hook)
{
	static const struct nft_op at4[] = {FAMILY_IS(NFPROTO_IPV4), TO_US, NFT_DESTINATION(0),
		NFT_META(1, NFT_META_L4PROTO), NFT_DESTINATION_PORT(2),
		NFT_MAP(0, "published_at", 8), NFT_DNAT(NFPROTO_IPV4, 8, 9), NFT_END};
	static const struct nft_op any4[] = {FAMILY_IS(NFPROTO_IPV4), TO_US,
		NFT_META(1, NFT_META_L4PROTO), NFT_DESTINATION_PORT(2), NFT_MAP(1, "published", 8),
		NFT_DNAT(NFPROTO_IPV4, 8, 9), NFT_END};
	static const struct nft_op at6[] = {FAMILY_IS(NFPROTO_IPV6), TO_US, NFT_DESTINATION6(0),
		NFT_META(4, NFT_META_L4PROTO), NFT_DESTINATION_PORT(5),
		NFT_MAP(0, "published6_at", 8), NFT_DNAT(NFPROTO_IPV6, 8, 12), NFT_END};
	static const struct nft_op any6[] = {FAMILY_IS(NFPROTO_IPV6), TO_US, NFT_DESTINATION6(0),
		LOOPBACK6(NFT_CMP_NEQ), /* network/relay.h */
		NFT_META(1, NFT_META_L4PROTO), NFT_DESTINATION_PORT(2), NFT_MAP(1, "published6", 8),
		NFT_DNAT(NFPROTO_IPV6, 8, 12), NFT_END};
	const struct nft_op *rules[] = {at4, any4, at6, any6};
	nft_add_chain(b, table, chain, "nat", hook, NF_IP_PRI_NAT_DST);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		nft_add_rule(b, table, chain, rules[i]);
	}
}

static void add_forward_chain(struct nft_batch *b, const char *table)
{
	const struct nft_op known[] = {NFT_CT(0, NFT_CT_STATE),
		NFT_MASK(0, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED)),
		NFT_IS_NOT(0, 0), NFT_VERDICT(NF_ACCEPT), NFT_END};
	const struct nft_op together[] = {NFT_META(0, NFT_META_IIFNAME),
		NFT_META(4, NFT_META_OIFNAME), NFT_IN(0, "together"), NFT_VERDICT(NF_ACCEPT),
		NFT_END};
	const struct nft_op into_internal[] = {NFT_META(0, NFT_META_OIFNAME), NFT_IN(0, "internal"),
		NFT_VERDICT(NF_DROP), NFT_END};
	const struct nft_op out_of_internal[] = {NFT_META(0, NFT_META_IIFNAME),
		NFT_IN(0, "internal"), NFT_VERDICT(NF_DROP), NFT_END};
	const struct nft_op published[] = {NFT_CT(0, NFT_CT_STATUS), NFT_MASK(0, IPS_DST_NAT),
		NFT_IS_NOT(0, 0), NFT_META(0, NFT_META_OIFNAME), NFT_IN(0, "bridges"),
		NFT_VERDICT(NF_ACCEPT), NFT_END};
	const struct nft_op uninvited[] = {
		NFT_META(0, NFT_META_OIFNAME), NFT_IN(0, "bridges"), NFT_VERDICT(NF_DROP), NFT_END};
	const struct nft_op *rules[] = {
		known, together, into_internal, out_of_internal, published, uninvited};
	nft_add_chain(b, table, "forward", "filter", NF_INET_FORWARD, NF_IP_PRI_FILTER);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		nft_add_rule(b, table, "forward", rules[i]);
	}
}

static void add_postrouting_chain(struct nft_batch *b, const char *table)
{
	/* The host calls 127.0.0.1: the answer must not come back to a container's own
	 * loopback. */
	const struct nft_op from4[] = {FAMILY_IS(NFPROTO_IPV4), NFT_SOURCE(0),
		NFT_MASK(0, htonl(0xff000000)), NFT_IS(0, htonl(0x7f000000)),
		NFT_META(0, NFT_META_OIFNAME), NFT_IN(0, "bridges"), NFT_MASQUERADE, NFT_END};
	nft_add_chain(b, table, "postrouting", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC);
	nft_add_rule(b, table, "postrouting", from4);
}

static void add_name(
	struct nft_batch *b, const char *table, const char *set, const char *name, int times)
{
	char key[2 * IFNAMSIZ] = {0};
	for (int i = 0; i < times; i++) {
		memcpy(key + (size_t)i * IFNAMSIZ, name, strlen(name));
	}
	const struct nft_element e = {.key = key, .key_len = (uint32_t)times * IFNAMSIZ};
	nft_add_element(b, table, set, &e);
}

/* The packet comes from the subnet. */
#define FROM_OPS 5
static void put_from(const struct ip_range *r, struct nft_op ret[FROM_OPS])
{
	bool six = r->base.size == IP6_BYTES;
	const struct ip mask = ip_mask(r->base.size, r->len);
	const struct nft_op family[] = {FAMILY_IS(six ? NFPROTO_IPV6 : NFPROTO_IPV4)};
	const struct nft_op source4 = NFT_SOURCE(0);
	const struct nft_op source6 = NFT_SOURCE6(0);
	const struct nft_op masked = NFT_MASK_BYTES(0, r->base.size);
	const struct nft_op same = NFT_COMPARE(0, NFT_CMP_EQ, 0, r->base.size);
	const struct nft_op ops[FROM_OPS] = {
		family[0], family[1], six ? source6 : source4, masked, same};
	memcpy(ret, ops, sizeof(ops));
	memcpy(ret[3].data.bytes, mask.b, r->base.size);
	memcpy(ret[4].data.bytes, r->base.b, r->base.size);
}

static void add_masquerade(struct nft_batch *b, const char *table, const struct network *w,
	const struct ip_range *subnet)
{
	struct nft_op leaving[] = {[FROM_OPS] = NFT_META(0, NFT_META_OIFNAME),
		NFT_IS_NOT_TEXT(0, ""),
		NFT_MASQUERADE,
		NFT_END};
	/* A container calls a published port of this network: without it the answer takes the short
	 * way, unchanged. */
	struct nft_op hairpin[] = {[FROM_OPS] = NFT_META(0, NFT_META_OIFNAME),
		NFT_IS_TEXT(0, ""),
		NFT_CT(0, NFT_CT_STATUS),
		NFT_MASK(0, IPS_DST_NAT),
		NFT_IS_NOT(0, 0),
		NFT_MASQUERADE,
		NFT_END};
	put_from(subnet, leaving);
	put_from(subnet, hairpin);
	memcpy(leaving[FROM_OPS + 1].data.text, w->bridge, sizeof(w->bridge));
	memcpy(hairpin[FROM_OPS + 1].data.text, w->bridge, sizeof(w->bridge));
	if (w->masquerade && !w->internal) {
		nft_add_rule(b, table, "postrouting", leaving);
	}
	nft_add_rule(b, table, "postrouting", hairpin);
}

static void add_network(struct nft_batch *b, const char *table, const struct network *w)
{
	add_name(b, table, "bridges", w->bridge, 1);
	if (w->internal) {
		add_name(b, table, "internal", w->bridge, 1);
	}
	if (w->icc) {
		add_name(b, table, "together", w->bridge, 2);
	}
	for (size_t i = 0; i < w->subnets_n; i++) {
		add_masquerade(b, table, w, &w->subnets[i].subnet);
	}
}

static void add_ports(const struct rules *r, struct nft_batch *b, const struct network *w)
{
	list_each (i, &w->endpoints) {
		const struct endpoint *p = container_of(i, struct endpoint, link);
		for (size_t k = 0; k < p->ports.n; k++) {
			change_element(r, b, &p->ports.v[k], nft_add_element);
		}
	}
}

/* Inherited elements whose port an endpoint has now would make the kernel refuse the batch. */
static void disinherit_known(struct network_set *n)
{
	map_each (n->by_id, struct network, w) {
		list_each (i, &w->endpoints) {
			const struct endpoint *p = container_of(i, struct endpoint, link);
			for (size_t k = 0; k < p->ports.n; k++) {
				if (!p->ports.v[k].pending) {
					disinherit(n->rules, &p->ports.v[k]);
				}
			}
		}
	}
}

int rules_rebuild(struct network_set *n, struct err *e)
{
	struct rules *r = n->rules;
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT(NFPROTO_INET);
	nft_delete_table(&b, r->table);
	nft_add_table(&b, r->table);
	add_sets(&b, r->table);
	add_raw_chain(&b, r->table);
	add_dnat_chain(&b, r->table, "prerouting", NF_INET_PRE_ROUTING);
	add_dnat_chain(&b, r->table, "output", NF_INET_LOCAL_OUT);
	add_postrouting_chain(&b, r->table);
	add_forward_chain(&b, r->table);
	disinherit_known(n);
	for (size_t i = 0; i < r->old.n; i++) {
		change_element(r, &b, &r->old.v[i], nft_add_element);
	}
	map_each (n->by_id, struct network, w) {
		if (w->driver == DRIVER_BRIDGE) {
			add_network(&b, r->table, w);
			add_ports(r, &b, w);
		}
	}
	int failed = nft_commit(r->fd, &b);
	return failed ? err_sys(e, -failed, "cannot set the packet filter's table %s", r->table)
		      : 0;
}

/* --- the watch --- */

static void ignore_element(void *owner, const struct nft_element *e)
{
}

static void on_change(uv_poll_t *poll, int status, int events)
{
	const struct watch *w = poll->data;
	const struct rules *r = w->set->rules;
	struct err e;
	if (!nft_watch_read(w->fd) || nft_each_element(r->fd, NFPROTO_INET, r->table, "bridges",
					      ignore_element, NULL) != -ENOENT) {
		return; /* our own changes, and those of others to others */
	}
	int failed = rules_rebuild(w->set, &e);
	log_warning("network", "rules_were_flushed", "table", r->table, "error",
		failed ? e.msg : NULL, NULL);
}

int rules_watch(struct network_set *n, struct err *e)
{
	int fd = nft_watch();
	if (fd < 0) {
		return err_sys(e, -fd, "cannot watch the packet filter");
	}
	struct watch *w = xnew(struct watch);
	w->fd = fd;
	w->set = n;
	w->poll.data = w;
	uv_poll_init(n->loop, &w->poll, fd);
	uv_poll_start(&w->poll, UV_READABLE, on_change);
	uv_unref((uv_handle_t *)&w->poll);
	n->rules->watch = w;
	return 0;
}
