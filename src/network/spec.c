/* The document of a network: what POST /networks/create may say, and Docker's NetworkResource made
 * of it. */
#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/parse.h"
#include "network/internal.h"

#define OPTION "com.docker.network.bridge."
#define OPTION_MTU "com.docker.network.driver.mtu"
#define OPTION_PREFIX "com.docker.network.container_iface_prefix"
#define NAME_MAX_LEN 255

/* As moby's config.ValidateName, but nothing that would end up in a terminal unseen. */
static bool is_name(const char *s)
{
	bool blank = true;
	if (strlen(s) > NAME_MAX_LEN) {
		return false;
	}
	for (; *s; s++) {
		blank = blank && isspace((unsigned char)*s);
		if (iscntrl((unsigned char)*s)) {
			return false;
		}
	}
	return !blank;
}

static json_t *copy_or_empty(const json_t *o)
{
	return json_is_object(o) ? json_deep_copy(o) : json_object();
}

struct flags {
	bool internal;
	bool attachable;
	bool ingress;
	bool config_only;
	bool ipv6;
};

static int read_flags(const json_t *body, struct flags *f, struct err *e)
{
	bool ipv4;
	if (json_get_bool(body, "Internal", false, &f->internal, e) < 0 ||
		json_get_bool(body, "Attachable", false, &f->attachable, e) < 0 ||
		json_get_bool(body, "Ingress", false, &f->ingress, e) < 0 ||
		json_get_bool(body, "ConfigOnly", false, &f->config_only, e) < 0 ||
		json_get_bool(body, "EnableIPv6", false, &f->ipv6, e) < 0 ||
		json_get_bool(body, "EnableIPv4", true, &ipv4, e) < 0) {
		return -1;
	}
	if (!ipv4) {
		return err_set(e, ERR_INVALID, "a network without IPv4 is not supported");
	}
	if (f->ingress) {
		return err_set(e, ERR_DENIED, "Ingress network can only be global scope network");
	}
	if (f->config_only) {
		return err_set(e, ERR_INVALID,
			"configuration-only networks are not supported: give every network its own configuration");
	}
	return 0;
}

static int check_scope(const json_t *body, struct err *e)
{
	const char *scope;
	const json_t *from = json_object_get(body, "ConfigFrom");
	if (json_get_str(body, "Scope", &scope, e) < 0) {
		return -1;
	}
	if (scope && strcmp(scope, "swarm") == 0) {
		return err_set(e, ERR_DENIED,
			"cannot create a swarm scoped network when swarm is not active");
	}
	if (scope && *scope && strcmp(scope, "local") != 0) {
		return err_set(
			e, ERR_INVALID, "invalid scope \"%.32s\": only local is supported", scope);
	}
	if (*json_str(from, "Network")) {
		return err_set(e, ERR_INVALID,
			"configuration-only networks are not supported: cannot take the configuration from \"%.64s\"",
			json_str(from, "Network"));
	}
	return 0;
}

static json_t *make_doc(const char *id, const char *name, const char *driver, const struct flags *f,
	json_t *take_ipam, json_t *take_options, json_t *take_labels)
{
	char now[CLOCK_TEXT_MAX];
	json_t *o = json_object();
	json_put_str(o, "Name", name);
	json_put_str(o, "Id", id);
	json_put_str(o, "Created", clock_format(clock_real_ns(), now));
	json_put_str(o, "Scope", "local");
	json_put_str(o, "Driver", driver);
	json_put(o, "EnableIPv4", json_true());
	json_put(o, "EnableIPv6", json_boolean(f->ipv6));
	json_put(o, "IPAM", take_ipam);
	json_put(o, "Internal", json_boolean(f->internal));
	json_put(o, "Attachable", json_boolean(f->attachable));
	json_put(o, "Ingress", json_false());
	json_t *from = json_object();
	json_put_str(from, "Network", "");
	json_put(o, "ConfigFrom", from);
	json_put(o, "ConfigOnly", json_false());
	json_put(o, "Options", take_options);
	json_put(o, "Labels", take_labels);
	return o;
}

static int check_driver(const char *driver, struct err *e)
{
	static const char *const known[] = {"bridge", "macvlan", "ipvlan"};
	if (strcmp(driver, "host") == 0 || strcmp(driver, "null") == 0 ||
		strcmp(driver, "none") == 0) {
		/* moby: "only one instance of "host" network is allowed" */
		return err_set(e, ERR_DENIED, "only one instance of \"%s\" network is allowed",
			strcmp(driver, "none") == 0 ? "null" : driver);
	}
	if (strcmp(driver, "overlay") == 0) {
		return err_set(e, ERR_DENIED,
			"This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to "
			"connect this node to swarm and try again.");
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(driver, known[i]) == 0) {
			return 0;
		}
	}
	return err_set(e, ERR_NOT_FOUND, "plugin \"%.64s\" not found", driver);
}

