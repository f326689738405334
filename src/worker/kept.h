/* worker/kept.h - a client's directory of files, kept for its next build.
 *
 * DIR/KEY/tree holds the files as the client told them last (owned by root, the client's modes and
 * times), DIR/KEY/index what they are (file_index.h). The next transfer asks for what changed only.
 *
 * A file in the tree is never changed once it is complete, only replaced by another one: others
 * hard-link it. While the tree changes there is no index; without one that can be trusted all files
 * are fetched again. So neither a kill nor a power cut leaves wrong content under a right stat.
 */
#pragma once
#include "base/scoped.h"
#include "build/ignore.h"
#include "buildkit/fsutil.h"
#include "worker/file_index.h"

struct kept;

/* The directory of that key (a path component) below dir, made when it is missing; only one process
 * at a time has it: NULL with *e, ERR_BUSY, when another one does. */
struct kept *kept_open(const char *dir, const char *key, struct err *e);
/* The same in an empty directory that nobody else knows and that is not kept. */
struct kept *kept_temporary(int take_dir_fd, struct err *e);
/* Lets others have it. What changed is on disk before, as far as that went well. NULL is fine. */
void kept_close(struct kept *k);
SCOPED(struct kept *, kept_close)

struct kept_progress {
	int64_t files, bytes; /* told; received */
};
/* Makes the tree what the sender has, and asks only for what is not there. ignore: what is left out
 * although it is told, or NULL. progress may be NULL.
 * After an error nothing of it is used again. */
int kept_receive(struct kept *k, const struct fsutil_stream *s, const struct ignore *ignore,
	void (*progress)(void *owner, const struct kept_progress *p), void *owner, struct err *e);

int kept_tree_fd(const struct kept *k);                    /* borrowed */
const struct file_index *kept_index(const struct kept *k); /* borrowed */

/* --- all of them (kept_list.c) --- */

struct kept_info {
	const char *key;
	int64_t bytes;   /* of the files, as the index says; layers may share them */
	int64_t used_ns; /* since 1970 */
	bool in_use;
};
/* In no order. A directory that is not there has none. */
int kept_list(const char *dir, void (*found)(void *owner, const struct kept_info *i), void *owner,
	struct err *e);
/* ERR_BUSY while a build uses it; one that is not there is removed. */
int kept_remove(const char *dir, const char *key, struct err *e);
/* Removes those that no build uses: not used for max_age_ns, and the ones used longest ago while
 * all together are larger than max_bytes. What cannot be removed stays. */
void kept_trim(const char *dir, int64_t now_ns, int64_t max_age_ns, int64_t max_bytes);
