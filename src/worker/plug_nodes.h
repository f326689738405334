/* worker/plug_nodes.h - device nodes in the file system of a container that runs.
 *
 * The container is hostile: it may put links, mounts and files of its own anywhere in its /dev, and
 * change them meanwhile. So nothing is looked up by a whole path. Its /dev (for other places its
 * root) is opened once and must be the file system that was made for it; below that each component
 * is opened with openat2, no links, no other mounts. What is in the way is left, and named.
 */
#pragma once
#include <jansson.h>
#include <sys/types.h>

#include "base/err.h"

struct plug_place {
	int root; /* the container's, O_PATH */
	int dev;  /* its /dev, O_PATH; -1: not one of ours, why says what it is */
	struct err why;
};

/* fd 4 (VIEW_NS_FD) is a pidfd of the container's first process. */
int plug_place_open(struct plug_place *ret, struct err *e);
void plug_place_close(struct plug_place *p);

/* node: {"path", "type": "c", "major", "minor", "mode", "uid", "gid"}, or {"path", "type": "l",
 * "target"} for a link. Makes it, and folders that are missing. Success when it is there already.
 */
int plug_node_add(const struct plug_place *p, const json_t *node, struct err *e);
/* Takes it away if it is there and still is that node. */
int plug_node_remove(const struct plug_place *p, const json_t *node, struct err *e);
