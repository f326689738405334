/* Calls between two connections of ours, over a socketpair: what one side says is what the other
 * hears, and nobody waits for what will not come. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "grpc/frame.h"
#include "grpc/h2.h"

#define PIECE 32768

struct fixture {
	struct h2 *server, *client;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	size_t sent;    /* messages that a handler could send */
	unsigned gone;  /* calls that were told that their client left */
	unsigned ended; /* handlers that have returned from it */
};

static void note(struct fixture *f, size_t sent, unsigned gone, unsigned ended)
{
	pthread_mutex_lock(&f->lock);
	f->sent += sent;
	f->gone += gone;
	f->ended += ended;
	pthread_cond_broadcast(&f->changed);
	pthread_mutex_unlock(&f->lock);
}

static void await(struct fixture *f, const unsigned *what, unsigned value)
{
	pthread_mutex_lock(&f->lock);
	while (*what < value) {
		pthread_cond_wait(&f->changed, &f->lock);
	}
	pthread_mutex_unlock(&f->lock);
}

/* --- what the server does --- */

/* Each message comes back, the metadata "say" first. */
static void echo(struct grpc_call *c, void *owner)
{
	struct err e;
	scoped(buf) struct buf m = BUF_INIT;
	for (size_t i = 0; grpc_metadata(c, "say", i); i++) {
		const char *text = grpc_metadata(c, "say", i);
		grpc_send(c, text, strlen(text), &e);
	}
	int r;
	while ((r = grpc_recv(c, &m, &e)) > 0) {
		grpc_send(c, m.data, m.len, &e);
	}
	if (r == 0) {
		grpc_finish(c, GRPC_OK, "");
	} else {
		grpc_finish_err(c, &e);
	}
}

static void refuse(struct grpc_call *c, void *owner)
{
	grpc_finish_details(c, GRPC_NOT_FOUND, "no such thing: 100% \xc3\xa4\n", "\x08\x05", 2);
}

static void forget(struct grpc_call *c, void *owner)
{
}

static void client_gone(void *arg)
{
	note(arg, 0, 1, 0);
}

/* Waits for nothing but the client's end. */
static void wait_for_client(struct grpc_call *c, void *owner)
{
	struct fixture *f = owner;
	struct err e;
	grpc_watch(c, client_gone, f);
	grpc_send(c, "here", 4, &e);
	await(f, &f->gone, 1);
	grpc_unwatch(c);
	assert_int_equal(grpc_send(c, "x", 1, &e), -1);
	note(f, 0, 0, 1);
}

static void pour(struct grpc_call *c, void *owner)
{
	struct fixture *f = owner;
	struct err e;
	char *piece = xnew_array(char, PIECE);
	while (grpc_send(c, piece, PIECE, &e) == 0) {
		note(f, 1, 0, 0);
	}
	free(piece);
	note(f, 0, 0, 1);
}

static const struct grpc_method methods[] = {
	{"/t/Echo", echo},
	{"/t/Refuse", refuse},
	{"/t/Forget", forget},
	{"/t/Wait", wait_for_client},
	{"/t/Pour", pour},
	{0},
};

static int setup(void **state)
{
	int fds[2];
	struct err e;
	struct fixture *f = xnew(struct fixture);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->changed, NULL);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	f->server = h2_new(fds[0], NULL, 0,
		&(struct h2_options){.server = true, .methods = methods, .owner = f}, &e);
	f->client = h2_new(fds[1], NULL, 0, &(struct h2_options){0}, &e);
	assert_non_null(f->server);
	assert_non_null(f->client);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	h2_free(f->client);
	h2_free(f->server);
	pthread_mutex_destroy(&f->lock);
	pthread_cond_destroy(&f->changed);
	free(f);
	return 0;
}

static struct grpc_call *call(struct fixture *f, const char *method)
{
	struct err e;
	struct grpc_call *c = grpc_call_new(f->client, method, NULL, &e);
	assert_non_null(c);
	return c;
}

/* --- the tests --- */

static void an_answer_is_what_the_handler_sent(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct buf request = BUF_INIT;
	scoped(buf) struct buf answer = BUF_INIT;
	buf_puts(&request, "hello");

	int r = grpc_unary(f->client, "/t/Echo", NULL, &request, &answer, &e);

	assert_int_equal(r, 0);
	assert_string_equal(buf_str(&answer), "hello");
	buf_deinit(&request);
}

