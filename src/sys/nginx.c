#include "sys/nginx.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"

#define PID_TEXT_MAX 32
#define TITLE_MAX 8192
#define CHILDREN_MAX (64u << 10)
#define STAT_MAX 1024
#define MASTER_TITLE "nginx: master process "
#define WORKER_TITLE "nginx: worker process"
#define LEAVING_TITLE "nginx: worker process is shutting down"

/* --- one process --- */

static int read_of(pid_t pid, const char *name, size_t limit, struct buf *ret)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return path_read(AT_FDCWD, path, limit, ret);
}

/* What nginx calls itself, which is one string. */
static bool title_of(pid_t pid, struct buf *ret)
{
	return read_of(pid, "cmdline", TITLE_MAX, ret) == 0;
}

/* Whether its program is an nginx; *ret_replaced: and the file is gone. */
static bool runs_nginx(pid_t pid, bool *ret_replaced)
{
	char link[64];
	char target[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/%d/exe", (int)pid);
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	if (n < 0) {
		return false;
	}
	target[n] = '\0';
	*ret_replaced = text_ends(target, " (deleted)");
	return text_ends(target, "/nginx") || text_ends(target, "/nginx (deleted)");
}

/* "... -c FILE -e LOG": a whole argument. */
static bool title_names(const char *title, const char *conf)
{
	scoped(free) char *argument = xasprintf(" -c %s", conf);
	const char *at = strstr(title, argument);
	char next = '\0';
	if (at) {
		next = at[strlen(argument)];
	}
	return at && (next == ' ' || next == '\0');
}

int nginx_master_find(const char *pid_file, const char *conf, struct nginx_master *ret)
{
	int pid;
	bool replaced;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf title = BUF_INIT;
	int r = path_read(AT_FDCWD, pid_file, PID_TEXT_MAX, &text);
	if (r < 0) {
		return r == -ENOENT ? -ESRCH : r;
	}
	char *end = text.data ? strchr(text.data, '\n') : NULL;
	if (end) {
		*end = '\0';
	}
	if (parse_int(buf_str(&text), 1, INT_MAX, &pid) < 0) {
		return -ESRCH;
	}
	scoped(close) int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd < 0) {
		return -errno;
	}
	/* what is read now is this process's, for it lives afterwards */
	if (!title_of(pid, &title) || !text_starts(buf_str(&title), MASTER_TITLE) ||
		!title_names(buf_str(&title), conf) || !runs_nginx(pid, &replaced) ||
		syscall(SYS_pidfd_send_signal, fd, 0, NULL, 0) < 0) {
		return -ESRCH;
	}
	*ret = (struct nginx_master){.pid = pid, .pidfd = TAKE_FD(fd), .replaced = replaced};
	return 0;
}

bool nginx_worker_has_left(pid_t worker)
{
	scoped(buf) struct buf title = BUF_INIT;
	return !title_of(worker, &title) || !text_starts(buf_str(&title), WORKER_TITLE) ||
	       text_starts(buf_str(&title), LEAVING_TITLE);
}

/* --- many --- */

static void add_pid(struct nginx_pids *p, pid_t pid)
{
	p->v = xrealloc(p->v, p->n + 1, sizeof(*p->v));
	p->v[p->n++] = pid;
}

void nginx_pids_deinit(struct nginx_pids *p)
{
	free(p->v);
	*p = (struct nginx_pids){0};
}

static bool is_worker(pid_t pid)
{
	scoped(buf) struct buf title = BUF_INIT;
	return title_of(pid, &title) && text_starts(buf_str(&title), WORKER_TITLE);
}

/* proc(5) stat: "PID (NAME) STATE PPID ..."; a name may have blanks and brackets. */
static pid_t parent_of(pid_t pid)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (read_of(pid, "stat", STAT_MAX, &text) < 0) {
		return 0;
	}
	const char *end = strrchr(buf_str(&text), ')');
	return end && strlen(end) > 4 ? (pid_t)strtol(end + 4, NULL, 10) : 0;
}

typedef void each_fn(void *arg, pid_t pid);

static int each_process(each_fn *fn, void *arg)
{
	scoped(closedir) DIR *dir = opendir("/proc");
	if (!dir) {
		return -errno;
	}
	for (struct dirent *d; (d = readdir(dir));) {
		int pid;
		if (isdigit((unsigned char)d->d_name[0]) &&
			parse_int(d->d_name, 1, INT_MAX, &pid) == 0) {
			fn(arg, pid);
		}
	}
	return 0;
}

struct search {
	pid_t master;
	const char *log;
	struct nginx_pids *ret;
};

static void add_if_child(void *arg, pid_t pid)
{
	const struct search *s = arg;
	if (is_worker(pid) && parent_of(pid) == s->master) {
		add_pid(s->ret, pid);
	}
}

int nginx_workers(pid_t master, struct nginx_pids *ret)
{
	char name[48];
	scoped(buf) struct buf text = BUF_INIT;
	*ret = (struct nginx_pids){0};
	snprintf(name, sizeof(name), "task/%d/children", (int)master);
	if (read_of(master, name, CHILDREN_MAX, &text) < 0) { /* a kernel without the list */
		struct search s = {.master = master, .ret = ret};
		return each_process(add_if_child, &s);
	}
	for (char *p = text.data, *end; p && *p; p = end) {
		long pid = strtol(p, &end, 10);
		if (end == p) {
			break;
		}
		if (is_worker((pid_t)pid)) {
			add_pid(ret, (pid_t)pid);
		}
	}
	return 0;
}

static bool has_open(pid_t pid, const char *path)
{
	char dir_name[64];
	char target[PATH_MAX];
	snprintf(dir_name, sizeof(dir_name), "/proc/%d/fd", (int)pid);
	scoped(closedir) DIR *dir = opendir(dir_name);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		ssize_t n = readlinkat(dirfd(dir), d->d_name, target, sizeof(target) - 1);
		target[n > 0 ? n : 0] = '\0';
		if (strcmp(target, path) == 0) {
			return true;
		}
	}
	return false;
}

static void add_if_orphan(void *arg, pid_t pid)
{
	const struct search *s = arg;
	if (is_worker(pid) && parent_of(pid) != s->master && has_open(pid, s->log)) {
		add_pid(s->ret, pid);
	}
}

int nginx_orphans(pid_t master, const char *log, struct nginx_pids *ret)
{
	struct search s = {.master = master, .log = log, .ret = ret};
	*ret = (struct nginx_pids){0};
	return each_process(add_if_orphan, &s);
}
