/* What the daemon's configuration says about containers that do not say it themselves: put into
 * HostConfig at create. */
#include <string.h>

#include "base/json.h"
#include "base/parse.h"
#include "container/internal.h"

static void default_text(json_t *host, const char *key, const json_t *settings, const char *setting)
{
	if (!*json_str(host, key) && *json_str(settings, setting)) {
		json_put_str(host, key, json_str(settings, setting));
	}
}

static void default_list(json_t *host, const char *key, const json_t *settings, const char *setting)
{
	json_t *list = json_object_get(settings, setting);
	if (json_array_size(json_object_get(host, key)) == 0 && json_array_size(list) > 0) {
		json_put(host, key, json_deep_copy(list));
	}
}

static void default_shm_size(json_t *host, const json_t *settings)
{
	const json_t *size = json_object_get(settings, "default-shm-size");
	int64_t bytes = json_integer_value(size);
	if (json_is_string(size)) {
		(void)parse_size(json_string_value(size), &bytes); /* checked by config_check */
	}
	if (bytes > 0 && json_i64(host, "ShmSize", 0) == 0) {
		json_put(host, "ShmSize", json_integer(bytes));
	}
}

static bool has_limit(const json_t *list, const char *name)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		if (strcmp(json_str(item, "Name"), name) == 0) {
			return true;
		}
	}
	return false;
}

static void default_ulimits(json_t *host, const json_t *settings)
{
	const char *name;
	json_t *limit;
	json_object_foreach (json_object_get(settings, "default-ulimits"), name, limit) {
		json_t *list = json_object_get(host, "Ulimits");
		if (!json_is_array(list)) {
			json_put(host, "Ulimits", list = json_array());
		}
		if (!has_limit(list, name)) {
			json_t *copy = json_deep_copy(limit);
			json_put_str(copy, "Name", name);
			json_array_append_new(list, copy);
		}
	}
}

/* Only what the container says itself comes before the daemon's word. */
static void default_no_new_privileges(json_t *host, const json_t *settings)
{
	json_t *list = json_object_get(host, "SecurityOpt");
	size_t i;
	json_t *item;
	if (!json_bool(settings, "no-new-privileges")) {
		return;
	}
	json_array_foreach (list, i, item) {
		if (text_starts(json_string_value(item), "no-new-privileges")) {
			return;
		}
	}
	if (!json_is_array(list)) {
		json_put(host, "SecurityOpt", list = json_array());
	}
	json_array_append_new(list, json_string("no-new-privileges"));
}

void container_defaults(json_t *host, const json_t *settings)
{
	const char *network = json_str(host, "NetworkMode");
	default_shm_size(host, settings);
	default_text(host, "IpcMode", settings, "default-ipc-mode");
	default_text(host, "CgroupnsMode", settings, "default-cgroupns-mode");
	default_ulimits(host, settings);
	default_no_new_privileges(host, settings);
	if (json_is_null(json_object_get(host, "Init")) && json_bool(settings, "init")) {
		json_put(host, "Init", json_true());
	}
	if (strcmp(network, "host") != 0 && !text_starts(network, "container:")) {
		default_list(host, "DnsSearch", settings, "dns-search");
		default_list(host, "DnsOptions", settings, "dns-opts");
	}
}
