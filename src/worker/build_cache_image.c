/* The classic builder's "cachefrom": once it is given, a step comes from the cache only where one
 * of the images that it names, and that are here, goes on with the same layer (moby
 * image/cache/cache.go, ImageCache.GetCache). What is not here is passed over in silence, as there.
 */
#include <string.h>

#include "base/json.h"
#include "worker/build.h"
#include "worker/build_cache_remote.h"
#include "worker/rpc.h"

void build_cache_image_open(struct build *b, const char *name)
{
	struct err ignored;
	const char *platform = b->targets[0].platform;
	if (!b->cache_images) {
		b->cache_images = json_array();
	}
	json_t *image = rpc_ask(b->rpc,
		json_pack("{ss ss ss sb}", "ask", "image", "name", name, "platform", platform,
			"local", 1),
		&ignored);
	if (image) {
		json_array_append_new(b->cache_images, image);
	}
}

/* Whether the image stands on what the stage has so far. */
static bool begins_with(const json_t *image, const struct strv *layers)
{
	const json_t *own = json_object_get(image, "layers");
	for (size_t k = 0; k < layers->n; k++) {
		const char *diff_id = json_string_value(json_array_get(own, k));
		if (!diff_id || strcmp(diff_id, layers->v[k]) != 0) {
			return false;
		}
	}
	return true;
}

bool build_cache_image_allows(const struct build_step *t, const char *diff_id)
{
	size_t i;
	json_t *image;
	json_array_foreach (t->b->cache_images, i, image) {
		const char *next = json_string_value(
			json_array_get(json_object_get(image, "layers"), t->s->layers.n));
		if (next && strcmp(next, diff_id) == 0 && begins_with(image, &t->s->layers)) {
			return true;
		}
	}
	return !t->b->cache_images;
}

bool build_cache_image_says(const struct build_step *t, const char *created_by)
{
	size_t n = json_array_size(json_object_get(t->s->c.image, "history"));
	size_t i;
	json_t *image;
	json_array_foreach (t->s->no_cache ? NULL : t->b->cache_images, i, image) {
		const json_t *history =
			json_object_get(json_object_get(image, "config"), "history");
		const json_t *entry = json_array_get(history, n);
		if (strcmp(json_str(entry, "created_by"), created_by) == 0 &&
			json_bool(entry, "empty_layer") && begins_with(image, &t->s->layers)) {
			return true;
		}
	}
	return false;
}
