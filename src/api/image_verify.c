/* POST /wherry/v1/images/verify: our own. ?name= (several; none: all images and every other layer),
 * deep=1: contents too, repair=1: what is damaged is fetched again. X-Registry-Config as for
 * builds. The answer is progress as of a pull and, last, {"aux": the result} (image.h). */
#include <stdlib.h>

#include "api/call.h"
#include "api/handlers.h"
#include "api/progress.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "image/image.h"

struct verification {
	struct call *call;
	struct image_verify *work; /* NULL once it is done */
	bool begun;
};

static void verify_progress(void *owner, json_t *msg)
{
	struct verification *v = owner;
	if (!v->begun) {
		v->begun = true;
		progress_begin(v->call);
	}
	progress_send(v->call, msg);
}

static void verify_done(void *owner, json_t *result, const struct err *e)
{
	struct verification *v = owner;
	v->work = NULL;
	if (!v->call->r) { /* the client left before: verify_closed kept v for us */
		call_unref(v->call);
		free(v);
		return;
	}
	if (result) {
		scoped(json) json_t *msg = json_pack("{sO}", "aux", result);
		verify_progress(v, msg);
	}
	progress_end(v->call, v->begun, e, 0);
}

static void verify_closed(struct call *c)
{
	struct verification *v = c->stream;
	if (v->work) {
		call_ref(c);
		image_verify_cancel(v->work);
		return;
	}
	free(v);
}

void images_verify(struct call *c)
{
	static const struct image_verify_handlers handlers = {verify_progress, verify_done};
	struct err e;
	json_t *auths;
	if (call_auth_header(c, "X-Registry-Config", &auths, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	scoped(json) json_t *owned = auths;
	scoped(strv) struct strv names = STRV_INIT;
	const char *name;
	for (size_t i = 0; (name = http_query_nth(c->r, "name", i)); i++) {
		strv_add(&names, name);
	}
	const struct image_verify_query q = {.names = &names,
		.deep = call_query_bool(c, "deep", false),
		.repair = call_query_bool(c, "repair", false),
		.auths = owned};
	struct verification *v = xnew(struct verification);
	v->call = c;
	v->work = image_verify(c->api->d.images, &q, &handlers, v, &e);
	if (!v->work) {
		free(v);
		call_reply_error(c, &e);
		return;
	}
	c->stream = v;
	c->stream_closed = verify_closed;
}
