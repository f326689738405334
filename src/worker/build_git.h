/* worker/build_git.h - git repositories as sources: ADD, build contexts.
 *
 * git(1) does the work as a program of its own, with an environment of ours: no configuration, no
 * hooks, no templates, no prompts, only the protocols http, https, ssh and git, also for submodules
 * and redirects. What it gets as arguments went through build/git_url.h. A repository that grows
 * until the disk has less than CONTEXT_RESERVE_BYTES, or that stands still, ends it.
 * Secrets of the session: GIT_AUTH_TOKEN, GIT_AUTH_HEADER, GIT_SSH_KNOWN_HOSTS (also with ".HOST");
 * an ssh agent "default".
 */
#pragma once
#include "build/git_url.h"
#include "worker/build.h"

#define GIT_COMMIT_MAX 65

/* The commit that the repository has under the reference now; a commit is itself, unasked. */
int git_resolve(
	struct build *b, const struct git_url *g, char ret[static GIT_COMMIT_MAX], struct err *e);
/* Its files in dir/NAME, a new directory: an fd of what subdir names. Files belong to root. */
int git_checkout(struct build *b, const struct git_url *g, const char *commit, const char *dir,
	const char *name, struct err *e);
