/* sys/nginx.h - the processes of one nginx among all of the machine: its master by the pid file
 * that it wrote, its workers, and those that a killed master left behind.
 *
 * Nobody else can be taken for it: a master's title ("nginx: master process /usr/sbin/nginx -c
 * FILE") names the configuration that it was started with, a worker holds its log. All return
 * -errno on failure.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct nginx_master {
	pid_t pid;
	int pidfd;     /* the caller's */
	bool replaced; /* its program is not on disk any more: an upgrade */
};

/* The master that pid_file names, if it was started with conf. -ESRCH when there is none. */
int nginx_master_find(const char *pid_file, const char *conf, struct nginx_master *ret);

/* Pids in *ret, which is the caller's; its workers and those that are ending. */
struct nginx_pids {
	pid_t *v;
	size_t n;
};
int nginx_workers(pid_t master, struct nginx_pids *ret);
/* Workers that have that file open and whose master is another process than that, or none. */
int nginx_orphans(pid_t master, const char *log, struct nginx_pids *ret);
void nginx_pids_deinit(struct nginx_pids *p);
/* It takes no requests any more, or is gone. */
bool nginx_worker_has_left(pid_t worker);
