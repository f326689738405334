/* Reading a container's log back: rotated files, tail, time bounds, holding, following. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "container/logs.h"
#include "fixture.h"

/* What a reader has said so far: "text" for stdout, "!text" for stderr. */
struct heard {
	struct buf text;
	struct log_reader *reader;
	int lines, ends;
	int hold_after; /* lines; 0: never */
	int free_after; /* lines; 0: never */
	bool free_at_end;
};

static bool hear_line(void *owner, int stream, const char *data, size_t n)
{
	struct heard *h = owner;
	if (stream == 2) {
		buf_putc(&h->text, '!');
	}
	buf_append(&h->text, data, n);
	h->lines++;
	if (h->lines == h->free_after) {
		log_reader_free(TAKE(h->reader));
		return true;
	}
	return h->lines != h->hold_after;
}

static void hear_end(void *owner)
{
	struct heard *h = owner;
	h->ends++;
	if (h->free_at_end) {
		log_reader_free(TAKE(h->reader));
	}
}

static const struct log_handlers handlers = {hear_line, NULL, hear_end};
static const struct log_query everything = {.out = true, .err = true, .tail = -1};

/* Appends lines "N", one a second from 2026-01-01 on, to the live file or a rotated one. */
static void put_lines(struct fixture *f, int rotated, int from, int to)
{
	scoped(free) char *live = container_log_path(f->anchor);
	scoped(free) char *name = rotated ? xasprintf("%s.%d", live, rotated) : xstrdup(live);
	assert_int_equal(path_mkdirs(f->anchor->dir, 0755), 0);
	scoped(fclose) FILE *file = fopen(name, "ae");
	assert_non_null(file);
	for (int i = from; i <= to; i++) {
		fprintf(file,
			"{\"log\":\"%d\\n\",\"stream\":\"%s\",\"time\":\"2026-01-01T00:00:%02d.5Z\"}\n",
			i, i % 3 == 0 ? "stderr" : "stdout", i % 60);
	}
}

static void idle_turn(uv_idle_t *idle)
{
	if (++*(int *)idle->data == 200) {
		uv_close((uv_handle_t *)idle, NULL);
	}
}

/* Turns the loop as often as any of these tests needs; the reader's own handles keep no loop alive.
 */
static void turn(struct fixture *f)
{
	int turns = 0;
	uv_idle_t idle = {.data = &turns};
	uv_idle_init(f->loop, &idle);
	uv_idle_start(&idle, idle_turn);
	uv_run(f->loop, UV_RUN_DEFAULT);
}

static void begin(struct fixture *f, struct heard *h, const struct log_query *q)
{
	if (!f->anchor->host_config) {
		f->anchor->host_config = json_object();
	}
	h->reader = log_reader_new(f->anchor, q, &handlers, h, &f->e);
	assert_non_null(h->reader);
	assert_int_equal(h->lines + h->ends, 0); /* no callback from inside */
}

static const char *read_with(struct fixture *f, struct heard *h, struct log_query q)
{
	begin(f, h, &q);
	turn(f);
	return buf_str(&h->text);
}

static void scoped_heard(struct heard *h)
{
	log_reader_free(h->reader);
	buf_deinit(&h->text);
}

static int64_t second(int s)
{
	return INT64_C(1767225600000000000) + s * INT64_C(1000000000); /* 2026-01-01T00:00:00Z */
}

static void all_lines_come_once_and_then_the_end(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};
	put_lines(f, 0, 1, 3);

	assert_string_equal(read_with(f, &h, everything), "1\n2\n!3\n");

	assert_int_equal(h.ends, 1);
}

static void no_log_is_an_end_at_once(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};

	assert_string_equal(read_with(f, &h, everything), "");

	assert_int_equal(h.ends, 1);
}

static void rotated_files_come_first_oldest_of_all(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};
	put_lines(f, 2, 1, 2);
	put_lines(f, 1, 4, 5);
	put_lines(f, 0, 7, 8);

	assert_string_equal(read_with(f, &h, everything), "1\n2\n4\n5\n7\n8\n");
}

static void a_missing_live_file_does_not_hide_the_rotated_ones(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};
	put_lines(f, 1, 1, 2);

	assert_string_equal(read_with(f, &h, everything), "1\n2\n");

	assert_int_equal(h.ends, 1);
}

static void a_tail_counts_across_files(void **state)
{
	struct fixture *f = *state;
	static const struct {
		int64_t tail;
		const char *expected;
	} cases[] = {{0, ""}, {1, "8\n"}, {2, "7\n8\n"}, {3, "5\n7\n8\n"}, {5, "2\n4\n5\n7\n8\n"},
		{100, "1\n2\n4\n5\n7\n8\n"}};
	put_lines(f, 2, 1, 2);
	put_lines(f, 1, 4, 5);
	put_lines(f, 0, 7, 8);

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(heard) struct heard h = {0};
		struct log_query q = everything;
		q.tail = cases[i].tail;
		assert_string_equal(read_with(f, &h, q), cases[i].expected);
		assert_int_equal(h.ends, 1);
	}
}

