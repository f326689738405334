/* image/store.h - what the files of image/ share; nobody else includes it. */
#pragma once
#include "base/list.h"
#include "base/map.h"
#include "codec/ref.h"
#include "image/image.h"

#define LAYER_DIR_LEN                                                                          \
	24 /* hex digits of the diff id: short names, so that 125 lower layers fit one page of \
	      mount options */

/* Below layers: what was read of the blobs of unfinished pulls (worker/partial.h). */
#define IMAGE_PARTIAL_DIR "partial"

struct image_layer {
	char diff_id[DIGEST_LEN + 1];
	int64_t bytes;
	int64_t pulled_s; /* when a pull brought it that has not made an image of it; else 0 */
	char *damage;     /* NULL: none is known */
	bool pending;     /* in place, but not recorded: it may not be on the disk yet */
};

/* A layer that one work is fetching; the others wait. */
struct image_claim {
	struct image_work *owner;
};

struct image_store {
	uv_loop_t *loop;
	struct store *store;
	struct job_pool *jobs;
	struct event_bus *bus;
	char *layers_dir;
	int layers_fd;
	json_t *registry_config;
	struct map *images;  /* id -> struct image */
	struct map *refs;    /* canonical reference -> struct image; both tags and digests */
	struct map *indexes; /* digest -> struct image_index, owned */
	struct map *
		ref_indexes; /* canonical reference -> struct image_index, of those that name one */
	struct map *layers;  /* directory name -> struct image_layer */
	struct map *claims;  /* diff id -> struct image_claim */
	struct map *signatures; /* canonical digest reference -> id of the key that signed it there,
				   a string of the map's */
	struct list works;
	image_pin_fn *pins;
	void *pins_owner;
	image_pin_fn *running;
	void *running_owner;
	bool has_replaced; /* perhaps: layers/replaced/ */
	struct list holds;
	bool collect_wanted; /* nobody needs some layer but who holds it */
};

/* --- records.c: the tables in memory and on disk --- */
int image_records_load(struct image_store *s, struct err *e);
void image_records_free(struct image_store *s);
void image_layer_dir(const char *diff_id, char ret[static LAYER_DIR_LEN + 1]);
void image_layer_free(struct image_layer *l); /* NULL is fine */
struct image_layer *image_layer_find(const struct image_store *s, const char *diff_id);
/* What may become a tag, with ":latest" where it names none; not a digest. */
int image_tag_parse(const char *reference, struct ref *ret, struct err *e);
/* Points a canonical reference at i, in memory and in the table. */
int image_ref_set(struct image_store *s, const char *canonical, struct image *i, struct err *e);
/* As image_ref_set of the index's shown image. */
int image_ref_set_index(
	struct image_store *s, const char *canonical, const struct image_index *x, struct err *e);
int image_ref_drop(struct image_store *s, const char *canonical, struct err *e);
/* Forgets the image and its references; its layers stay until image_collect. */
int image_forget(struct image_store *s, struct image *i, struct err *e);
/* All canonical references of an image. */
void image_refs_of(const struct image_store *s, const struct image *i, struct strv *ret);
void image_event(struct image_store *s, const char *action, const char *id, const struct image *i,
	const char *name);

/* --- image.c --- */
/* image_find; *ret_by_id: the name was an id rather than a reference. */
struct image *image_find_named(
	struct image_store *s, const char *name, bool *ret_by_id, struct err *e);

/* --- index.c --- */
void image_index_free(struct image_index *x);
bool image_index_has(const struct image_index *x, const struct image *i);
/* At the start: 1, or 0 when none of its images is here. */
int image_index_load(struct image_store *s, const char *id, const json_t *doc, struct err *e);
/* A reference has left it: without any it goes, unless nothing else leads to its shown image. */
void image_index_settle(struct image_store *s, struct image_index *x);
/* The image is about to be forgotten, and has been: in the table, and in memory. */
int image_index_forget_rows(struct image_store *s, const struct image *i, struct err *e);
void image_index_forget(struct image_store *s, const struct image *i);
/* Ids of the other images of the indexes that show it. */
void image_index_companions(
	const struct image_store *s, const struct image *shown, struct strv *ret);

/* --- trust.c --- */
/* Notes that the key has signed the image for the repository of the digest reference, which is
 * i's. */
int image_trust_record(struct image_store *s, const char *canonical, const char *key_id,
	struct image *i, struct err *e);

/* --- collect.c --- */
/* Moves layers/NAME (or layers/tmp/NAME) and its recipe out of the way and deletes them in a
 * worker. */
void image_discard(struct image_store *s, const char *name, bool is_tmp);
void image_discard_all_tmp(struct image_store *s);
/* Gives the space of unfinished pulls back; those that run go on. Returns the bytes. */
int64_t image_discard_partials(struct image_store *s);
/* An image names its layers: they are no longer of an unfinished pull. */
void image_layers_named(struct image_store *s, const struct image *i);
/* The layers of unfinished pulls are not spared any more. Returns their bytes. */
int64_t image_spare_none(struct image_store *s);
void image_spare_not(struct image_store *s, const char *diff_id); /* this one */
/* As image_add_layer. Until an image names it, image_collect spares it for a day: a pull that was
 * interrupted goes on with what it has. */
int image_add_pulled_layer(struct image_store *s, const char *tmp_name, const char *diff_id,
	int64_t size_bytes, struct err *e);
/* At the start: the directory of a layer that was on its way out, when the store does not know. */
bool image_take_back(struct image_store *s, const char *dir);
/* What goes with i, topmost first, as Docker names layers: by the digest of all that is below
 * (OCI image-spec config.md "Layer ChainID"). *ret_bytes: of layers that no other image, container
 * or cache entry names. */
void image_own_chains(
	struct image_store *s, const struct image *i, struct strv *ret, int64_t *ret_bytes);

/* --- damage.c --- */
int image_layer_save(struct image_store *s, const struct image_layer *l, struct err *e);
/* What was found out about a layer that is recorded; damage NULL: it is whole. */
void image_layer_note(struct image_store *s, const char *diff_id, const char *damage);
/* layers/FROM was the directory of the layer; it goes when no running container needs it. */
void image_keep_replaced(struct image_store *s, const char *from, const char *dir);
void image_drop_replaced(struct image_store *s);

/* --- hold.c --- */
bool image_is_held(const struct image_store *s, const char *diff_id);
