/* compose/duration.h - durations as compose files write them and as docker compose prints them. */
#pragma once
#include "compose/tree.h"

/* "1m30s", "500ms", "2d", "1w": Go's units and days and weeks (xhit/go-str2duration). A bare number
 * other than 0 is none. 0 or -1. */
int duration_parse(const char *text, int64_t *ret_ns);

/* Go's time.Duration.String: "1h0m0s", "1m30s", "1.5s", "500ms", "1µs". The tree's. */
const char *duration_format(struct tree *t, int64_t ns);
