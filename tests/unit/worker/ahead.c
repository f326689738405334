/* The stage that works ahead: the same bytes, the same error, and an end that may come early. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/list.h"
#include "tree/stream.h"

#define SIZE 3000017 /* more than the stage keeps, and no multiple of anything */

struct numbers {
	struct stream base;
	size_t at, end;
	bool fails; /* at its end */
};

static unsigned char byte_at(size_t i)
{
	return (unsigned char)(i * 7 + i / 256);
}

static ssize_t numbers_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct numbers *c = container_of(s, struct numbers, base);
	size_t left = c->end - c->at;
	n = n < left ? n : left;
	n = n > 1000 ? n - n % 7 : n; /* in odd pieces */
	for (size_t i = 0; i < n; i++) {
		((unsigned char *)data)[i] = byte_at(c->at++);
	}
	return n == 0 && c->fails ? err_set(e, ERR_INVALID, "broken") : (ssize_t)n;
}

static void numbers_free(struct stream *s)
{
}

static size_t read_all(struct stream *s, struct err *e, ssize_t *ret_last)
{
	static unsigned char chunk[10007];
	size_t at = 0;
	ssize_t n;
	while ((n = stream_read(s, chunk, sizeof(chunk), e)) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			assert_int_equal(chunk[i], byte_at(at++));
		}
	}
	*ret_last = n;
	return at;
}

static void what_was_read_ahead_is_what_was_there(void **state)
{
	struct numbers source = {{numbers_read, numbers_free}, 0, SIZE, false};
	scoped(stream_free) struct stream *s = stream_ahead_new(&source.base);
	struct err e;
	ssize_t last;

	assert_int_equal(read_all(s, &e, &last), SIZE);

	assert_int_equal(last, 0);
	assert_int_equal(stream_read(s, &last, 1, &e), 0); /* and again */
}

static void an_error_comes_behind_the_bytes_before_it(void **state)
{
	struct numbers source = {{numbers_read, numbers_free}, 0, SIZE, true};
	scoped(stream_free) struct stream *s = stream_ahead_new(&source.base);
	struct err e = {0};
	ssize_t last;

	assert_int_equal(read_all(s, &e, &last), SIZE);

	assert_int_equal(last, -1);
	assert_string_equal(e.msg, "broken");
}

static void a_reader_may_leave_before_the_end(void **state)
{
	struct numbers source = {{numbers_read, numbers_free}, 0, SIZE, false};
	struct stream *s = stream_ahead_new(&source.base);
	struct err e;
	char one;
	assert_int_equal(stream_read(s, &one, 1, &e), 1);

	stream_free(s); /* while the thread waits for room */

	assert_true(source.at < SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_read_ahead_is_what_was_there),
		cmocka_unit_test(an_error_comes_behind_the_bytes_before_it),
		cmocka_unit_test(a_reader_may_leave_before_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
