/* The worker in these tests is this very program, started under the name "wherry-worker". */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "job/job.h"
#include "job/remove.h"
#include "job/wire.h"

/* --- the worker side --- */

static void say(const char *text)
{
	path_write_all(3, text, strlen(text));
}

static void skip_line(void)
{
	char c;
	while (read(3, &c, 1) == 1 && c != '\n') {
	}
}

static int work(const char *name)
{
	skip_line();
	if (strcmp(name, "succeed") == 0) {
		say("{\"status\": \"half\"}\n{\"result\": {\"n\": 7}}\n");
	} else if (strcmp(name, "fail") == 0) {
		say("{\"error\": {\"kind\": \"not_found\", \"message\": \"no such thing\"}}\n");
		return 1;
	} else if (strcmp(name, "remove-tree") == 0) {
		say("{\"result\": {}}\n");
	} else if (strcmp(name, "crash") == 0) {
		raise(SIGKILL);
	} else if (strcmp(name, "babble") == 0) {
		say("not json\n{\"result\": {}}\n");
		pause();
	} else if (strcmp(name, "ask") == 0) {
		say("{\"ask\": \"name\"}\n");
		skip_line();
		say("{\"result\": {}}\n");
	} else if (strcmp(name, "count") == 0) {
		char chunk[4096], line[64];
		long total = 0;
		ssize_t n;
		while ((n = read(0, chunk, sizeof(chunk))) > 0) {
			total += n;
			if (write(1, chunk, 1) < 0) {
				return 1;
			}
		}
		snprintf(line, sizeof(line), "{\"result\": {\"n\": %ld}}\n", total);
		say(line);
	} else {
		pause();
	}
	return 0;
}

/* --- the daemon side --- */

struct seen {
	uv_loop_t loop;
	struct job_pool *pool;
	int messages, dones, drained;
	int64_t n;
	size_t output;
	bool ok;
	struct err e;
	bool cancel_at_message;
};

static void on_message(void *owner, struct job *j, json_t *msg)
{
	struct seen *s = owner;
	s->messages++;
	if (json_object_get(msg, "ask")) {
		job_send(j, json_pack("{s:{}}", "answer"));
	}
	if (s->cancel_at_message) {
		job_cancel(j);
	}
}

static void on_output(void *owner, struct job *j, const char *data, size_t n)
{
	((struct seen *)owner)->output += n;
}

static void on_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct seen *s = owner;
	s->dones++;
	s->ok = result != NULL;
	s->n = json_i64(result, "n", -1);
	if (e) {
		s->e = *e;
	}
}

static void on_drained(void *owner)
{
	((struct seen *)owner)->drained++;
}

static const struct job_handlers handlers = {on_message, on_output, on_done};

static int setup(void **state)
{
	struct seen *s = calloc(1, sizeof(*s));
	uv_loop_init(&s->loop);
	char self[4096] = {0};
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0) {
		return -1;
	}
	s->pool = job_pool_new(&s->loop, self);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct seen *s = *state;
	job_pool_free(s->pool);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->loop), 0); /* no handle is left */
	free(s);
	return 0;
}

static struct job *start(struct seen *s, const char *name, int body, bool output)
{
	struct job *j = job_start(s->pool, name, json_object(), body, output, &handlers, s, &s->e);
	assert_non_null(j);
	assert_int_equal(s->dones, 0);
	return j;
}

static void result_and_messages_arrive_in_order(void **state)
{
	struct seen *s = *state;
	start(s, "succeed", -1, false);

	uv_run(&s->loop, UV_RUN_DEFAULT);

	assert_int_equal(s->messages, 1);
	assert_int_equal(s->dones, 1);
	assert_true(s->ok);
	assert_int_equal(s->n, 7);
}

static void error_keeps_its_kind_and_words(void **state)
{
	struct seen *s = *state;
	start(s, "fail", -1, false);

	uv_run(&s->loop, UV_RUN_DEFAULT);

	assert_false(s->ok);
	assert_int_equal(s->e.kind, ERR_NOT_FOUND);
	assert_string_equal(s->e.msg, "no such thing");
}

static void killed_worker_is_an_error_that_says_so(void **state)
{
	struct seen *s = *state;
	start(s, "crash", -1, false);

	uv_run(&s->loop, UV_RUN_DEFAULT);

	assert_int_equal(s->dones, 1);
	assert_string_equal(s->e.msg, "the crash worker was killed by signal 9");
}

static void worker_that_speaks_no_json_is_killed(void **state)
{
	struct seen *s = *state;
	start(s, "babble", -1, false);

	uv_run(&s->loop, UV_RUN_DEFAULT);

	assert_int_equal(s->dones, 1);
	assert_false(s->ok);
	assert_string_equal(s->e.msg, "the babble worker sent a line that is not JSON");
}

static void question_is_answered(void **state)
{
	struct seen *s = *state;
	start(s, "ask", -1, false);

	uv_run(&s->loop, UV_RUN_DEFAULT);

	assert_true(s->ok);
}

