/* network ls, create, rm, inspect, connect, disconnect; prune is in prune.c */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/human.h"
#include "wherry/inspect.h"
#include "wherry/rows.h"
#include "wherry/specs.h"
#include "wherry/table.h"
#include "wherry/times.h"

static const struct inspect_kind kinds[] = {{"network", "/networks/", ""}, {0}};

int command_network_inspect(struct cli *cli, int argc, char **argv)
{
	const struct syntax s = {"network inspect", "[OPTIONS] NETWORK [NETWORK...]",
		"Display detailed information on one or more networks", 1, -1, false};
	return inspect_command(cli, kinds, &s, argc, argv);
}

/* --- ls --- */

static const struct column columns[] = {
	{"ID", "NETWORK ID"},
	{"Name", "NAME"},
	{"Driver", "DRIVER"},
	{"Scope", "SCOPE"},
	{"IPv4", "IPV4"},
	{"IPv6", "IPV6"},
	{"Internal", "INTERNAL"},
	{"Labels", "LABELS"},
	{"CreatedAt", "CREATED AT"},
	{0},
};

static json_t *row_of(const json_t *n, bool no_trunc)
{
	json_t *row = json_object();
	char id[13];
	char created[TIMES_TEXT_MAX];
	json_put_str(
		row, "ID", no_trunc ? json_str(n, "Id") : human_short_id(json_str(n, "Id"), id));
	json_put_str(row, "Name", json_str(n, "Name"));
	json_put_str(row, "Driver", json_str(n, "Driver"));
	json_put_str(row, "Scope", json_str(n, "Scope"));
	json_put_str(row, "IPv4", json_bool(n, "EnableIPv4") ? "true" : "false");
	json_put_str(row, "IPv6", json_bool(n, "EnableIPv6") ? "true" : "false");
	json_put_str(row, "Internal", json_bool(n, "Internal") ? "true" : "false");
	json_put_str(row, "CreatedAt", times_from_api(json_str(n, "Created"), created));
	rows_put_labels(row, json_object_get(n, "Labels"));
	return row;
}

