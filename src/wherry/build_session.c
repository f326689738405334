#include "wherry/build_session.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "buildkit/content.h"
#include "codec/sha256.h"
#include "grpc/h2.h"
#include "wherry/engine.h"

#define BUILDKIT_ID 25 /* hex digits: what BuildKit's own clients take */

/* grpc.health.v1 Health/Check: BuildKit asks every few seconds whether we live. */
static void serve_health(struct grpc_call *c, void *owner)
{
	static const char serving[] = {0x08, 0x01};
	scoped(buf) struct buf request = BUF_INIT;
	struct err e;
	if (build_serve_request(c, &request) && grpc_send(c, serving, sizeof(serving), &e) == 0) {
		grpc_finish(c, GRPC_OK, "");
	}
}

static const struct grpc_method methods[] = {
	{"/grpc.health.v1.Health/Check", serve_health},
	{"/moby.filesync.v1.FileSync/DiffCopy", build_serve_files},
	{"/moby.filesync.v1.FileSend/DiffCopy", build_serve_result},
	{"/moby.filesync.v1.Auth/Credentials", build_serve_login},
	{"/moby.buildkit.secrets.v1.Secrets/GetSecret", build_serve_secret},
	{"/moby.sshforward.v1.SSH/CheckAgent", build_serve_agent_check},
	{"/moby.sshforward.v1.SSH/ForwardAgent", build_serve_agent},
	{"/moby.upload.v1.Upload/Pull", build_serve_upload},
	{CONTENT_INFO, build_serve_content_info},
	{CONTENT_READ, build_serve_content_read},
	{CONTENT_WRITE, build_serve_content_write},
	{CONTENT_ABORT, build_serve_content_abort},
	{NULL, NULL},
};

bool build_serve_request(struct grpc_call *c, struct buf *ret)
{
	struct err e;
	int r = grpc_recv(c, ret, &e);
	if (r == 0) {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "a request is missing");
	} else if (r < 0) {
		grpc_finish_err(c, &e);
	}
	return r > 0;
}

int build_session_dial(const struct cli *cli, const char *path, const char *headers,
	struct buf *ret_early, struct err *e)
{
	scoped(http_client_free) struct http_client *http = engine_connect(cli, e);
	if (!http) {
		return -1;
	}
	scoped(free) char *lines =
		xasprintf("Connection: Upgrade\r\nUpgrade: h2c\r\n%s", headers ? headers : "");
	const struct http_call call = {.method = "POST", .path = path, .headers = lines};
	struct http_response r;
	if (http_client_send(http, &call, &r, e) < 0) {
		return -1;
	}
	bool upgraded = r.upgraded;
	int status = r.status;
	if (!upgraded && status >= 400) {
		http_client_fail(http, &r, e);
	}
	http_response_deinit(&r);
	if (upgraded) {
		return http_client_take_socket(http, ret_early);
	}
	return status >= 400
		       ? -1
		       : err_set(e, ERR_SYSTEM, "the engine does not upgrade %s to HTTP/2", path);
}

struct h2 *build_control_open(const struct cli *cli, struct err *e)
{
	scoped(buf) struct buf early = BUF_INIT;
	int fd = build_session_dial(cli, "/grpc", NULL, &early, e);
	const struct h2_options o = {0};
	return fd < 0 ? NULL : h2_new(fd, early.data, early.len, &o, e);
}

/* Tells the engine which files it may have kept of this context: the same directory of the same
 * user on the same machine. */
static void put_shared_key(const struct build_request *r, struct buf *ret)
{
	char digest[72];
	char host[256] = "";
	gethostname(host, sizeof(host) - 1);
	const char *dir = "";
	for (size_t i = 0; i < r->n_locals; i++) {
		dir = strcmp(r->locals[i].name, "context") == 0 ? r->locals[i].path : dir;
	}
	scoped(free) char *real = realpath(dir, NULL);
	scoped(free) char *text = xasprintf("%s:%u:%s", host, getuid(), real ? real : dir);
	sha256_digest(text, strlen(text), digest);
	buf_printf(ret, "X-Docker-Expose-Session-Sharedkey: %s\r\n", strchr(digest, ':') + 1);
}

struct build_session *build_session_open(
	const struct cli *cli, const struct build_request *r, struct err *e)
{
	char id[ID_LEN + 1];
	id_new(id);
	id[BUILDKIT_ID] = '\0';
	scoped(buf) struct buf headers = BUF_INIT;
	scoped(buf) struct buf early = BUF_INIT;
	buf_printf(&headers,
		"X-Docker-Expose-Session-Uuid: %s\r\nX-Docker-Expose-Session-Name: wherry\r\n", id);
	put_shared_key(r, &headers);
	for (const struct grpc_method *m = methods; m->path; m++) {
		buf_printf(&headers, "X-Docker-Expose-Session-Grpc-Method: %s\r\n", m->path);
	}
	int fd = build_session_dial(cli, "/session", buf_str(&headers), &early, e);
	if (fd < 0) {
		return NULL;
	}
	struct build_session *s = xnew(struct build_session);
	s->cli = *cli;
	s->cli.http = NULL;
	s->request = r;
	s->id = xstrdup(id);
	const struct h2_options o = {.server = true, .methods = methods, .owner = s};
	s->conn = h2_new(fd, early.data, early.len, &o, e);
	if (!s->conn) {
		build_session_close(s);
		return NULL;
	}
	return s;
}

const char *build_session_id(const struct build_session *s)
{
	return s->id;
}

void build_session_close(struct build_session *s)
{
	if (s) {
		h2_free(s->conn);
		free(s->id);
		free(s);
	}
}
