/* Messages of devices in a network namespace of the test's own; as root, else "skipped". */
#include "sys/uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/scoped.h"
#include "sys/netns.h"

static int listen_there(void *owner)
{
	return uevent_open(*(unsigned *)owner);
}

static void root_s_messages_to_udevd_s_group_arrive(void **state)
{
	unsigned groups = UEVENT_KERNEL | UEVENT_UDEV;
	unsigned group = 0;
	char data[64];
	scoped(close) int ns = netns_new();
	if (ns < 0) {
		skip();
	}
	scoped(close) int sender = uevent_sender(ns);
	assert_int_equal(uevent_send(sender, "nobody", 6), 0); /* hears it: no error */
	scoped(close) int fd = netns_run(ns, listen_there, &groups);
	assert_true(fd >= 0);
	assert_int_equal(uevent_receive(fd, data, sizeof(data), &group), -EAGAIN);

	assert_int_equal(uevent_send(sender, "libudev", 7), 0);

	assert_int_equal(uevent_receive(fd, data, sizeof(data), &group), 7);
	assert_int_equal(group, UEVENT_UDEV);
	assert_memory_equal(data, "libudev", 7);
}

static void the_kernel_s_group_is_the_kernel_s_alone(void **state)
{
	unsigned groups = UEVENT_KERNEL;
	unsigned group = 0;
	char data[4];
	const struct sockaddr_nl to = {.nl_family = AF_NETLINK, .nl_groups = UEVENT_KERNEL};
	scoped(close) int ns = netns_new();
	if (ns < 0) {
		skip();
	}
	scoped(close) int sender = uevent_sender(ns);
	scoped(close) int fd = netns_run(ns, listen_there, &groups);

	ssize_t sent = sendto(sender, "add@/x", 6, 0, (const struct sockaddr *)&to, sizeof(to));

	assert_int_equal(sent, 6);
	assert_int_equal(uevent_receive(fd, data, sizeof(data), &group), 0);
	assert_int_equal(uevent_receive(fd, data, sizeof(data), &group), -EAGAIN);
}

static void what_is_too_long_is_left_out(void **state)
{
	unsigned groups = UEVENT_UDEV;
	unsigned group = 0;
	char data[4];
	scoped(close) int ns = netns_new();
	if (ns < 0) {
		skip();
	}
	scoped(close) int sender = uevent_sender(ns);
	scoped(close) int fd = netns_run(ns, listen_there, &groups);
	assert_int_equal(uevent_send(sender, "12345", 5), 0);
	assert_int_equal(uevent_receive(fd, data, sizeof(data), &group), 0);
}

/* The receive buffer is not endless: what did not fit is told once. */
static void lost_messages_are_told(void **state)
{
	unsigned groups = UEVENT_UDEV;
	unsigned group = 0;
	static char data[8192];
	const int small = 4096;
	scoped(close) int ns = netns_new();
	if (ns < 0) {
		skip();
	}
	scoped(close) int sender = uevent_sender(ns);
	scoped(close) int fd = netns_run(ns, listen_there, &groups);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &small, sizeof(small)), 0);
	for (int i = 0; i < 16; i++) {
		(void)uevent_send(sender, data, sizeof(data));
	}
	ssize_t n;
	do {
		n = uevent_receive(fd, data, sizeof(data), &group);
	} while (n >= 0);
	assert_int_equal(n, -ENOBUFS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_s_messages_to_udevd_s_group_arrive),
		cmocka_unit_test(the_kernel_s_group_is_the_kernel_s_alone),
		cmocka_unit_test(what_is_too_long_is_left_out),
		cmocka_unit_test(lost_messages_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
