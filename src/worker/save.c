/* Job "save": images as one archive, readable as Docker's (manifest.json) and as an OCI layout.
 *
 * request {"layers_dir", "images": [{"id", "config": exact text, "layers": [{"diff_id", "dir"}],
 *         "references": [canonical]}]}
 * fd 1    the tar, as dockerd 25 and later write it (moby image/tarexport/save.go): blobs by their
 *         digest, then index.json, manifest.json, oci-layout, repositories
 * result  {}
 *
 * Layers are plain tars, made again from their recipes; one whose bytes are not those of its diff
 * id ends the job. Everything is looked up before the first byte leaves.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "codec/ref.h"
#include "codec/sha256.h"
#include "tree/recipe.h"
#include "tree/stream.h"
#include "worker/archive_writer.h"
#include "worker/jobs.h"

#define INDEX_TYPE "application/vnd.oci.image.index.v1+json"
#define MANIFEST_TYPE "application/vnd.oci.image.manifest.v1+json"
#define CONFIG_TYPE "application/vnd.oci.image.config.v1+json"
#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar"
#define BLOB_NAME_MAX 100

/* One file below blobs/: a text, or a layer. */
struct blob {
	char digest[STREAM_DIGEST_LEN + 1];
	const char *text; /* NULL: a layer; borrowed */
	size_t text_n;
	const char *dir; /* of a layer; borrowed */
	int64_t size;
};

struct save {
	const json_t *request;
	int layers_fd;
	struct blob *blobs;
	size_t n_blobs, room;
	json_t *index;        /* "manifests" of index.json */
	json_t *docker;       /* manifest.json */
	json_t *repositories; /* name -> {tag -> hex of the topmost layer} */
	json_t *texts;        /* keeps the manifests' texts */
};

static const char *blob_name(const char *digest, char ret[static BLOB_NAME_MAX])
{
	snprintf(ret, BLOB_NAME_MAX, "blobs/sha256/%s", digest + strlen("sha256:"));
	return ret;
}

/* --- what there is to write --- */

static const struct blob *find_blob(const struct save *s, const char *digest)
{
	for (size_t i = 0; i < s->n_blobs; i++) {
		if (strcmp(s->blobs[i].digest, digest) == 0) {
			return &s->blobs[i];
		}
	}
	return NULL;
}

static void add_blob(struct save *s, const struct blob *b)
{
	if (find_blob(s, b->digest)) {
		return;
	}
	if (s->n_blobs == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->blobs = xrealloc(s->blobs, s->room, sizeof(*s->blobs));
	}
	s->blobs[s->n_blobs++] = *b;
}

static void add_text(struct save *s, const char *text, size_t n, char ret_digest[static 72])
{
	struct blob b = {.text = text, .text_n = n, .size = (int64_t)n};
	sha256_digest(text, n, b.digest);
	memcpy(ret_digest, b.digest, sizeof(b.digest));
	add_blob(s, &b);
}

/* Only its size is wanted yet, and whether it is there. */
static int add_layer(struct save *s, const json_t *layer, struct err *e)
{
	struct blob b = {.dir = json_str(layer, "dir")};
	snprintf(b.digest, sizeof(b.digest), "%s", json_str(layer, "diff_id"));
	if (find_blob(s, b.digest)) {
		return 0;
	}
	scoped(stream_free) struct stream *tar = recipe_open(s->layers_fd, b.dir, e);
	if (!tar) {
		return err_wrap(e, "layer %.19s cannot be saved", b.digest);
	}
	b.size = recipe_tar_bytes(tar);
	add_blob(s, &b);
	return 0;
}

static json_t *descriptor(const char *type, const char *digest, int64_t size)
{
	return json_pack(
		"{ss ss sI}", "mediaType", type, "digest", digest, "size", (json_int_t)size);
}

/* The OCI manifest of an image; its descriptor. */
static json_t *add_manifest(struct save *s, const json_t *image, const char *config_digest)
{
	size_t i;
	json_t *layer;
	json_t *layers = json_array();
	json_array_foreach (json_object_get(image, "layers"), i, layer) {
		const struct blob *b = find_blob(s, json_str(layer, "diff_id"));
		json_array_append_new(layers, descriptor(LAYER_TYPE, b->digest, b->size));
	}
	scoped(json) json_t *doc =
		json_pack("{si ss so so}", "schemaVersion", 2, "mediaType", MANIFEST_TYPE, "config",
			descriptor(CONFIG_TYPE, config_digest, find_blob(s, config_digest)->size),
			"layers", layers);
	scoped(free) char *text = json_text(doc);
	json_t *kept = json_string(text);
	char digest[STREAM_DIGEST_LEN + 1];
	json_array_append_new(s->texts, kept);
	add_text(s, json_string_value(kept), json_string_length(kept), digest);
	return descriptor(MANIFEST_TYPE, digest, (int64_t)json_string_length(kept));
}

