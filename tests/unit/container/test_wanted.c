/* Which devices a container asks for, and by what it knows them again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "container/wanted.h"
#include "device/device.h"

#define BY_ID "/dev/serial/by-id/usb-FTDI_A1-if00-port0"
#define BY_PATH "/dev/serial/by-path/pci-0000:00:14.0-usb-0:1:1.0-port0"

static struct device *stick(const char *node, const char *serial_short)
{
	struct err e;
	scoped(json) json_t *doc = json_pack("{ss ss ss ss ss s[ss] ss si si si si si s[s]}",
		"node", node, "sysfs", "/devices/x/tty", "subsystem", "tty", "serial_short",
		serial_short, "port", "pci-0000:00:14.0-usb-0:1:1.0", "links", BY_ID, BY_PATH,
		"type", "c", "major", 188, "minor", 0, "uid", 0, "gid", 20, "mode", 0660, "classes",
		"serial");
	struct device *d = device_from_json(doc, &e);
	assert_non_null(d);
	return d;
}

static void read_wanted(const char *device, const char *label, struct wanted_list *ret)
{
	struct err e;
	scoped(json) json_t *config = json_pack("{s{}}", "Labels");
	scoped(json) json_t *host = json_object();
	const struct strv none = STRV_INIT;
	if (label) {
		json_put_str(json_object_get(config, "Labels"), "wherry.device.x", label);
	}
	if (device) {
		json_put(host, "Devices", json_pack("[{ss}]", "PathOnHost", device));
	}
	assert_int_equal(wanted_read(config, host, &none, ret, &e), 0);
}

static void a_plain_node_is_known_again_by_its_serial_number_and_else_by_its_port(void **state)
{
	struct wanted_list l;
	struct wanted_place place;
	scoped(device_free) struct device *d = stick("/dev/ttyUSB0", "A1");
	scoped(device_free) struct device *back = stick("/dev/ttyUSB1", "A1");
	scoped(device_free) struct device *nameless = stick("/dev/ttyUSB0", "");
	read_wanted("/dev/ttyUSB0", NULL, &l);

	scoped(free) char *identity = wanted_identity(&l.v[0], d);
	scoped(free) char *by_port = wanted_identity(&l.v[0], nameless);

	assert_string_equal(identity, "link:" BY_ID);
	assert_string_equal(by_port, "link:" BY_PATH);
	assert_true(wanted_find_place(&l.v[0], back, identity, &place));
	assert_string_equal(place.path, "/dev/ttyUSB0");
	assert_false(place.many);
	free(place.path);
	assert_false(wanted_find_place(&l.v[0], back, "", &place)); /* not by its name */
	assert_false(wanted_find_place(&l.v[0], d, "link:/dev/serial/by-id/other", &place));
	wanted_deinit(&l);
}

static void a_link_is_known_by_itself_and_a_directory_has_all_that_is_in_it(void **state)
{
	struct wanted_list l;
	struct wanted_place place;
	scoped(device_free) struct device *d = stick("/dev/ttyUSB7", "A1");
	read_wanted(BY_ID, NULL, &l);
	scoped(free) char *identity = wanted_identity(&l.v[0], d);
	assert_string_equal(identity, "");
	assert_true(wanted_find_place(&l.v[0], d, "", &place));
	assert_string_equal(place.path, BY_ID);
	free(place.path);
	wanted_deinit(&l);

	read_wanted("/dev/serial/by-id/", NULL, &l);
	assert_true(wanted_find_place(&l.v[0], d, "", &place));
	assert_string_equal(place.path, BY_ID);
	assert_true(place.many);
	free(place.path);
	wanted_deinit(&l);

	read_wanted("/dev/seria", NULL, &l);
	assert_false(wanted_find_place(&l.v[0], d, "", &place));
	wanted_deinit(&l);
}

static void an_images_label_asks_for_nothing_and_a_wrong_one_is_named(void **state)
{
	struct err e;
	struct wanted_list l;
	scoped(strv) struct strv image = STRV_INIT;
	scoped(json) json_t *config =
		json_pack("{s{ss}}", "Labels", "wherry.device.x", "path=/dev/ttyUSB0,as=/dev/x");
	scoped(json) json_t *wrong = json_pack("{s{ss}}", "Labels", "wherry.device.zig", "usb=x");
	scoped(json) json_t *host =
		json_pack("{sb s[{ss}]}", "Privileged", 1, "Devices", "PathOnHost", "/dev/ttyUSB0");

	assert_int_equal(wanted_read(config, host, &image, &l, &e), 0);
	assert_int_equal(l.n, 1); /* privileged: it has all nodes, but not under that name */
	assert_string_equal(l.v[0].key, "x");
	assert_true(l.v[0].required);
	wanted_deinit(&l);
	strv_add(&image, "wherry.device.x");
	assert_int_equal(wanted_read(config, host, &image, &l, &e), 0);
	assert_int_equal(l.n, 0);
	wanted_deinit(&l);
	assert_int_equal(wanted_read(wrong, host, &image, &l, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_non_null(strstr(e.msg, "wherry.device.zig"));
}

static void links_appear_where_the_host_s_names_do(void **state)
{
	static const struct {
		const char *device, *label, *link, *says;
	} cases[] = {
		{NULL, "class=serial", BY_ID, "../../ttyUSB1"},
		{NULL, "class=serial", "/dev/ttyZigbee", "ttyUSB1"},
		{NULL, "class=serial", "/devil/x", NULL},
		{NULL, "class=serial,as=/dev/zigbee", BY_ID, NULL},
		{NULL, "class=serial,as=/dev/lines/", BY_ID, NULL},
		{"/dev/ttyUSB1", NULL, BY_ID, NULL},
	};
	struct device *d = stick("/dev/ttyUSB1", "A1");
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct wanted_list l;
		read_wanted(cases[i].device, cases[i].label, &l);
		char *text = wanted_link(&l.v[0], d, cases[i].link);
		if (cases[i].says) {
			assert_string_equal(text, cases[i].says);
		} else {
			assert_null(text);
		}
		free(text);
		wanted_deinit(&l);
	}
	device_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			a_plain_node_is_known_again_by_its_serial_number_and_else_by_its_port),
		cmocka_unit_test(a_link_is_known_by_itself_and_a_directory_has_all_that_is_in_it),
		cmocka_unit_test(links_appear_where_the_host_s_names_do),
		cmocka_unit_test(an_images_label_asks_for_nothing_and_a_wrong_one_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
