/* A server of ours fed with bytes that no honest client sends: it answers as RFC 9113 says or ends
 * the connection, and its handlers end too. */
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "grpc/h2.h"

enum { DATA = 0, HEADERS = 1, RST = 3, SETTINGS = 4, PING = 6, GOAWAY = 7, CONTINUATION = 9 };
enum { END_STREAM = 1, END_HEADERS = 4 };

struct fixture {
	struct h2 *server;
	int fd;
	struct buf heard;
	sem_t closed;
	struct err why; /* after closed */
};

static void wait_for_all(struct grpc_call *c, void *owner)
{
	struct err e;
	scoped(buf) struct buf m = BUF_INIT;
	while (grpc_recv(c, &m, &e) > 0) {
	}
}

static void post(void *sem)
{
	sem_post(sem);
}

static void take_nothing(struct grpc_call *c, void *owner)
{
	sem_t over;
	sem_init(&over, 0, 0);
	grpc_watch(c, post, &over);
	sem_wait(&over);
	grpc_unwatch(c);
	sem_destroy(&over);
}

static const struct grpc_method methods[] = {
	{"/t/Wait", wait_for_all}, {"/t/Idle", take_nothing}, {0}};

static void closed(void *owner, struct h2 *c, const struct err *why)
{
	struct fixture *f = owner;
	f->why = *why;
	sem_post(&f->closed);
}

/* --- bytes --- */

