#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/challenge.h"

static void bearer_says_where_to_get_a_token(void **state)
{
	struct challenge c;

	bool ok = challenge_parse(
		"Bearer realm=\"https://auth.example/token\",service=\"registry.example\","
		"scope=\"repository:library/x:pull\",error=\"invalid_token\"",
		&c);

	assert_true(ok);
	assert_true(c.bearer);
	assert_string_equal(c.realm, "https://auth.example/token");
	assert_string_equal(c.service, "registry.example");
	assert_string_equal(c.scope, "repository:library/x:pull");
}

static void case_blanks_and_tokens_do_not_matter(void **state)
{
	struct challenge c;

	assert_true(challenge_parse("  bEARER  REALM=http://h/t ,  Service=s", &c));

	assert_string_equal(c.realm, "http://h/t");
	assert_string_equal(c.service, "s");
	assert_string_equal(c.scope, "");
}

static void basic_needs_no_realm(void **state)
{
	struct challenge c;

	assert_true(challenge_parse("Basic", &c));
	assert_false(c.bearer);
	assert_true(challenge_parse("Basic realm=\"a \\\"b\\\"\"", &c));
	assert_string_equal(c.realm, "a \"b\"");
}

static void of_two_challenges_the_first_counts(void **state)
{
	struct challenge c;

	assert_true(challenge_parse("Basic realm=\"a\", Bearer realm=\"b\"", &c));

	assert_false(c.bearer);
	assert_string_equal(c.realm, "a");
}

static void broken_ones_are_refused(void **state)
{
	static const char *const headers[] = {"", "Negotiate", "Bearer", "Bearer scope=\"x\"",
		"Bearer realm=\"x", "Bearer realm=\"x\r\nEvil: y\"", "Bearer realm=\"x\001\"",
		"BearerX realm=y"};
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		struct challenge c;
		assert_false(challenge_parse(headers[i], &c));
	}
}

static void a_value_beyond_the_limit_is_refused(void **state)
{
	char header[CHALLENGE_VALUE_MAX + 100];
	struct challenge c;
	for (size_t n = CHALLENGE_VALUE_MAX - 2; n <= CHALLENGE_VALUE_MAX + 1; n++) {
		memset(header, 'x', sizeof(header));
		memcpy(header, "Bearer realm=\"", 14);
		header[14 + n] = '"';
		header[14 + n + 1] = '\0';

		assert_int_equal(challenge_parse(header, &c), n < CHALLENGE_VALUE_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bearer_says_where_to_get_a_token),
		cmocka_unit_test(case_blanks_and_tokens_do_not_matter),
		cmocka_unit_test(basic_needs_no_realm),
		cmocka_unit_test(of_two_challenges_the_first_counts),
		cmocka_unit_test(broken_ones_are_refused),
		cmocka_unit_test(a_value_beyond_the_limit_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
