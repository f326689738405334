/* wherry/compose_watch.h - develop.watch while it goes on, for `watch` and `up --watch`. */
#pragma once
#include "wherry/compose.h"

struct compose_watch;

struct compose_watch_options {
	bool prune, quiet; /* what a build leaves without a name goes; builds say nothing */
	/* A line for the user; from the thread that calls compose_watch_step. */
	void (*say)(void *owner, const char *text);
	/* Containers are about to be replaced or restarted, or that is done; NULL. */
	void (*busy)(void *owner, bool begins);
	void *owner;
};

/* The selected services (by index in c->project). Nothing is copied yet. NULL with *e. */
struct compose_watch *compose_watch_new(struct compose *c, const struct compose_watch_options *o,
	const bool *selected, struct err *e);
void compose_watch_free(struct compose_watch *w); /* NULL is fine */
/* initial_sync; to be called once the containers are there. */
int compose_watch_begin(struct compose_watch *w, struct err *e);
/* Readable when there is something for compose_watch_step. */
int compose_watch_fd(const struct compose_watch *w);
/* Waits until no more changes come and acts on them. What fails is said and does not end the watch.
 */
int compose_watch_step(struct compose_watch *w, struct err *e);

/* compose_watch_run.c: the watch beside an attached `up`, on a thread of its own. NULL with *e when
 * there is nothing to watch; begun only once the containers are there. */
struct watch_beside;
struct watch_beside *watch_beside_new(
	struct compose *c, struct compose_attached *a, const bool *selected, struct err *e);
int watch_beside_begin(struct watch_beside *b, struct err *e);
/* False when the thread is in the middle of something: it still uses what the command has. */
bool watch_beside_end(struct watch_beside *b);
