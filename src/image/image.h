/* image/image.h - the images this engine has: references, configurations, layers, and the jobs that
 * bring them.
 *
 * Owns DATA/layers/<24 hex of the diff id>/ (one unpacked copy of each layer, overlayfs whiteouts),
 * beside each its recipe (tree/recipe.h), and the tables images, refs, layers. Everything that
 * reads a stranger's bytes happens in wherry-worker; this module only checks digests by grammar,
 * records results and answers questions. A layer is in the table only after its recipe and its
 * directory are complete, synced and renamed into place.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

typedef struct uv_loop_s uv_loop_t;
struct store;
struct job_pool;
struct event_bus;
struct image_store;

#define DIGEST_LEN 71 /* "sha256:" and 64 hex digits */

struct image {
	char id[DIGEST_LEN + 1]; /* digest of the configuration */
	json_t *config;      /* OCI image-spec config.md: os, architecture, config, rootfs, history,
				created */
	struct strv layers;  /* diff ids, lowest first */
	struct strv tags;    /* as the user sees them: "nginx:1.19", "127.0.0.1:5000/a:b" */
	struct strv digests; /* "nginx@sha256:..." (manifest digest) */
	int64_t size_bytes;  /* sum of its layers, unpacked */
	int64_t tagged_ns;   /* when a name was last given to it here; 0: never */
};

/* Loads the tables, drops half-made layer directories, forgets images whose layers are gone.
 * mirrors: registry-mirrors and insecure-registries of the daemon's configuration, handed to pulls
 * as they are. */
struct image_store *image_store_new(uv_loop_t *l, struct store *s, struct job_pool *jobs,
	struct event_bus *bus, const char *data_root, json_t *take_registry_config, struct err *e);
void image_store_free(struct image_store *s);

/* By id, unique id prefix, name, name:tag, name@digest. ERR_NOT_FOUND "No such image: x:latest",
 * ERR_INVALID for a bad reference or an ambiguous prefix. Borrowed: valid until the image is
 * removed. */
struct image *image_find(struct image_store *s, const char *name, struct err *e);
/* The exact bytes whose digest is the id; a new JSON string, or NULL with *e. */
json_t *image_config_text(struct image_store *s, const char *id, struct err *e);
struct image *image_next(
	const struct image_store *s, size_t *pos); /* start with 0; NULL at the end */

/* The image's layers for overlayfs, topmost first, relative to image_layers_dir
 * ("a1b2...:c3d4..."); the caller's string. An image without layers gives the name of an empty
 * directory. */
char *image_lowerdir(const struct image_store *s, const struct strv *layers);
/* What the daemon was told of registries; borrowed, may be NULL. */
json_t *image_registry_config(const struct image_store *s);
const char *image_layers_dir(const struct image_store *s); /* absolute; borrowed */
/* Whether it is here and, as far as is known, whole. */
bool image_has_layer(const struct image_store *s, const char *diff_id, int64_t *ret_bytes);
/* Why a layer that is recorded, or not even that, cannot be used; NULL when it can. */
const char *image_layer_damage(const struct image_store *s, const char *diff_id);
/* ERR_SYSTEM when one of them cannot be used; name: the image's, for the sentence. */
int image_check_layers(
	const struct image_store *s, const struct strv *layers, const char *name, struct err *e);
/* What the beginnings of layers take that pulls have read (layers/partial). */
int64_t image_partial_bytes(const struct image_store *s);
/* What all layers take, and how much of an image's size is layers that other images have too. */
int64_t image_layers_bytes(const struct image_store *s);
int64_t image_shared_bytes(const struct image_store *s, const struct image *i);

/* What may be run, or built upon, under the name or id that was typed: ERR_DENIED when the
 * signature policy (image/trust.h) wants the image to be signed and it is not. An id stands for all
 * names that the image has. */
int image_trust_check(
	struct image_store *s, const struct image *i, const char *typed, struct err *e);
/* [{"Reference": "a@sha256:...", "KeyId", "Key": path or ""}], new: who signed it. */
json_t *image_trust_shown(const struct image_store *s, const struct image *i);

int image_tag(struct image_store *s, struct image *i, const char *reference, struct err *e);

/* --- images of several platforms under one name --- */

#define IMAGE_INDEX_MAX 64

struct image_index {
	char id[DIGEST_LEN + 1]; /* the digest of the OCI index (image-spec image-index.md) */
	struct image **v;        /* in its order */
	size_t n;
	struct image *shown; /* what the name means to who asks for no platform: this machine's, or
				the first */
};

/* What a reference, the index's digest or the beginning of that names; NULL: one image, or nothing.
 * Borrowed until the next change of the store. */
const struct image_index *image_index_find(struct image_store *s, const char *name);
/* As image_find, but of an index the image that fits the platform ("linux/arm/v7") best; when none
 * does, or there is no index, what image_find gives: whoever needs that platform looks again. */
struct image *image_find_for(
	struct image_store *s, const char *name, const char *platform, struct err *e);
