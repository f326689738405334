/* A session stream over a unix socket, the worker's end of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "grpc/frame.h"
#include "grpc/grpc.h"

struct fixture {
	struct grpc_call *call;
	int fd;
	struct buf got;
	struct err e;
};

static int setup(void **state)
{
	static struct fixture f;
	int fds[2];
	f = (struct fixture){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	f.call = grpc_call_over(fds[0]);
	f.fd = fds[1];
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	grpc_call_free(f->call);
	if (f->fd >= 0) {
		close(f->fd);
	}
	buf_deinit(&f->got);
	return 0;
}

static void say(struct fixture *f, const void *data, size_t n)
{
	assert_int_equal(write(f->fd, data, n), (ssize_t)n);
}

static void messages_go_both_ways(void **state)
{
	struct fixture *f = *state;
	char wire[64];
	assert_int_equal(grpc_send(f->call, "abc", 3, &f->e), 0);
	assert_int_equal(grpc_send_end(f->call, &f->e), 0);
	say(f, "\0\0\0\0\0\0\0\0\0\2xy", 12);

	assert_int_equal(read(f->fd, wire, sizeof(wire)), 8);
	assert_memory_equal(wire, "\0\0\0\0\3abc", 8);
	assert_int_equal(read(f->fd, wire, sizeof(wire)), 0);
	assert_int_equal(grpc_recv(f->call, &f->got, &f->e), 1);
	assert_int_equal(f->got.len, 0);
	assert_int_equal(grpc_recv(f->call, &f->got, &f->e), 1);
	assert_string_equal(buf_str(&f->got), "xy");
}

static void say_status(struct fixture *f, const char *text)
{
	uint8_t head[FRAME_HEAD];
	frame_head(FRAME_STATUS, strlen(text), head);
	say(f, head, sizeof(head));
	say(f, text, strlen(text));
}

static void an_ok_status_is_the_end(void **state)
{
	struct fixture *f = *state;
	say_status(f, "{\"code\": 0, \"message\": \"\"}");
	assert_int_equal(grpc_recv(f->call, &f->got, &f->e), 0);
	assert_int_equal(grpc_recv(f->call, &f->got, &f->e), 0);
	assert_int_equal(grpc_status(f->call, NULL, NULL), GRPC_OK);
}

static void another_status_is_an_error(void **state)
{
	struct fixture *f = *state;
	say_status(f, "{\"code\": 5, \"message\": \"secret x not found\"}");
	assert_int_equal(grpc_recv(f->call, &f->got, &f->e), -1);
	assert_int_equal(f->e.kind, ERR_NOT_FOUND);
	assert_string_equal(f->e.msg, "secret x not found");
}

static void a_broken_stream_is_an_error(void **state)
{
	struct fixture *f = *state;
	say(f, "\0\0\0\0\5x", 6);
	close(TAKE_FD(f->fd));
	assert_int_equal(grpc_recv(f->call, &f->got, &f->e), -1);
	assert_int_equal(grpc_send(f->call, "x", 1, &f->e), -1);
}

static void a_frame_of_another_type_is_an_error(void **state)
{
	struct fixture *f = *state;
	say(f, "\1\0\0\0\1x", 6);
	assert_int_equal(grpc_recv(f->call, &f->got, &f->e), -1);
	assert_int_equal(f->e.kind, ERR_INVALID);
}

static void who_never_answers_is_not_waited_for(void **state)
{
	struct fixture *f = *state;
	const char *message;
	grpc_call_over_wait(f->call, 1);
	assert_int_equal(grpc_recv(f->call, &f->got, &f->e), -1);
	assert_string_equal(f->e.msg, "the client does not answer");
	assert_int_equal(grpc_status(f->call, &message, NULL), GRPC_DEADLINE_EXCEEDED);
	assert_int_equal(grpc_recv(f->call, &f->got, &f->e), -1); /* it stays so */
}

static void both_ends_are_calls(void **state)
{
	int fds[2];
	struct err e;
	const char *message;
	scoped(buf) struct buf got = BUF_INIT;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	struct grpc_call *client = grpc_call_over(fds[0]);
	struct grpc_call *server = grpc_call_over_peer(fds[1], "\0\0\0\0\1x", 6);

	assert_int_equal(grpc_send(client, "abc", 3, &e), 0);
	assert_int_equal(grpc_send_end(client, &e), 0);
	assert_int_equal(grpc_recv(server, &got, &e), 1);
	assert_string_equal(buf_str(&got), "x"); /* read before */
	assert_int_equal(grpc_recv(server, &got, &e), 1);
	assert_string_equal(buf_str(&got), "abc");
	assert_int_equal(grpc_recv(server, &got, &e), 0);
	assert_int_equal(grpc_send(server, "y", 1, &e), 0);
	grpc_finish(server, GRPC_PERMISSION_DENIED, "no");

	assert_int_equal(grpc_recv(client, &got, &e), 1);
	assert_int_equal(grpc_recv(client, &got, &e), -1);
	assert_int_equal(grpc_status(client, &message, NULL), GRPC_PERMISSION_DENIED);
	assert_string_equal(message, "no");
	grpc_call_free(client);
	grpc_call_free(server);
}

