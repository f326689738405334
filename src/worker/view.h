/* worker/view.h - the root of a container's file system as a directory descriptor.
 *
 * Only a descriptor: this process never makes that root its own, so nothing it loads later comes
 * from the container (CVE-2019-14271), and every path is resolved below it by openat2
 * (CVE-2018-15664). A container that runs is seen with all its mounts, one that does not with the
 * volumes and binds that it would have, in a mount namespace of ours.
 *
 * Request members
 *   "running"     fd 4 is the container's mount namespace (/proc/PID/ns/mnt, opened by the daemon
 *                 while it held the process by a pidfd)
 *   "layers_dir", "lower", "upper", "work"    else: its overlay
 *   "mounts"      [{"source", "target", "read_only", "non_recursive"}], parents first
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define VIEW_NS_FD 4

/* The root as an O_PATH directory descriptor, or -1. */
int view_open(const json_t *request, struct err *e);
/* Of one that runs, with its mounts (/proc/PID/mountinfo) as they are below the namespace's root,
 * not that of its first process. */
struct buf;
int view_open_running(struct buf *ret_mounts, struct err *e);
/* The same without anything mounted below it, and read-only unless it runs: what export packs. */
int view_open_bare(const json_t *request, struct err *e);

/* Whether both descriptors are on one mount. */
bool view_same_mount(int a, int b);
