#include "build/expand.h"

#include "base/scoped.h"
#include "cmocka_all.h"

static const char *lookup(void *owner, const char *name, size_t n)
{
	static const struct {
		const char *name, *value;
	} variables[] = {{"x", "value"}, {"empty", ""}, {"blanks", "a  b"}, {"path", "/a/b.tar.gz"},
		{"A_1", "one"}, {"star", "a*b"}, {"uml", "\xc3\xa4\xc3\xb6"}};
	for (size_t i = 0; i < sizeof(variables) / sizeof(*variables); i++) {
		if (strlen(variables[i].name) == n && strncmp(variables[i].name, name, n) == 0) {
			return variables[i].value;
		}
	}
	return NULL;
}

static const struct expander plain = {.lookup = lookup, .escape = '\\'};

static void words_are_expanded_as_buildkit_does(void **state)
{
	static const struct {
		const char *text, *result;
	} cases[] = {
		{"", ""},
		{"a b", "a b"},
		{"$x", "value"},
		{"${x}", "value"},
		{"$xy", ""},
		{"${x}y", "valuey"},
		{"$A_1-", "one-"},
		{"\\$x", "$x"},
		{"'$x'", "$x"},
		{"\"$x\"", "value"},
		{"\"\\$x \\\" \\n\"", "$x \" \\n"},
		{"a'b'\"c\"", "abc"},
		{"$", "$"},
		{"$$ $1 $@ $# $?", "    "},
		{"$ x", "$ x"},
		{"${x:-w}", "value"},
		{"${empty:-w}", "w"},
		{"${empty-w}", ""},
		{"${none-w}", "w"},
		{"${none:-${x}}", "value"},
		{"${none:-$none}", ""},
		{"${none:-'a}b'}", "a}b"},
		{"${x:+w}", "w"},
		{"${empty:+w}", ""},
		{"${empty+w}", "w"},
		{"${none+w}", ""},
		{"${x:?gone}", "value"},
		{"${path#/a/}", "b.tar.gz"},
		{"${path#*.}", "tar.gz"},
		{"${path##*.}", "gz"},
		{"${path%.*}", "/a/b.tar"},
		{"${path%%.*}", "/a/b"},
		{"${path%?gz}", "/a/b.tar"},
		{"${path#[/]}", "/a/b.tar.gz"},
		{"${x/a/A}", "vAlue"},
		{"${path//\\//-}", "-a-b.tar.gz"},
		{"${path//.*/!}", "/a/b!"},
		{"${star#a\\*}", "b"},
		{"${none/a/b}", ""},
		{"${uml#?}", "\xc3\xb6"}, /* a character, not a byte */
		{"${uml%?}", "\xc3\xa4"},
		{"${uml//?/x}", "xx"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *got = NULL;
		struct err e = {0};
		if (expand_word(&plain, cases[i].text, &got, &e) < 0) {
			fail_msg("%s: %s", cases[i].text, e.msg);
		}
		if (strcmp(got, cases[i].result) != 0) {
			fail_msg("%s gave '%s', not '%s'", cases[i].text, got, cases[i].result);
		}
	}
}

static void broken_words_are_errors(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"${none:?is missing}", "none: is missing"},
		{"${empty:?}", "empty: parameter is not set or empty"},
		{"${x", "missing '}' after ${x"},
		{"${", "missing '}' after ${"},
		{"${x:-a", "unexpected end of statement while looking for '}'"},
		{"'a", "unexpected end of statement while looking for matching single-quote"},
		{"\"a", "unexpected end of statement while looking for matching double-quote"},
		{"${x^}", "unsupported modifier (^) in substitution of x"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *got = NULL;
		struct err e = {0};
		assert_int_equal(expand_word(&plain, cases[i].text, &got, &e), -1);
		assert_string_equal(e.msg, cases[i].message);
	}
}

static void deep_nesting_is_an_error(void **state)
{
	char text[600] = "";
	for (int i = 0; i < 100; i++) {
		strcat(text, "${n:-");
	}
	scoped(free) char *got = NULL;
	struct err e = {0};

	assert_int_equal(expand_word(&plain, text, &got, &e), -1);
	assert_string_equal(e.msg, "substitutions are nested deeper than 32 levels");
}

static void splitting_keeps_quoted_blanks(void **state)
{
	scoped(strv) struct strv words = STRV_INIT;
	struct err e = {0};

	assert_int_equal(
		expand_words(&plain, " a  \"b c\" $blanks \"$blanks\" '' $none x\\ y ", &words, &e),
		0);

	const char *const want[] = {"a", "b c", "a", "b", "a  b", "", "x y"};
	assert_int_equal(words.n, 7);
	for (size_t i = 0; i < 7; i++) {
		assert_string_equal(words.v[i], want[i]);
	}
}

static void here_documents_keep_quotes(void **state)
{
	struct expander x = plain;
	x.keep_quotes = true;
	scoped(free) char *got = NULL;
	struct err e = {0};

	assert_int_equal(expand_word(&x, "\"$x\" 'it' \\$x\n", &got, &e), 0);

	assert_string_equal(got, "\"value\" 'it' $x\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_are_expanded_as_buildkit_does),
		cmocka_unit_test(broken_words_are_errors),
		cmocka_unit_test(deep_nesting_is_an_error),
		cmocka_unit_test(splitting_keeps_quoted_blanks),
		cmocka_unit_test(here_documents_keep_quotes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
