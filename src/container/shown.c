/* Config and HostConfig as inspect shows them: dockerd's encoder leaves some members out when they
 * are empty ("omitempty" in moby api/types/container), and writes some that mean nothing on Linux.
 */
#include <string.h>

#include "base/json.h"
#include "container/internal.h"

static bool is_empty(const json_t *v)
{
	return json_is_null(v) || json_is_false(v) ||
	       (json_is_string(v) && json_string_length(v) == 0) ||
	       (json_is_array(v) && json_array_size(v) == 0) ||
	       (json_is_object(v) && json_object_size(v) == 0);
}

static void drop_empty(json_t *o, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_object_get(o, names[i]);
		if (v && is_empty(v)) {
			json_object_del(o, names[i]);
		}
	}
}

json_t *shown_config(const struct container *c)
{
	static const char *const optional[] = {"ExposedPorts", "Healthcheck", "MacAddress",
		"NetworkDisabled", "Shell", "StopSignal", "StopTimeout"};
	json_t *o = json_copy(c->config);
	drop_empty(o, optional, sizeof(optional) / sizeof(*optional));
	return o;
}

json_t *shown_host_config(const struct container *c)
{
	static const char *const optional[] = {
		"Annotations", "Mounts", "StorageOpt", "Sysctls", "Tmpfs"};
	static const char *const windows[] = {
		"CpuCount", "CpuPercent", "IOMaximumBandwidth", "IOMaximumIOps"};
	json_t *o = json_copy(c->host_config);
	drop_empty(o, optional, sizeof(optional) / sizeof(*optional));
	if (json_is_null(json_object_get(o, "Init"))) { /* false is shown */
		json_object_del(o, "Init");
	}
	for (size_t i = 0; i < sizeof(windows) / sizeof(*windows); i++) {
		json_put(o, windows[i], json_integer(0));
	}
	if (json_is_null(json_object_get(o, "ConsoleSize"))) {
		json_put(o, "ConsoleSize", json_pack("[ii]", 0, 0));
	}
	json_put(o, "Links", links_inspect(c));
	return o;
}
