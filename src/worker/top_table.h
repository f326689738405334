/* worker/top_table.h - what ps prints, as rows of one container. Pure. moby daemon/top_unix.go. */
#pragma once
#include <jansson.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* {"Processes": [[...]], "Titles": [...]}: the lines of text whose column PID is one of the sorted
 * pids, and the thread lines ("-") below such a one. NULL with *e in dockerd's words. */
json_t *top_table(const char *text, const pid_t *pids, size_t n_pids, struct err *e);
