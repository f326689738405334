/* ps's table to rows of one container. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "worker/top_table.h"

static const pid_t ours[] = {10, 20};

static json_t *table(const char *text)
{
	struct err e;
	json_t *t = top_table(text, ours, 2, &e);
	assert_non_null(t);
	return t;
}

static const char *cell(const json_t *t, size_t row, size_t column)
{
	const json_t *rows = json_object_get(t, "Processes");
	return json_string_value(json_array_get(json_array_get(rows, row), column));
}

static void only_our_processes_are_shown(void **state)
{
	scoped(json) json_t *t =
		table("UID   PID CMD\nroot   10 sh -c  x\nroot   11 other\nbob  20 y\n");

	assert_int_equal(json_array_size(json_object_get(t, "Titles")), 3);
	assert_int_equal(json_array_size(json_object_get(t, "Processes")), 2);
	assert_string_equal(cell(t, 0, 1), "10");
	assert_string_equal(cell(t, 0, 2), "sh -c x"); /* the last column takes the rest */
	assert_string_equal(cell(t, 1, 0), "bob");
}

static void threads_follow_their_process(void **state)
{
	scoped(json) json_t *t = table("PID COMMAND\n10 a\n- -\n11 b\n- -\n");

	assert_int_equal(json_array_size(json_object_get(t, "Processes")), 2);
	assert_string_equal(cell(t, 1, 0), "-");
}

static void without_a_pid_column_it_cannot_be_told(void **state)
{
	struct err e;
	assert_null(top_table("COMMAND\nsh\n", ours, 2, &e));
	assert_string_equal(e.msg, "Couldn't find PID field in ps output");
	assert_null(top_table("PID\nabc\n", ours, 2, &e));
	assert_null(top_table("", ours, 2, &e));
}

static void short_lines_and_strange_bytes_do_no_harm(void **state)
{
	scoped(json) json_t *t = table("CMD PID ARGS\nx\n\na 10 b\xff\n");

	assert_int_equal(json_array_size(json_object_get(t, "Processes")), 1);
	assert_string_equal(cell(t, 0, 2), "b?");
}

static void a_row_may_end_at_the_pid(void **state)
{
	scoped(json) json_t *t = table("PID COMMAND\n10\n");

	assert_string_equal(cell(t, 0, 0), "10");
	assert_string_equal(cell(t, 0, 1), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_our_processes_are_shown),
		cmocka_unit_test(threads_follow_their_process),
		cmocka_unit_test(without_a_pid_column_it_cannot_be_told),
		cmocka_unit_test(short_lines_and_strange_bytes_do_no_harm),
		cmocka_unit_test(a_row_may_end_at_the_pid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
