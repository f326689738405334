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
#define NAME_MAX_LEN 255

/* moby names.RestrictedNamePattern */
static bool is_name(const char *s)
{
	if (!isalnum((unsigned char)s[0]) || strlen(s) > NAME_MAX_LEN) {
		return false;
	}
	for (; *s; s++) {
		if (!isalnum((unsigned char)*s) && !strchr("_.-", *s)) {
			return false;
		}
	}
	return true;
}

static int check_strings(const json_t *o, const char *what, struct err *e)
{
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)o, key, value) {
		if (!json_is_string(value)) {
			return err_set(e, ERR_INVALID, "%s.%s must be a string", what, key);
		}
	}
	return 0;
}

static json_t *copy_or_empty(const json_t *o)
{
	return json_is_object(o) ? json_deep_copy(o) : json_object();
}

/* One entry of IPAM.Config, checked; texts go out as they came in, as dockerd does. */
static int read_config_entry(const json_t *row, json_t **ret, struct err *e)
{
	const char *subnet;
	const char *range;
	const char *gateway;
	json_t *aux;
	if (!json_is_object(row)) {
		return err_set(e, ERR_INVALID, "an entry of IPAM.Config must be an object");
	}
	if (json_get_str(row, "Subnet", &subnet, e) < 0 ||
		json_get_str(row, "IPRange", &range, e) < 0 ||
		json_get_str(row, "Gateway", &gateway, e) < 0 ||
		json_get_object(row, "AuxiliaryAddresses", &aux, e) < 0 ||
		check_strings(aux, "AuxiliaryAddresses", e) < 0) {
		return err_wrap(e, "IPAM.Config");
	}
	subnet = subnet ? subnet : "";
	range = range ? range : "";
	gateway = gateway ? gateway : "";
	if (strchr(subnet, ':') || strchr(gateway, ':')) {
		return err_set(
			e, ERR_INVALID, "invalid network config: IPv6 subnets are not supported");
	}
	if (!*subnet && (*range || *gateway)) {
		return err_set(e, ERR_INVALID,
			"invalid network config: a gateway or range needs a subnet");
	}
	json_t *o = json_object();
	if (*subnet) {
		json_put_str(o, "Subnet", subnet);
	}
	if (*range) {
		json_put_str(o, "IPRange", range);
	}
	if (*gateway) {
		json_put_str(o, "Gateway", gateway);
	}
	if (json_object_size(aux) > 0) {
		json_put(o, "AuxiliaryAddresses", json_deep_copy(aux));
	}
	*ret = o;
	return 0;
}

