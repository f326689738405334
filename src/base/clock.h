/* base/clock.h - the two clocks and the RFC 3339 texts that the Docker API uses.
 *
 * Decisions over time are pure functions that are handed now; only callers at the edge read a
 * clock.
 */
#pragma once
#include <stdint.h>

#define CLOCK_TEXT_MAX 40
#define NS_PER_SEC INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

int64_t clock_mono_ms(void); /* CLOCK_MONOTONIC: for intervals */
int64_t clock_mono_ns(void);
int64_t clock_real_ns(void); /* CLOCK_REALTIME, since 1970: for people */

/* RFC 3339 in UTC as Go's time.RFC3339Nano prints it: trailing zeros of the fraction are dropped.
 * 0 gives "0001-01-01T00:00:00Z", Go's zero time, which is how the Docker API says "never". Returns
 * text. */
const char *clock_format(int64_t real_ns, char text[static CLOCK_TEXT_MAX]);
const char *clock_format_ms(
	int64_t real_ns, char text[static CLOCK_TEXT_MAX]); /* always 3 digits */
/* Always 9 digits: the time of a log line in Docker's json-file and in `logs -t`. */
const char *clock_format_ns(int64_t real_ns, char text[static CLOCK_TEXT_MAX]);

/* RFC 3339 with any offset and 0 to 9 digits of fraction, back to ns; "0001-01-01T00:00:00Z" gives
 * 0. -EINVAL when it is not one. */
int clock_parse(const char *text, int64_t *ret_real_ns);

/* A span as Go prints a time.Duration of at least a millisecond: "50ms", "1.5s", "1m30s". */
const char *clock_go_span(int64_t ms, char text[static CLOCK_TEXT_MAX]);

/* A span as Docker prints it ("Less than a second", "5 minutes", "About an hour", "3 weeks"):
 * docker/go-units HumanDuration. Returns text. */
const char *clock_human(int64_t seconds, char text[static CLOCK_TEXT_MAX]);
