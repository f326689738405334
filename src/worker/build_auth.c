/* Logins that only the client of a build has: moby.filesync.v1.Auth/Credentials of its session.
 *
 * The client's other way, tokens that it fetches itself (FetchToken), would have the daemon's
 * requests made twice over; every client has this one, which BuildKit falls back to.
 */
#include "worker/build_auth.h"

#include <string.h>

#include "base/json.h"
#include "base/scoped.h"
#include "codec/ref.h"
#include "session.pb-c.h"
#include "worker/session.h"

#define CREDENTIALS "/moby.filesync.v1.Auth/Credentials"
#define HUB "registry-1.docker.io" /* under which clients know docker.io */

static json_t *read_answer(const struct buf *answer)
{
	Buildkit__CredentialsResponse *got = buildkit__credentials_response__unpack(
		NULL, answer->len, (const uint8_t *)buf_str(answer));
	json_t *auth = NULL;
	if (got && *got->secret) {
		/* a secret without a name is a token that an earlier login gave */
		auth = *got->username ? json_pack("{ss ss}", "username", got->username, "password",
						got->secret)
				      : json_pack("{ss}", "identitytoken", got->secret);
	}
	if (got) {
		buildkit__credentials_response__free_unpacked(got, NULL);
	}
	return auth;
}

json_t *build_auth(const struct build *b, const char *reference)
{
	Buildkit__CredentialsRequest q = BUILDKIT__CREDENTIALS_REQUEST__INIT;
	scoped(buf) struct buf question = BUF_INIT;
	scoped(buf) struct buf answer = BUF_INIT;
	struct ref r;
	struct err ignored;
	if (!session_is_there(b) || ref_parse(reference, &r, &ignored) < 0) {
		return NULL;
	}
	q.host = strcmp(r.domain, REF_DEFAULT_DOMAIN) == 0 ? HUB : r.domain;
	char *to = buf_room(&question, buildkit__credentials_request__get_packed_size(&q));
	buf_added(&question, buildkit__credentials_request__pack(&q, (uint8_t *)to));
	return session_unary(b, CREDENTIALS, &question, &answer, &ignored) < 0
		       ? NULL
		       : read_answer(&answer);
}
