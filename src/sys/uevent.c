#include "sys/uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/scoped.h"
#include "sys/netns.h"

#define RECEIVE_BYTES (1 << 20) /* some hundred messages of udevd; a hub brings fifty */

int uevent_open(unsigned groups)
{
	const int on = 1;
	const int bytes = RECEIVE_BYTES;
	const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = groups};
	scoped(close) int fd =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0) {
		return -errno;
	}
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes)) < 0) {
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	}
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		return -errno;
	}
	return TAKE_FD(fd);
}

static const struct ucred *sender_of(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_CREDENTIALS) {
			return (const struct ucred *)(const void *)CMSG_DATA(c);
		}
	}
	return NULL;
}

/* Group 1 is the kernel's alone: its port is 0. Another program's message to us (unicast) has no
 * group. */
static bool is_trusted(const struct sockaddr_nl *from, const struct ucred *sender)
{
	if (!sender || sender->uid != 0) {
		return false;
	}
	return from->nl_groups == UEVENT_UDEV ||
	       (from->nl_groups == UEVENT_KERNEL && from->nl_pid == 0);
}

ssize_t uevent_receive(int fd, void *data, size_t size, unsigned *ret_group)
{
	struct sockaddr_nl from = {0};
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec v = {data, size};
	struct msghdr m = {.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &v,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	ssize_t n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
	if (n < 0) {
		return -errno;
	}
	if ((m.msg_flags & MSG_TRUNC) || !is_trusted(&from, sender_of(&m))) {
		return 0;
	}
	*ret_group = from.nl_groups;
	return n;
}

int uevent_sender(int netns_fd)
{
	return netns_socket(netns_fd, AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
}

int uevent_send(int sender_fd, const void *data, size_t n)
{
	const struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = UEVENT_UDEV};
	ssize_t r = sendto(sender_fd, data, n, 0, (const struct sockaddr *)&to, sizeof(to));
	return r >= 0 || errno == ECONNREFUSED ? 0 : -errno; /* refused: nobody listens */
}
