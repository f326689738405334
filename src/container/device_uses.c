/* Which containers ask for a device of the machine, for those who look at it. */
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "container/internal.h"
#include "device/device.h"
#include "device/rule.h"

static json_t *use_of(const struct container *c, const char *rule, const char *path)
{
	return json_pack("{ss,ss,ss,ss,sb}", "container", c->id, "name", c->name, "rule", rule,
		"path", path, "running", container_is_running(c));
}

static void add_labels(const struct container *c, const struct device *d, json_t *uses)
{
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)container_labels(c), key, value) {
		struct err e;
		if (!text_starts(key, DEVICE_LABEL) || strv_has(&c->image_labels, key)) {
			continue;
		}
		const char *name = key + strlen(DEVICE_LABEL);
		scoped(device_rule_free) struct device_rule *r = device_rule_parse(
			name, json_is_string(value) ? json_string_value(value) : "", &e);
		if (r && device_rule_matches(r, d)) {
			scoped(free) char *path = device_rule_target(r, d);
			json_array_append_new(uses, use_of(c, name, path));
		}
	}
}

static void add_devices(const struct container *c, const struct device *d, json_t *uses)
{
	size_t i;
	json_t *o;
	json_array_foreach (json_object_get(c->host_config, "Devices"), i, o) {
		const char *host = json_str(o, "PathOnHost");
		const char *inside = json_str(o, "PathInContainer");
		if (strcmp(host, d->node) == 0 || device_has_link(d, host)) {
			json_array_append_new(uses, use_of(c, host, *inside ? inside : host));
		}
	}
}

json_t *container_device_uses(const struct container_set *s, const struct device *d)
{
	json_t *uses = json_array();
	size_t pos = 0;
	for (const struct container *c; (c = container_next(s, &pos));) {
		add_labels(c, d, uses);
		add_devices(c, d, uses);
	}
	return uses;
}
