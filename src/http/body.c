#include "http/conn.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* --- the body --- */

static void body_fail(struct http_request *r, const char *what)
{
	struct err e;
	struct conn *c = r->conn;
	if (r->use == BODY_WHOLE && r->whole_fn) {
		http_body_fn *fn = r->whole_fn;
		r->whole_fn = NULL;
		r->use = BODY_DROPPED;
		c->close_after = true;
		err_set(&e, ERR_INVALID, "%s", what);
		fn(r->body_owner, r, NULL, 0, &e);
		return;
	}
	conn_close(c);
}

static void give(struct http_request *r, const char *data, size_t n)
{
	if (n == 0) {
		return;
	}
	if (r->use == BODY_WHOLE && r->whole_fn) {
		if (buf_append_limited(&r->whole, data, n, r->whole_limit) < 0) {
			body_fail(r, "the request body is too large");
		}
	} else if (r->use == BODY_PIECES) {
		r->piece_fn(r->body_owner, r, data, n);
	}
}

static void body_give_end(struct http_request *r)
{
	r->body_done = true;
	if (r->use == BODY_WHOLE && r->whole_fn) {
		http_body_fn *fn = r->whole_fn;
		r->whole_fn = NULL;
		fn(r->body_owner, r, buf_str(&r->whole), r->whole.len, NULL);
	} else if (r->use == BODY_PIECES && !r->hijacked) {
		r->piece_fn(r->body_owner, r, NULL, 0);
	}
}

/* All chunks that have come, one after the other in to, which has room for n bytes; *ret_n: how
 * many those are. What was used of data, or -1. Chunks of one byte each must not cost more than
 * others: the rest is moved once. */
static ssize_t take_chunks(
	struct http1_chunked *d, const char *data, size_t n, char *to, size_t *ret_n)
{
	size_t used = 0;
	*ret_n = 0;
	while (used < n && !http1_chunked_done(d)) {
		const char *piece;
		size_t piece_n;
		ssize_t r = http1_chunked_decode(d, data + used, n - used, &piece, &piece_n);
		if (r < 0) {
			return -1;
		}
		memcpy(to + *ret_n, piece, piece_n);
		*ret_n += piece_n;
		used += (size_t)r;
	}
	return (ssize_t)used;
}

/* Takes what there is of the body off in. False when nothing more can be done now. */
static bool take_piece(struct conn *c, struct http_request *r)
{
	const char *data = buf_str(&c->in);
	size_t n = c->in.len;
	ssize_t used;
	/* give() may lead to anything, a closed connection included: the bytes must be ours until
	 * it returns */
	scoped(free) char *copy = xrealloc(NULL, n, 1);
	size_t piece_n;
	if (r->head.body == HTTP1_CHUNKED) {
		used = take_chunks(&r->chunked, data, n, copy, &piece_n);
		if (used < 0) {
			body_fail(r, "malformed chunked request body");
			return false;
		}
	} else {
		piece_n = n < r->body_left ? n : (size_t)r->body_left;
		r->body_left -= piece_n;
		used = (ssize_t)piece_n;
		memcpy(copy, data, piece_n);
	}
	buf_consume(&c->in, (size_t)used);
	bool ended =
		r->head.body == HTTP1_CHUNKED ? http1_chunked_done(&r->chunked) : r->body_left == 0;
	give(r, copy, piece_n);
	if (c->closing || c->r != r) {
		return false;
	}
	if (ended) {
		body_give_end(r);
		return false;
	}
	return used > 0;
}

void body_take(struct conn *c, struct http_request *r)
{
	while (!c->closing && c->r == r && !r->body_done && !r->body_paused &&
		r->use != BODY_UNCLAIMED) {
		if (c->in.len == 0 || !take_piece(c, r)) {
			break;
		}
	}
	if (!c->closing && c->r == r && !r->body_done && c->peer_ended && c->in.len == 0) {
		body_fail(r, "the request body ended early");
	}
}

/* After a hijack: what the client sends goes to the handler as it is. */
void body_take_input(struct conn *c, struct http_request *r)
{
	if (r->body_paused || r->input_ended || r->answer == ANSWER_ENDED) {
		if (r->answer == ANSWER_ENDED) {
			buf_clear(&c->in);
		}
		return;
	}
	if (c->in.len > 0) {
		struct buf in = c->in;
		c->in = (struct buf)BUF_INIT;
		r->piece_fn(r->body_owner, r, in.data, in.len);
		buf_deinit(&in);
	}
	if (!c->closing && c->r == r && c->peer_ended && !r->body_paused && !r->input_ended &&
		c->in.len == 0) {
		r->input_ended = true;
		r->piece_fn(r->body_owner, r, NULL, 0);
	}
}

static void claim_body(struct http_request *r, enum body_use use)
{
	r->use = use;
	if (r->head.expect_continue && !r->body_done && r->answer == ANSWER_NONE &&
		use != BODY_DROPPED) {
		r->head.expect_continue = false;
		conn_write(r->conn, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	}
	if (r->body_done && use != BODY_DROPPED) {
		body_give_end(r);
		return;
	}
	conn_process(r->conn);
}

void http_body_read(struct http_request *r, size_t limit, http_body_fn *fn, void *owner)
{
	r->whole_limit = limit;
	r->whole_fn = fn;
	r->body_owner = owner;
	claim_body(r, BODY_WHOLE);
}

void http_body_stream(struct http_request *r, http_chunk_fn *fn, void *owner)
{
	r->piece_fn = fn;
	r->body_owner = owner;
	claim_body(r, BODY_PIECES);
}

void http_body_pause(struct http_request *r, bool pause)
{
	r->body_paused = pause;
	if (!pause) {
		conn_process(r->conn);
	}
}

bool http_has_body(const struct http_request *r)
{
	return r->head.body == HTTP1_CHUNKED ||
	       (r->head.body == HTTP1_LENGTH && r->head.length > 0);
}