static void add_repository(struct save *s, const struct ref *r, const char *top)
{
	char name[REF_TEXT_MAX];
	ref_familiar_name(r, name);
	json_t *tags = json_object_get(s->repositories, name);
	if (!tags) {
		tags = json_object();
		json_put(s->repositories, name, tags);
	}
	json_put_str(tags, r->tag, top + strlen("sha256:"));
}

/* One entry of index.json for each name, or one without; the names as manifest.json has them. */
static json_t *add_names(
	struct save *s, const json_t *image, const char *top, json_t *take_descriptor)
{
	scoped(json) json_t *plain = take_descriptor;
	size_t i;
	json_t *item;
	json_t *names = json_array();
	json_array_foreach (json_object_get(image, "references"), i, item) {
		struct ref r;
		struct err ignored;
		char familiar[REF_TEXT_MAX];
		const char *canonical = json_string_value(item);
		if (ref_parse(canonical, &r, &ignored) < 0) {
			continue;
		}
		json_t *named = json_copy(plain);
		json_put(named, "annotations",
			json_pack("{ss ss}", "io.containerd.image.name", canonical,
				"org.opencontainers.image.ref.name", r.tag));
		json_array_append_new(s->index, named);
		json_array_append_new(names, json_string(ref_familiar(&r, familiar)));
		add_repository(s, &r, top);
	}
	if (json_array_size(names) == 0) {
		json_decref(names);
		json_array_append(s->index, plain);
		return json_null();
	}
	return names;
}

static const char *saved_parent(const struct save *s, const json_t *config)
{
	const char *parent = json_str(config, "parent");
	return *parent && find_blob(s, parent) ? parent : "";
}

static int by_digest(const void *a, const void *b)
{
	return strcmp(((const struct blob *)a)->digest, ((const struct blob *)b)->digest);
}

/* Of manifest.json: Go prints a map with its keys in order. */
static json_t *layer_sources(const struct save *s, const json_t *image)
{
	size_t n = json_array_size(json_object_get(image, "layers"));
	scoped(free) struct blob *sorted = xnew_array(struct blob, n);
	json_t *sources = json_object();
	for (size_t i = 0; i < n; i++) {
		sorted[i] = *find_blob(s,
			json_str(json_array_get(json_object_get(image, "layers"), i), "diff_id"));
	}
	qsort(sorted, n, sizeof(*sorted), by_digest);
	for (size_t i = 0; i < n; i++) {
		json_put(sources, sorted[i].digest,
			json_pack("{ss sI ss}", "mediaType", LAYER_TYPE, "size",
				(json_int_t)sorted[i].size, "digest", sorted[i].digest));
	}
	return sources;
}

static json_t *layer_names(const json_t *image)
{
	char name[BLOB_NAME_MAX];
	size_t i;
	json_t *layer;
	json_t *names = json_array();
	json_array_foreach (json_object_get(image, "layers"), i, layer) {
		json_array_append_new(
			names, json_string(blob_name(json_str(layer, "diff_id"), name)));
	}
	return names;
}

static int add_blobs(struct save *s, const json_t *image, struct err *e)
{
	const json_t *config = json_object_get(image, "config");
	char digest[STREAM_DIGEST_LEN + 1];
	size_t i;
	json_t *layer;
	if (json_array_size(json_object_get(image, "layers")) == 0) {
		return err_set(e, ERR_SYSTEM, "empty export - not implemented"); /* as dockerd */
	}
	json_array_foreach (json_object_get(image, "layers"), i, layer) {
		if (add_layer(s, layer, e) < 0) {
			return -1;
		}
	}
	add_text(s, json_string_value(config), json_string_length(config), digest);
	return 0;
}

