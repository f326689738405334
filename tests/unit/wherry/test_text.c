/* What the CLI reads and prints: flags, templates, tables, numbers for people, frames, detach keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/demux.h"
#include "codec/detach.h"
#include "wherry/flags.h"
#include "wherry/human.h"
#include "wherry/progress.h"
#include "wherry/table.h"
#include "wherry/times.h"

static json_t *parse(const char *text)
{
	struct err e;
	json_t *doc = json_parse(text, strlen(text), "the test", &e);
	assert_non_null(doc);
	return doc;
}

/* --- flags --- */

static void flags_have_dockers_spellings(void **state)
{
	bool a = false;
	bool b = true;
	const char *name = NULL;
	int64_t size = 0;
	struct strv list = STRV_INIT;
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &a, NULL, ""},
		{"both", 'b', FLAG_BOOL, &b, NULL, ""},
		{"name", 'n', FLAG_STRING, &name, NULL, ""},
		{"size", 0, FLAG_SIZE, &size, NULL, ""},
		{"env", 'e', FLAG_LIST, &list, NULL, ""},
		{0},
	};
	const struct syntax s = {"x", "", "", 0, -1, false};
	char *argv[] = {(char *)"x", (char *)"-ae", (char *)"A=1", (char *)"-eB=2",
		(char *)"--env=C=3", (char *)"one", (char *)"-n=v", (char *)"--both=false",
		(char *)"--size", (char *)"1k", (char *)"--", (char *)"-z", NULL};
	int argc = 12;

	assert_int_equal(flags_parse(&s, flags, &argc, argv), -1);

	assert_true(a);
	assert_false(b);
	assert_string_equal(name, "v");
	assert_int_equal(size, 1024);
	assert_int_equal(list.n, 3);
	assert_string_equal(list.v[1], "B=2");
	assert_int_equal(argc, 3);
	assert_string_equal(argv[1], "one");
	assert_string_equal(argv[2], "-z");
	strv_deinit(&list);
}

static void wrong_flags_end_with_125(void **state)
{
	int64_t n = 0;
	struct strv filters = STRV_INIT;
	const struct flag flags[] = {{"number", 0, FLAG_INT, &n, NULL, ""},
		{"filter", 'f', FLAG_FILTER, &filters, NULL, ""}, {0}};
	const struct syntax s = {"x", "", "", 0, 0, false};
	static const char *const wrong[] = {"--nope", "-z", "--number=x", "--number", "--filter=x"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		scoped(free) char *arg = xstrdup(wrong[i]);
		char *argv[] = {(char *)"x", arg, NULL};
		int argc = 2;
		assert_int_equal(flags_parse(&s, flags, &argc, argv), 125);
	}
	char *argv[] = {(char *)"x", (char *)"operand", NULL};
	int argc = 2;
	assert_int_equal(flags_parse(&s, flags, &argc, argv),
		1); /* as docker: the number of operands is another matter */
	strv_deinit(&filters);
}

/* --- tables --- */

static void columns_are_aligned_as_tabwriter_does(void **state)
{
	scoped(buf) struct buf out = BUF_INIT;
	table_align("ID\tNAME\na\tb\nlonger than ten\té\n", 10, &out);
	assert_string_equal(buf_str(&out), "ID                NAME\n"
					   "a                 b\n"
					   "longer than ten   é\n");
	buf_clear(&out);
	table_align("A\tB\tC\nä\t\tx\n", 10, &out);
	assert_string_equal(buf_str(&out), "A         B         C\nä                   x\n");
}

static void an_images_words_do_not_command_the_terminal(void **state)
{
	const struct column columns[] = {{"Name", "NAME"}, {0}};
	struct table t = {.columns = columns, .dflt = "{{.Name}}"};
	struct err e;
	scoped(buf) struct buf out = BUF_INIT;
	scoped(json) json_t *rows = parse("[{\"Name\":\"\\u001b[2Jé\\u009bx\"}]");

	assert_int_equal(table_text(&t, rows, &out, &e), 0);
	assert_string_equal(buf_str(&out), "NAME\n [2Jé x\n");
	buf_clear(&out);
	t.format = "table {{.Name}}"; /* the user's own format may have colours */
	assert_int_equal(table_text(&t, rows, &out, &e), 0);
	assert_string_equal(buf_str(&out), "NAME\n\033[2Jé\302\233x\n");
}

/* --- numbers for people --- */

static void sizes_have_three_digits(void **state)
{
	char text[HUMAN_MAX];
	assert_string_equal(human_size(0, 3, text), "0B");
	assert_string_equal(human_size(999, 3, text), "999B");
	assert_string_equal(human_size(1092, 3, text), "1.09kB");
	assert_string_equal(human_size(133000000, 3, text), "133MB");
	assert_string_equal(human_size(1982000, 4, text), "1.982MB");
}

static void assert_ports(const char *ports, const char *want)
{
	scoped(json) json_t *doc = parse(ports);
	scoped(buf) struct buf out = BUF_INIT;
	human_ports(doc, &out);
	assert_string_equal(buf_str(&out), want);
}

static void ports_are_joined_to_ranges(void **state)
{
	assert_ports("[]", "");
	assert_ports(
		"[{\"IP\":\"0.0.0.0\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"},"
		"{\"IP\":\"::\",\"PrivatePort\":80,\"PublicPort\":8080,\"Type\":\"tcp\"}]",
		"0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
	assert_ports(
		"[{\"PrivatePort\":81,\"Type\":\"tcp\"},{\"PrivatePort\":80,\"Type\":\"tcp\"}]",
		"80-81/tcp");
	assert_ports("[{\"IP\":\"0.0.0.0\",\"PrivatePort\":80,\"PublicPort\":80,\"Type\":\"tcp\"},"
		     "{\"IP\":\"0.0.0.0\",\"PrivatePort\":81,\"PublicPort\":81,\"Type\":\"tcp\"}]",
		"0.0.0.0:80-81->80-81/tcp");
}

