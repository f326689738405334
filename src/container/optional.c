#include "container/optional.h"

#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/internal.h"

bool optional_names(const json_t *config, const char *target)
{
	const char *list = json_str(json_object_get(config, "Labels"), OPTIONAL_LABEL);
	size_t n = strlen(target);
	while (*list) {
		size_t entry = strcspn(list, ",");
		if (entry == n && strncmp(list, target, n) == 0) {
			return true;
		}
		list += entry + (list[entry] == ',');
	}
	return false;
}

bool optional_mount_is_missing(const struct container *c, const struct mount_point *m)
{
	return m->kind == MOUNT_BIND && optional_names(c->config, m->target) &&
	       waiting_is_absent(m->source);
}

json_t *optional_devices(const struct container *c)
{
	json_t *kept = json_array();
	size_t i;
	json_t *device;
	json_array_foreach (json_object_get(c->host_config, "Devices"), i, device) {
		const char *path = json_str(device, "PathOnHost");
		const char *inside = json_str(device, "PathInContainer");
		if (!waiting_is_absent(path) ||
			!optional_names(c->config, *inside ? inside : path)) {
			json_array_append(kept, device);
		}
	}
	return kept;
}

void optional_note(struct container *c)
{
	json_t *without = json_array();
	size_t i;
	json_t *device;
	scoped(json) json_t *kept = optional_devices(c);
	for (i = 0; i < c->mounts.n; i++) {
		if (optional_mount_is_missing(c, &c->mounts.v[i])) {
			json_array_append_new(without, json_string(c->mounts.v[i].target));
		}
	}
	json_array_foreach (json_object_get(c->host_config, "Devices"), i, device) {
		bool is_kept = false;
		for (size_t k = 0; k < json_array_size(kept); k++) {
			is_kept = is_kept || json_array_get(kept, k) == device;
		}
		if (!is_kept) {
			const char *inside = json_str(device, "PathInContainer");
			json_array_append_new(without,
				json_string(*inside ? inside : json_str(device, "PathOnHost")));
		}
	}
	json_decref(c->without);
	c->without = without;
	if (json_array_size(without) > 0) {
		scoped(free) char *text = json_text(without);
		log_warning("container", "starts_without", "id", c->id, "paths", text, NULL);
	}
}
