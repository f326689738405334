/* wherry/compose_bake.h - `compose build --print`: builds as a file for buildx bake. */
#pragma once
#include <jansson.h>

#include "wherry/build_options.h"

json_t *bake_new(void); /* the caller's */
void bake_add(json_t *bake, const char *target, const struct build_options *o);
