#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/glob.h"

static void patterns_match_as_gos_path_match(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool match;
	} cases[] = {
		{"abc", "abc", true},
		{"", "", true},
		{"*", "abc", true},
		{"*c", "abc", true},
		{"a*/b", "abc/b", true},
		{"a*/b", "a/c/b", false},
		{"a*b*c*d*e*/f", "axbxcxdxe/f", true},
		{"a*b*c*d*e*/f", "axbxcxdxexxx/fff", false},
		{"a*b?c*x", "abxbbxdbxebxczzx", true},
		{"a*b?c*x", "abxbbxdbxebxczzy", false},
		{"ab[c]", "abc", true},
		{"ab[b-d]", "abc", true},
		{"ab[e-g]", "abc", false},
		{"ab[^c]", "abc", false},
		{"ab[^e-g]", "abc", true},
		{"a\\*b", "a*b", true},
		{"a\\*b", "ab", false},
		{"a?b", "a/b", false},
		{"a*b", "a/b", false},
		{"[\\]a]", "]", true},
		{"[x\\-]", "-", true},
		{"*x", "xxx", true},
		{"nginx:*", "nginx:1.19", true},
		{"*/nginx", "a/nginx", true},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (glob_match(cases[i].pattern, cases[i].text) != cases[i].match) {
			fail_msg("%s against %s", cases[i].pattern, cases[i].text);
		}
	}
}

static void what_is_no_pattern_is_refused_and_matches_nothing(void **state)
{
	static const char *const broken[] = {
		"[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "a\\", "[a\\"};
	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		assert_true(glob_check(broken[i]) < 0);
		assert_false(glob_match(broken[i], "a"));
	}
}

/* Exponential matchers need longer than anybody waits. */
static void many_stars_are_quick(void **state)
{
	char text[2001];
	memset(text, 'a', 2000);
	text[2000] = '\0';
	assert_false(glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_gos_path_match),
		cmocka_unit_test(what_is_no_pattern_is_refused_and_matches_nothing),
		cmocka_unit_test(many_stars_are_quick),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
