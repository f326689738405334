/* build/results.h - what a build gives to the image store, and what it pushes: questions of its
 * worker (worker/build.h) that the session hands on.
 */
#pragma once
#include <jansson.h>

#include "base/err.h"

struct builder;

/* {config, key, tags: [], fresh} -> {"id", "tags": [as the user knows them], "config": exact text
 * where it is another}; new, or NULL with *e. An image that is the same but for its dates is taken
 * again unless fresh. */
json_t *build_add_image(struct builder *b, const json_t *msg, struct err *e);
/* {id, images: [ids], tags: []} -> as build_add_image. */
json_t *build_add_index(struct builder *b, const json_t *msg, struct err *e);
/* {what: id of an image or an index, reference: "name@sha256:..."} -> {} */
json_t *build_name_digest(struct builder *b, const json_t *msg, struct err *e);

/* {reference} -> {"config": of the daemon for registries, "auth": of auths, or null}. */
json_t *build_registry(struct builder *b, const json_t *msg, json_t *auths, struct err *e);
/* {diff_id} -> {"blobs": []}; {diff_id, blob} -> {}; {diff_id, repository, digest} -> {}:
 * image/blobs.h. */
json_t *build_blobs(struct builder *b, const json_t *msg, struct err *e);
json_t *build_learn_blob(struct builder *b, const json_t *msg, struct err *e);
json_t *build_forget_blob(struct builder *b, const json_t *msg, struct err *e);

struct build_push;
struct build_push_handlers {
	void (*progress)(void *owner, json_t *msg); /* borrowed */
	/* Once, never inside the start. answer: {"digest", "size"}, owned by the callee; NULL with
	 * e. */
	void (*done)(void *owner, json_t *take_answer, const struct err *e);
};
/* {what, reference: canonical, without a tag by digest only, compression, auth: {} or null}. auths:
 * by registry, for a message without auth; borrowed. NULL with *e. */
struct build_push *build_push_start(struct builder *b, const json_t *msg, json_t *auths,
	const struct build_push_handlers *h, void *owner, struct err *e);
void build_push_cancel(struct build_push *p); /* done follows */
