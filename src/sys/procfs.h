/* sys/procfs.h - numbers of the machine and of a network namespace from /proc. Pure but for
 * procfs_net. proc(5) /proc/stat, /proc/PID/net/dev.
 */
#pragma once
#include <net/if.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

#define PROCFS_LINKS_MAX 64

/* The text of /proc/stat: what all CPUs have spent together (user to softirq, idle too) in ns, and
 * how many are online. -EINVAL when it is something else. */
int procfs_cpu_parse(const char *text, uint64_t *ret_ns, unsigned *ret_online);
int procfs_cpu(uint64_t *ret_ns, unsigned *ret_online);

/* The parent of a process; -errno when it is gone. */
pid_t procfs_parent(pid_t pid);

struct procfs_link {
	char name[IF_NAMESIZE];
	uint64_t rx_bytes, rx_packets, rx_errors, rx_dropped;
	uint64_t tx_bytes, tx_packets, tx_errors, tx_dropped;
};
/* The text of /proc/net/dev: the links whose names begin with prefix, sorted by name. Returns how
 * many. */
size_t procfs_net_parse(
	const char *text, const char *prefix, struct procfs_link ret[static PROCFS_LINKS_MAX]);
/* Those of a process's network namespace, without entering it. 0 when it is gone. */
size_t procfs_net(pid_t pid, const char *prefix, struct procfs_link ret[static PROCFS_LINKS_MAX]);
