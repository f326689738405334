/* wherry/build_session.h - what the engine may ask of us while it builds: files of the contexts,
 * logins, secrets, our ssh agent, standard input; and it hands the results over here.
 *
 * A connection of its own (POST /session, upgraded to HTTP/2), on which the engine is the client.
 * Nothing is given that the request does not name. The services are those of moby/buildkit
 * session; each is in a file of its own.
 */
#pragma once
#include "base/err.h"
#include "grpc/grpc.h"
#include "wherry/build_request.h"
#include "wherry/command.h"

struct build_session;

/* Connects. All is borrowed and outlives it. A session to build_session_close, or NULL with *e. */
struct build_session *build_session_open(
	const struct cli *cli, const struct build_request *r, struct err *e);
const char *build_session_id(const struct build_session *s);
/* Waits until nothing runs for it any more; NULL is fine. */
void build_session_close(struct build_session *s);
SCOPED(struct build_session *, build_session_close)

/* POST path with an upgrade to HTTP/2. ERR_NOT_FOUND when the engine has no such path. The socket,
 * and in ret_early what was read already; -1 with *e. */
int build_session_dial(const struct cli *cli, const char *path, const char *headers,
	struct buf *ret_early, struct err *e);

/* A connection for calls of Control, to h2_free. NULL with *e; ERR_NOT_FOUND as above. */
struct h2 *build_control_open(const struct cli *cli, struct err *e);

/* --- the services; owner is the session's --- */
struct build_session {
	struct cli cli; /* a copy, for connections of its own */
	const struct build_request *request;
	struct h2 *conn;
	char *id;
};
grpc_handler_fn build_serve_files;       /* build_files.c: FileSync/DiffCopy */
grpc_handler_fn build_serve_result;      /* build_results.c: FileSend/DiffCopy */
grpc_handler_fn build_serve_login;       /* build_login.c: Auth/Credentials */
grpc_handler_fn build_serve_secret;      /* build_secrets.c: Secrets/GetSecret */
grpc_handler_fn build_serve_agent_check; /* build_secrets.c: SSH/CheckAgent */
grpc_handler_fn build_serve_agent;       /* build_secrets.c: SSH/ForwardAgent */
grpc_handler_fn build_serve_upload;      /* build_results.c: Upload/Pull */
/* build_content.c: a content store */
grpc_handler_fn build_serve_content_info, build_serve_content_read, build_serve_content_write,
	build_serve_content_abort;

/* One request of a unary method; false when there was none and the call is finished. */
bool build_serve_request(struct grpc_call *c, struct buf *ret);
/* A piece of a stream of bytes (BytesMessage). */
int build_send_bytes(struct grpc_call *c, const void *data, size_t n, struct err *e);
