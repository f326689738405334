/* A container's places on networks: as asked for at creation, taken when it starts, given back when
 * it ends. */
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

/* --- what was asked for --- */

/* A network that is not there (yet) is asked for again at start, as in dockerd: a 404 here would
 * make the docker CLI look for the image. */
static int add_endpoint(struct container *c, const char *name, const json_t *config, struct err *e)
{
	struct err missing;
	struct network *w = network_find(c->set->d.networks, name, &missing);
	const char *full = w ? network_name(w) : name;
	if (!w && missing.kind != ERR_NOT_FOUND) {
		*e = missing;
		return -1;
	}
	for (size_t i = 0; i < c->n_endpoints; i++) {
		if (strcmp(c->endpoints[i].network, full) == 0) {
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
	if (endpoint_check(w, config, e) < 0) {
		return -1;
	}
	struct endpoint *p = &c->endpoints[c->n_endpoints++];
	*p = (struct endpoint){.network = xstrdup(full)};
	p->config = json_is_object(config) ? json_deep_copy(config) : json_object();
	snprintf(p->info.network_id, sizeof(p->info.network_id), "%s", w ? network_id(w) : "");
	return 0;
}

static int add_wanted(struct container *c, const char *name, const json_t *config, struct err *e)
{
	return add_endpoint(c, name, config, e) < 0
		       ? err_wrap(e, "invalid config for network %.64s", name)
		       : 0;
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
		published_check(c, e) < 0) {
		return -1;
	}
	if (json_bool(c->config, "NetworkDisabled")) {
		mode = "none";
	}
	scoped(free) char *name = xstrdup(!*mode || strcmp(mode, "default") == 0 ? "bridge" : mode);
	json_put_str(c->host_config, "NetworkMode", name);
	published_expose(c);
	if (is_special(name) && json_object_size(all) > (config_for(all, name) ? 1 : 0)) {
		return err_set(e, ERR_INVALID,
			"conflicting options: a container with network mode %.64s cannot be on other networks",
			name);
	}
	if (links_check(c, e) < 0) {
		return -1;
	}
	if (text_starts(name, "container:")) {
		return 0; /* looked up at start: a 404 now makes docker run pull the image */
	}
	if (add_wanted(c, name, config_for(all, name), e) < 0) {
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
		if (!is_default && add_wanted(c, key, config, e) < 0) {
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
		json_t *row = json_pack("{ss sO sb ss ss}", "Network", p->network, "Config",
			p->config, "Live", p->live, "NetworkID", f->network_id, "EndpointID",
			f->endpoint_id);
		json_put_str(row, "IPv4", f->ipv4);
		json_put(row, "PrefixLen", json_integer(f->prefix_len));
		json_put_str(row, "Gateway", f->gateway);
		json_put_str(row, "IPv6", f->ipv6);
		json_put(row, "PrefixLen6", json_integer(f->prefix_len6));
		json_put_str(row, "Gateway6", f->gateway6);
		json_put_str(row, "Mac", f->mac);
		json_put_str(row, "Ifname", f->ifname);
		json_put(row, "IsGateway",
			json_boolean(p->live &&
				     network_is_gateway(c->set->d.networks, f->network_id, c->id)));
		json_array_append_new(out, row);
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
		p->info.is_gateway = json_bool(o, "IsGateway");
		p->info.prefix_len6 = (int)json_i64(o, "PrefixLen6", 0);
		copy_text(p->info.ipv6, sizeof(p->info.ipv6), o, "IPv6");
		copy_text(p->info.gateway6, sizeof(p->info.gateway6), o, "Gateway6");
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
	struct strv links;
	struct strv link_local;
	json_t *ports;
};

static void request_deinit(struct endpoint_request *q)
{
	strv_deinit(&q->aliases);
	strv_deinit(&q->links);
	strv_deinit(&q->link_local);
	json_decref(q->ports);
}

static void request_init(
	struct endpoint_request *q, const struct container *c, const struct endpoint *p)
{
	const json_t *ipam = json_object_get(p->config, "IPAMConfig");
	const char *ip = json_str(ipam, "IPv4Address");
	const char *ip6 = json_str(ipam, "IPv6Address");
	struct err ignored;
	const char *mac = json_str(p->config, "MacAddress");
	*q = (struct endpoint_request){0};
	collect_aliases(c, p, &q->aliases);
	(void)json_get_strv(p->config, "Links", &q->links, &ignored);
	if (ipam) {
		(void)json_get_strv(ipam, "LinkLocalIPs", &q->link_local, &ignored);
	}
	q->ports = published_wanted(c);
	q->config = (struct endpoint_config){
		.container_id = c->id,
		.container_name = c->name,
		.hostname = json_str(c->config, "Hostname"),
		.ipv4 = *ip ? ip : NULL,
		.ipv6 = *ip6 ? ip6 : NULL,
		.mac = *mac ? mac : NULL,
		.ifname = endpoint_wanted_ifname(p->config),
		.aliases = &q->aliases,
		.links = &q->links,
		.link_local = &q->link_local,
		.ports = q->ports,
		.replaces = takeover_partner(c),
		.gateway_priority = json_i64(p->config, "GwPriority", 0),
	};
}

void endpoints_note_ports(struct container *c)
{
	json_decref(c->ports);
	c->ports = network_ports(c->set->d.networks, c->id);
}

static int attach_one(struct container *c, struct endpoint *p, int netns_fd, struct err *e)
{
	struct network_set *networks = c->set->d.networks;
	struct network *w = network_find(networks, p->network, e);
	struct endpoint_request q;
	if (!w) {
		return -1;
	}
	request_init(&q, c, p);
	int r = network_attach(networks, w, netns_fd, &q.config, &p->info, NULL, e);
	request_deinit(&q);
	if (r < 0) {
		return -1;
	}
	p->live = true;
	endpoints_note_ports(c);
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

int endpoints_ready(const struct container *c, struct err *e)
{
	for (size_t i = 0; i < c->n_endpoints; i++) {
		if (!network_find(c->set->d.networks, c->endpoints[i].network, e)) {
			return -1;
		}
	}
	return 0;
}

static int attach_all(struct container *c, bool named, int netns_fd, struct err *e)
{
	for (size_t i = 0; i < c->n_endpoints; i++) {
		struct endpoint *p = &c->endpoints[i];
		if (named == (endpoint_wanted_ifname(p->config) != NULL) &&
			attach_one(c, p, netns_fd, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int endpoints_attach(struct container *c, int netns_fd, struct err *e)
{
	/* All its networks were taken from it: moby updateContainerNetworkSettings. */
	if (c->n_endpoints == 0 && container_has_own_netns(c) &&
		add_endpoint(c, container_network_mode(c), NULL, e) < 0) {
		return -1;
	}
	/* the names that are asked for first: the others take what is free */
	if (attach_all(c, true, netns_fd, e) < 0 || attach_all(c, false, netns_fd, e) < 0) {
		endpoints_detach(c);
		return -1;
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
	takeover_note_ports(c->set);
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
		request_init(&q, c, &c->endpoints[i]);
		if (c->ports && !q.config.replaces) { /* the same host ports as before, also where
					     the user left the choice to us */
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

static struct endpoint *endpoint_on(struct container *c, const char *network)
{
	for (size_t i = 0; i < c->n_endpoints; i++) {
		if (strcmp(c->endpoints[i].network, network) == 0) {
			return &c->endpoints[i];
		}
	}
	return NULL;
}

static int check_connect(struct container *c, const struct network *w, struct err *e)
{
	const char *mode = container_network_mode(c);
	if (strcmp(network_name(w), "host") == 0 || strcmp(mode, "host") == 0) {
		return err_set(e, ERR_INVALID,
			"container cannot be disconnected from host network or connected to host network");
	}
	if (text_starts(mode, "container:")) {
		return err_set(e, ERR_INVALID,
			"container sharing network namespace with another container or host cannot be connected to any other network");
	}
	if (strcmp(network_name(w), "none") == 0 || endpoint_on(c, "none")) {
		return err_set(e, ERR_INVALID,
			"container cannot be connected to multiple networks with one of the networks in private (none) mode");
	}
	return 0;
}

int container_connect(
	struct container *c, const char *network, const json_t *endpoint_config, struct err *e)
{
	size_t before = c->n_endpoints;
	struct network *w = network_find(c->set->d.networks, network, e);
	if (!w || check_connect(c, w, e) < 0 ||
		add_endpoint(c, network_name(w), endpoint_config, e) < 0) {
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
		(void)bundle_write_hosts(c, &(struct err){0});
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
	struct endpoint *p = endpoint_on(c, network_name(w));
	if (!p) {
		return err_set(e, ERR_SYSTEM, "container %s is not connected to network %s", c->id,
			network_name(w));
	}
	if (strcmp(network_name(w), "host") == 0 && !force) {
		return err_set(e, ERR_INVALID,
			"container cannot be disconnected from host network or connected to host network");
	}
	if (p->live) {
		network_detach(c->set->d.networks, p->info.network_id, c->id);
	}
	free(p->network);
	json_decref(p->config);
	memmove(p, p + 1, (size_t)(&c->endpoints[c->n_endpoints] - (p + 1)) * sizeof(*p));
	c->n_endpoints--;
	endpoints_note_ports(c);
	if (container_is_running(c)) {
		(void)bundle_write_hosts(c, &(struct err){0});
	}
	container_record_note(c);
	return 0;
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
		or_null(p->config, "Aliases"), "MacAddress",
		*f->mac ? f->mac : json_str(p->config, "MacAddress"), "DriverOpts",
		or_null(p->config, "DriverOpts"), "NetworkID", f->network_id, "EndpointID",
		f->endpoint_id, "Gateway", f->gateway, "IPAddress", f->ipv4, "IPPrefixLen",
		f->prefix_len, "IPv6Gateway", f->gateway6, "GlobalIPv6Address", f->ipv6,
		"GlobalIPv6PrefixLen", f->prefix_len6, "DNSNames",
		user_network ? json_strv(&names) : json_null());
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
		published_inspect(c), "HairpinMode", 0, "LinkLocalIPv6Address", "",
		"LinkLocalIPv6PrefixLen", 0, "SecondaryIPAddresses", json_null(),
		"SecondaryIPv6Addresses", json_null(), "EndpointID", main_info->endpoint_id,
		"Gateway", main_info->gateway, "GlobalIPv6Address", main_info->ipv6,
		"GlobalIPv6PrefixLen", main_info->prefix_len6, "IPAddress", main_info->ipv4,
		"IPPrefixLen", main_info->prefix_len, "IPv6Gateway", main_info->gateway6,
		"MacAddress", main_info->mac, "Networks", networks);
}
