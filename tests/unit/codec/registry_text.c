#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/registry_text.h"

static void a_location_is_resolved_as_rfc_3986_says(void **state)
{
	static const char base[] = "https://r.example:5000/v2/a/b/blobs/uploads/?mount=x";
	static const struct {
		const char *reference, *url; /* NULL: refused */
	} cases[] = {
		{"https://other/v2/up?_state=a%2Fb==", "https://other/v2/up?_state=a%2Fb=="},
		{"http://other:1/", "http://other:1/"},
		{"/v2/a/b/blobs/uploads/1?s=2",
			"https://r.example:5000/v2/a/b/blobs/uploads/1?s=2"},
		{"1", "https://r.example:5000/v2/a/b/blobs/uploads/1"},
		{"?s=2", "https://r.example:5000/v2/a/b/blobs/uploads/?s=2"},
		{"//other/x", "https://other/x"},
		{"/x#fragment", "https://r.example:5000/x"},
		{"", "https://r.example:5000/v2/a/b/blobs/uploads/?mount=x"},
		{"ftp://other/x", NULL},
		{"file:///etc/passwd", NULL},
		{"https:///x", NULL},
		{"https://:80/x", NULL},
		{"/a b", NULL},
		{"/a\r\nX: y", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(buf) struct buf url = BUF_INIT;

		bool ok = registry_url_resolve(base, cases[i].reference, &url);

		assert_int_equal(ok, cases[i].url != NULL);
		if (ok) {
			assert_string_equal(buf_str(&url), cases[i].url);
		}
	}
}

static void a_base_without_a_path_gets_one(void **state)
{
	scoped(buf) struct buf url = BUF_INIT;

	assert_true(registry_url_resolve("http://h", "x?y", &url));

	assert_string_equal(buf_str(&url), "http://h/x?y");
	assert_false(registry_url_resolve("h/x", "/y", &url));
}

static void a_query_goes_behind_the_one_that_is_there(void **state)
{
	scoped(buf) struct buf url = BUF_INIT;
	buf_puts(&url, "http://h/u");

	registry_url_query(&url, "digest", "sha256:ab");
	registry_url_query(&url, "from", "a/b");

	assert_string_equal(buf_str(&url), "http://h/u?digest=sha256%3Aab&from=a%2Fb");
}

static void a_range_says_how_much_is_there(void **state)
{
	int64_t n = -1;

	assert_true(registry_range_parse("0-1023", &n));
	assert_int_equal(n, 1024);
	assert_true(registry_range_parse("bytes=0-9", &n));
	assert_int_equal(n, 10);
	assert_true(registry_range_parse("0-0", &n));
	assert_int_equal(n, 0);

	static const char *const wrong[] = {"", "0-", "-5", "1-5", "0--5", "0-5x",
		"0-99999999999999999999", "0-9223372036854775807"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_false(registry_range_parse(wrong[i], &n));
	}
}

static void a_part_says_where_it_begins(void **state)
{
	int64_t begin;
	assert_true(registry_content_range("bytes 1000-1999/2000", &begin));
	assert_int_equal(begin, 1000);
	assert_true(registry_content_range("bytes 0-9/*", &begin));
	assert_int_equal(begin, 0);

	static const char *const wrong[] = {"", "bytes", "bytes */2000", "bytes -5/10",
		"bytes x-5/10", "items 1-2/3", "bytes 99999999999999999999-1/2"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_false(registry_content_range(wrong[i], &begin));
	}
}

static void the_next_page_is_found_among_links(void **state)
{
	scoped(buf) struct buf url = BUF_INIT;

	assert_true(registry_link_next("</v2/_catalog?last=b&n=2>; rel=\"next\"", &url));
	assert_string_equal(buf_str(&url), "/v2/_catalog?last=b&n=2");
	assert_true(registry_link_next(
		"<a>; rel=prev; title=\"x, <y>; rel=next\", <b> ;  REL=next", &url));
	assert_string_equal(buf_str(&url), "b");

	static const char *const none[] = {
		"", "<a", "<a>", "<a>; rel=nextish", "<>; rel=next", "a; rel=next"};
	for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++) {
		assert_false(registry_link_next(none[i], &url));
	}
}

static void a_wait_is_bounded(void **state)
{
	assert_int_equal(registry_retry_after("3", 1, 30), 3);
	assert_int_equal(registry_retry_after("86400", 1, 30), 30);
	assert_int_equal(registry_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", 2, 30), 2);
	assert_int_equal(registry_retry_after("", 2, 30), 2);
	assert_int_equal(registry_retry_after("-1", 2, 30), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_location_is_resolved_as_rfc_3986_says),
		cmocka_unit_test(a_base_without_a_path_gets_one),
		cmocka_unit_test(a_query_goes_behind_the_one_that_is_there),
		cmocka_unit_test(a_range_says_how_much_is_there),
		cmocka_unit_test(a_part_says_where_it_begins),
		cmocka_unit_test(the_next_page_is_found_among_links),
		cmocka_unit_test(a_wait_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
