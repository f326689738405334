#include "worker/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/path.h"
#include "codec/ref.h"
#include "codec/sha256.h"
#include "tree/recipe.h"
#include "tree/stream.h"
#include "worker/archive_writer.h"
#include "worker/manifest.h"

#define BLOB_NAME_MAX 100
#define GZIP_LEVEL 3 /* of three */
#define ZSTD_LEVEL 3

/* One file below blobs/: a text, or a layer. */
struct blob {
	char digest[STREAM_DIGEST_LEN + 1];
	const char *text; /* NULL: a layer; borrowed */
	size_t text_n;
	const char *dir;     /* of a layer; borrowed */
	const char *diff_id; /* of a layer; borrowed */
	char *spooled;       /* path of a layer that was compressed, or NULL */
	int64_t size;
};

struct layout {
	const json_t *request;
	int layers_fd;
	struct blob *blobs;
	size_t n_blobs, room;
	json_t *index;        /* "manifests" of index.json */
	json_t *docker;       /* manifest.json */
	json_t *repositories; /* name -> {tag -> hex of the topmost layer} */
	json_t *texts;        /* keeps the manifests' texts */
	json_t *manifests;    /* image id -> descriptor */
};

static const char *blob_name(const char *digest, char ret[static BLOB_NAME_MAX])
{
	snprintf(ret, BLOB_NAME_MAX, "blobs/sha256/%s", digest + strlen("sha256:"));
	return ret;
}

static const char *compression(const struct layout *l)
{
	return json_str(l->request, "compression");
}

static const char *layer_type(const struct layout *l)
{
	const char *how = compression(l);
	return strcmp(how, "gzip") == 0   ? MANIFEST_OCI_LAYER "+gzip"
	       : strcmp(how, "zstd") == 0 ? MANIFEST_OCI_LAYER "+zstd"
					  : MANIFEST_OCI_LAYER;
}

/* --- what there is to write --- */

static const struct blob *find_blob(const struct layout *l, const char *digest)
{
	for (size_t i = 0; i < l->n_blobs; i++) {
		if (strcmp(l->blobs[i].digest, digest) == 0) {
			return &l->blobs[i];
		}
	}
	return NULL;
}

static const struct blob *find_layer(const struct layout *l, const char *diff_id)
{
	for (size_t i = 0; i < l->n_blobs; i++) {
		if (l->blobs[i].diff_id && strcmp(l->blobs[i].diff_id, diff_id) == 0) {
			return &l->blobs[i];
		}
	}
	return NULL;
}

static void add_blob(struct layout *l, const struct blob *b)
{
	if (find_blob(l, b->digest)) {
		free(b->spooled);
		return;
	}
	if (l->n_blobs == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->blobs = xrealloc(l->blobs, l->room, sizeof(*l->blobs));
	}
	l->blobs[l->n_blobs++] = *b;
}

static void add_text(struct layout *l, const char *text, size_t n, char ret_digest[static 72])
{
	struct blob b = {.text = text, .text_n = n, .size = (int64_t)n};
	sha256_digest(text, n, b.digest);
	memcpy(ret_digest, b.digest, sizeof(b.digest));
	add_blob(l, &b);
}

/* --- layers --- */

static int check_plain(const struct blob *b, struct stream *hashed, struct err *e)
{
	char digest[STREAM_DIGEST_LEN + 1];
	stream_digest_text(hashed, digest);
	return strcmp(digest, b->diff_id) == 0
		       ? 0
		       : err_set(e, ERR_INVALID, "layer %.19s is damaged", b->diff_id);
}

/* The digest of what is compressed is known only behind its end, but stands before it. */
static int compress_to(
	const struct layout *l, struct blob *b, struct stream *tar, int fd, struct err *e)
{
	scoped(stream_free) struct stream *plain = stream_digest_new(tar);
	scoped(stream_free) struct stream *packed = strcmp(compression(l), "gzip") == 0
							    ? stream_gzip_new(plain, GZIP_LEVEL)
							    : stream_zstd_new(plain, ZSTD_LEVEL);
	scoped(stream_free) struct stream *hashed = stream_digest_new(packed);
	scoped(free) char *chunk = xnew_array(char, STREAM_CHUNK);
	ssize_t n;
	while ((n = stream_read(hashed, chunk, STREAM_CHUNK, e)) > 0) {
		int r = path_write_all(fd, chunk, (size_t)n);
		if (r < 0) {
			return err_sys(e, -r, "cannot write a compressed layer");
		}
	}
	stream_digest_text(hashed, b->digest);
	b->size = stream_digest_bytes(hashed);
	return n < 0 ? -1 : check_plain(b, plain, e);
}

