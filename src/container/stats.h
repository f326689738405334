/* container/stats.h - what a container uses, once a second to whoever watches.
 *
 * One timer for all containers, one sample a container a second however many watch it, none while
 * nobody does; a turn of the loop takes one sample. A document is one line of JSON, ended by a
 * newline. Docker API v1.45 ContainerStats; shapes as moby daemon/daemon_unix.go statsV1, statsV2.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "sys/cgroup_stat.h"
#include "sys/procfs.h"

struct container;
struct container_set;
struct stats_watch;

struct stats_sample {
	bool live; /* false: it did not run, and nothing else is set */
	int64_t at_ns;
	struct cgroup_stat group;
	uint64_t system_ns;
	unsigned n_cpus;
	struct procfs_link *links;
	size_t n_links;
	uint64_t machine_bytes; /* shown as the limit where there is none */
};

/* A fresh sample; deinit it. About 20 small files of the kernel are read. */
void stats_sample_take(const struct container *c, struct stats_sample *ret);
void stats_sample_deinit(struct stats_sample *s);

/* line NULL: the container was removed; no call follows. line is borrowed. */
typedef void stats_fn(void *owner, const char *line, size_t n);
/* pair: only documents with the sample before in them ("precpu_stats"). fn is never called from
 * inside. */
struct stats_watch *stats_watch(struct container *c, bool pair, stats_fn *fn, void *owner);
void stats_unwatch(struct stats_watch *w); /* NULL is fine; no call after this returns */

/* One document now, without the sample before; the caller's. */
char *stats_once(const struct container *c);
/* What is said of a container that does not run. */
char *stats_nothing(const struct container *c);

/* --- stats_json.c: pure --- */
/* "cpu_stats" alone, for the next document's "precpu_stats". */
void stats_put_cpu(struct buf *b, const struct stats_sample *s);
/* The document without a newline. precpu and preread are of the sample before, or NULL. name is
 * without '/'. */
void stats_put(struct buf *b, const struct stats_sample *s, const char *name, const char *id,
	const char *precpu, const char *preread);
