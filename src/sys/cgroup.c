#include "sys/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/strv.h"

#define ROOT "/sys/fs/cgroup"
#define SMALL_FILE 65536
#define DEVICES_LIST_MAX (1u << 20)

bool cgroup_is_v2(void)
{
	return access(ROOT "/cgroup.controllers", F_OK) == 0;
}

/* The mount points of all hierarchies: ROOT itself on v2, else every folder below it. */
static void hierarchies(struct strv *ret)
{
	if (cgroup_is_v2()) {
		strv_add(ret, ROOT);
		return;
	}
	scoped(closedir) DIR *dir = opendir(ROOT);
	struct dirent *entry;
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] != '.' &&
			entry->d_type == DT_DIR) { /* links are aliases: cpu -> cpu,cpuacct */
			strv_addf(ret, ROOT "/%s", entry->d_name);
		}
	}
}

int cgroup_prepare(void)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (cgroup_is_v2() ||
		path_read(AT_FDCWD, ROOT "/unified/cgroup.controllers", SMALL_FILE, &text) < 0) {
		return 0;
	}
	scoped(strv) struct strv left = STRV_INIT;
	scoped(free) char *line = xstrndup(buf_str(&text), strcspn(buf_str(&text), "\n"));
	strv_split(&left, line, ' ');
	int result = 0;
	for (size_t i = 0; i < left.n; i++) {
		scoped(free) char *place = xasprintf(ROOT "/%s", left.v[i]);
		if ((mkdir(place, 0755) < 0 && errno != EEXIST) ||
			mount("cgroup", place, "cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC,
				left.v[i]) < 0) {
			result = -errno;
		}
	}
	return result;
}

/* Calls fn for each process of a group's folder; how many there were. */
static int each_listed(const char *folder, void (*fn)(void *owner, pid_t pid), void *owner)
{
	scoped(free) char *file = xasprintf("%s/cgroup.procs", folder);
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, file, 4u << 20, &text);
	if (r < 0) {
		return r == -ENOENT ? 0 : r;
	}
	int n = 0;
	char *p = text.data; /* NULL when nobody is in it */
	char *line;
	while (p && (line = strsep(&p, "\n"))) {
		long pid = strtol(line, NULL, 10);
		if (pid > 1) {
			fn(owner, (pid_t)pid);
			n++;
		}
	}
	return n;
}

static void kill_one(void *owner, pid_t pid)
{
	kill(pid, SIGKILL);
}

static int kill_listed(void *owner, const char *folder)
{
	return each_listed(folder, kill_one, NULL);
}

/* Calls fn for a group's folder and all below it, deepest first. */
static int walk(const char *folder, int (*fn)(void *owner, const char *folder), void *owner)
{
	scoped(closedir) DIR *dir = opendir(folder);
	if (!dir) {
		return errno == ENOENT ? 0 : -errno;
	}
	int total = 0;
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
			scoped(free) char *below = xasprintf("%s/%s", folder, entry->d_name);
			int r = walk(below, fn, owner);
			total = r < 0 ? r : total + r;
		}
	}
	int r = fn(owner, folder);
	return r < 0 ? r : total + r;
}

static int write_text(const char *folder, const char *name, const char *text)
{
	scoped(free) char *file = xasprintf("%s/%s", folder, name);
	scoped(close) int fd = open(file, O_WRONLY | O_CLOEXEC);
	if (fd < 0) {
		return -errno;
	}
	return path_write_all(fd, text, strlen(text));
}

int cgroup_kill(const char *group)
{
	scoped(strv) struct strv roots = STRV_INIT;
	hierarchies(&roots);
	int total = 0;
	for (size_t i = 0; i < roots.n; i++) {
		scoped(free) char *folder = xasprintf("%s/%s", roots.v[i], group);
		if (cgroup_is_v2() && write_text(folder, "cgroup.kill", "1") == 0) {
			return 1; /* 5.14: atomic, and reaches what is being forked */
		}
		int r = walk(folder, kill_listed, NULL);
		total = r > total ? r : total;
	}
	return total;
}

