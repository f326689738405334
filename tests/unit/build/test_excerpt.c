#include "build/excerpt.h"

#include "base/json.h"
#include "base/scoped.h"
#include "build/hint.h"
#include "cmocka_all.h"

#define TEXT "FROM b\n\nRUN a \\\n  b\nFORM c\r\nRUN d\nRUN e\n"

static void assert_excerpt(int line, int end, const char *word, const char *want)
{
	scoped(buf) struct buf got = BUF_INIT;
	const struct excerpt x = {"D", TEXT, line, end, word};
	excerpt_print(&x, &got);
	assert_string_equal(buf_str(&got), want);
}

static void lines_around_are_shown_and_the_word_is_marked(void **state)
{
	assert_excerpt(5, 5, "FORM",
		"D:5\n--------------------\n"
		"   3 |     RUN a \\\n"
		"   4 |       b\n"
		"   5 | >>> FORM c\n"
		"     |     ^^^^\n"
		"   6 |     RUN d\n"
		"   7 |     RUN e\n"
		"--------------------\n");
	assert_excerpt(3, 4, NULL,
		"D:3\n--------------------\n"
		"   2 |     \n"
		"   3 | >>> RUN a \\\n"
		"   4 | >>>   b\n"
		"   5 |     FORM c\n"
		"--------------------\n");
}

static void at_the_edges_other_lines_make_up(void **state)
{
	assert_excerpt(1, 1, NULL,
		"D:1\n--------------------\n"
		"   1 | >>> FROM b\n"
		"   2 |     \n"
		"   3 |     RUN a \\\n"
		"--------------------\n");
	assert_excerpt(0, 0, NULL, "");
	assert_excerpt(99, 99, NULL, "");
}

static void a_message_points_to_an_instruction(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0};
	struct err e = {0};
	int line, end;
	assert_int_equal(dockerfile_parse(TEXT, strlen(TEXT), "a/D", &d, &e), -1);
	assert_string_equal(e.msg, "a/D:5: unknown instruction: FORM (did you mean FROM?)");

	assert_true(excerpt_find(&d, "a/D:3: no", &line, &end));
	assert_int_equal(line, 3);
	assert_int_equal(end, 4);
	assert_false(excerpt_find(&d, "a/D: no", &line, &end));
	assert_false(excerpt_find(&d, "other:3: no", &line, &end));
	scoped(json) json_t *source = excerpt_source(&d, e.msg);
	scoped(buf) struct buf text = BUF_INIT;
	excerpt_of_source(source, e.msg, &text);
	assert_non_null(strstr(buf_str(&text), "5 | >>> FORM c\n     |     ^^^^\n"));
	assert_null(excerpt_source(&d, "no place"));
}

static void a_comment_in_another_encoding_does_no_harm(void **state)
{
	scoped(dockerfile) struct dockerfile d = {0};
	struct err e = {0};
	const char *text = "# f\xfcr\nFROM\n";
	assert_int_equal(dockerfile_parse(text, strlen(text), "D", &d, &e), -1);

	scoped(json) json_t *source = excerpt_source(&d, e.msg);

	assert_string_equal(json_str(source, "text"), "# f?r\nFROM\n");
}

static void the_word_is_what_is_quoted(void **state)
{
	static const char *const cases[][2] = {
		{"D:1: unknown flag: --form; COPY has no such flag", "--form"},
		{"D:1: the file \"a b\" is not there", "a b"},
		{"D:1: it's", NULL},
		{"D:1: nothing", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *word = excerpt_word(cases[i][0]);
		if (cases[i][1]) {
			assert_string_equal(word, cases[i][1]);
		} else {
			assert_null(word);
		}
	}
}

static void hints_are_near_and_never_the_word_itself(void **state)
{
	static const struct {
		const char *word, *option, *want;
	} cases[] = {
		{"form", "FROM", " (did you mean FROM?)"},
		{"chwon", "chown", " (did you mean chown?)"},
		{"from", "FROM", ""},
		{"x", "y", ""},
		{"completely", "other", ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char room[HINT_TEXT_MAX];
		struct hint hint = hint_for(cases[i].word);
		hint_offer(&hint, cases[i].option);
		assert_string_equal(hint_text(&hint, room), cases[i].want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_around_are_shown_and_the_word_is_marked),
		cmocka_unit_test(at_the_edges_other_lines_make_up),
		cmocka_unit_test(a_message_points_to_an_instruction),
		cmocka_unit_test(a_comment_in_another_encoding_does_no_harm),
		cmocka_unit_test(the_word_is_what_is_quoted),
		cmocka_unit_test(hints_are_near_and_never_the_word_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