static void bounds_in_time_cut_both_ends(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard both = {0};
	scoped(heard) struct heard since = {0};
	struct log_query q = everything;
	put_lines(f, 1, 1, 2);
	put_lines(f, 0, 4, 8);

	q.since_ns = second(5);
	assert_string_equal(read_with(f, &since, q), "5\n!6\n7\n8\n");
	q.since_ns = second(2);
	q.until_ns = second(5);
	assert_string_equal(read_with(f, &both, q), "2\n4\n"); /* "5" is of 5.5 s */

	assert_int_equal(both.ends, 1);
}

static void only_the_streams_asked_for(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard out = {0};
	scoped(heard) struct heard err = {0};
	put_lines(f, 0, 1, 6);

	assert_string_equal(
		read_with(f, &out, (struct log_query){.out = true, .tail = -1}), "1\n2\n4\n5\n");
	assert_string_equal(
		read_with(f, &err, (struct log_query){.err = true, .tail = -1}), "!3\n!6\n");
}

static void a_timestamp_has_nine_digits(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};
	struct log_query q = everything;
	q.timestamps = true;
	put_lines(f, 0, 1, 1);

	assert_string_equal(read_with(f, &h, q), "2026-01-01T00:00:01.500000000Z 1\n");
}

/* After a power cut: half a line, zeros, a line of another program. */
static void torn_lines_are_left_out(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};
	put_lines(f, 0, 1, 1);
	scoped(free) char *live = container_log_path(f->anchor);
	scoped(fclose) FILE *file = fopen(live, "ae");
	static const char junk[] =
		"{\"log\":\"half\n\0\0\0\0\n\n[]\n{\"log\":\"x\\n\",\"stream\":\"stdout\",\"time\":\"yesterday\"}\n";
	fwrite(junk, 1, sizeof(junk) - 1, file);
	fflush(file);
	put_lines(f, 0, 2, 2);

	assert_string_equal(read_with(f, &h, everything), "1\n2\n");
}

static void a_line_with_a_nul_is_whole(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};
	put_lines(f, 0, 1, 1);
	scoped(free) char *live = container_log_path(f->anchor);
	scoped(fclose) FILE *file = fopen(live, "ae");
	fputs("{\"log\":\"a\\u0000b\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:00:02Z\"}\n",
		file);
	fflush(file);

	read_with(f, &h, everything);

	assert_int_equal(h.text.len, 6);
	assert_memory_equal(h.text.data, "1\na\0b\n", 6);
}

static void a_held_reader_waits_and_goes_on_where_it_was(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {.hold_after = 2};
	put_lines(f, 0, 1, 5);

	assert_string_equal(read_with(f, &h, everything), "1\n2\n");
	assert_int_equal(h.ends, 0);
	log_reader_resume(h.reader);
	assert_int_equal(h.lines, 2); /* not from inside */
	turn(f);

	assert_string_equal(buf_str(&h.text), "1\n2\n!3\n4\n5\n");
	assert_int_equal(h.ends, 1);
}

static void a_callback_may_free_the_reader(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard in_line = {.free_after = 2};
	scoped(heard) struct heard at_end = {.free_at_end = true};
	put_lines(f, 0, 1, 5);

	assert_string_equal(read_with(f, &in_line, everything), "1\n2\n");
	assert_string_equal(read_with(f, &at_end, everything), "1\n2\n!3\n4\n5\n");

	assert_int_equal(in_line.ends, 0);
	assert_int_equal(at_end.ends, 1);
}

static void more_than_a_slice_is_delivered_whole(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};
	put_lines(f, 0, 1, 5000); /* about 350 kB, slices of 64 KiB cut lines */

	read_with(f, &h, everything);

	assert_int_equal(h.lines, 5000);
	assert_int_equal(h.ends, 1);
}

static void a_follower_hears_what_is_written_and_the_containers_end(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};
	struct log_query q = everything;
	q.follow = true;
	q.tail = 1;
	f->anchor->state = CONTAINER_RUNNING;
	put_lines(f, 0, 1, 2);

	assert_string_equal(read_with(f, &h, q), "2\n");
	put_lines(f, 0, 4, 4);
	turn(f);
	assert_string_equal(buf_str(&h.text), "2\n4\n");
	assert_int_equal(h.ends, 0);
	put_lines(f, 0, 5, 5);
	log_readers_poke(&f->set, f->anchor);
	turn(f);

	assert_string_equal(buf_str(&h.text), "2\n4\n5\n");
	assert_int_equal(h.ends, 1);
}

