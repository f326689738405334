/* What labels ask for, and which devices they mean. */
#include "device/rule.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "device/device.h"

static struct device stick(void)
{
	static char *links[] = {"/dev/serial/by-id/usb-QEMU_QEMU_USB_SERIAL_ZB0001-if00-port0",
		"/dev/serial/by-path/pci-0000:00:04.0-usb-0:1:1.0-port0", NULL};
	return (struct device){
		.node = "/dev/ttyUSB0",
		.sysfs =
			"/devices/pci0000:00/0000:00:04.0/usb1/1-1/1-1.2/1-1.2:1.0/ttyUSB0/tty/ttyUSB0",
		.subsystem = "tty",
		.devtype = "",
		.vendor = "0403",
		.product = "600a",
		.serial = "QEMU_QEMU_USB_SERIAL_ZB0001",
		.serial_short = "ZB0001",
		.port = "pci-0000:00:04.0-usb-0:1:1.0",
		.usb_port = "1-1.2",
		.model = "QEMU_USB_SERIAL",
		.label = "",
		.uuid = "",
		.fstype = "",
		.links = {links, 2},
		.type = 'c',
		.major = 188,
		.classes = DEVICE_SERIAL,
	};
}

static void rules_mean_the_devices_they_say(void **state)
{
	static const struct {
		const char *text;
		bool matches;
	} cases[] = {
		{"0403:600A", true},
		{"0403:600a:ZB0001", true},
		{"0403:600a:ZB000", false},
		{"0403:6001", false},
		{"usb=0403:600a,class=serial", true},
		{"usb=0403:600a,class=audio", false},
		{"serial", true},
		{"video", false},
		{"serial=ZB0001", true},
		{"serial=QEMU_QEMU_USB_SERIAL_ZB0001", true},
		{"serial=ZB", false},
		{"port=1-1.2", true},
		{"port=1-1", false},
		{"port=pci-0000:00:04.0-usb-0:1:1.0", true},
		{"port=tty/ttyUSB0", true},
		{"port=SB0", false},
		{"/dev/ttyUSB0", true},
		{"/dev/ttyUSB*", true},
		{"/dev/tty*B1", false},
		{"/dev/*", true},
		{"/dev/serial/by-id/*ZB0001*", true},
		{"/dev/serial/*", false},
		{"/dev/serial/by-path/pci-0000:00:04.0-usb-0:1:1.0-port0", true},
		{"{\"usb\": \"0403:600a\", \"serial\": \"ZB0001\"}", true},
	};
	const struct device d = stick();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		scoped(device_rule_free) struct device_rule *r =
			device_rule_parse("zig", cases[i].text, &e);
		assert_string_equal(e.msg, "");
		assert_non_null(r);
		if (device_rule_matches(r, &d) != cases[i].matches) {
			fail_msg("%s", cases[i].text);
		}
	}
}

static void the_raw_node_of_a_stick_is_asked_for_by_class_or_path(void **state)
{
	static const struct {
		const char *text;
		bool matches;
	} cases[] = {
		{"0403:600a", false},
		{"serial=ZB0001", false},
		{"port=1-1.2", false},
		{"0403:600a,class=usb", true},
		{"usb", true},
		{"/dev/bus/usb/*/*", true},
	};
	struct device d = stick();
	d.node = "/dev/bus/usb/001/004";
	d.classes = DEVICE_USB;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e;
		scoped(device_rule_free) struct device_rule *r =
			device_rule_parse("x", cases[i].text, &e);
		assert_non_null(r);
		if (device_rule_matches(r, &d) != cases[i].matches) {
			fail_msg("%s", cases[i].text);
		}
	}
}

/* An empty text of a device is no match for anything. */
static void a_device_without_names_is_found_by_path_alone(void **state)
{
	static const char *const texts[] = {"0000:0000", "serial=x", "port=1-1", "serial"};
	struct device d = stick();
	d.vendor = d.product = d.serial = d.serial_short = d.port = d.usb_port = "";
	d.classes = 0;
	d.sysfs = "/devices/virtual/mem/null";
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct err e;
		scoped(device_rule_free) struct device_rule *r =
			device_rule_parse("x", texts[i], &e);
		assert_non_null(r);
		assert_false(device_rule_matches(r, &d));
	}
}

static void settings_are_read_in_both_forms(void **state)
{
	static const char *const texts[] = {
		"0403:600a,as=/dev/zigbee,permissions=rwm,uid=1000,gid=20,mode=0660,required=false,on_change=signal:USR1",
		"{\"usb\": \"0403:600a\", \"as\": \"/dev/zigbee\", \"permissions\": \"rwm\", \"uid\": 1000, \"gid\": \"20\","
		" \"mode\": \"660\", \"required\": false, \"on_change\": \"signal:SIGUSR1\"}",
	};
	for (size_t i = 0; i < 2; i++) {
		struct err e;
		scoped(device_rule_free) struct device_rule *r =
			device_rule_parse("zig", texts[i], &e);
		assert_non_null(r);
		assert_string_equal(r->name, "zig");
		assert_string_equal(r->as, "/dev/zigbee");
		assert_string_equal(r->permissions, "rwm");
		assert_int_equal(r->uid, 1000);
		assert_int_equal(r->gid, 20);
		assert_int_equal(r->mode, 0660);
		assert_false(r->required);
		assert_int_equal(r->on_change, DEVICE_ON_CHANGE_SIGNAL);
		assert_int_equal(r->signal, SIGUSR1);
		assert_false(device_rule_is_many(r));
	}
}