static int read_ipam(const json_t *body, json_t **ret, struct err *e)
{
	json_t *ipam;
	json_t *config = NULL;
	json_t *options = NULL;
	const char *driver = NULL;
	if (json_get_object(body, "IPAM", &ipam, e) < 0) {
		return -1;
	}
	if (ipam && (json_get_array(ipam, "Config", &config, e) < 0 ||
			    json_get_str(ipam, "Driver", &driver, e) < 0 ||
			    json_get_object(ipam, "Options", &options, e) < 0 ||
			    check_strings(options, "IPAM.Options", e) < 0)) {
		return err_wrap(e, "IPAM");
	}
	if (driver && *driver && strcmp(driver, "default") != 0) {
		return err_set(e, ERR_NOT_FOUND,
			"could not find plugin %s in v1 plugin registry: plugin not found", driver);
	}
	if (json_array_size(config) > 1) {
		return err_set(e, ERR_INVALID,
			"invalid network config: a bridge network has one IPv4 subnet");
	}
	scoped(json) json_t *rows = json_array();
	if (json_array_size(config) == 1) {
		json_t *row;
		if (read_config_entry(json_array_get(config, 0), &row, e) < 0) {
			return -1;
		}
		json_array_append_new(rows, row);
	}
	json_t *o = json_object();
	json_put_str(o, "Driver", "default");
	json_put(o, "Options", copy_or_empty(options));
	json_put(o, "Config", TAKE(rows));
	*ret = o;
	return 0;
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
	if (json_get_bool(body, "Internal", false, &f->internal, e) < 0 ||
		json_get_bool(body, "Attachable", false, &f->attachable, e) < 0 ||
		json_get_bool(body, "Ingress", false, &f->ingress, e) < 0 ||
		json_get_bool(body, "ConfigOnly", false, &f->config_only, e) < 0 ||
		json_get_bool(body, "EnableIPv6", false, &f->ipv6, e) < 0) {
		return -1;
	}
	if (f->ingress || f->config_only) {
		return err_set(e, ERR_INVALID,
			"ingress and configuration-only networks belong to swarm mode, which is not supported");
	}
	if (f->ipv6) {
		return err_set(e, ERR_INVALID, "IPv6 networks are not supported");
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
	json_put(o, "EnableIPv6", json_false());
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
	if (strcmp(driver, "host") == 0 || strcmp(driver, "null") == 0 ||
		strcmp(driver, "none") == 0) {
		/* moby: "only one instance of "host" network is allowed" */
		return err_set(e, ERR_DENIED, "only one instance of \"%s\" network is allowed",
			strcmp(driver, "none") == 0 ? "null" : driver);
	}
	if (strcmp(driver, "bridge") != 0) {
		return err_set(e, ERR_NOT_FOUND,
			"could not find plugin %s in v1 plugin registry: plugin not found", driver);
	}
	return 0;
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
		check_strings(options, "Options", e) < 0 ||
		check_strings(labels, "Labels", e) < 0 || read_flags(body, &f, e) < 0) {
		return -1;
	}
	name = name ? name : "";
	driver = driver && *driver ? driver : "bridge";
	if (!is_name(name)) {
		return err_set(e, ERR_INVALID,
			"invalid network name \"%s\": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
			name);
	}
	if (strcmp(name, "bridge") == 0 || strcmp(name, "host") == 0 || strcmp(name, "none") == 0 ||
		strcmp(name, "default") == 0 || strcmp(name, "container") == 0) {
		return err_set(e, ERR_DENIED,
			"operation is not permitted on predefined %s network ", name);
	}
	if (network_by_name(n, name)) {
		return err_set(e, ERR_CONFLICT, "network with name %s already exists", name);
	}
	json_t *ipam;
	if (check_driver(driver, e) < 0 || read_ipam(body, &ipam, e) < 0) {
		return -1;
	}
	*ret_doc =
		make_doc(id, name, driver, &f, ipam, copy_or_empty(options), copy_or_empty(labels));
	return 0;
}

json_t *network_spec_predefined(
	const struct network_set *n, const char *name, const char *driver, const char *id)
{
	const struct flags f = {0};
	json_t *ipam = json_object();
	json_put_str(ipam, "Driver", "default");
	json_put(ipam, "Options", json_null());
	json_put(ipam, "Config", json_null());
	json_t *options = json_object();
	if (strcmp(driver, "bridge") == 0) {
		json_put_str(options, OPTION "default_bridge", "true");
		json_put_str(options, OPTION "enable_icc", "true");
		json_put_str(options, OPTION "enable_ip_masquerade", "true");
		json_put_str(options, OPTION "host_binding_ipv4", "0.0.0.0");
		json_put_str(options, OPTION "name", n->prefix);
		json_put_str(options, OPTION_MTU, "1500");
	}
	return make_doc(id, name, driver, &f, ipam, options, json_object());
}

int network_spec_put_subnet(json_t *doc, struct ipam_range subnet, uint32_t gateway)
{
	char text[IPAM_TEXT_MAX];
	json_t *ipam = json_object_get(doc, "IPAM");
	json_t *rows = json_object_get(ipam, "Config");
	json_t *row = json_array_get(rows, 0);
	if (!json_is_object(row)) {
		row = json_object();
		rows = json_array();
		json_array_append(rows, row);
		json_put(ipam, "Config", rows);
		json_decref(row); /* the array holds it */
	}
	json_put_str(row, "Subnet", ipam_format_range(subnet, text));
	json_put_str(row, "Gateway", ipam_format(gateway, text));
	return 0;
}

/* --- from the document to the fields --- */

