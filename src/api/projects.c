/* /wherry/v1/projects: our own. Compose projects kept for clients that have no file: GET lists them
 * without their configuration; GET, PUT and DELETE of /NAME are for one. */
#include "api/call.h"
#include "api/handlers.h"
#include "project/project.h"

void projects_list(struct call *c)
{
	call_reply_json(c, 200, project_store_list(c->api->d.projects));
}

void projects_get(struct call *c)
{
	struct err e;
	scoped(buf) struct buf text = BUF_INIT;
	if (project_store_get(c->api->d.projects, c->args[0], &text, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	http_reply(c->r, 200, "application/json", text.data, text.len);
}

static void put(struct call *c, const json_t *body)
{
	struct err e;
	bool is_new;
	if (project_store_put(c->api->d.projects, c->args[0], body, &is_new, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_empty(c, is_new ? 201 : 204);
}

void projects_put(struct call *c)
{
	call_body_json(c, false, put);
}

void projects_remove(struct call *c)
{
	struct err e;
	if (project_store_remove(c->api->d.projects, c->args[0], &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	call_reply_empty(c, 204);
}
