/* worker/stubs.h - what the runtime leaves in a container's upper directory: the mount points it
 * made for /proc, /etc/hosts and their kind.
 *
 * Nobody changed anything there; dockerd keeps them in a layer of their own (moby
 * daemon/initlayer), so that they show neither in diff nor in a commit. */
#pragma once
#include <stdbool.h>

/* Whether dir_fd/name (path below the upper directory, without a slash in front) is such a mount
 * point and nothing more: an empty file, or a directory in which there is nothing but such. */
bool stub_is(int dir_fd, const char *name, const char *path);
