/* worker/nginx_control.h - the nginx of the ingress: test, start, reload, upgrade, end.
 *
 * It is started with `-p DIR -c DIR/conf/current/nginx.conf -e DIR/log/error.log` and belongs to
 * nobody: it outlives the worker and the daemon, and is found again by RUN/nginx.pid (sys/nginx.h).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "sys/nginx.h"

struct nginx_control {
	const char *dir, *run; /* DATA/ingress, RUN/ingress; borrowed */
	char *program;         /* "/usr/sbin/nginx" */
	char *pid_file, *conf, *log, *status;
	struct nginx_master master; /* pid 0: it does not run */
};

/* program: "" for the machine's. ERR_NOT_FOUND when nginx is not installed. */
int nginx_control_init(struct nginx_control *n, const char *dir, const char *run,
	const char *program, struct err *e);
void nginx_control_deinit(struct nginx_control *n);

/* What the running one serves: 0 when it does not answer. */
uint64_t nginx_generation(const struct nginx_control *n);
/* `nginx -t`; ERR_INVALID with its words. */
int nginx_test(const struct nginx_control *n, const char *conf, struct err *e);
/* All three return when all that accept requests serve that generation. On failure what ran before
 * goes on. */
int nginx_start(struct nginx_control *n, uint64_t generation, struct err *e);
int nginx_reload(struct nginx_control *n, uint64_t generation, struct err *e);
int nginx_upgrade(
	struct nginx_control *n, uint64_t generation, struct err *e); /* another program */
/* Workers of a master that was killed take no requests any more: they have its ports. */
void nginx_end_orphans(const struct nginx_control *n);
/* It opens its logs again. */
void nginx_reopen(struct nginx_control *n);
/* It takes no requests any more; those that it has it ends. */
void nginx_stop(struct nginx_control *n);
