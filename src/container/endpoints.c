/* A container's places on networks: as asked for at creation, taken when it starts, given back when
 * it ends. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "container/internal.h"

const char *container_network_mode(const struct container *c)
{
	return json_str(c->host_config, "NetworkMode");
}

static bool is_special(const char *mode)
{
	return strcmp(mode, "host") == 0 || strcmp(mode, "none") == 0 ||
	       text_starts(mode, "container:");
}

bool container_has_own_netns(const struct container *c)
{
	const char *mode = container_network_mode(c);
	return strcmp(mode, "host") != 0 && !text_starts(mode, "container:");
}

bool container_uses_dns(const struct container *c)
{
	for (size_t i = 0; i < c->n_endpoints; i++) {
		struct err ignored;
		struct network *w =
			network_find(c->set->d.networks, c->endpoints[i].network, &ignored);
		if (w && network_uses_dns(w)) {
			return true;
		}
	}
	return false;
}

/* --- ports --- */

/* "80/tcp", "80", "5000-5010/udp" is not a key of the API */
static int check_port_key(const char *key, struct err *e)
{
	uint16_t port;
	size_t n = strcspn(key, "/");
	scoped(free) char *number = xstrndup(key, n);
	const char *proto = key[n] ? key + n + 1 : "tcp";
	if (parse_u16(number, &port) < 0 || port == 0) {
		return err_set(e, ERR_INVALID, "invalid port specification: \"%.64s\"", key);
	}
	if (strcmp(proto, "tcp") != 0 && strcmp(proto, "udp") != 0) {
		return err_set(e, ERR_INVALID,
			"invalid port specification: \"%.64s\": the protocol is tcp or udp", key);
	}
	return 0;
}

static int check_host_port(const char *text, const char *key, struct err *e)
{
	uint16_t first, last;
	const char *dash = strchr(text, '-');
	scoped(free) char *a = xstrndup(text, dash ? (size_t)(dash - text) : strlen(text));
	if (!*text) {
		return 0;
	}
	if (parse_u16(a, &first) < 0 || parse_u16(dash ? dash + 1 : a, &last) < 0 || first > last) {
		return err_set(e, ERR_INVALID,
			"invalid port specification: host port \"%.64s\" for %.32s", text, key);
	}
	return 0;
}

static int check_binding(const char *key, const json_t *b, struct err *e)
{
	const char *ip;
	const char *port;
	struct in6_addr any;
	if (!json_is_object(b)) {
		return err_set(
			e, ERR_INVALID, "PortBindings[%.64s] must be a list of objects", key);
	}
	if (json_get_str(b, "HostIp", &ip, e) < 0 || json_get_str(b, "HostPort", &port, e) < 0) {
		return -1;
	}
	if (ip && *ip && inet_pton(AF_INET, ip, &any) != 1 && inet_pton(AF_INET6, ip, &any) != 1) {
		return err_set(e, ERR_INVALID,
			"invalid IP address \"%.64s\" in the port specification of %.32s", ip, key);
	}
	return check_host_port(port ? port : "", key, e);
}

static int check_ports(const struct container *c, struct err *e)
{
	const char *key;
	json_t *value;
	json_object_foreach (json_object_get(c->config, "ExposedPorts"), key, value) {
		if (check_port_key(key, e) < 0) {
			return -1;
		}
	}
	json_object_foreach (json_object_get(c->host_config, "PortBindings"), key, value) {
		size_t i;
		json_t *b;
		if (check_port_key(key, e) < 0) {
			return -1;
		}
		if (!json_is_array(value) && !json_is_null(value)) {
			return err_set(e, ERR_INVALID, "PortBindings[%.64s] must be a list", key);
		}
		json_array_foreach (value, i, b) {
			if (check_binding(key, b, e) < 0) {
				return -1;
			}
		}
	}
	return 0;
}

/* Published ports are exposed ports. */
static void expose_published(struct container *c)
{
	json_t *exposed = json_object_get(c->config, "ExposedPorts");
	json_t *bindings = json_object_get(c->host_config, "PortBindings");
	const char *key;
	json_t *value;
	if (json_object_size(bindings) > 0 && !json_is_object(exposed)) {
		exposed = json_object();
		json_put(c->config, "ExposedPorts", exposed);
	}
	json_object_foreach (bindings, key, value) {
		if (!json_object_get(exposed, key)) {
			json_put(exposed, key, json_object());
		}
	}
}

