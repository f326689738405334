/* Are these credentials good? The registry's /v2/ says so (distribution-spec "Determining
 * Support").
 */
#include <string.h>

#include "base/mem.h"
#include "worker/registry.h"
#include "worker/registry_http.h"

#define BODY_MAX (64u << 10)

static int refused(const struct registry *r, long status, struct err *e)
{
	return err_set(e, status == 401 ? ERR_UNAUTHORIZED : ERR_SYSTEM,
		"login attempt to %s/v2/ failed with status: %ld%s", registry_base(r), status,
		registry_status_words(status));
}

/* The token for a login is for no repository, whatever the challenge says: a scope would be asked
 * for rights that the user may lack. */
static void drop_scope(char *challenge)
{
	char *scope = strcasestr(challenge, ",scope=");
	if (scope) {
		*scope = '\0';
	}
}

static int check_endpoint(struct registry *r, struct err *e)
{
	scoped(buf) struct buf body = BUF_INIT;
	scoped(free) char *url = xasprintf("%s/v2/", registry_base(r));
	for (int tries = 0;; tries++) {
		scoped(free) char *authorization = registry_authorization(r);
		struct reply reply = {.body = &body, .limit = BODY_MAX};
		if (registry_get(r, url, NULL, authorization, NULL, &reply, e) < 0) {
			return -1;
		}
		if (reply.status == 200) {
			return 0;
		}
		if (reply.status != 401 || tries > 0) {
			return refused(r, reply.status, e);
		}
		drop_scope(reply.challenge);
		struct err why;
		if (registry_log_in(r, reply.challenge, authorization, &why) < 0) {
			return why.kind == ERR_DENIED ? err_set(e, ERR_UNAUTHORIZED,
								"Get \"%s\": %.300s", url, why.msg)
						      : err_set(e, why.kind, "%s", why.msg);
		}
	}
}

/* The second way, in the clear, only when there is no answer in the first. */
int registry_check_login(struct registry *r, struct err *e)
{
	r->wants_identity = true;
	for (r->endpoint = r->n_mirrors;; r->endpoint++) {
		registry_forget_authorization(r);
		if (check_endpoint(r, e) == 0) {
			return 0;
		}
		if (e->kind != ERR_SYSTEM || r->endpoint + 1 == r->endpoints.n) {
			return -1;
		}
	}
}

const char *registry_identity_token(const struct registry *r)
{
	return r->identity_token ? r->identity_token : "";
}
