/* grpc/h2.h - one HTTP/2 connection (RFC 9113) on a connected descriptor, for gRPC only.
 *
 * nghttp2 is the codec; a thread of our own per connection reads and writes. Both roles exist: on
 * POST /grpc the daemon's side is the server, on POST /session it is the client. There is no TLS
 * and no HTTP/1 here: whoever makes the connection has done the upgrade. Each side begins as after
 * "prior knowledge": the client with the preface, never with an answer on stream 1.
 *
 * Bounds: H2_STREAMS_MAX streams at once (more are refused), H2_WINDOW bytes queued each way for
 * each stream, GRPC_METADATA_MAX of metadata. A peer that resets streams faster than it lets us
 * work (CVE-2023-44487), or floods with SETTINGS or PING, loses the connection.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/scoped.h"
#include "grpc/grpc.h"

#define H2_STREAMS_MAX 100
#define H2_WINDOW (256u << 10)

struct h2_options {
	bool server;
	/* What a server answers; borrowed for the connection's life. NULL or an unknown path:
	 * GRPC_UNIMPLEMENTED. A client ignores it. */
	const struct grpc_method *methods;
	void *owner; /* for the handlers and closed */
	/* The connection is over: the peer left, broke the protocol, or h2_close. Once, from the
	 * connection's thread, with why (the sentence is "" for an ordinary end). No new calls come
	 * afterwards; handlers may still run. Must not call h2_free. May be NULL. */
	void (*closed)(void *owner, struct h2 *conn, const struct err *why);
};

/* take_fd: a connected stream socket, becomes non-blocking. early: bytes that were read from it
 * already, or NULL. The options are copied. A connection to h2_free, or NULL with *e. */
struct h2 *h2_new(
	int take_fd, const void *early, size_t n_early, const struct h2_options *o, struct err *e);

/* GOAWAY, then the end of the connection: calls that still run fail. Any thread; does not wait. */
void h2_close(struct h2 *c);
bool h2_is_closed(const struct h2 *c);
/* Waits up to timeout_ms (-1: for ever) for the end. true when it has ended. */
bool h2_wait_closed(struct h2 *c, int timeout_ms);
/* Closes, waits until all handlers have returned, frees. The client's calls must be freed before.
 * NULL is fine. */
void h2_free(struct h2 *c);
SCOPED(struct h2 *, h2_free)
