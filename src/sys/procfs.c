#include "sys/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/path.h"
#include "base/scoped.h"

#define FILE_MAX_BYTES (1u << 20)
#define NS_PER_TICK 10000000u /* USER_HZ is 100 on every Linux */
#define CPU_FIELDS 7          /* user nice system idle iowait irq softirq, as dockerd adds them */

int procfs_cpu_parse(const char *text, uint64_t *ret_ns, unsigned *ret_online)
{
	uint64_t ticks = 0;
	unsigned online = 0;
	if (strncmp(text, "cpu ", 4) != 0) {
		return -EINVAL;
	}
	const char *p = text + 4;
	for (int i = 0; i < CPU_FIELDS; i++) {
		char *end;
		ticks += strtoull(p, &end, 10);
		if (end == p) {
			return -EINVAL;
		}
		p = end;
	}
	for (const char *line = strchr(text, '\n'); line && strncmp(line + 1, "cpu", 3) == 0;
		line = strchr(line + 1, '\n')) {
		online++;
	}
	*ret_ns = ticks * NS_PER_TICK;
	*ret_online = online;
	return 0;
}

int procfs_cpu(uint64_t *ret_ns, unsigned *ret_online)
{
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, "/proc/stat", FILE_MAX_BYTES, &text);
	return r < 0 ? r : procfs_cpu_parse(buf_str(&text), ret_ns, ret_online);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct procfs_link *)a)->name, ((const struct procfs_link *)b)->name);
}

/* "  eth0: 1000 10 0 0 0 0 0 0 2000 20 0 0 0 0 0 0": receive bytes packets errs drop fifo frame
 * compressed multicast, then transmit bytes packets errs drop ... */
static int parse_link(const char *line, struct procfs_link *ret)
{
	uint64_t n[12];
	line += strspn(line, " ");
	size_t len = strcspn(line, ": \n");
	if (len == 0 || len >= sizeof(ret->name) || line[len] != ':') {
		return -EINVAL;
	}
	const char *p = line + len + 1;
	for (size_t i = 0; i < sizeof(n) / sizeof(*n); i++) {
		char *end;
		p += strspn(p, " "); /* not over the line's end, as strtoull would */
		n[i] = strtoull(p, &end, 10);
		if (end == p || *p == '\n') {
			return -EINVAL;
		}
		p = end;
	}
	*ret = (struct procfs_link){.rx_bytes = n[0],
		.rx_packets = n[1],
		.rx_errors = n[2],
		.rx_dropped = n[3],
		.tx_bytes = n[8],
		.tx_packets = n[9],
		.tx_errors = n[10],
		.tx_dropped = n[11]};
	memcpy(ret->name, line, len);
	return 0;
}

size_t procfs_net_parse(
	const char *text, const char *prefix, struct procfs_link ret[static PROCFS_LINKS_MAX])
{
	size_t n = 0;
	for (const char *line = text; line && *line && n < PROCFS_LINKS_MAX;) {
		const char *end = strchr(line, '\n');
		if (parse_link(line, &ret[n]) == 0 &&
			strncmp(ret[n].name, prefix, strlen(prefix)) == 0) {
			n++;
		}
		line = end ? end + 1 : NULL;
	}
	qsort(ret, n, sizeof(*ret), by_name);
	return n;
}

size_t procfs_net(pid_t pid, const char *prefix, struct procfs_link ret[static PROCFS_LINKS_MAX])
{
	char path[64];
	scoped(buf) struct buf text = BUF_INIT;
	snprintf(path, sizeof(path), "/proc/%d/net/dev", (int)pid);
	return path_read(AT_FDCWD, path, FILE_MAX_BYTES, &text) < 0
		       ? 0
		       : procfs_net_parse(buf_str(&text), prefix, ret);
}

/* proc(5): "PID (NAME) STATE PPID"; the name may hold anything. */
pid_t procfs_parent(pid_t pid)
{
	char path[32];
	scoped(buf) struct buf text = BUF_INIT;
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	int r = path_read(AT_FDCWD, path, 4096, &text);
	if (r < 0) {
		return r;
	}
	const char *end = strrchr(buf_str(&text), ')');
	if (!end || strlen(end) < 5) {
		return -EINVAL;
	}
	long parent = strtol(end + 4, NULL, 10); /* behind ") S " */
	return parent >= 0 && parent <= INT_MAX ? (pid_t)parent : -EINVAL;
}
