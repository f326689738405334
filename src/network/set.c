#include <fcntl.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/path.h"
#include "base/scoped.h"
#include "event/event.h"
#include "network/internal.h"
#include "network/resolver.h"
#include "network/rules.h"
#include "store/store.h"
#include "sys/netns.h"

/* By then every container that lives has been restored: a shim answers at once or never. */
#define SETTLE_MS 30000

const char *network_id(const struct network *w)
{
	return w->id;
}

const char *network_name(const struct network *w)
{
	return json_str(w->doc, "Name");
}

bool network_has_links(const struct network *w)
{
	return w->driver == DRIVER_BRIDGE || w->driver == DRIVER_MACVLAN ||
	       w->driver == DRIVER_IPVLAN;
}

bool network_uses_dns(const struct network *w)
{
	return network_has_links(w) && !w->predefined;
}

const struct ipam *network_subnet(const struct network *w, uint8_t size)
{
	for (size_t i = 0; i < w->subnets_n; i++) {
		if (w->subnets[i].subnet.base.size == size) {
			return &w->subnets[i];
		}
	}
	return NULL;
}

const struct ipam *network_subnet_of(const struct network *w, struct ip address)
{
	for (size_t i = 0; i < w->subnets_n; i++) {
		if (ip_contains(w->subnets[i].subnet, address)) {
			return &w->subnets[i];
		}
	}
	return NULL;
}

const char *network_gateway(const struct network *w, char text[static IP_TEXT_MAX])
{
	const struct ipam *s = network_subnet(w, IP4_BYTES);
	return ip_format(s ? s->gateway : (struct ip){0}, text);
}

void network_set_holder(struct network_set *n, network_holder_fn *fn, void *owner)
{
	n->holder = fn;
	n->holder_owner = owner;
}

bool network_host_reaches(const struct network *w)
{
	return w->driver == DRIVER_BRIDGE;
}

bool network_has_user_subnet(const struct network *w, uint8_t size)
{
	const json_t *chosen = json_object_get(w->doc, NETWORK_CHOSEN);
	return !w->predefined && network_subnet(w, size) &&
	       !json_bool(chosen, size == IP4_BYTES ? "IPv4" : "IPv6");
}

void network_publish_event(struct network *w, const char *action, const char *container_id)
{
	json_t *attributes = json_object();
	if (container_id) {
		json_put_str(attributes, "container", container_id);
	}
	json_put_str(attributes, "name", network_name(w));
	json_put_str(attributes, "type", json_str(w->doc, "Driver"));
	event_publish(w->set->bus, "network", action, w->id, attributes);
}

static void network_free(struct network *w)
{
	if (!w) {
		return;
	}
	list_each_safe (i, &w->endpoints) {
		endpoint_free(container_of(i, struct endpoint, link));
	}
	json_decref(w->doc);
	free(w);
}
SCOPED(struct network *, network_free)

static struct network *network_new(struct network_set *n, const char *id, json_t *take_doc)
{
	struct network *w = xnew(struct network);
	list_init(&w->endpoints);
	w->set = n;
	w->doc = take_doc;
	snprintf(w->id, sizeof(w->id), "%s", id);
	return w;
}

/* --- looking up --- */

struct network *network_by_name(struct network_set *n, const char *name)
{
	map_each (n->by_id, struct network, w) {
		if (strcmp(network_name(w), name) == 0) {
			return w;
		}
	}
	return NULL;
}

struct network *network_find(struct network_set *n, const char *name, struct err *e)
{
	struct network *found = map_get(n->by_id, name);
	if (!found) {
		found = network_by_name(n, name);
	}
	if (found) {
		return found;
	}
	size_t matches = 0;
	map_each (n->by_id, struct network, w) {
		if (*name && text_starts(w->id, name)) {
			found = w;
			matches++;
		}
	}
	if (matches == 1) {
		return found;
	}
	if (matches > 1) {
		err_set(e, ERR_INVALID,
			"network %s is ambiguous (%zu matches found based on ID prefix)", name,
			matches);
	} else {
		err_set(e, ERR_NOT_FOUND, "network %s not found", name);
	}
	return NULL;
}

