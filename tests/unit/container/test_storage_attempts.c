/* Attempts to mount a disk: one at a time for it, again when it failed, later and later. The worker
 * here is a program that only fails. */
#include "container/storage_attempts.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <uv.h>

#include "base/json.h"
#include "container/delay.h"
#include "job/job.h"

struct fixture {
	uv_loop_t loop;
	uv_timer_t alive; /* a delay keeps no loop alive */
	struct job_pool *jobs;
	struct storage_attempts *table;
	int ended, news, due;
};

static void note(void *owner, const struct storage_attempt *a, bool news)
{
	struct fixture *f = owner;
	f->ended += a != NULL;
	f->news += news;
	f->due += a == NULL;
	uv_stop(&f->loop);
}

static void never(uv_timer_t *t)
{
}

static int set_up(void **state)
{
	static struct fixture f;
	f = (struct fixture){0};
	assert_int_equal(uv_loop_init(&f.loop), 0);
	uv_timer_init(&f.loop, &f.alive);
	uv_timer_start(&f.alive, never, 1000000, 0);
	f.jobs = job_pool_new(&f.loop, "/bin/false");
	f.table = storage_attempts_new(&f.loop, f.jobs, "/none", note, &f);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	job_pool_free(f->jobs);
	storage_attempts_free(f->table);
	uv_close((uv_handle_t *)&f->alive, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	return 0;
}

static void begin(struct fixture *f, const char *id, const char *sign)
{
	scoped(json) json_t *mount =
		json_pack("{ss ss ss}", "id", id, "sign", sign, "node", "/dev/none");
	storage_attempts_begin(f->table, mount);
}

static size_t count_ended(const struct fixture *f)
{
	scoped(json) json_t *signs = storage_attempts_ended(f->table);
	return json_array_size(signs);
}

static size_t count(const struct fixture *f)
{
	size_t n = 0;
	for (const struct storage_attempt *a = NULL; (a = storage_attempts_next(f->table, a));) {
		n++;
	}
	return n;
}

static void run_until(struct fixture *f, const int *n, int wanted)
{
	while (*n < wanted) {
		uv_run(&f->loop, UV_RUN_DEFAULT);
	}
}

static void waits_get_longer_and_end(void **state)
{
	int64_t total = 0;
	int n = 1;
	for (; storage_attempt_wait_ms(n) >= 0; n++) {
		assert_true(n == 1 || storage_attempt_wait_ms(n) > storage_attempt_wait_ms(n - 1));
		total += storage_attempt_wait_ms(n);
	}
	assert_int_equal(n, 6);
	assert_int_equal(total, 62000);
}

static void a_failure_is_told_once_and_due_again(void **state)
{
	struct fixture *f = *state;
	begin(f, "8:1-1", "a");
	assert_int_equal(count_ended(f), 0); /* on its way: who wants it waits */
	run_until(f, &f->ended, 1);
	assert_int_equal(f->news, 1);
	assert_int_equal(count_ended(f), 1); /* nobody waits for it now */
	begin(f, "8:1-1", "a");
	assert_int_equal(count_ended(f), 1); /* not before it is due */

	run_until(f, &f->due, 1);
	assert_int_equal(count_ended(f), 0);
	begin(f, "8:1-1", "a");
	run_until(f, &f->ended, 2);

	assert_int_equal(f->news, 1); /* the same reason */
	assert_int_equal(storage_attempts_next(f->table, NULL)->failures, 2);
}

static void one_disk_has_one_attempt_at_a_time(void **state)
{
	struct fixture *f = *state;
	begin(f, "8:1-1", "a");
	begin(f, "8:1-1", "b");
	begin(f, "8:2-2", "c");
	assert_int_equal(count(f), 2);
	run_until(f, &f->ended, 2);
	assert_int_equal(count(f), 2);
}

static void what_nobody_wants_is_forgotten(void **state)
{
	struct fixture *f = *state;
	scoped(json) json_t *signs = json_pack("[s]", "b");
	begin(f, "8:1-1", "a");
	begin(f, "8:2-2", "b");
	storage_attempts_keep(f->table, signs); /* a runs: its job has to end first */
	run_until(f, &f->ended, 2);
	assert_int_equal(count(f), 2);
	storage_attempts_keep(f->table, signs);
	assert_int_equal(count(f), 1);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the daemon does: its workers may be gone */
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_get_longer_and_end),
		CASE(a_failure_is_told_once_and_due_again),
		CASE(one_disk_has_one_attempt_at_a_time),
		CASE(what_nobody_wants_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
