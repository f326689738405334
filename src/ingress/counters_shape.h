/* ingress/counters_shape.h - what is counted of a route, for the daemon and the job that counts. */
#pragma once
#include <stdint.h>

#define COUNTER_CLASSES 5  /* 1xx to 5xx */
#define COUNTER_BUCKETS 11 /* and one for what took longer */

/* Prometheus' usual ones. */
static const int64_t counter_bounds_ms[COUNTER_BUCKETS] = {
	5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000};
