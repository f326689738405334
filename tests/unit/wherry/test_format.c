/* --format: what docker 28.2.2 printed for the same templates (recorded), and what Go's
 * text/template documents. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/format.h"

static const char document[] =
	"{\"Id\":\"abc\",\"Name\":\"/web\",\"State\":{\"Running\":true,\"Code\":3,\"Error\":\"\"},\"Binds\":null,"
	"\"Labels\":{\"z\":\"1\",\"a.b\":\"<2>\"},\"Cmd\":[\"ls\",\"-l\"],\"Load\":1.5,\"OomKillDisable\":null,"
	"\"Ports\":{\"80/tcp\":[{\"HostIp\":\"0.0.0.0\",\"HostPort\":\"8080\"}],\"81/tcp\":null},"
	"\"RestartPolicy\":{\"Name\":\"no\",\"MaximumRetryCount\":0},\"ExposedPorts\":{\"80/tcp\":{}}}";

static json_t *parse(const char *text)
{
	struct err e;
	json_t *doc = json_parse(text, strlen(text), "the document", &e);
	assert_non_null(doc);
	return doc;
}

struct expected {
	const char *template, *want;
};

static void assert_all(const struct expected *list, size_t n)
{
	scoped(json) json_t *doc = parse(document);
	for (size_t i = 0; i < n; i++) {
		struct err e = {0};
		scoped(buf) struct buf got = BUF_INIT;
		const char *shown =
			format_print(list[i].template, doc, &got, &e) < 0 ? e.msg : buf_str(&got);
		if (strcmp(shown, list[i].want) != 0) {
			fail_msg("%s\n gives %s\n  want %s", list[i].template, shown, list[i].want);
		}
	}
}
#define ASSERT_ALL(list) assert_all(list, sizeof(list) / sizeof(*(list)))

static void fields_print_as_go_values(void **state)
{
	static const struct expected list[] = {
		{"{{.Id}}", "abc"},
		{"{{ .ID }}", "abc"}, /* the Go field has another case than the JSON key */
		{"{{.State.Code}}\\t{{.State.Running}}", "3\\ttrue"},
		{"{{.Cmd}} {{.Labels}}", "[ls -l] map[a.b:<2> z:1]"},
		{"{{.Labels.z}}|{{.Labels.x}}", "1|<no value>"},
		{"{{.Binds}} {{.OomKillDisable}} {{.Health}} {{.Sysctls}}|{{.StopSignal}}|",
			"[] <nil> <nil> map[]||"},
		{"{{.Ports}}", "map[80/tcp:[{0.0.0.0 8080}] 81/tcp:[]]"},
		{"{{.RestartPolicy}}", "{no 0}"},
		{"{{.Load}} {{.State}}", "1.5 {true 3 }"},
		{"{{json .State}} {{json .Labels}}",
			"{\"Running\":true,\"Code\":3,\"Error\":\"\"} {\"z\":\"1\",\"a.b\":\"<2>\"}"},
		{"{{json .Id}} {{json .Binds}} {{json .Health}}", "\"abc\" null null"},
		{"{{(index .Ports \"80/tcp\" 0).HostPort}}", "8080"},
		{"{{(index (index .Ports \"80/tcp\") 0).HostPort}}", "8080"},
		{"{{index .Labels \"a.b\"}}|{{index .Labels \"none\"}}|{{index .Cmd 1}}",
			"<2>||-l"},
	};
	ASSERT_ALL(list);
}

