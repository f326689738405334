/* One container's place on one network: its veth pair, address, names and ports. */
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "network/internal.h"
#include "network/resolver.h"
#include "network/rules.h"
#include "sys/netns.h"

#define LO_INDEX 1 /* in every network namespace */
#define ALIASES_MAX 256

struct endpoint *endpoint_find(const struct network *w, const char *container_id)
{
	list_each (i, &w->endpoints) {
		struct endpoint *p = container_of(i, struct endpoint, link);
		if (strcmp(p->container_id, container_id) == 0) {
			return p;
		}
	}
	return NULL;
}

bool network_has_container(const struct network_set *n, const char *container_id)
{
	map_each (n->by_id, struct network, w) {
		if (endpoint_find(w, container_id)) {
			return true;
		}
	}
	return false;
}

void endpoint_free(struct endpoint *p)
{
	if (!p) {
		return;
	}
	list_remove(&p->link);
	port_list_deinit(&p->ports);
	strv_deinit(&p->names);
	strv_deinit(&p->links);
	free(p->container_id);
	free(p->container_name);
	free(p->partner);
	free(p);
}
SCOPED(struct endpoint *, endpoint_free)

static struct endpoint *endpoint_new(struct network *w, const struct endpoint_config *c)
{
	struct endpoint *p = xnew(struct endpoint);
	list_init(&p->link);
	p->network = w;
	p->container_id = xstrdup(c->container_id);
	p->container_name = xstrdup(c->container_name ? c->container_name : "");
	p->priority = c->gateway_priority;
	p->partner = xstrdup(c->replaces);
	strv_add(&p->names, p->container_name);
	for (size_t i = 0; c->aliases && i < c->aliases->n && i < ALIASES_MAX; i++) {
		strv_add(&p->names, c->aliases->v[i]);
	}
	strv_addn(&p->names, c->container_id, ID_SHORT_LEN);
	if (c->hostname && *c->hostname) {
		strv_add(&p->names, c->hostname);
	}
	for (size_t i = 0; c->links && i < c->links->n && i < ALIASES_MAX; i++) {
		strv_add(&p->links, c->links->v[i]);
	}
	snprintf(p->info.network_id, sizeof(p->info.network_id), "%s", w->id);
	return p;
}

/* --- attach, detach, restore --- */

/* host and none: the container is there, with nothing of its own. */
static int attach_nothing(struct endpoint *p, int netns_fd, struct err *e)
{
	id_new(p->info.endpoint_id);
	if (p->network->driver == DRIVER_HOST || netns_fd < 0) {
		return 0;
	}
	scoped(rtnl) struct rtnl inside;
	int r = rtnl_open(&inside, netns_fd);
	r = r < 0 ? r : rtnl_set_up(&inside, LO_INDEX, true);
	r = r < 0 ? r : rtnl_commit(&inside);
	return r < 0 ? err_sys(e, -r, "cannot set up the loopback interface") : 0;
}

/* What has been given away comes back; the link is gone, or goes. */
static int detach_link(struct network_set *n, const struct endpoint *p,
	const struct endpoint *before, int netns_fd)
{
	link_remove(n, p, netns_fd);
	if (before && p->info.is_gateway) {
		link_add_route(before, netns_fd); /* the new default route took its place */
	}
	return -1;
}

static int attach_link(struct network_set *n, struct endpoint *p, int netns_fd,
	const struct endpoint_config *c, struct err *e)
{
	uint8_t mac[6];
	struct endpoint *before = gateway_of(n, c->container_id);
	id_new(p->info.endpoint_id);
	p->info.is_gateway = gateway_wins(p, before);
	if (endpoint_choose_addresses(p, c, mac, e) < 0) {
		return -1;
	}
	if (link_add(n, p, netns_fd, mac, c->ifname, c->link_local, e) < 0 ||
		((!before || before->ports.n == 0) &&
			gateway_reserve_ports(n, p, c, false, e) < 0)) {
		return detach_link(n, p, before, netns_fd);
	}
	list_append(&p->network->endpoints, &p->link);
	if (p->ports.n > 0 && rules_publish(n, &p->ports, e) < 0) {
		list_remove(&p->link);
		return detach_link(n, p, before, netns_fd);
	}
	if (before && p->info.is_gateway) {
		before->info.is_gateway = false;
		gateway_move_ports(n, before, p);
	}
	return 0;
}

