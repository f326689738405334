/* Invariants
 * 1. Until it is finished, a question has a running timer, and at most one attempt whose owner it
 * is.
 * 2. An attempt that was given up has owner NULL, only waits for its handle to close, and frees
 * itself.
 */
#include "network/forward.h"

#include <string.h>
#include <sys/random.h>
#include <uv.h>

#include "base/buf.h"
#include "base/mem.h"
#include "codec/dns.h"

#define DNS_PORT 53
#define ATTEMPT_MS 2000
#define ATTEMPTS_MIN 2 /* a datagram may get lost */
#define ATTEMPTS_MAX 4 /* the asker has given up by then: resolv.conf(5) timeout */
#define READ_BYTES 8192
#define EMBEDDED "127.0.0.11" /* ourselves, or a server of the same kind around us */

struct attempt {
	union {
		uv_handle_t handle;
		uv_udp_t udp;
		uv_tcp_t tcp;
		uv_stream_t stream;
	};
	uv_connect_t connect;
	uv_write_t write;
	struct forward *owner;
	struct buf answer; /* TCP: two bytes of length, then the message */
	uint8_t length[2];
	uint8_t *message; /* the query, for the write that may outlive its owner */
	size_t n;
};

struct forward {
	uv_timer_t timer;
	struct strv servers;
	uint8_t *message; /* with our id, a new one for every attempt */
	size_t n;
	uint16_t asker_id;
	bool tcp;
	size_t tries;
	struct attempt *attempt;
	uint8_t *refusal; /* SERVFAIL or REFUSED of one server, while another may know more */
	size_t refusal_n;
	forward_done_fn *done;
	void *owner;
};

static void attempt_closed(uv_handle_t *handle)
{
	struct attempt *a = handle->data;
	buf_deinit(&a->answer);
	free(a->message);
	free(a);
}

static void give_up_attempt(struct forward *f)
{
	struct attempt *a = TAKE(f->attempt);
	if (a) {
		a->owner = NULL;
		uv_close(&a->handle, attempt_closed);
	}
}

static void forward_closed(uv_handle_t *handle)
{
	struct forward *f = handle->data;
	strv_deinit(&f->servers);
	free(f->message);
	free(f->refusal);
	free(f);
}

void forward_cancel(struct forward *f)
{
	if (f) {
		give_up_attempt(f);
		uv_close((uv_handle_t *)&f->timer, forward_closed);
	}
}

static void finish(struct forward *f, uint8_t *answer, size_t n)
{
	if (answer) {
		dns_set_id(answer, f->asker_id);
	}
	f->done(f->owner, answer, n);
	forward_cancel(f);
}

static void try_next(struct forward *f);

static void next_or_finish(struct forward *f)
{
	size_t limit = f->servers.n < ATTEMPTS_MIN ? ATTEMPTS_MIN : f->servers.n;
	give_up_attempt(f);
	if (f->tries < limit && f->tries < ATTEMPTS_MAX) {
		try_next(f);
	} else {
		finish(f, f->refusal, f->refusal_n);
	}
}

static void on_answer(struct forward *f, uint8_t *answer, size_t n)
{
	if (!dns_is_answer_to(f->message, f->n, answer, n)) {
		return; /* forged or late: the real one may still come */
	}
	if (dns_rcode(answer) == DNS_SERVFAIL || dns_rcode(answer) == DNS_REFUSED) {
		free(f->refusal);
		f->refusal = xnew_array(uint8_t, n);
		f->refusal_n = n;
		memcpy(f->refusal, answer, n);
		if (f->tries < f->servers.n) {
			next_or_finish(f);
		} else {
			finish(f, f->refusal, n);
		}
		return;
	}
	finish(f, answer, n);
}

static void on_timeout(uv_timer_t *timer)
{
	next_or_finish(timer->data);
}

/* --- UDP --- */

static void alloc_datagram(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	struct attempt *a = handle->data;
	if (!a->answer.data) {
		char zeros[READ_BYTES] = {0};
		buf_append(&a->answer, zeros, sizeof(zeros));
	}
	*ret = uv_buf_init(a->answer.data, READ_BYTES);
}

static void on_datagram(
	uv_udp_t *udp, ssize_t n, const uv_buf_t *b, const struct sockaddr *from, unsigned flags)
{
	struct attempt *a = udp->data;
	if (!a->owner || (n == 0 && !from)) {
		return;
	}
	if (n < 0) { /* nobody listens there */
		next_or_finish(a->owner);
		return;
	}
	if (flags & UV_UDP_PARTIAL && n >= DNS_HEADER_BYTES) {
		b->base[2] |= 2; /* truncated: let the asker come back by TCP */
	}
	on_answer(a->owner, (uint8_t *)b->base, (size_t)n);
}

