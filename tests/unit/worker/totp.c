#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after what it needs */
#include <cmocka.h>
#include <stdbool.h>
#include <string.h>

#include "worker/totp.h"

/* RFC 6238 appendix B, SHA-1: the last six of its eight digits. "12345678901234567890" in base32.
 */
#define SECRET "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"

static const struct {
	int64_t now_s;
	const char *code;
} vectors[] = {{59, "287082"}, {1111111109, "081804"}, {1111111111, "050471"},
	{1234567890, "005924"}, {2000000000, "279037"}, {20000000000, "353130"}};
#define N_VECTORS (sizeof(vectors) / sizeof(*vectors))

static void codes_are_those_of_the_rfc(void **state)
{
	for (size_t i = 0; i < N_VECTORS; i++) {
		char code[TOTP_DIGITS + 1];
		struct err e;
		assert_int_equal(totp_code(SECRET, vectors[i].now_s / 30, code, &e), 0);
		assert_string_equal(code, vectors[i].code);
	}
}

static void a_clock_may_differ_by_one_step(void **state)
{
	static const struct {
		int64_t off_s;
		bool found;
	} cases[] = {{-90, false}, {-60, false}, {-30, true}, {0, true}, {30, true}, {60, false}};
	const int64_t at_s = 1111111080; /* the beginning of the step of the second vector */
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e;
		int64_t step;
		int r = totp_find(SECRET, "081804", at_s + cases[i].off_s, &step, &e);
		assert_int_equal(r, 0);
		assert_int_equal(step, cases[i].found ? at_s / 30 : -1);
	}
}

static void secrets_are_read_as_people_type_them(void **state)
{
	struct err e;
	int64_t step;
	assert_int_equal(
		totp_find("gezd gnbv gy3t qojq gezd gnbv gy3t qojq", "287082", 59, &step, &e), 0);
	assert_int_equal(step, 1);
}

static void what_is_no_secret_is_refused(void **state)
{
	static const char *const bad[] = {"", "=", "GEZDGNB1", "GEZ!", "A"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err e;
		int64_t step;
		assert_int_equal(totp_find(bad[i], "287082", 59, &step, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void codes_of_another_form_are_none(void **state)
{
	static const char *const bad[] = {"", "28708", "2870820", " 287082", "287O82"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct err e;
		int64_t step;
		assert_int_equal(totp_find(SECRET, bad[i], 59, &step, &e), 0);
		assert_int_equal(step, -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(codes_are_those_of_the_rfc),
		cmocka_unit_test(a_clock_may_differ_by_one_step),
		cmocka_unit_test(secrets_are_read_as_people_type_them),
		cmocka_unit_test(what_is_no_secret_is_refused),
		cmocka_unit_test(codes_of_another_form_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
