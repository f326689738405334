/* wherryd/reload.h - the configuration read again while the daemon runs. */
#pragma once
#include <jansson.h>

#include "base/err.h"
#include "wherryd/config.h"

/* Reads flags and file again and takes over what dockerd reloads; the rest is named in the log as
 * needing a restart. When anything is wrong *c stays as it is. The JSON objects of *c change in
 * place, for those who hold them. */
int config_reload(struct config *c, int argc, char **argv, struct err *e);
/* Of the event "daemon reload"; new. */
json_t *config_reload_attributes(const struct config *c);