static int spool(struct layout *l, struct blob *b, struct stream *tar, struct err *e)
{
	b->spooled = xasprintf("%s/%.24s", json_str(l->request, "spool"), b->diff_id + 7);
	scoped(close) int fd =
		open(b->spooled, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return err_sys(e, errno, "cannot make %s", b->spooled);
	}
	return compress_to(l, b, tar, fd, e);
}

/* Plain, only its size is wanted yet, and whether it is there. */
static int add_layer(struct layout *l, const json_t *layer, struct err *e)
{
	struct blob b = {.dir = json_str(layer, "dir"), .diff_id = json_str(layer, "diff_id")};
	if (find_layer(l, b.diff_id)) {
		return 0;
	}
	scoped(stream_free) struct stream *tar = recipe_open(l->layers_fd, b.dir, e);
	if (!tar) {
		return err_wrap(e, "layer %.19s cannot be saved", b.diff_id);
	}
	if (*compression(l)) {
		if (spool(l, &b, tar, e) < 0) {
			free(b.spooled);
			return -1;
		}
	} else {
		snprintf(b.digest, sizeof(b.digest), "%s", b.diff_id);
		b.size = recipe_tar_bytes(tar);
	}
	add_blob(l, &b);
	return 0;
}

/* --- manifests --- */

static json_t *descriptor(const char *type, const char *digest, int64_t size)
{
	return json_pack(
		"{ss ss sI}", "mediaType", type, "digest", digest, "size", (json_int_t)size);
}

static void annotate(const struct layout *l, const char *which, json_t *doc)
{
	json_t *pairs = json_object_get(json_object_get(l->request, "annotations"), which);
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
	add_text(l, json_string_value(kept), json_string_length(kept), digest);
	return descriptor(type, digest, (int64_t)json_string_length(kept));
}

/* The OCI manifest of an image; its descriptor. */
static json_t *add_manifest(struct layout *l, const json_t *image, const char *config_digest)
{
	size_t i;
	json_t *layer;
	json_t *layers = json_array();
	json_array_foreach (json_object_get(image, "layers"), i, layer) {
		const struct blob *b = find_layer(l, json_str(layer, "diff_id"));
		json_array_append_new(layers, descriptor(layer_type(l), b->digest, b->size));
	}
	json_t *doc = json_pack("{si ss so so}", "schemaVersion", 2, "mediaType", MANIFEST_OCI,
		"config",
		descriptor(MANIFEST_OCI_CONFIG, config_digest, find_blob(l, config_digest)->size),
		"layers", layers);
	annotate(l, "manifest", doc);
	return add_document(l, MANIFEST_OCI, doc);
}

static void add_repository(struct layout *l, const struct ref *r, const char *top)
{
	char name[REF_TEXT_MAX];
	ref_familiar_name(r, name);
	json_t *tags = json_object_get(l->repositories, name);
	if (!tags) {
		tags = json_object();
		json_put(l->repositories, name, tags);
	}
	json_put_str(tags, r->tag, *top ? top + strlen("sha256:") : "");
}

/* One entry of index.json for each name, or one without. */
static void add_entries(
	struct layout *l, const json_t *references, const char *kind, const json_t *plain)
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
		annotate(l, kind, named);
		json_array_append_new(l->index, named);
	}
	if (json_array_size(references) == 0) {
		json_t *alone = json_copy((json_t *)plain);
		annotate(l, kind, alone);
		json_array_append_new(l->index, alone);
	}
}

/* The names as manifest.json has them, or null. */
static json_t *docker_names(struct layout *l, const json_t *image, const char *top)
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
				add_repository(l, &r, top);
			}
		}
	}
	if (json_array_size(names) == 0) {
		json_decref(names);
		return json_null();
	}
	return names;
}

static const char *saved_parent(const struct layout *l, const json_t *config)
{
	const char *parent = json_str(config, "parent");
	return *parent && find_blob(l, parent) ? parent : "";
}