static void body_is_bounded_and_arrives_whole(void **state)
{
	struct seen *s = *state;
	struct job *j = start(s, "count", JOB_BODY_PIPE, true);
	static char mebibyte[1 << 20];

	bool more = job_body_write(j, mebibyte, sizeof(mebibyte), on_drained, s);
	job_body_end(j);
	uv_run(&s->loop, UV_RUN_DEFAULT);

	assert_false(more);
	assert_int_equal(s->drained, 1);
	assert_int_equal(s->n, sizeof(mebibyte));
	assert_true(s->output > 0);
}

static void cancelled_job_is_done_once(void **state)
{
	struct seen *s = *state;
	struct job *j = start(s, "wait", -1, true);

	job_cancel(j);
	assert_int_equal(s->dones, 0);
	uv_run(&s->loop, UV_RUN_DEFAULT);

	assert_int_equal(s->dones, 1);
	assert_int_equal(s->e.kind, ERR_BUSY);
	assert_string_equal(s->e.msg, "canceled");
}

static void cancel_inside_a_message_is_allowed(void **state)
{
	struct seen *s = *state;
	s->cancel_at_message = true;
	start(s, "succeed", -1, false);

	uv_run(&s->loop, UV_RUN_DEFAULT);

	assert_int_equal(s->dones, 1);
	assert_false(s->ok);
}

static void pool_takes_its_jobs_along(void **state)
{
	struct seen *s = *state;
	start(s, "wait", -1, false);

	job_pool_free(s->pool);

	assert_int_equal(s->dones, 1);
	assert_string_equal(s->e.msg, "canceled");
	s->pool = NULL;
}

static void missing_program_is_an_error_at_the_start(void **state)
{
	struct seen *s = *state;
	struct job_pool *p = job_pool_new(&s->loop, "/nonexistent/wherry-worker");

	struct job *j = job_start(p, "x", json_object(), JOB_BODY_PIPE, true, &handlers, s, &s->e);

	assert_null(j);
	assert_int_equal(s->dones, 0);
	assert_non_null(strstr(s->e.msg, "cannot start /nonexistent/wherry-worker"));
	job_pool_free(p);
}

static void without_a_worker_no_job_starts(void **state)
{
	struct seen *s = *state;
	struct job_pool *p = job_pool_new(&s->loop, NULL); /* wherryd --purge-network */

	assert_null(job_start(p, "x", json_object(), -1, false, &handlers, s, &s->e));

	assert_int_equal(s->e.kind, ERR_NOT_IMPLEMENTED);
	assert_int_equal(s->dones, 0);
	job_pool_free(p);
}

static void count_done(void *owner)
{
	((struct seen *)owner)->dones++;
}

/* A folder with n files in a folder "gone". */
static void make_tree(char *ret_top, int n)
{
	snprintf(ret_top, 64, "/tmp/wherry-job.XXXXXX");
	assert_non_null(mkdtemp(ret_top));
	for (int i = 0; i < n; i++) {
		scoped(free) char *dir = xasprintf("%s/gone", ret_top);
		scoped(free) char *file = xasprintf("%s/%d", dir, i);
		assert_int_equal(path_mkdirs(dir, 0700), 0);
		assert_int_equal(path_write(AT_FDCWD, file, "x", 1, 0600, false), 0);
	}
}

static void a_small_tree_is_removed_without_a_worker(void **state)
{
	struct seen *s = *state;
	char top[64];
	make_tree(top, 10);
	assert_true(
		job_remove_trees(s->pool, "test", top, json_pack("[s]", "gone"), count_done, s));
	assert_int_equal(rmdir(top), 0);
	assert_true(job_remove_trees(s->pool, "test", top, json_array(), count_done, s));
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(s->dones, 0);
}

static void a_large_tree_is_a_workers_business(void **state)
{
	struct seen *s = *state;
	char top[64];
	make_tree(top, 100);
	assert_false(
		job_remove_trees(s->pool, "test", top, json_pack("[s]", "gone"), count_done, s));
	assert_int_equal(s->dones, 0);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(s->dones, 1);
	assert_int_equal(path_remove_tree(AT_FDCWD, top), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(argv[0], "wherry-worker") == 0) {
		return work(argv[1]);
	}
	const struct CMUnitTest tests[] = {
		TEST(result_and_messages_arrive_in_order),
		TEST(error_keeps_its_kind_and_words),
		TEST(killed_worker_is_an_error_that_says_so),
		TEST(worker_that_speaks_no_json_is_killed),
		TEST(question_is_answered),
		TEST(body_is_bounded_and_arrives_whole),
		TEST(cancelled_job_is_done_once),
		TEST(cancel_inside_a_message_is_allowed),
		TEST(pool_takes_its_jobs_along),
		TEST(a_small_tree_is_removed_without_a_worker),
		TEST(a_large_tree_is_a_workers_business),
		TEST(missing_program_is_an_error_at_the_start),
		TEST(without_a_worker_no_job_starts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
