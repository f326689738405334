/* device/spec.h - HOST[:CONTAINER][:PERMISSIONS], as --device and compose's devices have it. Pure.
 */
#pragma once
#include <stdbool.h>

#include "base/strv.h"

bool device_is_permissions(const char *text); /* of r, w and m; not "" */
/* Appends its parts. udevd's names in by-path have colons of their own, those in by-id may (an
 * ESP32 has its MAC address there), so CONTAINER then begins with '/', and PERMISSIONS are some of
 * r, w, m: the parts are then two at least, the second one
 * "" when no CONTAINER is named. */
void device_spec_split(const char *text, struct strv *ret);
