#include "build/lint.h"

#include "base/json.h"
#include "base/scoped.h"
#include "cmocka_all.h"

SCOPED(struct ignore *, ignore_free)

struct fixture {
	struct dockerfile d;
	struct strv args;
	struct lint l;
};

static void scoped_fixture(struct fixture *f)
{
	dockerfile_deinit(&f->d);
	strv_deinit(&f->args);
	lint_deinit(&f->l);
}

/* "known" has A and a shell of its own; other images are not there. */
static const json_t *find_base(void *owner, const char *image, const char *platform)
{
	const json_t *known = owner;
	return strcmp(image, "known") == 0 ? known : NULL;
}

static int run(struct fixture *f, const char *text, const char *hidden, struct err *e)
{
	scoped(json) json_t *known =
		json_loads("{\"os\": \"linux\", \"architecture\": \"arm64\", \"config\": {\"Env\": "
			   "[\"ALPHA=1\"]}}",
			0, NULL);
	scoped(ignore_free) struct ignore *ignore =
		hidden ? ignore_parse(hidden, strlen(hidden), ".dockerignore", e) : NULL;
	if (dockerfile_parse(text, strlen(text), "Dockerfile", &f->d, e) < 0) {
		fail_msg("%s", e->msg);
	}
	const struct plan_options plan = {.build_args = &f->args,
		.target = "",
		.platform = "linux/arm64",
		.build_platform = "linux/amd64"};
	const struct lint_options o = {
		.plan = &plan, .ignore = ignore, .base = find_base, .owner = known};
	return lint_run(&f->d, &o, &f->l, e);
}

static void assert_lint(const char *text, const char *want)
{
	scoped(fixture) struct fixture f = {0};
	scoped(buf) struct buf got = BUF_INIT;
	struct err e = {0};
	assert_int_equal(run(&f, text, "*.o\ndir\n", &e), 0);
	for (size_t k = 0; k < f.l.n; k++) {
		const struct lint_warning *w = &f.l.v[k];
		buf_printf(&got, "%s: %s (line %d)\n", w->rule->name, w->message, w->line);
	}
	assert_string_equal(buf_str(&got), want);
}

static void what_is_fine_is_not_told(void **state)
{
	assert_lint("ARG V=known\nFROM $V AS one\nARG A B=$A\nENV X=${Y:-1} PUBLIC_KEY=1\n"
		    "WORKDIR /a\nWORKDIR b\nCOPY src /x\nCMD [\"a\"]\n"
		    "FROM one\nRUN $NOT_OURS\nSHELL [\"/bin/x\"]\nCMD a\nEXPOSE 80/tcp $X\n",
		"");
}

static void casing(void **state)
{
	assert_lint(
		"FROM known AS One\nFROM known as two\nfrom known AS three\nrun x\nRun y\nRUN z\n",
		"StageNameCasing: Stage name 'One' should be lowercase (line 1)\n"
		"FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 2)\n"
		"ConsistentInstructionCasing: Command 'from' should match the case of the command majority (uppercase) (line 3)\n"
		"FromAsCasing: 'AS' and 'from' keywords' casing do not match (line 3)\n"
		"ConsistentInstructionCasing: Command 'run' should match the case of the command majority (uppercase) (line 4)\n"
		"ConsistentInstructionCasing: Command 'Run' should match the case of the command majority (uppercase) (line 5)\n");
}

static void stages(void **state)
{
	assert_lint("FROM known AS a\nFROM known AS A\nFROM known AS scratch\n",
		"DuplicateStageName: Duplicate stage name \"A\", stage names should be unique (line 2)\n"
		"StageNameCasing: Stage name 'A' should be lowercase (line 2)\n"
		"ReservedStageName: Stage name should not use the same name as reserved stage \"scratch\" (line 3)\n");
}

static void platforms_and_arguments_of_from(void **state)
{
	assert_lint(
		"ARG tagg=1\nARG none\nFROM known:${tag}x\nFROM known$none: AS b\n"
		"FROM --platform=linux/arm64 known\nFROM --platform=linux/arm64 known AS build_arm64\n"
		"FROM --platform=$TARGETPLATFORM known\nFROM --platform=linux/$TARGETARCH known\n",
		"UndefinedArgInFrom: FROM argument 'tag' is not declared (did you mean tagg?) (line 3)\n"
		"InvalidDefaultArgInFrom: Default value for ARG known$none: results in empty or invalid base image name (line 4)\n"
		"FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value \"linux/arm64\" (line 5)\n"
		"RedundantTargetPlatform: Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default behavior (line 7)\n");
}

static void a_base_of_another_platform(void **state)
{
	assert_lint("FROM --platform=$BUILDPLATFORM known\n",
		"InvalidBaseImagePlatform: Base image known was pulled with platform \"linux/arm64\", expected "
		"\"linux/amd64\" for current build (line 1)\n");
}

static void variables(void **state)
{
	assert_lint("FROM known\nENV A=$ALPHA B=$ALPHAA C=$ALPHAA\nLABEL x=\"$none\"\nUSER $A\n",
		"UndefinedVar: Usage of undefined variable '$ALPHAA' (did you mean $ALPHA?) (line 2)\n"
		"UndefinedVar: Usage of undefined variable '$none' (line 3)\n");
	assert_lint("FROM unknown\nENV A=$ALPHAA\n", "");
}

