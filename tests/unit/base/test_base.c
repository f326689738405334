/* Unit tests of src/base: one group per header. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/regex.h"
#include "base/strv.h"
#include "base/text.h"
#include "base/timestamp.h"

static void long_message_is_cut_at_a_whole_character(void **state)
{
	struct err e;
	char text[sizeof(e.msg) + 8];
	memset(text, 'a', sizeof(text));
	memcpy(text + sizeof(e.msg) - 2, "é", 2); /* its second byte does not fit */
	text[sizeof(text) - 1] = '\0';

	int r = err_set(&e, ERR_INVALID, "%s", text);

	assert_int_equal(r, -1);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 2);
	assert_int_equal(e.msg[strlen(e.msg) - 1], 'a');
}

/* JSON could not hold it otherwise. */
static void a_message_is_utf8_whatever_it_names(void **state)
{
	struct err e;
	err_set(&e, ERR_INVALID, "'%.2s' and '%s'", "a\303\274", "\355\240\200\303\274\377");
	assert_string_equal(e.msg, "'a?' and '???\303\274?'");
}

static void wrapping_keeps_kind_and_cause(void **state)
{
	struct err e;
	err_set(&e, ERR_NOT_FOUND, "No such image: x");

	err_wrap(&e, "cannot start %s", "web");

	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "cannot start web: No such image: x");
}

static void buffer_refuses_a_peers_bytes_beyond_its_limit(void **state)
{
	scoped(buf) struct buf b = BUF_INIT;

	assert_int_equal(buf_append_limited(&b, "12345", 5, 8), 0);
	assert_int_equal(buf_append_limited(&b, "6789", 4, 8), -ENOBUFS);
	assert_string_equal(buf_str(&b), "12345");
	assert_int_equal(buf_append_limited(&b, "678", 3, 8), 0);
}

static void buffer_drops_from_the_front(void **state)
{
	scoped(buf) struct buf b = BUF_INIT;
	buf_printf(&b, "%s %d", "answer", 42);

	buf_consume(&b, 7);

	assert_string_equal(buf_str(&b), "42");
}

static void map_keeps_insertion_order_over_removals(void **state)
{
	struct map *m = map_new();
	char key[16];
	for (intptr_t i = 1; i <= 1000; i++) {
		snprintf(key, sizeof(key), "k%d", (int)i);
		assert_null(map_put(m, key, (void *)i));
	}
	for (int i = 2; i <= 1000; i += 2) {
		snprintf(key, sizeof(key), "k%d", i);
		assert_non_null(map_remove(m, key));
	}
	assert_null(map_put(m, "last", (void *)2000));

	size_t pos = 0;
	intptr_t before = 0;
	size_t n = 0;
	void *v;
	while ((v = map_next(m, &pos, NULL))) {
		assert_true((intptr_t)v > before);
		before = (intptr_t)v;
		n++;
	}
	assert_int_equal(n, 501);
	assert_int_equal(map_count(m), 501);
	assert_null(map_get(m, "k2"));
	assert_ptr_equal(map_get(m, "k999"), (void *)999);
	map_free(m);
}

static void map_survives_many_rounds_of_put_and_remove(void **state)
{
	struct map *m = map_new();
	for (int i = 0; i < 10000; i++) {
		map_put(m, "same", (void *)1);
		assert_ptr_equal(map_remove(m, "same"), (void *)1);
	}
	assert_null(map_get(m, "same"));
	assert_int_equal(map_count(m), 0);
	map_free(m);
}

static void environment_is_replaced_in_place(void **state)
{
	scoped(strv) struct strv env = STRV_INIT;
	strv_split(&env, "PATH=/bin,HOME=/root,A=1", ',');

	strv_env_set(&env, "HOME=/srv");
	strv_env_set(&env, "B=2");

	assert_string_equal(env.v[1], "HOME=/srv");
	assert_string_equal(env.v[3], "B=2");
	assert_string_equal(strv_env_get(&env, "A"), "1");
	assert_null(strv_env_get(&env, "HOM"));
}

static void times_print_as_go_prints_them(void **state)
{
	char text[CLOCK_TEXT_MAX];
	assert_string_equal(clock_format(0, text), "0001-01-01T00:00:00Z");
	assert_string_equal(clock_format(1795331066 * NS_PER_SEC, text), "2026-11-22T07:04:26Z");
	assert_string_equal(
		clock_format(1795331066 * NS_PER_SEC + 120000000, text), "2026-11-22T07:04:26.12Z");
	assert_string_equal(clock_format_ns(1795331066 * NS_PER_SEC + 5, text),
		"2026-11-22T07:04:26.000000005Z");
}

