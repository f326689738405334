/* container/optional.h - devices and bind mounts that a container starts without when they are not
 * there.
 *
 * The label wherry.optional names them by their paths in the container: "/dev/zigbee,/mnt/stick".
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#define OPTIONAL_LABEL "wherry.optional"

/* config: a container's Config. Is what is to be at that path optional? */
bool optional_names(const json_t *config, const char *target);
