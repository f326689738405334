/* container/storage_attempts.h - mounting the disks that containers asked for: a job of its own for
 * each (worker/storage_disk.c), what became of it, and when it is tried again.
 *
 * An attempt has a sign, which the job "storage" gives (worker/storage.c): what another one of the
 * same kind would have too. While a sign is known here it is not begun again, but by this table:
 * what failed for a reason that may pass is, some times, later and later.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"

typedef struct uv_loop_s uv_loop_t;
struct job_pool;
struct storage_attempts; /* opaque */

enum storage_attempt_state {
	STORAGE_ATTEMPT_RUNS,
	STORAGE_ATTEMPT_ENDED,  /* mounted; reason says why it is read-only, if it is not to be */
	STORAGE_ATTEMPT_FAILED, /* for now, or for good */
	STORAGE_ATTEMPT_DUE,    /* failed, and may be begun again */
};

struct storage_attempt {
	struct list node; /* the table's own */
	struct storage_attempts *table;
	json_t *disk; /* "id", "sign", "node", "label", "uuid", "fstype" as the job told it */
	enum storage_attempt_state state;
	char *reason; /* "": none */
	int failures;
	struct delay *again;
};

/* Calls fn when a job has ended (news: it failed, with a reason that it had not told before), and
 * with NULL when one is due again: then the job "storage" is to look. */
typedef void storage_attempt_fn(void *owner, const struct storage_attempt *a, bool news);
struct storage_attempts *storage_attempts_new(
	uv_loop_t *l, struct job_pool *jobs, const char *root, storage_attempt_fn *fn, void *owner);
/* No job of its runs any more, or all have been cancelled. */
void storage_attempts_free(struct storage_attempts *t);

/* mount: one of the job's list "mount". Nothing happens when that is done or on its way. */
void storage_attempts_begin(struct storage_attempts *t, const json_t *mount);
/* The signs for which nobody waits: they have ended, one way or the other. */
json_t *storage_attempts_ended(const struct storage_attempts *t);
/* Forgets all but these: a disk that is gone, or that nobody wants, has its next chance when that
 * changes. */
void storage_attempts_keep(struct storage_attempts *t, const json_t *signs);
/* Walks: the one after prev, or the first; NULL at the end. */
const struct storage_attempt *storage_attempts_next(
	const struct storage_attempts *t, const struct storage_attempt *prev);

/* How long to wait after so many failures; -1: not again. */
int64_t storage_attempt_wait_ms(int failures);
