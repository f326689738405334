/* container/files.h - a container's files, read and written by a worker: archive, export, changes.
 *
 * While one of these goes on a container that does not run is not started (its overlay must not be
 * mounted twice): the start waits. Removal of the container ends them.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct container;
struct container_set;
struct file_work;

enum file_task {
	FILE_STAT,    /* result {"stat": ...} (codec/path_stat.h) */
	FILE_GET,     /* a tar of path */
	FILE_PUT,     /* a tar into path, fed by file_work_feed */
	FILE_EXPORT,  /* a tar of everything but what is mounted */
	FILE_CHANGES, /* JSON text */
};

struct file_request {
	enum file_task task;
	const char *path;  /* as the client wrote it */
	const char *name;  /* of the container, as the client wrote it: for messages */
	bool no_overwrite; /* put: a directory does not become a file, nor a file a directory */
	bool copy_owner;   /* put: what comes belongs to the user the container runs as */
	bool before_start; /* put: into a read-only root, too, of a container that has never run */
};

struct file_handlers {
	void (*ready)(void *owner); /* put: bytes may come now; may be NULL */
	/* Output follows; stat is borrowed, NULL when there is none. May be NULL for stat and put.
	 */
	void (*begin)(void *owner, const json_t *stat);
	void (*output)(void *owner, const char *data, size_t n);
	/* Once, never from inside container_files; result is NULL with *e. */
	void (*done)(void *owner, const json_t *result, const struct err *e);
};

/* NULL with *e: ERR_CONFLICT for a container that is being removed. */
struct file_work *container_files(struct container *c, const struct file_request *q,
	const struct file_handlers *h, void *owner, struct err *e);
/* As job_body_write. */
bool file_work_feed(
	struct file_work *w, const char *data, size_t n, void (*drained)(void *owner), void *owner);
void file_work_feed_end(struct file_work *w);
void file_work_pause(struct file_work *w, bool pause); /* its output */
void file_work_cancel(struct file_work *w);            /* done follows */

/* The event of a commit that is done; ref is "" for none. */
void container_note_commit(
	const struct container *c, const char *comment, const char *image_id, const char *ref);
/* What a commit job needs of c: "upper", "lower", "container", "container_config", "created_by" and
 * "config", which is body under which c's own configuration fills the gaps (NULL: c's own). New, or
 * NULL with *e. */
json_t *container_commit_request(const struct container *c, const json_t *body, struct err *e);
