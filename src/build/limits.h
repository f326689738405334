/* build/limits.h - limits of RUN steps that came as attributes of BuildKit's call.
 *
 * BuildKit has none; our command line sends "wherry.memory" and its like, which other builders
 * ignore. */
#pragma once
#include <jansson.h>

#include "base/err.h"

struct cgroup_features;

/* Puts "resources" (OCI linux.resources) into a build's options from their "attrs", unless they are
 * there. */
int build_limits_read(json_t *options, const struct cgroup_features *f, struct err *e);
