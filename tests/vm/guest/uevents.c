/* uevents - writes down when the kernel and udevd spoke of a device: runs in the guest, outside of
 * containers.
 *
 * "NANOSECONDS kernel|udev ACTION SUBSYSTEM NODE DEVPATH", CLOCK_MONOTONIC. It runs before
 * everything else (SCHED_FIFO), so that a loaded guest does not make the moment of an event look
 * later than it was.
 */
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int listen_to(unsigned group)
{
	struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = group};
	int size = 16 << 20;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		perror("uevents");
		_exit(1);
	}
	return fd;
}

static const char *value_of(const char *at, const char *end, const char *key)
{
	size_t n = strlen(key);
	for (; at < end; at += strlen(at) + 1) {
		if (strncmp(at, key, n) == 0 && at[n] == '=') {
			return at + n + 1;
		}
	}
	return "-";
}

static void tell(int fd, const char *who)
{
	char text[16384];
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	if (n <= 0) {
		return;
	}
	text[n] = '\0';
	const char *at = text;
	if (strcmp(text, "libudev") == 0) {
		uint32_t offset;
		memcpy(&offset, text + 16, sizeof(offset));
		at = text + (offset < (size_t)n ? offset : (size_t)n);
	}
	const char *end = text + n;
	printf("%lld %s %s %s %s %s\n", t.tv_sec * 1000000000LL + t.tv_nsec, who,
		value_of(at, end, "ACTION"), value_of(at, end, "SUBSYSTEM"),
		value_of(at, end, "DEVNAME"), value_of(at, end, "DEVPATH"));
}

int main(void)
{
	struct sched_param first = {.sched_priority = 50};
	sched_setscheduler(0, SCHED_FIFO, &first);
	setvbuf(stdout, NULL, _IOLBF, 0);
	struct pollfd p[2] = {{listen_to(1), POLLIN, 0}, {listen_to(2), POLLIN, 0}};
	puts("0 begins");
	while (poll(p, 2, -1) >= 0) {
		if (p[0].revents) {
			tell(p[0].fd, "kernel");
		}
		if (p[1].revents) {
			tell(p[1].fd, "udev");
		}
	}
	return 1;
}
