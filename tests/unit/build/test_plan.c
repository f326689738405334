#include "build/plan.h"

#include "base/scoped.h"
#include "cmocka_all.h"

struct fixture {
	struct dockerfile d;
	struct plan p;
	struct strv args, contexts;
};

static void scoped_fixture(struct fixture *f)
{
	plan_deinit(&f->p);
	dockerfile_deinit(&f->d);
	strv_deinit(&f->args);
	strv_deinit(&f->contexts);
}

static int make(struct fixture *f, const char *text, const char *target, struct err *e)
{
	if (dockerfile_parse(text, strlen(text), "Dockerfile", &f->d, e) < 0) {
		fail_msg("%s", e->msg);
	}
	const struct plan_options o = {.build_args = &f->args,
		.target = target,
		.platform = "linux/arm/v7",
		.build_platform = "linux/amd64",
		.contexts = &f->contexts};
	return plan_make(&f->d, &o, &f->p, e);
}

static void only_what_the_target_needs(void **state)
{
	scoped(fixture) struct fixture f = {0};
	struct err e = {0};

	assert_int_equal(
		make(&f,
			"FROM a AS one\nFROM b AS two\nFROM one AS three\nRUN x\nFROM c AS four\n"
			"COPY --from=Two x y\nRUN --mount=type=bind,from=3,target=/x true\nFROM d\n",
			"four", &e),
		-1);
	assert_string_equal(e.msg,
		"Dockerfile:7: invalid stage index 3: only stages before this one (0 to 2) can be used");

	scoped(fixture) struct fixture g = {0};
	assert_int_equal(
		make(&g,
			"FROM a AS one\nFROM b AS two\nFROM one AS three\nRUN x\nFROM c AS four\n"
			"COPY --from=Two x y\nFROM d\n",
			"four", &e),
		0);
	assert_false(g.p.v[0].needed);
	assert_true(g.p.v[1].needed);
	assert_false(g.p.v[2].needed);
	assert_true(g.p.v[3].needed);
	assert_false(g.p.v[4].needed);
	assert_int_equal(g.p.target, 3);
	assert_int_equal(g.p.n_steps, 3);
}

static void bases_are_stages_images_or_nothing(void **state)
{
	scoped(fixture) struct fixture f = {0};
	struct err e = {0};
	strv_add(&f.args, "TAG=9");

	assert_int_equal(
		make(&f,
			"ARG TAG=1\nARG NAME=base:$TAG\nFROM ${NAME} AS Build\nFROM BUILD\nFROM scratch\n"
			"FROM --platform=$TARGETPLATFORM x\n",
			"", &e),
		0);
	assert_string_equal(f.p.v[0].base, "base:9");
	assert_int_equal(f.p.v[0].base_stage, PLAN_IMAGE);
	assert_int_equal(f.p.v[1].base_stage, 0);
	assert_int_equal(f.p.v[2].base_stage, PLAN_SCRATCH);
	assert_string_equal(f.p.v[3].platform, "linux/arm/v7");
}

static void platform_arguments_are_known(void **state)
{
	scoped(fixture) struct fixture f = {0};
	struct err e = {0};

	assert_int_equal(make(&f, "FROM a\n", "", &e), 0);
	assert_string_equal(strv_env_get(&f.p.global_args, "TARGETARCH"), "arm");
	assert_string_equal(strv_env_get(&f.p.global_args, "TARGETVARIANT"), "v7");
	assert_string_equal(strv_env_get(&f.p.global_args, "BUILDARCH"), "amd64");
}

