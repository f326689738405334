/* wherry/build_display.h: sequences recorded from BuildKit (buildx --progress=rawjson, dockerd
 * 26.1.5), and what buildx 0.13 --progress=plain printed of the same builds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "wherry/build_display.h"

#define SECOND NS_PER_SEC
#define BEGIN (INT64_C(1795000000) * SECOND)

static const char *source_dir;

static void read_file(const char *name, struct buf *ret)
{
	scoped(free) char *path = xasprintf("%s/build/%s", source_dir, name);
	assert_int_equal(path_read(AT_FDCWD, path, 1u << 20, ret), 0);
}

static int64_t time_of(const json_t *o, const char *key)
{
	int64_t ns = 0;
	if (*json_str(o, key)) {
		assert_int_equal(clock_parse(json_str(o, key), &ns), 0);
	}
	return ns;
}

/* One document of rawjson to the display. Returns the latest time in it. */
static int64_t feed(struct build_display *d, const json_t *doc, int64_t now_ns)
{
	struct build_update u = {0};
	struct build_vertex v = {0};
	struct build_status s = {0};
	struct build_log l = {0};
	scoped(buf) struct buf data = BUF_INIT;
	scoped(buf) struct buf ignored = BUF_INIT;
	size_t i;
	json_t *o;
	json_array_foreach (json_object_get(doc, "vertexes"), i, o) {
		v = (struct build_vertex){.digest = json_str(o, "digest"),
			.name = json_str(o, "name"),
			.error = json_str(o, "error"),
			.started_ns = time_of(o, "started"),
			.completed_ns = time_of(o, "completed"),
			.cached = json_bool(o, "cached")};
		u = (struct build_update){.vertices = &v, .n_vertices = 1};
		int64_t latest = v.completed_ns ? v.completed_ns : v.started_ns;
		now_ns = latest > now_ns ? latest : now_ns;
		build_display_update(d, "", &u, now_ns, &ignored);
	}
	json_array_foreach (json_object_get(doc, "statuses"), i, o) {
		s = (struct build_status){.vertex = json_str(o, "vertex"),
			.id = json_str(o, "id"),
			.current = json_i64(o, "current", 0),
			.total = json_i64(o, "total", 0),
			.time_ns = time_of(o, "timestamp"),
			.started_ns = time_of(o, "started"),
			.completed_ns = time_of(o, "completed")};
		u = (struct build_update){.statuses = &s, .n_statuses = 1};
		now_ns = s.time_ns > now_ns ? s.time_ns : now_ns;
		build_display_update(d, "", &u, now_ns, &ignored);
	}
	json_array_foreach (json_object_get(doc, "logs"), i, o) {
		const char *text = json_str(o, "data");
		assert_int_equal(base64_decode(text, strlen(text), &data), 0);
		l = (struct build_log){.vertex = json_str(o, "vertex"),
			.stream = 1,
			.data = data.data,
			.n = data.len,
			.time_ns = time_of(o, "timestamp")};
		u = (struct build_update){.logs = &l, .n_logs = 1};
		now_ns = l.time_ns > now_ns ? l.time_ns : now_ns;
		build_display_update(d, "", &u, now_ns, &ignored);
		buf_clear(&data);
	}
	return now_ns;
}

/* Plays a recording as the program does: refreshed every 100 ms. */
static void play(struct build_display *d, const char *name, struct buf *ret)
{
	scoped(buf) struct buf text = BUF_INIT;
	read_file(name, &text);
	int64_t now_ns = 0;
	int64_t refreshed_ns = 0;
	for (const char *p = buf_str(&text), *end = p + text.len; p < end;) {
		json_error_t je;
		scoped(json) json_t *doc =
			json_loadb(p, (size_t)(end - p), JSON_DISABLE_EOF_CHECK, &je);
		if (!doc) {
			break;
		}
		p += je.position;
		p += strspn(p, " \n");
		now_ns = feed(d, doc, now_ns);
		refreshed_ns = refreshed_ns ? refreshed_ns : now_ns;
		if (now_ns - refreshed_ns >= SECOND / 10) {
			refreshed_ns = now_ns;
			build_display_refresh(d, now_ns, ret);
		}
	}
	build_display_end(d, now_ns, ret);
}

/* Times and digests differ from run to run: "0.123" to "T", hex digests to "H"; a time of less than
 * 10 ms before "done" is not there at all. */
