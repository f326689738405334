/* worker/build_cache_remote.h - caches of builds that are in registries or in directories of the
 * client: options "cache_from" and "cache_to", [{"type": "registry", "inline" or "local", "attrs":
 * {"ref", "mode", "ignore-error", "src" and "digest", "dest", "compression"}}].
 *
 * A cache that cannot be read is warned of, and the build does without. Its keys are its maker's
 * word, as trusted as whoever named it; its bytes are hashed.
 */
#pragma once
#include <stdbool.h>

#include "worker/build.h"

struct descriptor;
struct ref;
struct registry;

struct build_caches *build_caches_new(void);
void build_caches_free(struct build_caches *c);

/* A step of this build has this layer under this key. Any thread. */
void build_caches_note(struct build *b, const char *key, const char *diff_id, const char *dir);

/* --- build_cache_import.c --- */
struct build_imports *build_imports_new(void);
void build_imports_free(struct build_imports *m);
/* Reads what cache_from names. Before any stage runs. */
void build_imports_open(struct build *b);
/* 1: the engine's own cache has the key now; 0: no cache elsewhere knows it, or it could not be
 * fetched, which is warned of; -1 with *e: the build has ended. Any thread. */
int build_import(const struct build_step *t, const char *key, struct err *e);

/* Where the layers came from, once the engine has recorded them: an export to the same repository
 * sends nothing. */
void build_imports_learn(struct build *b);

/* --- build_cache_image.c: type "image" --- */
/* The image is a source of steps from now on, if it is here. Before any stage runs. */
void build_cache_image_open(struct build *b, const char *name);
/* Whether the step may have this layer from the cache. Always, when no image is a source. */
bool build_cache_image_allows(const struct build_step *t, const char *diff_id);
/* Whether a source did the same at this place; it changed no file. */
bool build_cache_image_says(const struct build_step *t, const char *created_by);

/* --- build_cache_export.c --- */
/* For an image's configuration: the steps that its layers are of, {"entries"}; new. NULL: it was
 * not asked for (type=inline). */
json_t *build_cache_inline(const struct build_stage *s);
/* Writes to what cache_to names. response: of the build, for what the client has to know. */
int build_caches_export(struct build *b, json_t *response, struct err *e);

/* Talks to the registry of ref for the user of the build; free it before *ret_setup. NULL with *e.
 */
struct registry *build_registry_new(
	struct build *b, const char *reference, struct ref *ret, json_t **ret_setup, struct err *e);
/* The repository of ref has the layer as this blob (image/blobs.h). */
int build_cache_learn(struct build *b, const struct ref *ref, const char *diff_id,
	const struct descriptor *d, struct err *e);
/* type=local: in an OCI layout of the client's. */
bool build_cache_is_local(const json_t *spec);
/* Its reference or directory, borrowed, or "". */
const char *build_cache_place(const json_t *spec);
/* "cache registry x:y is not read: why" */
void build_cache_warn(struct build *b, const json_t *spec, const char *what, const char *why);