static int check_name(struct network_set *n, const char *name, struct err *e)
{
	static const char *const predefined[] = {"bridge", "host", "none", "default", "container"};
	if (!is_name(name)) {
		return err_set(e, ERR_INVALID, "invalid name: %.64s", name);
	}
	for (size_t i = 0; i < sizeof(predefined) / sizeof(predefined[0]); i++) {
		if (strcmp(name, predefined[i]) == 0) {
			return err_set(e, ERR_DENIED,
				"operation is not permitted on predefined %s network ", name);
		}
	}
	if (network_by_name(n, name)) {
		return err_set(e, ERR_CONFLICT, "network with name %s already exists", name);
	}
	return 0;
}

/* The request's options, and the daemon's for this driver where the request says nothing. */
static json_t *make_options(const struct network_set *n, const char *driver, const json_t *options)
{
	json_t *o = copy_or_empty(options);
	json_object_update_missing(
		o, json_object_get(json_object_get(n->defaults, "default-network-opts"), driver));
	return o;
}

int network_spec_read(
	struct network_set *n, const json_t *body, const char *id, json_t **ret_doc, struct err *e)
{
	const char *name;
	const char *driver;
	json_t *options;
	json_t *labels;
	struct flags f;
	if (json_get_str(body, "Name", &name, e) < 0 ||
		json_get_str(body, "Driver", &driver, e) < 0 ||
		json_get_object(body, "Options", &options, e) < 0 ||
		json_get_object(body, "Labels", &labels, e) < 0 ||
		network_check_strings(options, "Options", e) < 0 ||
		network_check_strings(labels, "Labels", e) < 0 || read_flags(body, &f, e) < 0) {
		return -1;
	}
	name = name ? name : "";
	driver = driver && *driver ? driver : "bridge";
	json_t *ipam;
	if (check_name(n, name, e) < 0 || check_scope(body, e) < 0 || check_driver(driver, e) < 0 ||
		network_spec_read_ipam(body, &ipam, e) < 0) {
		return -1;
	}
	*ret_doc = make_doc(id, name, driver, &f, ipam, make_options(n, driver, options),
		copy_or_empty(labels));
	return 0;
}

static void put_flag(json_t *options, const char *key, const json_t *settings, const char *setting)
{
	json_put_str(
		options, key, json_is_false(json_object_get(settings, setting)) ? "false" : "true");
}

/* Docker's options of the default bridge, as daemon.json would have them. */
static json_t *default_bridge_options(const struct network_set *n)
{
	const json_t *settings = n->defaults;
	const char *host = json_str(settings, "ip");
	int64_t mtu = json_i64(settings, "mtu", 0);
	char text[24];
	json_t *options = json_object();
	snprintf(text, sizeof(text), "%lld", (long long)(mtu ? mtu : 1500));
	json_put_str(options, OPTION "default_bridge", "true");
	put_flag(options, OPTION "enable_icc", settings, "icc");
	put_flag(options, OPTION "enable_ip_masquerade", settings, "ip-masq");
	json_put_str(options, OPTION "host_binding_ipv4", *host ? host : "0.0.0.0");
	json_put_str(options, OPTION "name", n->prefix);
	json_put_str(options, OPTION_MTU, text);
	return options;
}

json_t *network_spec_predefined(
	const struct network_set *n, const char *name, const char *driver, const char *id)
{
	bool bridge = strcmp(driver, "bridge") == 0;
	const struct flags f = {.ipv6 = bridge && json_bool(n->defaults, "ipv6")};
	json_t *ipam = json_object();
	json_put_str(ipam, "Driver", "default");
	json_put(ipam, "Options", json_null());
	json_put(ipam, "Config", json_null());
	return make_doc(id, name, driver, &f, ipam,
		bridge ? default_bridge_options(n) : json_object(), json_object());
}

void network_spec_refresh_default(const struct network_set *n, json_t *doc)
{
	json_put(doc, "Options", default_bridge_options(n));
	json_put(doc, "EnableIPv6", json_boolean(json_bool(n->defaults, "ipv6")));
}

void network_spec_add_subnet(json_t *doc, const struct ipam *subnet)
{
	char text[IP_TEXT_MAX];
	json_t *ipam = json_object_get(doc, "IPAM");
	json_t *rows = json_object_get(ipam, "Config");
	if (!json_is_array(rows)) {
		rows = json_array();
		json_put(ipam, "Config", rows);
	}
	json_t *row = json_object();
	json_put_str(row, "Subnet", ip_format_range(subnet->subnet, text));
	if (!ip_equal(subnet->subnet.base, subnet->range.base) ||
		subnet->subnet.len != subnet->range.len) {
		json_put_str(row, "IPRange", ip_format_range(subnet->range, text));
	}
	json_put_str(row, "Gateway", ip_format(subnet->gateway, text));
	json_array_append_new(rows, row);
}

/* --- from the document to the fields --- */

