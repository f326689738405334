/* Which of its networks gives a container its default route, and publishes its ports.
 *
 * One at a time, as in dockerd: that with the highest priority, then the first by name, among those
 * that lead outside. It may change while the container runs; its host ports stay the same. */
#include <string.h>

#include "base/log.h"
#include "base/scoped.h"
#include "network/internal.h"
#include "network/relay.h"
#include "network/resolver.h"
#include "network/rules.h"

bool endpoint_routes_outside(const struct endpoint *p)
{
	return network_has_links(p->network) && !p->network->internal;
}

/* moby libnetwork Endpoint.Less */
static bool comes_before(const struct endpoint *a, const struct endpoint *b)
{
	return a->priority != b->priority
		       ? a->priority > b->priority
		       : strcmp(network_name(a->network), network_name(b->network)) < 0;
}

struct endpoint *gateway_of(const struct network_set *n, const char *container_id)
{
	map_each (n->by_id, struct network, w) {
		struct endpoint *p = endpoint_find(w, container_id);
		if (p && p->info.is_gateway) {
			return p;
		}
	}
	return NULL;
}

static struct endpoint *best_of(const struct network_set *n, const char *container_id)
{
	struct endpoint *best = NULL;
	map_each (n->by_id, struct network, w) {
		struct endpoint *p = endpoint_find(w, container_id);
		if (p && endpoint_routes_outside(p) && (!best || comes_before(p, best))) {
			best = p;
		}
	}
	return best;
}

bool gateway_wins(const struct endpoint *p, const struct endpoint *acting)
{
	return endpoint_routes_outside(p) && (!acting || comes_before(p, acting));
}

void gateway_start_relays(struct network_set *n, struct endpoint *p)
{
	for (size_t i = 0; i < p->ports.n; i++) {
		struct port *port = &p->ports.v[i];
		if (port_is_relayed(port) && !port->relay) {
			port->relay = relay_start(n->loop, port);
		}
	}
}

static uint16_t remembered(void *owner, const struct port *p)
{
	const struct gateway_claim *c = owner;
	return rules_remembered(c->set->rules, p);
}

int gateway_reserve_ports(struct network_set *n, struct endpoint *p,
	const struct endpoint_config *c, bool restore, struct err *e)
{
	if (!c->ports || !p->info.is_gateway || p->network->driver != DRIVER_BRIDGE) {
		return 0;
	}
	struct gateway_claim claim = {n, c->replaces, restore};
	const struct port_request r = {
		.bindings = c->ports,
		.address = p->address,
		.address6 = p->address6,
		.default_host = p->network->default_host,
		.remembered = restore ? remembered : NULL,
		.is_handed_over = restore || c->replaces ? handover_is_due : NULL,
		.owner = &claim,
		.holder = n->holder,
		.holder_owner = n->holder_owner,
		.keep = restore,
	};
	if (port_list_reserve(&n->cursor, &r, &p->ports, e) < 0) {
		return err_wrap(e,
			"driver failed programming external connectivity on endpoint %s (%s)",
			p->container_name, p->info.endpoint_id);
	}
	gateway_start_relays(n, p);
	return 0;
}

void gateway_move_ports(struct network_set *n, struct endpoint *from, struct endpoint *to)
{
	struct err e;
	if (from->ports.n == 0 || to->network->driver != DRIVER_BRIDGE) {
		return; /* a parent's network has no ports of this host's */
	}
	rules_unpublish(n, &from->ports);
	to->ports = from->ports;
	from->ports = (struct port_list){0};
	port_list_lead(&to->ports, to->address, to->address6);
	gateway_start_relays(n, to);
	if (rules_publish(n, &to->ports, &e) < 0) {
		log_warning("network", "ports_lost", "container", to->container_name, "error",
			e.msg, NULL);
	}
}

void gateway_pass_on(struct network_set *n, struct endpoint *from)
{
	struct endpoint *next = best_of(n, from->container_id);
	scoped(close) int netns_fd = next ? resolver_netns(n->resolver, from->container_id) : -1;
	if (netns_fd >= 0 && link_add_route(next, netns_fd) == 0) {
		from->info.is_gateway = false;
		next->info.is_gateway = true;
		gateway_move_ports(n, from, next);
	}
}

bool network_is_gateway(
	const struct network_set *n, const char *network_id, const char *container_id)
{
	const struct endpoint *p = gateway_of(n, container_id);
	return p && strcmp(p->network->id, network_id) == 0;
}

json_t *network_ports(const struct network_set *n, const char *container_id)
{
	map_each (n->by_id, struct network, w) {
		const struct endpoint *p = endpoint_find(w, container_id);
		if (p && p->ports.n > 0) {
			json_t *ports = port_list_json(&p->ports);
			if (json_object_size(ports) > 0) {
				return ports;
			}
			json_decref(ports); /* all of them are pending */
		}
	}
	return NULL;
}
