/* ingress/counters.h - requests of each route, for Prometheus.
 *
 * nginx counts nothing and the daemon hears of no request: the lines of the access logs are counted
 * by the job "ingress-count", when somebody asks, and, once somebody has, before a log is thrown
 * away. Counted is what came since the daemon began, up to nginx's last flush (5 s).
 */
#pragma once
#include "base/buf.h"

struct job_pool;
struct counters;
struct counters_wait;

/* dir: DATA/ingress; looks at the logs' sizes. jobs is borrowed. Never NULL. */
struct counters *counters_new(struct job_pool *jobs, const char *dir);
void counters_begin(struct counters *c); /* nginx runs; before that nothing is counted */
/* After the jobs have ended. NULL is fine; nobody may wait. */
void counters_free(struct counters *c);

/* Counts what is new; done is called once, not before this returns, also when counting fails, and
 * the wait is over then. Several may wait. NULL: there is nothing to
 * count, or no job can be started; nobody is called. */
struct counters_wait *counters_read(struct counters *c, void (*done)(void *owner), void *owner);
void counters_forget(struct counters_wait *w); /* done is not called any more */
/* The logs were turned: counted, if anybody wants to know. */
void counters_turned(struct counters *c);

/* Prometheus' text format 0.0.4. */
void counters_put(const struct counters *c, struct buf *b);
