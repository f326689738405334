/* buildkit/status.h - what a build says (worker/build_event.h, "vertices") as BuildKit's
 * StatusResponse. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/buf.h"

/* One message as a packed StatusResponse, which replaces *ret's bytes. Vertices get digests made of
 * the build's nonce and their ids. False: it says nothing about vertices. */
bool status_pack(const char *nonce, const json_t *msg, struct buf *ret);
/* The digest of a vertex. */
#define STATUS_DIGEST_MAX 72
void status_digest(const char *nonce, json_int_t id, char ret[static STATUS_DIGEST_MAX]);
