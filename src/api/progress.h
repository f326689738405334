/* api/progress.h - the JSON messages of long answers (pull, load, build): one object, then CR LF,
 * as dockerd.
 *
 * The head leaves with the first message (the caller keeps track), so that an error before it can
 * still be an HTTP status.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct call;

void progress_begin(struct call *c);             /* sends the head; once */
void progress_send(struct call *c, json_t *msg); /* borrowed; after progress_begin */
/* Ends the answer. With e: an HTTP error when nothing was sent yet, else {"errorDetail": ...,
 * "error": ...}. code: errorDetail.code, 0 for none. */
void progress_end(struct call *c, bool begun, const struct err *e, int code);
