/* Networks and volumes, and a container's places on them. */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "compose/request.h"
#include "compose/request_parts.h"
#include "compose/resource_hash.h"

#define IFNAME_OPTION "com.docker.network.endpoint.ifname" /* interface_name */

static json_t *resource_labels(const struct project *p, const struct pairs *own, const char *kind,
	const char *key, const char *hash)
{
	json_t *labels = request_pairs(own);
	scoped(free) char *name = xasprintf(LABEL "%s", kind);
	json_put_str(labels, name, key);
	json_put_str(labels, LABEL "project", p->name);
	json_put_str(labels, LABEL "version", COMPOSE_VERSION);
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
	char hash[RESOURCE_HASH_MAX];
	json_t *o = json_object();
	resource_hash_network(n, hash);
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
	json_put(o, "Labels", resource_labels(p, &n->labels, "network", n->key, hash));
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
	char hash[RESOURCE_HASH_MAX];
	json_t *o = json_object();
	resource_hash_volume(v, hash);
	json_put_str(o, "Name", v->name);
	request_put_text(o, "Driver", v->driver);
	json_put(o, "DriverOpts", request_pairs(&v->driver_opts));
	json_put(o, "Labels", resource_labels(p, &v->labels, "volume", v->key, hash));
	return o;
}

json_t *request_port_bindings(const struct service *s)
{
	json_t *map = json_object();
	for (size_t i = 0; i < s->n_ports; i++) {
		const struct port *port = &s->ports[i];
		char key[32];
		snprintf(key, sizeof(key), "%d/%.8s", port->target, port->protocol);
		json_t *list = json_object_get(map, key);
		if (!list) {
			list = json_array();
			json_put(map, key, list);
		}
		json_array_append_new(
			list, json_pack("{s:s,s:s}", "HostIp", port->host_ip ? port->host_ip : "",
				      "HostPort", port->published ? port->published : ""));
	}
	return map;
}

json_t *request_endpoint(
	const struct service *s, const struct endpoint *endpoint, const char *container_name)
{
	json_t *o = json_object();
	json_t *aliases = json_array();
	json_array_append_new(aliases, json_string(container_name));
	json_array_append_new(aliases, json_string(s->name));
	for (size_t i = 0; i < endpoint->aliases.n; i++) {
		json_array_append_new(aliases, json_string(endpoint->aliases.v[i]));
	}
	json_put(o, "Aliases", aliases);
	if (endpoint->ipv4_address || endpoint->ipv6_address || endpoint->link_local_ips.n > 0) {
		json_t *ipam = json_object();
		request_put_text(ipam, "IPv4Address", endpoint->ipv4_address);
		request_put_text(ipam, "IPv6Address", endpoint->ipv6_address);
		request_put_words(ipam, "LinkLocalIPs", &endpoint->link_local_ips);
		json_put(o, "IPAMConfig", ipam);
	}
	const char *primary_mac = endpoint == s->endpoints ? s->mac_address : NULL;
	request_put_text(
		o, "MacAddress", endpoint->mac_address ? endpoint->mac_address : primary_mac);
	json_t *options = request_pairs(&endpoint->driver_opts);
	if (endpoint->interface_name && !json_object_get(options, IFNAME_OPTION)) {
		json_put_str(options, IFNAME_OPTION, endpoint->interface_name);
	}
	json_put(o, "DriverOpts", options);
	request_put_number(o, "GwPriority", endpoint->gw_priority);
	return o;
}

json_t *request_endpoints(const struct project *p, const struct request_container *r, json_t *links)
{
	const struct service *s = r->service;
	json_t *map = json_object();
	scoped(free) char *name = r->one_off ? xasprintf("%s%s%s-run-%.12s", p->name,
						       project_separator(p), s->name, r->one_off)
					     : request_container_name(p, s, r->number);
	for (size_t i = 0; i < s->n_endpoints; i++) {
		const struct endpoint *endpoint = &s->endpoints[i];
		const struct network *network = project_network(p, endpoint->network);
		json_t *o = request_endpoint(s, endpoint, name);
		if (json_array_size(links) > 0) {
			json_put(o, "Links", json_deep_copy(links));
		}
		json_put(map, network ? network->name : endpoint->network, o);
	}
	if (s->mac_address && s->network_mode && strcmp(s->network_mode, "bridge") == 0) {
		json_put(map, "bridge", json_pack("{s:s}", "MacAddress", s->mac_address));
	}
	return map;
}
