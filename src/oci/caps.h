/* oci/caps.h - capability names and sets: linux/capability.h, and Docker's default of fourteen. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strv.h"

/* Bit n is capability number n. add and drop may be NULL; "ALL" and names with or without CAP_, any
 * case. What this process may not pass on (its bounding set) is left out. ERR_INVALID "invalid
 * capability: X". */
int oci_caps_resolve(const struct strv *add, const struct strv *drop, bool privileged,
	uint64_t *ret, struct err *e);
json_t *oci_caps_json(uint64_t set); /* a new list of names */
bool oci_caps_has(uint64_t set, const char *name);