/* Records an index of images that are here, or further images of one. *ret: borrowed. */
int image_index_add(struct image_store *s, const char *id, const struct strv *image_ids,
	const struct image_index **ret, struct err *e);
int image_tag_index(
	struct image_store *s, const struct image_index *x, const char *reference, struct err *e);
/* what: id of an image or an index; reference: "name@sha256:...", which means it from now on. */
int image_name_digest(
	struct image_store *s, const char *what, const char *reference, struct err *e);
/* An image that only an index leads to which shows another one: hidden from lists, it goes with
 * the index. */
bool image_is_beside(const struct image_store *s, const struct image *i);

/* An image without a name that another was committed from, or that is beside another
 * (image_is_beside): hidden from lists. */
bool image_is_intermediate(const struct image_store *s, const struct image *i);

/* in_use(owner, id) says whether a container holds it: "running" (never removable), "stopped"
 * (with force) or NULL. */
typedef const char *image_use_fn(
	void *owner, const char *image_id, char ret_container_short_id[static 13]);
struct image_remove_query {
	bool force;
	bool no_prune; /* images without a name that it was committed from stay */
	image_use_fn *in_use;
	void *use_owner;
};
/* As DELETE /images/x: removes the tag or, for an id or the last tag, the image and the layers
 * nobody else needs. *ret_changes: a new array of {"Untagged": ...} and {"Deleted": ...}.
 * ERR_CONFLICT with Docker's words. */
int image_remove(struct image_store *s, const char *name, const struct image_remove_query *q,
	json_t **ret_changes, struct err *e);
typedef bool image_wanted_fn(void *owner, const struct image *i);
struct image_prune_query {
	bool all;                /* not only those without tags */
	image_wanted_fn *wanted; /* NULL: every such image */
	void *wanted_owner;
	image_use_fn *in_use; /* NULL, or names the images that stay */
	void *use_owner;
};
/* *ret_changes as image_remove. */
int image_prune(struct image_store *s, const struct image_prune_query *q, json_t **ret_changes,
	int64_t *ret_bytes, struct err *e);
/* Layers named here survive garbage collection: the layers of existing containers and of the build
 * cache. */
typedef void image_pin_fn(void *owner, void (*pin)(void *arg, const char *diff_id), void *arg);
void image_set_pins(struct image_store *s, image_pin_fn *fn, void *owner);
/* The layers of containers that run: their directories outlive a repair. */
void image_set_running(struct image_store *s, image_pin_fn *fn, void *owner);
void image_collect(
	struct image_store *s); /* removes layers that nothing names; deletes in a worker */

/* Layers that stay while somebody reads them, or will name them in an image to come. */
struct image_hold;
struct image_hold *image_hold_new(struct image_store *s);
void image_hold_layer(struct image_hold *h, const char *diff_id); /* need not be there yet */
void image_hold_image(struct image_hold *h, const struct image *i);
void image_hold_free(
	struct image_hold *h); /* NULL is fine; what nobody else needs is collected now */

/* --- push: one worker for one or all tags of a repository --- */
struct image_push;
struct image_push_handlers {
	void (*progress)(void *owner, json_t *msg);             /* borrowed */
	void (*done)(void *owner, const struct err *e_or_null); /* once, never inside image_push */
};
/* reference: "host/name:tag", or without a tag for all of them. auth as image_pull. ERR_NOT_FOUND
 * "An image does not exist locally with the tag: x". */
struct image_push *image_push(struct image_store *s, const char *reference, json_t *take_auth,
	const struct image_push_handlers *h, void *owner, struct err *e);
void image_push_cancel(struct image_push *p); /* done follows */
/* What a build made, whatever names lead to it: what is the id of an image or an index. reference
 * without a tag: it gets no name there but its digest. compression, of layers that are sent: "" or
 * "gzip", "zstd", "uncompressed"; annotations: borrowed, as worker/push_annotate.h has them, or
 * NULL. The last progress that has "aux" tells the digest. */
struct image_push *image_push_made(struct image_store *s, const char *what, const char *reference,
	const char *compression, json_t *annotations, json_t *take_auth,
	const struct image_push_handlers *h, void *owner, struct err *e);

/* Everything that was recorded so far is on the disk when fn is called, once, perhaps before this
 * returns; e is NULL, or why it is not. Works below do it themselves. */
typedef void image_synced_fn(void *owner, const struct err *e);
void image_sync(struct image_store *s, image_synced_fn *fn, void *owner);

/* --- work that takes time. progress: one Docker progress object {"status","id","progressDetail"},
 * borrowed. done: exactly once, never from inside the start; img is NULL with *e on failure.
 * image_work_cancel ends it early (done follows). A second pull of the same layer waits for the
 * first. --- */
struct image_work;
struct image_work_handlers {
	void (*progress)(void *owner, json_t *msg);
	void (*done)(void *owner, struct image *img, const struct err *e);
};
/* reference as typed; platform "" or "linux/arm/v7"; auth: {"username","password","serveraddress"}
 * or NULL. */
