#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after what it needs */
#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "user/attempts.h"

static void begin(struct attempts *a, enum attempt_kind kind, const char *name, int n, int64_t now)
{
	for (int i = 0; i < n; i++) {
		attempts_begin(a, kind, name, now);
	}
}

static void some_attempts_are_free_and_then_the_wait_doubles(void **state)
{
	struct attempts *a = attempts_new();
	begin(a, ATTEMPT_USER, "alice", 4, 100);
	assert_int_equal(attempts_wait(a, ATTEMPT_USER, "alice", 100), 0);
	static const int64_t waits[] = {1, 2, 4, 8, 16, 30, 30, 30};
	int64_t now = 100;
	for (size_t i = 0; i < sizeof(waits) / sizeof(*waits); i++) {
		attempts_begin(a, ATTEMPT_USER, "alice", now);
		assert_int_equal(attempts_wait(a, ATTEMPT_USER, "alice", now), waits[i]);
		now += waits[i];
		assert_int_equal(attempts_wait(a, ATTEMPT_USER, "alice", now), 0);
	}
	assert_int_equal(attempts_wait(a, ATTEMPT_USER, "bob", now), 0);
	assert_int_equal(attempts_wait(a, ATTEMPT_ADDRESS, "alice", now), 0);
	attempts_free(a);
}

static void a_success_takes_the_marks_away(void **state)
{
	struct attempts *a = attempts_new();
	begin(a, ATTEMPT_ADDRESS, "10.0.0.1", 20, 5);
	assert_int_equal(attempts_wait(a, ATTEMPT_ADDRESS, "10.0.0.1", 5), 300);
	attempts_succeeded(a, ATTEMPT_ADDRESS, "10.0.0.1");
	assert_int_equal(attempts_wait(a, ATTEMPT_ADDRESS, "10.0.0.1", 5), 0);
	attempts_free(a);
}

static void marks_are_forgotten(void **state)
{
	struct attempts *a = attempts_new();
	begin(a, ATTEMPT_USER, "alice", 50, 0);
	begin(a, ATTEMPT_CODE, "alice", 50, 0);
	assert_int_equal(attempts_wait(a, ATTEMPT_CODE, "alice", 0), 900);
	attempts_begin(a, ATTEMPT_USER, "alice", 3600);
	assert_int_equal(attempts_wait(a, ATTEMPT_USER, "alice", 3600), 0);
	attempts_begin(a, ATTEMPT_CODE, "alice", 3600);
	assert_int_equal(attempts_wait(a, ATTEMPT_CODE, "alice", 3600), 900);
	attempts_free(a);
}

static void a_flood_of_names_does_not_hide_who_tries_most(void **state)
{
	struct attempts *a = attempts_new();
	begin(a, ATTEMPT_ADDRESS, "10.0.0.1", 100, 0);
	for (int i = 0; i < 5 * ATTEMPTS_KEPT; i++) {
		scoped(free) char *name = xasprintf("u%d", i);
		attempts_begin(a, ATTEMPT_USER, name, 1);
	}
	assert_int_equal(attempts_wait(a, ATTEMPT_ADDRESS, "10.0.0.1", 1), 299);
	attempts_free(a);
}

static void ipv6_counts_by_household(void **state)
{
	char one[ATTEMPT_ADDRESS_MAX], other[ATTEMPT_ADDRESS_MAX];
	attempt_address("fd00:1:2:3:aaaa::1", one);
	attempt_address("fd00:1:2:3:bbbb::2", other);
	assert_string_equal(one, other);
	attempt_address("fd00:1:2:4::1", other);
	assert_string_not_equal(one, other);
	attempt_address("192.0.2.7", one);
	assert_string_equal(one, "192.0.2.7");
	attempt_address("unix:", one);
	assert_string_equal(one, "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(some_attempts_are_free_and_then_the_wait_doubles),
		cmocka_unit_test(a_success_takes_the_marks_away),
		cmocka_unit_test(marks_are_forgotten),
		cmocka_unit_test(a_flood_of_names_does_not_hide_who_tries_most),
		cmocka_unit_test(ipv6_counts_by_household),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
