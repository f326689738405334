/* buildkit/failure.h - why a build failed, with the details that BuildKit's clients print. */
#pragma once
#include <jansson.h>

#include "base/buf.h"

/* A packed google.rpc.Status, which replaces *ret's bytes. source: {"file", "lines": [[first,
 * last]], "text"} as worker/build.h says it, or NULL: clients print these lines with what is around
 * them. Of a long text only the lines near are sent, in their places. */
void failure_pack(int code, const char *message, const json_t *source, struct buf *ret);
/* A request of a frontend (requestid) that we do not have: buildx asks another way then. */
void failure_pack_request(int code, const char *message, const char *request, struct buf *ret);
