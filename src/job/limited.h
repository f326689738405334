/* job/limited.h - one step in a process of its own, which may be lost: what touches a file
 * system whose server is away waits where no signal comes through.
 */
#pragma once
#include <sys/types.h>

#include "base/err.h"

typedef int limited_fn(void *arg, struct err *e);

/* Runs fn(arg) in a child, of which only the outcome comes back: 0, or -1 with *e. After limit_ms
 * it is killed: -1 with ERR_BUSY. *ret_left: 0, or its pid when it did not even end then: it is
 * whoever's who calls to reap, if he lives so long. */
int limited_run(int limit_ms, limited_fn *fn, void *arg, pid_t *ret_left, struct err *e);
