/* wherry/cp_names.h - the names of `wherry cp`: what an operand means, and what a copy is called
 * where it arrives.
 *
 * docker/cli cli/command/container/cp.go and moby pkg/archive/copy.go: a "/" or "/." at the end
 * says that a path is a directory. Pure.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

/* "web:/etc" is a path in a container; "/a:b" and "./a:b" are of this machine. Both are the
 * caller's; *ret_container NULL for a local path. */
void cp_split(const char *operand, char **ret_container, char **ret_path);

bool cp_says_here(const char *path);      /* its last component is "." */
bool cp_says_directory(const char *path); /* or it ends in "/" */
/* Cleaned, but for the end that says something; the caller's. */
char *cp_clean(const char *path);
/* The directory and the last component, "." when path says so, "/" for the root; both the caller's.
 */
void cp_split_last(const char *path, char **ret_dir, char **ret_base);

struct cp_target {
	const char *path;
	bool exists, is_dir;
};

/* Where an archive goes: into which directory, and what its root is called there (NULL: as it is).
 * Both are the caller's. -1 with *e in Docker's words. */
int cp_place(const struct cp_target *to, bool source_is_dir, char **ret_dir, char **ret_name,
	struct err *e);
