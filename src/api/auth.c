/* POST /auth: a worker asks the registry whether credentials are good; the client keeps them. */
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/json.h"
#include "job/job.h"

static void checked(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct call *c = owner;
	if (result) {
		call_reply_json(c, 200,
			json_pack("{ss ss}", "Status", "Login Succeeded", "IdentityToken",
				json_str(result, "identitytoken")));
	} else {
		call_reply_error(c, e);
	}
	call_unref(c);
}

/* The members that the job reads, each a string; a new object or NULL with *e. */
static json_t *read_auth(const json_t *body, struct err *e)
{
	static const char *const members[] = {
		"username", "password", "identitytoken", "serveraddress"};
	scoped(json) json_t *auth = json_object();
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		const char *text;
		if (json_get_str(body, members[i], &text, e) < 0) {
			return NULL;
		}
		json_put_str(auth, members[i], text ? text : "");
	}
	return TAKE(auth);
}

static void check(struct call *c, const json_t *body)
{
	static const struct job_handlers handlers = {NULL, NULL, checked};
	struct err e;
	json_t *auth = read_auth(body, &e);
	if (!auth) {
		call_reply_error(c, &e);
		return;
	}
	json_t *request = json_pack("{so s{sO*}}", "auth", auth, "registry", "insecure-registries",
		json_object_get(c->api->d.config, "insecure-registries"));
	call_ref(c);
	if (!job_start(c->api->d.jobs, "login", request, -1, false, &handlers, c, &e)) {
		checked(c, NULL, NULL, &e);
	}
}

void system_auth(struct call *c)
{
	call_body_json(c, false, check);
}
