/* sys/cgroup.h - control groups by path, v2 and v1 (also the hybrid of both). All return -errno on
 * failure.
 *
 * A group is named by its path from the top of the hierarchies, "wherry/4f2c...": the same in each
 * of them. Kernel Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct buf;

/* crun refuses a hybrid hierarchy while a controller is left on v2: mounts the left-over ones as
 * v1, as cgroupfs-mount does. Does nothing on pure v2 or v1. */
int cgroup_prepare(void);

bool cgroup_is_v2(void);
/* Removes the group and those below it in every hierarchy, or kills every process in them: then
 * -EBUSY, and it is to be tried again when they have died. An absent group is fine. */
int cgroup_destroy(const char *group);
/* In any hierarchy. */
bool cgroup_exists(const char *group);
/* Whether the process is in the group or below it, in any hierarchy: 1 or 0. -ESRCH: no process. */
int cgroup_has(const char *group, pid_t pid);
/* Removes the group itself where nothing is in it; -EBUSY where something is. */
int cgroup_remove(const char *group);
/* Moves this process, with all its threads, into the group in one hierarchy, so that cgroup_destroy
 * finds it and whatever it starts. Makes the group. */
int cgroup_enter(const char *group);
/* SIGKILL to all processes once, without waiting. */
int cgroup_kill(const char *group);
/* Freezes or thaws. -ENOENT without the group. */
int cgroup_freeze(const char *group, bool freeze);
struct cgroup_oom {
	unsigned long kills; /* processes of the group that the kernel's OOM killer took */
	bool stuck;          /* v1: its processes wait for memory, the killer is off */
};
/* -ENOENT without the group. */
int cgroup_oom_read(const char *group, struct cgroup_oom *ret);
/* An fd that becomes readable when it may have taken one (v1: an eventfd of memory.oom_control; v2:
 * inotify on memory.events), or when the group is removed. Non-blocking; cgroup_oom_drain makes it
 * silent again. */
int cgroup_oom_watch(const char *group);
void cgroup_oom_drain(int fd);
/* Calls fn with the names of the groups directly below parent, v2 or any v1 hierarchy (names may
 * repeat). */
int cgroup_each_child(const char *parent, void (*fn)(void *owner, const char *name), void *owner);

struct cgroup_pids {
	pid_t *v; /* sorted; the caller's to free */
	size_t n;
};
/* The processes of the group and of those below it. -ENOENT without the group. */
int cgroup_pids_read(const char *group, struct cgroup_pids *ret);
int cgroup_unlimit_pids(const char *group);
int cgroup_unlimit_cpu(const char *group); /* no quota */
/* v1 only: devices.list, and one line for devices.allow or devices.deny. -ENOENT without the group
 * or the hierarchy. */
int cgroup_devices_read(const char *group, struct buf *ret);
int cgroup_devices_write(const char *group, bool allow, const char *line);
