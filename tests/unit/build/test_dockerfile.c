#include "build/dockerfile.h"

#include "base/scoped.h"
#include "cmocka_all.h"

static int parse(const char *text, struct dockerfile *d, struct err *e)
{
	return dockerfile_parse(text, strlen(text), "Dockerfile", d, e);
}

static void parse_ok(const char *text, struct dockerfile *d)
{
	struct err e = {0};
	if (parse(text, d, &e) < 0) {
		fail_msg("%s", e.msg);
	}
}

static void assert_words(const struct df_instruction *i, size_t n, const char *const *words)
{
	assert_int_equal(i->words.n, n);
	for (size_t k = 0; k < n; k++) {
		assert_string_equal(i->words.v[k], words[k]);
	}
}
#define WORDS(i, ...)                                                                \
	assert_words(i, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), \
		(const char *const[]){__VA_ARGS__})

static void instructions_have_lines_flags_and_words(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0};

	parse_ok(
		"# a comment\n\nfrom base:1 AS x\nCOPY --from=a --chown='1:2' b c\\ d /e/\n\nRUN echo  hi\n",
		&d);

	assert_int_equal(d.n, 3);
	assert_int_equal(d.v[0].kind, DF_FROM);
	assert_int_equal(d.v[0].line, 3);
	WORDS(&d.v[0], "base:1", "AS", "x");
	assert_string_equal(df_flag(&d.v[1], "from"), "a");
	assert_string_equal(df_flag(&d.v[1], "chown"), "1:2");
	assert_null(df_flag(&d.v[1], "chmod"));
	assert_int_equal(d.v[2].line, 6);
	assert_string_equal(d.v[2].args, "echo  hi");
	assert_string_equal(d.v[2].text, "RUN echo  hi");
}

static void continuations_skip_comments_and_empty_lines(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0};

	parse_ok(
		"FROM b\r\nRUN one && \\  \n# comment\n\n   # another\n  two \\\n three\nRUN last\n",
		&d);

	assert_int_equal(d.n, 3);
	assert_string_equal(d.v[1].args, "one &&   two  three");
	assert_int_equal(d.v[1].end_line, 7);
	assert_int_equal(d.v[2].line, 8);
	assert_true(d.v[1].empty_lines);
}

static void a_doubled_escape_is_no_continuation(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0};

	parse_ok("FROM b\nRUN a \\\\\nRUN b\n", &d);

	assert_int_equal(d.n, 3);
	assert_string_equal(d.v[1].args, "a \\\\");
}

static void directives_come_first_and_once(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0}, late = {0}, twice = {0};
	struct err e = {0};

	parse_ok("# syntax=docker/dockerfile:1\n# Escape = `\nFROM b\nRUN a `\n b\n", &d);
	parse_ok("# comment\n# escape=`\nFROM b\nRUN a `\nRUN b\n", &late);

	assert_string_equal(d.v[1].args, "a  b");
	assert_int_equal(late.n, 3);
	assert_int_equal(parse("# escape=`\n# escape=`\nFROM b\n", &twice, &e), -1);
	assert_string_equal(e.msg, "Dockerfile:2: only one escape parser directive can be used");
}

static void a_directive_begins_its_line_and_has_a_value(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0}, check = {0};

	parse_ok("  # escape=`\nFROM b\nRUN a `\nRUN b\n", &d);
	parse_ok("# check=skip=all; error=true\nFROM b\n", &check);

	assert_int_equal(d.escape, '\\');
	assert_string_equal(check.check, "skip=all; error=true");
}

static void comments_stay_with_what_follows_at_once(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0};

	parse_ok("# far\n\n# near\n#  check=skip=X \nfrom b\n# parted\n#\nRUN a\n", &d);

	assert_int_equal(d.v[0].comments.n, 2);
	assert_string_equal(d.v[0].comments.v[1], "check=skip=X");
	assert_int_equal(d.v[1].comments.n, 0);
	char *keyword = df_written_keyword(&d.v[0]);
	assert_string_equal(keyword, "from");
	free(keyword);
}

