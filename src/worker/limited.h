/* worker/limited.h - one step in a process of its own, which may be lost: what touches a file
 * system whose server is away waits where no signal comes through.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"

typedef int limited_fn(void *arg, struct err *e);

/* Runs fn(arg) in a child, of which only the outcome comes back: 0, or -1 with *e. After limit_ms
 * it is killed and not waited for: -1 with ERR_BUSY and *ret_late true. */
int limited_run(int limit_ms, limited_fn *fn, void *arg, bool *ret_late, struct err *e);
