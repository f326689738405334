/* wherry/build_options.h - what a build was asked for: by the flags of `wherry build`, or by a
 * service of a compose file.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/strv.h"

/* Strings are borrowed, lists are its own. */
struct build_options {
	const char *operand; /* the context: a directory, "-", a URL */
	const char *file;    /* the Dockerfile; NULL: that of the context; "-": standard input */
	const char *dockerfile_text; /* it is this, in no file; NULL */
	bool no_cache, pull, quiet, push, load, squash, compress, rm, force_rm;
	const char *call; /* nothing is built: "check", "outline", "targets"; NULL or "build" */
	const char *network, *target, *iidfile, *metadata_file, *progress;
	const char *cgroup_parent, *cpuset_cpus, *cpuset_mems, *isolation;
	int64_t shm_size_bytes, memory_bytes, memory_swap_bytes; /* 0: not given; swap -1: any */
	int64_t cpu_period, cpu_quota, cpu_shares;
	struct strv tags, build_args, labels, add_hosts, ulimits, security_opts, platforms;
	struct strv cache_from, cache_to, outputs, secrets, ssh, contexts, no_cache_filter;
	struct strv annotations, attests, allow;
	const char *source; /* told apart from others by this in a common display; NULL or "" */
};

void build_options_deinit(struct build_options *o);
static inline void scoped_build_options(struct build_options *o)
{
	build_options_deinit(o);
}
