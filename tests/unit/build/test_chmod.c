#include "build/chmod.h"

#include <sys/stat.h>

#include "cmocka_all.h"

static void modes_change_as_chmod_does(void **state)
{
	static const struct {
		const char *text;
		mode_t before, after;
	} cases[] = {
		{"755", S_IFREG | 0600, 0755},
		{"0", S_IFREG | 0600, 0},
		{"4711", S_IFDIR | 0600, 04711},
		{"+x", S_IFREG | 0640, 0751},
		{"a-w", S_IFREG | 0666, 0444},
		{"u=rwX,go=rX", S_IFREG | 0600, 0644},
		{"u=rwX,go=rX", S_IFREG | 0700, 0755},
		{"u=rwX,go=rX", S_IFDIR | 0600, 0755},
		{"u+s", S_IFREG | 0755, 04755},
		{"g+s,+t", S_IFREG | 0755, 03755},
		{"u+rw-x", S_IFREG | 0100, 0600},
		{"g=u", S_IFREG | 0640, 0660},
		{"go=", S_IFREG | 0777, 0700},
		{"u=r", S_IFREG | 04755, 0455},
		{"u=r", S_IFDIR | 04755, 04455},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct chmod_rule rule;
		struct err e = {0};
		if (chmod_parse(cases[i].text, &rule, &e) < 0) {
			fail_msg("%s", e.msg);
		}
		if (chmod_apply(&rule, cases[i].before) != cases[i].after) {
			fail_msg("%s of %o gave %o", cases[i].text, cases[i].before,
				chmod_apply(&rule, cases[i].before));
		}
	}
}

static void what_is_no_mode_is_refused(void **state)
{
	static const char *const cases[] = {
		"", "8", "77777", "x", "u", "u=q", "u=r,", ",u=r", "rwxr-xr-x", "u=r g=r"};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct chmod_rule rule;
		struct err e = {0};
		if (chmod_parse(cases[i], &rule, &e) == 0) {
			fail_msg("'%s' was accepted", cases[i]);
		}
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(modes_change_as_chmod_does),
		cmocka_unit_test(what_is_no_mode_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
