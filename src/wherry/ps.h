/* wherry/ps.h - the row of a container in the tables of `ps` and `compose ps`. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* c: an object of GET /containers/json; now in seconds. The caller's. */
json_t *ps_row(const json_t *c, bool no_trunc, int64_t now);
