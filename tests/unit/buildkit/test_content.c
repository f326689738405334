/* The client of a content store against a peer that answers what the test says. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "base/list.h"
#include "base/mem.h"
#include "buildkit/content.h"

#define DIGEST "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae" /* foo */

/* One message of the peer's, or the end of the call (message NULL). */
struct said {
	const ProtobufCMessage *message;
	bool after_request;
	enum grpc_code code;
};

struct peer {
	struct grpc_call *call;
	const struct said *script;
	pthread_t thread;
	struct buf heard; /* data of writes */
	int commits;
};

static void hear(struct peer *p)
{
	struct err e;
	scoped(buf) struct buf m = BUF_INIT;
	if (grpc_recv(p->call, &m, &e) <= 0) {
		return;
	}
	Buildkit__ContentWriteRequest *q =
		buildkit__content_write_request__unpack(NULL, m.len, (const uint8_t *)buf_str(&m));
	if (q) {
		buf_append(&p->heard, q->data.data, q->data.len);
		p->commits += q->action == CONTENT_COMMIT;
		buildkit__content_write_request__free_unpacked(q, NULL);
	}
}

static void *play(void *arg)
{
	struct peer *p = arg;
	struct err e;
	const struct said *s = p->script;
	for (; s->message; s++) {
		uint8_t packed[256];
		if (s->after_request) {
			hear(p);
		}
		size_t n = protobuf_c_message_pack(s->message, packed);
		grpc_send(p->call, packed, n, &e);
	}
	if (s->after_request) {
		hear(p);
	}
	grpc_finish(p->call, s->code, s->code == GRPC_OK ? "" : "said no");
	return NULL;
}

static struct grpc_call *begin(struct peer *p, const struct said *script)
{
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	*p = (struct peer){.script = script, .call = grpc_call_over_peer(ends[1], NULL, 0)};
	assert_int_equal(pthread_create(&p->thread, NULL, play, p), 0);
	return grpc_call_over(ends[0]);
}

static void end(struct peer *p)
{
	pthread_join(p->thread, NULL);
	grpc_call_free(p->call);
	buf_deinit(&p->heard);
}

static Buildkit__ContentReadResponse piece(int64_t offset, const char *data)
{
	Buildkit__ContentReadResponse m = BUILDKIT__CONTENT_READ_RESPONSE__INIT;
	m.offset = offset;
	m.data.data = (uint8_t *)(uintptr_t)data;
	m.data.len = strlen(data);
	return m;
}

static int read_whole(struct stream *s, char *ret, size_t room, struct err *e)
{
	size_t at = 0;
	ssize_t n;
	while ((n = stream_read(s, ret + at, room - at - 1, e)) > 0) {
		at += (size_t)n;
	}
	ret[at] = '\0';
	return n < 0 ? -1 : 0;
}

static void a_blob_comes_in_pieces(void **state)
{
	const Buildkit__ContentReadResponse one = piece(0, "he"), empty = piece(2, ""),
					    two = piece(2, "llo");
	const struct said script[] = {{&one.base, true, 0}, {&empty.base, false, 0},
		{&two.base, false, 0}, {NULL, false, GRPC_OK}};
	struct peer p;
	struct err e;
	char got[16];

	scoped(stream_free) struct stream *s = content_read(begin(&p, script), DIGEST, 5, &e);

	assert_int_equal(read_whole(s, got, sizeof(got), &e), 0);
	assert_string_equal(got, "hello");
	end(&p);
}