static void instructions(void **state)
{
	assert_lint(
		"FROM known\nMAINTAINER me\nENV a b\nlabel c d\nWORKDIR rel\nCMD x\nCMD [\"y\"]\n"
		"HEALTHCHECK NONE\nHEALTHCHECK CMD z\nEXPOSE 80/TCP 1:2\nARG DB_PASSWORD\n"
		"RUN a \\\n\n b\nRUN ['x', 'y']\n",
		"MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label (line 2)\n"
		"LegacyKeyValueFormat: \"ENV key=value\" should be used instead of legacy \"ENV key value\" format (line 3)\n"
		"ConsistentInstructionCasing: Command 'label' should match the case of the command majority (uppercase) (line 4)\n"
		"LegacyKeyValueFormat: \"label key=value\" should be used instead of legacy \"label key value\" format (line 4)\n"
		"WorkdirRelativePath: Relative workdir \"rel\" can have unexpected results if the base image changes (line 5)\n"
		"JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 6)\n"
		"MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same stage because only the last one will be used (line 6)\n"
		"MultipleInstructionsDisallowed: Multiple HEALTHCHECK instructions should not be used in the same stage because only the last one will be used (line 8)\n"
		"ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port mapping, found '1:2' (line 10)\n"
		"ExposeProtoCasing: Defined protocol '80/TCP' in EXPOSE instruction should be lowercase (line 10)\n"
		"SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data (ARG \"DB_PASSWORD\") (line 11)\n"
		"NoEmptyContinuation: Empty continuation line (line 12)\n"
		"InvalidJSONArgs: The arguments of RUN are no JSON array of strings, so they are taken as plain text (line 15)\n");
}

static void ignored_sources(void **state)
{
	assert_lint("FROM known AS a\nCOPY x.o /\nADD dir/sub /\nCOPY --from=a x.o /\nCOPY . /\n",
		"CopyIgnoredFile: Attempting to Copy file \"x.o\" that is excluded by .dockerignore (line 2)\n"
		"CopyIgnoredFile: Attempting to Add file \"dir/sub\" that is excluded by .dockerignore (line 3)\n");
}

static void rules_can_be_left_out(void **state)
{
	assert_lint(
		"# check=skip=MaintainerDeprecated,StageNameCasing\nFROM known AS A\nMAINTAINER x\nCMD y\n",
		"JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior related to OS signals (line 4)\n");
	assert_lint("FROM known\n# check=skip=JSONArgsRecommended\nCMD y\nENTRYPOINT z\n",
		"JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended behavior related to OS signals (line 4)\n");
	assert_lint("# check=skip=all;experimental=all\n# what it is\nARG V\nFROM known AS A\n",
		"InvalidDefinitionDescription: Comment for ARG should follow the format: `# V <description>` (line 3)\n");
}

static void warnings_can_be_errors(void **state)
{
	scoped(fixture) struct fixture f = {0}, g = {0}, bad = {0};
	struct err e = {0};

	assert_int_equal(run(&f, "# check=error=true\nFROM known\nCMD a\nCMD b\n", NULL, &e), 0);
	assert_int_equal(lint_verdict(&f.l, &e), -1);
	assert_string_equal(e.msg,
		"lint violation found for rules: JSONArgsRecommended, MultipleInstructionsDisallowed");
	strv_add(&g.args, "BUILDKIT_DOCKERFILE_CHECK=skip=all;error=true");
	assert_int_equal(run(&g, "FROM known\nCMD a\n", NULL, &e), 0);
	assert_int_equal(lint_verdict(&g.l, &e), 0);
	assert_int_equal(run(&bad, "# check=nope\nFROM known\n", NULL, &e), -1);
	assert_string_equal(e.msg, "failed to parse check options: invalid check option \"nope\"");
}

static void results_are_those_of_buildkit(void **state)
{
	scoped(fixture) struct fixture f = {0};
	struct err e = {0}, problem = {0};
	scoped(buf) struct buf text = BUF_INIT;
	assert_int_equal(run(&f, "FROM known\nCMD a\n", NULL, &e), 0);
	df_error(&f.d, 1, &problem, "no");

	scoped(json) json_t *result = lint_result(&f.d, &f.l, &problem);
	lint_text(&f.d, &f.l, &text);

	scoped(json) json_t *want = json_loads(
		"{\"warnings\": [{\"ruleName\": \"JSONArgsRecommended\", \"description\": \"JSON arguments recommended "
		"for ENTRYPOINT/CMD to prevent unintended behavior related to OS signals\", \"url\": "
		"\"https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\", \"detail\": \"JSON arguments "
		"recommended for CMD to prevent unintended behavior related to OS signals\", \"location\": {\"ranges\": "
		"[{\"start\": {\"line\": 2}, \"end\": {\"line\": 2}}]}}], \"sources\": [{\"filename\": \"Dockerfile\", "
		"\"data\": \"RlJPTSBrbm93bgpDTUQgYQo=\", \"language\": \"Dockerfile\"}], \"buildError\": {\"message\": "
		"\"Dockerfile:1: no\", \"location\": {\"ranges\": [{\"start\": {\"line\": 1}, \"end\": {\"line\": 1}}]}}}",
		0, NULL);
	assert_true(json_equal(result, want));
	assert_string_equal(buf_str(&text),
		"\nWARNING: JSONArgsRecommended - https://docs.docker.com/go/dockerfile/rule/json-args-recommended/\n"
		"JSON arguments recommended for CMD to prevent unintended behavior related to OS signals\n"
		"Dockerfile:2\n--------------------\n"
		"   1 |     FROM known\n"
		"   2 | >>> CMD a\n"
		"--------------------\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_fine_is_not_told),
		cmocka_unit_test(casing),
		cmocka_unit_test(stages),
		cmocka_unit_test(platforms_and_arguments_of_from),
		cmocka_unit_test(a_base_of_another_platform),
		cmocka_unit_test(variables),
		cmocka_unit_test(instructions),
		cmocka_unit_test(ignored_sources),
		cmocka_unit_test(rules_can_be_left_out),
		cmocka_unit_test(warnings_can_be_errors),
		cmocka_unit_test(results_are_those_of_buildkit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