int command_network_ls(struct cli *cli, int argc, char **argv)
{
	bool no_trunc = false;
	bool quiet = false;
	const char *format = NULL;
	struct strv filters = STRV_INIT;
	const struct flag flags[] = {
		{"filter", 'f', FLAG_FILTER, &filters, NULL,
			"Provide filter values (e.g. \"driver=bridge\")"},
		{"format", 0, FLAG_STRING, &format, NULL, TABLE_FORMAT_HELP},
		{"no-trunc", 0, FLAG_BOOL, &no_trunc, NULL, "Do not truncate the output"},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Only display network IDs"},
		{0},
	};
	const struct syntax s = {"network ls", "[OPTIONS]", "List networks", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		scoped(free) char *chosen =
			table_format(cli->config, "networksFormat", format, quiet);
		const struct table t = {.columns = columns,
			.dflt = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
			.quiet_field = "ID",
			.format = chosen,
			.quiet = quiet,
			.type = "*network.networkContext",
			.raw = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"};
		struct err e;
		scoped(buf) struct buf path = BUF_INIT;
		scoped(json) json_t *found = NULL;
		scoped(json) json_t *rows = json_array();
		buf_puts(&path, "/networks");
		int r = table_check(&t, &e);
		r = r < 0 ? r : path_filters(&path, &filters, &e);
		r = r < 0 ? r : engine_json(cli, "GET", buf_str(&path), NULL, &found, &e);
		for (size_t i = 0; r == 0 && i < json_array_size(found); i++) {
			json_array_append_new(rows, row_of(json_array_get(found, i), no_trunc));
		}
		rows_sort(rows, "Name");
		r = r < 0 ? r : table_print(&t, rows, &e);
		status = r < 0 ? cli_fail(&e) : 0;
	}
	strv_deinit(&filters);
	return status;
}

/* --- create --- */

struct network_create {
	bool attachable, internal, ipv4, ipv6, ingress, config_only;
	const char *driver, *ipam_driver, *scope, *config_from;
	struct strv subnets, gateways, ranges, aux, labels, options, ipam_options;
};

/* Whether address (or network) text lies in the network "10.0.0.0/8". */
static bool lies_in(const char *text, const char *subnet)
{
	unsigned char net[16];
	unsigned char addr[16];
	int bits;
	int family = strchr(subnet, ':') ? AF_INET6 : AF_INET;
	scoped(free) char *base = xstrndup(subnet, strcspn(subnet, "/"));
	scoped(free) char *plain = xstrndup(text, strcspn(text, "/"));
	const char *slash = strchr(subnet, '/');
	if (!slash || parse_int(slash + 1, 0, family == AF_INET ? 32 : 128, &bits) < 0 ||
		inet_pton(family, base, net) != 1 || inet_pton(family, plain, addr) != 1) {
		return false;
	}
	for (int i = 0; i < bits; i++) {
		if (((net[i / 8] ^ addr[i / 8]) >> (7 - i % 8)) & 1) {
			return false;
		}
	}
	return true;
}

/* The pool whose subnet has the address; the one without a subnet when none was given. */
static json_t *pool_of(json_t *pools, const char *address)
{
	size_t i;
	json_t *p;
	json_array_foreach (pools, i, p) {
		if (!*json_str(p, "Subnet") || lies_in(address, json_str(p, "Subnet"))) {
			return p;
		}
	}
	return NULL;
}

static int put_in_pools(
	json_t *pools, const struct strv *list, const char *key, const char *what, struct err *e)
{
	for (size_t i = 0; i < list->n; i++) {
		json_t *pool = pool_of(pools, list->v[i]);
		if (!pool) {
			return err_set(
				e, ERR_INVALID, "no matching subnet for %s %s", what, list->v[i]);
		}
		if (json_object_get(pool, key)) {
			return err_set(e, ERR_INVALID,
				"cannot configure multiple %ss (%s, %s) on the same subnet", what,
				list->v[i], json_str(pool, key));
		}
		json_put_str(pool, key, list->v[i]);
	}
	return 0;
}

static int put_aux(json_t *pools, const struct strv *aux, struct err *e)
{
	for (size_t i = 0; i < aux->n; i++) {
		const char *equal = strchr(aux->v[i], '=');
		json_t *pool = equal ? pool_of(pools, equal + 1) : NULL;
		if (!pool) {
			return err_set(
				e, ERR_INVALID, "no matching subnet for aux-address %s", aux->v[i]);
		}
		if (!json_object_get(pool, "AuxiliaryAddresses")) {
			json_put(pool, "AuxiliaryAddresses", json_object());
		}
		if (spec_option(aux->v[i], "aux-address",
			    json_object_get(pool, "AuxiliaryAddresses"), e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int put_pools(const struct network_create *o, json_t *ipam, struct err *e)
{
	json_t *pools = json_array();
	json_put(ipam, "Config", pools);
	for (size_t i = 0; i < o->subnets.n; i++) {
		json_array_append_new(pools, json_pack("{ss}", "Subnet", o->subnets.v[i]));
	}
	if (o->subnets.n == 0 && (o->gateways.n || o->ranges.n || o->aux.n)) {
		json_array_append_new(pools, json_object());
	}
	return put_in_pools(pools, &o->ranges, "IPRange", "ip-range", e) < 0 ||
			       put_in_pools(pools, &o->gateways, "Gateway", "gateway", e) < 0
		       ? -1
		       : put_aux(pools, &o->aux, e);
}

static int put_all(
	const struct strv *list, const char *what, json_t *doc, const char *key, struct err *e)
{
	json_t *o = json_object();
	json_put(doc, key, o);
	for (size_t i = 0; i < list->n; i++) {
		int r = what ? spec_option(list->v[i], what, o, e) : spec_label(list->v[i], o, e);
		if (r < 0) {
			return -1;
		}
	}
	return 0;
}

static int create(struct cli *cli, const struct network_create *o, const char *name, struct err *e)
{
	scoped(json) json_t *body = json_object();
	scoped(json) json_t *answer = NULL;
	json_t *ipam = json_object();
	json_put_str(body, "Name", name);
	json_put_str(body, "Driver", o->driver);
	json_put_str(body, "Scope", o->scope);
	json_put(body, "EnableIPv6", json_boolean(o->ipv6));
	json_put(body, "Internal", json_boolean(o->internal));
	json_put(body, "Attachable", json_boolean(o->attachable));
	json_put(body, "Ingress", json_boolean(o->ingress));
	json_put(body, "ConfigOnly", json_boolean(o->config_only));
	json_put(body, "IPAM", ipam);
	if (!o->ipv4) {
		json_put(body, "EnableIPv4", json_false());
	}
	if (o->config_from) {
		json_put(body, "ConfigFrom", json_pack("{ss}", "Network", o->config_from));
	}
	json_put_str(ipam, "Driver", o->ipam_driver);
	if (put_pools(o, ipam, e) < 0 ||
		put_all(&o->ipam_options, "ipam-opt", ipam, "Options", e) < 0 ||
		put_all(&o->options, "opt", body, "Options", e) < 0 ||
		put_all(&o->labels, NULL, body, "Labels", e) < 0 ||
		engine_json(cli, "POST", "/networks/create", body, &answer, e) < 0) {
		return -1;
	}
	if (*json_str(answer, "Warning")) {
		fprintf(stderr, "WARNING: %s\n", json_str(answer, "Warning"));
	}
	printf("%s\n", json_str(answer, "Id"));
	return 0;
}

int command_network_create(struct cli *cli, int argc, char **argv)
{
	struct network_create o = {.ipv4 = true, .driver = "bridge", .ipam_driver = "default"};
	const struct flag flags[] = {
		{"attachable", 0, FLAG_BOOL, &o.attachable, NULL,
			"Enable manual container attachment"},
		{"aux-address", 0, FLAG_LIST, &o.aux, "map",
			"Auxiliary IPv4 or IPv6 addresses used by Network driver (default map[])"},
		{"config-from", 0, FLAG_STRING, &o.config_from, NULL, NULL},
		{"config-only", 0, FLAG_BOOL, &o.config_only, NULL, NULL},
		{"driver", 'd', FLAG_STRING, &o.driver, NULL,
			"Driver to manage the Network (default \"bridge\")"},
		{"gateway", 0, FLAG_LIST, &o.gateways, "strings",
			"IPv4 or IPv6 Gateway for the master subnet"},
		{"ingress", 0, FLAG_BOOL, &o.ingress, NULL, NULL},
		{"internal", 0, FLAG_BOOL, &o.internal, NULL,
			"Restrict external access to the network"},
		{"ip-range", 0, FLAG_LIST, &o.ranges, "strings",
			"Allocate container ip from a sub-range"},
		{"ipam-driver", 0, FLAG_STRING, &o.ipam_driver, NULL,
			"IP Address Management Driver (default \"default\")"},
		{"ipam-opt", 0, FLAG_LIST, &o.ipam_options, "map",
			"Set IPAM driver specific options (default map[])"},
		{"ipv4", 0, FLAG_BOOL, &o.ipv4, NULL,
			"Enable or disable IPv4 address assignment (default true)"},
		{"ipv6", 0, FLAG_BOOL, &o.ipv6, NULL, "Enable or disable IPv6 address assignment"},
		{"label", 0, FLAG_LIST, &o.labels, NULL, "Set metadata on a network"},
		{"opt", 'o', FLAG_LIST, &o.options, "map",
			"Set driver specific options (default map[])"},
		{"scope", 0, FLAG_STRING, &o.scope, NULL, "Control the network's scope"},
		{"subnet", 0, FLAG_LIST, &o.subnets, "strings",
			"Subnet in CIDR format that represents a network segment"},
		{0},
	};
	const struct syntax s = {
		"network create", "[OPTIONS] NETWORK", "Create a network", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		struct err e;
		status = create(cli, &o, argv[1], &e) < 0 ? cli_fail(&e) : 0;
	}
	struct strv *const lists[] = {&o.subnets, &o.gateways, &o.ranges, &o.aux, &o.labels,
		&o.options, &o.ipam_options, NULL};
	for (size_t i = 0; lists[i]; i++) {
		strv_deinit(lists[i]);
	}
	return status;
}

/* --- rm, connect, disconnect --- */

int command_network_rm(struct cli *cli, int argc, char **argv)
{
	bool force = false;
	const struct flag flags[] = {{"force", 'f', FLAG_BOOL, &force, NULL,
					     "Do not error if the network does not exist"},
		{0}};
	const struct syntax s = {
		"network rm", "NETWORK [NETWORK...]", "Remove one or more networks", 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	status = 0;
	for (int i = 1; i < argc; i++) {
		struct err e;
		if (engine_on(cli, "DELETE", "/networks/", argv[i], "", NULL, &e) == 0) {
			printf("%s\n", argv[i]);
		} else if (!force || e.kind != ERR_NOT_FOUND) {
			status = cli_fail(&e);
		}
	}
	return status;
}

struct connect {
	const char *ip, *ip6;
	int64_t gw_priority;
	struct strv aliases, links, options, link_local;
};

static int connect_with(struct cli *cli, const struct connect *o, char **argv, struct err *e)
{
	json_t *endpoint = json_object();
	scoped(json) json_t *body =
		json_pack("{ss so}", "Container", argv[2], "EndpointConfig", endpoint);
	json_t *ipam = json_object();
	json_put(endpoint, "IPAMConfig", ipam);
	if (o->ip) {
		json_put_str(ipam, "IPv4Address", o->ip);
	}
	if (o->ip6) {
		json_put_str(ipam, "IPv6Address", o->ip6);
	}
	if (o->link_local.n > 0) {
		json_put(ipam, "LinkLocalIPs", json_strv(&o->link_local));
	}
	if (o->gw_priority) {
		json_put(endpoint, "GwPriority", json_integer(o->gw_priority));
	}
	json_put(endpoint, "Aliases", json_strv(&o->aliases));
	json_put(endpoint, "Links", json_strv(&o->links));
	if (put_all(&o->options, "driver-opt", endpoint, "DriverOpts", e) < 0) {
		return -1;
	}
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/networks/", argv[1], "/connect");
	return engine_json(cli, "POST", buf_str(&path), body, NULL, e);
}

int command_network_connect(struct cli *cli, int argc, char **argv)
{
	struct connect o = {0};
	const struct flag flags[] = {
		{"alias", 0, FLAG_LIST, &o.aliases, "strings",
			"Add network-scoped alias for the container"},
		{"driver-opt", 0, FLAG_LIST, &o.options, "strings",
			"driver options for the network"},
		{"gw-priority", 0, FLAG_INT, &o.gw_priority, NULL,
			"Highest gw-priority provides the default gateway. Accepts positive and negative values."},
		{"ip", 0, FLAG_STRING, &o.ip, NULL, "IPv4 address (e.g., \"172.30.100.104\")"},
		{"ip6", 0, FLAG_STRING, &o.ip6, NULL, "IPv6 address (e.g., \"2001:db8::33\")"},
		{"link", 0, FLAG_LIST, &o.links, NULL, "Add link to another container"},
		{"link-local-ip", 0, FLAG_LIST, &o.link_local, "strings",
			"Add a link-local address for the container"},
		{0},
	};
	const struct syntax s = {"network connect", "[OPTIONS] NETWORK CONTAINER",
		"Connect a container to a network", 2, 2, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		struct err e;
		status = connect_with(cli, &o, argv, &e) < 0 ? cli_fail(&e) : 0;
	}
	strv_deinit(&o.aliases);
	strv_deinit(&o.link_local);
	strv_deinit(&o.links);
	strv_deinit(&o.options);
	return status;
}

int command_network_disconnect(struct cli *cli, int argc, char **argv)
{
	bool force = false;
	const struct flag flags[] = {{"force", 'f', FLAG_BOOL, &force, NULL,
					     "Force the container to disconnect from a network"},
		{0}};
	const struct syntax s = {"network disconnect", "[OPTIONS] NETWORK CONTAINER",
		"Disconnect a container from a network", 2, 2, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(json) json_t *body = json_pack("{ss sb}", "Container", argv[2], "Force", force);
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/networks/", argv[1], "/disconnect");
	return engine_json(cli, "POST", buf_str(&path), body, NULL, &e) < 0 ? cli_fail(&e) : 0;
}
