/* wherryd/config_ingress.h - "ingress" of daemon.json: checked when the file is read. */
#pragma once
#include <jansson.h>

#include "base/err.h"

/* merged: all settings. ERR_INVALID names the key. */
int config_ingress_check(const json_t *merged, struct err *e);
