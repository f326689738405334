/* user/attempts.h - how often a password may be tried, from where and for whom.
 *
 * Pure: handed the time of a monotonic clock, in seconds. Each attempt counts as failed from its
 * beginning, so that many at once are not free; one that succeeds takes its marks away. After some
 * free attempts each further one has to wait twice as long as the one before it, up to a bound: a
 * stranger who fails in somebody's name must not be able to lock him out. Marks are forgotten after
 * an hour without a failure.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define ATTEMPTS_KEPT 1024 /* addresses and names in memory; those with the fewest failures go */

enum attempt_kind {
	ATTEMPT_ADDRESS, /* 10 free, then 1 s, 2 s ... 5 minutes */
	ATTEMPT_USER,    /* 5 free, then 1 s, 2 s ... 30 s */
	ATTEMPT_CODE, /* of the second factor, whose bearer knows the password: 5 free, 1 s ... 15
			 minutes; forgotten after a day */
};

struct attempts;
struct attempts *attempts_new(void);
void attempts_free(struct attempts *a); /* NULL is fine */

/* Seconds to wait before the next attempt, 0: now. Changes nothing. */
int64_t attempts_wait(
	const struct attempts *a, enum attempt_kind kind, const char *name, int64_t now_s);
void attempts_begin(struct attempts *a, enum attempt_kind kind, const char *name, int64_t now_s);
void attempts_succeeded(struct attempts *a, enum attempt_kind kind, const char *name);
/* An address as it is counted: IPv6 by its first 64 bits, which are one household. ret: as text;
 * what is no address at all is counted as one. */
#define ATTEMPT_ADDRESS_MAX 64
void attempt_address(const char *text, char ret[static ATTEMPT_ADDRESS_MAX]);
