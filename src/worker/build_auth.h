/* worker/build_auth.h - what the client's session knows of registries. */
#pragma once
#include <jansson.h>

#include "worker/build.h"

/* The login for the registry of the reference, {"username", "password"} or {"identitytoken"}, new;
 * NULL for none: the registry then says what it misses. */
json_t *build_auth(const struct build *b, const char *reference);
