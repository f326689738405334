/* The list of device nodes that a container has, and what differs between two of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "container/plugged.h"

static struct plugged *add(
	struct plugged_list *l, const char *path, const char *node, unsigned minor)
{
	const struct plugged one = {.key = (char *)"k",
		.path = (char *)path,
		.node = (char *)node,
		.access = "rw",
		.type = 'c',
		.major = 188,
		.minor = minor,
		.mode = 0660,
		.gid = 20};
	return plugged_add(l, &one);
}

static void another_device_at_the_same_place_goes_and_comes(void **state)
{
	struct plugged_list held = {0};
	struct plugged_list next = {0};
	struct plugged_list removed;
	struct plugged_list added;
	add(&held, "/dev/zigbee", "/dev/ttyUSB0", 0);
	add(&held, "/dev/other", "/dev/ttyUSB5", 5);
	add(&next, "/dev/zigbee", "/dev/ttyUSB1", 1);
	add(&next, "/dev/other", "/dev/ttyUSB5", 5);

	plugged_missing(&held, &next, &removed);
	plugged_missing(&next, &held, &added);

	assert_int_equal(removed.n, 1);
	assert_string_equal(removed.v[0].node, "/dev/ttyUSB0");
	assert_int_equal(added.n, 1);
	assert_string_equal(added.v[0].node, "/dev/ttyUSB1");
	free(removed.v);
	free(added.v);
	plugged_deinit(&held);
	plugged_deinit(&next);
}

static void one_that_was_pulled_and_is_back_at_once_goes_and_comes_too(void **state)
{
	struct plugged_list held = {0};
	struct plugged_list next = {0};
	struct plugged_list removed;
	struct plugged_list added;
	add(&held, "/dev/zigbee", "/dev/ttyUSB0", 0)->gone = true;
	add(&next, "/dev/zigbee", "/dev/ttyUSB0", 0);

	plugged_missing(&held, &next, &removed);
	plugged_missing(&next, &held, &added);

	assert_int_equal(removed.n, 1);
	assert_int_equal(added.n, 1);
	free(removed.v);
	free(added.v);
	plugged_deinit(&held);
	plugged_deinit(&next);
}

static void a_place_is_taken_once_and_the_list_is_bounded(void **state)
{
	struct plugged_list l = {0};
	char path[32];
	assert_non_null(add(&l, "/dev/a", "/dev/x", 0));
	assert_null(add(&l, "/dev/a", "/dev/y", 1));
	for (unsigned i = 1; i < PLUGGED_MAX; i++) {
		snprintf(path, sizeof(path), "/dev/%u", i);
		assert_non_null(add(&l, path, "/dev/x", i));
	}
	assert_null(add(&l, "/dev/more", "/dev/x", 0));
	plugged_remove(&l, "/dev/a");
	assert_null(plugged_find(&l, "/dev/a"));
	assert_non_null(add(&l, "/dev/more", "/dev/x", 0));
	plugged_deinit(&l);
}

static void what_is_recorded_comes_back(void **state)
{
	struct plugged_list l = {0};
	struct plugged_list back;
	add(&l, "/dev/zigbee", "/dev/ttyUSB0", 3)->stays = true;
	scoped(json) json_t *record = plugged_record(&l);
	scoped(json) json_t *junk = json_pack("[s, {}, n]", "x");

	plugged_restore(record, &back);

	assert_int_equal(back.n, 1);
	assert_true(plugged_equal(&l.v[0], &back.v[0]));
	assert_true(back.v[0].stays);
	assert_int_equal(back.v[0].mode, 0660);
	assert_int_equal(back.v[0].gid, 20);
	plugged_deinit(&back);
	plugged_restore(junk, &back);
	assert_int_equal(back.n, 0);
	plugged_restore(NULL, &back);
	assert_int_equal(back.n, 0);
	plugged_deinit(&l);
}

static void a_link_is_another_one_when_it_says_something_else(void **state)
{
	struct plugged_list a = {0};
	struct plugged_list b = {0};
	struct plugged_list back;
	struct plugged_list left;
	struct plugged one = {.key = (char *)"k",
		.path = (char *)"/dev/serial/by-id/x",
		.node = (char *)"/dev/ttyUSB0",
		.target = (char *)"../../ttyUSB0",
		.type = 'l'};
	plugged_add(&a, &one);
	one.target = (char *)"../../ttyUSB1";
	plugged_add(&b, &one);
	scoped(json) json_t *record = plugged_record(&a);
	scoped(json) json_t *nodes = plugged_nodes(&a);

	plugged_missing(&a, &b, &left);
	plugged_restore(record, &back);

	assert_int_equal(left.n, 1);
	assert_true(plugged_is_link(&back.v[0]));
	assert_true(plugged_equal(&a.v[0], &back.v[0]));
	assert_string_equal(json_str(json_array_get(nodes, 0), "type"), "l");
	assert_string_equal(json_str(json_array_get(nodes, 0), "target"), "../../ttyUSB0");
	free(left.v);
	plugged_deinit(&a);
	plugged_deinit(&b);
	plugged_deinit(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_device_at_the_same_place_goes_and_comes),
		cmocka_unit_test(one_that_was_pulled_and_is_back_at_once_goes_and_comes_too),
		cmocka_unit_test(a_place_is_taken_once_and_the_list_is_bounded),
		cmocka_unit_test(what_is_recorded_comes_back),
		cmocka_unit_test(a_link_is_another_one_when_it_says_something_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
