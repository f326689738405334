/* The IPAM part of a network's document: subnets, ranges, gateways, addresses left out. The words
 * of refusals are moby's (api/types/network/ipam.go ValidateIPAM). */
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "network/internal.h"

static const char refusal[] = "invalid network config:\n";

/* Everything that is wrong with a request, one to a line. */
struct faults {
	struct strv list;
};

static int faults_say(const struct faults *f, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (f->list.n == 0) {
		return 0;
	}
	for (size_t i = 0; i < f->list.n; i++) {
		buf_printf(&text, "%s%s%s", i ? "\n" : "", f->list.n > 1 ? "* " : "", f->list.v[i]);
	}
	return err_set(e, ERR_INVALID, "%s%s", refusal, buf_str(&text));
}

/* An address that must lie in the subnet; "" is none. */
static void check_address(struct faults *f, const char *what, const char *name, const char *text,
	struct ip_range subnet)
{
	char parent[IP_TEXT_MAX];
	struct ip a;
	if (!*text) {
		return;
	}
	if (ip_parse(text, &a) < 0) {
		strv_addf(&f->list, "invalid %s %s: invalid address", what, name);
	} else if (a.size != subnet.base.size) {
		strv_addf(&f->list, "invalid %s %s: parent subnet is an %s block", what, name,
			subnet.base.size == IP4_BYTES ? "IPv4" : "IPv6");
	} else if (!ip_contains(subnet, a)) {
		strv_addf(&f->list, "invalid %s %s: parent subnet %s doesn't contain this address",
			what, name, ip_format_range(subnet, parent));
	}
}

static void check_range(struct faults *f, const char *text, struct ip_range subnet)
{
	char other[IP_TEXT_MAX];
	struct ip_range r;
	struct ip a;
	if (!*text) {
		return;
	}
	if (ip_parse_range(text, &r, &a) < 0) {
		strv_addf(&f->list, "invalid ip-range %s: invalid CIDR block notation", text);
	} else if (a.size != subnet.base.size) {
		strv_addf(&f->list, "invalid ip-range %s: parent subnet is an %s block", text,
			subnet.base.size == IP4_BYTES ? "IPv4" : "IPv6");
	} else if (r.len < subnet.len) {
		strv_addf(&f->list,
			"invalid ip-range %s: CIDR block is bigger than its parent subnet %s", text,
			ip_format_range(subnet, other));
	} else if (!ip_equal(a, r.base)) {
		strv_addf(&f->list, "invalid ip-range %s: it should be %s", text,
			ip_format_range(r, other));
	} else if (!ip_contains(subnet, r.base)) {
		strv_addf(&f->list,
			"invalid ip-range %s: parent subnet %s doesn't contain ip-range", text,
			ip_format_range(subnet, other));
	}
}

static void check_row(struct faults *f, const json_t *row, bool ipv6)
{
	const char *subnet = json_str(row, "Subnet");
	char other[IP_TEXT_MAX];
	struct ip_range r;
	struct ip a;
	if (ip_parse_range(subnet, &r, &a) < 0) {
		strv_addf(&f->list, "invalid subnet %s: invalid CIDR block notation", subnet);
		return;
	}
	if (a.size == IP6_BYTES && !ipv6) {
		return; /* kept, shown, and without effect */
	}
	if (!ip_equal(a, r.base)) {
		strv_addf(&f->list, "invalid subnet %s: it should be %s", subnet,
			ip_format_range(r, other));
	}
	check_range(f, json_str(row, "IPRange"), r);
	check_address(f, "gateway", json_str(row, "Gateway"), json_str(row, "Gateway"), r);
	const char *key;
	json_t *value;
	json_object_foreach (json_object_get(row, "AuxiliaryAddresses"), key, value) {
		check_address(f, "auxiliary address", key, json_string_value(value), r);
	}
}

int network_check_strings(const json_t *o, const char *what, struct err *e)
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

/* One entry of IPAM.Config; texts go out as they came in, as dockerd does. */
static int read_row(const json_t *row, json_t **ret, struct err *e)
{
	static const char *const keys[] = {"Subnet", "IPRange", "Gateway"};
	json_t *aux;
	if (!json_is_object(row)) {
		return err_set(e, ERR_INVALID, "an entry of IPAM.Config must be an object");
	}
	json_t *o = json_object();
	for (size_t i = 0; i < 3; i++) {
		const char *text;
		if (json_get_str(row, keys[i], &text, e) < 0) {
			json_decref(o);
			return err_wrap(e, "IPAM.Config");
		}
		if (text && (*text || i == 0)) {
			json_put_str(o, keys[i], text);
		}
	}
	if (json_get_object(row, "AuxiliaryAddresses", &aux, e) < 0 ||
		network_check_strings(aux, "AuxiliaryAddresses", e) < 0) {
		json_decref(o);
		return err_wrap(e, "IPAM.Config");
	}
	if (json_object_size(aux) > 0) {
		json_put(o, "AuxiliaryAddresses", json_deep_copy(aux));
	}
	*ret = o;
	return 0;
}

