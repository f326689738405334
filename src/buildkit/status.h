/* buildkit/status.h - what a build says (worker/build_event.h, "vertices") as BuildKit's
 * StatusResponse. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"

struct status; /* a build's: what was said of its vertices so far, which clients want each time */

struct status *status_new(void);
void status_free(struct status *s); /* NULL is fine */

/* One message as a packed StatusResponse, which replaces *ret's bytes. Vertices get digests that no
 * other build has. False: it says nothing about vertices. */
bool status_pack(struct status *s, const json_t *msg, struct buf *ret);
/* The digest of a vertex. */
#define STATUS_DIGEST_MAX 72
void status_digest(const struct status *s, json_int_t id, char ret[static STATUS_DIGEST_MAX]);
