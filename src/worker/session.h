/* worker/session.h - what only the client of a build has: calls on its session.
 *
 * A client of BuildKit's calls offers services on its session (POST /session): files
 * (moby.filesync.v1.FileSync/DiffCopy), where results go (moby.filesync.v1.FileSend/DiffCopy),
 * logins (moby.filesync.v1.Auth/...), secrets (moby.buildkit.secrets.v1.Secrets/GetSecret), ssh
 * agents (moby.sshforward.v1.SSH/...), a context from its stdin (moby.upload.v1.Upload/Pull). The
 * process that has the connection (gateway.h) relays: one connection to RUN/build.sock is one call.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "base/strv.h"
#include "grpc/grpc.h"

struct build;

/* Whether the client has a session at all: a classic build has none. */
bool session_is_there(const struct build *b);

/* metadata: names (lower case) and values in turns, or NULL. The call is the caller's
 * (grpc_call_free) and may be used in any thread; a session that has gone, or that does not have
 * the method, shows at the first grpc_recv. NULL with *e: ERR_INVALID without a session. */
struct grpc_call *session_call(
	const struct build *b, const char *method, const struct strv *metadata, struct err *e);
/* The same on another session of the client; "" is the build's own. buildx names one for each local
 * directory when builds share theirs (attribute "local-sessionid:NAME"). */
struct grpc_call *session_call_on(const struct build *b, const char *session, const char *method,
	const struct strv *metadata, struct err *e);
/* For a question that the client answers by itself, also when it asks a person first: the call
 * fails when SESSION_ANSWER_S pass without an answer. */
#define SESSION_ANSWER_S 300
struct grpc_call *session_question(const struct build *b, const char *method, struct err *e);
/* One request, one answer, as grpc_unary; a session_question. */
int session_unary(const struct build *b, const char *method, const struct buf *request,
	struct buf *ret, struct err *e);

/* session_upload.c: the bytes that a client has on its stdin, under a path that it chose (option
 * "context" of kind "upload"). The reading end of a pipe, the caller's; -1 with *e. */
int session_upload_open(const struct build *b, const char *path, struct err *e);
