#include "worker/manifest.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"

void manifest_deinit(struct manifest *m)
{
	json_decref(m->entries);
	m->entries = NULL;
}

static int read_descriptor(const json_t *o, const char *what, struct descriptor *ret, struct err *e)
{
	const char *digest;
	int64_t size;
	if (!json_is_object(o)) {
		return err_set(e, ERR_INVALID, "invalid manifest: %s must be an object", what);
	}
	if (json_get_str(o, "digest", &digest, e) < 0 ||
		json_get_i64(o, "size", -1, &size, e) < 0) {
		return err_wrap(e, "invalid manifest: %s", what);
	}
	if (!ref_is_digest(digest)) {
		return err_set(e, ERR_INVALID,
			"invalid manifest: the digest of %s is not a SHA-256 digest", what);
	}
	if (size < 0) {
		return err_set(e, ERR_INVALID, "invalid manifest: the size of %s is missing", what);
	}
	const char *type = json_str(o, "mediaType");
	bool known = strlen(type) <= MANIFEST_MEDIA_TYPE_MAX;
	snprintf(ret->media_type, sizeof(ret->media_type), "%s", known ? type : "");
	snprintf(ret->digest, sizeof(ret->digest), "%s", digest);
	ret->size = size;
	return 0;
}

static bool is_index_type(const char *type)
{
	return strcmp(type, "application/vnd.oci.image.index.v1+json") == 0 ||
	       strcmp(type, "application/vnd.docker.distribution.manifest.list.v2+json") == 0;
}

static bool is_manifest_type(const char *type)
{
	return strcmp(type, "application/vnd.oci.image.manifest.v1+json") == 0 ||
	       strcmp(type, "application/vnd.docker.distribution.manifest.v2+json") == 0;
}

/* What the header and the document say, and what it looks like, must agree. */
static int check_type(const json_t *doc, const char *type, bool *ret_is_index, struct err *e)
{
	const char *inner = json_str(doc, "mediaType");
	bool index_shape = json_object_get(doc, "manifests") != NULL;
	bool manifest_shape = json_object_get(doc, "layers") || json_object_get(doc, "config");
	if (json_i64(doc, "schemaVersion", 2) == 1) {
		return err_set(e, ERR_INVALID,
			"the image is in the manifest format of 2015 (schema 1), which registries "
			"and engines have dropped; push it again with a newer tool");
	}
	if (index_shape == manifest_shape) {
		return err_set(e, ERR_INVALID,
			"invalid manifest: it must be either an image manifest or an index");
	}
	const char *claims[] = {type, inner};
	for (size_t i = 0; i < 2; i++) {
		if ((is_index_type(claims[i]) && !index_shape) ||
			(is_manifest_type(claims[i]) && !manifest_shape)) {
			return err_set(e, ERR_INVALID,
				"invalid manifest: it is not the %.100s that it claims to be",
				claims[i]);
		}
	}
	if (*inner && !is_index_type(inner) && !is_manifest_type(inner)) {
		return err_set(e, ERR_INVALID, "unsupported manifest media type %.100s", inner);
	}
	*ret_is_index = index_shape;
	return 0;
}

/* As moby's pull: what an image's configuration may call itself, also by mistake of registries of
 * long ago. */
static int check_image(const json_t *config, struct err *e)
{
	static const char *const images[] = {"application/vnd.oci.image.config.v1+json",
		"application/vnd.docker.container.image.v1+json", "application/octet-stream",
		"application/json", "text/html", ""};
	const char *type = json_str(config, "mediaType");
	for (size_t i = 0; i < sizeof(images) / sizeof(*images); i++) {
		if (strcmp(type, images[i]) == 0) {
			return 0;
		}
	}
	bool plugin = strcmp(type, "application/vnd.docker.plugin.v1+json") == 0;
	return err_set(e, ERR_INVALID,
		"Encountered remote \"%.100s\"(%s) when fetching: it is not a container image",
		type, plugin ? "plugin" : "unknown");
}

/* Layers that a registry may not give away, and such that only their makers can read. */
static int check_layer(const json_t *layer, struct err *e)
{
	const char *type = json_str(layer, "mediaType");
	if (strstr(type, ".foreign.") || strstr(type, ".nondistributable.") ||
		json_array_size(json_object_get(layer, "urls")) > 0) {
		return err_set(e, ERR_INVALID,
			"layer %.19s is foreign: its bytes are elsewhere than in the registry, and "
			"are not fetched from there",
			json_str(layer, "digest"));
	}
	if (text_ends(type, "+encrypted")) {
		return err_set(e, ERR_INVALID, "layer %.19s is encrypted (%.100s)",
			json_str(layer, "digest"), type);
	}
	return 0;
}

static int read_layers(const json_t *layers, struct manifest *m, struct err *e)
{
	if (json_array_size(layers) > LAYERS_MAX) {
		return err_set(e, ERR_INVALID,
			"the image has %zu layers; at most %d can be mounted",
			json_array_size(layers), LAYERS_MAX);
	}
	size_t i;
	json_t *item;
	json_array_foreach (layers, i, item) {
		if (read_descriptor(item, "a layer", &m->layers[i], e) < 0 ||
			check_layer(item, e) < 0) {
			return -1;
		}
		m->n_layers++;
	}
	return 0;
}

static int parse(const char *text, size_t n, const char *type, bool image, struct manifest *ret,
	struct err *e)
{
	scoped(json) json_t *doc = json_parse(text, n, "the manifest", e);
	if (!doc) {
		return -1;
	}
	if (!json_is_object(doc)) {
		return err_set(e, ERR_INVALID, "invalid manifest: it must be an object");
	}
	scoped(manifest) struct manifest m = {0};
	json_t *list;
	if (check_type(doc, type, &m.is_index, e) < 0 ||
		json_get_array(doc, m.is_index ? "manifests" : "layers", &list, e) < 0) {
		return -1;
	}
	if (m.is_index) {
		m.entries = json_incref(list);
	} else if ((image && check_image(json_object_get(doc, "config"), e) < 0) ||
		   read_descriptor(
			   json_object_get(doc, "config"), "the configuration", &m.config, e) < 0 ||
		   read_layers(list, &m, e) < 0) {
		return -1;
	}
	*ret = m;
	m.entries = NULL;
	return 0;
}

int manifest_parse(
	const char *text, size_t n, const char *type, struct manifest *ret, struct err *e)
{
	return parse(text, n, type, true, ret, e);
}

int manifest_parse_any(
	const char *text, size_t n, const char *type, struct manifest *ret, struct err *e)
{
	return parse(text, n, type, false, ret, e);
}

int manifest_select(const struct manifest *m, const struct platform *want, struct descriptor *ret,
	struct err *e)
{
	const json_t *best = NULL;
	int best_score = 0;
	size_t i;
	json_t *entry;
	json_array_foreach (m->entries, i, entry) {
		const json_t *p = json_object_get(entry, "platform");
		/* an index of one image may leave its platform out */
		int score = p ? platform_match(want, json_str(p, "os"), json_str(p, "architecture"),
					json_str(p, "variant"))
			      : json_array_size(m->entries) == 1;
		if (score > best_score) {
			best = entry;
			best_score = score;
		}
	}
	if (!best) {
		return err_set(e, ERR_NOT_FOUND,
			"no matching manifest for %s/%s%s%s in the manifest list entries", want->os,
			want->arch, *want->variant ? "/" : "", want->variant);
	}
	return read_descriptor(best, "an entry of the index", ret, e);
}