static char *without_times(const char *text)
{
	struct buf ret = BUF_INIT;
	for (const char *p = text; *p;) {
		size_t digits = strspn(p, "0123456789");
		size_t hex = strspn(p, "0123456789abcdef");
		if (hex >= 40) {
			buf_putc(&ret, 'H');
			p += hex;
		} else if (digits > 0 && p[digits] == '.' &&
			   isdigit((unsigned char)p[digits + 1])) {
			p += digits + 1;
			p += strspn(p, "0123456789");
			p += text_starts(p, "s done") ? 2 : 0;
			buf_puts(&ret, text_starts(p, "done") ? "" : "T");
		} else {
			buf_append(&ret, p, digits > 0 ? digits : 1);
			p += digits > 0 ? digits : 1;
		}
	}
	return buf_take_str(&ret);
}

static void plain_of_a_recorded_build_is_that_of_buildx(void **state)
{
	static const char *const names[] = {"ok", "fail"};
	for (size_t i = 0; i < 2; i++) {
		scoped(free) char *record = xasprintf("%s.rawjson", names[i]);
		scoped(free) char *expected_name = xasprintf("%s.plain", names[i]);
		scoped(buf) struct buf expected = BUF_INIT;
		scoped(buf) struct buf got = BUF_INIT;
		const struct build_display_options o = {.mode = DISPLAY_PLAIN,
			.title = "building with \"default\" instance using docker driver"};
		scoped(build_display_free) struct build_display *d = build_display_new(&o);

		play(d, record, &got);

		read_file(expected_name, &expected);
		scoped(free) char *a = without_times(buf_str(&got));
		scoped(free) char *b = without_times(buf_str(&expected));
		assert_string_equal(a, b);
	}
}

/* --- sequences of our own --- */

static void vertex(struct build_display *d, const char *digest, const char *name, int64_t from,
	int64_t to, const char *error)
{
	scoped(buf) struct buf ignored = BUF_INIT;
	const struct build_vertex v = {.digest = digest,
		.name = name,
		.error = error,
		.started_ns = from,
		.completed_ns = to};
	const struct build_update u = {.vertices = &v, .n_vertices = 1};
	build_display_update(d, "", &u, from, &ignored);
}

static void say(struct build_display *d, const char *digest, const char *text, int64_t at)
{
	scoped(buf) struct buf ignored = BUF_INIT;
	const struct build_log l = {
		.vertex = digest, .stream = 1, .data = text, .n = strlen(text), .time_ns = at};
	const struct build_update u = {.logs = &l, .n_logs = 1};
	build_display_update(d, "", &u, at, &ignored);
}

static struct build_display *open_display(enum build_display_mode mode)
{
	const struct build_display_options o = {.mode = mode};
	return build_display_new(&o);
}

static void a_step_that_is_interrupted_goes_on_under_its_number(void **state)
{
	scoped(build_display_free) struct build_display *d = open_display(DISPLAY_PLAIN);
	scoped(buf) struct buf got = BUF_INIT;

	vertex(d, "a", "[1/2] RUN a", BEGIN, 0, NULL);
	vertex(d, "b", "[2/2] RUN b", BEGIN, 0, NULL);
	say(d, "a", "first\nhalf", BEGIN + SECOND);
	build_display_refresh(d, BEGIN + SECOND, &got);
	vertex(d, "b", "[2/2] RUN b", BEGIN, BEGIN + 2 * SECOND, NULL);
	build_display_refresh(d, BEGIN + 2 * SECOND, &got);
	say(d, "a", " line\n", BEGIN + 3 * SECOND);
	vertex(d, "a", "[1/2] RUN a", BEGIN, BEGIN + 4 * SECOND, NULL);
	build_display_end(d, BEGIN + 4 * SECOND, &got);

	assert_string_equal(buf_str(&got),
		"#1 [1/2] RUN a\n#1 1.000 first\n#1 1.000 half\n#1 ...\n\n"
		"#2 [2/2] RUN b\n#2 DONE 2.0s\n\n"
		"#1 [1/2] RUN a\n#1  line\n#1 DONE 4.0s\n");
}

static void output_without_end_stays_in_bounds(void **state)
{
	scoped(build_display_free) struct build_display *d = open_display(DISPLAY_PLAIN);
	scoped(buf) struct buf got = BUF_INIT;
	scoped(free) char *line = xcalloc(1, 10001);
	memset(line, 'x', 10000);
	vertex(d, "a", "RUN yes", BEGIN, 0, NULL);

	for (int i = 0; i < 1000; i++) {
		say(d, "a", line, BEGIN);
		say(d, "a", i % 7 == 0 ? "\n" : "", BEGIN);
	}
	vertex(d, "a", "RUN yes", BEGIN, BEGIN + SECOND, "no");
	build_display_end(d, BEGIN + SECOND, &got);

	assert_true(got.len < TRACE_PENDING_MAX + (200u << 10));
	assert_non_null(strstr(buf_str(&got), "output clipped"));
	assert_non_null(strstr(buf_str(&got), "#1 ERROR: no\n"));
}

