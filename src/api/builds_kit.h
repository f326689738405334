/* api/builds_kit.h - POST /build?version=2: BuildKit's builds as docker's CLI before 23 asks for
 * them. */
#pragma once
#include <stdbool.h>

struct api;
struct call;

/* The context is on the client's session, in a request of its own with the same id (remote=
 * upload-request), in the body, or somewhere else; the answer is the trace: {"id":
 * "moby.buildkit.trace", "aux": base64 of a StatusResponse}. */
void builds_kit_create(struct call *c);
/* True when a build of that id runs: it is cancelled. */
bool builds_kit_cancel(struct api *a, const char *id);
