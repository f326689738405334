#include "sys/cgroup_stat.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"

#define FILE_MAX_BYTES (256u << 10)
#define NS_PER_USEC 1000u
#define NS_PER_TICK 10000000u /* USER_HZ is 100 on every Linux */

static const char *const keys_v1[] = {"active_anon", "active_file", "cache", "dirty",
	"hierarchical_memory_limit", "hierarchical_memsw_limit", "inactive_anon", "inactive_file",
	"mapped_file", "pgfault", "pgmajfault", "pgpgin", "pgpgout", "rss", "rss_huge",
	"total_active_anon", "total_active_file", "total_cache", "total_dirty",
	"total_inactive_anon", "total_inactive_file", "total_mapped_file", "total_pgfault",
	"total_pgmajfault", "total_pgpgin", "total_pgpgout", "total_rss", "total_rss_huge",
	"total_unevictable", "total_writeback", "unevictable", "writeback", NULL};
static const char *const keys_v2[] = {"active_anon", "active_file", "anon", "anon_thp", "file",
	"file_dirty", "file_mapped", "file_writeback", "inactive_anon", "inactive_file",
	"kernel_stack", "pgactivate", "pgdeactivate", "pgfault", "pglazyfree", "pglazyfreed",
	"pgmajfault", "pgrefill", "pgscan", "pgsteal", "shmem", "slab", "slab_reclaimable",
	"slab_unreclaimable", "sock", "thp_collapse_alloc", "thp_fault_alloc", "unevictable",
	"workingset_activate", "workingset_nodereclaim", "workingset_refault", NULL};
#define COUNT(a) (sizeof(a) / sizeof(*(a)))
_Static_assert(COUNT(keys_v1) <= CGROUP_MEMORY_KEYS_MAX, "values for every key");
_Static_assert(COUNT(keys_v2) <= CGROUP_MEMORY_KEYS_MAX, "values for every key");

const char *const *cgroup_memory_keys(bool v2)
{
	return v2 ? keys_v2 : keys_v1;
}

uint64_t cgroup_memory_value(const struct cgroup_stat *s, const char *key)
{
	const char *const *keys = cgroup_memory_keys(s->v2);
	for (size_t i = 0; keys[i]; i++) {
		if (strcmp(keys[i], key) == 0) {
			return s->memory[i];
		}
	}
	return 0;
}

/* --- files --- */

/* The place of a group in one hierarchy. */
struct place {
	const char *root;
	const char *controller; /* "" on v2 */
	const char *group;
};

/* Its text, "" when it cannot be read; cleared first. */
static const char *text_of(const struct place *p, const char *name, struct buf *b)
{
	char path[512];
	buf_clear(b);
	int n = snprintf(path, sizeof(path), "%s/%s%s%s/%s", p->root, p->controller,
		*p->controller ? "/" : "", p->group, name);
	if (n < 0 || (size_t)n >= sizeof(path) ||
		path_read(AT_FDCWD, path, FILE_MAX_BYTES, b) < 0) {
		buf_clear(b);
	}
	return buf_str(b);
}

/* "max" and numbers beyond 64 bits are UINT64_MAX: strtoull clamps. */
static uint64_t number(const char *text)
{
	return strncmp(text, "max", 3) == 0 ? UINT64_MAX : strtoull(text, NULL, 10);
}

static uint64_t number_of(const struct place *p, const char *name, struct buf *b)
{
	return number(text_of(p, name, b));
}

/* The text after the line's end, or its terminating NUL. */
static const char *next_line(const char *line)
{
	line = strchrnul(line, '\n');
	return *line ? line + 1 : line;
}

/* The value of a line "KEY VALUE"; 0 when there is none. */
static uint64_t value_of(const char *text, const char *key)
{
	size_t n = strlen(key);
	for (const char *line = text; *line; line = next_line(line)) {
		if (strncmp(line, key, n) == 0 && line[n] == ' ') {
			return number(line + n + 1);
		}
	}
	return 0;
}