/* PortBindings, with -P also an ephemeral port for every exposed one; new, NULL for none. */
static json_t *wanted_ports(const struct container *c)
{
	json_t *out = json_deep_copy(json_object_get(c->host_config, "PortBindings"));
	const char *key;
	json_t *value;
	if (json_bool(c->host_config, "PublishAllPorts")) {
		json_object_foreach (json_object_get(c->config, "ExposedPorts"), key, value) {
			if (json_array_size(json_object_get(out, key)) == 0) {
				json_put(out, key,
					json_pack("[{ss ss}]", "HostIp", "", "HostPort", ""));
			}
		}
	}
	if (json_object_size(out) == 0) {
		json_decref(out);
		return NULL;
	}
	return out;
}

/* --- what was asked for --- */

static int check_config(
	const struct network *w, const char *name, const json_t *config, struct err *e)
{
	const json_t *ipam = json_object_get(config, "IPAMConfig");
	const char *ip;
	struct in_addr address;
	scoped(strv) struct strv aliases = STRV_INIT;
	if (json_get_strv(config, "Aliases", &aliases, e) < 0) {
		return -1;
	}
	if (ipam && !json_is_null(ipam)) {
		if (json_get_str(ipam, "IPv4Address", &ip, e) < 0) {
			return -1;
		}
		if (ip && *ip && inet_pton(AF_INET, ip, &address) != 1) {
			return err_set(e, ERR_INVALID, "invalid IPv4 address: %.64s", ip);
		}
		if (ip && *ip && !network_uses_dns(w)) {
			return err_set(e, ERR_INVALID,
				"user specified IP address is supported on user defined networks only");
		}
	}
	(void)name;
	return 0;
}

static int add_endpoint(struct container *c, const char *name, const json_t *config, struct err *e)
{
	struct network *w = network_find(c->set->d.networks, name, e);
	if (!w) {
		return -1;
	}
	for (size_t i = 0; i < c->n_endpoints; i++) {
		if (strcmp(c->endpoints[i].network, network_name(w)) == 0) {
			return 0;
		}
	}
	if (c->n_endpoints == CONTAINER_NETWORKS_MAX) {
		return err_set(e, ERR_INVALID, "a container may be on at most %d networks",
			CONTAINER_NETWORKS_MAX);
	}
	if (config && !json_is_null(config) && !json_is_object(config)) {
		return err_set(e, ERR_INVALID, "EndpointsConfig[%.64s] must be an object", name);
	}
	if (check_config(w, name, config, e) < 0) {
		return -1;
	}
	struct endpoint *p = &c->endpoints[c->n_endpoints++];
	*p = (struct endpoint){.network = xstrdup(network_name(w))};
	p->config = json_is_object(config) ? json_deep_copy(config) : json_object();
	snprintf(p->info.network_id, sizeof(p->info.network_id), "%s", network_id(w));
	return 0;
}

static const json_t *config_for(const json_t *all, const char *mode)
{
	const json_t *found = json_object_get(all, mode);
	return found ? found : strcmp(mode, "bridge") == 0 ? json_object_get(all, "default") : NULL;
}

