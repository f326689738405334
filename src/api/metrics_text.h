/* api/metrics_text.h - Prometheus' text format 0.0.4 of what the engine and its containers do.
 * Pure.
 *
 * The engine's names are dockerd's (moby daemon/metrics.go), the containers' are cAdvisor's, so
 * that dashboards that people have show them.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "sys/procfs.h"

struct metrics_engine {
	const char *version, *architecture, *kernel, *os, *id;
	uint64_t cpus, memory_bytes;
	uint64_t running, paused, stopped;
	uint64_t events, subscribers, health_checks, health_checks_failed;
	/* the daemon itself */
	uint64_t cpu_ns, resident_bytes, open_fds, started_ns;
};

struct metrics_container {
	char *id, *name, *image; /* owned; labels */
	const char *health;      /* static: "healthy", "starting", "unhealthy", "" */
	uint64_t restarts, started_ns;
	bool live; /* what follows is known */
	uint64_t cpu_ns, cpu_user_ns, cpu_system_ns, throttled_ns;
	uint64_t memory_bytes, working_set_bytes, memory_limit_bytes; /* limit 0: none */
	uint64_t memory_failures, pids, pids_limit;                   /* limit 0: none */
	uint64_t read_bytes, written_bytes;
	struct procfs_link *links; /* owned */
	size_t n_links;
};

void metrics_put_engine(struct buf *b, const struct metrics_engine *m);
void metrics_put_containers(struct buf *b, const struct metrics_container *v, size_t n);
void metrics_container_deinit(struct metrics_container *c);
