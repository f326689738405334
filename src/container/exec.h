/* container/exec.h - further processes in a running container (docker exec): an own shim for each,
 * by crun exec. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "container/attach.h"
#include "container/container.h"

struct container;
struct container_set;
struct exec;

/* body: POST /containers/x/exec. ERR_CONFLICT "Container ID is not running" / "is paused". Execs
 * are forgotten with their container's end, or 5 minutes after their own. */
struct exec *exec_create(struct container *c, const json_t *body, struct err *e);
struct exec *exec_find(
	struct container_set *s, const char *id, struct err *e); /* "No such exec instance: x" */
const char *exec_id(const struct exec *x);
const char *exec_detach_keys(const struct exec *x); /* "" for the usual; borrowed */
void exec_detached(struct exec *x);                 /* tells that the client left by them */
bool exec_is_tty(const struct exec *x);
/* "ConsoleSize" of POST /exec/x/start, when it is there: it wins over that of the creation. */
void exec_set_console_size(struct exec *x, const json_t *start_body);
json_t *exec_inspect(const struct exec *x); /* GET /exec/x/json; new */
/* Starts it; attached output from the first byte goes to h (h NULL: detached). A command that
 * cannot be run is not an error here: its message comes as output on stderr and its exit code is
 * 126 or 127, as dockerd does. ERR_CONFLICT when it has been started before. The attach is the
 * caller's; *ret_attach NULL when detached. */
int exec_start(struct exec *x, bool tty, const struct attach_handlers *h, void *owner,
	struct attach **ret_attach, struct err *e);
/* Without streams: done tells that it runs, or ERR_INVALID with the runtime's words when it cannot.
 */
void exec_start_detached(struct exec *x, container_done_fn *done, void *owner);
int exec_resize(struct exec *x, unsigned rows, unsigned columns, struct err *e);
