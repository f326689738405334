/* sys/netns.h - work in another network namespace for a moment.
 *
 * A socket belongs for ever to the namespace it was made in, so the daemon visits a container's
 * namespace only to open sockets there. The visit is of the calling thread alone and never outlives
 * the call. All return -errno.
 */
#pragma once

typedef int netns_fn(void *owner);

/* Runs fn inside the namespace netns_fd (borrowed) and comes back; the result is fn's, or -errno
 * when the way in failed. Aborts when the way back is barred: nothing may go on in a stranger's
 * namespace. */
int netns_run(int netns_fd, netns_fn *fn, void *owner);

/* socket(2) inside the namespace, close-on-exec; netns_fd -1 means our own. Returns the fd. */
int netns_socket(int netns_fd, int domain, int type, int protocol);

/* Writes text to a file below /proc/sys/net as the namespace of the caller sees it; inside
 * netns_run for another. */
int netns_sysctl(const char *name, const char *text);

/* A new, empty network namespace that lives as long as the fd returned. */
int netns_new(void);