/* In the relay one thread receives and another says the status: what the first meets is not it. */
static void a_broken_stream_leaves_the_status_to_who_says_it(void **state)
{
	int fds[2];
	struct err e;
	const char *message;
	scoped(buf) struct buf got = BUF_INIT;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	struct grpc_call *client = grpc_call_over(fds[0]);
	struct grpc_call *server = grpc_call_over_peer(fds[1], "\1no frame", 9);

	assert_int_equal(grpc_recv(server, &got, &e), -1);
	grpc_finish(server, GRPC_NOT_FOUND, "said later");
	grpc_call_free(server);

	assert_int_equal(grpc_recv(client, &got, &e), -1);
	assert_int_equal(grpc_status(client, &message, NULL), GRPC_NOT_FOUND);
	assert_string_equal(message, "said later");
	grpc_call_free(client);
}

static ssize_t arrived(struct fixture *f, char wire[64])
{
	return recv(f->fd, wire, 64, MSG_DONTWAIT);
}

static void what_more_follows_waits_for_it(void **state)
{
	struct fixture *f = *state;
	char wire[64];
	assert_int_equal(grpc_send_more(f->call, "ab", 2, &f->e), 0);
	assert_int_equal(arrived(f, wire), -1);
	assert_int_equal(grpc_send(f->call, "c", 1, &f->e), 0);
	assert_int_equal(arrived(f, wire), 13);
	assert_memory_equal(wire, "\0\0\0\0\2ab\0\0\0\0\1c", 13);

	assert_int_equal(grpc_send_more(f->call, "d", 1, &f->e), 0);
	assert_int_equal(grpc_send_end(f->call, &f->e), 0);
	assert_int_equal(arrived(f, wire), 6);
}

static void what_more_follows_does_not_wait_when_it_is_much(void **state)
{
	struct fixture *f = *state;
	static char much[GRPC_GATHER];
	char wire[64];
	assert_int_equal(grpc_send_more(f->call, "ab", 2, &f->e), 0);
	assert_int_equal(grpc_send_more(f->call, much, sizeof(much), &f->e), 0);
	assert_int_equal(arrived(f, wire), 64);
	assert_memory_equal(wire, "\0\0\0\0\2ab\0\0\0\x40\0", 12);
}

static void whole_frames_come_together(void **state)
{
	struct fixture *f = *state;
	say(f, "\0\0\0\0\2ab\0\0\0\0\0\0\0\0\0\1c\0\0\0\0\2d", 24);

	assert_int_equal(grpc_recv_frames(f->call, 9, &f->got, &f->e), 1);
	assert_int_equal(f->got.len, 12);
	assert_memory_equal(f->got.data, "\0\0\0\0\2ab\0\0\0\0\0", 12);
	assert_int_equal(grpc_recv_frames(f->call, 100, &f->got, &f->e), 1);
	assert_int_equal(f->got.len, 6); /* the last one is not whole */
	say(f, "e", 1);
	assert_int_equal(grpc_recv_frames(f->call, 100, &f->got, &f->e), 1);
	assert_int_equal(f->got.len, 7);
	assert_memory_equal(f->got.data, "\0\0\0\0\2de", 7);
}

static void frames_of_another_type_are_not_passed_on(void **state)
{
	struct fixture *f = *state;
	say(f, "\0\0\0\0\1x\1\0\0\0\1x", 12);
	assert_int_equal(grpc_recv_frames(f->call, 100, &f->got, &f->e), 1);
	assert_int_equal(f->got.len, 6);
	assert_int_equal(grpc_recv_frames(f->call, 100, &f->got, &f->e), -1);
	assert_int_equal(f->e.kind, ERR_INVALID);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(messages_go_both_ways),
		T(an_ok_status_is_the_end),
		T(another_status_is_an_error),
		T(a_broken_stream_is_an_error),
		T(a_frame_of_another_type_is_an_error),
		T(who_never_answers_is_not_waited_for),
		T(both_ends_are_calls),
		T(a_broken_stream_leaves_the_status_to_who_says_it),
		T(what_more_follows_waits_for_it),
		T(what_more_follows_does_not_wait_when_it_is_much),
		T(whole_frames_come_together),
		T(frames_of_another_type_are_not_passed_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
