/* The json-file log as the shim writes it: every line must be readable, whatever the container says
 * and the disk does. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "shim/shim.h"

#define PART 16384

struct fixture {
	char folder[64];
	char *path;
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	strcpy(f->folder, "/tmp/wherry-shim-log-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->path = xasprintf("%s/c-json.log", f->folder);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	path_remove_tree(AT_FDCWD, f->folder);
	free(f->path);
	free(f);
	return 0;
}

static void say(struct log *l, int stream, const char *text)
{
	log_write(l, stream, text, strlen(text));
}

/* The lines of file NUMBER (0: the live one) as an array of objects; every line must be JSON. NULL
 * when there is none. */
static json_t *lines_of(const struct fixture *f, int number)
{
	scoped(free) char *name = number ? xasprintf("%s.%d", f->path, number) : xstrdup(f->path);
	scoped(buf) struct buf text = BUF_INIT;
	if (path_read(AT_FDCWD, name, 16u << 20, &text) < 0) {
		return NULL;
	}
	json_t *list = json_array();
	for (const char *p = buf_str(&text); *p;) {
		size_t n = strcspn(p, "\n");
		struct err e;
		json_t *o = json_parse(p, n, "the line", &e);
		assert_non_null(o);
		assert_int_equal(p[n], '\n');
		json_array_append_new(list, o);
		p += n + 1;
	}
	return list;
}

static const char *text_at(const json_t *list, size_t i)
{
	return json_str(json_array_get(list, i), "log");
}

static void a_line_has_text_stream_and_time(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});
	int64_t before = clock_real_ns();

	say(l, 1, "hello\n");
	say(l, 2, "oops\n");
	log_end(l);

	scoped(json) json_t *lines = lines_of(f, 0);
	int64_t at;
	assert_int_equal(json_array_size(lines), 2);
	assert_string_equal(text_at(lines, 0), "hello\n");
	assert_string_equal(json_str(json_array_get(lines, 0), "stream"), "stdout");
	assert_string_equal(json_str(json_array_get(lines, 1), "stream"), "stderr");
	assert_int_equal(clock_parse(json_str(json_array_get(lines, 0), "time"), &at), 0);
	assert_true(at >= before && at <= clock_real_ns());
	log_free(l);
}

/* Byte for byte as dockerd writes it: tools read these files with regular expressions. */
static void the_bytes_are_dockers(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});

	say(l, 1, "a\"b\\c\td<e>&\x7f\r\n");
	log_end(l);

	scoped(buf) struct buf text = BUF_INIT;
	assert_int_equal(path_read(AT_FDCWD, f->path, 4096, &text), 0);
	static const char head[] =
		"{\"log\":\"a\\\"b\\\\c\\u0009d\\u003ce\\u003e\\u0026\x7f\\r\\n\",\"stream\":\"stdout\",\"time\":\"";
	assert_memory_equal(text.data, head, sizeof(head) - 1);
	assert_string_equal(text.data + text.len - 4, "Z\"}\n");
	assert_int_equal(
		text.len, sizeof(head) - 1 + strlen("2026-11-24T16:20:01.123456789Z\"}\n"));
	log_free(l);
}

static void control_characters_and_utf8_come_back(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});
	static const char said[] = "\x01\x1b[31m\x1f ü€𐍈\xf4\x8f\xbf\xbf ok\n";

	say(l, 1, said);
	log_end(l);

	scoped(json) json_t *lines = lines_of(f, 0);
	assert_string_equal(text_at(lines, 0), said);
	log_free(l);
}

static void a_nul_byte_is_kept(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});

	log_write(l, 1, "a\0b\n", 4);
	log_end(l);

	scoped(json) json_t *lines = lines_of(f, 0);
	const json_t *text = json_object_get(json_array_get(lines, 0), "log");
	assert_int_equal(json_string_length(text), 4);
	assert_memory_equal(json_string_value(text), "a\0b\n", 4);
	log_free(l);
}

/* Each byte that is not part of a character becomes U+FFFD, as Go's json does. RFC 3629. */
static void bytes_that_are_no_utf8_are_replaced(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *said, *written;
	} cases[] = {{"\xff\n", "�\n"}, {"a\x80z\n", "a�z\n"}, {"\xc3\n", "�\n"},
		{"\xc0\xaf\n", "��\n"}, {"\xe0\x80\xaf\n", "���\n"}, {"\xed\xa0\x80\n", "���\n"},
		{"\xf0\x80\x80\x80\n", "����\n"}, {"\xf4\x90\x80\x80\n", "����\n"},
		{"\xf8\x88\x80\x80\x80\n", "�����\n"}, {"\xe2\x82\n", "��\n"},
		{"\xe2\x82q\n", "��q\n"}};
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		say(l, 1, cases[i].said);
	}
	log_end(l);

	scoped(json) json_t *lines = lines_of(f, 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_string_equal(text_at(lines, i), cases[i].written);
	}
	log_free(l);
}