static void metadata_arrives_in_order_and_empty_messages_are_messages(void **state)
{
	struct fixture *f = *state;
	struct err e;
	scoped(strv) struct strv m = STRV_INIT;
	scoped(buf) struct buf got = BUF_INIT;
	const char *const pairs[] = {"say", "one", "other", "x", "say", "two"};
	for (size_t i = 0; i < 6; i++) {
		strv_add(&m, pairs[i]);
	}

	scoped(grpc_call_free) struct grpc_call *c = grpc_call_new(f->client, "/t/Echo", &m, &e);
	assert_int_equal(grpc_send(c, NULL, 0, &e), 0);
	assert_int_equal(grpc_send_end(c, &e), 0);

	assert_int_equal(grpc_recv(c, &got, &e), 1);
	assert_string_equal(buf_str(&got), "one");
	assert_int_equal(grpc_recv(c, &got, &e), 1);
	assert_string_equal(buf_str(&got), "two");
	assert_int_equal(grpc_recv(c, &got, &e), 1);
	assert_int_equal(got.len, 0);
	assert_int_equal(grpc_recv(c, &got, &e), 0);
	assert_int_equal(grpc_status(c, NULL, NULL), GRPC_OK);
}

static void metadata_that_is_none_is_refused(void **state)
{
	struct fixture *f = *state;
	struct err e;
	scoped(strv) struct strv m = STRV_INIT;
	strv_add(&m, "name");
	strv_add(&m, "two\r\nlines");

	assert_null(grpc_call_new(f->client, "/t/Echo", &m, &e));

	assert_int_equal(e.kind, ERR_INVALID);
}

static void a_status_brings_sentence_and_details(void **state)
{
	struct fixture *f = *state;
	struct err e;
	const char *message;
	const struct buf *details;
	scoped(buf) struct buf got = BUF_INIT;

	scoped(grpc_call_free) struct grpc_call *c = call(f, "/t/Refuse");
	int r = grpc_recv(c, &got, &e);

	assert_int_equal(r, -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "no such thing: 100% \xc3\xa4\n");
	assert_int_equal(grpc_status(c, &message, &details), GRPC_NOT_FOUND);
	assert_string_equal(message, e.msg);
	assert_int_equal(details->len, 2);
	assert_memory_equal(details->data, "\x08\x05", 2);
}

