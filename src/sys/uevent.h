/* sys/uevent.h - the socket on which the kernel and udevd tell of devices (codec/uevent.h).
 * NETLINK_KOBJECT_UEVENT: netlink(7), Linux lib/kobject_uevent.c. All return -errno.
 */
#pragma once
#include <stddef.h>
#include <sys/types.h>

#define UEVENT_KERNEL 1u /* before udevd has seen it: node there, links and owner not */
#define UEVENT_UDEV 2u   /* udevd is done with it */

/* A non-blocking, close-on-exec socket for groups of these, with a big receive buffer. */
int uevent_open(unsigned groups);
/* One message: its bytes and in *ret_group the group it came by. 0: there was one, but not from
 * the kernel or from root, or longer than size. -EAGAIN: none. -ENOBUFS: some were lost. */
ssize_t uevent_receive(int fd, void *data, size_t size, unsigned *ret_group);
/* A socket for uevent_send in the network namespace netns_fd (borrowed; -1: our own). */
int uevent_sender(int netns_fd);
/* To all who listen to udevd there. Needs CAP_NET_ADMIN over that namespace. 0 when nobody does. */
int uevent_send(int sender_fd, const void *data, size_t n);
