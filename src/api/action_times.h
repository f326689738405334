/* api/action_times.h - how long it takes what clients ask for, as dockerd's histograms say.
 *
 * dockerd times its own functions (moby daemon/metrics.go, daemon/images/metrics.go); here it is a
 * request, from its head to the answer that it was done. What fails is not counted, as there. Pure.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

enum action {
	ACTION_NONE,
	ACTION_CONTAINER_CHANGES,
	ACTION_CONTAINER_COMMIT,
	ACTION_CONTAINER_CREATE,
	ACTION_CONTAINER_DELETE,
	ACTION_CONTAINER_START,
	ACTION_IMAGE_DELETE,
	ACTION_IMAGE_HISTORY,
	ACTION_IMAGE_PULL,
	ACTION_NETWORK_CONNECT,
	ACTION_NETWORK_RELEASE,
	ACTION_HOST_INFO,
	ACTION_HOST_VERSION,
	ACTION_MAX,
};

#define ACTION_BUCKETS 11 /* client_golang's DefBuckets, 5 ms to 10 s */

struct action_times {
	struct {
		uint64_t
			buckets[ACTION_BUCKETS]; /* not above this bound and above the one before */
		uint64_t count, sum_ns;
	} of[ACTION_MAX];
};

void action_times_add(struct action_times *t, enum action a, int64_t ns); /* NONE: nothing */
void action_times_put(struct buf *b, const struct action_times *t); /* Prometheus' text format */
