/* Who is told of what when devices come and go. */
#include "device/set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"

static struct device *make(const char *node, const char *sysfs, unsigned minor)
{
	struct err e;
	scoped(json) json_t *doc = json_pack("{ss,ss,ss,si,si,s[ss]}", "node", node, "sysfs", sysfs,
		"type", "c", "major", 188, "minor", (int)minor, "links", "/dev/by-id/a",
		"/dev/by-path/a");
	return device_from_json(doc, &e);
}

static void write_down(void *owner, const struct device_event *v)
{
	static const char letters[] = {'+', '~', '-', '.'};
	buf_printf(owner, "%c%s%s ", letters[v->change], v->device ? v->device->node : "",
		v->message ? "!" : "");
}

static void changes_are_told_once(void **state)
{
	scoped(buf) struct buf told = BUF_INIT;
	struct device_set *s = device_set_new();
	struct device_listener *l = device_listen(s, write_down, &told);

	device_set_put(s, make("/dev/ttyUSB0", "/devices/1", 0), "m", 1);
	device_set_put(s, make("/dev/ttyUSB0", "/devices/1", 0), "m", 1); /* as it was */
	struct device *other_owner = make("/dev/ttyUSB0", "/devices/1", 0);
	other_owner->uid = 5;
	device_set_put(s, other_owner, NULL, 0);
	device_set_put(s, make("/dev/ttyUSB0", "/devices/2", 0), NULL, 0); /* something else */
	device_set_remove(s, "/devices/1", "m", 1);                        /* gone before */
	device_set_remove(s, "/devices/2", "m", 1);

	assert_string_equal(buf_str(&told),
		"+/dev/ttyUSB0! ~/dev/ttyUSB0 -/dev/ttyUSB0 +/dev/ttyUSB0 -/dev/ttyUSB0! ");
	assert_int_equal(device_set_count(s), 0);
	device_unlisten(l);
	device_set_free(s);
}

static void a_scan_tells_the_difference(void **state)
{
	scoped(buf) struct buf told = BUF_INIT;
	struct device_set *s = device_set_new();
	struct device *found[] = {make("/dev/b", "/devices/b", 1), make("/dev/c", "/devices/c", 2)};
	assert_false(device_set_ready(s));
	device_set_put(s, make("/dev/a", "/devices/a", 0), NULL, 0);
	device_set_put(s, make("/dev/b", "/devices/b", 1), NULL, 0);
	device_listen(s, write_down, &told);

	device_set_replace(s, found, 2);

	assert_true(device_set_ready(s));
	assert_string_equal(buf_str(&told), "-/dev/a +/dev/c . ");
	assert_non_null(device_set_find(s, "/dev/c"));
	assert_non_null(device_set_find(s, "/dev/by-path/a"));
	assert_null(device_set_find(s, "/dev/a"));
	device_set_free(s);
}

struct leaver {
	struct device_listener *other;
	int calls;
};

static void leave(void *owner, const struct device_event *v)
{
	struct leaver *l = owner;
	l->calls++;
	device_unlisten(TAKE(l->other));
}

static void a_listener_may_send_others_away(void **state)
{
	struct device_set *s = device_set_new();
	struct leaver first = {0};
	struct leaver second = {0};
	struct device_listener *a = device_listen(s, leave, &first);
	first.other = device_listen(s, leave, &second);

	device_set_put(s, make("/dev/a", "/devices/a", 0), NULL, 0);

	assert_int_equal(first.calls, 1);
	assert_int_equal(second.calls, 0);
	device_unlisten(a);
	device_set_free(s);
}

static void a_device_comes_through_json_as_it_is(void **state)
{
	struct err e;
	scoped(device_free) struct device *d = make("/dev/a", "/devices/a", 7);
	d->classes = DEVICE_SERIAL | DEVICE_USB;
	d->mode = 0660;
	d->gid = 20;
	scoped(json) json_t *doc = device_json(d);
	scoped(device_free) struct device *again = device_from_json(doc, &e);
	assert_true(device_equal(d, again));
	assert_true(device_same_node(d, again));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_told_once),
		cmocka_unit_test(a_scan_tells_the_difference),
		cmocka_unit_test(a_listener_may_send_others_away),
		cmocka_unit_test(a_device_comes_through_json_as_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