static void more_less_or_other_bytes_than_promised_are_errors(void **state)
{
	const Buildkit__ContentReadResponse shorter = piece(0, "hell"), longer = piece(0, "hello!"),
					    elsewhere = piece(1, "ello");
	const Buildkit__ContentReadResponse *const all[] = {&shorter, &longer, &elsewhere};
	for (size_t i = 0; i < 3; i++) {
		const struct said script[] = {{&all[i]->base, true, 0}, {NULL, false, GRPC_OK}};
		struct peer p;
		struct err e;
		char got[16];

		scoped(stream_free) struct stream *s =
			content_read(begin(&p, script), DIGEST, 5, &e);

		assert_int_equal(read_whole(s, got, sizeof(got), &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		end(&p);
	}
}

/* "foo" as it is written. */
struct foo {
	struct stream base;
	bool read;
};

static ssize_t read_foo(struct stream *s, void *data, size_t n, struct err *e)
{
	struct foo *f = container_of(s, struct foo, base);
	if (f->read) {
		return 0;
	}
	f->read = true;
	memcpy(data, "foo", 3);
	return 3;
}

static Buildkit__ContentWriteResponse at(int64_t offset)
{
	Buildkit__ContentWriteResponse m = BUILDKIT__CONTENT_WRITE_RESPONSE__INIT;
	m.offset = offset;
	return m;
}

static void a_blob_is_written_and_committed(void **state)
{
	const Buildkit__ContentWriteResponse none = at(0), all = at(3);
	const struct said script[] = {{&none.base, true, 0}, {&all.base, true, 0},
		{&all.base, true, 0}, {NULL, true, GRPC_OK}};
	struct foo foo = {.base = {.read = read_foo}};
	struct peer p;
	struct err e;
	scoped(grpc_call_free) struct grpc_call *c = begin(&p, script);

	assert_int_equal(content_write(c, "ref", DIGEST, 3, &foo.base, &e), 0);

	pthread_join(p.thread, NULL);
	assert_int_equal(p.heard.len, 3);
	assert_int_equal(p.commits, 1);
	grpc_call_free(p.call);
	buf_deinit(&p.heard);
}

static void what_a_store_has_is_not_written(void **state)
{
	const struct said script[] = {{NULL, true, GRPC_ALREADY_EXISTS}};
	struct foo foo = {.base = {.read = read_foo}};
	struct peer p;
	struct err e;
	scoped(grpc_call_free) struct grpc_call *c = begin(&p, script);

	assert_int_equal(content_write(c, "ref", DIGEST, 3, &foo.base, &e), 1);
	assert_false(foo.read);
	end(&p);
}

static void a_store_that_loses_bytes_or_refuses_is_an_error(void **state)
{
	const Buildkit__ContentWriteResponse none = at(0), two = at(2);
	const struct said loses[] = {
		{&none.base, true, 0}, {&two.base, true, 0}, {NULL, false, GRPC_OK}};
	const struct said refuses[] = {{&none.base, true, 0}, {NULL, true, GRPC_PERMISSION_DENIED}};
	const struct said *const scripts[] = {loses, refuses};
	for (size_t i = 0; i < 2; i++) {
		struct foo foo = {.base = {.read = read_foo}};
		struct peer p;
		struct err e;
		scoped(grpc_call_free) struct grpc_call *c = begin(&p, scripts[i]);
		assert_int_equal(content_write(c, "ref", DIGEST, 3, &foo.base, &e), -1);
		assert_int_equal(e.kind, i == 0 ? ERR_INVALID : ERR_DENIED);
		end(&p);
	}
}

static void a_size_is_asked_for(void **state)
{
	Buildkit__ContentInfo info = BUILDKIT__CONTENT_INFO__INIT;
	Buildkit__ContentInfoResponse right = BUILDKIT__CONTENT_INFO_RESPONSE__INIT;
	const Buildkit__ContentInfoResponse nothing = BUILDKIT__CONTENT_INFO_RESPONSE__INIT;
	info.digest = (char *)DIGEST;
	info.size = 3;
	right.info = &info;
	const struct said good[] = {{&right.base, true, 0}, {NULL, false, GRPC_OK}};
	const struct said bad[] = {{&nothing.base, true, 0}, {NULL, false, GRPC_OK}};
	const struct said *const scripts[] = {good, bad};
	for (size_t i = 0; i < 2; i++) {
		struct peer p;
		struct err e;
		int64_t size = -1;
		scoped(grpc_call_free) struct grpc_call *c = begin(&p, scripts[i]);
		assert_int_equal(content_info(c, DIGEST, &size, &e), i == 0 ? 0 : -1);
		assert_int_equal(size, i == 0 ? 3 : -1);
		end(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_blob_comes_in_pieces),
		cmocka_unit_test(more_less_or_other_bytes_than_promised_are_errors),
		cmocka_unit_test(a_blob_is_written_and_committed),
		cmocka_unit_test(what_a_store_has_is_not_written),
		cmocka_unit_test(a_store_that_loses_bytes_or_refuses_is_an_error),
		cmocka_unit_test(a_size_is_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
