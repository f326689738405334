/* POST /images/{name}/push: a job whose progress is the answer. moby distribution/push.go. */
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "api/progress.h"
#include "api/reference.h"
#include "base/json.h"
#include "base/mem.h"
#include "codec/ref.h"
#include "image/image.h"

struct transfer {
	struct call *call;
	struct image_push *push; /* NULL once it is done */
};

static void push_progress(void *owner, json_t *msg)
{
	const struct transfer *t = owner;
	progress_send(t->call, msg);
}

static void push_done(void *owner, const struct err *e)
{
	struct transfer *t = owner;
	t->push = NULL;
	if (!t->call->r) { /* the client left before: push_closed kept t for us */
		call_unref(t->call);
		free(t);
		return;
	}
	progress_end(t->call, true, e, 0);
}

static void push_closed(struct call *c)
{
	struct transfer *t = c->stream;
	if (t->push) {
		call_ref(c);
		image_push_cancel(t->push);
		return;
	}
	free(t);
}

/* The name with the tag of the query, which is empty for all tags; the caller's. NULL with *e. */
static char *push_reference(const struct call *c, struct err *e)
{
	struct ref r;
	const char *tag = call_query_or(c, "tag", NULL);
	if (tag) {
		return reference_join(c->args[0], tag, e);
	}
	return ref_parse(c->args[0], &r, e) < 0 ? NULL : xstrdup(c->args[0]);
}

/* The answer has begun with the first line; every failure from now on is part of it. */
static void run(struct call *c, json_t *take_auth)
{
	static const struct image_push_handlers handlers = {push_progress, push_done};
	scoped(json) json_t *auth = take_auth;
	struct err e;
	struct ref ref;
	char name[REF_TEXT_MAX];
	scoped(free) char *reference = push_reference(c, &e);
	if (!reference || ref_parse(reference, &ref, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	scoped(free) char *words =
		xasprintf("The push refers to repository [%s]", ref_name(&ref, name));
	scoped(json) json_t *first = json_pack("{ss}", "status", words);
	progress_begin(c);
	progress_send(c, first);
	struct transfer *t = xnew(struct transfer);
	t->call = c;
	t->push = image_push(c->api->d.images, reference, TAKE(auth), &handlers, t, &e);
	if (!t->push) {
		free(t);
		progress_end(c, true, &e, 0);
		return;
	}
	c->stream = t;
	c->stream_closed = push_closed;
}

/* Clients of long ago send the credentials in the body. */
static void body_arrived(struct call *c, const char *data, size_t n)
{
	struct err e;
	json_t *auth = json_parse(data, n, "the credentials", &e);
	if (!auth) {
		err_set(&e, ERR_INVALID,
			"bad parameters and missing X-Registry-Auth: invalid X-Registry-Auth header: %s",
			n == 0 ? "EOF" : "it is not JSON");
		call_reply_error(c, &e);
		return;
	}
	run(c, auth);
}

void images_push(struct call *c)
{
	struct err ignored;
	json_t *auth = NULL;
	const char *header = http_header(c->r, "X-Registry-Auth");
	if (!header || !*header) {
		call_body_raw(c, body_arrived);
		return;
	}
	/* wrong ones count as none, as in dockerd: the registry says what it misses */
	run(c, call_auth_header(c, "X-Registry-Auth", &auth, &ignored) < 0 ? NULL : auth);
}
