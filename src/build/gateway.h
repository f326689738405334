/* build/gateway.h - BuildKit's own connections (POST /grpc, POST /session), from the daemon's side.
 *
 * One process, the job "buildkit" (worker/gateway.h), speaks HTTP/2 and gRPC with all clients: the
 * daemon hands it their sockets over RUN/build.sock and runs the builds that it asks for. The
 * listening socket is the daemon's, so a connection that is made while no process is there waits
 * in its backlog and starts one; a process ends by itself when it has had nothing to do for a
 * while. Build workers connect to the same socket for what only a client has (worker/session.h).
 *
 * Between the two, on the job's socket: {"ask": "solve", "id": N, "options": as build_start},
 * {"ask": "prune", "id": N, "all"}, {"ask": "usage", "id": N}, {"cancel": N}, {"ready": true} from
 * the process;
 * {"id": N, "msg": a message of the build}, {"id": N, "done": its result}, {"id": N, "error":
 * {"kind", "message"}, "code": N} to it.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

typedef struct uv_loop_s uv_loop_t;
struct builder;
struct gateway;
struct job_pool;

struct gateway_deps { /* all borrowed for the gateway's life */
	uv_loop_t *loop;
	struct job_pool *jobs;
	struct builder *builder;
	const char *exec_root;
};

/* Makes the socket, starts nothing. NULL with *e. */
struct gateway *gateway_new(const struct gateway_deps *d, struct err *e);
/* After job_pool_free. NULL is fine. */
void gateway_free(struct gateway *g);

/* Hands a client's connection over; the process writes the answer to its request. head:
 * {"connection": "grpc"} or {"connection": "session", "id", "name", "shared_key"}; early: what the
 * client has sent behind its request. -1 with *e: the connection is closed. */
int gateway_give(
	struct gateway *g, int take_fd, json_t *take_head, const struct buf *early, struct err *e);
/* The shared key of the session that a build's options name, as option "shared_key". */
void gateway_put_key(const struct gateway *g, json_t *options);
