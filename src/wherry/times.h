/* wherry/times.h - points in time as people type them, and as lists print them. */
#pragma once
#include <stdint.h>

#include "base/err.h"

#define TIMES_TEXT_MAX 48

/* "42m" (ago), "2013-01-02T13:23:37Z", "2013-01-02T13:23:37", "2013-01-02", "1136073600.5" to
 * seconds with a fraction as text for the API; NULL or "" gives "". Times without an offset are
 * local. ERR_INVALID otherwise; name is the flag's. */
int times_parse(const char *name, const char *text, char ret[static TIMES_TEXT_MAX], struct err *e);
/* RFC 3339 from the engine as "2024-01-02 15:04:05.123 +0000 UTC"; other texts stay. Returns ret.
 */
const char *times_from_api(const char *text, char ret[static TIMES_TEXT_MAX]);
/* "2024-01-02T15:04:05Z", "2024-01-02T15:04:05+01:00" where this machine is. Returns ret. */
const char *times_rfc3339(int64_t seconds, char ret[static TIMES_TEXT_MAX]);
/* "2024-01-02 15:04:05 +0000 UTC": Go's time.Time.String of local time. Returns ret. */
const char *times_local(int64_t seconds, char ret[static TIMES_TEXT_MAX]);
