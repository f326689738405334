/* worker/build_context.h - directories of the client that a build has the files of.
 *
 * Of a classic call the context is a tar that was unpacked; of a client with a session it is
 * fetched by FileSync into a kept directory (kept.h), of which only what is used and is not ignored
 * is asked for. Every function may be called from any thread.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "base/strv.h"
#include "build/ignore.h"
#include "worker/copy.h"

struct build;
struct build_contexts;
struct file_index;

/* Whether the option ("context", "dockerfile_source") says that files come by the session. */
bool build_context_by_session(const struct build *b, const char *option);

/* Some files of the client's directory (dir-name) into a directory below the build's tmp: an fd of
 * the caller's. Those that are not there are left out. what: "[internal] load ..." */
int build_context_fetch(struct build *b, const char *name, const struct strv *files,
	const char *what, const char *dir, struct err *e);

/* The context of a session: b->context_fd, with what the plans of all targets say they read of it;
 * nothing happens when they read nothing, or when the context came otherwise. After the plans. */
int build_context_open(struct build *b, struct err *e);
/* All of it: for an instruction that no plan knew (ONBUILD). Files that are there stay. */
int build_context_widen(struct build *b, struct err *e);
/* A directory of the client's with a name of its own ("local:NAME"), fetched when it is first asked
 * for; a borrowed fd. */
int build_context_local(struct build *b, const char *name, int *ret_fd, struct err *e);
/* context_digest of the directory root_fd, from what is known of it if it is one of these. */
int build_context_digest(struct build *b, int root_fd, const char *path, bool with_owners,
	copy_filter *filter, void *owner, char ret[static 65], struct err *e);
/* Whether the directory's files are the client's, which nobody changes. */
bool build_context_is(const struct build *b, int root_fd);
void build_contexts_close(struct build *b);
