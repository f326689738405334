/* worker/config_change.h - the Dockerfile instructions of import --change and commit --change. */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "build/config.h"

/* Applies changes (an array of strings, or NULL) one after another. ERR_INVALID for what is no
 * instruction, or none that a commit takes. */
int config_changes_apply(struct build_config *c, const json_t *changes, struct err *e);
