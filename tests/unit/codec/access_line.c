#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "codec/access_line.h"

#define HEAD "192.0.2.7 - - [28/Nov/2026:12:00:00 +0000] "

static int parse(const char *line, struct access_line *ret)
{
	return access_line_parse(line, strlen(line), ret);
}

static void a_line_of_nginx_is_read(void **state)
{
	struct access_line l;
	assert_int_equal(0,
		parse(HEAD
			"\"GET / HTTP/2.0\" 200 512 \"-\" \"curl/7.88\" wiki.box.local wiki 1.234 1.230",
			&l));
	assert_string_equal("wiki", l.route);
	assert_int_equal(200, l.status);
	assert_int_equal(512, l.bytes);
	assert_int_equal(1234, l.ms);
}

static void what_belongs_to_no_route_has_an_empty_name(void **state)
{
	struct access_line l;
	assert_int_equal(0, parse(HEAD "\"GET / HTTP/1.1\" 404 0 \"-\" \"-\" x - 0.000 -", &l));
	assert_string_equal("", l.route);
	assert_int_equal(0, parse(HEAD "\"GET / HTTP/1.1\" 404 0 \"-\" \"-\" x  0.000 -", &l));
	assert_string_equal("", l.route);
}

/* nginx writes a client's quotes as \x22. */
static void a_client_cannot_invent_a_field(void **state)
{
	struct access_line l;
	assert_int_equal(0,
		parse("::1 - a [b] \\x22 200 [28/Nov/2026:12:00:00 +0000] \"GET /\\x22 500 7 HTTP/1.1\" 403 9 "
		      "\"\\x22 - evil 9.000\" \"x y evil 9.000 -\" app.box.local app 0.005 0.001, 0.003",
			&l));
	assert_string_equal("app", l.route);
	assert_int_equal(403, l.status);
	assert_int_equal(9, l.bytes);
	assert_int_equal(5, l.ms);
}

static void other_lines_are_told_apart(void **state)
{
	static const char *const lines[] = {"", "\"", "\"\" 200",
		HEAD "\"GET /\" 99 1 \"-\" \"-\" h r 0.000 -",
		HEAD "\"GET /\" 600 1 \"-\" \"-\" h r 0.000 -",
		HEAD "\"GET /\" 200 - \"-\" \"-\" h r 0.000 -",
		HEAD "\"GET /\" 200 1 \"-\" \"-\" h R 0.000 -",
		HEAD "\"GET /\" 200 1 \"-\" \"-\" h r 0.00",
		HEAD "\"GET /\" 200 1 \"-\" \"-\" h r 1", HEAD "\"GET /\" 200 1 \"-\" \"-\" h",
		HEAD "\"GET /\" 200 1234567890123456 \"-\" \"-\" h r 0.000 -"};
	struct access_line l;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		assert_int_equal(-1, parse(lines[i], &l));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_of_nginx_is_read),
		cmocka_unit_test(what_belongs_to_no_route_has_an_empty_name),
		cmocka_unit_test(a_client_cannot_invent_a_field),
		cmocka_unit_test(other_lines_are_told_apart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
