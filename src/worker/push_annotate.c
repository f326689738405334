#include "worker/push_annotate.h"

#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "worker/manifest.h"

static json_t *pairs_of(const json_t *annotations, const char *kind, const char *image_id)
{
	json_t *of = image_id ? json_object_get(json_object_get(annotations, "images"), image_id)
			      : (json_t *)annotations;
	json_t *pairs = json_object_get(of, kind);
	return json_object_size(pairs) > 0 ? pairs : NULL;
}

bool push_is_annotated(const json_t *annotations, const char *image_id)
{
	return pairs_of(annotations, "manifest", image_id) != NULL;
}

bool push_annotate_part(
	const json_t *annotations, const char *kind, const char *image_id, json_t *part)
{
	json_t *pairs = pairs_of(annotations, kind, image_id);
	if (!pairs) {
		return false;
	}
	json_put(part, "annotations", json_deep_copy(pairs));
	return true;
}

/* Docker's names of the same bytes. */
static void use_oci_type(json_t *descriptor)
{
	static const char *const types[][2] = {{MANIFEST_DOCKER, MANIFEST_OCI},
		{"application/vnd.docker.container.image.v1+json", MANIFEST_OCI_CONFIG},
		{MANIFEST_DOCKER_LAYER, MANIFEST_OCI_LAYER "+gzip"}};
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		if (strcmp(json_str(descriptor, "mediaType"), types[i][0]) == 0) {
			json_put_str(descriptor, "mediaType", types[i][1]);
		}
	}
}

void push_annotate(const json_t *annotations, const char *image_id, struct buf *text)
{
	struct err ignored;
	size_t i;
	json_t *layer;
	scoped(json) json_t *doc = json_parse(buf_str(text), text->len, "a manifest", &ignored);
	use_oci_type(doc);
	use_oci_type(json_object_get(doc, "config"));
	json_array_foreach (json_object_get(doc, "layers"), i, layer) {
		use_oci_type(layer);
	}
	push_annotate_part(annotations, "manifest", image_id, doc);
	scoped(free) char *whole = json_text(doc);
	buf_clear(text);
	buf_puts(text, whole);
}
