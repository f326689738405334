#include "container/optional.h"

#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "container/plug.h"

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
	       waiting_is_bind_absent(c, m);
}

void optional_note(struct container *c)
{
	json_t *without = json_array();
	for (size_t i = 0; i < c->mounts.n; i++) {
		if (optional_mount_is_missing(c, &c->mounts.v[i])) {
			json_array_append_new(without, json_string(c->mounts.v[i].target));
		}
	}
	plug_note_missing(c, without);
	json_decref(c->without);
	c->without = without;
	if (json_array_size(without) > 0) {
		scoped(free) char *text = json_text(without);
		log_warning("container", "starts_without", "id", c->id, "paths", text, NULL);
	}
}