static void a_failed_step_shows_its_last_ten_lines(void **state)
{
	scoped(build_display_free) struct build_display *d = open_display(DISPLAY_PLAIN);
	scoped(buf) struct buf got = BUF_INIT;
	vertex(d, "a", "RUN x", BEGIN, 0, NULL);
	for (int i = 1; i <= 12; i++) {
		scoped(free) char *line = xasprintf("line %d\n", i);
		say(d, "a", line, BEGIN);
	}
	vertex(d, "a", "RUN x", BEGIN, BEGIN, "exit code: 1");
	build_display_refresh(d, BEGIN, &got);
	buf_clear(&got);

	build_display_end(d, BEGIN, &got);

	assert_true(text_starts(buf_str(&got), "------\n > RUN x:\n0.000 line 3\n"));
	assert_true(text_ends(buf_str(&got), "0.000 line 12\n------\n"));
}

static void a_terminal_shows_the_last_lines_of_what_runs(void **state)
{
	scoped(build_display_free) struct build_display *d = open_display(DISPLAY_TTY);
	scoped(buf) struct buf got = BUF_INIT;
	build_display_size(d, 40, 24);
	vertex(d, "a", "[1/2] FROM x", BEGIN, BEGIN + SECOND, NULL);
	vertex(d, "b", "[2/2] RUN y", BEGIN + SECOND, 0, NULL);
	for (int i = 1; i <= 9; i++) {
		scoped(free) char *line = xasprintf("line %d\n", i);
		say(d, "b", line, BEGIN + SECOND);
	}
	say(d, "b", "50%\r\033[31m99%", BEGIN + SECOND);

	build_display_refresh(d, BEGIN + 2 * SECOND, &got);

	assert_string_equal(buf_str(&got),
		"\033[?25l"
		"[+] Building 2.0s (1/2)                 \n"
		" => [1/2] FROM x                    1.0s\n"
		" => [2/2] RUN y                     1.0s\n"
		" => => # line 5\033[K\n => => # line 6\033[K\n => => # line 7\033[K\n"
		" => => # line 8\033[K\n => => # line 9\033[K\n => => # 99%\033[K\n"
		"\033[J\033[?25h");

	buf_clear(&got);
	vertex(d, "b", "[2/2] RUN y", BEGIN + SECOND, BEGIN + 3 * SECOND, NULL);
	build_display_end(d, BEGIN + 3 * SECOND, &got);

	assert_string_equal(buf_str(&got), "\033[?25l\033[9A\r"
					   "[+] Building 3.0s (2/2) FINISHED        \n"
					   " => [1/2] FROM x                    1.0s\n"
					   " => [2/2] RUN y                     2.0s\n"
					   "\033[J\033[?25h");
}

static void a_small_terminal_keeps_what_runs(void **state)
{
	scoped(build_display_free) struct build_display *d = open_display(DISPLAY_TTY);
	scoped(buf) struct buf got = BUF_INIT;
	build_display_size(d, 40, 6);
	vertex(d, "slow", "slow", BEGIN, 0, NULL);
	for (int i = 0; i < 10; i++) {
		scoped(free) char *name = xasprintf("quick %d", i);
		vertex(d, name, name, BEGIN, BEGIN, NULL);
	}

	build_display_refresh(d, BEGIN, &got);

	size_t lines = 0;
	for (const char *p = buf_str(&got); (p = strchr(p, '\n')); p++) {
		lines++;
	}
	assert_in_range(lines, 3, 5); /* the cursor's own line is the sixth */
	assert_non_null(strstr(buf_str(&got), "=> slow"));
	assert_non_null(strstr(buf_str(&got), "=> quick 9"));
	assert_null(strstr(buf_str(&got), "=> quick 1 "));
}

static void builds_of_several_services_are_told_apart(void **state)
{
	scoped(build_display_free) struct build_display *d = open_display(DISPLAY_PLAIN);
	scoped(buf) struct buf got = BUF_INIT;
	const struct build_vertex v = {.digest = "same",
		.name = "[1/2] RUN a",
		.started_ns = BEGIN,
		.completed_ns = BEGIN,
		.cached = true};
	const struct build_update u = {.vertices = &v, .n_vertices = 1};

	build_display_update(d, "web", &u, BEGIN, &got);
	build_display_update(d, "db", &u, BEGIN, &got);
	build_display_end(d, BEGIN, &got);

	assert_string_equal(
		buf_str(&got), "#1 [web 1/2] RUN a\n#1 CACHED\n\n#2 [db 1/2] RUN a\n#2 CACHED\n");
}

