/* wherry/df_document.h - `system df -v --format`: all objects as rows of the tables of their kinds.
 */
#pragma once
#include <jansson.h>
#include <stdint.h>

/* {"Images", "Containers", "Volumes", "BuildCache"} of GET /system/df as docker's templates see
 * them; now in seconds. The caller's. */
json_t *df_document(const json_t *df, int64_t now);
