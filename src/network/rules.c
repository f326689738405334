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

/* Keys and data of the maps as the registers hold them: every part in 4 bytes. */
struct any_key {
	uint8_t proto[4];
	uint16_t port; /* network byte order, as the next */
	uint16_t zero;
};
struct at_key {
	uint32_t host;
	struct any_key any;
};
struct target {
	uint32_t address;
	uint16_t port;
	uint16_t zero;
};

struct inherited {
	struct at_key key; /* host 0: of the map for all addresses */
	struct target target;
};

struct rules {
	int fd;
	char *table;
	struct inherited *old;
	size_t old_n;
	struct watch *watch;
};

struct watch {
	uv_poll_t poll;
	int fd;
	struct network_set *set;
};

static struct at_key key_of(const struct port *p)
{
	struct at_key k = {
		.host = htonl(p->host), .any = {.proto = {p->proto}, .port = htons(p->outside)}};
	return k;
}

static struct target target_of(const struct port *p)
{
	return (struct target){.address = htonl(p->address), .port = htons(p->inside)};
}

static void add_inherited(struct rules *r, const struct inherited *i)
{
	r->old = xrealloc(r->old, r->old_n + 1, sizeof(*r->old));
	r->old[r->old_n++] = *i;
}

static void inherit_any(void *owner, const struct nft_element *e)
{
	struct inherited i = {0};
	if (e->key_len == sizeof(i.key.any) && e->data && e->data_len == sizeof(i.target)) {
		memcpy(&i.key.any, e->key, sizeof(i.key.any));
		memcpy(&i.target, e->data, sizeof(i.target));
		add_inherited(owner, &i);
	}
}

static void inherit_at(void *owner, const struct nft_element *e)
{
	struct inherited i = {0};
	if (e->key_len == sizeof(i.key) && e->data && e->data_len == sizeof(i.target)) {
		memcpy(&i.key, e->key, sizeof(i.key));
		memcpy(&i.target, e->data, sizeof(i.target));
		add_inherited(owner, &i);
	}
}

struct rules *rules_new(const char *prefix, struct err *e)
{
	struct rules *r = xnew(struct rules);
	r->table = xasprintf("wherry-%s", prefix);
	r->fd = nft_open(-1);
	if (r->fd < 0) {
		err_sys(e, -r->fd, "cannot open a netfilter socket");
		rules_free(r);
		return NULL;
	}
	nft_each_element(
		r->fd, r->table, "published", inherit_any, r); /* no table, nothing to inherit */
	nft_each_element(r->fd, r->table, "published_at", inherit_at, r);
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
	free(r->old);
	free(r);
}

void rules_purge(struct rules *r)
{
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT;
	unwatch(r);
	nft_delete_table(&b, r->table);
	nft_commit(r->fd, &b);
}

bool rules_settle(struct rules *r)
{
	bool any = r->old_n > 0;
	free(r->old);
	r->old = NULL;
	r->old_n = 0;
	return any;
}

uint16_t rules_remembered(void *rules, const struct port *p)
{
	const struct rules *r = rules;
	struct target want = target_of(p);
	for (size_t i = 0; i < r->old_n; i++) {
		const struct inherited *o = &r->old[i];
		if (memcmp(&o->target, &want, sizeof(want)) == 0 &&
			o->key.any.proto[0] == p->proto && o->key.host == htonl(p->host)) {
			return ntohs(o->key.any.port);
		}
	}
	return 0;
}

/* --- elements --- */

typedef void change_fn(
	struct nft_batch *b, const char *table, const char *set, const struct nft_element *e);

static void change_element(const struct rules *r, struct nft_batch *b, const struct at_key *k,
	const struct target *t, change_fn *change)
{
	bool any = k->host == 0;
	struct nft_element e = {
		.key = any ? (const void *)&k->any : k,
		.key_len = any ? sizeof(k->any) : sizeof(*k),
		.data = t,
		.data_len = sizeof(*t),
	};
	change(b, r->table, any ? "published" : "published_at", &e);
}