static int start_udp(struct forward *f, struct attempt *a, const struct sockaddr *server)
{
	int r = uv_udp_connect(&a->udp, server);
	if (r == 0) {
		r = uv_udp_recv_start(&a->udp, alloc_datagram, on_datagram);
	}
	if (r == 0) {
		const uv_buf_t b = uv_buf_init((char *)f->message, (unsigned)f->n);
		r = uv_udp_try_send(&a->udp, &b, 1, NULL);
	}
	return r < 0 ? r : 0;
}

/* --- TCP (RFC 7766) --- */

static void alloc_stream(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
	*ret = uv_buf_init(xcalloc(READ_BYTES, 1), READ_BYTES);
}

static void on_stream(uv_stream_t *stream, ssize_t n, const uv_buf_t *b)
{
	struct attempt *a = stream->data;
	scoped(free) char *data = b->base;
	if (!a->owner || n == 0) {
		return;
	}
	if (n < 0 || buf_append_limited(&a->answer, data, (size_t)n, DNS_MESSAGE_MAX + 2) < 0) {
		next_or_finish(a->owner);
		return;
	}
	const uint8_t *got = (const uint8_t *)a->answer.data;
	size_t wanted = a->answer.len < 2 ? 0 : (size_t)(got[0] << 8 | got[1]);
	if (a->answer.len < 2 || a->answer.len < wanted + 2) {
		return;
	}
	if (!dns_is_answer_to(a->owner->message, a->owner->n, got + 2, wanted)) {
		next_or_finish(a->owner); /* here nothing else will come */
		return;
	}
	on_answer(a->owner, (uint8_t *)a->answer.data + 2, wanted);
}

static void on_written(uv_write_t *write, int status)
{
	struct attempt *a = write->data;
	if (a->owner && status < 0) {
		next_or_finish(a->owner);
	}
}

static void on_connected(uv_connect_t *connect, int status)
{
	struct attempt *a = connect->data;
	if (!a->owner) {
		return;
	}
	const uv_buf_t parts[] = {
		uv_buf_init((char *)a->length, 2), uv_buf_init((char *)a->message, (unsigned)a->n)};
	a->write.data = a;
	if (status < 0 || uv_read_start(&a->stream, alloc_stream, on_stream) < 0 ||
		uv_write(&a->write, &a->stream, parts, 2, on_written) < 0) {
		next_or_finish(a->owner);
	}
}

static int start_tcp(struct forward *f, struct attempt *a, const struct sockaddr *server)
{
	a->message = xnew_array(uint8_t, f->n);
	memcpy(a->message, f->message, f->n);
	a->n = f->n;
	a->length[0] = (uint8_t)(f->n >> 8);
	a->length[1] = (uint8_t)f->n;
	a->connect.data = a;
	return uv_tcp_connect(&a->connect, &a->tcp, server, on_connected);
}

/* --- */

static int parse_server(const char *text, struct sockaddr_storage *ret)
{
	int r = uv_ip4_addr(text, DNS_PORT, (struct sockaddr_in *)ret);
	return r == 0 ? 0 : uv_ip6_addr(text, DNS_PORT, (struct sockaddr_in6 *)ret);
}

static void try_next(struct forward *f)
{
	struct sockaddr_storage server;
	uint16_t id;
	parse_server(
		f->servers.v[f->tries++ % f->servers.n], &server); /* was possible at the start */
	if (getrandom(&id, sizeof(id), 0) == sizeof(id)) {
		dns_set_id(f->message, id);
	}
	struct attempt *a = xnew(struct attempt);
	a->owner = f;
	f->attempt = a;
	if (f->tcp) {
		uv_tcp_init(f->timer.loop, &a->tcp);
	} else {
		uv_udp_init(f->timer.loop, &a->udp);
	}
	a->handle.data = a;
	const struct sockaddr *s = (const struct sockaddr *)&server;
	int r = f->tcp ? start_tcp(f, a, s) : start_udp(f, a, s);
	/* Nothing finishes from inside forward_start: a failure (no route ...) is noticed by the
	 * timer at once. */
	uv_timer_start(&f->timer, on_timeout, r < 0 ? 0 : ATTEMPT_MS, 0);
}

struct forward *forward_start(uv_loop_t *l, const struct strv *servers, const uint8_t *message,
	size_t n, bool tcp, forward_done_fn *done, void *owner)
{
	struct forward *f = xnew(struct forward);
	struct sockaddr_storage ignored;
	for (size_t i = 0; i < servers->n; i++) {
		if (strcmp(servers->v[i], EMBEDDED) != 0 &&
			parse_server(servers->v[i], &ignored) == 0) {
			strv_add(&f->servers, servers->v[i]);
		}
	}
	if (f->servers.n == 0) {
		free(f);
		return NULL;
	}
	f->message = xnew_array(uint8_t, n);
	memcpy(f->message, message, n);
	f->n = n;
	f->asker_id = dns_id(message);
	f->tcp = tcp;
	f->done = done;
	f->owner = owner;
	uv_timer_init(l, &f->timer);
	f->timer.data = f;
	try_next(f);
	return f;
}
