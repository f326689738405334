/* worker/rpc.h - the worker's end of the socket to the daemon (job/job.h): JSON lines on fd 3.
 *
 * One request comes in; messages go out from any thread, whole lines at a time; a question waits
 * for its answer. Without a daemon there is nothing to do: when the socket is gone the process ends
 * at once with status 1.
 */
#pragma once
#include <jansson.h>

#include "base/err.h"

struct rpc;

struct rpc *rpc_new(int take_fd); /* a blocking stream socket */
void rpc_free(struct rpc *r);

/* The first line. A new reference, or NULL with *e when it is not a JSON object. Call once, first.
 */
json_t *rpc_request(struct rpc *r, struct err *e);

/* The next message of the daemon, for a job that is told things and asks with rpc_send: a new
 * reference, or NULL with *e when it is not a JSON object. One thread, which then is the only one
 * that reads: not together with rpc_ask. */
json_t *rpc_next(struct rpc *r, struct err *e);

/* A message: anything but "result", "error" and "ask". Any thread. */
void rpc_send(struct rpc *r, json_t *take_msg);

/* Sends {"ask": OP, ...} and waits for the daemon's {"answer": ...} or {"error": {"kind",
 * "message"}}. One question at a time: another thread's question waits. The answer is a new
 * reference, or NULL with *e. */
json_t *rpc_ask(struct rpc *r, json_t *take_msg, struct err *e);
/* From now on questions of several threads wait beside each other: each has a number "n" that the
 * daemon's answer repeats. Before the first question. */
void rpc_ask_many(struct rpc *r);

/* The last words; one of them, once. */
void rpc_result(struct rpc *r, json_t *take_result);
void rpc_error(struct rpc *r, const struct err *e);
