#include "worker/layout_docker.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "codec/ref.h"
#include "worker/layout_blobs.h"

void layout_docker_init(struct layout_docker *d, const struct layout_blobs *blobs)
{
	*d = (struct layout_docker){blobs, json_array(), json_object()};
}

void layout_docker_deinit(struct layout_docker *d)
{
	json_decref(d->manifest);
	json_decref(d->repositories);
}

static void add_repository(struct layout_docker *d, const struct ref *r, const char *top)
{
	char name[REF_TEXT_MAX];
	ref_familiar_name(r, name);
	json_t *tags = json_object_get(d->repositories, name);
	if (!tags) {
		tags = json_object();
		json_put(d->repositories, name, tags);
	}
	json_put_str(tags, r->tag, *top ? top + strlen("sha256:") : "");
}

/* The names as manifest.json has them, or null. */
static json_t *docker_names(struct layout_docker *d, const json_t *image, const char *top)
{
	static const char *const kinds[] = {"references", "index_references"};
	json_t *names = json_array();
	for (size_t k = 0; k < 2; k++) {
		size_t i;
		json_t *item;
		json_array_foreach (json_object_get(image, kinds[k]), i, item) {
			struct ref r;
			struct err ignored;
			char familiar[REF_TEXT_MAX];
			if (ref_parse(json_string_value(item), &r, &ignored) == 0) {
				json_array_append_new(
					names, json_string(ref_familiar(&r, familiar)));
				add_repository(d, &r, top);
			}
		}
	}
	if (json_array_size(names) == 0) {
		json_decref(names);
		return json_null();
	}
	return names;
}

static const char *saved_parent(const struct layout_docker *d, const json_t *config)
{
	const char *parent = json_str(config, "parent");
	return *parent && layout_blobs_find(d->blobs, parent) ? parent : "";
}

static int by_diff_id(const void *a, const void *b)
{
	return strcmp(
		((const struct layout_blob *)a)->diff_id, ((const struct layout_blob *)b)->diff_id);
}

/* Of manifest.json: Go prints a map with its keys in order. */
static json_t *layer_sources(const struct layout_docker *d, const json_t *image)
{
	size_t n = json_array_size(json_object_get(image, "layers"));
	scoped(free) struct layout_blob *sorted = xnew_array(struct layout_blob, n + 1);
	json_t *sources = json_object();
	for (size_t i = 0; i < n; i++) {
		sorted[i] = *layout_blobs_find_layer(d->blobs,
			json_str(json_array_get(json_object_get(image, "layers"), i), "diff_id"));
	}
	qsort(sorted, n, sizeof(*sorted), by_diff_id);
	for (size_t i = 0; i < n; i++) {
		json_put(sources, sorted[i].diff_id,
			json_pack("{ss sI ss}", "mediaType", layout_blobs_layer_type(d->blobs),
				"size", (json_int_t)sorted[i].size, "digest", sorted[i].digest));
	}
	return sources;
}

static json_t *layer_names(const struct layout_docker *d, const json_t *image)
{
	char name[LAYOUT_NAME_MAX];
	size_t i;
	json_t *layer;
	json_t *names = json_array();
	json_array_foreach (json_object_get(image, "layers"), i, layer) {
		const struct layout_blob *b =
			layout_blobs_find_layer(d->blobs, json_str(layer, "diff_id"));
		json_array_append_new(names, json_string(layout_blob_name(b->digest, name)));
	}
	return names;
}

void layout_docker_add(struct layout_docker *d, const json_t *image, const json_t *config)
{
	const json_t *layers = json_object_get(image, "layers");
	size_t n = json_array_size(layers);
	const char *top = n > 0 ? json_str(json_array_get(layers, n - 1), "diff_id") : "";
	const char *parent = saved_parent(d, config);
	char name[LAYOUT_NAME_MAX];
	json_t *item =
		json_pack("{ss so so}", "Config", layout_blob_name(json_str(image, "id"), name),
			"RepoTags", docker_names(d, image, top), "Layers", layer_names(d, image));
	if (*parent) {
		json_put_str(item, "Parent", parent);
	}
	json_put(item, "LayerSources", layer_sources(d, image));
	json_array_append_new(d->manifest, item);
}
