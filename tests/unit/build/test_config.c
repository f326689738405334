#include "build/config.h"

#include "base/json.h"
#include "cmocka_all.h"

struct fixture {
	struct dockerfile d;
	struct build_config c;
	struct strv build_args, global_args, used;
	struct build_history *history;
};

static void scoped_fixture(struct fixture *f)
{
	build_config_deinit(&f->c);
	dockerfile_deinit(&f->d);
	strv_deinit(&f->build_args);
	strv_deinit(&f->global_args);
	strv_deinit(&f->used);
}

/* Applies all lines; returns the configuration's text. */
static int apply(struct fixture *f, const char *lines, struct err *e)
{
	char text[2000];
	snprintf(text, sizeof(text), "FROM x\n%s", lines);
	if (dockerfile_parse(text, strlen(text), "D", &f->d, e) < 0) {
		return -1;
	}
	if (!f->c.image) {
		build_config_from_image(&f->c, NULL, "linux", "arm64", "", NULL);
	}
	const struct config_args args = {&f->build_args, &f->global_args, &f->used, f->history};
	for (size_t i = 1; i < f->d.n; i++) {
		if (build_config_apply(&f->c, &f->d, &f->d.v[i], &args, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static void assert_config(const struct fixture *f, const char *key, const char *want)
{
	scoped(json) json_t *expected = json_loads(want, JSON_DECODE_ANY, NULL);
	scoped(free) char *got =
		json_text(json_object_get(json_object_get(f->c.image, "config"), key));
	if (!json_equal(expected, json_object_get(json_object_get(f->c.image, "config"), key))) {
		fail_msg("%s is %s, not %s", key, got, want);
	}
}

static void check(const char *lines, const char *key, const char *want)
{
	scoped(fixture) struct fixture f = {0};
	struct err e = {0};
	if (apply(&f, lines, &e) < 0) {
		fail_msg("%s", e.msg);
	}
	assert_config(&f, key, want);
}

#define PATH_ENV "\"PATH=" BUILD_DEFAULT_PATH "\""

static void env(void **state)
{
	check("ENV a=1 b=$a\nENV c=$a\n", "Env", "[" PATH_ENV ", \"a=1\", \"b=\", \"c=1\"]");
	check("ENV a=1\nENV b=2\nENV a=3\n", "Env",
		"[" PATH_ENV ", \"a=3\", \"b=2\"]"); /* in its place */
	check("ENV PATH=/x:$PATH\n", "Env", "[\"PATH=/x:" BUILD_DEFAULT_PATH "\"]");
	check("ENV k  v  \"w\"\n", "Env", "[" PATH_ENV ", \"k=v  w\"]");
}

static void arguments(void **state)
{
	scoped(fixture) struct fixture f = {0};
	struct err e = {0};
	strv_add(&f.build_args, "given=cli");
	strv_add(&f.build_args, "other=x");
	strv_add(&f.global_args, "TARGETARCH=arm64");

	assert_int_equal(
		apply(&f,
			"ARG given=default\nARG plain=$given\nARG TARGETARCH\nARG unset\nLABEL l=$plain-$TARGETARCH-$unset-$other\n",
			&e),
		0);

	assert_config(&f, "Labels", "{\"l\": \"cli-arm64--\"}");
	assert_config(&f, "Env", "[" PATH_ENV "]");
	assert_int_equal(f.used.n, 1);
	assert_string_equal(f.used.v[0], "given");
}

static void the_later_of_arg_and_env_wins(void **state)
{
	check("ENV v=env\nARG v=arg\nLABEL l=$v\n", "Labels", "{\"l\": \"arg\"}");
	check("ARG v=arg\nENV v=env\nLABEL l=$v\n", "Labels", "{\"l\": \"env\"}");
}

static void commands(void **state)
{
	check("CMD [\"a\", \"$b\"]\n", "Cmd", "[\"a\", \"$b\"]");
	check("CMD a $b\n", "Cmd", "[\"/bin/sh\", \"-c\", \"a $b\"]");
	check("SHELL [\"/bin/bash\", \"-ec\"]\nENTRYPOINT run\n", "Entrypoint",
		"[\"/bin/bash\", \"-ec\", \"run\"]");
	check("CMD a\nENTRYPOINT [\"b\"]\n", "Cmd", "[\"/bin/sh\", \"-c\", \"a\"]");
	check("CMD []\n", "Cmd", "[]");
}

static void an_entrypoint_drops_the_bases_command(void **state)
{
	scoped(fixture) struct fixture f = {0};
	struct err e = {0};
	scoped(json) json_t *base =
		json_loads("{\"config\": {\"Cmd\": [\"x\"], \"OnBuild\": [\"RUN y\"]}}", 0, NULL);
	scoped(strv) struct strv triggers = STRV_INIT;
	build_config_from_image(&f.c, base, "", "", "", &triggers);

	assert_int_equal(apply(&f, "ENTRYPOINT [\"b\"]\n", &e), 0);

	assert_null(json_object_get(json_object_get(f.c.image, "config"), "Cmd"));
	assert_null(json_object_get(json_object_get(f.c.image, "config"), "OnBuild"));
	assert_int_equal(triggers.n, 1);
	assert_string_equal(triggers.v[0], "RUN y");
}

static void an_image_without_path_gets_one(void **state)
{
	scoped(fixture) struct fixture f = {0};
	scoped(json) json_t *base = json_loads("{\"config\": {\"Env\": [\"A=b\"]}}", 0, NULL);

	build_config_from_image(&f.c, base, "", "", "", NULL);

	assert_config(&f, "Env", "[\"A=b\", \"PATH=" BUILD_DEFAULT_PATH "\"]");
	assert_string_equal(strv_env_get(&f.c.env, "PATH"), BUILD_DEFAULT_PATH);
}

static void ports_volumes_user_and_directory(void **state)
{
	check("ENV p=9000\nEXPOSE 80 53/UDP $p-9001\n", "ExposedPorts",
		"{\"80/tcp\": {}, \"53/udp\": {}, \"9000/tcp\": {}, \"9001/tcp\": {}}");
	check("EXPOSE 127.0.0.1:80:8080/TCP 5-6\n", "ExposedPorts",
		"{\"8080/tcp\": {}, \"5/tcp\": {}, \"6/tcp\": {}}");
	check("VOLUME [\"/a b\"]\nVOLUME /c /d\n", "Volumes",
		"{\"/a b\": {}, \"/c\": {}, \"/d\": {}}");
	check("ENV u=me\nUSER $u:staff\n", "User", "\"me:staff\"");
	check("WORKDIR /a\nWORKDIR b\nWORKDIR ../c\n", "WorkingDir", "\"/a/c\"");
	check("STOPSIGNAL SIGKILL\n", "StopSignal", "\"SIGKILL\"");
}

static void health(void **state)
{
	check("HEALTHCHECK NONE\n", "Healthcheck", "{\"Test\": [\"NONE\"]}");
	check("HEALTHCHECK --interval=1m30s --retries=3 CMD curl x\n", "Healthcheck",
		"{\"Interval\": 90000000000, \"Retries\": 3, \"Test\": [\"CMD-SHELL\", \"curl x\"]}");
	check("HEALTHCHECK --retries=9 CMD a\nHEALTHCHECK CMD [\"b\"]\n", "Healthcheck",
		"{\"Test\": [\"CMD\", \"b\"]}");
}

static void mistakes_are_errors_with_line(void **state)
{
	static const char *const cases[][2] = {
		{"EXPOSE 99999\n",
			"D:2: EXPOSE: invalid containerPort: 99999: expected PORT, FIRST-LAST or either with /tcp, /udp or /sctp"},
		{"EXPOSE 80/ip\n", "D:2: EXPOSE: invalid proto: ip"},
		{"HEALTHCHECK CMD []\n", "D:2: HEALTHCHECK: missing command after HEALTHCHECK CMD"},
		{"STOPSIGNAL SIGNOPE\n", "D:2: STOPSIGNAL: invalid signal: SIGNOPE"},
		{"SHELL bash\n",
			"D:2: SHELL: it requires the arguments in JSON form: SHELL [\"program\", \"option\"]"},
		{"HEALTHCHECK --interval=1 CMD x\n",
			"D:2: HEALTHCHECK: --interval=1 is not a duration of at least 1ms, like 30s or 1m30s"},
		{"HEALTHCHECK MAYBE x\n",
			"D:2: HEALTHCHECK: unknown type \"MAYBE\" (try CMD or NONE)"},
		{"LABEL a=${b:?why}\n", "D:2: LABEL: b: why"},
		{"USER --x=1 a\n", "D:2: unknown flag: --x; USER takes no flags"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(fixture) struct fixture f = {0};
		struct err e = {0};
		assert_int_equal(apply(&f, cases[i][0], &e), -1);
		assert_string_equal(e.msg, cases[i][1]);
	}
}

static void a_stage_on_a_stage_inherits_arguments(void **state)
{
	scoped(fixture) struct fixture f = {0}, g = {0};
	struct err e = {0};
	assert_int_equal(apply(&f, "ARG v=1\nENV e=2\n", &e), 0);
	build_config_from_stage(&g.c, &f.c, NULL);

	assert_int_equal(apply(&g, "LABEL l=$v$e\n", &e), 0);

	assert_config(&g, "Labels", "{\"l\": \"12\"}");
}

static void history_marks_empty_layers(void **state)
{
	scoped(fixture) struct fixture f = {0};
	build_config_from_image(&f.c, NULL, "linux", "arm64", "", NULL);

	build_config_history(&f.c, "2026-01-01T00:00:00Z", "RUN x", "", false);
	build_config_history(&f.c, "2026-01-01T00:00:00Z", "LABEL \xff", HISTORY_COMMENT, true);

	scoped(json) json_t *want =
		json_loads("[{\"created\": \"2026-01-01T00:00:00Z\", \"created_by\": \"RUN x\"},"
			   "{\"created\": \"2026-01-01T00:00:00Z\", \"created_by\": \"?\","
			   "\"comment\": \"buildkit.dockerfile.v0\", \"empty_layer\": true}]",
			0, NULL);
	assert_true(json_equal(want, json_object_get(f.c.image, "history")));
}

/* The form of the last of the lines, as dockerd 26.1 records it. */
static void check_history(const char *lines, const char *buildkit, const char *classic)
{
	for (int form = 0; form < 2; form++) {
		scoped(fixture) struct fixture f = {0};
		scoped(build_history) struct build_history h = {.classic = form};
		struct err e = {0};
		if (apply(&f, lines, &e) < 0) {
			fail_msg("%s", e.msg);
		}
		const struct df_instruction *last = &f.d.v[f.d.n - 1];
		const struct config_args args = {&f.build_args, &f.global_args, &f.used, &h};
		assert_int_equal(build_config_apply(&f.c, &f.d, last, &args, &e), 0);
		scoped(free) char *got =
			history_nop(&f.c, form, last->kind == DF_WORKDIR, buf_str(&h.text));
		assert_string_equal(got, form ? classic : buildkit);
	}
}

#define NOP "/bin/sh -c #(nop) "

static void history_says_values_as_docker_does(void **state)
{
	check_history("ENV FOO=bar1\nENV X=$FOO Y=\"a b\" Z='q\"z'\n", "ENV X=bar1 Y=a b Z=q\"z",
		NOP " ENV X=bar1 Y=a b Z=q\"z");
	check_history("LABEL d \"quoted one\"\n", "LABEL d=quoted one", NOP " LABEL d=quoted one");
	check_history("ARG A=2\nARG B=$A C\n", "ARG B=2 C", NOP " ARG B=2 C");
	check_history("WORKDIR /x\nWORKDIR y\n", "WORKDIR /x/y/y", NOP "WORKDIR /x/y/y");
	check_history("EXPOSE 80 53/udp 90-91\n",
		"EXPOSE map[53/udp:{} 80/tcp:{} 90/tcp:{} 91/tcp:{}]",
		NOP " EXPOSE 53/udp 80 90-91");
	check_history("VOLUME /v2 /v1\n", "VOLUME [/v2 /v1]", NOP " VOLUME [/v2 /v1]");
	check_history("USER 0:0\n", "USER 0:0", NOP " USER 0:0");
	check_history("STOPSIGNAL SIGTERM\n", "STOPSIGNAL SIGTERM", NOP " STOPSIGNAL SIGTERM");
	check_history("MAINTAINER me <a@b>\n", "MAINTAINER me <a@b>", NOP " MAINTAINER me <a@b>");
	check_history("ONBUILD RUN echo a\n", "", NOP " ONBUILD RUN echo a");
	check_history("SHELL [\"/bin/sh\", \"-e\", \"-c\"]\n", "SHELL [/bin/sh -e -c]",
		"/bin/sh -e -c #(nop)  SHELL [/bin/sh -e -c]");
}

static void history_quotes_as_go(void **state)
{
	check_history("CMD echo \"hi\"\n", "CMD [\"/bin/sh\" \"-c\" \"echo \\\"hi\\\"\"]",
		NOP " CMD [\"/bin/sh\" \"-c\" \"echo \\\"hi\\\"\"]");
	check_history("ENTRYPOINT [\"\xc3\xa9\\u0001\\n\\u00a0\\u2028\\ud83d\\ude00\"]\n",
		"ENTRYPOINT [\"\xc3\xa9\\x01\\n\\u00a0\\u2028\xf0\x9f\x98\x80\"]",
		NOP " ENTRYPOINT [\"\xc3\xa9\\x01\\n\\u00a0\\u2028\xf0\x9f\x98\x80\"]");
#define HEALTH "HEALTHCHECK &{[\"CMD-SHELL\" \"true\"] \"1m30s\" \"500ms\" \"0s\" \"0s\" '\\x03'}"
	check_history("HEALTHCHECK --interval=90s --timeout=500ms --retries=3 CMD true\n", HEALTH,
		NOP " " HEALTH);
	check_history("HEALTHCHECK --retries=39 CMD [\"x\"]\n",
		"HEALTHCHECK &{[\"CMD\" \"x\"] \"0s\" \"0s\" \"0s\" \"0s\" '\\''}",
		NOP " HEALTHCHECK &{[\"CMD\" \"x\"] \"0s\" \"0s\" \"0s\" \"0s\" '\\''}");
}

static void history_of_run_has_the_stages_own_arguments(void **state)
{
	scoped(fixture) struct fixture base = {0}, f = {0};
	scoped(strv) struct strv argv = STRV_INIT;
	struct err e = {0};
	strv_add(&f.build_args, "B=cli");
	strv_add(&argv, "/bin/sh");
	strv_add(&argv, "make  it");
	assert_int_equal(apply(&base, "ARG OLD=1\n", &e), 0);
	build_config_from_stage(&f.c, &base.c, NULL);
	assert_int_equal(apply(&f, "ARG Z=1\nARG B\nARG NONE\nARG E\nENV E=2\n", &e), 0);

	scoped(free) char *buildkit = history_run(&f.c, false, &argv);
	scoped(free) char *classic = history_run(&f.c, true, &argv);
	scoped(free) char *plain = history_run(&base.c, true, &argv);

	assert_string_equal(buildkit, "RUN |4 Z=1 B=cli NONE= E=2 /bin/sh make  it # buildkit");
	assert_string_equal(classic, "|2 B=cli Z=1 /bin/sh make  it");
	assert_string_equal(plain, "|1 OLD=1 /bin/sh make  it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(env),
		cmocka_unit_test(arguments),
		cmocka_unit_test(the_later_of_arg_and_env_wins),
		cmocka_unit_test(commands),
		cmocka_unit_test(an_entrypoint_drops_the_bases_command),
		cmocka_unit_test(an_image_without_path_gets_one),
		cmocka_unit_test(ports_volumes_user_and_directory),
		cmocka_unit_test(health),
		cmocka_unit_test(mistakes_are_errors_with_line),
		cmocka_unit_test(a_stage_on_a_stage_inherits_arguments),
		cmocka_unit_test(history_marks_empty_layers),
		cmocka_unit_test(history_says_values_as_docker_does),
		cmocka_unit_test(history_quotes_as_go),
		cmocka_unit_test(history_of_run_has_the_stages_own_arguments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