/* The shim renames the file away and begins another while we follow. */
static void a_follower_loses_nothing_to_a_rotation(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};
	struct log_query q = everything;
	q.follow = true;
	f->anchor->state = CONTAINER_RUNNING;
	put_lines(f, 0, 1, 2);
	read_with(f, &h, q);

	put_lines(f, 0, 4, 4);
	scoped(free) char *live = container_log_path(f->anchor);
	scoped(free) char *rotated = xasprintf("%s.1", live);
	assert_int_equal(rename(live, rotated), 0);
	put_lines(f, 0, 5, 7);
	turn(f);

	assert_string_equal(buf_str(&h.text), "1\n2\n4\n5\n!6\n7\n");
}

/* Several rotations between two turns of the loop: what still exists is read, in order. */
static void a_slow_follower_reads_every_file_that_is_left(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {.hold_after = 1};
	struct log_query q = everything;
	q.follow = true;
	f->anchor->state = CONTAINER_RUNNING;
	put_lines(f, 0, 1, 2);
	read_with(f, &h, q);

	scoped(free) char *live = container_log_path(f->anchor);
	scoped(free) char *first = xasprintf("%s.1", live);
	scoped(free) char *second_file = xasprintf("%s.2", live);
	assert_int_equal(rename(live, first), 0);
	put_lines(f, 0, 4, 5);
	assert_int_equal(rename(first, second_file), 0);
	assert_int_equal(rename(live, first), 0);
	put_lines(f, 0, 7, 8);
	log_reader_resume(h.reader);
	turn(f);

	assert_string_equal(buf_str(&h.text), "1\n2\n4\n5\n7\n8\n");
}

/* The reader is in an older file while the others move on: no file is left out, none comes twice.
 */
static void a_rotation_while_an_older_file_is_read_skips_nothing(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {.hold_after = 1};
	put_lines(f, 2, 1, 2);
	put_lines(f, 1, 4, 5);
	put_lines(f, 0, 7, 8);
	read_with(f, &h, everything);

	scoped(free) char *live = container_log_path(f->anchor);
	for (int i = 2; i >= 0; i--) {
		scoped(free) char *from = i ? xasprintf("%s.%d", live, i) : xstrdup(live);
		scoped(free) char *to = xasprintf("%s.%d", live, i + 1);
		assert_int_equal(rename(from, to), 0);
	}
	put_lines(f, 0, 10, 11);
	log_reader_resume(h.reader);
	turn(f);

	assert_string_equal(
		buf_str(&h.text), "1\n2\n4\n5\n7\n8\n"); /* what came later was not asked for */
}

/* max-file=1: the shim empties the file and goes on in it. */
static void a_follower_goes_on_in_a_file_that_was_emptied(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};
	struct log_query q = everything;
	q.follow = true;
	f->anchor->state = CONTAINER_RUNNING;
	put_lines(f, 0, 1, 2);
	read_with(f, &h, q);

	scoped(free) char *live = container_log_path(f->anchor);
	assert_int_equal(truncate(live, 0), 0);
	put_lines(f, 0, 4, 4);
	turn(f);

	assert_string_equal(buf_str(&h.text), "1\n2\n4\n");
}

static void following_the_dead_is_reading(void **state)
{
	struct fixture *f = *state;
	scoped(heard) struct heard h = {0};
	struct log_query q = everything;
	q.follow = true;
	f->anchor->state = CONTAINER_EXITED;
	put_lines(f, 0, 1, 2);

	assert_string_equal(read_with(f, &h, q), "1\n2\n");

	assert_int_equal(h.ends, 1);
}

static void a_driver_without_a_log_cannot_be_read(void **state)
{
	struct fixture *f = *state;
	f->anchor->host_config = json_pack("{s{ss}}", "LogConfig", "Type", "none");
	struct heard h = {0};

	assert_null(log_reader_new(f->anchor, &everything, &handlers, &h, &f->e));

	assert_string_equal(f->e.msg, "configured logging driver does not support reading");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(all_lines_come_once_and_then_the_end),
		WITH(no_log_is_an_end_at_once),
		WITH(rotated_files_come_first_oldest_of_all),
		WITH(a_missing_live_file_does_not_hide_the_rotated_ones),
		WITH(a_tail_counts_across_files),
		WITH(bounds_in_time_cut_both_ends),
		WITH(only_the_streams_asked_for),
		WITH(a_timestamp_has_nine_digits),
		WITH(torn_lines_are_left_out),
		WITH(a_line_with_a_nul_is_whole),
		WITH(a_held_reader_waits_and_goes_on_where_it_was),
		WITH(a_callback_may_free_the_reader),
		WITH(more_than_a_slice_is_delivered_whole),
		WITH(a_follower_hears_what_is_written_and_the_containers_end),
		WITH(a_follower_loses_nothing_to_a_rotation),
		WITH(a_slow_follower_reads_every_file_that_is_left),
		WITH(a_rotation_while_an_older_file_is_read_skips_nothing),
		WITH(a_follower_goes_on_in_a_file_that_was_emptied),
		WITH(following_the_dead_is_reading),
		WITH(a_driver_without_a_log_cannot_be_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