static int by_digest(const void *a, const void *b)
{
	return strcmp(((const struct blob *)a)->digest, ((const struct blob *)b)->digest);
}

static int by_diff_id(const void *a, const void *b)
{
	return strcmp(((const struct blob *)a)->diff_id, ((const struct blob *)b)->diff_id);
}

/* Of manifest.json: Go prints a map with its keys in order. */
static json_t *layer_sources(const struct layout *l, const json_t *image)
{
	size_t n = json_array_size(json_object_get(image, "layers"));
	scoped(free) struct blob *sorted = xnew_array(struct blob, n + 1);
	json_t *sources = json_object();
	for (size_t i = 0; i < n; i++) {
		sorted[i] = *find_layer(l,
			json_str(json_array_get(json_object_get(image, "layers"), i), "diff_id"));
	}
	qsort(sorted, n, sizeof(*sorted), by_diff_id);
	for (size_t i = 0; i < n; i++) {
		json_put(sources, sorted[i].diff_id,
			json_pack("{ss sI ss}", "mediaType", layer_type(l), "size",
				(json_int_t)sorted[i].size, "digest", sorted[i].digest));
	}
	return sources;
}

static json_t *layer_names(const struct layout *l, const json_t *image)
{
	char name[BLOB_NAME_MAX];
	size_t i;
	json_t *layer;
	json_t *names = json_array();
	json_array_foreach (json_object_get(image, "layers"), i, layer) {
		const struct blob *b = find_layer(l, json_str(layer, "diff_id"));
		json_array_append_new(names, json_string(blob_name(b->digest, name)));
	}
	return names;
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
		if (add_layer(l, layer, e) < 0) {
			return -1;
		}
	}
	add_text(l, json_string_value(config), json_string_length(config), digest);
	return 0;
}

static int describe_image(struct layout *l, const json_t *image, struct err *e)
{
	const char *id = json_str(image, "id");
	const json_t *text = json_object_get(image, "config");
	const json_t *layers = json_object_get(image, "layers");
	const json_t *references = json_object_get(image, "references");
	size_t n = json_array_size(layers);
	const char *top = n > 0 ? json_str(json_array_get(layers, n - 1), "diff_id") : "";
	char name[BLOB_NAME_MAX];
	scoped(json) json_t *config =
		json_parse(json_string_value(text), json_string_length(text), "the image", e);
	if (!config) {
		return -1;
	}
	json_t *own = add_manifest(l, image, id);
	json_put(l->manifests, id, own);
	if (!json_bool(image, "member") || json_array_size(references) > 0) {
		add_entries(l, references, "manifest-descriptor", own);
	}
	json_t *item = json_pack("{ss so so}", "Config", blob_name(id, name), "RepoTags",
		docker_names(l, image, top), "Layers", layer_names(l, image));
	const char *parent = saved_parent(l, config);
	if (*parent) {
		json_put_str(item, "Parent", parent);
	}
	json_put(item, "LayerSources", layer_sources(l, image));
	json_array_append_new(l->docker, item);
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
		const json_t *text =
			json_object_get(find_image(l, json_string_value(id)), "config");
		const json_t *manifest = layout_manifest(l, json_string_value(id));
		json_t *entry = manifest ? manifest_entry(manifest, json_string_value(text),
						   json_string_length(text), e)
					 : NULL;
		if (!entry) {
			return manifest
				       ? -1
				       : err_set(e, ERR_SYSTEM, "an image of the index is missing");
		}
		annotate(l, "manifest-descriptor", entry);
		json_array_append_new(manifests, entry);
	}
	json_t *doc = manifest_index(MANIFEST_OCI_INDEX, manifests);
	annotate(l, "index", doc);
	scoped(json) json_t *own = add_document(l, MANIFEST_OCI_INDEX, doc);
	add_entries(l, json_object_get(index, "references"), "index-descriptor", own);
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
	if (l->n_blobs > 0) {
		qsort(l->blobs, l->n_blobs, sizeof(*l->blobs), by_digest);
	}
	return 0;
}

