/* image/blobs.h - in which repositories the compressed form of a layer is known to be, and with
 * which manifest an image came.
 *
 * Learned from pulls and pushes, kept in tables that are read when they are needed, forgotten with
 * the layer and the image. A push finds a layer by it in the repository or mounts it from another
 * one; a damaged layer is fetched again. It is a hint, never a promise: registries delete.
 *
 * A blob is {"repository": "docker.io/library/x", "digest", "size", "mediaType"}.
 */
#pragma once
#include <jansson.h>

#include "base/err.h"

struct image_store;

#define IMAGE_BLOBS_MAX 16 /* of one layer; the oldest goes */
#define IMAGE_MANIFEST_MAX (256u << 10)

/* blob is borrowed. One of the same repository is replaced: it has moved. ERR_INVALID when a member
 * is not what it should be. */
int image_blob_learn(struct image_store *s, const char *diff_id, const json_t *blob, struct err *e);
int image_blob_forget(struct image_store *s, const char *diff_id, const char *repository,
	const char *digest, struct err *e);
/* A new array, the newest first; empty when nothing is known. NULL with *e. */
json_t *image_blobs(struct image_store *s, const char *diff_id, struct err *e);
int image_blobs_drop(struct image_store *s, const char *diff_id, struct err *e);

/* manifest: {"mediaType", "text"}, whose configuration is the image; one that is too large is not
 * kept. */
int image_manifest_keep(
	struct image_store *s, const char *image_id, const json_t *manifest, struct err *e);
/* A new reference, *ret NULL when there is none. */
int image_manifest_kept(struct image_store *s, const char *image_id, json_t **ret, struct err *e);

/* What a pull or a push brought: {"layers": [{"diff_id", "claimed", "blob": {}}], "manifest": {} or
 * null}. A blob that nobody has hashed is only claimed to be this layer: it is learned when the
 * same digest is known for the layer already, or an image could make us push another's blob in the
 * layer's place. Failures are logged, not returned: an image is whole without it. */
void image_blobs_learn_all(struct image_store *s, const char *image_id, const json_t *record);
