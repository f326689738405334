/* wherry/build_filter.h - which files of a context the engine asks for.
 *
 * It names them in the metadata of its call (moby/buildkit session/filesync): paths to follow
 * ("followpaths", wildcards in them, links are followed and where they lead is sent too), patterns
 * to include, patterns to exclude (.dockerignore).
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "base/scoped.h"
#include "base/strv.h"

struct build_filter;

/* metadata: names and values in turns; a name with "-encoded" behind it tells that the values of
 * the name are percent-encoded. NULL with *e. */
struct build_filter *build_filter_new(int root_fd, const struct strv *metadata, struct err *e);
void build_filter_free(struct build_filter *f); /* NULL is fine */
SCOPED(struct build_filter *, build_filter_free)
/* For fsutil_send_options.filter: FSUTIL_SEND, FSUTIL_ENTER. */
unsigned build_filter_path(void *filter, const char *path, bool is_dir);
/* The values of a name, decoded; appended. */
void build_filter_values(const struct strv *metadata, const char *name, struct strv *ret);
