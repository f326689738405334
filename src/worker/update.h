/* worker/update.h - new resources for a container that runs. */
#pragma once
#include <jansson.h>

#include "base/err.h"

/* request: {"crun", "crun_root", "id"}; resources as in the OCI configuration. What is not in them
 * stays as it is; "devices" is replaced as a whole. */
int crun_update(const json_t *request, const json_t *resources, struct err *e);
