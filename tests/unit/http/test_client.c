/* The blocking client against servers that say exactly what a script has: well-formed, cut short,
 * early, or nonsense. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "http/client.h"

/* One answer for each request; "" closes the connection without one. */
struct step {
	const char *answer;
	bool then_close;
	bool early; /* after the head, without waiting for the body */
};

struct fixture {
	char folder[64];
	char *url;
	pid_t server;
	struct http_client *client;
	struct err e;
};

/* Reads one request: head, and a chunked body to its end. Requests of one byte more than that do
 * not occur here. */
static bool hear(int fd, bool head_only)
{
	char text[65536];
	size_t n = 0;
	while (n + 1 < sizeof(text)) {
		ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
		if (got <= 0) {
			return false;
		}
		n += (size_t)got;
		text[n] = '\0';
		const char *body = strstr(text, "\r\n\r\n");
		if (!body) {
			continue;
		}
		bool chunked = strstr(text, "Transfer-Encoding: chunked") != NULL;
		if (head_only || !chunked || strstr(body + 2, "\r\n0\r\n\r\n")) {
			return true;
		}
	}
	return false;
}

static void play(int listen_fd, const struct step *steps, size_t n)
{
	int fd = -1;
	for (size_t i = 0; i < n; i++) {
		bool heard = false;
		while (!heard) {
			if (fd < 0) {
				fd = accept(listen_fd, NULL, NULL);
			}
			heard = hear(fd, steps[i].early);
			if (!heard) {
				close(fd);
				fd = -1;
			}
		}
		if (path_write_all(fd, steps[i].answer, strlen(steps[i].answer)) < 0 ||
			steps[i].then_close) {
			close(fd);
			fd = -1;
		}
	}
	pause(); /* the connection stays open until the test ends us */
}

static void serve(struct fixture *f, const struct step *steps, size_t n)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/s", f->folder);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 5), 0);
	f->server = fork();
	assert_true(f->server >= 0);
	if (f->server == 0) {
		alarm(120);
		play(fd, steps, n);
	}
	close(fd);
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	signal(SIGPIPE, SIG_IGN);
	strcpy(f->folder, "/tmp/wherry-client-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->url = xasprintf("unix://%s/s", f->folder);
	f->client = http_client_new(f->url, &f->e);
	assert_non_null(f->client);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	http_client_free(f->client);
	if (f->server > 0) {
		kill(f->server, SIGKILL);
		waitpid(f->server, NULL, 0);
	}
	path_remove_tree(AT_FDCWD, f->folder);
	free(f->url);
	free(f);
	return 0;
}

#define SERVE(f, ...)                                                 \
	do {                                                          \
		static const struct step steps_[] = {__VA_ARGS__};    \
		serve((f), steps_, sizeof(steps_) / sizeof(*steps_)); \
	} while (0)

static int get(struct fixture *f, json_t **ret)
{
	return http_client_json(f->client, "GET", "/x", NULL, ret, &f->e);
}

static void answers_of_every_framing_are_read(void **state)
{
	struct fixture *f = *state;
	SERVE(f, {"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}", false, false},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":2}\r\n0\r\nT: u\r\n\r\n",
			false, false},
		{"HTTP/1.1 204 No Content\r\n\r\n", false, false},
		{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":3}",
			false, false},
		{"HTTP/1.0 200 OK\r\n\r\n{\"a\":4}", true, false});
	static const int expected[] = {1, 2, 0, 3, 4};

	for (size_t i = 0; i < 5; i++) {
		scoped(json) json_t *doc = NULL;
		assert_int_equal(get(f, &doc), 0);
		assert_int_equal(json_i64(doc, "a", 0), expected[i]);
	}
}

