/* worker/find.h - a path that a client gave, found in a container's root as dockerd finds it.
 *
 * The path is cleaned as text first; "/" or "/." at its end says that it must be a directory and
 * that a link there is followed (moby archive.PreserveTrailingDotOrSeparator).
 */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/scoped.h"
#include "codec/path_stat.h"

struct found {
	int fd; /* O_PATH */
	struct stat st;
	char *path;  /* absolute, clean */
	char *base;  /* the name it goes by: the last component, "." or "/" */
	bool kernel; /* the mount point of a filesystem of the kernel: its content is not looked at
		      */
};

void found_deinit(struct found *f);
static inline void scoped_found(struct found *f)
{
	found_deinit(f);
}

/* ERR_NOT_FOUND with Docker's words, container is the name the client used; also for what is inside
 * of the kernel's filesystems. ERR_INVALID "not a directory". follow: a link at the end too. */
int find_path(int root, const char *path, const char *container, bool follow, struct found *ret,
	struct err *e);

/* The path that a link leads to, links on the way resolved as far as there are any; the caller's,
 * or NULL with *e. */
char *find_link_target(int root, const char *path, struct err *e);

int find_stat(int root, const struct found *f, struct path_stat *ret, struct err *e);
