#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"
#include "api/call.h"
#include "api/create_body.h"
#include "api/filters.h"
#include "api/reference.h"
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
		{"/v2/plugins", 400,
			"client version 2 is too new. Maximum supported API version is 1.45"},
		{"/v1.45.1/plugins", 400, "client version 1.45.1 is too new"},
		{"/v99999999999999999999.1/plugins", 400, "is too new"},
		{"/v1.x/plugins", 404, "page not found"},
		{"/v/plugins", 404, "page not found"},
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
		{"PUT", "/v1.45/plugins", 404},
		{"HEAD", "/v1.45/info", 404},
		{"GET", "/v1.99/nothing", 404},
		{"GET", "/v1.45/containers/%zz/json", 404},
		{"GET", "/v1.45/containers/a%00b/json", 404},
		{"GET", "/swarm", 503},
		{"POST", "/services/create", 503},
		{"DELETE", "/secrets/x", 503},
		{"POST", "/swarm/init", 501},
		{"GET", "/plugins/a/b:c/json", 404},
		{"POST", "/containers/x/checkpoints", 501},
		{"GET", "/distribution/X/json", 400},
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
		{NULL, "{}", "malformed Content-Type header (): mime: no media type"},
		{"application/json", "{", "invalid JSON: unexpected EOF"},
		{"application/json; charset=utf-8", "{} {}", "unexpected content after JSON"},
		{"text/plain", NULL, "unsupported Content-Type header (text/plain)"},
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
	static const char *const allowed[] = {
		"label", "label!", "name", "id", "dangling", "until", NULL};
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
	static const char *const broken[] = {"{\"name\":3}", "{\"name\":[3]}", "[]", "{", "nope"};
	for (size_t i = 0; i < sizeof(broken) / sizeof(*broken); i++) {
		assert_null(read_filters(broken[i], &e));
		assert_string_equal(e.msg, "invalid filter");
	}
}