static void disinherit(struct rules *r, const struct at_key *k)
{
	for (size_t i = 0; i < r->old_n;) {
		if (memcmp(&r->old[i].key, k, sizeof(*k)) == 0) {
			r->old[i] = r->old[--r->old_n];
		} else {
			i++;
		}
	}
}

static bool is_to_port(const void *owner, uint8_t proto, struct in_addr address, uint16_t port)
{
	const struct port_list *l = owner;
	for (size_t i = 0; proto == IPPROTO_UDP && i < l->n; i++) {
		const struct port *p = &l->v[i];
		if (p->proto == proto && p->outside == port &&
			(p->host == 0 || p->host == ntohl(address.s_addr))) {
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
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT;
	for (size_t i = 0; i < l->n; i++) {
		struct at_key k = key_of(&l->v[i]);
		struct target t = target_of(&l->v[i]);
		disinherit(r, &k);
		change_element(r, &b, &k, &t, nft_add_element);
	}
	/* Somebody may have flushed the ruleset, or an inherited element leads elsewhere: then the
	 * whole table anew. */
	if (nft_commit(r->fd, &b) < 0 && rules_rebuild(n, e) < 0) {
		return -1;
	}
	forget_flows(l);
	return 0;
}

void rules_unpublish(struct network_set *n, const struct port_list *l)
{
	struct rules *r = n->rules;
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT;
	for (size_t i = 0; i < l->n; i++) {
		struct at_key k = key_of(&l->v[i]);
		struct target t = target_of(&l->v[i]);
		change_element(r, &b, &k, &t, nft_delete_element);
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
	const uint32_t target = NFT_JOIN(NFT_TYPE_IPV4, NFT_TYPE_PORT);
	const uint32_t any = NFT_JOIN(NFT_TYPE_PROTO, NFT_TYPE_PORT);
	const struct nft_set sets[] = {
		{"published", any, sizeof(struct any_key), target, sizeof(struct target)},
		{"published_at", NFT_JOIN(NFT_JOIN(NFT_TYPE_IPV4, NFT_TYPE_PROTO), NFT_TYPE_PORT),
			sizeof(struct at_key), target, sizeof(struct target)},
		{"bridges", NFT_TYPE_IFNAME, IFNAMSIZ, 0, 0},
		{"internal", NFT_TYPE_IFNAME, IFNAMSIZ, 0, 0},
		{"together", NFT_JOIN(NFT_TYPE_IFNAME, NFT_TYPE_IFNAME), 2 * IFNAMSIZ, 0, 0},
	};
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		nft_add_set(b, table, &sets[i]);
	}
}

static void add_raw_chain(struct nft_batch *b, const char *table)
{
	/* Our dnat and route_localnet would open what is published at 127.0.0.1 to the whole
	 * network, and the host's loopback services to containers: CVE-2020-8558. */
	static const struct nft_op to_loopback[] = {NFT_DESTINATION(0), NFT_MASK(0, 0),
		NFT_IS(0, 0), NFT_META(1, NFT_META_IIFNAME), NFT_IS_NOT_TEXT(1, "lo"),
		NFT_VERDICT(NF_DROP), NFT_END};
	struct nft_op ops[sizeof(to_loopback) / sizeof(to_loopback[0])];
	memcpy(ops, to_loopback, sizeof(ops));
	ops[1].a = htonl(0xff000000);
	ops[2].data.word = htonl(0x7f000000);
	nft_add_chain(b, table, "raw", "filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW);
	nft_add_rule(b, table, "raw", ops);
}

static void add_dnat_chain(struct nft_batch *b, const char *table, const char *chain, uint32_t hook)
{
	static const struct nft_op at[] = {NFT_ADDRESS_TYPE(0, NFTA_FIB_F_DADDR),
		NFT_IS(0, RTN_LOCAL), NFT_DESTINATION(0), NFT_META(1, NFT_META_L4PROTO),
		NFT_DESTINATION_PORT(2), NFT_MAP(0, "published_at", 8), NFT_DNAT(8, 9), NFT_END};
	static const struct nft_op any[] = {NFT_ADDRESS_TYPE(0, NFTA_FIB_F_DADDR),
		NFT_IS(0, RTN_LOCAL), NFT_META(1, NFT_META_L4PROTO), NFT_DESTINATION_PORT(2),
		NFT_MAP(1, "published", 8), NFT_DNAT(8, 9), NFT_END};
	nft_add_chain(b, table, chain, "nat", hook, NF_IP_PRI_NAT_DST);
	nft_add_rule(b, table, chain, at);
	nft_add_rule(b, table, chain, any);
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
	/* The host calls 127.0.0.1: the answer must not come back to a container's own loopback. */
	const struct nft_op from_loopback[] = {NFT_SOURCE(0), NFT_MASK(0, htonl(0xff000000)),
		NFT_IS(0, htonl(0x7f000000)), NFT_META(0, NFT_META_OIFNAME), NFT_IN(0, "bridges"),
		NFT_MASQUERADE, NFT_END};
	nft_add_chain(b, table, "postrouting", "nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC);
	nft_add_rule(b, table, "postrouting", from_loopback);
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

static void add_network(struct nft_batch *b, const char *table, const struct network *w)
{
	const uint32_t mask = htonl(ipam_mask(w->ipam.subnet.len));
	const uint32_t subnet = htonl(w->ipam.subnet.base);
	struct nft_op leaving[] = {NFT_SOURCE(0), NFT_MASK(0, mask), NFT_IS(0, subnet),
		NFT_META(0, NFT_META_OIFNAME), NFT_IS_NOT_TEXT(0, ""), NFT_MASQUERADE, NFT_END};
	/* A container calls a published port of this network: without it the answer takes the short
	 * way, unchanged. */
	struct nft_op hairpin[] = {NFT_SOURCE(0), NFT_MASK(0, mask), NFT_IS(0, subnet),
		NFT_META(0, NFT_META_OIFNAME), NFT_IS_TEXT(0, ""), NFT_CT(0, NFT_CT_STATUS),
		NFT_MASK(0, IPS_DST_NAT), NFT_IS_NOT(0, 0), NFT_MASQUERADE, NFT_END};
	memcpy(leaving[4].data.text, w->bridge, sizeof(leaving[4].data.text));
	memcpy(hairpin[4].data.text, w->bridge, sizeof(hairpin[4].data.text));
	add_name(b, table, "bridges", w->bridge, 1);
	if (w->internal) {
		add_name(b, table, "internal", w->bridge, 1);
	}
	if (w->icc) {
		add_name(b, table, "together", w->bridge, 2);
	}
	if (w->masquerade && !w->internal) {
		nft_add_rule(b, table, "postrouting", leaving);
	}
	nft_add_rule(b, table, "postrouting", hairpin);
}

static void add_ports(const struct rules *r, struct nft_batch *b, const struct network *w)
{
	list_each (i, &w->endpoints) {
		const struct endpoint *p = container_of(i, struct endpoint, link);
		for (size_t k = 0; k < p->ports.n; k++) {
			struct at_key key = key_of(&p->ports.v[k]);
			struct target t = target_of(&p->ports.v[k]);
			change_element(r, b, &key, &t, nft_add_element);
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
				struct at_key key = key_of(&p->ports.v[k]);
				disinherit(n->rules, &key);
			}
		}
	}
}

int rules_rebuild(struct network_set *n, struct err *e)
{
	struct rules *r = n->rules;
	scoped(nft_batch) struct nft_batch b = NFT_BATCH_INIT;
	nft_delete_table(&b, r->table);
	nft_add_table(&b, r->table);
	add_sets(&b, r->table);
	add_raw_chain(&b, r->table);
	add_dnat_chain(&b, r->table, "prerouting", NF_INET_PRE_ROUTING);
	add_dnat_chain(&b, r->table, "output", NF_INET_LOCAL_OUT);
	add_postrouting_chain(&b, r->table);
	add_forward_chain(&b, r->table);
	disinherit_known(n);
	for (size_t i = 0; i < r->old_n; i++) {
		change_element(r, &b, &r->old[i].key, &r->old[i].target, nft_add_element);
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
	if (!nft_watch_read(w->fd) ||
		nft_each_element(r->fd, r->table, "bridges", ignore_element, NULL) != -ENOENT) {
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
