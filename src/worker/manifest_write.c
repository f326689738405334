/* The other direction of manifest.c: distribution's schema2 builder, with its indentation, because
 * a digest is of bytes. */
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "worker/manifest.h"

#define DOCKER_CONFIG "application/vnd.docker.container.image.v1+json"

static bool is_gzip(const char *media_type)
{
	return !*media_type || text_ends(media_type, "tar.gzip") ||
	       text_ends(media_type, "tar+gzip");
}

static bool all_gzip(const struct descriptor *layers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!is_gzip(layers[i].media_type)) {
			return false;
		}
	}
	return true;
}

/* What OCI calls it; what it has no word for stays. */
static const char *oci_layer_type(const char *media_type)
{
	if (is_gzip(media_type)) {
		return "application/vnd.oci.image.layer.v1.tar+gzip";
	}
	if (text_ends(media_type, "diff.tar.zstd")) {
		return "application/vnd.oci.image.layer.v1.tar+zstd";
	}
	if (text_ends(media_type, "diff.tar")) {
		return "application/vnd.oci.image.layer.v1.tar";
	}
	return media_type;
}

static void put_descriptor(
	struct buf *b, const char *indent, const char *type, const struct descriptor *d)
{
	buf_printf(b,
		"{\n%s   \"mediaType\": \"%s\",\n%s   \"size\": %lld,\n%s   \"digest\": \"%s\"\n%s}",
		indent, type, indent, (long long)d->size, indent, d->digest, indent);
}

void manifest_write(const struct descriptor *config, const struct descriptor *layers, size_t n,
	struct buf *ret, const char **ret_type)
{
	bool docker = all_gzip(layers, n);
	*ret_type = docker ? MANIFEST_DOCKER : MANIFEST_OCI;
	buf_clear(ret);
	buf_printf(ret, "{\n   \"schemaVersion\": 2,\n   \"mediaType\": \"%s\",\n   \"config\": ",
		*ret_type);
	put_descriptor(ret, "   ", docker ? DOCKER_CONFIG : MANIFEST_OCI_CONFIG, config);
	buf_puts(ret, ",\n   \"layers\": [");
	for (size_t i = 0; i < n; i++) {
		buf_puts(ret, i ? ",\n      " : "\n      ");
		put_descriptor(ret, "      ",
			docker ? MANIFEST_DOCKER_LAYER : oci_layer_type(layers[i].media_type),
			&layers[i]);
	}
	buf_puts(ret, n ? "\n   ]\n}" : "]\n}");
}

json_t *manifest_entry(const json_t *descriptor, const char *config, size_t n, struct err *e)
{
	static const char *const members[] = {
		"architecture", "os", "os.version", "os.features", "variant"};
	scoped(json) json_t *doc = json_parse(config, n, "the image configuration", e);
	if (!doc) {
		return NULL;
	}
	json_t *platform = json_object();
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		json_t *value = json_object_get(doc, members[i]);
		if (value) {
			json_put(platform, members[i], json_incref(value));
		}
	}
	json_t *entry = json_copy((json_t *)descriptor);
	json_put(entry, "platform", platform);
	return entry;
}

json_t *manifest_index(const char *type, json_t *entries)
{
	return json_pack("{si ss sO}", "schemaVersion", 2, "mediaType", type, "manifests", entries);
}
