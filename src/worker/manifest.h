/* worker/manifest.h - image manifests and indexes, as far as a pull and a load need them.
 *
 * OCI image-spec manifest.md and image-index.md; Docker schema 2 and manifest lists, which have the
 * same members. A document that could be read as both is refused (CVE-2021-41190).
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "codec/ref.h"
#include "worker/layers.h"
#include "oci/platform.h"

#define MANIFEST_MEDIA_TYPE_MAX 128

struct descriptor {
	char digest[REF_DIGEST_LEN + 1];
	int64_t size;
	char media_type[MANIFEST_MEDIA_TYPE_MAX + 1]; /* "" when there is none, or a longer one */
};

struct manifest {
	bool is_index;
	struct descriptor config;
	struct descriptor layers[LAYERS_MAX];
	size_t n_layers;
	json_t *entries; /* of an index: its "manifests"; owned */
};

void manifest_deinit(struct manifest *m);
static inline void scoped_manifest(struct manifest *m)
{
	manifest_deinit(m);
}

/* type: the Content-Type, or "" when unknown. ERR_INVALID names what is wrong. */
int manifest_parse(
	const char *text, size_t n, const char *type, struct manifest *ret, struct err *e);
/* The same of what need not be an image: config.media_type says what it is. */
int manifest_parse_any(
	const char *text, size_t n, const char *type, struct manifest *ret, struct err *e);
/* The entry of an index that fits best. ERR_NOT_FOUND "no matching manifest for linux/amd64 in the
 * manifest list entries". */
int manifest_select(const struct manifest *m, const struct platform *want, struct descriptor *ret,
	struct err *e);

/* --- making one --- */

#define MANIFEST_DOCKER "application/vnd.docker.distribution.manifest.v2+json"
#define MANIFEST_OCI "application/vnd.oci.image.manifest.v1+json"
#define MANIFEST_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar.gzip"

#define MANIFEST_OCI_LAYER "application/vnd.oci.image.layer.v1.tar"
#define MANIFEST_OCI_CONFIG "application/vnd.oci.image.config.v1+json"
#define MANIFEST_OCI_INDEX "application/vnd.oci.image.index.v1+json"
#define MANIFEST_DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"

/* What an index says of a manifest: its descriptor with the platform of its configuration. New, or
 * NULL with *e. */
json_t *manifest_entry(const json_t *descriptor, const char *config, size_t n, struct err *e);
/* An index of such entries, which are borrowed. New. */
json_t *manifest_index(const char *type, json_t *entries);

/* The text of an image manifest, byte for byte as dockerd writes it: schema 2 when every layer is
 * gzip, whatever it was called where it came from, or else OCI's. *ret_type: borrowed, for ever. */
void manifest_write(const struct descriptor *config, const struct descriptor *layers, size_t n,
	struct buf *ret, const char **ret_type);
