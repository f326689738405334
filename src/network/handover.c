/* A container that takes the place of another while both run: its host ports and its names.
 *
 * The successor starts with the ports pending that the other has, and no name answers with its
 * address. When it takes over, or the other ends, the ports change hands in one transaction of the
 * packet filter: no connection meets a closed port. The other's ports are pending then, so that the
 * way back is the same. Connections that exist stay where they are. */
#include <string.h>

#include "base/log.h"
#include "network/internal.h"
#include "network/relay.h"
#include "network/rules.h"

/* What changes hands at once. */
struct handover {
	struct port_list gone, come; /* copies: fds and relays are not theirs */
};

static void handover_add(struct port_list *l, const struct port *p)
{
	l->v = xrealloc(l->v, l->n + 1, sizeof(*l->v));
	l->v[l->n++] = *p;
}

/* Of the port that `from` holds. Its relayed connections end. */
static void move_port(struct port *from, struct port *to, struct handover *h)
{
	handover_add(&h->gone, from);
	relay_stop(from->relay);
	from->relay = NULL;
	to->fd = from->fd;
	from->fd = -1;
	from->pending = true;
	to->pending = false;
	handover_add(&h->come, to);
}

static void move_ports(struct endpoint *from, struct endpoint *to, struct handover *h)
{
	for (size_t i = 0; i < to->ports.n; i++) {
		for (size_t k = 0; to->ports.v[i].pending && k < from->ports.n; k++) {
			struct port *held = &from->ports.v[k];
			if (!held->pending && port_is_same(held, &to->ports.v[i])) {
				move_port(held, &to->ports.v[i], h);
			}
		}
	}
}

static void handover_commit(struct network_set *n, struct handover *h)
{
	struct err e;
	if (h->come.n > 0 && rules_replace(n, &h->gone, &h->come, &e) < 0) {
		log_warning("network", "ports_lost", "error", e.msg, NULL);
	}
	free(h->gone.v);
	free(h->come.v);
}

static bool is_of(const struct endpoint *p, const char *container_id)
{
	return strcmp(p->container_id, container_id) == 0;
}

static bool holds(const struct endpoint *p, const struct port *wanted)
{
	for (size_t i = 0; i < p->ports.n; i++) {
		if (port_is_same(&p->ports.v[i], wanted)) {
			return true;
		}
	}
	return false;
}

bool handover_is_due(void *owner, const struct port *p)
{
	const struct gateway_claim *c = owner;
	if (c->restore && rules_lead_elsewhere(c->set->rules, p)) {
		return true; /* it had been handed over before this daemon's start */
	}
	if (!c->replaces) {
		return false;
	}
	map_each (c->set->by_id, struct network, w) {
		list_each (i, &w->endpoints) {
			const struct endpoint *other = container_of(i, struct endpoint, link);
			if (is_of(other, c->replaces) && holds(other, p)) {
				return true;
			}
		}
	}
	return false;
}

bool network_is_standby(const struct network_set *n, const char *container_id)
{
	map_each (n->by_id, struct network, w) {
		const struct endpoint *p = endpoint_find(w, container_id);
		if (p && p->partner) {
			return true;
		}
	}
	return false;
}

/* partner NULL: its names answer again. */
static void set_partner(struct endpoint *p, const char *partner)
{
	free(p->partner);
	p->partner = xstrdup(partner);
}

void network_take_over(struct network_set *n, const char *container_id, const char *from_id)
{
	struct handover h = {0};
	map_each (n->by_id, struct network, w) {
		list_each (i, &w->endpoints) {
			struct endpoint *p = container_of(i, struct endpoint, link);
			struct endpoint *from = gateway_of(n, from_id);
			if (is_of(p, container_id)) {
				set_partner(p, NULL);
				if (from) {
					move_ports(from, p, &h);
				}
				gateway_start_relays(n, p);
			} else if (is_of(p, from_id)) {
				set_partner(p, container_id);
			}
		}
	}
	handover_commit(n, &h);
}

void handover_leave(struct network_set *n, struct endpoint *leaving)
{
	struct handover h = {0};
	bool last = !network_has_container(n, leaving->container_id);
	map_each (n->by_id, struct network, w) {
		list_each (i, &w->endpoints) {
			struct endpoint *p = container_of(i, struct endpoint, link);
			if (is_of(p, leaving->container_id)) {
				continue;
			}
			move_ports(leaving, p, &h);
			gateway_start_relays(n, p);
			if (last && p->partner && strcmp(p->partner, leaving->container_id) == 0) {
				set_partner(p, NULL);
			}
		}
	}
	handover_commit(n, &h);
}