static void json_form_only_when_it_is_json_of_strings(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0};

	parse_ok(
		"FROM b\nRUN [\"a\", \"b c\"]\nRUN ['a']\nRUN [ -f x ] && y\nCMD []\nCOPY [\"a b\", \"c\"]\nRUN [\"a\" \"b\"]\n",
		&d);

	assert_true(d.v[1].json);
	WORDS(&d.v[1], "a", "b c");
	assert_false(d.v[2].json);
	assert_string_equal(d.v[2].args, "['a']");
	assert_false(d.v[3].json);
	assert_true(d.v[4].json);
	assert_int_equal(d.v[4].words.n, 0);
	WORDS(&d.v[5], "a b", "c");
	assert_false(d.v[6].json);
	assert_true(d.v[2].broken_json && d.v[6].broken_json && !d.v[3].broken_json);
}

static void env_and_label_pairs(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0}, bad = {0};
	struct err e = {0};

	parse_ok(
		"FROM b\nENV A=1 B=\"two words\" C=x\\ y\nENV old  value with  blanks \nLABEL \"a b\"=c\nARG X Y=2\n",
		&d);

	WORDS(&d.v[1], "A", "1", "B", "\"two words\"", "C", "x\\ y");
	WORDS(&d.v[2], "old", "value with  blanks");
	WORDS(&d.v[3], "\"a b\"", "c");
	WORDS(&d.v[4], "X", "Y=2");
	assert_int_equal(parse("FROM b\nENV A=1 B\n", &bad, &e), -1);
	assert_string_equal(
		e.msg, "Dockerfile:2: syntax error - can't find = in \"B\"; ENV takes name=value");
}

static void heredocs_are_read_in_order(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0};

	parse_ok(
		"FROM b\nRUN cat <<A && cat 3<<-'B'\none $x\nA\n\ttwo\n\tB\nCOPY <<\"C\" /x\n\nC\nRUN echo $((1<<2)) \"<<NOT\" <<<word\n",
		&d);

	assert_int_equal(d.n, 4);
	assert_int_equal(d.v[1].n_heredocs, 2);
	assert_string_equal(d.v[1].heredocs[0].name, "A");
	assert_string_equal(d.v[1].heredocs[0].data, "one $x\n");
	assert_true(d.v[1].heredocs[0].expand);
	assert_string_equal(d.v[1].heredocs[1].data, "\ttwo\n");
	assert_false(d.v[1].heredocs[1].expand);
	char *text = df_heredoc_text(&d.v[1].heredocs[1]);
	assert_string_equal(text, "two\n");
	free(text);
	assert_string_equal(d.v[2].heredocs[0].data, "\n");
	assert_string_equal(d.v[2].words.v[0], d.v[2].heredocs[0].word);
	assert_int_equal(d.v[3].n_heredocs, 0);
}