struct layout *layout_new(const json_t *request, struct err *e)
{
	const char *dir = json_str(request, "layers_dir");
	scoped(layout_free) struct layout *l = xnew(struct layout);
	l->request = request;
	l->index = json_array();
	l->docker = json_array();
	l->repositories = json_object();
	l->texts = json_array();
	l->manifests = json_object();
	l->layers_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->layers_fd < 0) {
		(void)err_sys(e, errno, "cannot open %s", dir);
		return NULL;
	}
	return describe(l, e) < 0 ? NULL : TAKE(l);
}

void layout_free(struct layout *l)
{
	if (!l) {
		return;
	}
	for (size_t i = 0; i < l->n_blobs; i++) {
		if (l->blobs[i].spooled) {
			unlink(l->blobs[i].spooled);
		}
		free(l->blobs[i].spooled);
	}
	free(l->blobs);
	json_decref(l->index);
	json_decref(l->docker);
	json_decref(l->repositories);
	json_decref(l->texts);
	json_decref(l->manifests);
	if (l->layers_fd >= 0) {
		close(l->layers_fd);
	}
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

/* --- blobs --- */

/* A blob from wherever it is, and all that this needs. */
struct blob_stream {
	struct stream base;
	const struct blob *blob; /* borrowed */
	int fd;
	size_t at;              /* of a text */
	struct stream *source;  /* of a layer: its file, or its recipe */
	struct stream *checked; /* of one that is made from its recipe */
};

static ssize_t blob_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct blob_stream *b = container_of(s, struct blob_stream, base);
	if (b->blob->text) {
		size_t left = b->blob->text_n - b->at;
		n = n < left ? n : left;
		memcpy(data, b->blob->text + b->at, n);
		b->at += n;
		return (ssize_t)n;
	}
	ssize_t got = stream_read(b->checked ? b->checked : b->source, data, n, e);
	return got == 0 && b->checked && check_plain(b->blob, b->checked, e) < 0 ? -1 : got;
}

static void blob_free(struct stream *s)
{
	struct blob_stream *b = container_of(s, struct blob_stream, base);
	stream_free(b->checked);
	stream_free(b->source);
	if (b->fd >= 0) {
		close(b->fd);
	}
	free(b);
}

bool layout_blob(const struct layout *l, size_t k, const char **ret_digest, int64_t *ret_size)
{
	if (k >= l->n_blobs) {
		return false;
	}
	*ret_digest = l->blobs[k].digest;
	*ret_size = l->blobs[k].size;
	return true;
}

struct stream *layout_blob_open(const struct layout *l, size_t k, struct err *e)
{
	struct blob_stream *b = xnew(struct blob_stream);
	b->base = (struct stream){blob_read, blob_free};
	b->blob = &l->blobs[k];
	b->fd = -1;
	scoped(stream_free) struct stream *s = &b->base;
	if (b->blob->spooled) {
		b->fd = open(b->blob->spooled, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (b->fd < 0) {
			(void)err_sys(e, errno, "cannot open %s", b->blob->spooled);
			return NULL;
		}
		b->source = stream_from_fd(b->fd);
	} else if (!b->blob->text) {
		b->source = recipe_open(l->layers_fd, b->blob->dir, e);
		if (!b->source) {
			return NULL;
		}
		b->checked = stream_digest_new(b->source);
	}
	return TAKE(s);
}

/* --- the archive --- */

static int write_blobs(const struct layout *l, struct archive_writer *w, struct err *e)
{
	if (l->n_blobs > 0 && (archive_writer_dir(w, "blobs/", e) < 0 ||
				      archive_writer_dir(w, "blobs/sha256/", e) < 0)) {
		return -1;
	}
	for (size_t i = 0; i < l->n_blobs; i++) {
		const struct blob *b = &l->blobs[i];
		char name[BLOB_NAME_MAX];
		scoped(stream_free) struct stream *s = layout_blob_open(l, i, e);
		if (!s || archive_writer_stream(w, blob_name(b->digest, name), s, b->size, e) < 0) {
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
		(docker && write_json(w, "manifest.json", l->docker, 0, "\n", e) < 0) ||
		archive_writer_text(w, "oci-layout", version, strlen(version), e) < 0) {
		return -1;
	}
	if (docker && json_object_size(l->repositories) > 0 &&
		write_json(w, "repositories", l->repositories, JSON_SORT_KEYS, "\n", e) < 0) {
		return -1;
	}
	return archive_writer_end(w, e);
}
