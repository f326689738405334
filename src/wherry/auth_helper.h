/* wherry/auth_helper.h - runs docker-credential-NAME (docker/docker-credential-helpers: text on
 * stdin, JSON on stdout). */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* verb: get, store, erase. ret: what it printed. Failing: ERR_NOT_FOUND when it has no such
 * credentials. */
int auth_helper_run(
	const char *name, const char *verb, const char *input, struct buf *ret, struct err *e);
