/* wherryd/config_check.h - the settings of dockerd whose effect wherry has always, never, or
 * elsewhere: what each may say, and why nothing else. man/wherryd.8 tells the outcome of every
 * setting.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

/* The values of all settings that config.c gives the kind K_CHECKED, by key. A value from a flag is
 * a string; one from the file has its JSON type. ERR_INVALID names the setting. */
int config_check(const json_t *merged, struct err *e);

/* Settings that SIGHUP takes over, as dockerd's. */
bool config_reloads(const char *key);