struct image_work *image_pull(struct image_store *s, const char *reference, const char *platform,
	json_t *take_auth, const struct image_work_handlers *h, void *owner, struct err *e);
/* Every tag of a repository. done gets the last image. */
struct image_work *image_pull_all(struct image_store *s, const char *repository,
	const char *platform, json_t *take_auth, const struct image_work_handlers *h, void *owner,
	struct err *e);
/* POST /images/load and POST /images/create?fromSrc=-: feed the archive with image_work_feed and
 * image_work_feed_end. Progress of load carries {"stream":"Loaded image: x:1\n"}. reference may be
 * "" for import. Without platforms, of an index the image for this machine is loaded; with one,
 * only such images; with several, or "all", an index stays one. */
struct image_work *image_load(struct image_store *s, const struct strv *platforms,
	const struct image_work_handlers *h, void *owner, struct err *e);
struct image_work *image_import(struct image_store *s, const char *reference, const char *message,
	const char *platform, const struct strv *changes, const struct image_work_handlers *h,
	void *owner, struct err *e);
/* take_request: what the worker's commit job needs (worker/commit.c) but "references" and "tmp".
 * reference "": the image gets no name. No progress. */
struct image_work *image_commit(struct image_store *s, const char *reference, json_t *take_request,
	const struct image_work_handlers *h, void *owner, struct err *e);
/* Returns false when the caller should wait for drained(owner) before feeding more. */
bool image_work_feed(struct image_work *w, const char *data, size_t n, void (*drained)(void *owner),
	void *owner);
void image_work_feed_end(struct image_work *w);
void image_work_cancel(struct image_work *w);

/* --- damage --- */

/* Looks for layers whose directory is not what was unpacked. progress: as of a pull. result,
 * borrowed: {"Layers": looked at, "Damaged": layers that are left, "Repaired": layers, "Images":
 * [{"Id", "Names", "Layers", "Damage": [{"Layer", "Reason"}], "Repaired": bool, "Remedy": what a
 * person can do}], "LoneLayers": [as Damage]}. done: once, never from inside the start. */
struct image_verify;
struct image_verify_handlers {
	void (*progress)(void *owner, json_t *msg); /* or NULL */
	void (*done)(void *owner, json_t *result, const struct err *e);
};
struct image_verify_query {
	const struct strv *names; /* none: all images and every other layer */
	bool deep;                /* the contents of files too */
	bool repair;   /* damaged layers are fetched again by the digest the image was pulled by */
	bool gentle;   /* gives way to all else on the machine */
	json_t *auths; /* credentials by registry, or NULL; borrowed */
};
struct image_verify *image_verify(struct image_store *s, const struct image_verify_query *q,
	const struct image_verify_handlers *h, void *owner, struct err *e);
void image_verify_cancel(struct image_verify *v); /* done follows */
/* All layers, gently; what is found is logged. */
void image_verify_gently(struct image_store *s);

struct ref;
/* Of X-Registry-Config, the credentials for r's registry; a new reference or NULL. */
json_t *image_auth_find(json_t *auths, const struct ref *r);

/* --- save: images as one archive, Docker's and an OCI layout at once --- */
struct image_save;
struct image_save_handlers {
	void (*output)(void *owner, const char *data, size_t n); /* of the tar */
	/* Once, and never inside image_save. Before any output a failure is an answer; later it
	 * cuts the archive off. */
	void (*done)(void *owner, const struct err *e_or_null);
};
/* A name without a tag means all tags of its repository. platform: "" for all that is under a name,
 * else what image_find_for gives. ERR_NOT_FOUND as image_find. The layers stay until done, whatever
 * is removed. */
struct image_save *image_save(struct image_store *s, const struct strv *names, const char *platform,
	const struct image_save_handlers *h, void *owner, struct err *e);
void image_save_pause(struct image_save *w, bool pause);
void image_save_cancel(struct image_save *w); /* done follows */

/* --- what a build adds. The worker has prepared DATA/layers/tmp/NAME and NAME.recipe (complete and
 * synced). --- */
/* Renames both into place and records the layer; an existing layer of that diff id wins and the new
 * copy is dropped. */
int image_add_layer(struct image_store *s, const char *tmp_name, const char *diff_id,
	int64_t size_bytes, struct err *e);
/* The same of a layer that is not synced: it is in place, but nobody has it (image_has_layer) until
 * image_settle_layer records it, which is called when it is on the disk. It must be pinned. */
int image_add_layer_early(struct image_store *s, const char *tmp_name, const char *diff_id,
	int64_t size_bytes, struct err *e);
int image_settle_layer(struct image_store *s, const char *diff_id, struct err *e);
/* Records an image; config_text is the exact bytes whose SHA-256 is the id. Returns it (the
 * existing one if known). */
struct image *image_add(struct image_store *s, const char *config_text, size_t n, struct err *e);