static void a_connection_closed_while_idle_is_made_again(void **state)
{
	struct fixture *f = *state;
	SERVE(f, {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", true, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":2}", false, false});
	scoped(json) json_t *first = NULL;
	scoped(json) json_t *second = NULL;

	assert_int_equal(get(f, &first), 0);
	usleep(20000);
	assert_int_equal(get(f, &second), 0);

	assert_int_equal(json_i64(second, "a", 0), 2);
}

static void connection_close_is_obeyed(void **state)
{
	struct fixture *f = *state;
	SERVE(f,
		{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}", false,
			false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":2}", false, false});
	scoped(json) json_t *first = NULL;
	scoped(json) json_t *second = NULL;

	assert_int_equal(get(f, &first), 0);
	assert_int_equal(get(f, &second),
		0); /* on a second connection, or the server would still wait for our end */

	assert_int_equal(json_i64(second, "a", 0), 2);
}

static void a_refusal_has_its_kind_and_the_servers_words(void **state)
{
	struct fixture *f = *state;
	SERVE(f,
		{"HTTP/1.1 404 Not Found\r\nContent-Length: 35\r\n\r\n{\"message\":\"No such container: x\"}\n",
			false, false},
		{"HTTP/1.1 409 Conflict\r\nContent-Length: 5\r\n\r\nplain", false, false},
		{"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", false, false});

	assert_int_equal(get(f, NULL), -1);
	assert_int_equal(f->e.kind, ERR_NOT_FOUND);
	assert_string_equal(f->e.msg, "No such container: x");
	assert_int_equal(get(f, NULL), -1);
	assert_int_equal(f->e.kind, ERR_CONFLICT);
	assert_non_null(strstr(f->e.msg, "answered with status 409: plain"));
	assert_int_equal(get(f, NULL), -1);
	assert_non_null(strstr(f->e.msg, "answered with status 500"));
}

