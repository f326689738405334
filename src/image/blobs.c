#include "image/blobs.h"

#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "image/store.h"
#include "store/store.h"

#define MEDIA_TYPE_MAX 128

static bool is_repository(const char *name)
{
	struct ref r;
	struct err ignored;
	char canonical[REF_TEXT_MAX];
	return ref_parse(name, &r, &ignored) == 0 && !*r.tag && !*r.digest &&
	       strcmp(ref_name(&r, canonical), name) == 0;
}

static bool is_media_type(const char *text)
{
	size_t n = strlen(text);
	for (size_t i = 0; i < n; i++) {
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '"') {
			return false;
		}
	}
	return n <= MEDIA_TYPE_MAX;
}

/* A copy with only the members that count, or NULL with *e. */
static json_t *checked(const json_t *blob, struct err *e)
{
	const char *repository = json_str(blob, "repository");
	const char *digest = json_str(blob, "digest");
	const char *type = json_str(blob, "mediaType");
	int64_t size = json_i64(blob, "size", -1);
	if (!is_repository(repository) || !ref_is_digest(digest) || size < 0 ||
		!is_media_type(type)) {
		(void)err_set(e, ERR_INVALID, "a blob needs a repository, a digest and a size");
		return NULL;
	}
	return json_pack("{ss ss sI ss}", "repository", repository, "digest", digest, "size",
		(json_int_t)size, "mediaType", type);
}

json_t *image_blobs(struct image_store *s, const char *diff_id, struct err *e)
{
	scoped(json) json_t *doc = NULL;
	if (store_get(s->store, STORE_BLOBS, diff_id, &doc, e) < 0) {
		return NULL;
	}
	json_t *known = json_object_get(doc, "known");
	return known ? json_incref(known) : json_array();
}

/* digest NULL: whatever it is. */
static void remove_from(json_t *known, const char *repository, const char *digest)
{
	for (size_t i = json_array_size(known); i > 0; i--) {
		const json_t *blob = json_array_get(known, i - 1);
		if (strcmp(json_str(blob, "repository"), repository) == 0 &&
			(!digest || strcmp(json_str(blob, "digest"), digest) == 0)) {
			json_array_remove(known, i - 1);
		}
	}
}

static int put(struct image_store *s, const char *diff_id, json_t *known, struct err *e)
{
	scoped(json) json_t *doc = json_pack("{sO}", "known", known);
	return store_put(s->store, STORE_BLOBS, diff_id, doc, e);
}

int image_blob_learn(struct image_store *s, const char *diff_id, const json_t *blob, struct err *e)
{
	if (!image_has_layer(s, diff_id, NULL)) {
		return err_set(e, ERR_NOT_FOUND, "the layer %.19s is not here", diff_id);
	}
	scoped(json) json_t *copy = checked(blob, e);
	scoped(json) json_t *known = copy ? image_blobs(s, diff_id, e) : NULL;
	if (!known) {
		return -1;
	}
	if (json_equal(json_array_get(known, 0), copy)) {
		return 0; /* nothing is written when nothing changes */
	}
	remove_from(known, json_str(copy, "repository"), NULL);
	json_array_insert(known, 0, copy);
	while (json_array_size(known) > IMAGE_BLOBS_MAX) {
		json_array_remove(known, json_array_size(known) - 1);
	}
	return put(s, diff_id, known, e);
}

int image_blob_forget(struct image_store *s, const char *diff_id, const char *repository,
	const char *digest, struct err *e)
{
	scoped(json) json_t *known = image_blobs(s, diff_id, e);
	if (!known) {
		return -1;
	}
	size_t before = json_array_size(known);
	remove_from(known, repository, digest);
	return json_array_size(known) == before ? 0 : put(s, diff_id, known, e);
}

int image_blobs_drop(struct image_store *s, const char *diff_id, struct err *e)
{
	return store_delete(s->store, STORE_BLOBS, diff_id, e);
}

/* --- manifests --- */

int image_manifest_keep(
	struct image_store *s, const char *image_id, const json_t *manifest, struct err *e)
{
	const json_t *text = json_object_get(manifest, "text");
	if (!json_is_string(text) || !is_media_type(json_str(manifest, "mediaType"))) {
		return err_set(e, ERR_INVALID, "a manifest needs a type and a text");
	}
	if (json_string_length(text) > IMAGE_MANIFEST_MAX) {
		return 0;
	}
	return store_put(s->store, STORE_MANIFESTS, image_id, manifest, e);
}

int image_manifest_kept(struct image_store *s, const char *image_id, json_t **ret, struct err *e)
{
	return store_get(s->store, STORE_MANIFESTS, image_id, ret, e);
}

/* --- what a job says --- */

/* Somebody has hashed this blob and unpacked this layer from it. */
static bool is_form_of(struct image_store *s, const char *diff_id, const json_t *blob)
{
	struct err ignored;
	size_t i;
	json_t *one;
	scoped(json) json_t *known = image_blobs(s, diff_id, &ignored);
	json_array_foreach (known, i, one) {
		if (strcmp(json_str(one, "digest"), json_str(blob, "digest")) == 0) {
			return true;
		}
	}
	return false;
}

void image_blobs_learn_all(struct image_store *s, const char *image_id, const json_t *record)
{
	struct err e;
	size_t i;
	json_t *item;
	const json_t *manifest = json_object_get(record, "manifest");
	json_array_foreach (json_object_get(record, "layers"), i, item) {
		const char *diff_id = json_str(item, "diff_id");
		const json_t *blob = json_object_get(item, "blob");
		if (json_bool(item, "claimed") && !is_form_of(s, diff_id, blob)) {
			continue;
		}
		if (image_blob_learn(s, diff_id, blob, &e) < 0) {
			log_warning(
				"image", "blob-not-kept", "layer", diff_id, "error", e.msg, NULL);
		}
	}
	if (json_is_object(manifest) && image_manifest_keep(s, image_id, manifest, &e) < 0) {
		log_warning("image", "manifest-not-kept", "image", image_id, "error", e.msg, NULL);
	}
}
