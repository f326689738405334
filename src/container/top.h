/* container/top.h - GET /containers/x/top: ps on the host, only the container's processes shown. */
#pragma once
#include <jansson.h>

#include "base/err.h"

struct container;
struct top;

/* result: {"Titles", "Processes"}, borrowed; NULL with *e. Called once, never from inside
 * container_top. */
typedef void container_top_fn(void *owner, const json_t *result, const struct err *e);

/* The words of ps_args that dockerd refuses: another column under the title PID. */
int container_top_check(const char *ps_args, struct err *e);
/* ps_args "": -ef. NULL with *e, ERR_CONFLICT "container ID is not running": fn is not called then.
 * The container may be gone when it is called; the result dies with the call. */
struct top *container_top(
	struct container *c, const char *ps_args, container_top_fn *fn, void *owner, struct err *e);
void container_top_cancel(struct top *t); /* fn follows with an error */