static void an_answer_that_is_cut_short_is_an_error(void **state)
{
	static const char *const cut[] = {"", "HTTP/1.1 200 OK\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{\"a\"",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n"};
	for (size_t i = 0; i < 4; i++) {
		void *state_of_one = NULL;
		setup(&state_of_one);
		struct fixture *f = state_of_one;
		const struct step step = {cut[i], true, false};
		serve(f, &step, 1);
		assert_int_equal(get(f, NULL), -1);
		assert_int_equal(f->e.kind, ERR_SYSTEM);
		assert_non_null(strstr(f->e.msg, "broke"));
		teardown(&state_of_one);
	}
}

static void what_is_not_http_is_said(void **state)
{
	static const char *const wrong[] = {"SSH-2.0-OpenSSH_9.2\r\n\r\n", "HTTP/2 200 OK\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n"};
	for (size_t i = 0; i < 5; i++) {
		void *state_of_one = NULL;
		setup(&state_of_one);
		struct fixture *f = state_of_one;
		const struct step step = {wrong[i], true, false};
		serve(f, &step, 1);
		assert_int_equal(get(f, NULL), -1);
		assert_non_null(strstr(f->e.msg, "does not answer in HTTP"));
		teardown(&state_of_one);
	}
}

static void nonsense_inside_chunks_is_an_error(void **state)
{
	struct fixture *f = *state;
	SERVE(f, {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
			 false, false});

	assert_int_equal(get(f, NULL), -1);

	assert_non_null(strstr(f->e.msg, "malformed answer"));
}

static void an_answer_that_is_not_json_is_an_error(void **state)
{
	struct fixture *f = *state;
	SERVE(f, {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", false, false});
	json_t *doc = NULL;

	assert_int_equal(get(f, &doc), -1);

	assert_null(doc);
}

/* --- bodies that are streamed --- */

struct flood {
	int64_t left, sent;
};

static long flow(void *owner, char *data, size_t n)
{
	struct flood *f = owner;
	n = (int64_t)n < f->left ? n : (size_t)f->left;
	memset(data, 'x', n);
	f->left -= (int64_t)n;
	f->sent += (int64_t)n;
	return (long)n;
}

static void a_streamed_body_arrives_and_the_connection_stays(void **state)
{
	struct fixture *f = *state;
	SERVE(f, {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", false, false},
		{"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":2}", false, false});
	struct flood flood = {.left = 20000};
	const struct http_source source = {flow, &flood};
	const struct http_call call = {.method = "POST", .path = "/load", .source = &source};
	struct http_response r;
	scoped(json) json_t *doc = NULL;

	assert_int_equal(http_client_send(f->client, &call, &r, &f->e), 0);
	assert_int_equal(r.status, 200);
	assert_int_equal(flood.sent, 20000);
	http_response_deinit(&r);
	assert_int_equal(get(f, &doc), 0);

	assert_int_equal(json_i64(doc, "a", 0), 2);
}

/* The server refuses and reads nothing more: without looking, the client would stand in send() for
 * ever. */
static void a_refusal_ends_a_long_upload(void **state)
{
	struct fixture *f = *state;
	SERVE(f, {"HTTP/1.1 413 Too Large\r\nContent-Length: 22\r\n\r\n{\"message\":\"too much\"}",
			 false, true});
	struct flood flood = {.left = INT64_C(1) << 40};
	const struct http_source source = {flow, &flood};
	const struct http_call call = {.method = "POST", .path = "/load", .source = &source};
	struct http_response r;
	alarm(120);

	int sent = http_client_send(f->client, &call, &r, &f->e);

	alarm(0);
	assert_int_equal(sent, 0);
	assert_int_equal(r.status, 413);
	assert_int_equal(http_client_fail(f->client, &r, &f->e), -1);
	assert_string_equal(f->e.msg, "too much");
	http_response_deinit(&r);
}

/* --- the rest --- */

static void an_upgrade_hands_over_the_socket_and_what_came_early(void **state)
{
	struct fixture *f = *state;
	SERVE(f, {"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly",
			 false, false});
	const struct http_call call = {.method = "POST", .path = "/attach", .upgrade = true};
	struct http_response r;
	scoped(buf) struct buf early = BUF_INIT;

	assert_int_equal(http_client_send(f->client, &call, &r, &f->e), 0);
	scoped(close) int fd = http_client_take_socket(f->client, &early);

	assert_true(r.upgraded && fd >= 0);
	assert_string_equal(http_response_header(&r, "upgrade"), "tcp");
	assert_null(http_response_header(&r, "tcp")); /* a value is no name */
	assert_string_equal(buf_str(&early), "early");
	http_response_deinit(&r);
}

static void nobody_there_is_said_with_the_address(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(get(f, NULL), -1);

	scoped(free) char *words = xasprintf(
		"Cannot connect to the Wherry daemon at %s. Is the daemon running?", f->url);
	assert_string_equal(f->e.msg, words);
}

static void wrong_addresses_are_refused(void **state)
{
	static const char *const wrong[] = {"", "ftp://x", "unix://", "tcp://", "tcp://host:"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct err e;
		struct http_client *c = http_client_new(wrong[i], &e);
		if (c) {
			fail_msg("'%s' was accepted", wrong[i]);
		}
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(answers_of_every_framing_are_read),
		WITH(a_connection_closed_while_idle_is_made_again),
		WITH(connection_close_is_obeyed),
		WITH(a_refusal_has_its_kind_and_the_servers_words),
		cmocka_unit_test(an_answer_that_is_cut_short_is_an_error),
		cmocka_unit_test(what_is_not_http_is_said),
		WITH(nonsense_inside_chunks_is_an_error),
		WITH(an_answer_that_is_not_json_is_an_error),
		WITH(a_streamed_body_arrives_and_the_connection_stays),
		WITH(a_refusal_ends_a_long_upload),
		WITH(an_upgrade_hands_over_the_socket_and_what_came_early),
		WITH(nobody_there_is_said_with_the_address),
		cmocka_unit_test(wrong_addresses_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
