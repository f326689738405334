/* wherry/auth.h - registry credentials: config.json's auths and the docker-credential-* helpers.
 *
 * Docker API "Authentication": {"username", "password", "serveraddress"} or {"identitytoken"} in
 * base64url.
 */
#pragma once
#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"
#include "wherry/command.h"

/* The key of the default registry ("https://.../v1/"), as the engine names it; the caller's. */
char *auth_default_server(struct cli *cli);
/* The key in config.json of a registry as the user wrote it: without scheme and path; the default
 * one is kept. */
char *auth_server_key(const char *server);

/* "X-Registry-Auth: ...\r\n" for an image's registry; appends nothing when there are no
 * credentials. Failing helpers are said on stderr and count as no credentials, as the docker CLI
 * does. */
void auth_header_for_image(struct cli *cli, const char *image, struct buf *ret);
/* All credentials, by server; new. */
json_t *auth_all(struct cli *cli);
/* Credentials as an entry of config.json's auths; new. */
json_t *auth_entry(const json_t *auth);
/* "X-Registry-Config: ...\r\n": all credentials, for builds. */
void auth_header_for_build(struct cli *cli, struct buf *ret);

/* The credentials of a server: {"username", "password" or "identitytoken", "serveraddress"}, or
 * NULL. */
json_t *auth_find(struct cli *cli, const char *server);
/* Stores into the helper that config.json names, or into config.json itself; *ret_in_clear: a
 * password was written there that was not there before. */
int auth_store(struct cli *cli, const json_t *auth, bool *ret_in_clear, struct err *e);
/* Forgets what is kept under this very name. 0 also when config.json had nothing. */
int auth_erase(struct cli *cli, const char *server, struct err *e);
