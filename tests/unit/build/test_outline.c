/* What a Dockerfile offers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/scoped.h"
#include "build/outline.h"

static json_t *outline_of(const char *text, const char *target, const char *arg, struct err *e)
{
	scoped(dockerfile) struct dockerfile d = {0};
	scoped(plan) struct plan p = {0};
	scoped(strv) struct strv args = STRV_INIT;
	if (arg) {
		strv_add(&args, arg);
	}
	const struct plan_options o = {.build_args = &args,
		.target = target,
		.platform = "linux/amd64",
		.build_platform = "linux/amd64"};
	assert_int_equal(dockerfile_parse(text, strlen(text), "Dockerfile", &d, e), 0);
	assert_int_equal(plan_make(&d, &o, &p, e), 0);
	return outline_make(&p, &args, e);
}

static const json_t *entry(const json_t *outline, const char *list, size_t i)
{
	return json_array_get(json_object_get(outline, list), i);
}

static void only_what_the_target_needs_is_named(void **state)
{
	struct err e;
	const char *text =
		"FROM a AS one\nARG X=1\nFROM b AS two\nARG Y\nFROM one AS three\nARG Z\n";

	scoped(json) json_t *o = outline_of(text, "three", NULL, &e);

	assert_int_equal(json_array_size(json_object_get(o, "args")), 2);
	assert_string_equal(json_str(entry(o, "args", 0), "name"), "X");
	assert_string_equal(json_str(entry(o, "args", 1), "name"), "Z");
	assert_string_equal(json_str(o, "name"), "three");
}

static void values_are_those_that_a_build_would_have(void **state)
{
	struct err e;
	const char *text =
		"# V the version\nARG V=3\nFROM x\nARG V\nARG W=v${V}-$TARGETARCH\nARG TARGETARCH\nARG U=${W}\n";

	scoped(json) json_t *plain = outline_of(text, "", NULL, &e);
	scoped(json) json_t *given = outline_of(text, "", "V=4", &e);

	assert_string_equal(json_str(entry(plain, "args", 0), "value"), "3");
	assert_string_equal(json_str(entry(plain, "args", 0), "description"), "the version");
	assert_string_equal(json_str(entry(plain, "args", 1), "value"), "v3-");
	assert_string_equal(
		json_str(entry(plain, "args", 2), "value"), "v3-"); /* not the platform's */
	assert_string_equal(json_str(entry(given, "args", 0), "name"), "V");
	assert_string_equal(json_str(entry(given, "args", 0), "value"), "4");
	assert_string_equal(json_str(entry(given, "args", 1), "value"), "v4-");
}

static void secrets_and_agents_are_listed_once(void **state)
{
	struct err e;
	const char *text =
		"FROM x\nARG N=tok\nRUN --mount=type=secret,id=$N --mount=type=ssh,required a\n"
		"RUN --mount=type=secret,id=tok,required b\nRUN --mount=type=cache,target=/c c\n";

	scoped(json) json_t *o = outline_of(text, "", NULL, &e);

	assert_int_equal(json_array_size(json_object_get(o, "secrets")), 1);
	assert_string_equal(json_str(entry(o, "secrets", 0), "name"), "tok");
	assert_false(json_bool(entry(o, "secrets", 0), "required"));
	assert_string_equal(json_str(entry(o, "ssh", 0), "name"), "default");
	assert_true(json_bool(entry(o, "ssh", 0), "required"));
}

static void a_wrong_mount_has_its_line(void **state)
{
	struct err e;
	assert_null(outline_of("FROM x\nRUN --mount=type=bogus a\n", "", NULL, &e));
	assert_non_null(strstr(e.msg, "Dockerfile:2: "));
}

static void targets_are_all_stages(void **state)
{
	struct err e;
	scoped(dockerfile) struct dockerfile d = {0};
	const char *text =
		"# one does\n# nothing\nFROM --platform=linux/arm64 a:1 AS one\nFROM one\n";
	assert_int_equal(dockerfile_parse(text, strlen(text), "Dockerfile", &d, &e), 0);
	scoped(json) json_t *t = outline_targets(&d);
	scoped(buf) struct buf shown = BUF_INIT;

	outline_targets_text(t, &shown);

	assert_string_equal(json_str(entry(t, "targets", 0), "base"), "a:1");
	assert_string_equal(json_str(entry(t, "targets", 0), "platform"), "linux/arm64");
	assert_true(json_bool(entry(t, "targets", 1), "default"));
	assert_string_equal(buf_str(&shown), "TARGET    DESCRIPTION\none       does\n(default) \n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_the_target_needs_is_named),
		cmocka_unit_test(values_are_those_that_a_build_would_have),
		cmocka_unit_test(secrets_and_agents_are_listed_once),
		cmocka_unit_test(a_wrong_mount_has_its_line),
		cmocka_unit_test(targets_are_all_stages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