static void wrong_references_are_errors(void **state)
{
	static const struct {
		const char *text, *target, *message;
	} cases[] = {
		{"FROM a AS x\nCOPY --from=x a b\n", "",
			"Dockerfile:2: circular dependency detected on stage: x"},
		{"FROM a\nCOPY --from=0 a b\n", "",
			"Dockerfile:2: invalid stage index 0: only stages before this one (0 to -1) can be used"},
		{"FROM a\nCOPY --from=y a b\nFROM b AS y\n", "0",
			"Dockerfile:2: circular dependency: stage y comes later in the file"},
		{"FROM a\n", "nope", "Dockerfile: target stage \"nope\" could not be found"},
		{"FROM a AS debug\n", "debgu",
			"Dockerfile: target stage \"debgu\" could not be found (did you mean debug?)"},
		{"FROM a b\n", "",
			"Dockerfile:1: FROM requires either one or three arguments: FROM image [AS name]"},
		{"FROM $nope\n", "", "Dockerfile:1: base name ($nope) should not be blank"},
		{"FROM a AS 1x\n", "",
			"Dockerfile:1: invalid name for build stage: \"1x\": a name begins with a letter and holds "
			"letters, digits, '-', '_' and '.'"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(fixture) struct fixture f = {0};
		struct err e = {0};
		assert_int_equal(make(&f, cases[i].text, cases[i].target, &e), -1);
		assert_string_equal(e.msg, cases[i].message);
	}
}

static void the_last_of_a_name_wins(void **state)
{
	scoped(fixture) struct fixture f = {0};
	struct err e = {0};

	assert_int_equal(
		make(&f, "FROM a AS x\nFROM b AS X\nFROM c\nCOPY --from=x a b\n", "", &e), 0);
	assert_false(f.p.v[0].needed);
	assert_true(f.p.v[1].needed);
}

static void predefined_arguments_can_be_given(void **state)
{
	scoped(fixture) struct fixture f = {0}, g = {0};
	struct err e = {0};
	strv_add(&f.args, "TARGETARCH=mine");

	assert_int_equal(make(&f, "FROM a AS Last\n", "", &e), 0);
	assert_int_equal(make(&g, "FROM a AS one\nFROM a\n", "", &e), 0);

	assert_string_equal(strv_env_get(&f.p.global_args, "TARGETARCH"), "mine");
	assert_string_equal(strv_env_get(&f.p.global_args, "TARGETVARIANT"), "v7");
	assert_string_equal(strv_env_get(&f.p.global_args, "TARGETSTAGE"), "last");
	assert_string_equal(strv_env_get(&g.p.global_args, "TARGETSTAGE"), "default");
}

static void named_contexts_take_the_place_of_images_and_stages(void **state)
{
	scoped(fixture) struct fixture f = {0};
	struct err e = {0};
	strv_add(&f.contexts, "alpine:latest=docker-image://mine@sha256:1");
	strv_add(&f.contexts, "lib=local:lib");
	strv_add(&f.contexts, "scratch=local:never");

	assert_int_equal(make(&f,
				 "FROM docker.io/library/alpine\nFROM x AS Lib\nRUN never\n"
				 "FROM scratch\nFROM lib\nCOPY --from=alpine a b\n",
				 "", &e),
		0);

	assert_string_equal(f.p.v[0].base, "mine@sha256:1");
	assert_int_equal(f.p.v[0].base_stage, PLAN_IMAGE);
	assert_int_equal(f.p.v[1].base_stage, PLAN_CONTEXT);
	assert_string_equal(f.p.v[1].context, "local:lib");
	assert_true(f.p.v[1].replaced && f.p.v[1].needed);
	assert_int_equal(f.p.v[1].end - f.p.v[1].from, 1);
	assert_int_equal(f.p.v[2].base_stage, PLAN_SCRATCH);
	assert_int_equal(f.p.v[3].base_stage, 1);
	assert_string_equal(
		plan_context_image(plan_context(&f.contexts, "alpine")), "mine@sha256:1");
	assert_null(plan_context(&f.contexts, "debian"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_the_target_needs),
		cmocka_unit_test(bases_are_stages_images_or_nothing),
		cmocka_unit_test(platform_arguments_are_known),
		cmocka_unit_test(wrong_references_are_errors),
		cmocka_unit_test(the_last_of_a_name_wins),
		cmocka_unit_test(predefined_arguments_can_be_given),
		cmocka_unit_test(named_contexts_take_the_place_of_images_and_stages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
