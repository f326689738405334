/* Bodies for networks and volumes. */
#include "base/json.h"
#include "base/mem.h"
#include "compose/emit.h"
#include "compose/request.h"
#include "compose/request_parts.h"

static json_t *resource_labels(const struct project *p, const struct pairs *own, const char *kind,
	const char *key, const struct node *node)
{
	char hash[EMIT_HASH_MAX];
	json_t *labels = request_pairs(own);
	scoped(free) char *name = xasprintf(LABEL "%s", kind);
	json_put_str(labels, name, key);
	json_put_str(labels, LABEL "project", p->name);
	json_put_str(labels, LABEL "version", COMPOSE_VERSION);
	emit_node_hash(node, hash);
	json_put_str(labels, LABEL "config-hash", hash);
	return labels;
}

static json_t *pools_json(const struct network *n)
{
	json_t *list = json_array();
	for (size_t i = 0; i < n->n_pools; i++) {
		const struct ipam_pool *pool = &n->pools[i];
		json_t *o = json_object();
		request_put_text(o, "Subnet", pool->subnet);
		request_put_text(o, "IPRange", pool->ip_range);
		request_put_text(o, "Gateway", pool->gateway);
		if (pool->aux_addresses.n > 0) {
			json_put(o, "AuxiliaryAddresses", request_pairs(&pool->aux_addresses));
		}
		json_array_append_new(list, o);
	}
	return list;
}

json_t *request_network(const struct project *p, const struct network *n)
{
	json_t *o = json_object();
	json_put_str(o, "Name", n->name);
	request_put_text(o, "Driver", n->driver);
	request_put_true(o, "Internal", n->internal);
	request_put_true(o, "Attachable", n->attachable);
	if (n->enable_ipv4 != TRUTH_UNSET) {
		json_put(o, "EnableIPv4", json_boolean(n->enable_ipv4 == TRUTH_TRUE));
	}
	if (n->enable_ipv6 != TRUTH_UNSET) {
		json_put(o, "EnableIPv6", json_boolean(n->enable_ipv6 == TRUTH_TRUE));
	}
	json_put(o, "Options", request_pairs(&n->driver_opts));
	json_put(o, "Labels", resource_labels(p, &n->labels, "network", n->key, n->node));
	if (n->ipam_driver || n->n_pools > 0 || n->ipam_options.n > 0) {
		json_t *ipam = json_object();
		request_put_text(ipam, "Driver", n->ipam_driver);
		json_put(ipam, "Config", pools_json(n));
		json_put(ipam, "Options", request_pairs(&n->ipam_options));
		json_put(o, "IPAM", ipam);
	}
	return o;
}

json_t *request_volume(const struct project *p, const struct volume *v)
{
	json_t *o = json_object();
	json_put_str(o, "Name", v->name);
	request_put_text(o, "Driver", v->driver);
	json_put(o, "DriverOpts", request_pairs(&v->driver_opts));
	json_put(o, "Labels", resource_labels(p, &v->labels, "volume", v->key, v->node));
	return o;
}
