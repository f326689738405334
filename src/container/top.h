/* container/top.h - GET /containers/x/top: ps on the host, only the container's processes shown. */
#pragma once
#include <jansson.h>

#include "base/err.h"

struct container;

/* result: {"Titles", "Processes"}, borrowed; NULL with *e. Called once, never from inside when
 * container_top returned 0. */
typedef void container_top_fn(void *owner, const json_t *result, const struct err *e);

/* The words of ps_args that dockerd refuses: another column under the title PID. */
int container_top_check(const char *ps_args, struct err *e);
/* ps_args "": -ef. ERR_CONFLICT "container ID is not running"; fn is not called when this fails.
 * The container may be gone when it is called. */
int container_top(
	struct container *c, const char *ps_args, container_top_fn *fn, void *owner, struct err *e);