static int describe_image(struct save *s, const json_t *image, struct err *e)
{
	const char *id = json_str(image, "id");
	const json_t *text = json_object_get(image, "config");
	const json_t *layers = json_object_get(image, "layers");
	const char *top = json_str(json_array_get(layers, json_array_size(layers) - 1), "diff_id");
	char name[BLOB_NAME_MAX];
	scoped(json) json_t *config =
		json_parse(json_string_value(text), json_string_length(text), "the image", e);
	if (!config) {
		return -1;
	}
	json_t *tags = add_names(s, image, top, add_manifest(s, image, id));
	json_t *item = json_pack("{ss so so}", "Config", blob_name(id, name), "RepoTags", tags,
		"Layers", layer_names(image));
	const char *parent = saved_parent(s, config);
	if (*parent) {
		json_put_str(item, "Parent", parent);
	}
	json_put(item, "LayerSources", layer_sources(s, image));
	json_array_append_new(s->docker, item);
	return 0;
}

static int describe(struct save *s, struct err *e)
{
	size_t i;
	json_t *image;
	json_t *images = json_object_get(s->request, "images");
	json_array_foreach (images, i, image) {
		if (add_blobs(s, image, e) < 0) {
			return -1;
		}
	}
	json_array_foreach (images, i, image) {
		if (describe_image(s, image, e) < 0) {
			return -1;
		}
	}
	if (s->n_blobs > 0) {
		qsort(s->blobs, s->n_blobs, sizeof(*s->blobs), by_digest);
	}
	return 0;
}

/* --- the archive --- */

static int write_layer(
	const struct save *s, struct archive_writer *w, const struct blob *b, struct err *e)
{
	char name[BLOB_NAME_MAX];
	char digest[STREAM_DIGEST_LEN + 1];
	scoped(stream_free) struct stream *tar = recipe_open(s->layers_fd, b->dir, e);
	if (!tar) {
		return -1;
	}
	scoped(stream_free) struct stream *hashed = stream_digest_new(tar);
	if (archive_writer_stream(w, blob_name(b->digest, name), hashed, b->size, e) < 0) {
		return -1;
	}
	stream_digest_text(hashed, digest);
	return strcmp(digest, b->digest) == 0
		       ? 0
		       : err_set(e, ERR_INVALID, "layer %.19s is damaged", b->digest);
}

static int write_blobs(const struct save *s, struct archive_writer *w, struct err *e)
{
	if (s->n_blobs > 0 && (archive_writer_dir(w, "blobs/", e) < 0 ||
				      archive_writer_dir(w, "blobs/sha256/", e) < 0)) {
		return -1;
	}
	for (size_t i = 0; i < s->n_blobs; i++) {
		const struct blob *b = &s->blobs[i];
		char name[BLOB_NAME_MAX];
		int r = b->text ? archive_writer_text(
					  w, blob_name(b->digest, name), b->text, b->text_n, e)
				: write_layer(s, w, b, e);
		if (r < 0) {
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

static int write_archive(const struct save *s, struct err *e)
{
	static const char layout[] = "{\"imageLayoutVersion\": \"1.0.0\"}";
	scoped(archive_writer_free) struct archive_writer *w = archive_writer_new(STDOUT_FILENO);
	scoped(json) json_t *index = json_pack(
		"{si ss sO}", "schemaVersion", 2, "mediaType", INDEX_TYPE, "manifests", s->index);
	if (write_blobs(s, w, e) < 0 || write_json(w, "index.json", index, 0, "", e) < 0 ||
		write_json(w, "manifest.json", s->docker, 0, "\n", e) < 0 ||
		archive_writer_text(w, "oci-layout", layout, strlen(layout), e) < 0) {
		return -1;
	}
	if (json_object_size(s->repositories) > 0 &&
		write_json(w, "repositories", s->repositories, JSON_SORT_KEYS, "\n", e) < 0) {
		return -1;
	}
	return archive_writer_end(w, e);
}

json_t *worker_save(struct rpc *r, const json_t *request, struct err *e)
{
	const char *dir = json_str(request, "layers_dir");
	scoped(close) int layers = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (layers < 0) {
		(void)err_sys(e, errno, "cannot open %s", dir);
		return NULL;
	}
	struct save s = {.request = request,
		.layers_fd = layers,
		.index = json_array(),
		.docker = json_array(),
		.repositories = json_object(),
		.texts = json_array()};
	bool ok = describe(&s, e) == 0 && write_archive(&s, e) == 0;
	json_decref(s.index);
	json_decref(s.docker);
	json_decref(s.repositories);
	json_decref(s.texts);
	free(s.blobs);
	return ok ? json_object() : NULL;
}