static int by_key(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

static void read_memory_stat(struct cgroup_stat *s, const char *text)
{
	const char *const *keys = cgroup_memory_keys(s->v2);
	size_t n_keys = s->v2 ? COUNT(keys_v2) - 1 : COUNT(keys_v1) - 1;
	char key[64];
	for (const char *line = text; *line; line = next_line(line)) {
		size_t n = strcspn(line, " \n");
		if (n >= sizeof(key) || line[n] != ' ') {
			continue;
		}
		memcpy(key, line, n);
		key[n] = '\0';
		const char *const *found = bsearch(key, keys, n_keys, sizeof(*keys), by_key);
		if (found) {
			s->memory[found - keys] = number(line + n + 1);
		}
	}
}

static void add_io(struct cgroup_ios *list, const struct cgroup_io *io)
{
	if (list->n < CGROUP_IO_MAX) {
		list->v = xrealloc(list->v, list->n + 1, sizeof(*list->v));
		list->v[list->n++] = *io;
	}
}

/* "8:16 " at the beginning of a line; what follows it, or NULL when there is none. */
static const char *parse_device(const char *line, struct cgroup_io *ret)
{
	char *end;
	ret->major = (unsigned)strtoul(line, &end, 10);
	if (end == line || *end != ':') {
		return NULL;
	}
	line = end + 1;
	ret->minor = (unsigned)strtoul(line, &end, 10);
	return end == line || *end != ' ' ? NULL : end + 1;
}

/* --- v2 --- */

/* "8:0 rbytes=4096 wbytes=0 rios=1 wios=0 dbytes=0 dios=0": what Docker's API has of it. */
static void read_io_v2(struct cgroup_stat *s, const char *text)
{
	static const struct {
		const char *key, *op;
	} wanted[] = {{" rbytes=", "read"}, {" wbytes=", "write"}};
	for (const char *line = text; *line; line = next_line(line)) {
		char one[512];
		snprintf(one, sizeof(one), "%.*s", (int)strcspn(line, "\n"), line);
		struct cgroup_io io = {0};
		if (!parse_device(one, &io)) {
			continue;
		}
		for (size_t i = 0; i < COUNT(wanted); i++) {
			const char *at = strstr(one, wanted[i].key);
			snprintf(io.op, sizeof(io.op), "%s", wanted[i].op);
			io.value = at ? number(at + strlen(wanted[i].key)) : 0;
			add_io(&s->io_bytes, &io);
		}
	}
}

static void read_v2(const char *root, const char *group, struct cgroup_stat *s, struct buf *b)
{
	const struct place p = {root, "", group};
	const char *text = text_of(&p, "cpu.stat", b);
	s->cpu_ns = value_of(text, "usage_usec") * NS_PER_USEC;
	s->cpu_user_ns = value_of(text, "user_usec") * NS_PER_USEC;
	s->cpu_kernel_ns = value_of(text, "system_usec") * NS_PER_USEC;
	s->periods = value_of(text, "nr_periods");
	s->throttled_periods = value_of(text, "nr_throttled");
	s->throttled_ns = value_of(text, "throttled_usec") * NS_PER_USEC;
	s->memory_bytes = number_of(&p, "memory.current", b);
	s->memory_limit_bytes = number_of(&p, "memory.max", b);
	read_memory_stat(s, text_of(&p, "memory.stat", b));
	s->memory_failures = value_of(text_of(&p, "memory.events", b), "oom");
	s->pids = number_of(&p, "pids.current", b);
	s->pids_limit = number_of(&p, "pids.max", b);
	read_io_v2(s, text_of(&p, "io.stat", b));
}

/* --- v1 --- */

/* "8:0 Read 4096"; the last line "Total 4096" is of no device. */
static void read_io_v1(struct cgroup_ios *list, const char *text)
{
	for (const char *line = text; *line; line = next_line(line)) {
		struct cgroup_io io = {0};
		const char *op = parse_device(line, &io);
		size_t n = op ? strcspn(op, " \n") : 0;
		if (n > 0 && n < sizeof(io.op) && op[n] == ' ') {
			memcpy(io.op, op, n);
			io.value = number(op + n + 1);
			add_io(list, &io);
		}
	}
}

/* The scheduler's own numbers where it keeps some, else those of the throttling layer. */
static void find_io_v1(
	const struct place *p, const char *what, struct cgroup_ios *list, struct buf *b)
{
	static const char *const prefixes[] = {"blkio.", "blkio.bfq.", "blkio.throttle."};
	for (size_t i = 0; i < COUNT(prefixes) && list->n == 0; i++) {
		char name[64];
		snprintf(name, sizeof(name), "%s%s_recursive", prefixes[i], what);
		read_io_v1(list, text_of(p, name, b));
	}
}

static void read_cpu_each(struct cgroup_stat *s, const char *text)
{
	size_t cap = 0;
	const char *p = text;
	for (;;) {
		char *end;
		uint64_t n = strtoull(p, &end, 10);
		if (end == p || s->n_cpus == CGROUP_CPUS_MAX) {
			return;
		}
		if (s->n_cpus == cap) {
			cap = cap ? cap * 2 : 8;
			s->cpu_each_ns = xrealloc(s->cpu_each_ns, cap, sizeof(*s->cpu_each_ns));
		}
		s->cpu_each_ns[s->n_cpus++] = n;
		p = end;
	}
}

static void read_v1(const char *root, const char *group, struct cgroup_stat *s, struct buf *b)
{
	struct place p = {root, "cpuacct", group};
	s->cpu_ns = number_of(&p, "cpuacct.usage", b);
	read_cpu_each(s, text_of(&p, "cpuacct.usage_percpu", b));
	const char *text = text_of(&p, "cpuacct.stat", b);
	s->cpu_user_ns = value_of(text, "user") * NS_PER_TICK;
	s->cpu_kernel_ns = value_of(text, "system") * NS_PER_TICK;
	p.controller = "cpu";
	text = text_of(&p, "cpu.stat", b);
	s->periods = value_of(text, "nr_periods");
	s->throttled_periods = value_of(text, "nr_throttled");
	s->throttled_ns = value_of(text, "throttled_time");
	p.controller = "memory";
	s->memory_bytes = number_of(&p, "memory.usage_in_bytes", b);
	s->memory_max_bytes = number_of(&p, "memory.max_usage_in_bytes", b);
	s->memory_limit_bytes = number_of(&p, "memory.limit_in_bytes", b);
	s->memory_failures = number_of(&p, "memory.failcnt", b);
	read_memory_stat(s, text_of(&p, "memory.stat", b));
	p.controller = "pids";
	s->pids = number_of(&p, "pids.current", b);
	s->pids_limit = number_of(&p, "pids.max", b);
	if (s->pids_limit == UINT64_MAX) {
		s->pids_limit = 0;
	}
	p.controller = "blkio";
	find_io_v1(&p, "io_service_bytes", &s->io_bytes, b);
	find_io_v1(&p, "io_serviced", &s->io_count, b);
}

/* The group in the hierarchy that tells most about it: gone there, gone everywhere. */
static bool exists(const char *root, bool v2, const char *group)
{
	static const char *const controllers[] = {"cpuacct", "memory", "pids"};
	struct stat st;
	scoped(free) char *only = xasprintf("%s/%s", root, group);
	if (v2) {
		return stat(only, &st) == 0;
	}
	for (size_t i = 0; i < COUNT(controllers); i++) {
		scoped(free) char *folder = xasprintf("%s/%s/%s", root, controllers[i], group);
		if (stat(folder, &st) == 0) {
			return true;
		}
	}
	return false;
}

int cgroup_stat_read(const char *root, bool v2, const char *group, struct cgroup_stat *ret)
{
	if (!exists(root, v2, group)) {
		return -ENOENT;
	}
	scoped(buf) struct buf b = BUF_INIT; /* one memory for all files */
	*ret = (struct cgroup_stat){.v2 = v2};
	(v2 ? read_v2 : read_v1)(root, group, ret, &b);
	return 0;
}

void cgroup_stat_deinit(struct cgroup_stat *s)
{
	free(s->cpu_each_ns);
	free(s->io_bytes.v);
	free(s->io_count.v);
	*s = (struct cgroup_stat){0};
}
