/* wherry/watch_tree.h - which files below some directories change, by inotify(7).
 *
 * Directories that appear are watched, too, and what is already in them counts as changed: it may
 * have been there before the watch was. A root that is a file, or is not there yet, is seen through
 * the nearest directory above it. Symbolic links are not followed. Single-threaded, never blocks.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strv.h"

#define WATCH_CHANGES_MAX 20000u /* of one batch; more is told as the roots themselves */

struct watch_tree;

/* Directories that are not entered; path is absolute. NULL: all are. */
typedef bool watch_skip_fn(void *owner, const char *path);

struct watch_tree *watch_tree_new(watch_skip_fn *skip, void *owner, struct err *e);
void watch_tree_free(struct watch_tree *t); /* NULL is fine */
/* path: absolute and clean. */
int watch_tree_add(struct watch_tree *t, const char *path, struct err *e);
int watch_tree_fd(const struct watch_tree *t); /* readable when something changed */
/* Appends what has changed, each path once: files, links and directories that came, changed or
 * went. *ret_all: too much has changed, or was lost; the roots have to be looked through. */
int watch_tree_read(struct watch_tree *t, struct strv *ret, bool *ret_all, struct err *e);
/* Appends everything that is below the root, or the root itself when it is a file. */
int watch_tree_list(
	const char *root, watch_skip_fn *skip, void *owner, struct strv *ret, struct err *e);

/* "b/c" of root "/a" and path "/a/b/c", "" when they are the same, NULL when path is elsewhere. */
const char *watch_below(const char *root, const char *path);
