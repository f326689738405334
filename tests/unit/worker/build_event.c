/* What a build says, in both forms, and the questions of its threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "worker/build_event.h"
#include "worker/rpc.h"

struct fixture {
	struct rpc *rpc;
	struct build_events *events;
	int daemon; /* the daemon's end */
	struct buf in;
};

static struct fixture *make(bool vertices)
{
	int ends[2];
	struct fixture *f = xnew(struct fixture);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	f->daemon = ends[0];
	f->rpc = rpc_new(ends[1]);
	f->events = build_events_new(f->rpc, vertices);
	return f;
}

static void drop(struct fixture *f)
{
	build_events_free(f->events);
	rpc_free(f->rpc);
	close(f->daemon);
	buf_deinit(&f->in);
	free(f);
}

/* What was sent and not read yet, as messages. */
static json_t *sent(struct fixture *f)
{
	char chunk[65536];
	json_t *all = json_array();
	struct err e;
	ssize_t n;
	while ((n = recv(f->daemon, chunk, sizeof(chunk), MSG_DONTWAIT)) > 0) {
		buf_append(&f->in, chunk, (size_t)n);
	}
	char *newline;
	while ((newline = f->in.len ? memchr(f->in.data, '\n', f->in.len) : NULL)) {
		size_t len = (size_t)(newline - f->in.data);
		json_array_append_new(all, json_parse(f->in.data, len, "a message", &e));
		buf_consume(&f->in, len + 1);
	}
	return all;
}

/* The text of all {"stream"} messages; the caller's. */
static char *said(struct fixture *f)
{
	scoped(json) json_t *all = sent(f);
	struct buf text = BUF_INIT;
	size_t k;
	json_t *msg;
	json_array_foreach (all, k, msg) {
		buf_puts(&text, json_str(msg, "stream"));
	}
	return buf_take_str(&text);
}

static void stages_are_shown_one_after_another(void **state)
{
	struct fixture *f = make(false);
	struct build_turn *first = build_turn_new(f->events), *second = build_turn_new(f->events);

	build_say(f->events, second, "two\n");
	build_say(f->events, first, "one\n");
	scoped(free) char *before = said(f);
	build_turn_end(f->events, first);
	build_say(f->events, second, "two again\n");
	scoped(free) char *after = said(f);

	assert_string_equal(before, "one\n");
	assert_string_equal(after, "two\ntwo again\n");
	drop(f);
}

static void what_was_kept_is_said_when_the_build_fails(void **state)
{
	struct fixture *f = make(false);
	struct build_turn *first = build_turn_new(f->events), *second = build_turn_new(f->events);

	build_say(f->events, second, "failed\n");
	build_say(f->events, first, "running\n");
	build_events_close(f->events);
	build_say(f->events, first, "never\n");
	build_turn_end(f->events, first);
	scoped(free) char *text = said(f);

	assert_string_equal(text, "running\nfailed\n");
	drop(f);
}

struct talker {
	struct build_events *events;
	struct build_turn *turn;
};

static void *talk_much(void *owner)
{
	const struct talker *t = owner;
	for (int k = 0; k < 200; k++) {
		build_say(t->events, t->turn, "%010000d\n", k);
	}
	build_turn_end(t->events, t->turn);
	return NULL;
}

static void *read_all(void *owner)
{
	struct fixture *f = owner;
	size_t total = 0;
	char chunk[65536];
	ssize_t n;
	while ((n = read(f->daemon, chunk, sizeof(chunk))) > 0) {
		total += (size_t)n;
	}
	return (void *)total;
}

static void a_stage_that_says_much_waits_for_its_turn(void **state)
{
	struct fixture *f = make(false);
	struct build_turn *first = build_turn_new(f->events), *second = build_turn_new(f->events);
	struct talker t = {f->events, second};
	pthread_t talker, reader;
	void *total;

	pthread_create(&reader, NULL, read_all, f);
	pthread_create(&talker, NULL, talk_much, &t);
	build_turn_end(f->events, first);
	pthread_join(talker, NULL);
	shutdown(f->daemon, SHUT_RD);
	pthread_join(reader, &total);

	assert_true((size_t)total > 200 * 10000); /* all of it came, though it passes the bound */
	drop(f);
}

static void nobody_waits_for_the_turn_of_a_stage_that_another_waits_for(void **state)
{
	struct fixture *f = make(false);
	(void)build_turn_new(f->events);
	struct build_turn *second = build_turn_new(f->events);
	struct talker t = {f->events, second};
	pthread_t talker;

	pthread_create(&talker, NULL, talk_much, &t);
	build_turn_unbound(f->events, second);
	pthread_join(talker, NULL); /* it has ended, and the first never had its turn */

	drop(f);
}

static void text_becomes_valid_and_errors_are_red(void **state)
{
	struct fixture *f = make(false);
	struct build_turn *turn = build_turn_new(f->events);

	build_event_log(f->events, turn, 0, BUILD_STDOUT, "a\xff\xc3\xa9", 4);
	build_event_log(f->events, turn, 0, BUILD_STDERR, "b", 1);
	scoped(free) char *text = said(f);

	assert_string_equal(text, "a\xef\xbf\xbd\xc3\xa9\033[91mb\033[0m");
	drop(f);
}