int cgroup_enter(const char *group)
{
	/* v1: hierarchies in which a group needs no setting before somebody can be in it */
	static const char *const v1[] = {"/unified", "/pids", "/systemd", "/freezer"};
	const char *below = "";
	for (size_t i = 0; i < sizeof(v1) / sizeof(*v1) && !cgroup_is_v2() && !*below; i++) {
		scoped(free) char *root = xasprintf(ROOT "%s", v1[i]);
		below = access(root, F_OK) == 0 ? v1[i] : "";
	}
	scoped(free) char *folder = xasprintf(ROOT "%s/%s", below, group);
	int r = path_mkdirs(folder, 0755);
	return r < 0 ? r : write_text(folder, "cgroup.procs", "0");
}

static int remove_folder(void *owner, const char *folder)
{
	return rmdir(folder) < 0 && errno != ENOENT ? -errno : 0;
}

int cgroup_destroy(const char *group)
{
	scoped(strv) struct strv roots = STRV_INIT;
	hierarchies(&roots);
	int result = 0;
	for (size_t i = 0; i < roots.n; i++) {
		scoped(free) char *folder = xasprintf("%s/%s", roots.v[i], group);
		int r = walk(folder, remove_folder, NULL);
		result = r < 0 ? r : result;
	}
	if (result < 0) {
		cgroup_freeze(group, false); /* a frozen process does not die on v1 */
		cgroup_kill(group);
	}
	return result < 0 ? -EBUSY : 0;
}

bool cgroup_exists(const char *group)
{
	scoped(strv) struct strv roots = STRV_INIT;
	hierarchies(&roots);
	for (size_t i = 0; i < roots.n; i++) {
		scoped(free) char *folder = xasprintf("%s/%s", roots.v[i], group);
		if (access(folder, F_OK) == 0) {
			return true;
		}
	}
	return false;
}

int cgroup_has(const char *group, pid_t pid)
{
	char path[64];
	size_t n = strlen(group);
	scoped(buf) struct buf text = BUF_INIT;
	scoped(strv) struct strv lines = STRV_INIT;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	int r = path_read(AT_FDCWD, path, SMALL_FILE, &text);
	if (r < 0) {
		return r == -ENOENT ? -ESRCH : r;
	}
	strv_split(&lines, buf_str(&text), '\n');
	for (size_t i = 0; i < lines.n; i++) {
		const char *own = strstr(lines.v[i], ":/"); /* "4:devices:/wherry/4f2c" */
		if (own && strncmp(own + 2, group, n) == 0 && strchr("/", own[2 + n])) {
			return 1;
		}
	}
	return 0;
}

int cgroup_remove(const char *group)
{
	scoped(strv) struct strv roots = STRV_INIT;
	hierarchies(&roots);
	int result = 0;
	for (size_t i = 0; i < roots.n; i++) {
		scoped(free) char *folder = xasprintf("%s/%s", roots.v[i], group);
		int r = remove_folder(NULL, folder);
		result = r < 0 ? r : result;
	}
	return result;
}

int cgroup_freeze(const char *group, bool freeze)
{
	if (cgroup_is_v2()) {
		scoped(free) char *folder = xasprintf(ROOT "/%s", group);
		return write_text(folder, "cgroup.freeze", freeze ? "1" : "0");
	}
	scoped(free) char *folder = xasprintf(ROOT "/freezer/%s", group);
	return write_text(folder, "freezer.state", freeze ? "FROZEN" : "THAWED");
}

/* The file that counts what the OOM killer took; the caller's string. */
static char *oom_file(const char *group)
{
	return cgroup_is_v2() ? xasprintf(ROOT "/%s/memory.events", group)
			      : xasprintf(ROOT "/memory/%s/memory.oom_control", group);
}

static unsigned long count_of(const char *text, const char *key)
{
	const char *p = strstr(text, key);
	return p ? strtoul(p + strlen(key), NULL, 10) : 0;
}

int cgroup_oom_read(const char *group, struct cgroup_oom *ret)
{
	scoped(free) char *file = oom_file(group);
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, file, SMALL_FILE, &text);
	if (r < 0) {
		return r;
	}
	ret->kills = count_of(buf_str(&text), "oom_kill ");
	ret->stuck = count_of(buf_str(&text), "oom_kill_disable ") &&
		     count_of(buf_str(&text), "under_oom ");
	return 0;
}

