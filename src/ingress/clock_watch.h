/* ingress/clock_watch.h - a time of day to be woken at, and to be told when the clock is set.
 *
 * A board without a battery begins in the past and is set once the network is there: what was due
 * then, or was dated by the wrong clock, is looked at at once. timerfd_create(2) CANCEL_ON_SET.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;
struct clock_watch;

/* fn is called when the time has come, or was_set: the clock jumped. Never NULL; where the kernel
 * gives no timer it never calls. */
struct clock_watch *clock_watch_new(
	uv_loop_t *l, void (*fn)(void *owner, bool was_set), void *owner);
void clock_watch_free(struct clock_watch *w);                /* NULL is fine */
void clock_watch_at(struct clock_watch *w, int64_t seconds); /* since 1970; replaces the last */

/* Whether the clock is one to believe: something keeps it by the network (adjtimex(2)), or an hour
 * of running has passed in which somebody would have set it. */
bool clock_watch_is_set(void);