static int read_rows(const json_t *config, bool ipv6, json_t **ret, struct err *e)
{
	scoped(json) json_t *rows = json_array();
	struct faults f = {0};
	size_t i;
	json_t *row;
	if (json_array_size(config) > NETWORK_SUBNETS_MAX) {
		return err_set(e, ERR_INVALID, "%sa network has at most %d subnets", refusal,
			NETWORK_SUBNETS_MAX);
	}
	json_array_foreach (config, i, row) {
		json_t *kept;
		if (read_row(row, &kept, e) < 0) {
			strv_deinit(&f.list);
			return -1;
		}
		json_array_append_new(rows, kept);
		check_row(&f, kept, ipv6);
	}
	int r = faults_say(&f, e);
	strv_deinit(&f.list);
	*ret = r < 0 ? NULL : TAKE(rows);
	return r;
}

int network_spec_read_ipam(const json_t *body, json_t **ret, struct err *e)
{
	json_t *ipam;
	json_t *config = NULL;
	json_t *options = NULL;
	json_t *rows;
	const char *driver = NULL;
	if (json_get_object(body, "IPAM", &ipam, e) < 0) {
		return -1;
	}
	if (ipam && (json_get_array(ipam, "Config", &config, e) < 0 ||
			    json_get_str(ipam, "Driver", &driver, e) < 0 ||
			    json_get_object(ipam, "Options", &options, e) < 0 ||
			    network_check_strings(options, "IPAM.Options", e) < 0)) {
		return err_wrap(e, "IPAM");
	}
	if (driver && *driver && strcmp(driver, "default") != 0) {
		return err_set(e, ERR_NOT_FOUND, "plugin \"%.64s\" not found", driver);
	}
	if (read_rows(config, json_bool(body, "EnableIPv6"), &rows, e) < 0) {
		return -1;
	}
	json_t *o = json_object();
	json_put_str(o, "Driver", "default");
	json_put(o, "Options", options ? json_deep_copy(options) : json_null());
	json_put(o, "Config", rows);
	*ret = o;
	return 0;
}

/* --- from the document to the fields: what was checked, or made by us --- */

static int parse_row(const json_t *row, struct ipam *ret, struct err *e)
{
	const char *range = json_str(row, "IPRange");
	const char *gateway = json_str(row, "Gateway");
	struct ip_range subnet;
	if (ip_parse_range(json_str(row, "Subnet"), &subnet, NULL) < 0) {
		return err_set(
			e, ERR_INVALID, "%sinvalid subnet %s", refusal, json_str(row, "Subnet"));
	}
	*ret = ipam_of(subnet);
	if ((*range && ip_parse_range(range, &ret->range, NULL) < 0) ||
		(*gateway && ip_parse(gateway, &ret->gateway) < 0)) {
		return err_set(e, ERR_INVALID, "%sinvalid range %s or gateway %s", refusal, range,
			gateway);
	}
	return 0;
}

static bool has_overlap(const struct network *w, const struct ipam *s)
{
	for (size_t i = 0; i < w->subnets_n; i++) {
		if (ip_overlap(w->subnets[i].subnet, s->subnet)) {
			return true;
		}
	}
	return false;
}

int network_spec_parse_ipam(struct network *w, struct err *e)
{
	size_t of_family[2] = {0};
	size_t i;
	json_t *row;
	w->subnets_n = 0;
	json_array_foreach (json_object_get(json_object_get(w->doc, "IPAM"), "Config"), i, row) {
		struct ipam s;
		if (!*json_str(row, "Subnet")) {
			continue; /* still to be chosen */
		}
		if (parse_row(row, &s, e) < 0) {
			return -1;
		}
		bool six = s.subnet.base.size == IP6_BYTES;
		if (six && !w->ipv6) {
			continue;
		}
		if (w->subnets_n == NETWORK_SUBNETS_MAX || has_overlap(w, &s)) {
			return err_set(e, ERR_DENIED,
				"Pool overlaps with other one on this address space");
		}
		if (++of_family[six] > 1 && w->driver == DRIVER_BRIDGE) {
			return err_set(
				e, ERR_DENIED, "bridge driver doesn't support multiple subnets");
		}
		w->subnets[w->subnets_n++] = s;
	}
	return 0;
}
