/* grpc/grpc.h - gRPC calls, blocking, one message at a time, the same for client and server.
 *
 * A call is one of three things: a call that a peer made on an HTTP/2 connection (h2.h; a handler
 * gets it), one that we make on such a connection (grpc_call_new), or a session stream of a build
 * worker, relayed over a unix socket (grpc_call_over). All of them are used by the functions here.
 *
 * Messages are whole protobuf messages as bytes; packing them is the caller's business. One thread
 * sends and one receives at a time; grpc_cancel may come from any. Functions block as long as the
 * peer makes them (flow control): who must not wait forever cancels the call from another thread.
 * Wire format: gRPC over HTTP2 (PROTOCOL-HTTP2.md), messages never compressed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"

struct h2;
struct grpc_call;

#define GRPC_MESSAGE_MAX (16u << 20)  /* bytes; a longer one ends the call */
#define GRPC_METADATA_MAX (60u << 10) /* bytes of all names and values of one call, each way */
#define GRPC_GATHER (16u << 10)       /* as much as one DATA frame of HTTP/2 takes */

enum grpc_code {
	GRPC_OK = 0,
	GRPC_CANCELLED = 1,
	GRPC_UNKNOWN = 2,
	GRPC_INVALID_ARGUMENT = 3,
	GRPC_DEADLINE_EXCEEDED = 4,
	GRPC_NOT_FOUND = 5,
	GRPC_ALREADY_EXISTS = 6,
	GRPC_PERMISSION_DENIED = 7,
	GRPC_RESOURCE_EXHAUSTED = 8,
	GRPC_FAILED_PRECONDITION = 9,
	GRPC_ABORTED = 10,
	GRPC_OUT_OF_RANGE = 11,
	GRPC_UNIMPLEMENTED = 12,
	GRPC_INTERNAL = 13,
	GRPC_UNAVAILABLE = 14,
	GRPC_DATA_LOSS = 15,
	GRPC_UNAUTHENTICATED = 16,
};

/* --- both sides --- */

/* One message. 0 when it is queued (a bounded queue: waits for room), -1 with *e when the call is
 * over. What a peer that ended the call said about it is in *e, as with grpc_recv. */
int grpc_send(struct grpc_call *c, const void *data, size_t n, struct err *e);
/* The same of one that is followed by another at once: it may be kept back until that comes, or
 * GRPC_GATHER bytes are together. Many small messages cost much less so. */
int grpc_send_more(struct grpc_call *c, const void *data, size_t n, struct err *e);

/* The next message replaces *ret's bytes. 1: there is one; 0: the peer sends no more (for a client:
 * and the status was OK); -1 with *e: the call failed, was cancelled or the connection has gone; *e
 * is the peer's sentence, its kind made from the status (grpc_kind). */
int grpc_recv(struct grpc_call *c, struct buf *ret, struct err *e);

/* For who passes messages on without a look: as grpc_recv, but each message is a frame (frame.h),
 * and those that have come already follow the first one until ret has enough bytes. */
int grpc_recv_frames(struct grpc_call *c, size_t enough, struct buf *ret, struct err *e);
/* As grpc_send, of whole frames. */
int grpc_send_frames(struct grpc_call *c, const struct buf *frames, struct err *e);

/* Ends the call at once in both directions; blocked calls return -1. Any thread, any number of
 * times. */
void grpc_cancel(struct grpc_call *c);

/* What the peer sent before its first message, of a client's call after the first grpc_recv. The
 * i-th value of that name (lower case), borrowed until the call is freed, or NULL. A name that ends
 * in "-bin" has its value in base64, as on the wire. */
const char *grpc_metadata(struct grpc_call *c, const char *name, size_t i);
/* All names and values in turns; borrowed as above. */
const struct strv *grpc_metadata_all(struct grpc_call *c);

enum err_kind grpc_kind(enum grpc_code code);
enum grpc_code grpc_code_of(enum err_kind kind);

/* --- client --- */

/* method: "/moby.filesync.v1.FileSync/DiffCopy"; metadata: names (lower case) and values in turns,
 * or NULL. A call to grpc_call_free, or NULL with *e. The answer is not awaited. */
struct grpc_call *grpc_call_new(
	struct h2 *conn, const char *method, const struct strv *metadata, struct err *e);
/* The worker's end of a session stream whose first line is written (ISSUE5 "Gateway socket"):
 * frames of 1 byte type (0 message, 0xff status), 4 bytes length big-endian, the bytes. */
struct grpc_call *grpc_call_over(int take_fd);
/* A session stream on which each grpc_recv waits at most this long for bytes; then the call fails
 * with GRPC_DEADLINE_EXCEEDED. */
void grpc_call_over_wait(struct grpc_call *c, unsigned seconds);
/* The other end of one: a server's call (grpc_finish sends the status), freed with grpc_call_free.
 * early: bytes that were read from it already. */
struct grpc_call *grpc_call_over_peer(int take_fd, const void *early, size_t n_early);
/* We send no more; grpc_recv goes on. */
int grpc_send_end(struct grpc_call *c, struct err *e);
/* After grpc_recv gave 0 or -1: the status as it came, and the details (a packed
 * google.rpc.Status; borrowed, may be NULL). message borrowed, "" at least. */
enum grpc_code grpc_status(
	struct grpc_call *c, const char **ret_message, const struct buf **ret_details);
/* Cancels what is not over. NULL is fine. Not for a handler's call, which is freed after it. */
void grpc_call_free(struct grpc_call *c);
SCOPED(struct grpc_call *, grpc_call_free)

/* One request, one answer, of a new call: sends, ends, receives. The answer replaces *ret's bytes.
 */
int grpc_exchange(struct grpc_call *c, const struct buf *request, struct buf *ret, struct err *e);
int grpc_unary(struct h2 *conn, const char *method, const struct strv *metadata,
	const struct buf *request, struct buf *ret, struct err *e);

/* --- server --- */

/* Runs in a thread of its own; the call is its caller's and is gone when it returns. A handler that
 * did not finish gives the client GRPC_UNKNOWN. owner is h2_options's. */
typedef void grpc_handler_fn(struct grpc_call *c, void *owner);

struct grpc_method {
	const char *path; /* "/moby.buildkit.v1.Control/Solve"; NULL ends the table */
	grpc_handler_fn *fn;
};

/* The last thing: status and, unless OK, the sentence. details: a packed google.rpc.Status, or
 * NULL. The client gets it when the handler returns; it may be gone, nobody needs to know. */
void grpc_finish(struct grpc_call *c, enum grpc_code code, const char *message);
void grpc_finish_details(struct grpc_call *c, enum grpc_code code, const char *message,
	const void *details, size_t n);
void grpc_finish_err(struct grpc_call *c, const struct err *e); /* by its kind */

const char *grpc_path(const struct grpc_call *c);
struct h2 *grpc_conn(const struct grpc_call *c); /* NULL over a unix socket */

/* gone(arg) comes once, from another thread, when the call ends in any other way than by us: the
 * peer cancelled it, or its connection broke. It may come before this returns. It must not block
 * and not use the call. No call after grpc_unwatch has returned. */
void grpc_watch(struct grpc_call *c, void (*gone)(void *arg), void *arg);
void grpc_unwatch(struct grpc_call *c);
