/* worker/layout.h - images as an OCI layout (image-spec image-layout.md), which can be Docker's
 * archive (manifest.json) at once.
 *
 * request {"layers_dir",
 *   "images": [{"id", "config": exact text, "config_type": of OCI's images when it is absent,
 *       "layers": [{"diff_id", "dir"}], "references": [canonical], "index_references":
 *       [canonical], "member": bool}],
 *   "indexes": [{"images": [ids], "references": [canonical]}]}
 * A member is in index.json only under names of its own; index_references are those of its index
 * which stand for it in manifest.json, which knows no index.
 * For builds also "compression": "", "gzip" or "zstd"; "spool": a directory for what is compressed;
 * "oci": true without Docker's files; "empty": true, an image without layers may be written;
 * "annotations": {"index", "index-descriptor": {key: value}}, and in an image "annotations":
 * {"manifest", "manifest-descriptor": {key: value}}.
 *
 * Layers are plain tars unless compression is asked for, made again from their recipes; one whose
 * bytes are not those of its diff id ends the writing. Everything is looked up before the first
 * byte leaves. The same images give the same bytes.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/scoped.h"

struct content_store;
struct layout;
struct stream;

/* request is borrowed. */
struct layout *layout_new(const json_t *request, struct err *e);
void layout_free(struct layout *l); /* NULL is fine */
SCOPED(struct layout *, layout_free)

/* "manifests" of index.json: descriptors; borrowed. */
const json_t *layout_entries(const struct layout *l);
/* index.json as it is written; a new reference. */
json_t *layout_index(const struct layout *l);
/* The manifest of the image with this id: its descriptor, or NULL; borrowed. */
const json_t *layout_manifest(const struct layout *l, const char *image_id);

/* The whole as a tar. */
int layout_write(const struct layout *l, int fd, struct err *e);

/* All blobs into a layout of the client's. */
int layout_put(const struct layout *l, const struct content_store *to, struct err *e);

/* Its blobs one by one: k from 0; false after the last. *ret_digest is borrowed. */
bool layout_blob(const struct layout *l, size_t k, const char **ret_digest, int64_t *ret_size);
/* A chain of streams, of which the last one is returned: read it to its end, then free it. A layer
 * that is damaged is an error at the end. */
struct stream *layout_blob_open(const struct layout *l, size_t k, struct err *e);
