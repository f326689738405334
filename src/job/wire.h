/* job/wire.h - how an error crosses the socket between daemon and worker: {"kind": "invalid",
 * "message": "..."}.
 *
 * Shared by both ends, so that a sentence written in the worker keeps its HTTP status in the
 * daemon.
 */
#pragma once
#include <jansson.h>

#include "base/err.h"

json_t *job_err_to_json(const struct err *e); /* a new object */
/* An unknown kind becomes ERR_SYSTEM. The message is the peer's: it is cut to the room there is. */
void job_err_from_json(const json_t *doc, struct err *ret);
