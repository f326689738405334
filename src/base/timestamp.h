/* base/timestamp.h - points in time as people give them to Docker: "10m" (ago), a date with or
 * without the time of day, seconds since 1970. docker/api/types/time GetTimestamp.
 */
#pragma once
#include <stdint.h>

/* "1795331066" or "1795331066.5", up to 9 digits of fraction; in ns. -EINVAL otherwise. */
int timestamp_unix(const char *text, int64_t *ret_ns);
/* Any of the forms, in ns since 1970; durations count back from now_ns, dates without an offset are
 * local. -EINVAL otherwise. */
int timestamp_parse(const char *text, int64_t now_ns, int64_t *ret_ns);