/* As strconv.ParseBool, which moby's bridge driver uses. */
static int parse_option(const json_t *options, const char *key, bool dflt, bool *ret, struct err *e)
{
	const char *s = json_str(options, key);
	if (!*s) {
		*ret = dflt;
	} else if (strcmp(s, "true") == 0 || strcmp(s, "1") == 0 || strcmp(s, "True") == 0 ||
		   strcmp(s, "TRUE") == 0) {
		*ret = true;
	} else if (strcmp(s, "false") == 0 || strcmp(s, "0") == 0 || strcmp(s, "False") == 0 ||
		   strcmp(s, "FALSE") == 0) {
		*ret = false;
	} else {
		return err_set(e, ERR_INVALID,
			"failed to parse %s value: %.64s (strconv.ParseBool: parsing \"%.64s\": invalid syntax)",
			key, s, s);
	}
	return 0;
}

static int parse_bridge_name(struct network *w, const json_t *options, struct err *e)
{
	const char *name = json_str(options, OPTION "name");
	if (!*name) {
		snprintf(w->bridge, sizeof(w->bridge), "br-%.12s", w->id);
		return 0;
	}
	bool bad = strlen(name) >= sizeof(w->bridge) || strpbrk(name, "/ \t\n:") || name[0] == '.';
	if (bad) {
		return err_set(e, ERR_INVALID, "invalid bridge name \"%s\"", name);
	}
	snprintf(w->bridge, sizeof(w->bridge), "%s", name);
	return 0;
}

static int parse_mtu(struct network *w, const json_t *options, struct err *e)
{
	const char *mtu = json_str(options, OPTION_MTU);
	int value = 0;
	if (*mtu && parse_int(mtu, 0, 65535, &value) < 0) {
		return err_set(e, ERR_INVALID,
			"failed to parse " OPTION_MTU
			" value: %.64s (strconv.Atoi: parsing \"%.64s\": invalid syntax)",
			mtu, mtu);
	}
	/* RFC 791: the least an IPv4 link carries; RFC 8200 5 */
	if (value && value < (w->ipv6 ? 1280 : 68)) {
		return err_set(e, ERR_INVALID, "an MTU of %d is too small for %s", value,
			w->ipv6 ? "IPv6" : "IPv4");
	}
	w->mtu = (uint32_t)value;
	return 0;
}

static int parse_ifname_prefix(struct network *w, const json_t *options, struct err *e)
{
	const char *prefix = json_str(options, OPTION_PREFIX);
	if (strlen(prefix) >= sizeof(w->ifname_prefix) || strpbrk(prefix, "/ \t\n:%") ||
		prefix[0] == '.' || strcmp(prefix, "lo") == 0) {
		return err_set(e, ERR_INVALID, "invalid interface name prefix \"%.32s\"", prefix);
	}
	snprintf(w->ifname_prefix, sizeof(w->ifname_prefix), "%s", *prefix ? prefix : "eth");
	return 0;
}

static int parse_bridge(struct network *w, const json_t *options, struct err *e)
{
	const char *host = json_str(options, OPTION "host_binding_ipv4");
	if (parse_bridge_name(w, options, e) < 0 ||
		parse_option(options, OPTION "enable_icc", true, &w->icc, e) < 0 ||
		parse_option(options, OPTION "enable_ip_masquerade", true, &w->masquerade, e) < 0) {
		return -1;
	}
	if (*host && ip_parse(host, &w->default_host) < 0) {
		return err_set(e, ERR_INVALID, "invalid host_binding_ipv4 \"%.64s\"", host);
	}
	if (ip_is_any(w->default_host)) {
		w->default_host = (struct ip){0};
	}
	return 0;
}

int network_spec_parse(struct network *w, struct err *e)
{
	static const struct {
		const char *name;
		enum network_driver driver;
	} drivers[] = {{"bridge", DRIVER_BRIDGE}, {"macvlan", DRIVER_MACVLAN},
		{"ipvlan", DRIVER_IPVLAN}, {"host", DRIVER_HOST}};
	const json_t *options = json_object_get(w->doc, "Options");
	const char *driver = json_str(w->doc, "Driver");
	const char *name = json_str(w->doc, "Name");
	w->predefined = strcmp(name, "bridge") == 0 || strcmp(name, "host") == 0 ||
			strcmp(name, "none") == 0;
	w->internal = json_bool(w->doc, "Internal");
	w->ipv6 = json_bool(w->doc, "EnableIPv6");
	w->driver = DRIVER_NULL;
	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		w->driver = strcmp(driver, drivers[i].name) == 0 ? drivers[i].driver : w->driver;
	}
	if (!network_has_links(w)) {
		return 0;
	}
	int r = w->driver == DRIVER_BRIDGE ? parse_bridge(w, options, e) : parent_read(w, e);
	return r < 0 || parse_mtu(w, options, e) < 0 || parse_ifname_prefix(w, options, e) < 0
		       ? -1
		       : network_spec_parse_ipam(w, e);
}
