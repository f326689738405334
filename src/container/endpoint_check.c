/* Whether a place on a network can be had as it is asked for (EndpointSettings), before it is. */
#include <string.h>

#include "base/json.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "container/internal.h"

#define LINK_LOCAL_MAX 16 /* of one place */
#define IFNAME_OPTION "com.docker.network.endpoint.ifname"

/* What is wrong with a wish for a place on a network, in moby's words (daemon
 * validateEndpointSettings): one to a line. */
static void collect_faults(const struct network *w, const json_t *config, struct strv *ret)
{
	static const struct {
		const char *key;
		uint8_t size;
	} kinds[] = {{"IPv4Address", IP4_BYTES}, {"IPv6Address", IP6_BYTES}};
	const json_t *ipam = json_object_get(config, "IPAMConfig");
	bool wished = false;
	bool has_subnet = true;
	for (size_t i = 0; i < 2; i++) {
		const char *text = json_str(ipam, kinds[i].key);
		struct ip a;
		if (*text && (ip_parse(text, &a) < 0 || a.size != kinds[i].size)) {
			strv_addf(ret, "invalid %.4s address: %.64s", kinds[i].key, text);
		}
		wished = wished || *text;
		has_subnet =
			has_subnet && (!*text || !w || network_has_user_subnet(w, kinds[i].size));
	}
	if (w && wished && !network_uses_dns(w)) {
		strv_add(ret,
			"user specified IP address is supported on user defined networks only");
	}
	if (wished && !has_subnet) {
		strv_add(ret,
			"user specified IP address is supported only when connecting to networks with user configured subnets");
	}
	if (w && json_array_size(json_object_get(config, "Aliases")) > 0 && !network_uses_dns(w)) {
		strv_add(ret,
			"network-scoped alias is supported only for containers in user defined networks");
	}
}

static int say_faults(const struct strv *faults, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (faults->n == 0) {
		return 0;
	}
	for (size_t i = 0; i < faults->n; i++) {
		buf_printf(&text, "\n%s%s", faults->n > 1 ? "* " : "", faults->v[i]);
	}
	return err_set(e, ERR_INVALID, "invalid endpoint settings:%s", buf_str(&text));
}

const char *endpoint_wanted_ifname(const json_t *config)
{
	const char *name = json_str(json_object_get(config, "DriverOpts"), IFNAME_OPTION);
	return *name ? name : NULL;
}

static int check_mac(const char *text, struct err *e)
{
	uint8_t mac[6];
	return *text && parse_mac(text, mac) < 0
		       ? err_set(e, ERR_INVALID, "invalid MAC address %.64s", text)
		       : 0;
}

int endpoint_check(const struct network *w, const json_t *config, struct err *e)
{
	const char *text;
	json_t *ipam;
	json_t *options;
	int64_t priority;
	scoped(strv) struct strv ignored = STRV_INIT;
	scoped(strv) struct strv faults = STRV_INIT;
	scoped(strv) struct strv local = STRV_INIT;
	if (json_get_strv(config, "Aliases", &ignored, e) < 0 ||
		json_get_strv(config, "Links", &ignored, e) < 0 ||
		json_get_object(config, "DriverOpts", &options, e) < 0 ||
		json_get_i64(config, "GwPriority", 0, &priority, e) < 0 ||
		json_get_str(config, "MacAddress", &text, e) < 0 ||
		json_get_object(config, "IPAMConfig", &ipam, e) < 0 ||
		json_get_str(ipam, "IPv4Address", &text, e) < 0 ||
		json_get_str(ipam, "IPv6Address", &text, e) < 0 ||
		(ipam && json_get_strv(ipam, "LinkLocalIPs", &local, e) < 0) ||
		check_mac(json_str(config, "MacAddress"), e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < local.n; i++) {
		struct ip a;
		if (ip_parse(local.v[i], &a) < 0 || i >= LINK_LOCAL_MAX) {
			strv_addf(&faults, "invalid link-local IP address: %.64s", local.v[i]);
		}
	}
	collect_faults(w, config, &faults);
	const char *ifname = endpoint_wanted_ifname(config);
	if (ifname && !network_ifname_is_valid(ifname)) {
		strv_addf(&faults, "invalid interface name: %.64s", ifname);
	}
	return say_faults(&faults, e);
}