static void errors_name_file_and_line(void **state)
{
	static const struct {
		const char *text, *message;
	} cases[] = {
		{"", "Dockerfile:1: the file is empty"},
		{"\n\n# x\n", "Dockerfile:3: the file is empty"},
		{"ARG x\n", "Dockerfile:1: there is no FROM"},
		{"RUN x\n", "Dockerfile:1: no build stage yet: RUN must come after FROM"},
		{"FROM b\nONBUILD onbuild RUN x\n",
			"Dockerfile:2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"},
		{"FROM b\n\nONBUILD FROM c\n",
			"Dockerfile:3: FROM isn't allowed as an ONBUILD trigger"},
		{"FROM b\nONBUILD MAINTAINER c\n",
			"Dockerfile:2: MAINTAINER isn't allowed as an ONBUILD trigger"},
		{"FROM b\n\nFRMO c\n",
			"Dockerfile:3: unknown instruction: FRMO (did you mean FROM?)"},
		{"FROM b\nRUN [\"a\", 1]\n",
			"Dockerfile:2: when using JSON array syntax, arrays must be comprised of strings only"},
		{"FROM\n",
			"Dockerfile:1: FROM requires either one or three arguments: FROM image [AS name]"},
		{"FROM b\nUSER\n", "Dockerfile:2: USER requires exactly one argument"},
		{"FROM b\nRUN\n", "Dockerfile:2: RUN requires at least one argument"},
		{"FROM b\nRUN <<A\nx\n", "Dockerfile:2: unterminated heredoc: no line says \"A\""},
		{"FROM b\nENV =x\n", "Dockerfile:2: ENV names can not be blank"},
		{"FROM b\nENV x\n", "Dockerfile:2: ENV must have two arguments: ENV name=value"},
		{"FROM b\nARG =x\n", "Dockerfile:2: ARG names can not be blank"},
		{"FROM b\n# f\xfcr\nLABEL a=\xff\n", "Dockerfile:3: the line is not UTF-8 text"},
		{"FROM b\nCOPY <<A /x\nok\n\xff\nA\n", "Dockerfile:4: the line is not UTF-8 text"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(dockerfile) struct dockerfile d = {0};
		struct err e = {0};
		assert_int_equal(parse(cases[i].text, &d, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_string_equal(e.msg, cases[i].message);
	}
}

static void nul_bytes_are_refused_and_a_bom_is_not(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0}, nul = {0};
	struct err e = {0};

	parse_ok("\xef\xbb\xbf"
		 "FROM b\n",
		&d);

	assert_int_equal(d.v[0].kind, DF_FROM);
	assert_int_equal(dockerfile_parse("FROM b\0c\n", 9, "Dockerfile", &nul, &e), -1);
}

static void flags_are_checked(void **state)
{
	static const char *const allowed[] = {"from", "mount", NULL};
	scoped(dockerfile) struct dockerfile d = {0};
	struct err e = {0};
	parse_ok(
		"FROM b\nCOPY --from=a --from=b x y\nRUN --mount=a --mount=b x\nCOPY --form=x x y\nCOPY -- --x y\n",
		&d);

	assert_int_equal(df_check_flags(&d, &d.v[1], allowed, &e), -1);
	assert_string_equal(e.msg, "Dockerfile:2: the flag --from is given twice");
	assert_int_equal(df_check_flags(&d, &d.v[2], allowed, &e), 0);
	assert_int_equal(df_check_flags(&d, &d.v[3], allowed, &e), -1);
	assert_string_equal(e.msg,
		"Dockerfile:4: unknown flag: --form (did you mean --from?); COPY has no such flag");
	WORDS(&d.v[4], "--x", "y");
}

static void a_trigger_is_one_instruction(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0}, two = {0};
	struct err e = {0};

	assert_int_equal(dockerfile_parse_trigger("COPY <<E /x\nhi\nE", "base", &d, &e), 0);
	assert_string_equal(d.v[0].heredocs[0].data, "hi\n");
	assert_int_equal(dockerfile_parse_trigger("RUN a\nRUN b", "base", &two, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instructions_have_lines_flags_and_words),
		cmocka_unit_test(continuations_skip_comments_and_empty_lines),
		cmocka_unit_test(a_doubled_escape_is_no_continuation),
		cmocka_unit_test(directives_come_first_and_once),
		cmocka_unit_test(a_directive_begins_its_line_and_has_a_value),
		cmocka_unit_test(comments_stay_with_what_follows_at_once),
		cmocka_unit_test(json_form_only_when_it_is_json_of_strings),
		cmocka_unit_test(env_and_label_pairs),
		cmocka_unit_test(heredocs_are_read_in_order),
		cmocka_unit_test(errors_name_file_and_line),
		cmocka_unit_test(nul_bytes_are_refused_and_a_bom_is_not),
		cmocka_unit_test(flags_are_checked),
		cmocka_unit_test(a_trigger_is_one_instruction),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