static void warnings_come_with_rule_line_and_source(void **state)
{
	scoped(build_display_free) struct build_display *d = open_display(DISPLAY_PLAIN);
	scoped(buf) struct buf got = BUF_INIT;
	scoped(buf) struct buf ignored = BUF_INIT;
	const char *const detail[] = {"Stage names should be lowercase"};
	const struct build_warning w = {.vertex = "a",
		.brief = "StageNameCasing: Stage name 'Foo'",
		.file = "Dockerfile",
		.source = "# x\nFROM bb AS Foo\n",
		.line = 2,
		.detail = detail,
		.n_detail = 1};
	const struct build_update u = {.warnings = &w, .n_warnings = 1};
	vertex(d, "a", "load", BEGIN, BEGIN, NULL);
	build_display_update(d, "", &u, BEGIN, &ignored);

	build_display_warnings(d, &got);

	assert_string_equal(buf_str(&got),
		"\n 1 warning found:\n - StageNameCasing: Stage name 'Foo' (line 2)\n"
		"   Stage names should be lowercase\nDockerfile:2\n--------------------\n"
		"   1 |     # x\n   2 | >>> FROM bb AS Foo\n--------------------\n");
}

static void a_screen_swallows_what_would_command_the_terminal(void **state)
{
	static const struct {
		const char *written, *shown;
	} known[] = {
		{"a\033[2Jb", "ab"},
		{"\033]0;title\007text", "text"},
		{"\033Pq#0\033\\x", "x"},
		{"old text\rnew\033[K", "new"},
		{"ab\bc", "ac"},
		{"a\tb", "a       b"},
		{"\303\244\377\303", "\303\244\357\277\275"},
		{"\302\233"
		 "31mx",
			"31mx"},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		scoped(build_screen_free) struct build_screen *s = build_screen_new(6);
		scoped(buf) struct buf got = BUF_INIT;
		build_screen_write(s, known[i].written, strlen(known[i].written));
		build_screen_line(s, 0, 80, &got);
		assert_string_equal(buf_str(&got), known[i].shown);
	}
}

static void words_of_a_dockerfile_do_not_command_the_terminal(void **state)
{
	scoped(build_display_free) struct build_display *d = open_display(DISPLAY_PLAIN);
	scoped(buf) struct buf got = BUF_INIT;
	scoped(buf) struct buf ignored = BUF_INIT;
	const struct build_warning w = {
		.vertex = "a", .brief = "b\033]0;x\007", .source = "", .line = 1};
	const struct build_update u = {.warnings = &w, .n_warnings = 1};
	vertex(d, "a", "RUN \033[2J\nx\302\2331m", BEGIN, 0, NULL);
	build_display_update(d, "", &u, BEGIN, &ignored);
	vertex(d, "a", "RUN \033[2J\nx\302\2331m", BEGIN, BEGIN, "bad\033c\nway");

	build_display_end(d, BEGIN, &got);
	build_display_warnings(d, &got);

	assert_string_equal(buf_str(&got),
		"#1 RUN  [2J x 1m\n#1 WARN: b ]0;x \n#1 ERROR: bad c\nway\n"
		"------\n > RUN  [2J x 1m:\n------\n\n 1 warning found:\n - b ]0;x  (line 1)\n");
}

static void raw_updates_are_the_json_of_buildx(void **state)
{
	scoped(build_display_free) struct build_display *d = open_display(DISPLAY_RAWJSON);
	scoped(buf) struct buf got = BUF_INIT;
	const struct build_log l = {
		.vertex = "sha256:a", .stream = 1, .data = "hi\n", .n = 3, .time_ns = BEGIN + 5};
	const struct build_update u = {.logs = &l, .n_logs = 1};

	build_display_update(d, "", &u, BEGIN, &got);

	assert_string_equal(buf_str(&got),
		"{\n  \"logs\": [\n    {\n      \"vertex\": \"sha256:a\",\n      \"stream\": 1,\n"
		"      \"data\": \"aGkK\",\n      \"timestamp\": \"2026-11-18T11:06:40.000000005Z\"\n"
		"    }\n  ]\n}\n");
}

int main(int argc, char **argv)
{
	source_dir = argc > 1 ? argv[1] : ".";
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_of_a_recorded_build_is_that_of_buildx),
		cmocka_unit_test(a_step_that_is_interrupted_goes_on_under_its_number),
		cmocka_unit_test(output_without_end_stays_in_bounds),
		cmocka_unit_test(a_failed_step_shows_its_last_ten_lines),
		cmocka_unit_test(a_terminal_shows_the_last_lines_of_what_runs),
		cmocka_unit_test(a_small_terminal_keeps_what_runs),
		cmocka_unit_test(builds_of_several_services_are_told_apart),
		cmocka_unit_test(warnings_come_with_rule_line_and_source),
		cmocka_unit_test(a_screen_swallows_what_would_command_the_terminal),
		cmocka_unit_test(words_of_a_dockerfile_do_not_command_the_terminal),
		cmocka_unit_test(raw_updates_are_the_json_of_buildx),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