static int parse_range_and_gateway(struct network *w, const json_t *row, struct err *e)
{
	const char *range = json_str(row, "IPRange");
	const char *gateway = json_str(row, "Gateway");
	w->ipam.range = w->ipam.subnet;
	w->ipam.gateway = w->ipam.subnet.base + (w->ipam.subnet.len < 31 ? 1 : 0);
	if (*range && (ipam_parse_cidr(range, &w->ipam.range, NULL) < 0 ||
			      w->ipam.range.len < w->ipam.subnet.len ||
			      !ipam_contains(w->ipam.subnet, w->ipam.range.base))) {
		return err_set(e, ERR_INVALID,
			"invalid network config:\ninvalid ip-range %s: parent subnet is %s", range,
			json_str(row, "Subnet"));
	}
	if (*gateway && (ipam_parse_address(gateway, &w->ipam.gateway) < 0 ||
				!ipam_contains(w->ipam.subnet, w->ipam.gateway))) {
		return err_set(e, ERR_INVALID,
			"invalid network config:\ninvalid gateway %s: parent subnet is %s", gateway,
			json_str(row, "Subnet"));
	}
	return 0;
}

static int parse_ipam(struct network *w, struct err *e)
{
	const json_t *row =
		json_array_get(json_object_get(json_object_get(w->doc, "IPAM"), "Config"), 0);
	const char *subnet = json_str(row, "Subnet");
	uint32_t address;
	if (!*subnet) {
		return 0; /* still to be chosen */
	}
	if (ipam_parse_cidr(subnet, &w->ipam.subnet, &address) < 0 || w->ipam.subnet.len > 30 ||
		w->ipam.subnet.len < 8) {
		return err_set(e, ERR_INVALID,
			"invalid network config:\ninvalid subnet %s: it must be an IPv4 subnet of /8 to /30",
			subnet);
	}
	if (address != w->ipam.subnet.base) {
		char text[IPAM_TEXT_MAX];
		return err_set(e, ERR_INVALID,
			"invalid network config:\ninvalid subnet %s: it should be %s", subnet,
			ipam_format_range(w->ipam.subnet, text));
	}
	return parse_range_and_gateway(w, row, e);
}

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
			"invalid value \"%s\" for option %s: must be true or false", s, key);
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

static int parse_bridge(struct network *w, struct err *e)
{
	const json_t *options = json_object_get(w->doc, "Options");
	const char *host = json_str(options, OPTION "host_binding_ipv4");
	const char *mtu = json_str(options, OPTION_MTU);
	int value = 0;
	if (parse_bridge_name(w, options, e) < 0 ||
		parse_option(options, OPTION "enable_icc", true, &w->icc, e) < 0 ||
		parse_option(options, OPTION "enable_ip_masquerade", true, &w->masquerade, e) < 0) {
		return -1;
	}
	if (*host && ipam_parse_address(host, &w->default_host) < 0) {
		return err_set(e, ERR_INVALID, "invalid host_binding_ipv4 \"%s\"", host);
	}
	if (*mtu && parse_int(mtu, 0, 65535, &value) < 0) {
		return err_set(e, ERR_INVALID, "invalid value \"%s\" for option " OPTION_MTU, mtu);
	}
	if (value && value < 68) { /* RFC 791: the least an IPv4 link carries */
		return err_set(e, ERR_INVALID, "an MTU of %d is too small for IPv4", value);
	}
	w->mtu = (uint32_t)value;
	return parse_ipam(w, e);
}

int network_spec_parse(struct network *w, struct err *e)
{
	const char *driver = json_str(w->doc, "Driver");
	const char *name = json_str(w->doc, "Name");
	w->predefined = strcmp(name, "bridge") == 0 || strcmp(name, "host") == 0 ||
			strcmp(name, "none") == 0;
	w->internal = json_bool(w->doc, "Internal");
	w->driver = strcmp(driver, "bridge") == 0 ? DRIVER_BRIDGE
		    : strcmp(driver, "host") == 0 ? DRIVER_HOST
						  : DRIVER_NULL;
	return w->driver == DRIVER_BRIDGE ? parse_bridge(w, e) : 0;
}