static void frame(struct buf *b, int type, int flags, uint32_t stream, const void *data, size_t n)
{
	const uint8_t head[] = {(uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n, (uint8_t)type,
		(uint8_t)flags, (uint8_t)(stream >> 24), (uint8_t)(stream >> 16),
		(uint8_t)(stream >> 8), (uint8_t)stream};
	buf_append(b, head, sizeof(head));
	buf_append(b, data, n);
}

/* A header field that goes into no table: RFC 7541 6.2.2. */
static void field(struct buf *b, const char *name, const char *value)
{
	buf_putc(b, 0);
	buf_putc(b, (char)strlen(name));
	buf_puts(b, name);
	buf_putc(b, (char)strlen(value));
	buf_puts(b, value);
}

static void request_fields(struct buf *b, const char *path)
{
	field(b, ":method", "POST");
	field(b, ":scheme", "http");
	field(b, ":path", path);
	field(b, ":authority", "x");
	field(b, "content-type", "application/grpc");
}

static void request(struct buf *b, uint32_t stream, const char *path)
{
	scoped(buf) struct buf fields = BUF_INIT;
	request_fields(&fields, path);
	frame(b, HEADERS, END_HEADERS, stream, fields.data, fields.len);
}

static void preface(struct buf *b)
{
	buf_puts(b, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
	frame(b, SETTINGS, 0, 0, NULL, 0);
}

/* Writes without reading; false when the server has closed. */
static bool say(struct fixture *f, const struct buf *b)
{
	size_t done = 0;
	while (done < b->len) {
		ssize_t n = send(f->fd, b->data + done, b->len - done, MSG_NOSIGNAL);
		if (n <= 0) {
			return false;
		}
		done += (size_t)n;
	}
	return true;
}

/* Reads until the server closes. */
static void hear_all(struct fixture *f)
{
	char chunk[4096];
	ssize_t n;
	while ((n = read(f->fd, chunk, sizeof(chunk))) > 0) {
		buf_append(&f->heard, chunk, (size_t)n);
	}
}

/* How many frames of that type the server sent; *ret_code of the last RST_STREAM or GOAWAY. */
static size_t count(const struct fixture *f, int type, uint32_t *ret_code)
{
	size_t n = 0;
	const uint8_t *p = (const uint8_t *)f->heard.data;
	size_t left = f->heard.len;
	while (left >= 9) {
		size_t size = 9 + ((size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2]);
		assert_true(size <= left);
		if (p[3] == type) {
			size_t at = type == GOAWAY ? 13 : 9;
			n++;
			*ret_code = size >= at + 4
					    ? (uint32_t)p[at] << 24 | (uint32_t)p[at + 1] << 16 |
						      (uint32_t)p[at + 2] << 8 | p[at + 3]
					    : 0;
		}
		p += size;
		left -= size;
	}
	return n;
}

static int setup(void **state)
{
	int fds[2];
	struct err e;
	struct fixture *f = xnew(struct fixture);
	sem_init(&f->closed, 0, 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	f->server = h2_new(fds[0], NULL, 0,
		&(struct h2_options){
			.server = true, .methods = methods, .owner = f, .closed = closed},
		&e);
	assert_non_null(f->server);
	f->fd = fds[1];
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	close(f->fd);
	h2_free(f->server); /* which waits for the handlers */
	sem_destroy(&f->closed);
	buf_deinit(&f->heard);
	free(f);
	return 0;
}

/* --- the tests --- */

/* A server that took everything sees an ordinary end. */
static void must_have_ended(struct fixture *f)
{
	shutdown(f->fd, SHUT_WR);
	sem_wait(&f->closed);
	assert_string_not_equal(f->why.msg, "");
}

/* Repeats the bytes until the server has closed. */
static void flood(struct fixture *f, const struct buf *once, size_t times)
{
	bool open = true;
	for (size_t i = 0; i < times && open; i++) {
		open = say(f, once);
	}
	must_have_ended(f);
}

static void other_protocols_end_the_connection(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf b = BUF_INIT;
	buf_puts(&b, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");

	say(f, &b);

	hear_all(f);
	must_have_ended(f);
}

static void pings_that_are_not_awaited_end_the_connection(void **state)
{
	scoped(buf) struct buf b = BUF_INIT;
	preface(&b);
	assert_true(say(*state, &b));
	buf_clear(&b);
	for (size_t i = 0; i < 1000; i++) {
		frame(&b, PING, 0, 0, "12345678", 8);
	}
	flood(*state, &b, 1000);
}

static void settings_that_are_not_awaited_end_the_connection(void **state)
{
	scoped(buf) struct buf b = BUF_INIT;
	preface(&b);
	assert_true(say(*state, &b));
	buf_clear(&b);
	for (size_t i = 0; i < 1000; i++) {
		frame(&b, SETTINGS, 0, 0, "\0\3\0\0\0\x64", 6);
	}
	flood(*state, &b, 1000);
}

/* CVE-2023-44487 */
static void streams_that_are_reset_at_once_end_the_connection(void **state)
{
	struct fixture *f = *state;
	bool open = true;
	for (uint32_t id = 1; open && id < 200000; id += 2) {
		scoped(buf) struct buf b = BUF_INIT;
		if (id == 1) {
			preface(&b);
		}
		request(&b, id, "/t/Wait");
		frame(&b, RST, 0, id, "\0\0\0\x8", 4);
		open = say(f, &b);
	}
	must_have_ended(f);
}

/* CVE-2024-27983 and relatives: a head without an end. */
static void heads_that_do_not_end_end_the_connection(void **state)
{
	struct fixture *f = *state;
	scoped(buf) struct buf b = BUF_INIT;
	scoped(buf) struct buf fields = BUF_INIT;
	request_fields(&fields, "/t/Wait");
	preface(&b);
	frame(&b, HEADERS, 0, 1, fields.data, fields.len);
	assert_true(say(f, &b));
	buf_clear(&b);
	buf_clear(&fields);
	for (size_t i = 0; i < 100; i++) {
		field(&fields, "name", "a value of some length that nobody needs to have");
	}
	frame(&b, CONTINUATION, 0, 1, fields.data, fields.len);
	flood(f, &b, 5000);
}

static void too_much_metadata_resets_the_call(void **state)
{
	struct fixture *f = *state;
	uint32_t code;
	scoped(buf) struct buf b = BUF_INIT;
	scoped(buf) struct buf fields = BUF_INIT;
	preface(&b);
	request_fields(&fields, "/t/Wait");
	for (size_t i = 0; i < 200; i++) {
		field(&fields, "name", "value");
	}
	frame(&b, HEADERS, END_HEADERS | END_STREAM, 1, fields.data, fields.len);
	frame(&b, PING, 0, 0, "12345678", 8);
	assert_true(say(f, &b));
	shutdown(f->fd, SHUT_WR);

	hear_all(f);

	assert_int_equal(count(f, RST, &code), 1);
	assert_int_equal(count(f, PING, &code), 1); /* the connection went on */
}

static void begin_too_many(struct fixture *f, bool knows_the_bound)
{
	scoped(buf) struct buf b = BUF_INIT;
	preface(&b);
	if (knows_the_bound) {
		frame(&b, SETTINGS, 1, 0, NULL, 0); /* acknowledges ours, which has it */
	}
	for (uint32_t i = 0; i < H2_STREAMS_MAX + 7; i++) {
		request(&b, 2 * i + 1, "/t/Wait");
	}
	assert_true(say(f, &b));
	shutdown(f->fd, SHUT_WR);
	hear_all(f);
}

static void streams_beyond_the_bound_are_refused(void **state)
{
	uint32_t code = 0;
	begin_too_many(*state, false);
	assert_int_equal(count(*state, RST, &code), 7);
	assert_int_equal(code, 7 /* REFUSED_STREAM */);
}

static void who_knows_the_bound_and_passes_it_loses_the_connection(void **state)
{
	uint32_t code = 0;
	begin_too_many(*state, true);
	assert_int_equal(count(*state, GOAWAY, &code), 1);
	assert_int_equal(code, 1 /* PROTOCOL_ERROR */);
}

static void what_is_no_call_has_a_status(void **state)
{
	struct fixture *f = *state;
	uint32_t code;
	scoped(buf) struct buf b = BUF_INIT;
	scoped(buf) struct buf fields = BUF_INIT;
	preface(&b);
	field(&fields, ":method", "GET");
	field(&fields, ":scheme", "http");
	field(&fields, ":path", "/");
	field(&fields, ":authority", "x");
	frame(&b, HEADERS, END_HEADERS | END_STREAM, 1, fields.data, fields.len);
	assert_true(say(f, &b));
	shutdown(f->fd, SHUT_WR);

	hear_all(f);

	assert_int_equal(count(f, HEADERS, &code), 1);
}

static void message_ends(struct fixture *f, const void *data, size_t n)
{
	scoped(buf) struct buf b = BUF_INIT;
	preface(&b);
	request(&b, 1, "/t/Wait");
	frame(&b, DATA, END_STREAM, 1, data, n);
	assert_true(say(f, &b));
	shutdown(f->fd, SHUT_WR);
	hear_all(f);
}

static void compressed_messages_are_refused(void **state)
{
	uint32_t code;
	message_ends(*state, "\1\0\0\0\1x", 6);
	assert_true(count(*state, RST, &code) <= 1);
}

static void messages_that_would_not_fit_are_refused(void **state)
{
	message_ends(*state, "\0\xff\xff\xff\xffx", 6);
}

/* The handler takes nothing, so its stream's window stays as it is. */
static void more_data_than_the_window_resets_the_call(void **state)
{
	struct fixture *f = *state;
	uint32_t code = 0;
	char piece[16384] = {0};
	scoped(buf) struct buf b = BUF_INIT;
	preface(&b);
	frame(&b, SETTINGS, 1, 0, NULL, 0);
	request(&b, 1, "/t/Idle");
	for (size_t i = 0; i * sizeof(piece) <= H2_WINDOW; i++) {
		frame(&b, DATA, 0, 1, piece, sizeof(piece));
	}
	assert_true(say(f, &b));
	shutdown(f->fd, SHUT_WR);

	hear_all(f);

	assert_int_equal(count(f, RST, &code), 1);
	assert_int_equal(code, 3 /* FLOW_CONTROL_ERROR */);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(other_protocols_end_the_connection),
		T(pings_that_are_not_awaited_end_the_connection),
		T(settings_that_are_not_awaited_end_the_connection),
		T(streams_that_are_reset_at_once_end_the_connection),
		T(heads_that_do_not_end_end_the_connection),
		T(too_much_metadata_resets_the_call),
		T(streams_beyond_the_bound_are_refused),
		T(who_knows_the_bound_and_passes_it_loses_the_connection),
		T(what_is_no_call_has_a_status),
		T(compressed_messages_are_refused),
		T(messages_that_would_not_fit_are_refused),
		T(more_data_than_the_window_resets_the_call),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
