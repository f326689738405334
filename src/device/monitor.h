/* device/monitor.h - keeps a device_set true: listens to the kernel and udevd, and has a worker
 * look at everything when the daemon starts, when messages were lost, and where no udevd runs. A
 * look that fails is repeated.
 */
#pragma once
#include "base/err.h"

typedef struct uv_loop_s uv_loop_t;
struct device_monitor;
struct device_set;
struct job_pool;

/* All borrowed; they outlive it. The first scan begins at once, its result comes later. NULL with
 * *e: no socket. */
struct device_monitor *device_monitor_new(
	uv_loop_t *l, struct job_pool *jobs, struct device_set *set, struct err *e);
/* The loop gives back its memory: the calls of its jobs may still come. NULL is fine. */
void device_monitor_free(struct device_monitor *m);
void device_monitor_rescan(struct device_monitor *m); /* soon; once more if one is under way */
