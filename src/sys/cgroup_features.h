/* sys/cgroup_features.h - which limits this kernel can set: what Docker's sysinfo finds out.
 *
 * root and v2 as in sys/cgroup_stat.h. moby pkg/sysinfo.
 */
#pragma once
#include <stdbool.h>

#define CGROUP_LIST_MAX 256

struct cgroup_features {
	bool v2;
	bool memory, swap, reservation, oom_kill_disable, swappiness;
	bool cpu_shares, cpu_quota, cpu_realtime, cpuset, pids;
	bool io_weight, io_weight_device;
	bool io_read_bps, io_write_bps, io_read_iops, io_write_iops;
	char cpus[CGROUP_LIST_MAX], mems[CGROUP_LIST_MAX]; /* "0-3"; "" without cpuset */
	unsigned n_cpus;                                   /* online */
};

void cgroup_features_read(const char *root, bool v2, struct cgroup_features *ret);

/* "0-2,7" is within "0-7": 1, or 0. -EINVAL when wanted is no list; "" is within everything. */
int cgroup_list_within(const char *wanted, const char *available);
