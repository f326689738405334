#include "build/ignore.h"

#include "base/scoped.h"
#include "cmocka_all.h"

SCOPED(struct ignore *, ignore_free)

static struct ignore *parse(const char *text)
{
	struct err e = {0};
	struct ignore *g = ignore_parse(text, strlen(text), ".dockerignore", &e);
	if (!g) {
		fail_msg("%s", e.msg);
	}
	return g;
}

static void patterns_match_as_mobys(void **state)
{
	static const struct {
		const char *pattern, *path;
		bool match;
	} cases[] = {
		{"a", "a", true},
		{"a", "b/a", false},
		{"*", "a", true},
		{"*", "a/b", false},
		{"*.go", "x.go", true},
		{"*.go", "d/x.go", false},
		{"**/*.go", "x.go", true},
		{"**/*.go", "d/e/x.go", true},
		{"**", "a/b/c", true},
		{"a/**", "a/b/c", true},
		{"a/**", "a", false},
		{"a/**/b", "a/b", true},
		{"a/**/b", "a/x/y/b", true},
		{"a/**/b", "ab", false},
		{"**/b", "ab", false},
		{"a?c", "abc", true},
		{"a?c", "a/c", false},
		{"[a-c]x", "bx", true},
		{"[^a-c]x", "bx", false},
		{"[^a-c]x", "dx", true},
		{"a\\*", "a*", true},
		{"a\\*", "ab", false},
		{"*a*b*c", "xaybzc", true},
		{"*a*b*c", "xaybz", false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (ignore_pattern_match(cases[i].pattern, cases[i].path) != cases[i].match) {
			fail_msg("%s against %s", cases[i].pattern, cases[i].path);
		}
	}
}

static void the_last_match_wins(void **state)
{
	scoped(ignore_free) struct ignore *g =
		parse("# comment\n*.md\n!README*.md\nREADME-secret.md\n");

	assert_true(ignore_match(g, "a.md"));
	assert_false(ignore_match(g, "README.md"));
	assert_true(ignore_match(g, "README-secret.md"));
	assert_false(ignore_match(g, "x"));
}

static void a_pattern_covers_what_is_below(void **state)
{
	scoped(ignore_free) struct ignore *g =
		parse("/node_modules/\n!node_modules/keep\n **/tmp \n");

	assert_true(ignore_match(g, "node_modules"));
	assert_true(ignore_match(g, "node_modules/a/b"));
	assert_false(ignore_match(g, "node_modules/keep"));
	assert_false(ignore_match(g, "node_modules/keep/deep"));
	assert_true(ignore_match(g, "a/tmp/x"));
	assert_true(ignore_may_hold_kept(g, "node_modules"));
	assert_false(ignore_may_hold_kept(g, "other"));
}

static void kept_files_below_an_ignored_wildcard(void **state)
{
	scoped(ignore_free) struct ignore *g = parse("**/x\n!**/x/y\n");

	assert_true(ignore_match(g, "a/x"));
	assert_true(ignore_match(g, "a/x/z"));
	assert_false(ignore_match(g, "a/x/y"));
	assert_true(ignore_may_hold_kept(g, "a/x"));
}

static void everything_but(void **state)
{
	scoped(ignore_free) struct ignore *g = parse("\xef\xbb\xbf*\r\n!src\r\n");

	assert_true(ignore_match(g, "a"));
	assert_true(ignore_match(g, "a/b"));
	assert_false(ignore_match(g, "src/main.c"));
}

static void broken_patterns_are_errors(void **state)
{
	struct err e = {0};

	assert_null(ignore_parse("ok\n[a\n", 6, ".dockerignore", &e));
	assert_string_equal(e.msg, ".dockerignore:2: '[a' is not a valid pattern");
	assert_false(ignore_pattern_valid("a\\"));
	assert_false(ignore_match(NULL, "x"));
}

static void a_list_may_take_back(void **state)
{
	struct err e = {0};
	scoped(strv) struct strv patterns = STRV_INIT;
	strv_add(&patterns, "/d/");
	strv_add(&patterns, "!d/keep");
	strv_add(&patterns, "#x");
	struct ignore *g = ignore_from_list(&patterns, &e);
	assert_non_null(g);

	assert_true(ignore_match(g, "d"));
	assert_true(ignore_may_hold_kept(g, "d"));
	assert_true(ignore_match(g, "d/other"));
	assert_false(ignore_match(g, "d/keep/below"));
	assert_true(ignore_match(g, "#x")); /* no comment here */
	ignore_free(g);

	strv_add(&patterns, "!");
	assert_null(ignore_from_list(&patterns, &e));
	assert_string_equal(e.msg, "illegal exclusion pattern: \"!\"");
	strv_clear(&patterns);
	strv_add(&patterns, "[");
	assert_null(ignore_from_list(&patterns, &e));
	assert_string_equal(e.msg, "--exclude: '[' is not a valid pattern");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(patterns_match_as_mobys),
		cmocka_unit_test(the_last_match_wins),
		cmocka_unit_test(a_pattern_covers_what_is_below),
		cmocka_unit_test(kept_files_below_an_ignored_wildcard),
		cmocka_unit_test(everything_but),
		cmocka_unit_test(broken_patterns_are_errors),
		cmocka_unit_test(a_list_may_take_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