static void times_are_read_with_offset_and_fraction(void **state)
{
	static const struct {
		const char *text;
		int64_t ns;
	} good[] = {
		{"2026-11-22T07:04:26Z", 1795331066 * NS_PER_SEC},
		{"2026-11-22T08:04:26+01:00", 1795331066 * NS_PER_SEC},
		{"2026-11-22T07:04:26.5Z", 1795331066 * NS_PER_SEC + 500000000},
		{"0001-01-01T00:00:00Z", 0},
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		int64_t ns = -1;
		assert_int_equal(clock_parse(good[i].text, &ns), 0);
		assert_int_equal(ns, good[i].ns);
	}
	static const char *const bad[] = {"", "2026", "2026-13-01T00:00:00Z", "2026-11-22T07:04:26",
		"2026-11-22T07:04:26.Z", "2026-11-22T07:04:26Zx", "2026-11-22T07:04:26+1:00"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int64_t ns;
		assert_int_equal(clock_parse(bad[i], &ns), -EINVAL);
	}
}

static void spans_read_as_dockers(void **state)
{
	static const struct {
		int64_t seconds;
		const char *text;
	} cases[] = {{0, "Less than a second"}, {1, "1 second"}, {59, "59 seconds"},
		{60, "About a minute"}, {119, "About a minute"}, {120, "2 minutes"},
		{3599, "59 minutes"}, {3600, "About an hour"}, {2 * 3600, "2 hours"},
		{47 * 3600, "47 hours"}, {48 * 3600, "2 days"}, {13 * 86400, "13 days"},
		{14 * 86400, "2 weeks"}, {60 * 86400, "2 months"}, {3 * 365 * 86400, "3 years"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[CLOCK_TEXT_MAX];
		assert_string_equal(clock_human(cases[i].seconds, text), cases[i].text);
	}
}

static void spans_read_as_gos(void **state)
{
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {{1, "1ms"}, {50, "50ms"}, {1000, "1s"}, {1500, "1.5s"}, {30050, "30.05s"},
		{90000, "1m30s"}, {3600000, "1h0m0s"}, {3661001, "1h1m1.001s"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char text[CLOCK_TEXT_MAX];
		assert_string_equal(clock_go_span(cases[i].ms, text), cases[i].text);
	}
}

/* Recorded from dockerd 26.1.5. */
static void a_wrong_character_is_named_as_go_does(void **state)
{
	static const char *const cases[][2] = {
		{"{invalid", "'i' looking for beginning of object key string"},
		{"{\"a\" 1}", "'1' after object key"},
		{"{\"a\":1 x", "'x' after object key:value pair"},
		{"{\"a\":[1 2]}", "'2' after array element"},
		{"{\"a\":}", "'}' looking for beginning of value"},
		{"{\"a\":nope}", "'o' in literal null (expecting 'u')"},
		{"{'a'}", "'\\'' looking for beginning of object key string"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		char wanted[100];
		snprintf(wanted, sizeof(wanted), "invalid JSON: invalid character %s", cases[i][1]);
		assert_null(json_parse_body(cases[i][0], strlen(cases[i][0]), &e));
		assert_string_equal(e.msg, wanted);
	}
}

/* As Docker's GetTimestamp: a duration counts back from now, also none at all; "0" alone is 1970.
 */
static void durations_are_times_before_now(void **state)
{
	int64_t v;
	const int64_t now = 100000 * NS_PER_SEC;
	assert_int_equal(timestamp_parse("10m", now, &v), 0);
	assert_int_equal(v, now - 600 * NS_PER_SEC);
	assert_int_equal(timestamp_parse("0s", now, &v), 0);
	assert_int_equal(v, now);
	assert_int_equal(timestamp_parse("0", now, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(timestamp_parse("17", now, &v), 0);
	assert_int_equal(v, 17 * NS_PER_SEC);
	assert_int_equal(timestamp_parse("soon", now, &v), -EINVAL);
}

static void sizes_and_durations_are_parsed_whole(void **state)
{
	int64_t v;
	assert_int_equal(parse_size("64m", &v), 0);
	assert_int_equal(v, 64 << 20);
	assert_int_equal(parse_size("1.5g", &v), 0);
	assert_int_equal(v, 1610612736);
	assert_int_equal(parse_size("10 MB", &v), 0);
	assert_int_equal(v, 10 << 20);
	assert_int_equal(parse_size("2kib", &v), 0);
	assert_int_equal(v, 2048);
	assert_int_equal(parse_size("12x", &v), -EINVAL);
	assert_int_equal(parse_size("", &v), -EINVAL);
	assert_int_equal(parse_size("9999999999g", &v), -ERANGE);

	assert_int_equal(parse_duration("1m30s", &v), 0);
	assert_int_equal(v, 90 * NS_PER_SEC);
	assert_int_equal(parse_duration("1.5h", &v), 0);
	assert_int_equal(v, 5400 * NS_PER_SEC);
	assert_int_equal(parse_duration("300ms", &v), 0);
	assert_int_equal(v, 300 * NS_PER_MS);
	assert_int_equal(parse_duration("0", &v), 0);
	assert_int_equal(parse_duration("10", &v), -EINVAL);
	assert_int_equal(parse_duration("s", &v), -EINVAL);
	assert_int_equal(parse_duration("99999999999h", &v), -ERANGE);
}

static void signals_have_names_and_numbers(void **state)
{
	int n;
	assert_int_equal(parse_signal("SIGTERM", &n), 0);
	assert_int_equal(n, 15);
	assert_int_equal(parse_signal("hup", &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(parse_signal("9", &n), 0);
	assert_int_equal(n, 9);
	assert_int_equal(parse_signal("0", &n), -ERANGE);
	assert_int_equal(parse_signal("SIGFOO", &n), -EINVAL);
}

static void paths_are_cleaned_as_go_does(void **state)
{
	static const char *const cases[][2] = {{"/a/./b/../c//", "/a/c"}, {"", "."}, {"..", ".."},
		{"../a/../..", "../.."}, {"/..", "/"}, {"a//b", "a/b"}, {"/", "/"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *clean = path_clean(cases[i][0]);
		assert_string_equal(clean, cases[i][1]);
	}
	assert_false(path_is_component("a/b"));
	assert_false(path_is_component(".."));
	assert_false(path_is_component(""));
	assert_true(path_is_component("..."));
}

struct folder {
	char path[64];
	int fd;
};

static int make_folder(void **state)
{
	struct folder *f = xnew(struct folder);
	strcpy(f->path, "/tmp/wherry-base-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return 0;
}

static int remove_folder(void **state)
{
	struct folder *f = *state;
	path_remove_tree(AT_FDCWD, f->path);
	close(f->fd);
	free(f);
	return 0;
}

static void links_are_resolved_inside_the_root(void **state)
{
	struct folder *f = *state;
	assert_int_equal(mkdirat(f->fd, "run", 0755), 0);
	assert_int_equal(symlinkat("/run", f->fd, "var"), 0);
	assert_int_equal(symlinkat("../../../../../../etc", f->fd, "up"), 0);

	scoped(close) int inside = path_mkdir_in(f->fd, "/var/lock/deep", 0755);
	scoped(close) int escaped = path_open_in(f->fd, "up/passwd", O_RDONLY, 0);

	assert_true(inside >= 0);
	assert_int_equal(faccessat(f->fd, "run/lock/deep", F_OK, 0), 0);
	assert_int_equal(escaped, -ENOENT); /* the root has no /etc of its own */
}

static void a_dangling_link_is_no_directory(void **state)
{
	struct folder *f = *state;
	assert_int_equal(symlinkat("nowhere", f->fd, "link"), 0);

	assert_int_equal(path_mkdir_in(f->fd, "link/below", 0755), -ENOTDIR);
	assert_int_equal(faccessat(f->fd, "nowhere", F_OK, 0), -1);
}

static void a_tree_is_removed_without_following_links(void **state)
{
	struct folder *f = *state;
	assert_int_equal(mkdirat(f->fd, "keep", 0755), 0);
	assert_int_equal(mkdirat(f->fd, "gone", 0755), 0);
	assert_int_equal(mkdirat(f->fd, "gone/below", 0755), 0);
	assert_int_equal(symlinkat("../keep", f->fd, "gone/link"), 0);
	assert_int_equal(path_write(f->fd, "keep/file", "x", 1, 0644, false), 0);

	assert_int_equal(path_remove_tree(f->fd, "gone"), 0);

	assert_int_equal(faccessat(f->fd, "gone", F_OK, 0), -1);
	assert_int_equal(faccessat(f->fd, "keep/file", F_OK, 0), 0);
	assert_int_equal(path_remove_tree(f->fd, "gone"), 0);
}

static void a_tree_that_is_small_goes_and_a_larger_one_is_told(void **state)
{
	struct folder *f = *state;
	assert_int_equal(mkdirat(f->fd, "three", 0755), 0);
	assert_int_equal(mkdirat(f->fd, "three/below", 0755), 0);
	assert_int_equal(path_write(f->fd, "three/below/file", "x", 1, 0644, false), 0);
	assert_int_equal(path_remove_small_tree(f->fd, "three", 2), -E2BIG);
	assert_int_equal(path_remove_small_tree(f->fd, "three", 3), 0);
	assert_int_equal(faccessat(f->fd, "three", F_OK, 0), -1);

	assert_int_equal(mkdirat(f->fd, "large", 0755), 0);
	int fd = openat(f->fd, "large/file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(posix_fallocate(fd, 0, (2 << 20)), 0);
	close(fd);
	assert_int_equal(path_remove_small_tree(f->fd, "large", 100), -E2BIG);
	assert_int_equal(faccessat(f->fd, "large/file", F_OK, 0), 0);
}

static void a_file_is_replaced_whole_and_read_within_its_limit(void **state)
{
	struct folder *f = *state;
	scoped(buf) struct buf text = BUF_INIT;
	assert_int_equal(path_write(f->fd, "x", "one", 3, 0600, true), 0);
	assert_int_equal(path_write(f->fd, "x", "second", 6, 0600, false), 0);

	assert_int_equal(path_read(f->fd, "x", 5, &text), -EFBIG);
	assert_int_equal(path_read(f->fd, "x", 6, &text), 0);
	assert_string_equal(buf_str(&text), "second");
	assert_int_equal(faccessat(f->fd, "x.tmp", F_OK, 0), -1);
}

static void base64_takes_both_alphabets_and_missing_padding(void **state)
{
	static const char *const same[] = {"e30=", "e30", "+/+/", "-_-_"};
	static const char *const bytes[] = {"{}", "{}", "\xfb\xff\xbf", "\xfb\xff\xbf"};
	for (size_t i = 0; i < 4; i++) {
		scoped(buf) struct buf out = BUF_INIT;
		assert_int_equal(base64_decode(same[i], strlen(same[i]), &out), 0);
		assert_string_equal(buf_str(&out), bytes[i]);
	}
	scoped(buf) struct buf out = BUF_INIT;
	assert_int_equal(base64_decode("a", 1, &out), -EINVAL);
	assert_int_equal(base64_decode("a$==", 4, &out), -EINVAL);
	base64_encode("{}", 2, &out);
	assert_string_equal(buf_str(&out), "e30=");
}

static void percent_escapes_are_strict(void **state)
{
	scoped(buf) struct buf out = BUF_INIT;
	assert_int_equal(percent_decode("a%20b+c", 7, true, &out), 0);
	assert_string_equal(buf_str(&out), "a b c");
	assert_int_equal(percent_decode("%2", 2, false, &out), -EINVAL);
	assert_int_equal(percent_decode("%00", 3, false, &out), -EINVAL);
	assert_int_equal(percent_decode("%zz", 3, false, &out), -EINVAL);
}

static void json_errors_name_the_key_and_both_types(void **state)
{
	struct err e;
	const char *text = "{\"Memory\": \"1g\", \"Cmd\": [\"a\", 1], \"Nothing\": null}";
	scoped(json) json_t *doc = json_parse(text, strlen(text), "the body", &e);
	int64_t n;
	const char *s = "kept";
	scoped(strv) struct strv list = STRV_INIT;

	assert_int_equal(json_get_i64(doc, "Memory", 0, &n, &e), -1);
	assert_string_equal(e.msg, "invalid JSON: Memory must be a whole number, not a string");
	assert_int_equal(json_get_strv(doc, "Cmd", &list, &e), -1);
	assert_int_equal(json_get_str(doc, "Nothing", &s, &e), 0);
	assert_null(s);
}

static void hostile_json_is_refused(void **state)
{
	struct err e;
	char deep[400];
	memset(deep, '[', 200);
	memset(deep + 200, ']', 200);
	assert_null(json_parse(deep, sizeof(deep), "the body", &e));
	assert_int_equal(e.kind, ERR_INVALID);
	scoped(free) char *wide = xnew_array(char, 2 * JSON_BODY_VALUES_MAX + 3);
	for (size_t i = 0; i <= JSON_BODY_VALUES_MAX; i++) {
		memcpy(wide + 1 + 2 * i, "1,", 2);
	}
	wide[0] = '[';
	wide[2 * JSON_BODY_VALUES_MAX + 2] = ']';
	assert_null(json_parse_body(wide, 2 * JSON_BODY_VALUES_MAX + 3, &e));
	assert_non_null(strstr(e.msg, "the request body holds more than 131072 values"));
	assert_null(json_parse("{} x", 4, "the body", &e));
	assert_null(json_parse("{\"a\":1,\"a\":2}", 13, "the body", &e));
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

static void mac_addresses_are_those_of_one_interface(void **state)
{
	static const char *const wrong[] = {"", "02:42:ac:11:00", "02:42:ac:11:00:0g",
		"02:42:ac:11:00:022", "0242.ac11.0002...", "03:42:ac:11:00:02"};
	uint8_t mac[6];
	assert_int_equal(parse_mac("02:42:AC:11:00:0f", mac), 0);
	assert_memory_equal(mac, "\x02\x42\xac\x11\x00\x0f", 6);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(parse_mac(wrong[i], mac), -EINVAL);
	}
}

static void expressions_that_glibc_cannot_bound_are_told(void **state)
{
	static const char *const fine[] = {
		"", "^com\\.example\\.[a-z]{2,8}$", "(a|b)*c+?", "a{2}{3}", "\\(\\{9999}"};
	static const char *const costly[] = {"((a{255}){255}){255}", "a{1,9999}", "a{9999,}",
		"(a)\\1", "a{99999999999999999999}"};
	char deep[64];
	char wide[1024];
	memset(deep, '(', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	memset(wide, 'a', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';

	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++) {
		assert_false(regex_is_costly(fine[i]));
	}
	for (size_t i = 0; i < sizeof(costly) / sizeof(*costly); i++) {
		assert_true(regex_is_costly(costly[i]));
	}
	assert_true(regex_is_costly(deep));
	assert_true(regex_is_costly(wide));
}

static void records_of_commas_may_have_quotes(void **state)
{
	scoped(strv) struct strv fields = STRV_INIT;
	scoped(strv) struct strv ignored = STRV_INIT;

	assert_int_equal(strv_split_csv(&fields, "a,\"b,\"\"c\"\"\",,d"), 0);

	assert_int_equal(fields.n, 4);
	assert_string_equal(fields.v[1], "b,\"c\"");
	assert_string_equal(fields.v[2], "");
	assert_string_equal(fields.v[3], "d");
	assert_int_equal(strv_split_csv(&ignored, "a,\"b"), -EINVAL);
	assert_int_equal(strv_split_csv(&ignored, "\"b\"c"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mac_addresses_are_those_of_one_interface),
		cmocka_unit_test(long_message_is_cut_at_a_whole_character),
		cmocka_unit_test(a_message_is_utf8_whatever_it_names),
		cmocka_unit_test(wrapping_keeps_kind_and_cause),
		cmocka_unit_test(buffer_refuses_a_peers_bytes_beyond_its_limit),
		cmocka_unit_test(buffer_drops_from_the_front),
		cmocka_unit_test(map_keeps_insertion_order_over_removals),
		cmocka_unit_test(map_survives_many_rounds_of_put_and_remove),
		cmocka_unit_test(environment_is_replaced_in_place),
		cmocka_unit_test(times_print_as_go_prints_them),
		cmocka_unit_test(times_are_read_with_offset_and_fraction),
		cmocka_unit_test(spans_read_as_dockers),
		cmocka_unit_test(sizes_and_durations_are_parsed_whole),
		cmocka_unit_test(durations_are_times_before_now),
		cmocka_unit_test(signals_have_names_and_numbers),
		cmocka_unit_test(paths_are_cleaned_as_go_does),
		WITH_FOLDER(links_are_resolved_inside_the_root),
		WITH_FOLDER(a_dangling_link_is_no_directory),
		WITH_FOLDER(a_tree_is_removed_without_following_links),
		WITH_FOLDER(a_tree_that_is_small_goes_and_a_larger_one_is_told),
		WITH_FOLDER(a_file_is_replaced_whole_and_read_within_its_limit),
		cmocka_unit_test(base64_takes_both_alphabets_and_missing_padding),
		cmocka_unit_test(percent_escapes_are_strict),
		cmocka_unit_test(json_errors_name_the_key_and_both_types),
		cmocka_unit_test(hostile_json_is_refused),
		cmocka_unit_test(spans_read_as_gos),
		cmocka_unit_test(a_wrong_character_is_named_as_go_does),
		cmocka_unit_test(expressions_that_glibc_cannot_bound_are_told),
		cmocka_unit_test(records_of_commas_may_have_quotes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
