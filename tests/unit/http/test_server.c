/* The server on a loop in a child process, spoken to over a real socket by the client and by hand.
 */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "http/client.h"
#include "http/server.h"

struct fixture {
	char folder[64];
	char path[96];
	char url[112];
	pid_t server;
};

/* --- the server under test: what each path does --- */

static struct http_server *self;
static int closed_calls;
static int left_calls;

static void count_closed(void *owner, bool left)
{
	closed_calls++;
	left_calls += left;
}

static void echo_body(
	void *owner, struct http_request *r, const char *data, size_t n, const struct err *e)
{
	if (e) {
		http_reply_error(r, e);
	} else {
		http_reply(r, 200, "text/plain", data, n);
	}
}

static void echo_input(void *owner, struct http_request *r, const char *data, size_t n)
{
	if (data) {
		http_stream_write(r, data, n);
	} else {
		http_stream_write(r, "bye", 3);
		http_stream_end(r);
	}
}

static void flood(void *owner)
{
	static const char block[32768];
	struct http_request *r = owner;
	while (http_stream_write(r, block, sizeof(block))) {
	}
}

static void count_chunk(void *owner, struct http_request *r, const char *data, size_t n)
{
	static size_t total;
	if (data) {
		total += n;
		return;
	}
	char text[32];
	snprintf(text, sizeof(text), "%zu", total);
	total = 0;
	http_reply(r, 200, "text/plain", text, strlen(text));
}

static void count_pieces(void *owner, struct http_request *r, const char *data, size_t n)
{
	static int pieces;
	if (data) {
		pieces++;
		return;
	}
	http_reply_json(r, 200, json_pack("{si}", "pieces", pieces));
	pieces = 0;
}

/* Whoever has the descriptor then speaks as it likes. */
static void detach(struct http_request *r)
{
	struct err e;
	scoped(buf) struct buf early = BUF_INIT;
	int fd = http_detach(r, &early, &e);
	if (fd < 0) {
		http_reply_error(r, &e);
		return;
	}
	dprintf(fd, "taken with '%s'", buf_str(&early));
	close(fd);
}

static void handle(void *owner, struct http_request *r)
{
	const char *path = http_path(r);
	http_set_owner(r, NULL, count_closed);
	if (strcmp(path, "/echo") == 0) {
		http_body_read(r, 1000, echo_body, NULL);
	} else if (strcmp(path, "/count") == 0) {
		http_body_stream(r, count_chunk, NULL);
	} else if (strcmp(path, "/pieces") == 0) {
		http_body_stream(r, count_pieces, NULL);
	} else if (strcmp(path, "/hijack") == 0) {
		http_hijack(r, "application/vnd.docker.raw-stream", echo_input, NULL);
		http_stream_write(r, "early ", 6);
	} else if (strcmp(path, "/detach") == 0) {
		detach(r);
	} else if (strcmp(path, "/flood") == 0) {
		http_stream_begin(r, 200, "text/plain");
		http_stream_on_drain(r, flood, r);
		flood(r);
	} else if (strcmp(path, "/query") == 0) {
		const char *second = http_query_nth(r, "a", 1);
		http_reply_json(
			r, 200, json_pack("[ss]", http_query(r, "a"), second ? second : "none"));
	} else if (strcmp(path, "/counts") == 0) {
		struct rusage_kb {
			long kb;
		} rss = {0};
		FILE *f = fopen("/proc/self/statm", "re");
		long pages = 0;
		if (f && fscanf(f, "%*d %ld", &pages) == 1) {
			rss.kb = pages * 4;
		}
		if (f) {
			fclose(f);
		}
		http_reply_json(r, 200,
			json_pack("{si si si}", "closed", closed_calls, "left", left_calls,
				"rss_kb", (int)rss.kb));
	} else if (strcmp(path, "/limit") == 0) { /* two connections */
		http_server_limit(self, 2, (unsigned)atoi(http_query(r, "idle")));
		http_reply(r, 200, "text/plain", "ok", 2);
	} else if (strcmp(path, "/never") == 0) {
		return; /* the client will leave */
	} else {
		struct err e;
		err_set(&e, ERR_NOT_FOUND, "No such page: %s", path);
		http_reply_error(r, &e);
	}
}

