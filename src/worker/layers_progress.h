/* worker/layers_progress.h - Docker's progress objects for a layer on its way.
 *
 * {"status": "Downloading", "progressDetail": {"current", "total"}, "progress": "[==> ] 1.2MB/3MB",
 * "id": "a1b2c3d4e5f6"} as moby's pkg/streamformatter writes them: the command line draws
 * progressDetail, older clients print "progress".
 */
#pragma once
#include <stdatomic.h>
#include <stdint.h>

#include "tree/stream.h"

struct rpc;

struct layers_progress {
	struct rpc *rpc; /* NULL: nobody is told */
	atomic_bool
		stop; /* set when something failed: streams that are measured end with "canceled" */
};

/* A step without numbers. id: of 12 digits, as Docker shortens digests. */
void layers_say(struct layers_progress *p, const char *id, const char *status);
void layers_say_bytes(struct layers_progress *p, const char *id, const char *status,
	int64_t current, int64_t total);

/* A stage that tells how much has passed, ten times a second. inner, p and status are borrowed; id
 * is copied (12 characters). */
struct stream *layers_meter_new(struct stream *inner, struct layers_progress *p, const char *id,
	const char *status, int64_t total);

/* "1.229MB": docker/go-units HumanSize, four significant digits, powers of 1000. */
void layers_human_size(int64_t bytes, char *ret, size_t room);

/* "[=====>      ]  1.229MB/3MB"; "" when nothing is known. The caller's. */
char *layers_progress_text(int64_t current, int64_t total);
