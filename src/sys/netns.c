#include "sys/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/path.h"
#include "base/scoped.h"

/* Not /proc/self: that is the main thread, and namespaces belong to threads. */
#define OWN_NETNS "/proc/thread-self/ns/net"

static int open_own(void)
{
	int fd = open(OWN_NETNS, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int netns_run(int netns_fd, netns_fn *fn, void *owner)
{
	scoped(close) int home = open_own();
	if (home < 0) {
		return home;
	}
	if (setns(netns_fd, CLONE_NEWNET) < 0) {
		return -errno;
	}
	int r = fn(owner);
	if (setns(home, CLONE_NEWNET) < 0) {
		abort();
	}
	return r;
}

struct socket_call {
	int domain;
	int type;
	int protocol;
};

static int make_socket(void *owner)
{
	const struct socket_call *s = owner;
	int fd = socket(s->domain, s->type | SOCK_CLOEXEC, s->protocol);
	return fd < 0 ? -errno : fd;
}

int netns_socket(int netns_fd, int domain, int type, int protocol)
{
	struct socket_call s = {domain, type, protocol};
	return netns_fd < 0 ? make_socket(&s) : netns_run(netns_fd, make_socket, &s);
}

int netns_sysctl(const char *name, const char *text)
{
	scoped(close) int dir = open("/proc/sys/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0) {
		return -errno;
	}
	scoped(close) int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	return fd < 0 ? -errno : path_write_all(fd, text, strlen(text));
}

static int open_new(void *owner)
{
	return unshare(CLONE_NEWNET) < 0 ? -errno : open_own();
}

int netns_new(void)
{
	scoped(close) int home = open_own();
	return home < 0 ? home : netns_run(home, open_new, NULL);
}