int network_attach(struct network_set *n, struct network *w, int netns_fd,
	const struct endpoint_config *c, struct endpoint_info *ret, json_t **ret_ports,
	struct err *e)
{
	if (endpoint_find(w, c->container_id)) {
		return err_set(e, ERR_DENIED, "endpoint with name %s already exists in network %s",
			c->container_name, network_name(w));
	}
	scoped(endpoint_free) struct endpoint *p = endpoint_new(w, c);
	int r = network_has_links(w) ? attach_link(n, p, netns_fd, c, e)
				     : attach_nothing(p, netns_fd, e);
	if (r < 0) {
		return -1;
	}
	if (list_empty(&p->link)) {
		list_append(&w->endpoints, &p->link);
	}
	*ret = p->info;
	if (ret_ports) {
		*ret_ports = port_list_json(&p->ports);
	}
	TAKE(p);
	resolver_resume(n->resolver, c->container_id, netns_fd);
	network_publish_event(w, "connect", c->container_id);
	return 0;
}

void network_detach(struct network_set *n, const char *network_id, const char *container_id)
{
	struct network *w = map_get(n->by_id, network_id);
	struct endpoint *p = w ? endpoint_find(w, container_id) : NULL;
	if (!p) {
		return;
	}
	list_remove(&p->link);
	if (network_has_links(w)) {
		scoped(close) int netns_fd = resolver_netns(n->resolver, container_id);
		link_remove(n, p, netns_fd);
	}
	if (p->info.is_gateway) {
		gateway_pass_on(n, p);
	}
	handover_leave(n, p);
	if (p->ports.n > 0) {
		rules_unpublish(n, &p->ports);
	}
	endpoint_free(p);
	if (!network_has_container(n, container_id)) {
		resolver_park(n->resolver,
			container_id); /* its sockets would keep the dead namespace alive */
	}
	network_publish_event(w, "disconnect", container_id);
}

static int restore_link(
	struct network_set *n, struct endpoint *p, const struct endpoint_config *c, struct err *e)
{
	if (ip_parse(p->info.ipv4, &p->address) < 0) {
		return err_set(e, ERR_SYSTEM, "endpoint %s has no address: '%s'",
			p->info.endpoint_id, p->info.ipv4);
	}
	ip_parse(p->info.ipv6, &p->address6); /* or none */
	list_append(&p->network->endpoints, &p->link);
	if (link_restore(n, p, e) < 0 || gateway_reserve_ports(n, p, c, true, e) < 0 ||
		(p->ports.n > 0 && rules_publish(n, &p->ports, e) < 0)) {
		list_remove(&p->link);
		return -1;
	}
	return 0;
}

int network_restore(struct network_set *n, const struct endpoint_info *info, int netns_fd,
	const struct endpoint_config *c, struct err *e)
{
	struct network *w = map_get(n->by_id, info->network_id);
	if (!w) {
		return err_set(e, ERR_NOT_FOUND, "network %s not found", info->network_id);
	}
	if (endpoint_find(w, c->container_id)) {
		return err_set(e, ERR_CONFLICT, "container %s is on network %s already",
			c->container_name, network_name(w));
	}
	scoped(endpoint_free) struct endpoint *p = endpoint_new(w, c);
	p->info = *info;
	if (network_has_links(w) && restore_link(n, p, c, e) < 0) {
		return -1;
	}
	if (list_empty(&p->link)) {
		list_append(&w->endpoints, &p->link);
	}
	TAKE(p);
	return network_uses_dns(w) ? network_dns_start(n, c->container_id, netns_fd, e) : 0;
}

void network_container_renamed(struct network_set *n, const char *container_id, const char *name)
{
	map_each (n->by_id, struct network, w) {
		struct endpoint *p = endpoint_find(w, container_id);
		if (p) {
			free(p->container_name);
			free(p->names.v[0]); /* the container's name is the first: endpoint_new */
			p->container_name = xstrdup(name);
			p->names.v[0] = xstrdup(name);
		}
	}
}
