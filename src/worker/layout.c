#include "worker/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "codec/ref.h"
#include "tree/stream.h"
#include "worker/archive_writer.h"
#include "worker/content.h"
#include "worker/layout_blobs.h"
#include "worker/layout_docker.h"
#include "worker/manifest.h"

struct layout {
	const json_t *request;
	struct layout_blobs blobs;
	struct layout_docker docker;
	json_t *index;     /* "manifests" of index.json */
	json_t *texts;     /* keeps the manifests' texts */
	json_t *manifests; /* image id -> descriptor */
};

/* --- manifests --- */

static json_t *descriptor(const char *type, const char *digest, int64_t size)
{
	return json_pack(
		"{ss ss sI}", "mediaType", type, "digest", digest, "size", (json_int_t)size);
}

/* of: the request or one of its images. */
static void annotate(const json_t *of, const char *which, json_t *doc)
{
	json_t *pairs = json_object_get(json_object_get(of, "annotations"), which);
	if (json_object_size(pairs) == 0) {
		return;
	}
	json_t *all = json_object_get(doc, "annotations");
	if (!all) {
		json_put(doc, "annotations", all = json_object());
	}
	json_object_update(all, pairs);
}

/* A document of ours among the blobs; its descriptor. */
static json_t *add_document(struct layout *l, const char *type, json_t *take_doc)
{
	scoped(json) json_t *doc = take_doc;
	scoped(free) char *text = json_text(doc);
	json_t *kept = json_string(text);
	char digest[STREAM_DIGEST_LEN + 1];
	json_array_append_new(l->texts, kept);
	layout_blobs_add_text(&l->blobs, json_string_value(kept), json_string_length(kept), digest);
	return descriptor(type, digest, (int64_t)json_string_length(kept));
}

/* The OCI manifest of an image; its descriptor. */
static json_t *add_manifest(struct layout *l, const json_t *image, const char *config_digest)
{
	size_t i;
	json_t *layer;
	json_t *layers = json_array();
	json_array_foreach (json_object_get(image, "layers"), i, layer) {
		const struct layout_blob *b =
			layout_blobs_find_layer(&l->blobs, json_str(layer, "diff_id"));
		json_array_append_new(
			layers, descriptor(layout_blobs_layer_type(&l->blobs), b->digest, b->size));
	}
	const char *type = json_str(image, "config_type");
	json_t *doc =
		json_pack("{si ss so so}", "schemaVersion", 2, "mediaType", MANIFEST_OCI, "config",
			descriptor(*type ? type : MANIFEST_OCI_CONFIG, config_digest,
				layout_blobs_find(&l->blobs, config_digest)->size),
			"layers", layers);
	annotate(image, "manifest", doc);
	return add_document(l, MANIFEST_OCI, doc);
}

/* One entry of index.json for each name, or one without. */
static void add_entries(struct layout *l, const json_t *references, const json_t *of,
	const char *kind, const json_t *plain)
{
	size_t i;
	json_t *item;
	json_array_foreach (references, i, item) {
		struct ref r;
		struct err ignored;
		const char *canonical = json_string_value(item);
		if (ref_parse(canonical, &r, &ignored) < 0) {
			continue;
		}
		json_t *named = json_copy((json_t *)plain);
		json_put(named, "annotations",
			json_pack("{ss ss}", "io.containerd.image.name", canonical,
				"org.opencontainers.image.ref.name", r.tag));
		annotate(of, kind, named);
		json_array_append_new(l->index, named);
	}
	if (json_array_size(references) == 0) {
		json_t *alone = json_copy((json_t *)plain);
		annotate(of, kind, alone);
		json_array_append_new(l->index, alone);
	}
}

static int add_blobs(struct layout *l, const json_t *image, struct err *e)
{
	const json_t *config = json_object_get(image, "config");
	char digest[STREAM_DIGEST_LEN + 1];
	size_t i;
	json_t *layer;
	if (json_array_size(json_object_get(image, "layers")) == 0 &&
		!json_bool(l->request, "empty")) {
		return err_set(e, ERR_SYSTEM, "empty export - not implemented"); /* as dockerd */
	}
	json_array_foreach (json_object_get(image, "layers"), i, layer) {
		if (layout_blobs_add_layer(&l->blobs, layer, e) < 0) {
			return -1;
		}
	}
	layout_blobs_add_text(
		&l->blobs, json_string_value(config), json_string_length(config), digest);
	return 0;
}

static int describe_image(struct layout *l, const json_t *image, struct err *e)
{
	const char *id = json_str(image, "id");
	const json_t *text = json_object_get(image, "config");
	const json_t *references = json_object_get(image, "references");
	scoped(json) json_t *config =
		json_parse(json_string_value(text), json_string_length(text), "the image", e);
	if (!config) {
		return -1;
	}
	json_t *own = add_manifest(l, image, id);
	json_put(l->manifests, id, own);
	if (!json_bool(image, "member") || json_array_size(references) > 0) {
		add_entries(l, references, image, "manifest-descriptor", own);
	}
	layout_docker_add(&l->docker, image, config);
	return 0;
}

static const json_t *find_image(const struct layout *l, const char *id)
{
	size_t i;
	json_t *image;
	json_array_foreach (json_object_get(l->request, "images"), i, image) {
		if (strcmp(json_str(image, "id"), id) == 0) {
			return image;
		}
	}
	return NULL;
}

