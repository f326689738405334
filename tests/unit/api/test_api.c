#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"
#include "api/call.h"
#include "api/filters.h"
#include "base/json.h"
#include "fake_http.h"

/* Sends one request to an API without objects: only routes that need none may be asked. */
static int ask(struct http_request *r, const char *method, const char *path)
{
	static const struct api_deps none;
	struct api *a = api_new(&none);
	r->method = method;
	r->path = path;
	api_handle(a, r);
	api_free(a);
	return r->status;
}

static void versions_outside_our_range_are_refused_in_dockers_words(void **state)
{
	static const struct {
		const char *path;
		int status;
		const char *says;
	} cases[] = {
		{"/v1.99/plugins", 400,
			"client version 1.99 is too new. Maximum supported API version is 1.45"},
		{"/v1.12/plugins", 400,
			"client version 1.12 is too old. Minimum supported API version is 1.24"},
		{"/v2/plugins", 400, "invalid API version"},
		{"/v1.45/plugins", 200, "[]"},
		{"/v1.24/plugins", 200, "[]"},
		{"/plugins", 200, "[]"},
		{"/plugins/", 200, "[]"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct http_request r = {0};

		assert_int_equal(ask(&r, "GET", cases[i].path), cases[i].status);

		assert_non_null(strstr(buf_str(&r.answer), cases[i].says));
		fake_close(&r);
	}
}

static void unknown_paths_and_methods_get_json(void **state)
{
	static const struct {
		const char *method, *path;
		int status;
	} cases[] = {
		{"GET", "/nothing/here", 404},
		{"GET", "/v1.45/containers//json", 404},
		{"PUT", "/v1.45/plugins", 405},
		{"GET", "/v1.45/containers/%zz/json", 404},
		{"GET", "/v1.45/containers/a%00b/json", 404},
		{"GET", "/swarm", 503},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct http_request r = {0};

		assert_int_equal(ask(&r, cases[i].method, cases[i].path), cases[i].status);

		assert_non_null(strstr(buf_str(&r.answer), "\"message\""));
		fake_close(&r);
	}
}

static void request_bodies_are_checked_before_anything_is_done(void **state)
{
	static const struct {
		const char *type, *body, *says;
	} cases[] = {
		{"application/json", NULL, "got EOF"},
		{"text/plain", "{}",
			"unsupported Content-Type header (text/plain): must be 'application/json'"},
		{NULL, "{}", "unsupported Content-Type"},
		{"application/json", "{", "invalid JSON"},
		{"application/json; charset=utf-8", "{} {}", "invalid JSON"},
		{"application/json", "[]", "must be an object"},
		{"application/json", "{}", "config cannot be empty"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct http_request r = {.content_type = cases[i].type, .body = cases[i].body};

		assert_int_equal(ask(&r, "POST", "/v1.45/containers/create"), 400);

		assert_non_null(strstr(buf_str(&r.answer), cases[i].says));
		fake_close(&r);
	}
}

/* Reads filters from a request with that parameter; NULL with e as filters_read. */
static struct filters *read_filters(const char *text, struct err *e)
{
	static const char *const allowed[] = {"label", "label!", "name", "id", "dangling", NULL};
	struct http_request r = {0};
	struct api a = {0};
	strv_addf(&r.query, "filters=%s", text);
	struct call *c = call_new(&a, &r, API_VERSION);
	struct filters *f = filters_read(c, allowed, e);
	fake_close(&r);
	return f;
}

static void both_forms_of_filters_mean_the_same(void **state)
{
	static const char *const forms[] = {"{\"name\":[\"web\"]}", "{\"name\":{\"web\":true}}"};
	for (size_t i = 0; i < 2; i++) {
		struct err e;
		scoped(filters) struct filters *f = read_filters(forms[i], &e);
		assert_non_null(f);
		assert_true(filters_match_name(f, "name", "my-web-1"));
		assert_false(filters_match_name(f, "name", "db"));
	}
}

static void a_wrong_filter_is_named(void **state)
{
	struct err e;
	assert_null(read_filters("{\"nme\":[\"web\"]}", &e));
	assert_string_equal(e.msg, "invalid filter 'nme'");
	assert_null(read_filters("{\"name\":3}", &e));
	assert_null(read_filters("[]", &e));
	assert_null(read_filters("{", &e));
}

static void all_labels_must_match_but_one_name_is_enough(void **state)
{
	struct err e;
	scoped(filters) struct filters *f =
		read_filters("{\"label\":[\"a=1\",\"b\"],\"name\":[\"^/x$\",\"y\"]}", &e);
	scoped(json) json_t *both = json_pack("{ss ss}", "a", "1", "b", "anything");
	scoped(json) json_t *one = json_pack("{ss}", "a", "1");

	assert_true(filters_match_labels(f, both));
	assert_false(filters_match_labels(f, one));
	assert_true(filters_match_name(f, "name", "y2"));
	assert_true(filters_match_name(f, "name", "/x"));
	assert_false(filters_match_name(f, "name", "/xx"));
}

static void booleans_in_filters_are_checked(void **state)
{
	struct err e;
	bool value;
	scoped(filters) struct filters *yes = read_filters("{\"dangling\":[\"true\"]}", &e);
	scoped(filters) struct filters *odd = read_filters("{\"dangling\":[\"maybe\"]}", &e);

	assert_int_equal(filters_bool(yes, "dangling", false, &value, &e), 0);
	assert_true(value);
	assert_int_equal(filters_bool(odd, "dangling", false, &value, &e), -1);
}

static void times_in_queries_have_three_forms(void **state)
{
	static const struct {
		const char *text;
		int64_t ns; /* -1: refused */
	} cases[] = {{"", 0}, {"0", 0}, {"1795331066", 1795331066000000000},
		{"1795331066.5", 1795331066500000000},
		{"1795331066.000000001", 1795331066000000001},
		{"2026-11-22T07:04:26Z", 1795331066000000000}, {"yesterday", -1}, {"1.2.3", -1}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct http_request r = {0};
		struct api a = {0};
		struct err e;
		int64_t ns = 7;
		strv_addf(&r.query, "since=%s", cases[i].text);
		struct call *c = call_new(&a, &r, API_VERSION);

		int got = call_query_time(c, "since", &ns, &e);

		assert_int_equal(got, cases[i].ns < 0 ? -1 : 0);
		if (got == 0) {
			assert_int_equal(ns, cases[i].ns);
		}
		fake_close(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(versions_outside_our_range_are_refused_in_dockers_words),
		cmocka_unit_test(unknown_paths_and_methods_get_json),
		cmocka_unit_test(request_bodies_are_checked_before_anything_is_done),
		cmocka_unit_test(both_forms_of_filters_mean_the_same),
		cmocka_unit_test(a_wrong_filter_is_named),
		cmocka_unit_test(all_labels_must_match_but_one_name_is_enough),
		cmocka_unit_test(booleans_in_filters_are_checked),
		cmocka_unit_test(times_in_queries_have_three_forms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
