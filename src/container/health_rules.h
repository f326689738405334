/* container/health_rules.h - what a probe's result means, and when the next one is due. Pure:
 * handed every time. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum health_status { HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY };

struct health_config {
	int64_t interval_ms, timeout_ms, start_period_ms, start_interval_ms;
	int retries;
};

struct health_state {
	enum health_status status;
	int failing_streak;
};

/* since_start_ms: how long the container has been running. moby handleProbeResult. */
struct health_state health_after(
	struct health_state s, const struct health_config *c, bool ok, int64_t since_start_ms);
int64_t health_wait_ms(
	struct health_state s, const struct health_config *c, int64_t since_start_ms);
