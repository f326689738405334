/* build/base.h - the images that one build is made from: found in the store, or pulled, several at
 * a time; those who ask for an image that is being pulled wait for that pull. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct image;
struct image_store;
struct base_images;

struct base_handlers {
	/* The answer to a question (the number that came with it): i, or NULL with *e. May be
	 * called before base_images_ask returns. */
	void (*answer)(
		void *owner, json_int_t question, const struct image *i, const struct err *e);
	/* The question must come again with a login, or the word that there is none. */
	void (*need_auth)(void *owner, json_int_t question);
	/* A message of a pull for this vertex (0: none): {"status": "Downloading", ...}; borrowed.
	 */
	void (*progress)(void *owner, int vertex, json_t *msg);
	/* After base_images_cancel, or the last answer: no pull is left. */
	void (*idle)(void *owner);
};

/* auths: of POST /build, borrowed; s and h are borrowed, too. */
struct base_images *base_images_new(
	struct image_store *s, json_t *auths, const struct base_handlers *h, void *owner);
void base_images_free(struct base_images *b); /* when it is not busy */
bool base_images_busy(const struct base_images *b);

struct base_question {
	json_int_t number;
	const char *name;
	const char *platform; /* "": any that is there */
	bool pull;            /* even if it is there */
	bool local;           /* never: what is not there is an error */
	int vertex;
	bool ask_auth; /* what is pulled needs a login from elsewhere: need_auth */
	json_t *auth;  /* that, borrowed; NULL: by auths */
};
/* An error is an answer, too. */
void base_images_ask(struct base_images *b, const struct base_question *q);
/* Pulls end; nobody is answered any more. */
void base_images_cancel(struct base_images *b);

/* A pull's message as build_event.h's {"status": {...}}; NULL when there is nothing to show. */
json_t *base_status(int vertex, const json_t *msg, int64_t now_ns);
