/* wherry/volumes.h - the table of `volume ls` and `compose volumes`, and credentials of a volume.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

int volumes_check(const char *format, struct err *e); /* before the engine is asked */
/* volumes: the engine's objects. format NULL: the table. */
int volumes_print(const json_t *volumes, const char *format, bool quiet, struct err *e);
/* The row of one, also of `system df -v`: the caller's. */
json_t *volumes_row(const json_t *v);
/* The engine keeps text beside the volume from now on: volume/remote.h. */
struct cli;
int engine_put_credentials(struct cli *cli, const char *volume, const char *text, struct err *e);