static int describe_index(struct layout *l, const json_t *index, struct err *e)
{
	scoped(json) json_t *manifests = json_array();
	size_t i;
	json_t *id;
	json_array_foreach (json_object_get(index, "images"), i, id) {
		const json_t *image = find_image(l, json_string_value(id));
		const json_t *text = json_object_get(image, "config");
		const json_t *manifest = layout_manifest(l, json_string_value(id));
		json_t *entry = manifest ? manifest_entry(manifest, json_string_value(text),
						   json_string_length(text), e)
					 : NULL;
		if (!entry) {
			return manifest
				       ? -1
				       : err_set(e, ERR_SYSTEM, "an image of the index is missing");
		}
		annotate(image, "manifest-descriptor", entry);
		json_array_append_new(manifests, entry);
	}
	json_t *doc = manifest_index(MANIFEST_OCI_INDEX, manifests);
	annotate(l->request, "index", doc);
	scoped(json) json_t *own = add_document(l, MANIFEST_OCI_INDEX, doc);
	add_entries(l, json_object_get(index, "references"), l->request, "index-descriptor", own);
	return 0;
}

static int describe(struct layout *l, struct err *e)
{
	size_t i;
	json_t *item;
	json_t *images = json_object_get(l->request, "images");
	json_array_foreach (images, i, item) {
		if (add_blobs(l, item, e) < 0) {
			return -1;
		}
	}
	json_array_foreach (images, i, item) {
		if (describe_image(l, item, e) < 0) {
			return -1;
		}
	}
	json_array_foreach (json_object_get(l->request, "indexes"), i, item) {
		if (describe_index(l, item, e) < 0) {
			return -1;
		}
	}
	layout_blobs_sort(&l->blobs);
	return 0;
}

struct layout *layout_new(const json_t *request, struct err *e)
{
	scoped(layout_free) struct layout *l = xnew(struct layout);
	l->request = request;
	l->index = json_array();
	l->texts = json_array();
	l->manifests = json_object();
	layout_docker_init(&l->docker, &l->blobs);
	if (layout_blobs_init(&l->blobs, request, e) < 0 || describe(l, e) < 0) {
		return NULL;
	}
	return TAKE(l);
}

void layout_free(struct layout *l)
{
	if (!l) {
		return;
	}
	layout_blobs_deinit(&l->blobs);
	layout_docker_deinit(&l->docker);
	json_decref(l->index);
	json_decref(l->texts);
	json_decref(l->manifests);
	free(l);
}

const json_t *layout_entries(const struct layout *l)
{
	return l->index;
}

json_t *layout_index(const struct layout *l)
{
	return manifest_index(MANIFEST_OCI_INDEX, l->index);
}

const json_t *layout_manifest(const struct layout *l, const char *image_id)
{
	return json_object_get(l->manifests, image_id);
}

bool layout_blob(const struct layout *l, size_t k, const char **ret_digest, int64_t *ret_size)
{
	if (k >= l->blobs.n) {
		return false;
	}
	*ret_digest = l->blobs.v[k].digest;
	*ret_size = l->blobs.v[k].size;
	return true;
}

struct stream *layout_blob_open(const struct layout *l, size_t k, struct err *e)
{
	return layout_blobs_open(&l->blobs, k, e);
}

int layout_put(const struct layout *l, const struct content_store *to, struct err *e)
{
	for (size_t k = 0; k < l->blobs.n; k++) {
		const struct layout_blob *b = &l->blobs.v[k];
		scoped(stream_free) struct stream *s = layout_blob_open(l, k, e);
		if (!s || content_store_put(to, b->digest, b->size, s, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- the archive --- */

static int write_blobs(const struct layout *l, struct archive_writer *w, struct err *e)
{
	if (l->blobs.n > 0 && (archive_writer_dir(w, "blobs/", e) < 0 ||
				      archive_writer_dir(w, "blobs/sha256/", e) < 0)) {
		return -1;
	}
	for (size_t i = 0; i < l->blobs.n; i++) {
		const struct layout_blob *b = &l->blobs.v[i];
		char name[LAYOUT_NAME_MAX];
		scoped(stream_free) struct stream *s = layout_blob_open(l, i, e);
		if (!s || archive_writer_stream(
				  w, layout_blob_name(b->digest, name), s, b->size, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int write_json(struct archive_writer *w, const char *name, const json_t *doc, size_t flags,
	const char *end, struct err *e)
{
	scoped(free) char *text = json_dumps(doc, JSON_COMPACT | flags);
	scoped(free) char *line = xasprintf("%s%s", text, end);
	return archive_writer_text(w, name, line, strlen(line), e);
}

int layout_write(const struct layout *l, int fd, struct err *e)
{
	static const char version[] = "{\"imageLayoutVersion\": \"1.0.0\"}";
	scoped(archive_writer_free) struct archive_writer *w = archive_writer_new(fd);
	scoped(json) json_t *index = layout_index(l);
	const bool docker = !json_bool(l->request, "oci");
	if (write_blobs(l, w, e) < 0 || write_json(w, "index.json", index, 0, "", e) < 0 ||
		(docker && write_json(w, "manifest.json", l->docker.manifest, 0, "\n", e) < 0) ||
		archive_writer_text(w, "oci-layout", version, strlen(version), e) < 0) {
		return -1;
	}
	if (docker && json_object_size(l->docker.repositories) > 0 &&
		write_json(w, "repositories", l->docker.repositories, JSON_SORT_KEYS, "\n", e) <
			0) {
		return -1;
	}
	return archive_writer_end(w, e);
}
