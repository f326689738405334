/* buildkit/fsutil_names.h - what the sender remembers of each file that it told: its name and where
 * it is, some 25 bytes.
 *
 * Not locked: fsutil_send.c does that.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

#define FSUTIL_TOP UINT32_MAX /* as a parent: the root of the tree */

struct fsutil_names {
	struct fsutil_name *v; /* by id */
	uint32_t n, room;
	char *text; /* all names, each with its NUL */
	size_t text_n, text_room;
};

void fsutil_names_deinit(struct fsutil_names *s);
/* The next id. name "": a directory of the receiver's only (fsutil_send_options.below). */
uint32_t fsutil_names_add(
	struct fsutil_names *s, uint32_t parent, const char *name, bool has_content);
/* The path below the root of a file that may be asked for, and was not before, replaces ret's
 * bytes; -1 when there is none. */
int fsutil_names_take(struct fsutil_names *s, uint32_t id, struct buf *ret);
/* The same for any id, as the receiver knows it: below is in front of the path. */
void fsutil_names_path(const struct fsutil_names *s, uint32_t id, struct buf *ret);