static void blocks_and_variables(void **state)
{
	static const struct expected list[] = {
		{"{{if .State.Running}}up{{else}}down{{end}}", "up"},
		{"{{if not .State.Running}}a{{else if eq .Id \"abc\"}}b{{else}}c{{end}}", "b"},
		{"{{if .Health}}{{.Health.Status}}{{else}}none{{end}}", "none"},
		{"{{if and .Id (gt .State.Code 2)}}y{{end}}{{if .State.Error}}n{{end}}", "y"},
		{"{{or .State.Error .Id}} {{and .State.Error .Nothing}}",
			"abc "}, /* .Nothing is not looked at */
		{"{{range .Cmd}}<{{.}}>{{end}}", "<ls><-l>"},
		{"{{range $k, $v := .Labels}}{{$k}}={{$v}};{{end}}", "a.b=<2>;z=1;"},
		{"{{range $i, $v := .Cmd}}{{$i}}{{$v}}{{$.Id}} {{end}}", "0lsabc 1-labc "},
		{"{{range .Binds}}x{{else}}none{{end}}", "none"},
		{"{{range $p, $c := .Ports}}{{$p}}{{range $c}}:{{.HostPort}}{{end}} {{end}}",
			"80/tcp:8080 81/tcp "},
		{"{{range .Cmd}}{{if eq . \"-l\"}}{{break}}{{end}}{{.}}{{end}}", "ls"},
		{"{{range .Cmd}}{{if eq . \"ls\"}}{{continue}}{{end}}{{.}}{{end}}", "-l"},
		{"{{range $i := 3}}{{$i}}{{end}}", "012"},
		{"{{with .State}}{{.Code}}{{end}}{{with .State.Error}}x{{else}}y{{end}}", "3y"},
		{"{{with $x := .Id}}{{$x}}{{.}}{{end}}", "abcabc"},
		{"{{$x := 1}}{{if true}}{{$x = 2}}{{$y := 5}}{{$y}}{{end}}{{$x}}", "52"},
		{"{{$s := .State}}{{$s.Code}}", "3"},
		{"a {{- .Id -}} b", "aabcb"},
		{"a{{/* c */}}b {{- /* d */ -}} c", "abc"},
		{"{{range .Cmd}}{{if eq . \"ls\"}}{{range $.Cmd}}{{.}}{{end}}{{end}}{{end}}",
			"ls-l"},
	};
	ASSERT_ALL(list);
}

static void functions_are_those_of_docker(void **state)
{
	static const struct expected list[] = {
		{"{{.Id | upper | printf \"%s-%s\" \"x\"}}", "x-ABC"},
		{"{{.Id | }}", "abc"},
		{"{{join .Cmd \",\"}} {{len .Cmd}} {{len .Id}} {{truncate .Id 2}}|{{pad .Id 2 3}}|",
			"ls,-l 2 3 ab|  abc   |"},
		{"{{split \"a,b\" \",\"}} {{title \"ab cd\"}} {{upper \"é\"}} {{lower \"É\"}}",
			"[a b] Ab Cd É é"},
		{"{{slice .Id 1}} {{slice .Id 0 2}} {{slice .Cmd 1}}", "bc ab [-l]"},
		{"{{print 1 2 \"a\" \"b\" 3}} {{println .Id}}", "1 2ab3 abc\n"},
		{"{{printf \"%q %5s|%-5s|%v %d\" .Id \"a\" \"b\" .Name 3}}",
			"\"abc\"     a|b    |/web 3"},
		{"{{printf \"%.3s %05d %x %t %.2f %T %%\" \"abcdef\" 42 255 true 1.5 .Id}}",
			"abc 00042 ff true 1.50 string %"},
		{"{{printf \"%d\" \"a\"}} {{printf \"%d\"}} {{printf \"x\" 1}}",
			"%!d(string=a) %!d(MISSING) x%!(EXTRA int=1)"},
		{"{{'a'}} {{0x10}} {{1.5}} {{`raw\\n`}} {{\"q\\tx\\u00e9\"}}",
			"97 16 1.5 raw\\n q\tx\xc3\xa9"},
		{"{{eq .Id \"x\" \"abc\"}} {{ne 1 2}} {{lt 1 2}} {{ge \"b\" \"a\"}} {{not 0}}",
			"true true true true true"},
		{"{{(len .Cmd) | eq 2}}", "true"},
	};
	ASSERT_ALL(list);
}

