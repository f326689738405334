/* Registry logins for the engine: config.json and the credential helpers, when it asks. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "buildkit/session.pb-c.h"
#include "codec/ref.h"
#include "wherry/auth.h"
#include "wherry/build_session.h"
#include "wherry/engine.h"

/* The engine asks by the host that it talks to; the default registry has another name in
 * config.json, which the engine knows. */
static json_t *find_login(const struct build_session *s, const char *host)
{
	static const char prefix[] = "registry-1.";
	const char *name = text_starts(host, prefix) ? host + sizeof(prefix) - 1 : host;
	if (strcmp(name, REF_DEFAULT_DOMAIN) != 0) {
		struct cli cli = s->cli;
		return auth_find(&cli, host);
	}
	struct err ignored;
	struct cli cli = s->cli;
	scoped(http_client_free) struct http_client *http = engine_connect(&cli, &ignored);
	cli.http = http;
	scoped(free) char *server = http ? auth_default_server(&cli) : xstrdup(host);
	return auth_find(&cli, server);
}

void build_serve_login(struct grpc_call *c, void *owner)
{
	const struct build_session *s = owner;
	scoped(buf) struct buf bytes = BUF_INIT;
	struct err e;
	if (!build_serve_request(c, &bytes)) {
		return;
	}
	Buildkit__CredentialsRequest *q = buildkit__credentials_request__unpack(
		NULL, bytes.len, (const uint8_t *)buf_str(&bytes));
	if (!q) {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "the request is malformed");
		return;
	}
	scoped(json) json_t *login = find_login(s, q->host);
	buildkit__credentials_request__free_unpacked(q, NULL);
	const char *token = json_str(login, "identitytoken");
	Buildkit__CredentialsResponse answer = BUILDKIT__CREDENTIALS_RESPONSE__INIT;
	answer.username = (char *)(uintptr_t)(*token ? "" : json_str(login, "username"));
	answer.secret = (char *)(uintptr_t)(*token ? token : json_str(login, "password"));
	buf_clear(&bytes);
	size_t n = buildkit__credentials_response__get_packed_size(&answer);
	buildkit__credentials_response__pack(&answer, (uint8_t *)buf_room(&bytes, n + 1));
	buf_added(&bytes, n);
	if (grpc_send(c, buf_str(&bytes), bytes.len, &e) == 0) {
		grpc_finish(c, GRPC_OK, "");
	}
}