static void pieces_are_one_line_and_streams_do_not_mix(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});

	say(l, 1, "on");
	say(l, 2, "two ");
	say(l, 1, "e\nand");
	say(l, 2, "parts\n");
	log_flush(l);
	scoped(json) json_t *before = lines_of(f, 0);
	log_end(l);
	scoped(json) json_t *after = lines_of(f, 0);

	assert_int_equal(json_array_size(before), 2); /* "and" is unfinished */
	assert_string_equal(text_at(after, 0), "one\n");
	assert_string_equal(text_at(after, 1), "two parts\n");
	assert_string_equal(text_at(after, 2), "and"); /* without a newline: as it was said */
	log_free(l);
}

static void a_character_in_two_reads_is_whole(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});

	log_write(l, 1, "\xe2", 1);
	log_write(l, 1, "\x82", 1);
	log_write(l, 1, "\xac\n", 2);
	log_end(l);

	scoped(json) json_t *lines = lines_of(f, 0);
	assert_string_equal(text_at(lines, 0), "€\n");
	log_free(l);
}

/* dockerd daemon/logger/copier.go: parts of 16 KiB, only the last with a newline. */
static void a_long_line_is_cut_as_docker_cuts_it(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});
	scoped(free) char *said = xnew_array(char, 2 * PART + 4);
	memset(said, 'x', 2 * PART + 1);
	strcpy(said + 2 * PART + 1, "y\n");

	say(l, 1, said);
	log_end(l);

	scoped(json) json_t *lines = lines_of(f, 0);
	assert_int_equal(json_array_size(lines), 3);
	assert_int_equal(strlen(text_at(lines, 0)), PART);
	assert_int_equal(strlen(text_at(lines, 1)), PART);
	assert_string_equal(text_at(lines, 2), "xy\n");
	log_free(l);
}

/* Every byte as \u00xx at the greatest length, again and again: the output buffer must hold it. */
static void the_worst_lines_fit(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});
	scoped(free) char *said = xnew_array(char, PART);
	memset(said, 1, PART);

	for (int i = 0; i < 20; i++) {
		log_write(l, 1 + i % 2, said, PART);
	}
	log_end(l);

	scoped(json) json_t *lines = lines_of(f, 0);
	assert_int_equal(json_array_size(lines), 20);
	assert_int_equal(strlen(text_at(lines, 19)), PART);
	log_free(l);
}

/* --- rotation --- */

static void files_rotate_at_their_size_and_the_oldest_goes(void **state)
{
	struct fixture *f = *state;
	struct log *l =
		log_open(&(struct log_options){.path = f->path, .max_bytes = 1000, .files = 3});
	struct stat st;

	for (int i = 0; i < 100; i++) {
		char text[16];
		snprintf(text, sizeof(text), "%d\n", i);
		say(l, 1, text);
		log_flush(l);
	}
	log_end(l);

	scoped(json) json_t *live = lines_of(f, 0);
	scoped(json) json_t *older = lines_of(f, 1);
	scoped(json) json_t *oldest = lines_of(f, 2);
	assert_null(lines_of(f, 3));
	assert_string_equal(text_at(live, json_array_size(live) - 1), "99\n");
	assert_int_equal(
		atoi(text_at(older, json_array_size(older) - 1)) + 1, atoi(text_at(live, 0)));
	assert_int_equal(
		atoi(text_at(oldest, json_array_size(oldest) - 1)) + 1, atoi(text_at(older, 0)));
	scoped(free) char *name = xasprintf("%s.1", f->path);
	assert_int_equal(stat(name, &st), 0);
	assert_in_range(st.st_size, 1000, 1100); /* the line that reaches the limit is the last */
	log_free(l);
}

static void a_burst_rotates_too(void **state)
{
	struct fixture *f = *state;
	struct log *l =
		log_open(&(struct log_options){.path = f->path, .max_bytes = 1000, .files = 2});
	scoped(buf) struct buf said = BUF_INIT;
	for (int i = 0; i < 50; i++) {
		buf_printf(&said, "%d\n", i);
	}

	log_write(l, 1, said.data, said.len); /* one read of the pipe */
	log_end(l);

	scoped(json) json_t *live = lines_of(f, 0);
	scoped(json) json_t *older = lines_of(f, 1);
	assert_non_null(older);
	assert_string_equal(text_at(live, json_array_size(live) - 1), "49\n");
	assert_in_range(json_array_size(older), 10, 20);
	log_free(l);
}