/* Recorded. */
static void wrong_templates_are_said_in_gos_words(void **state)
{
#define P "template parsing error: template: :1: "
#define X "template parsing error: template: :1:"
	static const struct expected list[] = {
		{"{{.Foo}}", X "2: executing \"\" at <.Foo>: map has no entry for key \"Foo\""},
		{"{{.State.Foo}}",
			X "8: executing \"\" at <.State.Foo>: map has no entry for key \"Foo\""},
		{"{{.State.Health.Status}}", X
			"8: executing \"\" at <.State.Health.Status>: map has no entry for key \"Health\""},
		{"{{.id}}", X "2: executing \"\" at <.id>: map has no entry for key \"id\""},
		{"{{.Id.Foo}}", X
			"5: executing \"\" at <.Id.Foo>: can't evaluate field Foo in type string"},
		{"{{index .Cmd 99}}", X
			"2: executing \"\" at <index .Cmd 99>: error calling index: index out of range: 99"},
		{"{{(index (index .Ports \"82/tcp\") 0).HostPort}}", X
			"3: executing \"\" at <index (index .Ports \"82/tcp\") 0>: error calling index: index out of range: 0"},
		{"{{len}}",
			X "2: executing \"\" at <len>: wrong number of args for len: want 1 got 0"},
		{"{{and}}", X
			"2: executing \"\" at <and>: wrong number of args for and: want at least 1 got 0"},
		{"{{len 3}}", X "2: executing \"\" at <len 3>: error calling len: len of type int"},
		{"{{range .Id}}x{{end}}",
			X "8: executing \"\" at <.Id>: range can't iterate over abc"},
		{"{{nil}}", X "2: executing \"\" at <nil>: nil is not a command"},
		{"{{1 2}}", X "2: executing \"\" at <1>: can't give argument to non-function 1"},
		{"{{eq .Id 3}}", X
			"2: executing \"\" at <eq .Id 3>: error calling eq: incompatible types for comparison"},
		{"{{lt 1 \"a\"}}", X
			"2: executing \"\" at <lt 1 \"a\">: error calling lt: incompatible types for comparison"},
		{"{{join .Name \",\"}}", X
			"7: executing \"\" at <.Name>: wrong type for value; expected []string; got string"},
		{"\n{{slice .Id 9}}",
			"template parsing error: template: :2:2: executing \"\" at <slice .Id 9>: error calling slice: index out of range: 9"},
		{"{{.Id", P "unclosed action"},
		{"{{foo .Id}}", P "function \"foo\" not defined"},
		{"{{.Id | foo}}", P "function \"foo\" not defined"},
		{"{{.Id}} {{end}}", P "unexpected {{end}}"},
		{"{{else}}", P "unexpected {{else}}"},
		{"{{if .Id}}x", P "unexpected EOF"},
		{"{{\"abc}}", P "unterminated quoted string"},
		{"{{$x}}", P "undefined variable \"$x\""},
		{"{{if $x := 1}}{{end}}{{$x}}", P "undefined variable \"$x\""},
		{"{{break}}", P "{{break}} outside {{range}}"},
		{"{{.Id}", P "bad character U+007D '}'"},
		{"{{(.Id}}", P "unclosed left paren"},
		{"{{.Id)}}", P "unexpected right paren"},
		{"{{| .Id}}", P "unexpected \"|\" in command"},
		{"{{/* c }}", P "unclosed comment"},
		{"{{ - }}", P "illegal number syntax: \"-\""},
		{"{{}}", P "missing value for command"},
		{"{{if}}{{end}}", P "missing value for if"},
		{"{{.Id | 3}}", P "non executable command in pipeline stage 2"},
		{"{{define \"x\"}}{{end}}", P "{{define}} is not supported"},
	};
	ASSERT_ALL(list);
}

