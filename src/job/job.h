/* job/job.h - the daemon's end of a wherry-worker: one process, one job.
 *
 * The worker is started as `wherry-worker NAME` with
 *   fd 0  a pipe: the body (an archive, a build context), or /dev/null
 *   fd 1  /dev/null, or a pipe of bytes the job produces (export, save)
 *   fd 2  the daemon's stderr
 *   fd 3  a socket of JSON lines both ways: the first line from the daemon is the request; the
 * worker answers with any number of messages, the last of which is {"result": {...}} or
 *         {"error": {"kind": "invalid", "message": "..."}}; in between it may ask the daemon with
 * {"ask": ...} and is answered by job_send. The worker dies with the daemon (PR_SET_PDEATHSIG) and
 * when it is cancelled.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

typedef struct uv_loop_s uv_loop_t;
struct job_pool; /* where the worker program is, and all jobs that run */
struct job;

#define JOB_LINE_MAX (8u << 20) /* a longer line from a worker ends it */

struct job_handlers {
	/* A message that is neither result nor error; borrowed. May be NULL. */
	void (*message)(void *owner, struct job *j, json_t *msg);
	/* Bytes from fd 1 while want_output; NULL otherwise. */
	void (*output)(void *owner, struct job *j, const char *data, size_t n);
	/* The last call, exactly once: result is borrowed, or NULL with *e set (also when the
	 * worker crashed or was cancelled). The job is freed afterwards. Never called from inside
	 * job_start. */
	void (*done)(void *owner, struct job *j, json_t *result, const struct err *e);
};

/* worker_path NULL: no job can be started; a daemon that only cleans up needs none. */
struct job_pool *job_pool_new(uv_loop_t *l, const char *worker_path);
const char *job_worker_path(const struct job_pool *p); /* for who starts one without us */
void job_pool_free(
	struct job_pool *p); /* cancels what runs; their done calls come before this returns */

/* take_body_fd: what becomes fd 0, or -1 for /dev/null, or JOB_BODY_PIPE for job_body_write.
 * NULL with *e when the process cannot be made. */
#define JOB_BODY_PIPE (-2)
struct job *job_start(struct job_pool *p, const char *name, json_t *take_request, int take_body_fd,
	bool want_output, const struct job_handlers *h, void *owner, struct err *e);
/* The same with one more descriptor for the worker, its fd 4; -1 for none. */
struct job *job_start_with(struct job_pool *p, const char *name, json_t *take_request,
	int take_body_fd, int take_extra_fd, bool want_output, const struct job_handlers *h,
	void *owner, struct err *e);

void job_send(struct job *j, json_t *take_msg); /* one line to the worker */

/* Feeds fd 0. Returns false when more than a high-water mark is queued: wait for drained(owner)
 * before writing more. After the worker closed its end, bytes are dropped silently (its error comes
 * with done). */
bool job_body_write(
	struct job *j, const char *data, size_t n, void (*drained)(void *owner), void *owner);
void job_body_end(struct job *j);

void job_output_pause(struct job *j, bool pause);
/* Kills it; done follows with ERR_BUSY "canceled", also when the process does not end for a while
 * because it waits for a disk or a server. */
void job_cancel(struct job *j);
int job_pid(const struct job *j);
