/* YAML, interpolation, dotenv and command splitting. */
#include "files.h"

#include "base/json.h"
#include "base/mem.h"
#include "compose/env.h"
#include "compose/interpolate.h"
#include "compose/words.h"
#include "compose/yaml.h"

/* ---- YAML ---- */

static char *yaml_json(const char *text, struct err *e)
{
	struct tree *t = tree_new();
	struct node *docs = yaml_parse(t, "f", text, strlen(text), e);
	char *json = NULL;
	if (docs) {
		scoped(json) json_t *doc = node_json(docs);
		json = json_dumps(doc, JSON_COMPACT | JSON_REAL_PRECISION(12));
	}
	tree_free(t);
	return json;
}

static void yaml_gives(const char *text, const char *json)
{
	struct err e = {0};
	char *got = yaml_json(text, &e);
	if (!got || strcmp(got, json) != 0) {
		print_error("%s\n gave %s (%s)\n", text, got ? got : "nothing", e.msg);
	}
	assert_non_null(got);
	assert_string_equal(got, json);
	free(got);
}

static void yaml_fails(const char *text, const char *message)
{
	struct err e = {0};
	char *got = yaml_json(text, &e);
	assert_null(got);
	if (!strstr(e.msg, message)) {
		print_error("%s\n said: %s\n", text, e.msg);
	}
	assert_non_null(strstr(e.msg, message));
	assert_int_equal(e.kind, ERR_INVALID);
}

static void scalars_are_read_as_go_reads_them(void **state)
{
	yaml_gives("[yes, no, on, off, y, n]", "[[\"yes\",\"no\",\"on\",\"off\",\"y\",\"n\"]]");
	yaml_gives("[true, True, FALSE, ~, null, ]", "[[true,true,false,null,null]]");
	yaml_gives("[010, 0o10, 0x1F, 0b101, 1_000, 0123456]", "[[8,8,31,5,1000,42798]]");
	yaml_gives("[22:22, 12:30:45, 1.2.3.4, 3.8.1]",
		"[[\"22:22\",\"12:30:45\",\"1.2.3.4\",\"3.8.1\"]]");
	yaml_gives("['010', \"true\", !!str 5]", "[[\"010\",\"true\",\"5\"]]");
	yaml_gives("a:\nb: ''", "[{\"a\":null,\"b\":\"\"}]");
	yaml_gives("- |\n  a\n   b\n- >\n  c\n  d\n", "[[\"a\\n b\\n\",\"c d\\n\"]]");
}

static void floats_print_as_go_prints_them(void **state)
{
	static const char *const pairs[][2] = {{"1.10", "1.1"}, {"1.0", "1"},
		{"1000000.0", "1e+06"}, {".5", "0.5"}, {"123456789.123", "1.23456789123e+08"},
		{"0.00001", "1e-05"}, {"08", "8"}, {"019", "19"}, {"-1.5", "-1.5"}};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		struct err e;
		scoped(tree_free) struct tree *t = tree_new();
		struct node *docs = yaml_parse(t, "f", pairs[i][0], strlen(pairs[i][0]), &e);
		assert_non_null(docs);
		assert_string_equal(docs->members[0].value->text, pairs[i][1]);
	}
}

static void merge_keys_keep_own_values_and_the_first_source(void **state)
{
	yaml_gives("x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\nz:\n  b: 0\n  <<: [*x, *y]\n",
		"[{\"x\":{\"a\":1,\"b\":2},\"y\":{\"b\":3,\"c\":4},\"z\":{\"b\":0,\"a\":1,\"c\":4}}]");
	yaml_gives("x: &x 1\ny: *x\nz: &x 2\nw: *x\n", "[{\"x\":1,\"y\":1,\"z\":2,\"w\":2}]");
	yaml_fails("a: 5\nb:\n  <<: 5\n", "f:3:7: << takes a mapping");
	yaml_fails("x: &x {a: 1}\nb: {<<: *x, <<: *x}\n", "already set");
}

