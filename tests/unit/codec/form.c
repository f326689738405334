#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* after what it needs */
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/form.h"

static int parse(const char *text, struct strv *ret)
{
	return form_parse(text, strlen(text), ret);
}

static void fields_are_decoded(void **state)
{
	scoped(strv) struct strv form = STRV_INIT;

	int r = parse("user=al%69ce&password=a+b%26c%3Dd&&empty=&alone", &form);

	assert_int_equal(r, 0);
	assert_string_equal(form_field(&form, "user"), "alice");
	assert_string_equal(form_field(&form, "password"), "a b&c=d");
	assert_string_equal(form_field(&form, "empty"), "");
	assert_string_equal(form_field(&form, "alone"), "");
	assert_string_equal(form_field(&form, "other"), "");
}

static void what_can_be_read_in_two_ways_is_refused(void **state)
{
	static const char *const bad[] = {"a=%", "a=%0", "a=%zz", "a=%00", "a=1&a=2", "a=1&%61=2"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		scoped(strv) struct strv form = STRV_INIT;
		assert_int_equal(parse(bad[i], &form), -EINVAL);
	}
	scoped(strv) struct strv nul = STRV_INIT;
	assert_int_equal(form_parse("a=1\0b", 5, &nul), -EINVAL);
}

static void a_form_has_a_bound(void **state)
{
	scoped(strv) struct strv form = STRV_INIT;
	scoped(strv) struct strv large = STRV_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	for (int i = 0; i <= FORM_FIELDS_MAX; i++) {
		buf_printf(&text, "f%d=1&", i);
	}
	assert_int_equal(parse(buf_str(&text), &form), -EINVAL);
	scoped(free) char *many = xcalloc(1, FORM_BYTES_MAX + 2);
	memset(many, 'a', FORM_BYTES_MAX + 1);
	assert_int_equal(parse(many, &large), -EINVAL);
}

static void one_cookie_is_found_by_its_whole_name(void **state)
{
	char value[COOKIE_VALUE_MAX + 1] = "";
	assert_int_equal(cookie_find("a=1; __Host-wherry=abc ;b=2", "__Host-wherry", value), 1);
	assert_string_equal(value, "abc");
	assert_int_equal(cookie_find("__Host-wherry=x", "__Host-wherry", value), 1);
	assert_string_equal(value, "x");
	assert_int_equal(cookie_find("x__Host-wherry=x; __host-wherry=1; __Host-wherry2=3",
				 "__Host-wherry", value),
		0);
	assert_int_equal(cookie_find(NULL, "a", value), 0);
	assert_int_equal(cookie_find("a", "a", value), 0);
	assert_int_equal(cookie_find("; ;;a=", "a", value), 1);
	assert_string_equal(value, "");
}

/* A host beside ours can set one for the whole domain, in old browsers even under this name. */
static void two_cookies_of_a_name_are_none(void **state)
{
	char value[COOKIE_VALUE_MAX + 1];
	assert_int_equal(cookie_find("s=1; s=2", "s", value), -EINVAL);
	assert_int_equal(cookie_find("s=1; s=1", "s", value), -EINVAL);
}

static void a_long_cookie_is_refused(void **state)
{
	char value[COOKIE_VALUE_MAX + 1];
	scoped(free) char *text = xcalloc(1, COOKIE_VALUE_MAX + 8);
	memset(text, 'x', COOKIE_VALUE_MAX + 3);
	memcpy(text, "s=", 2);
	assert_int_equal(cookie_find(text, "s", value), -EINVAL);
	text[COOKIE_VALUE_MAX + 2] = '\0';
	assert_int_equal(cookie_find(text, "s", value), 1);
}

static void hosts_have_one_form(void **state)
{
	static const char *const pairs[][2] = {{"App.Box.Local:8443", "app.box.local"},
		{"box.local.", "box.local"}, {"192.168.1.2:443", "192.168.1.2"},
		{"[FD00::1]:443", "[fd00::1]"}, {"[::1]", "[::1]"}, {"a", "a"}};
	static const char *const bad[] = {"", ":80", "a b", "a:b", "a:80:90", "a/b", "[::1",
		"[::1]x", "a@b", ".", ".a", "a\"b", "\xc3\xa4.local", "[a]b]:1", "a:8 0"};
	char host[HOST_TEXT_MAX + 1];
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		assert_int_equal(host_normal(pairs[i][0], host), 0);
		assert_string_equal(host, pairs[i][1]);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(host_normal(bad[i], host), -EINVAL);
	}
}

static void only_the_own_host_is_an_origin(void **state)
{
	assert_true(origin_is_of("https://app.box.local:8443", "app.box.local"));
	assert_true(origin_is_of("https://APP.box.local", "app.box.local"));
	static const char *const bad[] = {"null", "", "http://app.box.local",
		"https://other.box.local", "https://app.box.local.evil.example",
		"https://evil@app.box.local", "https://box.local", "https://app.box.local/x"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(origin_is_of(bad[i], "app.box.local"));
	}
}

static void a_redirect_stays_on_the_host(void **state)
{
	static const char *const good[] = {"/", "/a/b?x=1&y=%2F%2F", "/a?to=https://other//x",
		"/a#b", "/%2f%2fevil", "/a:b@c"};
	static const char *const bad[] = {"", "a", "//evil", "///evil", "/\\evil", "\\\\evil",
		"https://evil", "javascript:alert(1)", "/\t/evil", "\t//evil", " /a", "/a b",
		"/a\r\nX: y", "/\x01", "/a\x7f", "/\xc3\xa4", "/.//evil", "/a//b", "/a\"", "/<"};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_true(redirect_is_local(good[i]));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(redirect_is_local(bad[i]));
	}
	scoped(free) char *large = xcalloc(1, REDIRECT_MAX + 2);
	memset(large, '/' + 1, REDIRECT_MAX + 1);
	*large = '/';
	assert_false(redirect_is_local(large));
}

static void texts_are_compared_whole(void **state)
{
	assert_true(text_equal_slowly("abc", "abc"));
	assert_true(text_equal_slowly("", ""));
	assert_false(text_equal_slowly("abc", "abd"));
	assert_false(text_equal_slowly("abc", "abcd"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_decoded),
		cmocka_unit_test(what_can_be_read_in_two_ways_is_refused),
		cmocka_unit_test(a_form_has_a_bound),
		cmocka_unit_test(one_cookie_is_found_by_its_whole_name),
		cmocka_unit_test(two_cookies_of_a_name_are_none),
		cmocka_unit_test(a_long_cookie_is_refused),
		cmocka_unit_test(hosts_have_one_form),
		cmocka_unit_test(only_the_own_host_is_an_origin),
		cmocka_unit_test(a_redirect_stays_on_the_host),
		cmocka_unit_test(texts_are_compared_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