/* cgroup-v1/memory.rst 10 "OOM Control". */
static int watch_v1(const char *group)
{
	scoped(free) char *file = oom_file(group);
	scoped(free) char *folder = xasprintf(ROOT "/memory/%s", group);
	scoped(close) int control = open(file, O_RDONLY | O_CLOEXEC);
	scoped(close) int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control < 0 || fd < 0) {
		return -errno;
	}
	char line[32];
	snprintf(line, sizeof(line), "%d %d", fd, control);
	int r = write_text(folder, "cgroup.event_control", line);
	return r < 0 ? r : TAKE_FD(fd);
}

static int watch_v2(const char *group)
{
	scoped(free) char *file = oom_file(group);
	scoped(close) int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (fd < 0 || inotify_add_watch(fd, file, IN_MODIFY | IN_DELETE_SELF) < 0) {
		return -errno;
	}
	return TAKE_FD(fd);
}

int cgroup_oom_watch(const char *group)
{
	return cgroup_is_v2() ? watch_v2(group) : watch_v1(group);
}

void cgroup_oom_drain(int fd)
{
	char bytes[4096];
	while (read(fd, bytes, sizeof(bytes)) > 0) {
	}
}

int cgroup_each_child(const char *parent, void (*fn)(void *owner, const char *name), void *owner)
{
	scoped(strv) struct strv roots = STRV_INIT;
	hierarchies(&roots);
	for (size_t i = 0; i < roots.n; i++) {
		scoped(free) char *folder = xasprintf("%s/%s", roots.v[i], parent);
		scoped(closedir) DIR *dir = opendir(folder);
		struct dirent *entry;
		while (dir && (entry = readdir(dir))) {
			if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
				fn(owner, entry->d_name);
			}
		}
	}
	return 0;
}

/* --- pids --- */

static void add_pid(void *owner, pid_t pid)
{
	struct cgroup_pids *list = owner;
	list->v = xrealloc(list->v, list->n + 1, sizeof(*list->v));
	list->v[list->n++] = pid;
}

static int list_folder(void *owner, const char *folder)
{
	return each_listed(folder, add_pid, owner);
}

static int by_number(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a;
	pid_t y = *(const pid_t *)b;
	return x < y ? -1 : x > y;
}

int cgroup_pids_read(const char *group, struct cgroup_pids *ret)
{
	scoped(strv) struct strv roots = STRV_INIT;
	hierarchies(&roots);
	for (size_t i = 0; i < roots.n;
		i++) { /* every hierarchy has the group: the first will do */
		scoped(free) char *folder = xasprintf("%s/%s", roots.v[i], group);
		if (access(folder, F_OK) < 0) {
			continue;
		}
		struct cgroup_pids list = {0};
		int r = walk(folder, list_folder, &list);
		if (r < 0) {
			free(list.v);
			return r;
		}
		if (list.n > 0) {
			qsort(list.v, list.n, sizeof(*list.v), by_number);
		}
		*ret = list;
		return 0;
	}
	return -ENOENT;
}

int cgroup_unlimit_pids(const char *group)
{
	scoped(free) char *folder = xasprintf(ROOT "%s/%s", cgroup_is_v2() ? "" : "/pids", group);
	return write_text(folder, "pids.max", "max");
}

int cgroup_unlimit_cpu(const char *group)
{
	scoped(free) char *folder = xasprintf(ROOT "%s/%s", cgroup_is_v2() ? "" : "/cpu", group);
	return cgroup_is_v2() ? write_text(folder, "cpu.max", "max")
			      : write_text(folder, "cpu.cfs_quota_us", "-1");
}

int cgroup_devices_read(const char *group, struct buf *ret)
{
	scoped(free) char *file = xasprintf(ROOT "/devices/%s/devices.list", group);
	return path_read(AT_FDCWD, file, DEVICES_LIST_MAX, ret);
}

int cgroup_devices_write(const char *group, bool allow, const char *line)
{
	scoped(free) char *folder = xasprintf(ROOT "/devices/%s", group);
	return write_text(folder, allow ? "devices.allow" : "devices.deny", line);
}