static const json_t *vertex_of(const json_t *all, size_t k)
{
	return json_object_get(json_array_get(all, k), "vertex");
}

static void vertices_begin_log_and_end(void **state)
{
	struct fixture *f = make(true);
	struct err why = {.msg = "broken"};

	int base = build_event_vertex(f->events, NULL, 0, "FROM %s", "x");
	int step = build_event_vertex(f->events, (const int[]){base, 0}, 2, "RUN y");
	build_event_begin(f->events, step);
	build_event_log(f->events, NULL, step, BUILD_STDERR, "no", 2);
	build_say(f->events, NULL, "classic\n");
	build_event_end(f->events, step, false, &why);
	build_event_end(f->events, base, true, NULL);
	build_event_begin(f->events, 0);
	scoped(json) json_t *all = sent(f);

	assert_int_equal(json_array_size(all), 6);
	assert_string_equal(json_str(vertex_of(all, 1), "name"), "RUN y");
	assert_int_equal(json_array_size(json_object_get(vertex_of(all, 1), "inputs")), 1);
	assert_true(json_i64(vertex_of(all, 2), "started", 0) > 0);
	const json_t *log = json_object_get(json_array_get(all, 3), "log");
	assert_int_equal(json_i64(log, "vertex", 0), step);
	assert_int_equal(json_i64(log, "stream", 0), 2);
	assert_string_equal(json_str(log, "data"), "no");
	assert_string_equal(json_str(vertex_of(all, 4), "error"), "broken");
	assert_true(json_bool(vertex_of(all, 5), "cached"));
	drop(f);
}

static void what_runs_when_the_build_fails_is_canceled(void **state)
{
	struct fixture *f = make(true);
	int waiting = build_event_vertex(f->events, NULL, 0, "never begun");
	int running = build_event_vertex(f->events, NULL, 0, "running");
	build_event_begin(f->events, running);
	json_decref(sent(f));

	build_events_close(f->events);
	build_event_end(f->events, running, false, NULL);
	build_event_end(f->events, waiting, false, NULL);
	scoped(json) json_t *all = sent(f);

	assert_int_equal(json_array_size(all), 1);
	assert_int_equal(json_i64(vertex_of(all, 0), "id", 0), running);
	assert_string_equal(json_str(vertex_of(all, 0), "error"), "context canceled");
	drop(f);
}

/* --- questions --- */

struct asker {
	struct rpc *rpc;
	const char *what;
	char got[16];
};

static void *ask(void *owner)
{
	struct asker *a = owner;
	struct err e;
	scoped(json) json_t *answer = rpc_ask(a->rpc, json_pack("{ss}", "ask", a->what), &e);
	snprintf(a->got, sizeof(a->got), "%.15s", answer ? json_string_value(answer) : e.msg);
	return NULL;
}

static json_t *next_question(struct fixture *f)
{
	struct err e;
	char c;
	scoped(buf) struct buf line = BUF_INIT;
	while (read(f->daemon, &c, 1) == 1 && c != '\n') {
		buf_append(&line, &c, 1);
	}
	return json_parse(buf_str(&line), line.len, "a question", &e);
}

static void answers_find_those_who_asked(void **state)
{
	struct fixture *f = make(true);
	struct asker askers[] = {{f->rpc, "a", ""}, {f->rpc, "b", ""}, {f->rpc, "c", ""}};
	pthread_t threads[3];
	json_t *questions[3];
	rpc_ask_many(f->rpc);

	for (int k = 0; k < 3; k++) {
		pthread_create(&threads[k], NULL, ask, &askers[k]);
		questions[k] = next_question(f);
	}
	for (int k = 2; k >= 0; k--) { /* the last question is answered first */
		scoped(json) json_t *msg =
			json_pack("{sO sO}", "n", json_object_get(questions[k], "n"), "answer",
				json_object_get(questions[k], "ask"));
		scoped(free) char *text = json_text(msg);
		assert_int_equal(write(f->daemon, text, strlen(text)), (ssize_t)strlen(text));
		assert_int_equal(write(f->daemon, "\n", 1), 1);
		json_decref(questions[k]);
	}

	for (int k = 0; k < 3; k++) {
		pthread_join(threads[k], NULL);
		assert_string_equal(askers[k].got, askers[k].what);
	}
	drop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stages_are_shown_one_after_another),
		cmocka_unit_test(what_was_kept_is_said_when_the_build_fails),
		cmocka_unit_test(a_stage_that_says_much_waits_for_its_turn),
		cmocka_unit_test(nobody_waits_for_the_turn_of_a_stage_that_another_waits_for),
		cmocka_unit_test(text_becomes_valid_and_errors_are_red),
		cmocka_unit_test(vertices_begin_log_and_end),
		cmocka_unit_test(what_runs_when_the_build_fails_is_canceled),
		cmocka_unit_test(answers_find_those_who_asked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