static void a_single_file_begins_anew(void **state)
{
	struct fixture *f = *state;
	struct log *l =
		log_open(&(struct log_options){.path = f->path, .max_bytes = 500, .files = 1});
	struct stat st;

	for (int i = 0; i < 100; i++) {
		say(l, 1, "line\n");
		log_flush(l);
		assert_int_equal(stat(f->path, &st), 0);
		assert_in_range(st.st_size, 1, 600);
	}

	assert_null(lines_of(f, 1));
	log_free(l);
}

static void a_restarted_container_goes_on_in_its_file(void **state)
{
	struct fixture *f = *state;
	struct log *l =
		log_open(&(struct log_options){.path = f->path, .max_bytes = 1000, .files = 2});
	for (int i = 0; i < 13; i++) {
		say(l, 1, "first run\n");
	}
	log_end(l);
	log_free(l);

	l = log_open(&(struct log_options){.path = f->path, .max_bytes = 1000, .files = 2});
	say(l, 1, "second run\n");
	log_end(l);
	log_free(l);

	scoped(json) json_t *live = lines_of(f, 0);
	scoped(json) json_t *older = lines_of(f, 1);
	assert_int_equal(
		json_array_size(older) + json_array_size(live), 14); /* the size so far counts */
	assert_string_equal(text_at(live, json_array_size(live) - 1), "second run\n");
	assert_true(json_array_size(older) > 0);
}

static void the_log_is_not_for_everybody(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});
	struct stat st;

	assert_int_equal(stat(f->path, &st), 0);

	assert_int_equal(st.st_mode & 0007, 0);
	log_free(l);
}

/* --- who reads, another format, a writer of its own --- */

static bool is_there(const struct fixture *f, int number)
{
	scoped(free) char *name = xasprintf("%s.%d", f->path, number);
	return access(name, F_OK) == 0;
}

static void say_many(struct log *l, int lines)
{
	for (int i = 0; i < lines; i++) {
		say(l, 1, "line\n");
		log_flush(l);
	}
}

static void rotated_files_stay_while_somebody_reads(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *lock = xasprintf("%s.readers", f->path);
	struct log *l =
		log_open(&(struct log_options){.path = f->path, .max_bytes = 1000, .files = 2});
	int reader = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(reader, LOCK_SH), 0);

	say_many(l, 100);
	assert_true(is_there(f, 5));
	close(reader);
	say_many(l, 30);

	assert_true(is_there(f, 1));
	assert_false(is_there(f, 2));
	log_free(l);
}

/* More than SPARE_FILES_MAX rotations: a reader that is stuck keeps no more alive. */
static void what_is_kept_for_readers_is_bounded(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *lock = xasprintf("%s.readers", f->path);
	struct log *l =
		log_open(&(struct log_options){.path = f->path, .max_bytes = 100, .files = 2});
	scoped(close) int reader = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(reader, LOCK_SH), 0);

	say_many(l, 300);

	assert_true(is_there(f, 101));
	assert_false(is_there(f, 102));
	log_free(l);
}

static void the_local_format_is_time_stream_and_bytes(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(
		&(struct log_options){.path = f->path, .format = LOG_FORMAT_LOCAL, .files = 1});

	say(l, 1, "a\xff\"\n");
	say(l, 2, "part");
	log_end(l);

	scoped(buf) struct buf text = BUF_INIT;
	assert_int_equal(path_read(AT_FDCWD, f->path, 4096, &text), 0);
	assert_int_equal(text.len, 2 * (19 + 1 + 1) + 3 + 4);
	assert_int_equal(strspn(text.data, "0123456789"), 19);
	assert_memory_equal(text.data + 19, "oa\xff\"\n", 5);
	assert_memory_equal(text.data + 24 + 19, "Epart\n", 6);
	log_free(l);
}

static void members_of_a_file_stand_in_every_line(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *extra = xasprintf("%s/extra", f->folder);
	static const char members[] = "\"attrs\":{\"a\":\"b\"},";
	assert_int_equal(path_write(AT_FDCWD, extra, members, sizeof(members) - 1, 0600, false), 0);
	struct log *l =
		log_open(&(struct log_options){.path = f->path, .extra = extra, .files = 1});

	say(l, 1, "one\ntwo\n");
	log_end(l);

	scoped(json) json_t *lines = lines_of(f, 0);
	for (size_t i = 0; i < 2; i++) {
		const json_t *attrs = json_object_get(json_array_get(lines, i), "attrs");
		assert_string_equal(json_str(attrs, "a"), "b");
	}
	log_free(l);
}

