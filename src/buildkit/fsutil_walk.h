/* buildkit/fsutil_walk.h - the sender's walk: the tree in the protocol's order, filtered.
 *
 * A directory that is entered only for what is in it is told right before the first of that.
 */
#pragma once
#include "buildkit/fsutil.h"

struct fsutil_walk {
	const struct fsutil_send_options *o;
	/* Tells one entry and gives it its id; -1 with *e ends the walk. has_content: a regular
	 * file that may be asked for. */
	int (*tell)(void *owner, uint32_t parent, const char *name, const struct fsutil_stat *st,
		bool has_content, uint32_t *ret_id, struct err *e);
	/* The path of an id as it was told; borrowed until the next call. */
	const char *(*path)(void *owner, uint32_t id);
	void *owner;
};

/* In a thread of its own, whose working directory it may leave anywhere. */
int fsutil_walk(const struct fsutil_walk *w, int root_fd, struct err *e);
