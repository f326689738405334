/* grpc/call.h - what a call is, for its transports (h2_call.c, call_over.c); nobody else includes
 * it. */
#pragma once
#include <sys/uio.h>

#include "grpc/frame.h"
#include "grpc/grpc.h"

/* Each as the function of its name in grpc.h. */
struct call_ops {
	/* parts: whole frames; may be changed */
	int (*send)(struct grpc_call *c, struct iovec *parts, size_t n, bool more, struct err *e);
	int (*recv)(struct grpc_call *c, struct buf *ret, struct err *e);
	/* The whole frames that have come, behind ret's bytes until it has enough. */
	void (*recv_ready)(struct grpc_call *c, size_t enough, struct buf *ret);
	int (*send_end)(struct grpc_call *c, struct err *e);
	void (*cancel)(struct grpc_call *c);
	void (*free)(struct grpc_call *c);
	/* server; NULL for what is only a client's */
	void (*finish)(struct grpc_call *c); /* status is set */
	void (*watch)(struct grpc_call *c, void (*gone)(void *arg), void *arg);
};

/* How a call ended. A server's: what we say; a client's: what the peer said. */
struct call_status {
	bool known;
	enum grpc_code code;
	char *message; /* NULL: none */
	struct buf details;
	bool has_details;
};

struct grpc_call {
	const struct call_ops *ops;
	struct h2 *conn; /* NULL: a session stream */
	char *path;
	struct strv metadata; /* the peer's */
	struct frame_reader reader;
	struct call_status status;
};

void call_init(struct grpc_call *c, const struct call_ops *ops, struct h2 *conn, const char *path);
void call_deinit(struct grpc_call *c);
/* The first status stays. */
void call_set_status(struct grpc_call *c, enum grpc_code code, const char *message);
/* A client's call that is over: 0 for an OK status, -1 with its sentence in *e. */
int call_result(const struct grpc_call *c, struct err *e);
