/* api/measure.h - sizes of directory trees for sizes of containers and volumes, found by a worker:
 * the walk may take seconds.
 */
#pragma once
#include <jansson.h>

struct call;

/* doc is the caller's half-made answer, owned by fn; sizes an array of bytes in the order of the
 * paths, borrowed. */
typedef void measure_fn(struct call *c, json_t *take_doc, const json_t *sizes);
/* Calls fn later and once, also when the client has left; answers with the error when there is no
 * worker. */
void measure(struct call *c, json_t *take_paths, json_t *take_doc, measure_fn *fn);