static void serve(const char *path, int ready_fd)
{
	struct err e;
	uv_loop_t loop;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	uv_loop_init(&loop);
	struct http_server *s = self = http_server_new(&loop, handle, NULL);
	if (http_server_listen_unix(s, path, 0600, getgid(), &e) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		_exit(1);
	}
	if (write(ready_fd, "x", 1) != 1) {
		_exit(1);
	}
	uv_run(&loop, UV_RUN_DEFAULT);
	_exit(0);
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	strcpy(f->folder, "/tmp/wherry-http-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	snprintf(f->path, sizeof(f->path), "%s/api.sock", f->folder);
	snprintf(f->url, sizeof(f->url), "unix://%s", f->path);
	int ready[2];
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	f->server = fork();
	if (f->server == 0) {
		serve(f->path, ready[1]);
	}
	char c;
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	kill(f->server, SIGKILL);
	waitpid(f->server, NULL, 0);
	path_remove_tree(AT_FDCWD, f->folder);
	free(f);
	return 0;
}

static int dial(const struct fixture *f)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path, f->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Everything until the server closes, or nothing came for half a minute. */
static char *read_all(int fd)
{
	struct buf all = BUF_INIT;
	char chunk[4096];
	struct pollfd p = {.fd = fd, .events = POLLIN};
	while (poll(&p, 1, 30000) > 0) {
		ssize_t n = read(fd, chunk, sizeof(chunk));
		if (n <= 0) {
			break;
		}
		buf_append(&all, chunk, (size_t)n);
	}
	return buf_take_str(&all);
}

static char *say(const struct fixture *f, const char *text)
{
	int fd = dial(f);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	char *answer = read_all(fd);
	close(fd);
	return answer;
}

static int64_t server_count(const struct fixture *f, const char *key)
{
	struct err e;
	json_t *doc = NULL;
	struct http_client *c = http_client_new(f->url, &e);
	assert_int_equal(http_client_json(c, "GET", "/counts", NULL, &doc, &e), 0);
	int64_t n = json_i64(doc, key, -1);
	json_decref(doc);
	http_client_free(c);
	return n;
}

static void errors_are_json_with_dockers_shape(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct http_client *c = http_client_new(f->url, &e);

	assert_int_equal(http_client_json(c, "GET", "/nowhere", NULL, NULL, &e), -1);

	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_string_equal(e.msg, "No such page: /nowhere");
	http_client_free(c);
}

static void a_connection_is_kept_and_queries_are_decoded(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct http_client *c = http_client_new(f->url, &e);
	for (int i = 0; i < 100; i++) {
		json_t *doc = NULL;
		assert_int_equal(
			http_client_json(c, "GET", "/query?a=x%20y&b=1&a=z", NULL, &doc, &e), 0);
		assert_string_equal(json_string_value(json_array_get(doc, 0)), "x y");
		assert_string_equal(json_string_value(json_array_get(doc, 1)), "z");
		json_decref(doc);
	}
	http_client_free(c);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *answer = say(f,
		"POST /echo HTTP/1.1\r\nHost: d\r\nContent-Length: 3\r\n\r\none"
		"POST /echo HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
		"GET /query?a=last HTTP/1.1\r\nConnection: close\r\n\r\n");
	const char *one = strstr(answer, "one");
	const char *two = one ? strstr(one, "two") : NULL;
	assert_non_null(two);
	assert_non_null(strstr(two, "last"));
}

/* Each piece moves what is left of the input: one for each byte would be a square. */
static void tiny_chunks_are_given_together(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf text = BUF_INIT;
	buf_puts(&text, "POST /pieces HTTP/1.1\r\nConnection: close\r\n"
			"Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 2000; i++) {
		buf_puts(&text, "1\r\nx\r\n");
	}
	buf_puts(&text, "0\r\n\r\n");

	scoped(free) char *answer = say(f, buf_str(&text));

	const char *pieces = strstr(answer, "\"pieces\":");
	assert_non_null(pieces);
	assert_in_range(strtol(pieces + strlen("\"pieces\":"), NULL, 10), 1, 200);
}

static void wrong_requests_get_400_and_the_end(void **state)
{
	struct fixture *f = *state;
	static const char *const wrong[] = {
		"nonsense\r\n\r\n",
		"POST /echo HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
		"GET /a%2 HTTP/1.1\r\nA : b\r\n\r\n",
		"GET /query?a=%zz HTTP/1.1\r\n\r\n",
		"POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		scoped(free) char *answer = say(f, wrong[i]);
		assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
		assert_non_null(strstr(answer, "\"message\""));
	}
}

static void a_body_beyond_its_limit_is_refused(void **state)
{
	struct fixture *f = *state;
	char text[4096];
	int n = snprintf(text, sizeof(text),
		"POST /echo HTTP/1.1\r\nContent-Length: 2000\r\n\r\n%02000d", 0);
	assert_true(n > 2000);
	scoped(free) char *answer = say(f, text);
	assert_memory_equal(answer, "HTTP/1.1 400 ", 13);
}

static void a_head_request_has_no_body(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *answer = say(f, "HEAD /query?a=1 HTTP/1.1\r\nConnection: close\r\n\r\n");
	assert_memory_equal(answer, "HTTP/1.1 200 OK\r\n", 17);
	assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
}

static void a_connection_is_given_away_with_what_was_sent(void **state)
{
	scoped(free) char *got = say(
		*state, "POST /detach HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI");
	assert_string_equal(got, "taken with 'PRI'");
}

static void a_connection_with_a_body_is_not_given_away(void **state)
{
	scoped(free) char *got = say(*state,
		"POST /detach HTTP/1.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
	assert_non_null(strstr(got, " 400 "));
}

static void a_hijacked_connection_outlives_the_clients_half_close(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	const char *ask =
		"POST /hijack HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 2\r\n\r\n{}";
	assert_int_equal(write(fd, ask, strlen(ask)), (ssize_t)strlen(ask));
	char head[512];
	ssize_t n = read(fd, head, sizeof(head) - 1);
	assert_true(n > 0);
	head[n] = '\0';
	assert_memory_equal(head, "HTTP/1.1 101 UPGRADED\r\n", 23);
	assert_string_equal(
		strstr(head, "\r\n\r\n"), "\r\n\r\n"); /* nothing came with the head: docker-py */

	assert_int_equal(write(fd, "hello ", 6), 6);
	shutdown(fd, SHUT_WR);
	scoped(free) char *rest = read_all(fd);
	close(fd);

	assert_string_equal(rest, "early hello bye");
}

static void a_client_that_leaves_is_noticed(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	const char *ask = "GET /never HTTP/1.1\r\n\r\n";
	assert_int_equal(write(fd, ask, strlen(ask)), (ssize_t)strlen(ask));
	assert_int_equal(server_count(f, "left"), 0);

	close(fd);

	int64_t left = 0;
	for (int i = 0; i < 1000 && left == 0; i++) {
		left = server_count(f, "left");
	}
	assert_int_equal(left, 1);
}

static void send_text(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void a_limited_server_closes_what_is_too_many_and_what_stands_still(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *set =
		say(f, "GET /limit?idle=600000 HTTP/1.1\r\nConnection: close\r\n\r\n");
	assert_non_null(strstr(set, "ok"));
	scoped(close) int first = dial(f);
	scoped(close) int second = dial(f);
	send_text(second, "GET /never HTTP/1.1\r\n\r\n");
	scoped(close) int third = dial(f);

	scoped(free) char *refused = read_all(third);
	send_text(first, "GET /limit?idle=50 HTTP/1.1\r\n\r\n");
	scoped(free) char *answered = read_all(first);
	scoped(free) char *unanswered = read_all(second);

	assert_string_equal(refused, "");
	assert_non_null(strstr(answered, "ok"));
	assert_string_equal(unanswered, "");
	assert_int_equal(server_count(f, "left"), 1);
}

/* Resident memory says nothing under ASan, which keeps what was freed for a while. */
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_COUNTS false
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MEMORY_COUNTS false
#endif
#endif
#ifndef MEMORY_COUNTS
#define MEMORY_COUNTS true
#endif

static void a_slow_reader_holds_the_writer_back(void **state)
{
	struct fixture *f = *state;
	int fd = dial(f);
	const char *ask = "GET /flood HTTP/1.1\r\n\r\n";
	assert_int_equal(write(fd, ask, strlen(ask)), (ssize_t)strlen(ask));
	int64_t before = server_count(f, "rss_kb");
	char chunk[4096];
	for (int i = 0; i < 500; i++) { /* some is read, most is not */
		assert_true(read(fd, chunk, sizeof(chunk)) > 0);
	}
	int64_t after = server_count(f, "rss_kb");
	close(fd);
	assert_true(!MEMORY_COUNTS || after - before < 4096);
}

struct big_body {
	size_t left;
};

static long big_read(void *owner, char *data, size_t n)
{
	struct big_body *b = owner;
	size_t take = b->left < n ? b->left : n;
	memset(data, 'x', take);
	b->left -= take;
	return (long)take;
}

static void a_large_upload_streams_through(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct big_body body = {64u << 20};
	const struct http_source source = {big_read, &body};
	const struct http_call call = {.method = "POST", .path = "/count", .source = &source};
	struct http_client *c = http_client_new(f->url, &e);
	struct http_response r;
	char text[64] = "";

	assert_int_equal(http_client_send(c, &call, &r, &e), 0);
	assert_true(http_client_read(c, text, sizeof(text) - 1, &e) > 0);

	assert_string_equal(text, "67108864");
	assert_true(server_count(f, "rss_kb") < 32768 || !MEMORY_COUNTS);
	http_response_deinit(&r);
	http_client_free(c);
}

static void every_request_is_closed_exactly_once(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 20; i++) {
		scoped(free) char *answer = say(f, "GET /query?a=1 HTTP/1.0\r\n\r\n");
		assert_memory_equal(answer, "HTTP/1.1 200", 12);
	}
	assert_int_equal(server_count(f, "closed"), 20);
	assert_int_equal(server_count(f, "closed"), 21);
}

static void a_missing_daemon_is_one_sentence(void **state)
{
	struct err e;
	struct http_client *c = http_client_new("unix:///nowhere/wherry.sock", &e);
	assert_int_equal(http_client_json(c, "GET", "/_ping", NULL, NULL, &e), -1);
	assert_string_equal(e.msg,
		"Cannot connect to the Wherry daemon at unix:///nowhere/wherry.sock. Is the daemon running?");
	http_client_free(c);
	assert_null(http_client_new("http://x", &e));
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	const struct CMUnitTest tests[] = {
		WITH(errors_are_json_with_dockers_shape),
		WITH(a_connection_is_kept_and_queries_are_decoded),
		WITH(pipelined_requests_are_answered_in_order),
		WITH(tiny_chunks_are_given_together),
		WITH(wrong_requests_get_400_and_the_end),
		WITH(a_body_beyond_its_limit_is_refused),
		WITH(a_head_request_has_no_body),
		WITH(a_connection_is_given_away_with_what_was_sent),
		WITH(a_connection_with_a_body_is_not_given_away),
		WITH(a_hijacked_connection_outlives_the_clients_half_close),
		WITH(a_client_that_leaves_is_noticed),
		WITH(a_limited_server_closes_what_is_too_many_and_what_stands_still),
		WITH(a_slow_reader_holds_the_writer_back),
		WITH(a_large_upload_streams_through),
		WITH(every_request_is_closed_exactly_once),
		cmocka_unit_test(a_missing_daemon_is_one_sentence),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
