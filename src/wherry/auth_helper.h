/* wherry/auth_helper.h - runs docker-credential-NAME (docker/docker-credential-helpers: text on
 * stdin, JSON on stdout). */
#pragma once
#include "base/buf.h"
#include "base/err.h"

/* A helper may ask its user for a password of its own. */
#define AUTH_HELPER_TIMEOUT_MS 120000

/* verb: get, store, erase, list. ret: what it printed. The program is looked up in PATH; one that
 * does not answer in time is killed. Failing: ERR_NOT_FOUND when it has no such credentials,
 * ERR_INVALID for a name that cannot be one; the words of docker. */
int auth_helper_run(const char *name, const char *verb, const char *input, int timeout_ms,
	struct buf *ret, struct err *e);
