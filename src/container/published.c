/* Exposed and published ports: what a request may say, and what inspect shows. */
#include <arpa/inet.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "container/internal.h"

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
	if (strcmp(proto, "sctp") == 0) {
		return err_set(e, ERR_INVALID,
			"cannot use port %.64s: SCTP is not supported, only tcp and udp", key);
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

int published_check(const struct container *c, struct err *e)
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
void published_expose(struct container *c)
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
json_t *published_wanted(const struct container *c)
{
	const json_t *bindings = json_object_get(c->host_config, "PortBindings");
	json_t *out = json_is_object(bindings) ? json_deep_copy(bindings) : json_object();
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

/* Published ports, and exposed ones with null. */
json_t *published_inspect(const struct container *c)
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

static bool publishes(const struct container *c, const char *port, const char *proto)
{
	const char *key;
	json_t *bindings;
	json_object_foreach (c->ports, key, bindings) {
		size_t i;
		json_t *b;
		json_array_foreach (bindings, i, b) {
			if (text_ends(key, proto) && strcmp(json_str(b, "HostPort"), port) == 0) {
				return true;
			}
		}
	}
	return false;
}

const struct container *container_publishing(const struct container_set *s, uint16_t port, bool udp)
{
	scoped(free) char *text = xasprintf("%u", port);
	map_each (s->by_id, const struct container, c) {
		if (container_is_running(c) && publishes(c, text, udp ? "/udp" : "/tcp")) {
			return c;
		}
	}
	return NULL;
}
