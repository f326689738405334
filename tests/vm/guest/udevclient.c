/* udevclient - what a program that uses libudev sees inside of a container.
 *
 *   udevclient monitor [SUBSYSTEM]   one line for each event of udev's, until killed: "ACTION NODE
 * ID_SERIAL LINK..." udevclient list SUBSYSTEM        one line for each device in /sys: "NODE
 * ID_SERIAL LINK..."; "-" where udev's data is not there
 */
#include <libudev.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

static const char *or_dash(const char *text)
{
	return text ? text : "-";
}

static void print_device(struct udev_device *d)
{
	struct udev_list_entry *link;
	printf("%s %s", or_dash(udev_device_get_devnode(d)),
		or_dash(udev_device_get_property_value(d, "ID_SERIAL")));
	udev_list_entry_foreach(link, udev_device_get_devlinks_list_entry(d))
	{
		printf(" %s", udev_list_entry_get_name(link));
	}
	printf("\n");
}

static int list(struct udev *u, const char *subsystem)
{
	struct udev_enumerate *all = udev_enumerate_new(u);
	struct udev_list_entry *one;
	udev_enumerate_add_match_subsystem(all, subsystem);
	udev_enumerate_scan_devices(all);
	udev_list_entry_foreach(one, udev_enumerate_get_list_entry(all))
	{
		struct udev_device *d =
			udev_device_new_from_syspath(u, udev_list_entry_get_name(one));
		if (d && udev_device_get_devnode(d)) {
			print_device(d);
		}
		udev_device_unref(d);
	}
	return 0;
}

static int monitor(struct udev *u, const char *subsystem)
{
	struct udev_monitor *m = udev_monitor_new_from_netlink(u, "udev");
	if (!m) {
		return 1;
	}
	if (subsystem) {
		udev_monitor_filter_add_match_subsystem_devtype(m, subsystem, NULL);
	}
	if (udev_monitor_enable_receiving(m) < 0) {
		return 1;
	}
	puts("listening");
	struct pollfd p = {.fd = udev_monitor_get_fd(m), .events = POLLIN};
	while (poll(&p, 1, -1) >= 0) {
		struct udev_device *d = udev_monitor_receive_device(m);
		if (d) {
			printf("%s ", or_dash(udev_device_get_action(d)));
			print_device(d);
			udev_device_unref(d);
		}
	}
	return 1;
}

int main(int argc, char **argv)
{
	struct udev *u = udev_new();
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 2 && strcmp(argv[1], "list") == 0) {
		return list(u, argv[2]);
	}
	if (argc > 1 && strcmp(argv[1], "monitor") == 0) {
		return monitor(u, argv[2]);
	}
	return 2;
}