static void syntax_errors_have_a_position(void **state)
{
	yaml_fails("a: 1\nb: [1\n", "f:");
	yaml_fails("a:\n\t- b\n", "f:2:1: not valid YAML: tab");
	yaml_fails("a: 1\nb: 2\na: 3\n", "f:3:1: key \"a\" is already set in line 1");
	yaml_fails("a: *none\n", "f:1:4: alias *none");
	yaml_fails("a: !secret b\n", "f:1:");
	yaml_fails("{a: 1}: 2\n", "f:1:1: a key must be a string");
	yaml_fails("a: 1\nb: \"c\\0d\"\n", "f:2:4: a NUL byte in a value");
}

static void an_alias_inside_of_its_anchor_is_told_with_the_way_to_it(void **state)
{
	yaml_fails("a: &a [*a]\n", "f:1:8: alias cycle detected: &a (f:1:7) -> *a (f:1:8)");
	yaml_fails("a: &a\n  b: &b\n    - *a\n",
		"f:3:7: alias cycle detected: &a (f:2:3) -> &b (f:3:5) -> *a (f:3:7)");
	yaml_fails("x: &x\na: &a\n  <<: &b\n    <<: *a\n",
		"f:4:9: alias cycle detected: &a (f:3:3) -> &b (f:4:5) -> *a (f:4:9)");
	yaml_fails("x: &o\n  a: &a\n    b: *a\n",
		"f:3:8: alias cycle detected: &a (f:3:5) -> *a (f:3:8)"); /* &o is not on it */
	yaml_gives("a: &a {b: &a 1, c: *a}\n", "[{\"a\":{\"b\":1,\"c\":1}}]");
	yaml_gives("a: &a {b: &b [x]}\nc: *b\nd: *a\n",
		"[{\"a\":{\"b\":[\"x\"]},\"c\":[\"x\"],\"d\":{\"b\":[\"x\"]}}]");
}

static void bytes_that_are_no_text_are_refused_where_they_stand(void **state)
{
	static const struct {
		const char *text;
		size_t n;
		const char *message;
	} cases[] = {
		{"a: 1\nb: \xc3\xa4\0c\n", 12, "f:2:5: a NUL byte"},
		{"a: 1\n\0", 6, "f:2:1: a NUL byte"},
		{"a: \xff\n", 5, "f:1:4: not UTF-8"},
		{"a: 1 # \xc3\n", 9, "f:1:8: not UTF-8"},
		{"a: \xed\xa0\x80\n", 7, "f:1:4: not UTF-8"},     /* a surrogate */
		{"a: \xe0\x80\xaf\n", 7, "f:1:4: not UTF-8"},     /* too long a form */
		{"a: \xf4\x90\x80\x80\n", 8, "f:1:4: not UTF-8"}, /* beyond U+10FFFF */
		{"a: \xe2\x82", 5, "f:1:4: not UTF-8"},
		{"\xff\xfe"
		 "a\0",
			4, "f:1:1: the text is UTF-16"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		scoped(tree_free) struct tree *t = tree_new();
		assert_null(yaml_parse(t, "f", cases[i].text, cases[i].n, &e));
		if (!strstr(e.msg, cases[i].message)) {
			print_error("%zu said: %s\n", i, e.msg);
		}
		assert_non_null(strstr(e.msg, cases[i].message));
	}
	yaml_gives("a: \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\n",
		"[{\"a\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"}]");
}