int endpoints_read(struct container *c, const json_t *body, struct err *e)
{
	json_t *networking;
	json_t *all = NULL;
	const char *mode = container_network_mode(c);
	if (json_get_object(body, "NetworkingConfig", &networking, e) < 0 ||
		(networking && json_get_object(networking, "EndpointsConfig", &all, e) < 0) ||
		check_ports(c, e) < 0) {
		return -1;
	}
	if (json_bool(c->config, "NetworkDisabled")) {
		mode = "none";
	}
	scoped(free) char *name = xstrdup(!*mode || strcmp(mode, "default") == 0 ? "bridge" : mode);
	json_put_str(c->host_config, "NetworkMode", name);
	expose_published(c);
	if (is_special(name) && json_object_size(all) > (config_for(all, name) ? 1 : 0)) {
		return err_set(e, ERR_INVALID,
			"conflicting options: a container with network mode %.64s cannot be on other networks",
			name);
	}
	if (text_starts(name, "container:")) {
		return container_find(c->set, name + strlen("container:"), e) ? 0 : -1;
	}
	if (add_endpoint(c, name, config_for(all, name), e) < 0) {
		return -1;
	}
	if (*json_str(c->config, "MacAddress") &&
		!*json_str(c->endpoints[0].config, "MacAddress")) {
		json_put_str(
			c->endpoints[0].config, "MacAddress", json_str(c->config, "MacAddress"));
	}
	const char *key;
	json_t *config;
	json_object_foreach (all, key, config) {
		bool is_default = strcmp(key, "default") == 0 && strcmp(name, "bridge") == 0;
		if (!is_default && add_endpoint(c, key, config, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- record --- */

json_t *endpoints_record(const struct container *c)
{
	json_t *out = json_array();
	for (size_t i = 0; i < c->n_endpoints; i++) {
		const struct endpoint *p = &c->endpoints[i];
		const struct endpoint_info *f = &p->info;
		json_array_append_new(
			out, json_pack("{ss sO sb ss ss ss si ss ss ss}", "Network", p->network,
				     "Config", p->config, "Live", p->live, "NetworkID",
				     f->network_id, "EndpointID", f->endpoint_id, "IPv4", f->ipv4,
				     "PrefixLen", f->prefix_len, "Gateway", f->gateway, "Mac",
				     f->mac, "Ifname", f->ifname));
	}
	json_t *doc = json_pack("{so}", "List", out);
	if (c->ports) {
		json_put(doc, "Ports", json_incref(c->ports));
	}
	return doc;
}

static void copy_text(char *to, size_t n, const json_t *o, const char *key)
{
	snprintf(to, n, "%s", json_str(o, key));
}

void endpoints_restore(struct container *c, const json_t *record)
{
	size_t i;
	json_t *o;
	json_t *ports = json_object_get(record, "Ports");
	c->ports = ports ? json_incref(ports) : NULL;
	json_array_foreach (json_object_get(record, "List"), i, o) {
		if (i >= CONTAINER_NETWORKS_MAX) {
			return;
		}
		struct endpoint *p = &c->endpoints[c->n_endpoints++];
		json_t *config = json_object_get(o, "Config");
		p->network = xstrdup(json_str(o, "Network"));
		p->config = config ? json_incref(config) : json_object();
		p->live = json_bool(o, "Live");
		p->info.prefix_len = (int)json_i64(o, "PrefixLen", 0);
		copy_text(p->info.network_id, sizeof(p->info.network_id), o, "NetworkID");
		copy_text(p->info.endpoint_id, sizeof(p->info.endpoint_id), o, "EndpointID");
		copy_text(p->info.ipv4, sizeof(p->info.ipv4), o, "IPv4");
		copy_text(p->info.gateway, sizeof(p->info.gateway), o, "Gateway");
		copy_text(p->info.mac, sizeof(p->info.mac), o, "Mac");
		copy_text(p->info.ifname, sizeof(p->info.ifname), o, "Ifname");
	}
}

/* --- while it runs --- */

/* Names under which others on the network find it: its own is added by network/. */
static void collect_aliases(const struct container *c, const struct endpoint *p, struct strv *ret)
{
	struct err ignored;
	char short_id[ID_SHORT_LEN + 1];
	(void)json_get_strv(p->config, "Aliases", ret, &ignored);
	snprintf(short_id, sizeof(short_id), "%.12s", c->id);
	if (!strv_has(ret, short_id)) {
		strv_add(ret, short_id);
	}
	const char *hostname = json_str(c->config, "Hostname");
	if (*hostname && !strv_has(ret, hostname)) {
		strv_add(ret, hostname);
	}
}

struct endpoint_request {
	struct endpoint_config config;
	struct strv aliases;
	json_t *ports;
};

static void request_deinit(struct endpoint_request *q)
{
	strv_deinit(&q->aliases);
	json_decref(q->ports);
}

static void request_init(
	struct endpoint_request *q, const struct container *c, const struct endpoint *p, bool first)
{
	const char *ip = json_str(json_object_get(p->config, "IPAMConfig"), "IPv4Address");
	const char *mac = json_str(p->config, "MacAddress");
	*q = (struct endpoint_request){0};
	collect_aliases(c, p, &q->aliases);
	q->ports = first ? wanted_ports(c) : NULL;
	q->config = (struct endpoint_config){
		.container_id = c->id,
		.container_name = c->name,
		.hostname = json_str(c->config, "Hostname"),
		.ipv4 = *ip ? ip : NULL,
		.mac = *mac ? mac : NULL,
		.aliases = &q->aliases,
		.ports = q->ports,
		.gateway = first,
	};
}

static int attach_one(struct container *c, struct endpoint *p, int netns_fd, struct err *e)
{
	struct network_set *networks = c->set->d.networks;
	struct network *w = network_find(networks, p->network, e);
	struct endpoint_request q;
	json_t *ports = NULL;
	bool first = p == &c->endpoints[0];
	if (!w) {
		return -1;
	}
	request_init(&q, c, p, first);
	int r = network_attach(networks, w, netns_fd, &q.config, &p->info, &ports, e);
	request_deinit(&q);
	if (r < 0) {
		return -1;
	}
	p->live = true;
	if (first) {
		json_decref(c->ports);
		c->ports = ports;
	} else {
		json_decref(ports);
	}
	return 0;
}

static int start_dns(struct container *c, int netns_fd, struct err *e)
{
	if (c->dns_started || !container_uses_dns(c)) {
		return 0;
	}
	scoped(strv) struct strv servers = STRV_INIT;
	if (!json_is_null(json_object_get(c->host_config, "Dns")) &&
		json_get_strv(c->host_config, "Dns", &servers, e) < 0) {
		return -1;
	}
	if (network_dns_start(c->set->d.networks, c->id, netns_fd, e) < 0) {
		return -1;
	}
	c->dns_started = true;
	if (servers.n > 0) {
		network_dns_servers(c->set->d.networks, c->id, &servers);
	}
	return 0;
}

int endpoints_attach(struct container *c, int netns_fd, struct err *e)
{
	for (size_t i = 0; i < c->n_endpoints; i++) {
		if (attach_one(c, &c->endpoints[i], netns_fd, e) < 0) {
			endpoints_detach(c);
			return -1;
		}
	}
	if (start_dns(c, netns_fd, e) < 0) {
		endpoints_detach(c);
		return -1;
	}
	return 0;
}

static void endpoint_clear(struct endpoint *p)
{
	struct endpoint_info old = p->info;
	p->live = false;
	p->info = (struct endpoint_info){0};
	memcpy(p->info.network_id, old.network_id, sizeof(old.network_id));
}

void endpoints_detach(struct container *c)
{
	if (c->dns_started) {
		network_dns_stop(c->set->d.networks, c->id);
		c->dns_started = false;
	}
	for (size_t i = 0; i < c->n_endpoints; i++) {
		if (c->endpoints[i].live) {
			network_detach(c->set->d.networks, c->endpoints[i].info.network_id, c->id);
			endpoint_clear(&c->endpoints[i]);
		}
	}
	json_decref(c->ports);
	c->ports = NULL;
}

static int open_netns(pid_t pid, struct err *e)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? err_sys(e, errno, "cannot open the network namespace %s", path) : fd;
}

void endpoints_reattach(struct container *c)
{
	struct err e;
	scoped(close) int fd = open_netns(c->pid, &e);
	if (fd < 0) {
		return; /* it has ended meanwhile, which we will hear */
	}
	for (size_t i = 0; i < c->n_endpoints; i++) {
		struct endpoint_request q;
		request_init(&q, c, &c->endpoints[i], i == 0);
		if (i == 0 && c->ports) { /* the same host ports as before, also where the user left
					     the choice to us */
			json_decref(q.ports);
			q.ports = json_deep_copy(c->ports);
			q.config.ports = q.ports;
		}
		if (c->endpoints[i].live && network_restore(c->set->d.networks,
						    &c->endpoints[i].info, fd, &q.config, &e) < 0) {
			log_error("container", "network_not_restored", "id", c->id, "network",
				c->endpoints[i].network, "reason", e.msg, NULL);
		}
		request_deinit(&q);
	}
	if (start_dns(c, fd, &e) < 0) {
		log_error("container", "dns_not_restored", "id", c->id, "reason", e.msg, NULL);
	}
}

/* --- POST /networks/x/connect and disconnect --- */

int container_connect(
	struct container *c, const char *network, const json_t *endpoint_config, struct err *e)
{
	size_t before = c->n_endpoints;
	struct network *w = network_find(c->set->d.networks, network, e);
	if (!w) {
		return -1;
	}
	if (is_special(container_network_mode(c))) {
		return err_set(e, ERR_INVALID,
			"container sharing network namespace with another container or host cannot be connected to any other network");
	}
	if (add_endpoint(c, network, endpoint_config, e) < 0) {
		return -1;
	}
	if (c->n_endpoints == before) {
		return err_set(e, ERR_DENIED, "endpoint with name %s already exists in network %s",
			c->name, network_name(w));
	}
	struct endpoint *p = &c->endpoints[before];
	if (container_is_running(c)) {
		scoped(close) int fd = open_netns(c->pid, e);
		if (fd < 0 || attach_one(c, p, fd, e) < 0 || start_dns(c, fd, e) < 0) {
			(void)container_disconnect(c, p->network, true, &(struct err){0});
			return -1;
		}
	}
	container_record_note(c);
	return 0;
}

int container_disconnect(struct container *c, const char *network, bool force, struct err *e)
{
	struct network *w = network_find(c->set->d.networks, network, e);
	if (!w) {
		return -1;
	}
	for (size_t i = 0; i < c->n_endpoints; i++) {
		struct endpoint *p = &c->endpoints[i];
		if (strcmp(p->network, network_name(w)) != 0) {
			continue;
		}
		if (p->live) {
			network_detach(c->set->d.networks, p->info.network_id, c->id);
		}
		free(p->network);
		json_decref(p->config);
		memmove(p, p + 1, (c->n_endpoints - i - 1) * sizeof(*p));
		c->n_endpoints--;
		container_record_note(c);
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND, "container %s is not connected to network %s", c->id,
		network_name(w));
}

/* --- inspect --- */

static json_t *or_null(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);
	return v ? json_incref(v) : json_null();
}

static json_t *endpoint_view(const struct container *c, const struct endpoint *p)
{
	const struct endpoint_info *f = &p->info;
	scoped(strv) struct strv names = STRV_INIT;
	strv_add(&names, c->name);
	collect_aliases(c, p, &names);
	struct err ignored;
	struct network *w = network_find(c->set->d.networks, p->network, &ignored);
	bool user_network = w && network_uses_dns(w);
	return json_pack("{so so so ss so ss ss ss ss si ss ss si so}", "IPAMConfig",
		or_null(p->config, "IPAMConfig"), "Links", or_null(p->config, "Links"), "Aliases",
		or_null(p->config, "Aliases"), "MacAddress", f->mac, "DriverOpts",
		or_null(p->config, "DriverOpts"), "NetworkID", f->network_id, "EndpointID",
		f->endpoint_id, "Gateway", f->gateway, "IPAddress", f->ipv4, "IPPrefixLen",
		f->prefix_len, "IPv6Gateway", "", "GlobalIPv6Address", "", "GlobalIPv6PrefixLen", 0,
		"DNSNames", user_network ? json_strv(&names) : json_null());
}

/* Published ports, and exposed ones with null. */
static json_t *ports_view(const struct container *c)
{
	json_t *out = json_object();
	const char *key;
	json_t *value;
	if (!container_is_running(c)) {
		return out;
	}
	json_object_foreach (json_object_get(c->config, "ExposedPorts"), key, value) {
		scoped(free) char *full =
			strchr(key, '/') ? xstrdup(key) : xasprintf("%s/tcp", key);
		json_put(out, full, json_null());
	}
	json_object_foreach (c->ports, key, value) {
		json_put(out, key, json_incref(value));
	}
	return out;
}

json_t *endpoints_inspect(const struct container *c)
{
	const struct endpoint_info none = {0};
	const struct endpoint_info *main_info = &none;
	json_t *networks = json_object();
	for (size_t i = 0; i < c->n_endpoints; i++) {
		const struct endpoint *p = &c->endpoints[i];
		json_put(networks, p->network, endpoint_view(c, p));
		if (strcmp(p->network, "bridge") == 0) {
			main_info = &p->info;
		}
	}
	char key[64] = "";
	if (container_is_running(c)) {
		snprintf(key, sizeof(key), "/proc/%d/ns/net", (int)c->pid);
	}
	return json_pack("{ss ss ss so sb ss si so so ss ss ss si ss si ss ss so}", "Bridge", "",
		"SandboxID", container_is_running(c) ? c->id : "", "SandboxKey", key, "Ports",
		ports_view(c), "HairpinMode", 0, "LinkLocalIPv6Address", "",
		"LinkLocalIPv6PrefixLen", 0, "SecondaryIPAddresses", json_null(),
		"SecondaryIPv6Addresses", json_null(), "EndpointID", main_info->endpoint_id,
		"Gateway", main_info->gateway, "GlobalIPv6Address", "", "GlobalIPv6PrefixLen", 0,
		"IPAddress", main_info->ipv4, "IPPrefixLen", main_info->prefix_len, "IPv6Gateway",
		"", "MacAddress", main_info->mac, "Networks", networks);
}
