/* job/remove.h - trees that nobody needs any more, deleted without the loop waiting for it.
 *
 * A small one goes at once: what a container of a second leaves is a dozen files, a worker to
 * delete them costs 8 ms. Any other is the business of the job "remove-tree".
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct job_pool;

/* Removes names (an array) below dir; what cannot be removed, tried thrice, is logged for area and
 * stays until the daemon's next start empties its tmp folders. True: they are gone, or no worker
 * could be started. False: done(owner) follows from the loop, with done NULL nothing. */
bool job_remove_trees(struct job_pool *p, const char *area, const char *dir, json_t *take_names,
	void (*done)(void *owner), void *owner);
/* The same, by a worker that first waits until this file has reached the disk: it says that nobody
 * needs the trees. "" for none. */
bool job_remove_trees_after(struct job_pool *p, const char *area, const char *synced,
	const char *dir, json_t *take_names, void (*done)(void *owner), void *owner);
