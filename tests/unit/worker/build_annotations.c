#include "worker/build_annotations.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "base/scoped.h"

static const char *const platforms[] = {"linux/amd64", "linux/arm/v7"};

static void check(const char *attrs, const char *common, const char *images)
{
	struct err e = {0};
	scoped(json) json_t *given = json_loads(attrs, 0, NULL);
	scoped(json) json_t *want_common = json_loads(common, 0, NULL);
	scoped(json) json_t *want_images = json_loads(images, 0, NULL);
	scoped(json) json_t *got_common = NULL;
	scoped(json) json_t *got_images = NULL;
	assert_non_null(given);

	if (build_annotations(given, platforms, 2, &got_common, &got_images, &e) < 0) {
		fail_msg("%s", e.msg);
	}

	assert_true(json_equal(got_common, want_common));
	assert_true(json_equal(got_images, want_images));
}

#define NO_INDEX "{\"index\": {}, \"index-descriptor\": {}}"

static void each_kind_and_platform_has_its_own(void **state)
{
	check("{\"annotation.a\": \"1\", \"annotation-manifest[linux/arm/v7].b\": \"2\","
	      "\"annotation-manifest-descriptor[linux/amd64].c.d\": \"3\","
	      "\"annotation-index.e\": \"4\", \"annotation-index-descriptor.f\": \"5\"}",
		"{\"index\": {\"e\": \"4\"}, \"index-descriptor\": {\"f\": \"5\"}}",
		"[{\"manifest\": {\"a\": \"1\"}, \"manifest-descriptor\": {\"c.d\": \"3\"}},"
		"{\"manifest\": {\"a\": \"1\", \"b\": \"2\"}, \"manifest-descriptor\": {}}]");
}

static void one_platforms_goes_before_that_of_all(void **state)
{
	static const char want[] = "[{\"manifest\": {\"a\": \"all\"}, \"manifest-descriptor\": {}},"
				   "{\"manifest\": {\"a\": \"own\"}, \"manifest-descriptor\": {}}]";
	check("{\"annotation.a\": \"all\", \"annotation[linux/arm/v7].a\": \"own\"}", NO_INDEX,
		want);
	check("{\"annotation[linux/arm/v7].a\": \"own\", \"annotation.a\": \"all\"}", NO_INDEX,
		want);
}

static void other_attributes_are_left_alone(void **state)
{
	check("{\"name\": \"x\", \"annotations.a\": \"1\", \"annotation\": \"1\", \"annotation.\": \"1\","
	      "\"annotation-manifest[.a\": \"1\", \"annotation.a b\": \"1\", \"annotation-.a\": \"1\"}",
		NO_INDEX,
		"[{\"manifest\": {}, \"manifest-descriptor\": {}},"
		"{\"manifest\": {}, \"manifest-descriptor\": {}}]");
}

static void refused(const char *attrs, const char *words)
{
	struct err e = {0};
	json_t *common, *images;
	scoped(json) json_t *given = json_loads(attrs, 0, NULL);

	assert_int_equal(build_annotations(given, platforms, 2, &common, &images, &e), -1);

	assert_int_equal(e.kind, ERR_INVALID);
	assert_non_null(strstr(e.msg, words));
}

static void mistakes_are_errors(void **state)
{
	refused("{\"annotation-layer.a\": \"1\"}", "unrecognized annotation type layer");
	refused("{\"annotation[linux/s390x].a\": \"1\"}",
		"invalid annotation: no platform linux/s390x found in source");
	refused("{\"annotation[linux/a/b/c/d].a\": \"1\"}", "linux/a/b/c/d");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_and_platform_has_its_own),
		cmocka_unit_test(one_platforms_goes_before_that_of_all),
		cmocka_unit_test(other_attributes_are_left_alone),
		cmocka_unit_test(mistakes_are_errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
