/* Lines of container logs: json-file as dockerd and our shim write it, and "local". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "codec/log_record.h"

#define T "\"time\":\"2026-01-01T00:00:01.5Z\""
#define AT INT64_C(1767225601500000000)

static int parse(const char *line, struct log_record *ret, struct buf *text)
{
	struct log_decoder d = {0};
	return log_record_parse_json(&d, line, strlen(line), ret, text);
}

static void a_line_of_docker_is_read(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct log_record r;

	assert_int_equal(
		parse("{\"log\":\"a\\\"b\\\\\\n\",\"stream\":\"stderr\"," T "}", &r, &text), 0);

	assert_string_equal(buf_str(&text), "a\"b\\\n");
	assert_int_equal(r.stream, 2);
	assert_int_equal(r.at_ns, AT);
	assert_null(r.attrs);
}

static void members_come_in_any_order_and_unknown_ones_are_skipped(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct log_record r;

	assert_int_equal(
		parse("{" T
		      ", \"x\":[1,{\"y\":\"}\\\"]\"},null] ,\"stream\":\"stdout\",\"n\":-1e5,\"log\":\"t\"}",
			&r, &text),
		0);

	assert_string_equal(buf_str(&text), "t");
	assert_int_equal(r.stream, 1);
}

static void attributes_are_found(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct log_record r;

	assert_int_equal(
		parse("{\"log\":\"x\",\"stream\":\"stdout\",\"attrs\":{\"a\":\"b}\"}," T "}", &r,
			&text),
		0);

	assert_int_equal(r.attrs_n, strlen("{\"a\":\"b}\"}"));
	assert_memory_equal(r.attrs, "{\"a\":\"b}\"}", r.attrs_n);
}

static void escapes_of_every_kind_come_back(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct log_record r;

	assert_int_equal(
		parse("{\"log\":\"\\b\\f\\n\\r\\t\\/\\u0041\\u00e9\\u20ac\\ud800\\udf48\\ud800x\\udc00\"," T
		      "}",
			&r, &text),
		0);

	assert_string_equal(buf_str(&text),
		"\b\f\n\r\t/A\xc3\xa9\xe2\x82\xac\xf0\x90\x8d\x88\xef\xbf\xbdx\xef\xbf\xbd");
}

static void what_is_no_line_is_refused_and_adds_nothing(void **state)
{
	static const char *const bad[] = {"", "{", "{}", "[]", "{\"log\":\"x\"}", "{" T "}",
		"{\"log\":\"x\",\"time\":\"yesterday\"}", "{\"log\":\"x\",\"time\":\"\"}",
		"{\"log\":\"x," T "}", "{\"log\":\"x\\\"," T "}", "{\"log\":\"\\q\"," T "}",
		"{\"log\":\"\\u12\"," T "}", "{\"log\":\"\\u12g4\"," T "}", "{\"log\":5," T "}",
		"{\"log\":\"x\"," T, "{\"log\":\"x\"" T "}", "{\"log\":\"x\"," T ",\"x\":]}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		scoped(buf) struct buf text = BUF_INIT;
		struct log_record r;
		buf_puts(&text, "before");
		assert_true(parse(bad[i], &r, &text) < 0);
		assert_int_equal(text.len, 6);
	}
}

static void the_same_time_twice_and_then_another(void **state)
{
	struct log_decoder d = {0};
	scoped(buf) struct buf text = BUF_INIT;
	struct log_record r;
	static const struct {
		const char *line;
		int64_t at;
	} cases[] = {{"{\"log\":\"1\"," T "}", AT}, {"{\"log\":\"2\"," T "}", AT},
		{"{\"log\":\"3\",\"time\":\"2026-01-01T00:00:01.55Z\"}", AT + 50000000},
		{"{\"log\":\"4\",\"time\":\"2026-01-01T00:00:01Z\"}", AT - 500000000}};
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(
			log_record_parse_json(&d, cases[i].line, strlen(cases[i].line), &r, &text),
			0);
		assert_int_equal(r.at_ns, cases[i].at);
	}
	assert_string_equal(buf_str(&text), "1234");
}

static void a_local_line_is_whole_or_a_part(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct log_record r;
	static const char binary[] = "1767225601500000000eb\0\xff";

	assert_int_equal(log_record_parse_local(binary, sizeof(binary) - 1, &r, &text), 0);
	assert_int_equal(r.stream, 2);
	assert_int_equal(r.at_ns, AT);
	assert_int_equal(text.len, 4);
	assert_memory_equal(text.data, "b\0\xff\n", 4);
	buf_clear(&text);
	assert_int_equal(log_record_parse_local("1767225601500000000Opart", 24, &r, &text), 0);
	assert_int_equal(r.stream, 1);
	assert_string_equal(buf_str(&text), "part");
}

static void what_is_no_local_line_is_refused(void **state)
{
	static const char *const bad[] = {"", "1767225601500000000", "176722560150000000oo",
		"1767225601500000000xtext", "9767225601500000000otext", "-767225601500000000otext"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		scoped(buf) struct buf text = BUF_INIT;
		struct log_record r;
		assert_true(log_record_parse_local(bad[i], strlen(bad[i]), &r, &text) < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_of_docker_is_read),
		cmocka_unit_test(members_come_in_any_order_and_unknown_ones_are_skipped),
		cmocka_unit_test(attributes_are_found),
		cmocka_unit_test(escapes_of_every_kind_come_back),
		cmocka_unit_test(what_is_no_line_is_refused_and_adds_nothing),
		cmocka_unit_test(the_same_time_twice_and_then_another),
		cmocka_unit_test(a_local_line_is_whole_or_a_part),
		cmocka_unit_test(what_is_no_local_line_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
