/* wherryd/config_signatures.h - daemon.json's "image-signatures": rules checked, names completed,
 * keys read. The result's form is that of image/trust.h. */
#pragma once
#include <jansson.h>

#include "base/err.h"

/* A new list, empty without the setting; NULL with *e. A policy that cannot be read as a whole is
 * an error: half of one would let through what the other half forbids. */
json_t *config_signatures(const json_t *merged, struct err *e);
