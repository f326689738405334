/* Which containers ask for a device of the machine, for those who look at it. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "container/plug.h"
#include "container/storage.h"
#include "device/device.h"

static bool has(const struct container *c, const struct device *d, const char *path)
{
	const struct plugged *p = plugged_find(&c->plug->held, path);
	return container_is_running(c) && p && !p->gone && strcmp(p->node, d->node) == 0;
}

json_t *container_device_uses(const struct container_set *s, const struct device *d)
{
	json_t *uses = json_array();
	size_t pos = 0;
	for (const struct container *c; (c = container_next(s, &pos));) {
		for (size_t i = 0; c->plug && i < c->plug->wanted.n; i++) {
			const struct wanted *w = &c->plug->wanted.v[i];
			struct wanted_place place;
			if (wanted_find_place(w, d, plug_identity(c->plug, w), &place)) {
				json_array_append_new(
					uses, json_pack("{ss ss ss ss sb}", "container", c->id,
						      "name", c->name, "rule", w->key, "path",
						      place.path, "has", has(c, d, place.path)));
				free(place.path);
			}
		}
		storage_put_uses(c, d, uses);
	}
	return uses;
}
