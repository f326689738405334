/* sys/cgroup_stat.h - what the processes of a control group use, from the files of v2 or v1.
 *
 * root is where the hierarchies are mounted (CGROUP_ROOT; tests have trees of their own), group a
 * path below it as in sys/cgroup.h. A file that is missing leaves zeros: not every kernel has every
 * controller. Kernel Documentation/admin-guide/cgroup-v2.rst; cgroup-v1/memory.rst, cpuacct.rst,
 * blkio-controller.rst.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define CGROUP_MEMORY_KEYS_MAX 40
#define CGROUP_IO_MAX 512     /* lines of one block device file that count */
#define CGROUP_CPUS_MAX 4096u /* columns of cpuacct.usage_percpu */

struct cgroup_io {
	unsigned major, minor;
	char op[12]; /* v1: as the kernel writes it, "Read"; v2: "read" or "write" */
	uint64_t value;
};

struct cgroup_ios {
	struct cgroup_io *v;
	size_t n;
};

struct cgroup_stat {
	bool v2;
	uint64_t cpu_ns, cpu_user_ns, cpu_kernel_ns;
	uint64_t *cpu_each_ns; /* by number of the CPU, v1 only */
	size_t n_cpus;
	uint64_t periods, throttled_periods, throttled_ns;

	uint64_t memory_bytes, memory_max_bytes, memory_limit_bytes; /* UINT64_MAX: no limit */
	uint64_t memory_failures;                /* v1: failcnt; v2: "oom" of memory.events */
	uint64_t memory[CGROUP_MEMORY_KEYS_MAX]; /* values of cgroup_memory_keys() */

	uint64_t pids, pids_limit; /* no limit: v2 UINT64_MAX, v1 0, as Docker's API has it */
	struct cgroup_ios io_bytes, io_count; /* io_count: v1 only */
};

/* -ENOENT when the group is in no hierarchy. On success deinit it. */
int cgroup_stat_read(const char *root, bool v2, const char *group, struct cgroup_stat *ret);
void cgroup_stat_deinit(struct cgroup_stat *s);

/* The keys of memory.stat that Docker's API shows, sorted, NULL at the end. Static. */
const char *const *cgroup_memory_keys(bool v2);
/* A value of s->memory by its key; 0 for an unknown one. */
uint64_t cgroup_memory_value(const struct cgroup_stat *s, const char *key);
