#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "ingress/host.h"

static void names_are_made_comparable(void **state)
{
	static const struct {
		const char *text, *name;
	} cases[] = {
		{"App.Example.org.", "app.example.org"},
		{"app", "app"},
		{"*.example.org", "*.example.org"},
		{"*.home", "*.home"},
		{"xn--mller-kva.example", "xn--mller-kva.example"},
		{"1.example", "1.example"},
		{".", "."},
		{"@", "."},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		scoped(free) char *name = host_read(cases[i].text, &e);
		assert_non_null(name);
		assert_string_equal(name, cases[i].name);
	}
}

static void what_is_no_name_is_refused_with_the_reason(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"", "not a host's name"},
		{"https://app", "not an address of a page"},
		{"app.local:8443", "has no port"},
		{"192.168.1.5", "'.' stands for"},
		{"::1", "'.' stands for"},
		{"1.2.3", "'.' stands for"},
		{"m\303\274ller.example", "xn--"},
		{"a.*.example", "before the first dot"},
		{"*", "before the first dot"},
		{"**.example", "before the first dot"},
		{"a..b", "not a host's name"},
		{"-a.example", "not a host's name"},
		{"a-.example", "not a host's name"},
		{"a_b.example", "not a host's name"},
		{"a b", "not a host's name"},
		{"a;b", "not a host's name"},
		{"a\nb", "not a host's name"},
		{"~^.*$", "before the first dot"},
		{"example.1", "not a host's name"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		assert_null(host_read(cases[i].text, &e));
		assert_int_equal(e.kind, ERR_INVALID);
		assert_non_null(strstr(e.msg, cases[i].says));
	}
}

static void lengths_have_their_limits(void **state)
{
	struct err e = {0};
	char label[65];
	memset(label, 'a', 64);
	label[64] = '\0';
	assert_null(host_read(label, &e));
	label[63] = '\0';
	scoped(free) char *fits = host_read(label, &e);
	assert_non_null(fits);
	scoped(free) char *four = xasprintf("%s.%s.%s.%s", label, label, label, label);
	assert_null(host_read(four, &e)); /* 255 */
}

static void any_name_gives_a_label(void **state)
{
	static const struct {
		const char *name, *label;
	} cases[] = {{"web", "web"}, {"My_app.1", "my-app-1"}, {"__x__", "x"}, {"a--b", "a-b"},
		{"42", "42"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *label = host_label(cases[i].name);
		assert_string_equal(label, cases[i].label);
		assert_true(host_is_label(label));
	}
	assert_null(host_label("_._"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_made_comparable),
		cmocka_unit_test(what_is_no_name_is_refused_with_the_reason),
		cmocka_unit_test(lengths_have_their_limits),
		cmocka_unit_test(any_name_gives_a_label),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
