/* api/redact.h - what roles below admin are not shown: values of environments, options of volumes
 * that hold passwords, hashes in labels of ours. Command lines are shown, as ps(1) shows them. */
#pragma once
#include <jansson.h>

#include "base/strv.h"

#define REDACTED "***"

/* The same answer without them: a new document, all else shared. */
json_t *redact(const json_t *answer);
