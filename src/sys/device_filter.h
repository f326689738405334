/* sys/device_filter.h - which devices the processes of a cgroup v2 may open and make: the group's
 * BPF program. All return -errno.
 *
 * Kernel Documentation/admin-guide/cgroup-v2.rst "Device controller", include/uapi/linux/bpf.h. The
 * program is as runtimes make it, so that whose runtime started a container is all the same.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DEVICE_MAKE = 1, DEVICE_READ = 2, DEVICE_WRITE = 4 }; /* BPF_DEVCG_ACC_* */
#define DEVICE_ACCESS_ALL 7u

struct device_filter_rule {
	bool allow;
	char type;            /* 'c', 'b', or 'a': both */
	int64_t major, minor; /* -1: all */
	unsigned access;      /* a rule counts when it has all that is asked for */
};

/* The last rule that counts decides; none: refused. folder: "/sys/fs/cgroup/...". The program that
 * is there is replaced in one step. -EEXIST: there are several, and which is whose is not known. */
int device_filter_set(const char *folder, const struct device_filter_rule *v, size_t n);