static void defaults_are_a_required_device_under_its_own_name(void **state)
{
	struct err e;
	const struct device d = stick();
	scoped(device_rule_free) struct device_rule *r = device_rule_parse("x", "serial", &e);
	scoped(device_rule_free) struct device_rule *dir =
		device_rule_parse("x", "serial,as=/dev/lines/", &e);
	assert_string_equal(r->permissions, "rw");
	assert_int_equal(r->uid, -1);
	assert_int_equal(r->mode, -1);
	assert_true(r->required);
	assert_true(device_rule_is_many(r));
	assert_true(device_rule_is_many(dir));
	scoped(free) char *own = device_rule_target(r, &d);
	scoped(free) char *below = device_rule_target(dir, &d);
	assert_string_equal(own, "/dev/ttyUSB0");
	assert_string_equal(below, "/dev/lines/ttyUSB0");
}

static void what_to_run_is_a_list_or_text_for_a_shell(void **state)
{
	struct err e;
	scoped(device_rule_free) struct device_rule *text =
		device_rule_parse("x", "serial,\"exec=echo a, b\"", &e);
	scoped(device_rule_free) struct device_rule *list = device_rule_parse(
		"x", "{\"class\": \"serial\", \"exec\": [\"/bin/on\", \"x\"]}", &e);
	assert_int_equal(text->on_change, DEVICE_ON_CHANGE_EXEC);
	assert_int_equal(text->exec.n, 3);
	assert_string_equal(text->exec.v[2], "echo a, b");
	assert_int_equal(list->exec.n, 2);
	assert_string_equal(list->exec.v[0], "/bin/on");
}

static void wrong_rules_are_refused_with_the_label_s_name(void **state)
{
	static const struct {
		const char *text;
		const char *says;
	} bad[] = {
		{"", "the label has no value"},
		{"{}", "it says of no device"},
		{"as=/dev/x", "it says of no device"},
		{"modem", "there is no class 'modem'; there are: serial, storage"},
		{"serial,colour=red", "unknown setting 'colour'"},
		{"usb=0403", "usb must be vendor:product"},
		{"usb=0403:6001:", "usb must be vendor:product"},
		{"/etc/passwd", "path must be a name below /dev"},
		{"/dev/[", "path must be a name below /dev"},
		{"serial,as=/etc/x", "as must be a plain name below /dev"},
		{"serial,as=/dev/../etc/x", "as must be a plain name below /dev"},
		{"serial,as=/dev//x", "as must be a plain name below /dev"},
		{"serial,as=/dev", "as must be a plain name below /dev"},
		{"serial,as=/dev/", "as must be a plain name below /dev"},
		{"serial,permissions=rx", "permissions must be"},
		{"serial,uid=-1", "uid must be a number"},
		{"serial,mode=999", "mode must be text of octal digits"},
		{"serial,mode=4755", "mode must be text of octal digits"},
		{"{\"class\": \"serial\", \"mode\": 660}", "mode must be text of octal digits"},
		{"serial,required=yes", "required must be true or false"},
		{"serial,on_change=reboot", "on_change must be"},
		{"serial,on_change=signal:NO", "there is no signal 'NO'"},
		{"serial,on_change=exec", "belong together"},
		{"serial,on_change=restart,exec=x", "belong together"},
		{"serial,class=audio", "class is given twice"},
		{"serial,video", "not of the form key=value"},
		{"serial,as=", "as has no value"},
		{"{\"class\": 1}", "class must be a string"},
		{"{\"class\": \"serial\"", "the label"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err e = {0};
		struct device_rule *r = device_rule_parse("zig", bad[i].text, &e);
		if (r || !strstr(e.msg, bad[i].says) || e.kind != ERR_INVALID ||
			strncmp(e.msg, "wherry.device.zig: ", 19) != 0) {
			fail_msg("%s: %s", bad[i].text, e.msg);
		}
	}
}

static void rules_of_labels_come_in_the_order_of_their_names(void **state)
{
	struct err e;
	struct device_rule **rules;
	size_t n;
	scoped(json) json_t *labels = json_pack("{ss,ss,ss}", "wherry.device.b", "serial", "other",
		"x", "wherry.device.a", "video");

	int r = device_rules_read(labels, &rules, &n, &e);

	assert_int_equal(r, 0);
	assert_int_equal(n, 2);
	assert_string_equal(rules[0]->name, "a");
	assert_string_equal(rules[1]->name, "b");
	device_rules_free(rules, n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_mean_the_devices_they_say),
		cmocka_unit_test(the_raw_node_of_a_stick_is_asked_for_by_class_or_path),
		cmocka_unit_test(a_device_without_names_is_found_by_path_alone),
		cmocka_unit_test(settings_are_read_in_both_forms),
		cmocka_unit_test(defaults_are_a_required_device_under_its_own_name),
		cmocka_unit_test(what_to_run_is_a_list_or_text_for_a_shell),
		cmocka_unit_test(wrong_rules_are_refused_with_the_label_s_name),
		cmocka_unit_test(rules_of_labels_come_in_the_order_of_their_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
