#include "container/health_rules.h"

/* A failure inside the start period does not count; the first success ends it. */
struct health_state health_after(
	struct health_state s, const struct health_config *c, bool ok, int64_t since_start_ms)
{
	if (ok) {
		return (struct health_state){HEALTH_HEALTHY, 0};
	}
	if (s.status == HEALTH_STARTING && since_start_ms < c->start_period_ms) {
		return s;
	}
	s.failing_streak++;
	if (s.failing_streak >= c->retries) {
		s.status = HEALTH_UNHEALTHY;
	}
	return s;
}

int64_t health_wait_ms(struct health_state s, const struct health_config *c, int64_t since_start_ms)
{
	bool starting = s.status == HEALTH_STARTING && since_start_ms < c->start_period_ms;
	return starting ? c->start_interval_ms : c->interval_ms;
}
