/* worker/copy.h - copies files and trees between directories that hold a stranger's files.
 *
 * Both sides are named by a root fd and a path that is resolved inside it (base/path.h), so that no
 * link on either side leads outside. Used for COPY and ADD, and for the first content of a volume.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define COPY_DEPTH_MAX 256             /* directories in each other; each costs two open files */
#define COPY_RESERVE_BYTES (16u << 20) /* free space that is left to the rest of the system */

enum copy_verdict {
	COPY_TAKE,
	COPY_SKIP, /* with everything below it */
	COPY_LOOK, /* a directory: only for what is taken below it; anything else stays away */
};
/* What becomes of an entry: path is below the copied directory, which is `top` as its copy was
 * asked for. */
typedef enum copy_verdict copy_filter(void *owner, const char *top, const char *path);

struct copy_options {
	bool set_owner;
	uid_t uid;
	gid_t gid;
	/* The mode an entry gets, from the one it has; NULL keeps it. Links are never asked for. */
	mode_t (*mode)(void *owner, mode_t mode);
	copy_filter *filter; /* NULL: everything is taken */
	void *owner;
	/* Files whose owner and mode stay may become other names of the source's, which nobody
	 * changes: what is new in the destination is made by copy_later_run. */
	bool link;
	bool user_xattrs; /* user.* and access lists too; security.capability is always kept */
};

struct copy; /* one COPY: remembers hard links */

/* Roots are borrowed; o is copied. */
struct copy *copy_new(int from_root, int to_root, const struct copy_options *o);
void copy_free(struct copy *c);
static inline void scoped_copy_free(struct copy **c)
{
	copy_free(*c);
}

/* What is in directory `from` goes into directory `to`, which exists. Existing directories are
 * merged into; their mode and owner become those of the source, except for `to` itself. with_self:
 * `to` gets them as well. */
int copy_dir_content(
	struct copy *c, const char *from, const char *to, bool with_self, struct err *e);
/* One entry that is not a directory becomes to_dir/name, whatever stands there but a directory. */
int copy_file(
	struct copy *c, const char *from, const char *to_dir, const char *name, struct err *e);
/* The directory `to` gets the mode, owner, attributes and times that `from` has. */
int copy_attributes(struct copy *c, const char *from, const char *to, struct err *e);

/* With options.link: whether copy_later_run has something to do. */
bool copy_later_is_needed(const struct copy *c);
/* The rest, when all is said and the destination's overlay is not mounted any more: to_root is its
 * upper directory, from_root the source's, both of one mount. */
int copy_later_run(struct copy *c, int from_root, int to_root, struct err *e);
