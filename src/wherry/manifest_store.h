/* wherry/manifest_store.h - manifest lists that are being made, and the manifests in them.
 *
 * Files of the docker CLI, so that both programs work on the same lists (docker/cli
 * cli/manifest/store): CONFIG/manifests/LIST/MANIFEST, each name a canonical reference with ':' as
 * '-' and '/' as '_'. A manifest's document is docker's too: {"Ref", "Descriptor": {"mediaType",
 * "digest", "size", "platform"}, "Raw": base64 of the exact text, "SchemaV2Manifest" or
 * "OCIManifest": the same as an object}. What docker wrote before version 24 has no Raw.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "codec/ref.h"
#include "wherry/command.h"

/* A new document. ERR_NOT_FOUND "No such manifest: REFERENCE". */
json_t *manifest_store_get(
	const struct cli *cli, const struct ref *list, const struct ref *manifest, struct err *e);
/* A new array of all documents of a list, in the order of their files' names. ERR_NOT_FOUND. */
json_t *manifest_store_list(const struct cli *cli, const struct ref *list, struct err *e);
int manifest_store_save(const struct cli *cli, const struct ref *list, const struct ref *manifest,
	const json_t *doc, struct err *e);
int manifest_store_remove(const struct cli *cli, const struct ref *list, struct err *e);

/* What the worker says of one ("ref", "mediaType", "digest", "size", "platform", "text") as a new
 * document. */
json_t *manifest_document(const json_t *found, struct err *e);
/* A new object in the order of docker's, without the members that are empty; found may be NULL. */
json_t *manifest_platform(const json_t *found);
/* The manifest in a document; borrowed, NULL when there is none. *ret_is_oci may be NULL. */
const json_t *manifest_of(const json_t *doc, bool *ret_is_oci);
/* Its exact text, made again when there is no Raw, which its digest then proves. */
int manifest_exact(const json_t *doc, struct buf *ret, struct err *e);