static void long_texts_end_with_an_ellipsis(void **state)
{
	scoped(buf) struct buf out = BUF_INIT;
	human_ellipsis("äöü", 3, &out);
	assert_string_equal(buf_str(&out), "äöü");
	buf_clear(&out);
	human_ellipsis("äöüß", 3, &out);
	assert_string_equal(buf_str(&out), "äö…");
}

static void bars_fit_the_terminal(void **state)
{
	char text[PROGRESS_BAR_MAX];
	assert_string_equal(progress_bar(0, 0, 200, text), "");
	assert_string_equal(progress_bar(500, 1000, 200, text),
		"[=========================>                         ]     500B/1kB");
	assert_string_equal(progress_bar(500, 1000, 80, text), "    500B/1kB");
	assert_string_equal(progress_bar(500, 0, 200, text), "    500B");
	assert_string_equal(progress_bar(2000, 1000, 80, text), "     2kB");
}

static void times_have_many_spellings(void **state)
{
	struct err e;
	char text[TIMES_TEXT_MAX];
	setenv("TZ", "UTC", 1);
	assert_int_equal(times_parse("since", NULL, text, &e), 0);
	assert_string_equal(text, "");
	times_parse("since", "1136073600.25", text, &e);
	assert_string_equal(text, "1136073600.25");
	times_parse("since", "2013-01-02T13:23:37.5Z", text, &e);
	assert_string_equal(text, "1357133017.500000000");
	times_parse("since", "2013-01-02", text, &e);
	assert_string_equal(text, "1357084800.000000000");
	assert_int_equal(times_parse("since", "10m", text, &e), 0);
	assert_int_equal(times_parse("since", "soon", text, &e), -1);
	assert_string_equal(e.msg,
		"invalid value for \"since\": failed to parse value as time or duration: \"soon\"");
	assert_string_equal(times_from_api("2026-11-24T23:57:06.150291960Z", text),
		"2026-11-24 23:57:06.15029196 +0000 UTC");
	assert_string_equal(
		times_from_api("2026-11-24T23:57:06Z", text), "2026-11-24 23:57:06 +0000 UTC");
}

/* --- streams --- */

struct taken {
	struct buf streams[4];
};

static int take(void *owner, int type, const char *data, size_t n, struct err *e)
{
	struct taken *t = owner;
	buf_append(&t->streams[type], data, n);
	return 0;
}

static void frames_come_in_any_pieces(void **state)
{
	static const char bytes[] =
		"\1\0\0\0\0\0\0\3abc\2\0\0\0\0\0\0\2de\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\1f";
	const size_t n = sizeof(bytes) - 1;
	for (size_t piece = 1; piece <= n; piece++) {
		struct demux d = {0};
		struct taken t = {0};
		struct err e;
		for (size_t at = 0; at < n; at += piece) {
			size_t len = n - at < piece ? n - at : piece;
			assert_int_equal(demux_feed(&d, bytes + at, len, take, &t, &e), 0);
		}
		assert_string_equal(buf_str(&t.streams[1]), "abcf");
		assert_string_equal(buf_str(&t.streams[2]), "de");
		buf_deinit(&t.streams[1]);
		buf_deinit(&t.streams[2]);
	}
}

static void unknown_frames_are_refused(void **state)
{
	struct demux d = {0};
	struct taken t = {0};
	struct err e;
	assert_int_equal(demux_feed(&d, "\x48TTP/1.1 ", 9, take, &t, &e), -1);
}

static void detach_keys_leave_the_rest_alone(void **state)
{
	struct detach d;
	struct err e;
	scoped(buf) struct buf out = BUF_INIT;
	assert_int_equal(detach_parse("ctrl-p,ctrl-q", &d, &e), 0);

	assert_false(detach_feed(&d, "a\x10", 2, &out)); /* may be the beginning: held back */
	assert_string_equal(buf_str(&out), "a");
	assert_false(detach_feed(&d, "b\x10\x10", 3, &out));
	assert_string_equal(buf_str(&out), "a\x10"
					   "b\x10");
	assert_true(detach_feed(&d, "\x11", 1, &out));
	assert_string_equal(buf_str(&out), "a\x10"
					   "b\x10");
}

static void detach_keys_are_checked(void **state)
{
	struct detach d;
	struct err e;
	assert_int_equal(detach_parse("a,ctrl-@,ctrl-_", &d, &e), 0);
	assert_int_equal(d.n, 3);
	assert_int_equal(d.keys[1], 0);
	assert_int_equal(d.keys[2], 31);
	assert_int_equal(detach_parse("ctrl-1", &d, &e), -1);
	assert_int_equal(detach_parse("alt-x", &d, &e), -1);
	assert_int_equal(detach_parse("a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", &d, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags_have_dockers_spellings),
		cmocka_unit_test(wrong_flags_end_with_125),
		cmocka_unit_test(columns_are_aligned_as_tabwriter_does),
		cmocka_unit_test(an_images_words_do_not_command_the_terminal),
		cmocka_unit_test(sizes_have_three_digits),
		cmocka_unit_test(ports_are_joined_to_ranges),
		cmocka_unit_test(long_texts_end_with_an_ellipsis),
		cmocka_unit_test(bars_fit_the_terminal),
		cmocka_unit_test(times_have_many_spellings),
		cmocka_unit_test(frames_come_in_any_pieces),
		cmocka_unit_test(unknown_frames_are_refused),
		cmocka_unit_test(detach_keys_leave_the_rest_alone),
		cmocka_unit_test(detach_keys_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