struct network *network_next(const struct network_set *n, size_t *pos)
{
	return map_next(n->by_id, pos, NULL);
}

/* --- making and removing --- */

static int save(struct network *w, struct err *e)
{
	return store_put(w->set->store, STORE_NETWORKS, w->id, w->doc, e);
}

static void note_chosen(struct network *w, uint8_t size)
{
	json_t *chosen = json_object_get(w->doc, NETWORK_CHOSEN);
	if (!chosen) {
		chosen = json_object();
		json_put(w->doc, NETWORK_CHOSEN, chosen);
	}
	json_put(chosen, size == IP4_BYTES ? "IPv4" : "IPv6", json_true());
}

/* What has no subnet of a family yet gets one; what was asked for is checked. */
static int settle_subnets(struct network_set *n, struct network *w, struct err *e)
{
	static const uint8_t sizes[] = {IP4_BYTES, IP6_BYTES};
	bool routed =
		w->driver == DRIVER_BRIDGE; /* a parent's own subnet is what the others want */
	for (size_t i = 0; i < w->subnets_n; i++) {
		if (network_check_subnet(n, "", w->subnets[i].subnet, routed, e) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < 2; i++) {
		struct ip_range subnet;
		if (network_subnet(w, sizes[i]) || (sizes[i] == IP6_BYTES && !w->ipv6)) {
			continue;
		}
		if (w->subnets_n == NETWORK_SUBNETS_MAX) {
			return err_set(e, ERR_INVALID, "a network has at most %d subnets",
				NETWORK_SUBNETS_MAX);
		}
		if (network_pick_subnet(n, "", sizes[i], &subnet, e) < 0) {
			return -1;
		}
		w->subnets[w->subnets_n] = ipam_of(subnet);
		network_spec_add_subnet(w->doc, &w->subnets[w->subnets_n++]);
		note_chosen(w, sizes[i]);
	}
	return 0;
}

static int check_bridge_name(struct network_set *n, const struct network *w, struct err *e)
{
	map_each (n->by_id, struct network, other) {
		if (w->driver == DRIVER_BRIDGE && other->driver == DRIVER_BRIDGE &&
			strcmp(other->bridge, w->bridge) == 0) {
			return err_set(e, ERR_DENIED,
				"cannot create network %s (%s): conflicts with network %s (%s): networks have same bridge name",
				w->id, w->bridge, other->id, other->bridge);
		}
	}
	return 0;
}

/* macvlan: two networks on one parent would be one, ipvlan the same; moby refuses it, too. */
static int check_parent(struct network_set *n, const struct network *w, struct err *e)
{
	map_each (n->by_id, struct network, other) {
		if (*w->parent && strcmp(other->parent, w->parent) == 0 &&
			(other->driver != w->driver || w->driver == DRIVER_MACVLAN)) {
			return err_set(e, ERR_DENIED,
				"network %.12s is already using parent interface %s", other->id,
				w->parent);
		}
	}
	return 0;
}

/* The bridge or the parent, and what this host must do for it. */
static int ensure_links(struct network_set *n, struct network *w, struct err *e)
{
	if (w->driver != DRIVER_BRIDGE) {
		return parent_ensure(n, w, e);
	}
	if (w->ipv6 && !n->forwards6 &&
		!json_is_false(json_object_get(n->defaults, "ip-forward"))) {
		if (host_forward6(e) < 0) {
			return -1;
		}
		n->forwards6 = true;
	}
	return bridge_ensure(n, w, e);
}

static void remove_links(struct network_set *n, struct network *w)
{
	if (w->driver == DRIVER_BRIDGE) {
		bridge_remove(n, w);
	} else if (network_has_links(w)) {
		parent_remove(n, w);
	}
}

/* Invariant 1: the row first. */
static int bring_up(struct network_set *n, struct network *w, struct err *e)
{
	if (save(w, e) < 0) {
		return -1;
	}
	map_put(n->by_id, w->id, w);
	if (ensure_links(n, w, e) == 0) {
		if (rules_rebuild(n, e) == 0) {
			return 0;
		}
		remove_links(n, w);
	}
	struct err ignored;
	map_remove(n->by_id, w->id);
	store_delete(n->store, STORE_NETWORKS, w->id, &ignored);
	return -1;
}

struct network *network_create(struct network_set *n, const json_t *body, struct err *e)
{
	char id[ID_LEN + 1];
	json_t *doc;
	id_new(id);
	if (map_count(n->by_id) >= NETWORKS_MAX) {
		err_set(e, ERR_DENIED, "there are %d networks already", NETWORKS_MAX);
		return NULL;
	}
	if (network_spec_read(n, body, id, &doc, e) < 0) {
		return NULL;
	}
	scoped(network_free) struct network *w = network_new(n, id, doc);
	if (network_spec_parse(w, e) < 0 || check_bridge_name(n, w, e) < 0 ||
		check_parent(n, w, e) < 0 || settle_subnets(n, w, e) < 0 || bring_up(n, w, e) < 0) {
		return NULL;
	}
	network_publish_event(w, "create", NULL);
	return TAKE(w);
}

int network_remove(struct network_set *n, struct network *w, struct err *e)
{
	if (w->predefined) {
		return err_set(e, ERR_DENIED, "%s is a pre-defined network and cannot be removed",
			network_name(w));
	}
	if (!list_empty(&w->endpoints)) {
		return err_set(e, ERR_DENIED,
			"error while removing network: network %s id %s has active endpoints",
			network_name(w), w->id);
	}
	map_remove(n->by_id, w->id);
	struct err why;
	if (rules_rebuild(n, &why) < 0) {
		log_warning("network", "rules_stay", "network", w->id, "error", why.msg, NULL);
	}
	remove_links(n, w);
	int r = store_delete(n->store, STORE_NETWORKS, w->id, e);
	if (r == 0) {
		network_publish_event(w, "destroy", NULL);
	}
	network_free(w);
	return r;
}

/* --- at start --- */

static int load_row(void *owner, const char *id, json_t *doc, struct err *e)
{
	struct network_set *n = owner;
	scoped(network_free) struct network *w = network_new(n, id, json_deep_copy(doc));
	bool is_default = strcmp(network_name(w), "bridge") == 0;
	if (is_default && !n->default_bridge) {
		return 0;
	}
	if (is_default) { /* the daemon's settings may have changed, its id and subnet stay */
		network_spec_refresh_default(n, w->doc);
	}
	if (network_spec_parse(w, e) < 0) {
		return err_wrap(e, "the stored network %s", id);
	}
	map_put(n->by_id, id, w);
	TAKE(w);
	return 0;
}

static struct network *add_predefined(
	struct network_set *n, const char *name, const char *driver, struct err *e)
{
	struct network *w = network_by_name(n, name);
	if (w) {
		return w;
	}
	char id[ID_LEN + 1];
	id_new(id);
	w = network_new(n, id, network_spec_predefined(n, name, driver, id));
	if (network_spec_parse(w, e) < 0 || (w->driver != DRIVER_BRIDGE && save(w, e) < 0)) {
		network_free(w);
		return NULL;
	}
	map_put(n->by_id, id, w);
	return w;
}

/* The networks none and host. The id of none is random, kept, and this daemon's alone: as good a
 * seed for its IPv6 addresses as any (RFC 4193 3.2.2). */
static int add_none_and_host(struct network_set *n, struct err *e)
{
	uint8_t seed[5];
	const struct network *none = add_predefined(n, "none", "null", e);
	if (!none || !add_predefined(n, "host", "host", e)) {
		return -1;
	}
	for (size_t i = 0; i < sizeof(seed); i++) {
		const char digits[3] = {none->id[2 * i], none->id[2 * i + 1], '\0'};
		seed[i] = (uint8_t)strtoul(digits, NULL, 16);
	}
	return ipam_pools_read(
		json_object_get(n->defaults, "default-address-pools"), seed, &n->pools, e);
}

static int make_default(struct network_set *n, struct err *e)
{
	if (!n->default_bridge) {
		return 0;
	}
	struct network *w = add_predefined(n, "bridge", "bridge", e);
	return !w || network_choose_default(n, w, e) < 0 || save(w, e) < 0 ||
			       ensure_links(n, w, e) < 0
		       ? -1
		       : 0;
}

/* A user's network that cannot come up is that network's misfortune, not the daemon's. */
static void ensure_bridges(struct network_set *n)
{
	map_each (n->by_id, struct network, w) {
		struct err e;
		if (network_has_links(w) && !w->predefined && ensure_links(n, w, &e) < 0) {
			log_warning("network", "not_restored", "id", w->id, "name", network_name(w),
				"error", e.msg, NULL);
		}
	}
}

void network_settle(struct network_set *n)
{
	struct err e;
	if (n->settle) {
		uv_close((uv_handle_t *)n->settle, (uv_close_cb)free);
		n->settle = NULL;
	}
	if (rules_settle(n->rules) && rules_rebuild(n, &e) < 0) {
		log_warning("network", "rules_stay", "error", e.msg, NULL);
	}
	link_sweep(n);
}

static void on_settled(uv_timer_t *timer)
{
	network_settle(timer->data);
}

static void start_settling(struct network_set *n)
{
	n->settle = xnew(uv_timer_t);
	uv_timer_init(n->loop, n->settle);
	n->settle->data = n;
	uv_timer_start(n->settle, on_settled, SETTLE_MS, 0);
	uv_unref((uv_handle_t *)n->settle);
}

static int reconcile(struct network_set *n, struct err *e)
{
	if (store_each(n->store, STORE_NETWORKS, load_row, n, e) < 0 ||
		add_none_and_host(n, e) < 0 || make_default(n, e) < 0) {
		return -1;
	}
	if (!json_is_false(json_object_get(n->defaults, "ip-forward")) && host_forward4(e) < 0) {
		return -1;
	}
	ensure_bridges(n);
	bridge_sweep(n);
	network_warn_shared(n);
	return rules_rebuild(n, e);
}

struct network_set *network_set_new(uv_loop_t *l, struct store *s, struct event_bus *bus,
	const struct network_options *o, struct err *e)
{
	struct network_set *n = xnew(struct network_set);
	n->loop = l;
	n->store = s;
	n->bus = bus;
	n->prefix = xstrdup(o->bridge);
	n->defaults = o->settings ? json_deep_copy(o->settings) : json_object();
	n->default_bridge = strcmp(o->bridge, "none") != 0;
	n->by_id = map_new();
	n->rtnl = (struct rtnl)RTNL_INIT;
	n->resolver = resolver_new(n);
	if (o->dns) {
		strv_copy(&n->dns, o->dns);
	}
	int r = rtnl_open(&n->rtnl, -1);
	if (r < 0) {
		err_sys(e, -r, "cannot open a routing socket");
	}
	if (r < 0 || !(n->rules = rules_new(n->prefix, e)) || reconcile(n, e) < 0 ||
		rules_watch(n, e) < 0) {
		network_set_free(n);
		return NULL;
	}
	start_settling(n);
	return n;
}

void network_set_free(struct network_set *n)
{
	if (!n) {
		return;
	}
	if (n->settle) {
		uv_close((uv_handle_t *)n->settle, (uv_close_cb)free);
	}
	resolver_free(n->resolver);
	rules_free(n->rules);
	rtnl_close(&n->rtnl);
	map_each (n->by_id, struct network, w) {
		network_free(w);
	}
	map_free(n->by_id);
	ipam_pools_deinit(&n->pools);
	strv_deinit(&n->dns);
	free(n->prefix);
	json_decref(n->defaults);
	free(n);
}

void network_set_purge(struct network_set *n)
{
	rules_settle(n->rules);
	map_each (n->by_id, struct network, w) {
		list_each_safe (i, &w->endpoints) {
			struct endpoint *p = container_of(i, struct endpoint, link);
			resolver_stop(n->resolver, p->container_id);
			endpoint_free(p);
		}
	}
	link_sweep(n); /* now nobody knows any of them */
	map_each (n->by_id, struct network, v) {
		remove_links(n, v);
		v->own_bridge = false;
	}
	rules_purge(n->rules);
}
