#include "sys/cgroup_features.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "sys/procfs.h"

#define SMALL_FILE 65536
#define CPUS_MAX 8192

static bool has(const char *root, const char *file)
{
	scoped(free) char *path = xasprintf("%s/%s", root, file);
	return access(path, F_OK) == 0;
}

/* The first line of a file, "" when there is none. */
static void read_line(const char *root, const char *file, char ret[static CGROUP_LIST_MAX])
{
	scoped(free) char *path = xasprintf("%s/%s", root, file);
	scoped(buf) struct buf text = BUF_INIT;
	ret[0] = '\0';
	if (path_read(AT_FDCWD, path, SMALL_FILE, &text) == 0) {
		snprintf(ret, CGROUP_LIST_MAX, "%.*s", (int)strcspn(buf_str(&text), "\n"),
			buf_str(&text));
	}
}

static void read_v1(const char *root, struct cgroup_features *f)
{
	const struct {
		bool *flag;
		const char *file;
	} files[] = {{&f->memory, "memory/memory.limit_in_bytes"},
		{&f->swap, "memory/memory.memsw.limit_in_bytes"},
		{&f->reservation, "memory/memory.soft_limit_in_bytes"},
		{&f->oom_kill_disable, "memory/memory.oom_control"},
		{&f->swappiness, "memory/memory.swappiness"}, {&f->cpu_shares, "cpu/cpu.shares"},
		{&f->cpu_quota, "cpu/cpu.cfs_quota_us"}, {&f->cpu_realtime, "cpu/cpu.rt_period_us"},
		{&f->cpuset, "cpuset/cpuset.cpus"}, {&f->pids, "pids/cgroup.procs"},
		{&f->io_weight, "blkio/blkio.weight"},
		{&f->io_weight_device, "blkio/blkio.weight_device"},
		{&f->io_read_bps, "blkio/blkio.throttle.read_bps_device"},
		{&f->io_write_bps, "blkio/blkio.throttle.write_bps_device"},
		{&f->io_read_iops, "blkio/blkio.throttle.read_iops_device"},
		{&f->io_write_iops, "blkio/blkio.throttle.write_iops_device"}};
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		*files[i].flag = has(root, files[i].file);
	}
	read_line(root, "cpuset/cpuset.cpus", f->cpus);
	read_line(root, "cpuset/cpuset.mems", f->mems);
}

/* Whether the groups have one of two files, which the root never has. sign: the file that shows
 * that the controller is on in a group; where no group can tell, the kernel is believed to have it.
 */
static bool groups_have(const char *root, const char *sign, const char *name, const char *or_name)
{
	scoped(closedir) DIR *dir = opendir(root);
	bool told = false;
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.') {
			continue;
		}
		scoped(free) char *on = xasprintf("%s/%s", entry->d_name, sign);
		scoped(free) char *one = xasprintf("%s/%s", entry->d_name, name);
		scoped(free) char *other = xasprintf("%s/%s", entry->d_name, or_name);
		if (has(root, one) || has(root, other)) {
			return true;
		}
		told = told || has(root, on);
	}
	return !told;
}

static void read_v2(const char *root, struct cgroup_features *f)
{
	scoped(strv) struct strv controllers = STRV_INIT;
	char line[CGROUP_LIST_MAX];
	read_line(root, "cgroup.controllers", line);
	strv_split(&controllers, line, ' ');
	f->memory = f->reservation = strv_has(&controllers, "memory");
	f->swap =
		f->memory && groups_have(root, "memory.max", "memory.swap.max", "memory.swap.max");
	f->cpu_shares = f->cpu_quota = strv_has(&controllers, "cpu");
	f->cpuset = strv_has(&controllers, "cpuset");
	f->pids = strv_has(&controllers, "pids");
	f->io_read_bps = strv_has(&controllers, "io");
	f->io_write_bps = f->io_read_iops = f->io_write_iops = f->io_read_bps;
	/* the kernel may have neither BFQ nor a cost model */
	f->io_weight = f->io_read_bps && groups_have(root, "io.max", "io.weight", "io.bfq.weight");
	f->io_weight_device = f->io_weight;
	read_line(root, "cpuset.cpus.effective", f->cpus);
	read_line(root, "cpuset.mems.effective", f->mems);
}

void cgroup_features_read(const char *root, bool v2, struct cgroup_features *ret)
{
	uint64_t ignored;
	*ret = (struct cgroup_features){.v2 = v2};
	(v2 ? read_v2 : read_v1)(root, ret);
	if (procfs_cpu(&ignored, &ret->n_cpus) < 0) {
		ret->n_cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	}
}

/* --- lists of CPUs and memory nodes: cpuset(7) "List format" --- */

static int read_number(const char **p, unsigned *ret)
{
	char *end;
	if (**p < '0' || **p > '9') {
		return -EINVAL;
	}
	unsigned long n = strtoul(*p, &end, 10);
	if (n >= CPUS_MAX) {
		return -EINVAL;
	}
	*p = end;
	*ret = (unsigned)n;
	return 0;
}

static int parse_list(const char *text, unsigned char set[static CPUS_MAX])
{
	for (const char *p = text; *p;) {
		unsigned first;
		unsigned last;
		if (read_number(&p, &first) < 0) {
			return -EINVAL;
		}
		last = first;
		if (*p == '-' && (p++, read_number(&p, &last) < 0 || last < first)) {
			return -EINVAL;
		}
		memset(set + first, 1, last - first + 1);
		if (*p == ',') {
			p++;
		} else if (*p) {
			return -EINVAL;
		}
	}
	return 0;
}

int cgroup_list_within(const char *wanted, const char *available)
{
	scoped(free) unsigned char *a = xnew_array(unsigned char, CPUS_MAX);
	scoped(free) unsigned char *b = xnew_array(unsigned char, CPUS_MAX);
	if (parse_list(wanted, a) < 0 || parse_list(available, b) < 0) {
		return -EINVAL;
	}
	for (size_t i = 0; i < CPUS_MAX; i++) {
		if (a[i] && !b[i]) {
			return 0;
		}
	}
	return 1;
}