static void unknown_methods_and_forgetful_handlers_have_a_status(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct buf empty = BUF_INIT;
	scoped(buf) struct buf got = BUF_INIT;

	assert_int_equal(grpc_unary(f->client, "/t/None", NULL, &empty, &got, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_IMPLEMENTED);
	assert_int_equal(grpc_unary(f->client, "/t/Forget", NULL, &empty, &got, &e), -1);
	assert_string_equal(e.msg, "the call was not answered");
}

static void messages_longer_than_all_windows_arrive_whole(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct buf big = BUF_INIT;
	scoped(buf) struct buf got = BUF_INIT;
	for (size_t i = 0; i < (5u << 20) / sizeof(i); i++) {
		buf_append(&big, &i, sizeof(i));
	}

	int r = grpc_unary(f->client, "/t/Echo", NULL, &big, &got, &e);

	assert_int_equal(r, 0);
	assert_int_equal(got.len, big.len);
	assert_memory_equal(got.data, big.data, big.len);
	buf_deinit(&big);
}

/* Messages kept back for more, some that wait for the end, and received in bunches. */
static void many_small_messages_are_the_same_together(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct buf sent = BUF_INIT;
	scoped(buf) struct buf got = BUF_INIT;
	scoped(buf) struct buf all = BUF_INIT;
	scoped(grpc_call_free) struct grpc_call *c = call(f, "/t/Echo");
	for (unsigned i = 0; i < 3000; i++) {
		uint8_t head[FRAME_HEAD];
		frame_head(FRAME_MESSAGE, sizeof(i), head);
		buf_append(&sent, head, FRAME_HEAD);
		buf_append(&sent, &i, sizeof(i));
		assert_int_equal(grpc_send_more(c, &i, sizeof(i), &e), 0);
	}
	assert_int_equal(grpc_send_end(c, &e), 0);

	int r;
	while ((r = grpc_recv_frames(c, 1000, &got, &e)) > 0) {
		assert_in_range(got.len, 1, 1000 + FRAME_HEAD + sizeof(unsigned));
		buf_append(&all, got.data, got.len);
	}

	assert_int_equal(r, 0);
	assert_int_equal(all.len, sent.len);
	assert_memory_equal(all.data, sent.data, sent.len);
	buf_deinit(&sent);
}

static void too_long_a_message_is_not_sent(void **state)
{
	struct fixture *f = *state;
	struct err e;
	scoped(grpc_call_free) struct grpc_call *c = call(f, "/t/Echo");

	assert_int_equal(grpc_send(c, NULL, GRPC_MESSAGE_MAX + 1, &e), -1);

	assert_int_equal(e.kind, ERR_INVALID);
}

static void many_calls_at_once_do_not_wait_for_each_other(void **state)
{
	enum { N = 60 };
	struct fixture *f = *state;
	struct err e;
	struct grpc_call *c[N];
	scoped(buf) struct buf got = BUF_INIT;
	char *piece = xnew_array(char, PIECE);
	for (size_t i = 0; i < N; i++) {
		c[i] = call(f, "/t/Echo");
		assert_int_equal(grpc_send(c[i], piece, PIECE, &e), 0);
	}
	for (size_t i = N; i-- > 0;) {
		assert_int_equal(grpc_recv(c[i], &got, &e), 1);
		assert_int_equal(got.len, PIECE);
		assert_int_equal(grpc_send_end(c[i], &e), 0);
		assert_int_equal(grpc_recv(c[i], &got, &e), 0);
		grpc_call_free(c[i]);
	}
	free(piece);
}

static void calls_beyond_the_bound_wait_for_their_turn(void **state)
{
	enum { N = 1000 };
	struct fixture *f = *state;
	struct err e;
	struct grpc_call *c[N];
	scoped(buf) struct buf got = BUF_INIT;
	for (size_t i = 0; i < N; i++) {
		c[i] = call(f, "/t/Echo");
		assert_int_equal(grpc_send(c[i], "x", 1, &e), 0);
		assert_int_equal(grpc_send_end(c[i], &e), 0);
	}
	for (size_t i = 0; i < N; i++) {
		assert_int_equal(grpc_recv(c[i], &got, &e), 1);
		assert_int_equal(grpc_recv(c[i], &got, &e), 0);
		grpc_call_free(c[i]);
	}
}

static void a_sender_waits_for_a_slow_reader(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct buf request = BUF_INIT;
	scoped(buf) struct buf got = BUF_INIT;
	scoped(grpc_call_free) struct grpc_call *c = call(f, "/t/Pour");
	assert_int_equal(grpc_recv(c, &got, &e), 1);

	for (int i = 0; i < 100; i++) { /* time enough to send much more */
		assert_int_equal(grpc_unary(f->client, "/t/Echo", NULL, &request, &got, &e), 0);
	}

	pthread_mutex_lock(&f->lock);
	size_t sent = f->sent;
	pthread_mutex_unlock(&f->lock);
	assert_true(sent * PIECE <= 4 * H2_WINDOW);
	grpc_cancel(c);
	await(f, &f->ended, 1);
	assert_int_equal(grpc_recv(c, &got, &e), -1);
}

static void a_handler_hears_that_its_client_has_gone(void **state)
{
	struct fixture *f = *state;
	struct err e;
	scoped(buf) struct buf got = BUF_INIT;
	struct grpc_call *c = call(f, "/t/Wait");
	assert_int_equal(grpc_recv(c, &got, &e), 1);

	grpc_call_free(c);

	await(f, &f->ended, 1);
	assert_int_equal(f->gone, 1);
}

static void a_lost_connection_ends_calls_of_both_sides(void **state)
{
	struct fixture *f = *state;
	struct err e;
	scoped(buf) struct buf got = BUF_INIT;
	struct grpc_call *c = call(f, "/t/Wait");
	assert_int_equal(grpc_recv(c, &got, &e), 1);

	h2_close(f->server);

	assert_int_equal(grpc_recv(c, &got, &e), -1);
	assert_int_equal(e.kind, ERR_BUSY);
	assert_int_equal(grpc_send(c, "x", 1, &e), -1);
	await(f, &f->ended, 1);
	grpc_call_free(c);
	assert_true(h2_wait_closed(f->client, -1));
	assert_null(grpc_call_new(f->client, "/t/Echo", NULL, &e));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(an_answer_is_what_the_handler_sent),
		T(metadata_arrives_in_order_and_empty_messages_are_messages),
		T(metadata_that_is_none_is_refused),
		T(a_status_brings_sentence_and_details),
		T(unknown_methods_and_forgetful_handlers_have_a_status),
		T(messages_longer_than_all_windows_arrive_whole),
		T(many_small_messages_are_the_same_together),
		T(too_long_a_message_is_not_sent),
		T(many_calls_at_once_do_not_wait_for_each_other),
		T(calls_beyond_the_bound_wait_for_their_turn),
		T(a_sender_waits_for_a_slow_reader),
		T(a_handler_hears_that_its_client_has_gone),
		T(a_lost_connection_ends_calls_of_both_sides),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
