/* worker/plug_rules.h - other device rules for a container that runs, whichever runtime made it. */
#pragma once
#include <jansson.h>

#include "base/err.h"

/* rules: linux.resources.devices, all of them; the group then has these and no others. */
int plug_set_rules(const char *group, const json_t *rules, struct err *e);
