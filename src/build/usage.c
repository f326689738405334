/* What the build cache takes: one record for each layer that a step made. */
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "build/builder.h"
#include "image/image.h"

#define RECORD_ID_LEN 25 /* as BuildKit's */

static void note(void *arg, const char *diff_id)
{
	map_put(arg, diff_id, arg);
}

static struct map *layers_of_images(const struct builder *b)
{
	struct map *layers = map_new();
	size_t pos = 0;
	struct image *i;
	while ((i = image_next(b->d.images, &pos))) {
		for (size_t k = 0; k < i->layers.n; k++) {
			note(layers, i->layers.v[k]);
		}
	}
	return layers;
}

json_t *builder_usage(const struct builder *b)
{
	struct map *shared = layers_of_images(b);
	struct map *in_use = map_new();
	struct map *told = map_new();
	json_t *records = json_array();
	size_t pos = 0;
	const char *key;
	const struct cache_entry *c;
	session_pin_layers(b, note, in_use);
	while ((c = map_next(b->cache, &pos, &key))) {
		int64_t bytes = 0;
		if (!*c->diff_id || map_get(told, c->diff_id) ||
			!image_has_layer(b->d.images, c->diff_id, &bytes)) {
			continue;
		}
		note(told, c->diff_id);
		json_array_append_new(
			records, json_pack("{ss% sI sI sb sb}", "id", key, RECORD_ID_LEN, "size",
					 (json_int_t)bytes, "used", (json_int_t)c->used_ns,
					 "in_use", map_get(in_use, c->diff_id) != NULL, "shared",
					 map_get(shared, c->diff_id) != NULL));
	}
	map_free(shared);
	map_free(in_use);
	map_free(told);
	return records;
}