/* glibc would take hours for it. */
static void costly_expressions_are_plain_text(void **state)
{
	struct err e;
	scoped(filters) struct filters *f =
		read_filters("{\"name\":[\"(a*)*(b*)*\\\\1\\\\2$\",\"(x{999}){999}\"]}", &e);

	assert_false(filters_match_name(f, "name", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"));
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

static void until_is_one_duration_or_time(void **state)
{
	static const struct {
		const char *filters;
		int64_t ns;
		const char *says; /* of an error */
	} cases[] = {
		{"{}", INT64_MAX, NULL},
		{"{\"until\":[\"10s\"]}", INT64_C(90000000000), NULL},
		{"{\"until\":[\"50.5\"]}", INT64_C(50500000000), NULL},
		{"{\"until\":{\"1970-01-02T00:00:00Z\":true}}", INT64_C(86400000000000), NULL},
		{"{\"until\":[\"1970-01-02Z\"]}", INT64_C(86400000000000), NULL},
		{"{\"until\":[\"soon\"]}", 0,
			"failed to parse value as time or duration: \"soon\""},
		{"{\"until\":[\"1m\",\"2m\"]}", 0, "more than one until filter specified"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e;
		int64_t ns = 0;
		scoped(filters) struct filters *f = read_filters(cases[i].filters, &e);

		int r = filters_until(f, INT64_C(100000000000), &ns, &e);

		assert_int_equal(r, cases[i].says ? -1 : 0);
		if (cases[i].says) {
			assert_string_equal(e.msg, cases[i].says);
		} else {
			assert_int_equal(ns, cases[i].ns);
		}
	}
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

/* The body at a version as the newest version would have it; text is JSON. */
static json_t *current(const char *text, int version, json_t *warnings, struct err *e)
{
	scoped(json) json_t *body = json_parse(text, strlen(text), "a test", e);
	assert_non_null(body);
	return create_body_current(body, version, warnings, e);
}

static void a_creation_means_what_its_version_meant(void **state)
{
	static const struct {
		int version;
		const char *body, *holds; /* a piece of the compact result */
		const char *lacks;
	} cases[] = {
		{24, "{\"HostConfig\":{\"AutoRemove\":true}}", "{", "AutoRemove"},
		{25, "{\"HostConfig\":{\"AutoRemove\":true}}", "AutoRemove", NULL},
		{39, "{}", "\"IpcMode\":\"shareable\"", NULL},
		{39, "{\"HostConfig\":{\"IpcMode\":\"host\"}}", "\"IpcMode\":\"host\"",
			"shareable"},
		{40, "{}", "{", "shareable"},
		{41, "{\"HostConfig\":{\"ConsoleSize\":[1,2]}}", "{", "ConsoleSize"},
		{43, "{\"Healthcheck\":{\"Retries\":2,\"StartInterval\":5}}", "Retries",
			"StartInterval"},
		{44, "{\"Healthcheck\":{\"StartInterval\":5}}", "StartInterval", NULL},
		{42, "{\"HostConfig\":{\"Annotations\":{\"a\":\"b\"}}}", "{", "Annotations"},
		{41, "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"bind\",\"VolumeOptions\":{}}]}}",
			"bind", "VolumeOptions"},
		{43, "{\"MacAddress\":\"02:00:00:00:00:01\"}",
			"\"default\":{\"MacAddress\":\"02:00:00:00:00:01\"}", NULL},
		{43, "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"n\":{\"MacAddress\":\"02:00:00:00:00:01\"}}}}",
			"\"n\":{}", "02:"},
		{45,
			"{\"MacAddress\":\"02:00:00:00:00:01\",\"HostConfig\":{\"NetworkMode\":\"n\"},"
			"\"NetworkingConfig\":{\"EndpointsConfig\":{\"n\":{}}}}",
			"\"n\":{\"MacAddress\":\"02:00:00:00:00:01\"}", NULL},
		{45, "{\"HostConfig\":3}", "\"HostConfig\":3",
			NULL}, /* left for the reader to name */
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		scoped(json) json_t *warnings = json_array();
		scoped(json) json_t *got = current(cases[i].body, cases[i].version, warnings, &e);
		assert_non_null(got);
		scoped(free) char *text = json_text(got);
		if (!strstr(text, cases[i].holds) ||
			(cases[i].lacks && strstr(text, cases[i].lacks))) {
			fail_msg("case %zu: %s", i, text);
		}
	}
}

static void what_a_version_cannot_ask_for_is_refused(void **state)
{
	static const struct {
		int version;
		const char *body, *says;
	} cases[] = {
		{43, "{\"NetworkingConfig\":{\"EndpointsConfig\":{\"a\":{},\"b\":{}}}}",
			"Container cannot be created with multiple network endpoints: a, b"},
		{44, "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"volume\",\"VolumeOptions\":{\"Subpath\":\"x\"}}]}}",
			"VolumeOptions.Subpath needs API v1.45 or newer"},
		{42, "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"bind\",\"TmpfsOptions\":{}}]}}",
			"TmpfsOptions must not be specified on mount type \"bind\""},
		{43, "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"bind\",\"BindOptions\":{\"ReadOnlyForceRecursive\":true}}]}}",
			"BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer"},
		{45,
			"{\"MacAddress\":\"02:00:00:00:00:01\","
			"\"NetworkingConfig\":{\"EndpointsConfig\":{\"default\":{\"MacAddress\":\"02:00:00:00:00:02\"}}}}",
			"the container-wide MAC address must match the endpoint-specific MAC address for "
			"the main network, or be left empty"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		scoped(json) json_t *warnings = json_array();
		assert_null(current(cases[i].body, cases[i].version, warnings, &e));
		assert_string_equal(e.msg, cases[i].says);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void names_and_tags_are_joined_or_refused(void **state)
{
	static const struct {
		const char *repo, *tag, *joined, *says;
	} cases[] = {
		{"nginx", NULL, "nginx:latest", NULL},
		{"nginx", "", "nginx:latest", NULL},
		{"nginx:1", NULL, "nginx:1", NULL},
		{"nginx:1", "2", "nginx:2", NULL},
		{"127.0.0.1:5000/a/b", "c", "127.0.0.1:5000/a/b:c", NULL},
		{"nginx", "a:b", NULL, "invalid tag format"},
		{"nginx", "a@sha256:0", NULL, "invalid tag format"},
		{"", NULL, NULL, "invalid reference format"},
		{"NGINX", NULL, NULL,
			"invalid reference format: repository name (library/NGINX) must be lowercase"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		scoped(free) char *joined = reference_join(cases[i].repo, cases[i].tag, &e);
		if (cases[i].joined) {
			assert_string_equal(joined, cases[i].joined);
		} else {
			assert_null(joined);
			assert_string_equal(e.msg, cases[i].says);
		}
	}
}

static void platforms_have_up_to_three_words(void **state)
{
	static const char *const fine[] = {"linux", "arm64", "linux/arm/v7"};
	static const char *const wrong[] = {"a/b/c/d", "", "linux/", "linux/a b", "linux//v7"};
	struct err e;
	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++) {
		assert_int_equal(platform_check(fine[i], &e), 0);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_int_equal(platform_check(wrong[i], &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
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
		cmocka_unit_test(costly_expressions_are_plain_text),
		cmocka_unit_test(a_creation_means_what_its_version_meant),
		cmocka_unit_test(what_a_version_cannot_ask_for_is_refused),
		cmocka_unit_test(names_and_tags_are_joined_or_refused),
		cmocka_unit_test(platforms_have_up_to_three_words),
		cmocka_unit_test(until_is_one_duration_or_time),
		cmocka_unit_test(times_in_queries_have_three_forms),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
