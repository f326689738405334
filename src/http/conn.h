/* http/conn.h - what the files of the HTTP server share; nobody else includes it.
 *
 * server.c  sockets to listen on      conn.c    one connection: reading, writing, its end
 * request.c from a head to its end    body.c    a request's body       answer.c  what the handler
 * says, hijack
 *
 * Invariants
 * 1. A connection has at most one request; the next head is parsed only after the previous request
 * is freed.
 * 2. A request is freed in finish(), from the server's idle handle, or when the connection closes,
 * never inside a callback that the handler started; closed() is called there, once.
 * 3. in holds at most IN_MAX bytes: when nobody takes them, reading stops.
 * 4. While held (hijack), output collects in hold and nothing is written after the 101 head.
 */
#pragma once
#include <uv.h>

#include "base/buf.h"
#include "base/list.h"
#include "base/strv.h"
#include "codec/http1.h"
#include "http/server.h"

#define IN_MAX (128u << 10)
#define READ_CHUNK (64u << 10)
#define QUERY_MAX 128
#define HOLD_POLL_MS 2
#define HOLD_MAX_MS 200

enum body_use { BODY_UNCLAIMED, BODY_WHOLE, BODY_PIECES, BODY_DROPPED };
enum answer { ANSWER_NONE, ANSWER_OPEN, ANSWER_ENDED };

struct http_request {
	struct conn *conn;
	struct http1_head head;
	struct strv query; /* name, value, name, value ... decoded */
	struct buf extra;  /* header lines of the answer */
	void *owner;
	void (*closed)(void *owner, bool left);

	enum body_use use;
	bool body_done; /* all of it was taken from in */
	bool body_paused;
	uint64_t body_left;
	struct http1_chunked chunked;
	struct buf whole;
	size_t whole_limit;
	http_body_fn *whole_fn;
	http_chunk_fn *piece_fn;
	void *body_owner;

	enum answer answer;
	bool chunked_answer;
	bool no_body; /* HEAD, 204, 304 */
	void (*drained)(void *owner);
	void *drain_owner;
	bool wants_drain;
	bool hijacked;
	bool input_ended;
};

struct conn {
	struct list node;
	struct http_server *server;
	uv_pipe_t pipe;
	uv_timer_t hold_timer;
	struct http_request *r; /* NULL between requests */
	struct buf in;
	struct buf hold;
	struct buf pending; /* goes when the write that is on its way has gone */
	uint64_t hold_until;
	bool held;
	bool writing;
	bool reading;
	bool peer_ended;  /* it sends nothing more */
	bool busy;        /* inside process(): do not nest */
	bool close_after; /* once the queue is written */
	bool finish_due;
	bool process_due;
	bool lingering; /* a hijacked connection whose answer has ended: read and drop until the
			   client closes */
	bool closing;
	int open_handles;
	uint64_t moved_ms; /* when bytes were read or written last, of the loop's clock */
};

struct listener {
	struct list node;
	uv_pipe_t pipe;
	struct http_server *server;
	char *path;
};

struct http_server {
	uv_loop_t *loop;
	http_handler_fn *fn;
	void *owner;
	struct list conns;
	struct list listeners;
	uv_idle_t
		*idle; /* finishes requests whose answer is complete; own memory: closed after us */
	char *read_buffer;
	unsigned max_conns;    /* 0: any number */
	http_peer_fn *peer_fn; /* NULL: anybody */
	void *peer_owner;
	unsigned idle_ms;
	uv_timer_t *sweep; /* NULL without limits; own memory */
};

/* --- conn.c --- */
void request_free(struct http_request *r, bool left);
void conn_close(struct conn *c);
size_t conn_queued(const struct conn *c);
void conn_schedule_finish(struct conn *c);
void conn_schedule_process(struct conn *c);
void conn_after_write(struct conn *c);
void conn_write(struct conn *c, const void *data, size_t n);
void conn_write_parts(struct conn *c, const uv_buf_t *parts, size_t n);
void conn_set_reading(struct conn *c, bool on);

/* --- request.c --- */
void conn_process(struct conn *c);
void conn_run_due(uv_idle_t *idle);

/* --- body.c --- */
void body_take(struct conn *c, struct http_request *r);
void body_take_input(struct conn *c, struct http_request *r);