/* What libfyaml would keep hundreds of megabytes of tokens for. */
static void texts_of_nothing_but_tokens_are_refused(void **state)
{
	static const struct {
		const char *piece, *message;
	} cases[] = {
		{"[", "f:1:10001: more than 10000 brackets"},
		{"{a: ", "more than 10000 brackets"},
		{" [\n", "f:10001:2: more than 10000 brackets"},
		{"[],", "f:1:100001: more than 100000 punctuation marks"},
		{"? ", "f:1:200001: more than 100000 punctuation marks"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(buf) struct buf text = BUF_INIT;
		while (text.len < 1000000) {
			buf_puts(&text, cases[i].piece);
		}
		yaml_fails(buf_str(&text), cases[i].message);
	}
	scoped(buf) struct buf text = BUF_INIT;
	buf_puts(&text, "a: [\n");
	for (int i = 0; i < 9000; i++) {
		buf_puts(&text, "  [], \n"); /* what is closed does not count */
	}
	buf_puts(&text, "  ]\n");
	struct err e = {0};
	free(yaml_json(buf_str(&text), &e));
	assert_string_equal(e.msg, "");
}

/* Looked up by an index, which has to know what was taken out. */
static void large_mappings_find_what_they_have(void **state)
{
	scoped(tree_free) struct tree *t = tree_new();
	struct node *map = node_new(t, NODE_MAP, NULL);
	for (int i = 0; i < 500; i++) {
		node_put(t, map, tree_printf(t, "k%d", i), node_int(t, i, NULL));
	}
	for (int i = 0; i < 500; i += 3) {
		node_remove(map, tree_printf(t, "k%d", i));
	}
	map->members[0] = map->members[map->n - 1];
	node_truncate(map, map->n - 1);
	node_put(t, map, "new", node_int(t, 500, NULL)); /* as many as before */
	for (int i = 0; i < 500; i++) {
		const char *text = node_text(map, tree_printf(t, "k%d", i));
		bool gone = i % 3 == 0 || i == 1; /* k1 was overwritten */
		assert_int_equal(gone, text == NULL);
		assert_true(gone || strcmp(text, tree_printf(t, "%d", i)) == 0);
	}
	assert_string_equal(node_text(map, "new"), "500");
}

static void directives_that_the_parser_does_not_survive_are_refused(void **state)
{
	yaml_gives("%YAML 1.1\n---\na: 1\n", "[{\"a\":1}]");
	yaml_gives("%YAML 1.2  \n---\na: 1\n", "[{\"a\":1}]");
	yaml_fails("%a", "f:1:1: a line that begins with %");
	yaml_fails("%YAML 1.1", "f:1:1: a line that begins with %");
	yaml_fails("a: 1\r%a", "f:1:6: a line that begins with %");
	yaml_fails("a: 1\xc2\x85%a", "f:1:6: a line that begins with %");
	yaml_fails("a: 1\n...\n%TAG ! x\n---\n", "f:3:1: a line that begins with %");
}

/* Nine levels of nine aliases would be 387 million values. */
static void alias_bombs_meet_the_budget(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	buf_puts(&text, "a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
	for (int i = 1; i < 10; i++) {
		buf_printf(&text, "a%d: &a%d [", i, i);
		for (int k = 0; k < 9; k++) {
			buf_printf(&text, "%s*a%d", k ? "," : "", i - 1);
		}
		buf_puts(&text, "]\n");
	}
	yaml_fails(buf_str(&text), "more than 20000 values after aliases are expanded");
}

static void depth_is_limited(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	for (int i = 0; i < 5000; i++) {
		buf_putc(&text, '[');
	}
	yaml_fails(buf_str(&text), "f:1:");
}

/* ---- interpolation ---- */

static const char *lookup(void *owner, const char *name)
{
	return strcmp(name, "SET") == 0     ? "value"
	       : strcmp(name, "EMPTY") == 0 ? ""
	       : strcmp(name, "D") == 0     ? "$SET"
					    : NULL;
}

static int expand(const char *text, struct buf *ret, struct strv *unset, struct err *e)
{
	const struct variables vars = {.lookup = lookup, .unset = unset};
	return interpolate(text, &vars, ret, e);
}

static void variables_are_replaced(void **state)
{
	static const char *const pairs[][2] = {{"a$SET.b", "avalue.b"}, {"${SET}", "value"},
		{"$NONE|", "|"}, {"${NONE:-d}", "d"}, {"${EMPTY:-d}", "d"}, {"${EMPTY-d}", ""},
		{"${SET:-d}", "value"}, {"${SET:+x}", "x"}, {"${EMPTY:+x}", ""},
		{"${EMPTY+x}", "x"}, {"${NONE+x}", ""}, {"${SET:?no}", "value"}, {"$$SET", "$SET"},
		{"$1 $( a$", "$1 $( a$"}, {"${A:-${B:-${SET}}}", "value"},
		{"${U:-{\"a\":\"b\"}}", "{\"a\":\"b\"}"}, {"${U:-a}}", "a}"}, {"$D", "$SET"},
		{"${SET:-${NONE:?never}}", "value"}, {"${A:-b:?c}", "b:?c"},
		{"$SET$SET", "valuevalue"}, {"${U:-$$x}", "$x"}};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		scoped(buf) struct buf got = BUF_INIT;
		struct err e = {0};
		int r = expand(pairs[i][0], &got, NULL, &e);
		if (r < 0 || strcmp(buf_str(&got), pairs[i][1]) != 0) {
			print_error("%s gave %s %s\n", pairs[i][0], buf_str(&got), e.msg);
		}
		assert_int_equal(r, 0);
		assert_string_equal(buf_str(&got), pairs[i][1]);
	}
}

static void broken_variables_are_refused(void **state)
{
	static const char *const texts[] = {
		"${", "${}", "${A", "${ A }", "${A!x}", "${1}", "${SET", "x${A:}", "${U:-${V}"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		scoped(buf) struct buf got = BUF_INIT;
		struct err e = {0};
		assert_int_equal(expand(texts[i], &got, NULL, &e), -1);
		assert_non_null(strstr(e.msg, "invalid interpolation format"));
	}
	scoped(buf) struct buf got = BUF_INIT;
	struct err e;
	assert_int_equal(expand("${NONE:?say $SET}", &got, NULL, &e), -1);
	assert_string_equal(e.msg, "required variable NONE is missing a value: say value");
	assert_int_equal(expand("${EMPTY:?}", &got, NULL, &e), -1);
	assert_string_equal(e.msg, "required variable EMPTY is missing a value");
}

static void unset_variables_are_collected_once(void **state)
{
	scoped(buf) struct buf got = BUF_INIT;
	scoped(strv) struct strv unset = STRV_INIT;
	struct err e;
	assert_int_equal(expand("$A ${A} ${B:-x} $C $SET", &got, &unset, &e), 0);
	assert_int_equal(unset.n, 2);
	assert_string_equal(unset.v[0], "A");
	assert_string_equal(unset.v[1], "C");
}

static void deep_nesting_is_refused(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf got = BUF_INIT;
	struct err e;
	for (int i = 0; i < 200; i++) {
		buf_puts(&text, "${A:-");
	}
	for (int i = 0; i < 200; i++) {
		buf_putc(&text, '}');
	}
	assert_int_equal(expand(buf_str(&text), &got, NULL, &e), -1);
}

/* ---- dotenv ---- */

static void dotenv_gives(const char *text, const char *name, const char *value)
{
	struct err e = {0};
	scoped(env_free) struct env *outer = env_new();
	scoped(env_free) struct env *into = env_new();
	env_set(outer, "OUT", "outer");
	int r = dotenv_parse(".env", text, strlen(text), false, outer, into, &e);
	const char *got = env_get(into, name);
	if (r < 0 || !got || !value || strcmp(got, value) != 0) {
		if (value || got) {
			print_error("%s: %s=%s %s\n", text, name, got ? got : "(unset)", e.msg);
		}
	}
	assert_int_equal(r, 0);
	if (value) {
		assert_non_null(got);
		assert_string_equal(got, value);
	} else {
		assert_null(got);
	}
}

static void dotenv_grammar(void **state)
{
	dotenv_gives("A=b", "A", "b");
	dotenv_gives("\xef\xbb\xbf# c\r\n\r\nexport A = b \r\n", "A", "b");
	dotenv_gives("A: b", "A", "b");
	dotenv_gives("A=b # comment", "A", "b");
	dotenv_gives("A=b#no comment", "A", "b#no comment");
	dotenv_gives("A='b # $OUT \\n'", "A", "b # $OUT \\n");
	dotenv_gives("A=\"b\\n\\t\\\"$OUT\\$X\"", "A", "b\n\t\"outer$X");
	dotenv_gives("A=\"line\ntwo\" # c\nB=3", "A", "line\ntwo");
	dotenv_gives("A=\"line\ntwo\" # c\nB=3", "B", "3");
	dotenv_gives("A=1\nB=${A}2$OUT", "B", "12outer");
	dotenv_gives("A=\nB=x", "A", "");
	dotenv_gives("OUT", "OUT", "outer");
	dotenv_gives("NOWHERE\nA=1", "NOWHERE", NULL);
	dotenv_gives("A.b-c[0]=x", "A.b-c[0]", "x");
	dotenv_gives("A=1\nA=2", "A", "2");
	dotenv_gives("A=a=b=c", "A", "a=b=c");
}

static void dotenv_errors_have_a_position(void **state)
{
	static const char *const texts[] = {
		"A=1\nB C=2", "A=1\n*=2", "A=1\nB=\"open", "A=1\nB='x' y", "\n=v", "A=1\nB=${"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct err e = {0};
		scoped(env_free) struct env *into = env_new();
		assert_int_equal(
			dotenv_parse(".env", texts[i], strlen(texts[i]), false, NULL, into, &e),
			-1);
		assert_memory_equal(e.msg, ".env:2:", 7);
	}
}

static void raw_env_files_have_no_syntax(void **state)
{
	const char *text = "A=\"$x\" # y\nB='\n";
	struct err e;
	scoped(env_free) struct env *into = env_new();
	assert_int_equal(dotenv_parse("f", text, strlen(text), true, NULL, into, &e), 0);
	assert_string_equal(env_get(into, "A"), "\"$x\" # y");
	assert_string_equal(env_get(into, "B"), "'");
}

/* ---- words ---- */

static void words_are(const char *text, const char *joined)
{
	scoped(strv) struct strv words = STRV_INIT;
	scoped(buf) struct buf got = BUF_INIT;
	struct err e = {0};
	assert_int_equal(words_split(text, &words, &e), 0);
	for (size_t i = 0; i < words.n; i++) {
		buf_printf(&got, "<%s>", words.v[i]);
	}
	assert_string_equal(buf_str(&got), joined);
}

static void commands_are_split_as_a_shell_would(void **state)
{
	words_are("a  b\tc", "<a><b><c>");
	words_are("sh -c 'a b' \"c 'd'\" e\\ f", "<sh><-c><a b><c 'd'><e f>");
	words_are("a '' b", "<a><><b>");
	words_are("a\"b\"'c'", "<abc>");
	words_are("echo a; rm b", "<echo><a>");
	words_are("echo a && b", "<echo><a>");
	words_are("echo $(a b) c", "<echo><$(a b)><c>");
	words_are("", "");
	scoped(strv) struct strv words = STRV_INIT;
	struct err e;
	assert_int_equal(words_split("a 'b", &words, &e), -1);
	assert_int_equal(words_split("a (b", &words, &e), -1);
	assert_int_equal(words_split("a $(b", &words, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_are_read_as_go_reads_them),
		cmocka_unit_test(floats_print_as_go_prints_them),
		cmocka_unit_test(merge_keys_keep_own_values_and_the_first_source),
		cmocka_unit_test(syntax_errors_have_a_position),
		cmocka_unit_test(an_alias_inside_of_its_anchor_is_told_with_the_way_to_it),
		cmocka_unit_test(bytes_that_are_no_text_are_refused_where_they_stand),
		cmocka_unit_test(texts_of_nothing_but_tokens_are_refused),
		cmocka_unit_test(large_mappings_find_what_they_have),
		cmocka_unit_test(directives_that_the_parser_does_not_survive_are_refused),
		cmocka_unit_test(alias_bombs_meet_the_budget),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(variables_are_replaced),
		cmocka_unit_test(broken_variables_are_refused),
		cmocka_unit_test(unset_variables_are_collected_once),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(dotenv_grammar),
		cmocka_unit_test(dotenv_errors_have_a_position),
		cmocka_unit_test(raw_env_files_have_no_syntax),
		cmocka_unit_test(commands_are_split_as_a_shell_would),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
