/* worker/layers_progress.h - Docker's progress objects for a layer on its way.
 *
 * {"status": "Downloading", "progressDetail": {"current", "total"}, "progress": "[==>   ] 1.2MB/3MB", "id": "a1b2c3d4e5f6"} as
 * moby's pkg/streamformatter writes them: the command line draws progressDetail, older clients print "progress".
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "worker/stream.h"

struct rpc;

/* One progress a job: all its layers share the right to speak ten times a second. */
struct layers_progress {
	struct rpc *rpc;
	pthread_mutex_t lock;
	int64_t last_ms;
	atomic_bool stop; /* set when something failed: streams that are measured end with "canceled" */
};

void layers_progress_init(struct layers_progress *p, struct rpc *r);
void layers_progress_deinit(struct layers_progress *p);

/* A step without numbers. id: of 12 digits, as Docker shortens digests. */
void layers_say(struct layers_progress *p, const char *id, const char *status);
void layers_say_bytes(struct layers_progress *p, const char *id, const char *status, int64_t current, int64_t total);

/* A stage that tells how much has passed. inner, p and status are borrowed; id is copied (12 characters). */
struct stream *layers_meter_new(
	struct stream *inner, struct layers_progress *p, const char *id, const char *status, int64_t total);

/* "[=====>      ]  1.229MB/3MB"; "" when nothing is known. The caller's. */
char *layers_progress_text(int64_t current, int64_t total);