static void a_row_has_columns_and_labels(void **state)
{
	struct err e = {0};
	const struct format_style style = {.type = "*formatter.ContainerContext", .is_row = true};
	scoped(json) json_t *row = parse(
		"{\"ID\":\"a<b\",\"Size\":\"1B\",\"Labels\":\"x=1\",\"_labels\":{\"x\":\"1\"}}");
	static const struct expected list[] = {
		{"{{.Label \"x\"}}{{.Label \"y\"}}|{{\"x\" | .Label}}", "1|1"},
		{"{{json .}}", "{\"ID\":\"a\\u003cb\",\"Labels\":\"x=1\",\"Size\":\"1B\"}"},
		{"{{json .ID}}", "\"a<b\""},
		{"{{.Foo}}",
			"template: :1:2: executing \"\" at <.Foo>: can't evaluate field Foo in type *formatter.ContainerContext"},
		{"{{._labels}}",
			"template: :1:2: executing \"\" at <._labels>: can't evaluate field _labels in type *formatter.ContainerContext"},
		{"{{.ID .Size}}",
			"template: :1:2: executing \"\" at <.ID>: wrong number of args for ID: want 0 got 1"},
		{"{{.Label}}",
			"template: :1:2: executing \"\" at <.Label>: wrong number of args for Label: want 1 got 0"},
	};
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		scoped(buf) struct buf got = BUF_INIT;
		scoped(format) struct format *f = format_new("", list[i].template, &e);
		assert_non_null(f);
		const char *shown =
			format_run(f, row, &style, &got, &e) < 0 ? e.msg : buf_str(&got);
		assert_string_equal(shown, list[i].want);
	}
}

static void titles_go_through_functions(void **state)
{
	struct err e = {0};
	const struct format_style style = {.is_titles = true};
	scoped(json) json_t *titles = parse("{\"ID\":\"CONTAINER ID\",\"Names\":\"NAMES\"}");
	scoped(buf) struct buf got = BUF_INIT;
	scoped(format) struct format *f = format_new("",
		"{{.ID}}|{{lower .Names}}|{{truncate .ID 3}}|{{json .}}|{{.Label \"com.example.my_label\"}}|{{if .ID}}x{{end}}",
		&e);
	assert_non_null(f);
	assert_int_equal(format_run(f, titles, &style, &got, &e), 0);
	assert_string_equal(buf_str(&got), "CONTAINER ID|NAMES|CONTAINER ID||my label|x");
}

static void what_grows_has_an_end(void **state)
{
	struct err e;
	scoped(buf) struct buf deep = BUF_INIT;
	scoped(buf) struct buf parens = BUF_INIT;
	scoped(buf) struct buf out = BUF_INIT;
	scoped(json) json_t *doc = parse("{}");
	for (int i = 0; i < 100; i++) {
		buf_puts(&deep, "{{if 1}}");
		buf_puts(&parens, i ? "(" : "{{(");
	}
	assert_int_equal(format_check(buf_str(&deep), &e), -1);
	assert_non_null(strstr(e.msg, "more than 64"));
	assert_int_equal(format_check(buf_str(&parens), &e), -1);
	assert_int_equal(
		format_print("{{range 100000}}{{range 100000}}{{end}}{{end}}", doc, &out, &e), -1);
	assert_non_null(strstr(e.msg, "too much"));
}

static void escapes_are_for_lists(void **state)
{
	scoped(free) char *text = format_unescape("a\\tb\\n\\x");
	assert_string_equal(text, "a\tb\n\\x");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_print_as_go_values),
		cmocka_unit_test(blocks_and_variables),
		cmocka_unit_test(functions_are_those_of_docker),
		cmocka_unit_test(wrong_templates_are_said_in_gos_words),
		cmocka_unit_test(a_row_has_columns_and_labels),
		cmocka_unit_test(titles_go_through_functions),
		cmocka_unit_test(what_grows_has_an_end),
		cmocka_unit_test(escapes_are_for_lists),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