static void a_writer_of_its_own_writes_everything_before_the_end(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(
		&(struct log_options){.path = f->path, .files = 1, .buffer_bytes = 1 << 20});
	assert_non_null(l);

	for (int i = 0; i < 2000; i++) {
		char text[32];
		snprintf(text, sizeof(text), "line %d\n", i);
		say(l, 1, text);
		log_flush(l);
	}
	log_end(l);

	scoped(json) json_t *lines = lines_of(f, 0);
	assert_int_equal(json_array_size(lines), 2000);
	assert_string_equal(text_at(lines, 1999), "line 1999\n");
	log_free(l);
}

static void a_full_buffer_drops_and_does_not_wait(void **state)
{
	struct fixture *f = *state;
	struct log *l =
		log_open(&(struct log_options){.path = f->path, .files = 1, .buffer_bytes = 10});

	say(l, 1, "this line is longer than the buffer\n");
	say(l, 1, "short\n");
	log_end(l);

	scoped(json) json_t *lines = lines_of(f, 0);
	assert_int_equal(json_array_size(lines), 1);
	assert_string_equal(text_at(lines, 0), "short\n");
	log_free(l);
}

/* --- a disk that does not take it --- */

static void a_full_disk_stops_nothing(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(symlink("/dev/full", f->path),
		0); /* never rotated: nothing is ever written to it */
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});
	assert_non_null(l);

	for (int i = 0; i < 100000; i++) {
		say(l, 1, "a line that nobody will ever read, and another, and another\n");
	}
	log_end(l);
	log_free(l);
}

/* The disk fills in the middle of a line and is emptied again: what comes then must be readable. */
static void a_torn_line_does_not_take_the_next_along(void **state)
{
	struct fixture *f = *state;
	struct log *l = log_open(&(struct log_options){.path = f->path, .files = 1});
	struct rlimit before;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);

	say(l, 1, "whole\n");
	log_flush(l);
	struct rlimit tight = {100, before.rlim_max}; /* in the middle of the second line */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	say(l, 1, "torn\n");
	log_flush(l);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	say(l, 1, "after\n");
	log_end(l);

	scoped(json) json_t *lines = lines_of(f, 0);
	assert_int_equal(json_array_size(lines), 2);
	assert_string_equal(text_at(lines, 0), "whole\n");
	assert_string_equal(text_at(lines, 1), "after\n");
	log_free(l);
}

static void a_place_that_cannot_be_opened_is_said(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *nowhere = xasprintf("%s/no/such/folder", f->folder);
	scoped(free) char *longest = xnew_array(char, 5000);
	memset(longest, 'x', 4999);

	assert_null(log_open(&(struct log_options){.path = nowhere, .files = 1}));
	assert_int_equal(errno, ENOENT);
	assert_null(log_open(&(struct log_options){.path = longest, .files = 1}));
	assert_int_equal(errno, ENAMETOOLONG);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(a_line_has_text_stream_and_time),
		WITH(the_bytes_are_dockers),
		WITH(control_characters_and_utf8_come_back),
		WITH(a_nul_byte_is_kept),
		WITH(bytes_that_are_no_utf8_are_replaced),
		WITH(pieces_are_one_line_and_streams_do_not_mix),
		WITH(a_character_in_two_reads_is_whole),
		WITH(a_long_line_is_cut_as_docker_cuts_it),
		WITH(the_worst_lines_fit),
		WITH(files_rotate_at_their_size_and_the_oldest_goes),
		WITH(a_burst_rotates_too),
		WITH(a_single_file_begins_anew),
		WITH(a_restarted_container_goes_on_in_its_file),
		WITH(the_log_is_not_for_everybody),
		WITH(rotated_files_stay_while_somebody_reads),
		WITH(what_is_kept_for_readers_is_bounded),
		WITH(the_local_format_is_time_stream_and_bytes),
		WITH(members_of_a_file_stand_in_every_line),
		WITH(a_writer_of_its_own_writes_everything_before_the_end),
		WITH(a_full_buffer_drops_and_does_not_wait),
		WITH(a_full_disk_stops_nothing),
		WITH(a_torn_line_does_not_take_the_next_along),
		WITH(a_place_that_cannot_be_opened_is_said),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
