/* Where the host's own programs reach a container, and what the ingress says of it. */
#include <string.h>

#include "base/ip.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "container/internal.h"

/* At most that many modes away: a chain that is longer is a ring. */
#define CHAIN_MAX 16

static const struct container *network_owner(const struct container *c)
{
	const struct container *owner = c;
	for (int i = 0; owner && i < CHAIN_MAX; i++) {
		if (!text_starts(container_network_mode(owner), "container:")) {
			return owner;
		}
		owner = container_of_mode(owner, "NetworkMode");
	}
	return NULL;
}

/* The one with the default route first: what the app takes for its own address. */
static bool better(const struct container *c, const struct endpoint *p, const struct endpoint *than)
{
	const struct network_set *n = c->set->d.networks;
	return !than || (!network_is_gateway(n, than->info.network_id, c->id) &&
				network_is_gateway(n, p->info.network_id, c->id));
}

static const struct endpoint *reachable_endpoint(const struct container *c)
{
	const struct endpoint *best = NULL;
	for (size_t i = 0; i < c->n_endpoints; i++) {
		struct err ignored;
		const struct endpoint *p = &c->endpoints[i];
		const struct network *w =
			p->live ? network_find(c->set->d.networks, p->info.network_id, &ignored)
				: NULL;
		if (w && network_host_reaches(w) && better(c, p, best)) {
			best = p;
		}
	}
	return best;
}

int container_reach(const struct container *c, struct ip *ret, struct err *e)
{
	const struct container *owner = network_owner(c);
	if (!owner || !container_is_running(owner)) {
		return err_set(e, ERR_CONFLICT,
			"container %s shares the network of one that does not run", c->name);
	}
	if (strcmp(container_network_mode(owner), "host") == 0) {
		return ip_parse("127.0.0.1", ret) < 0 ? -1 : 0;
	}
	const struct endpoint *p = reachable_endpoint(owner);
	if (!p) {
		return err_set(e, ERR_CONFLICT,
			"container %s is on no network that this host reaches: it needs one of the driver bridge, or the host's",
			c->name);
	}
	const char *address = *p->info.ipv4 ? p->info.ipv4 : p->info.ipv6;
	return ip_parse(address, ret) < 0
		       ? err_set(e, ERR_CONFLICT, "container %s has no address", c->name)
		       : 0;
}

const struct container *container_leaving(const struct container_set *s)
{
	return s->leaving;
}

bool container_is_standby(const struct container *c)
{
	return network_is_standby(c->set->d.networks, c->id);
}

bool container_set_route_error(struct container *c, const char *text)
{
	bool same = text ? c->route_error && strcmp(c->route_error, text) == 0 : !c->route_error;
	if (!same) {
		free(c->route_error);
		c->route_error = xstrdup(text);
	}
	return !same;
}
