/* grpc/h2_conn.h - what the parts of a connection share: h2.c (its thread), h2_session.c (what
 * nghttp2 tells us), h2_stream.c, h2_head.c (HEADERS that we send), h2_call.c (calls); nobody else
 * includes it. */
#pragma once
#include <nghttp2/nghttp2.h>
#include <pthread.h>

#include "base/list.h"
#include "grpc/call.h"
#include "grpc/h2.h"

#define H2_ASSEMBLING_MAX (2u * GRPC_MESSAGE_MAX) /* of all calls of a connection */
#define H2_METADATA_PAIRS 256                     /* names and values of a call */

struct h2 {
	pthread_mutex_t lock; /* of everything here and of all streams */
	pthread_cond_t changed;
	pthread_t thread;
	int fd, wake_fd;
	nghttp2_session *session; /* NULL once it has ended */
	struct h2_options o;
	struct list streams;
	unsigned n_handlers;
	size_t assembling; /* bytes of messages that are not whole yet */
	bool close_asked, closed, woken;
	struct err why;   /* the session failed; msg "" before */
	struct buf early; /* read before we were made */
	struct buf out;   /* on its way to fd */
	size_t out_pos;   /* 0 but inside flush */
};

#define H2_LOST UINT32_MAX /* an error code of our own: the connection has ended */

struct h2_stream {
	struct grpc_call call; /* first: a call is its stream */
	struct list node;
	struct h2 *conn;
	int32_t id;
	pthread_cond_t changed;
	struct buf in, out; /* DATA that was not taken, not sent yet */
	size_t in_pos, out_pos;
	size_t partly; /* of the message being received; part of conn->assembling */
	size_t head_bytes;
	char *http_method, *http_status; /* of the peer's head, */
	char *content_type, *encoding;
	char *grpc_status, *grpc_message, *grpc_details; /* and of its trailers: as they came */
	bool held;                                       /* a caller or handler has it */
	bool open;                                       /* nghttp2 has it */
	bool head_done;                                  /* the peer's head is whole */
	bool head_sent;                                  /* a server's */
	bool in_ended;                                   /* the peer sends no more */
	bool out_ended;                                  /* neither do we, after out */
	bool cancelled;                                  /* by us */
	bool broken; /* reset or unusable: what was received does not count */
	void (*gone)(void *arg);
	void *gone_arg;
};

/* --- h2.c --- */
void h2_wake(struct h2 *c); /* with the lock: the thread looks at the session */
/* A thread without signals and with a small stack; 0 or an errno. */
int h2_thread_start(pthread_t *ret, bool detached, void *(*run)(void *), void *arg);

/* --- h2_session.c --- */
nghttp2_session *h2_session_new(struct h2 *c);

/* --- h2_call.c --- */
extern const struct call_ops h2_server_ops, h2_client_ops;

/* --- h2_head.c; all with the lock --- */
/* A server's, before its first message, or with the status when there is none. */
void h2_head_answer(struct h2_stream *s, bool only);
void h2_head_trailers(struct h2_stream *s);
int h2_head_check(const struct strv *m, struct err *e); /* of metadata; NULL is fine */
/* The id of the new stream, or nghttp2's error. */
int h2_head_request(struct h2_stream *s, const struct strv *metadata);

/* --- h2_stream.c; all with the lock --- */
struct h2_stream *h2_stream_new(struct h2 *c, const char *path, bool server);
/* Frees it when neither nghttp2 nor a caller has it. */
void h2_stream_drop(struct h2_stream *s);
/* nghttp2 has closed it, or the connection ended. */
void h2_stream_over(struct h2_stream *s, uint32_t error_code);
void h2_stream_changed(struct h2_stream *s);
/* Answers without a handler. */
void h2_stream_refuse(struct h2_stream *s, enum grpc_code code, const char *message);
ssize_t h2_stream_read_out(nghttp2_session *session, int32_t id, uint8_t *to, size_t room,
	uint32_t *flags, nghttp2_data_source *source, void *owner);
/* The handler in a thread of its own. */
void h2_stream_handle(struct h2_stream *s);
