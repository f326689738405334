/* POST /images/create (pull and import) and POST /images/load: jobs whose progress is the answer.
 */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "api/progress.h"
#include "api/reference.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "codec/ref.h"
#include "image/image.h"

struct transfer {
	struct call *call;
	struct image_work *work; /* NULL once it is done */
	bool begun;              /* the head has left */
	bool is_import;
	bool is_load; /* even its first error is part of the stream, as in dockerd */
	bool quiet;   /* no steps, only results */
};

static void transfer_progress(void *owner, json_t *msg)
{
	struct transfer *t = owner;
	if (t->quiet && json_object_get(msg, "progressDetail")) {
		return;
	}
	if (!t->begun) {
		t->begun = true;
		progress_begin(t->call);
	}
	progress_send(t->call, msg);
}

static void transfer_done(void *owner, struct image *img, const struct err *e)
{
	struct transfer *t = owner;
	t->work = NULL;
	if (!t->call->r) { /* the client left before: transfer_closed kept t for us */
		call_unref(t->call);
		free(t);
		return;
	}
	if (img && t->is_import) { /* the last line of an import is the image's id */
		scoped(json) json_t *msg = json_pack("{ss}", "status", img->id);
		transfer_progress(t, msg);
	}
	if (t->is_load && !t->begun) {
		t->begun = true;
		progress_begin(t->call);
	}
	progress_end(t->call, t->begun, img ? NULL : e, 0);
}

static void transfer_closed(struct call *c)
{
	struct transfer *t = c->stream;
	if (t->work) {
		call_ref(c);
		image_work_cancel(t->work);
		return;
	}
	free(t);
}

static void feed_drained(void *owner)
{
	struct transfer *t = owner;
	if (t->call->r) {
		http_body_pause(t->call->r, false);
	}
}

static void body_arrived(void *owner, struct http_request *r, const char *data, size_t n)
{
	struct transfer *t = owner;
	if (!t->work) {
		return; /* it has failed already: the rest of the body is read and dropped */
	}
	if (!data) {
		image_work_feed_end(t->work);
	} else if (!image_work_feed(t->work, data, n, feed_drained, t)) {
		http_body_pause(r, true);
	}
}

static struct transfer *transfer_new(struct call *c)
{
	struct transfer *t = xnew(struct transfer);
	t->call = c;
	return t;
}

/* Ties the started work to the request, or answers with the error. */
static void transfer_run(
	struct transfer *t, struct image_work *work, bool with_body, const struct err *e)
{
	struct call *c = t->call;
	if (!work) {
		free(t);
		call_reply_error(c, e);
		return;
	}
	t->work = work;
	c->stream = t;
	c->stream_closed = transfer_closed;
	if (with_body) {
		http_body_stream(c->r, body_arrived, t);
	}
}

static const struct image_work_handlers handlers = {transfer_progress, transfer_done};

/* fromImage + tag: the tag may be a digest, and the name may carry either already. */
static char *pull_reference(const struct call *c)
{
	const char *from = call_query_or(c, "fromImage", "");
	const char *tag = call_query_or(c, "tag", NULL);
	/* "pull -a" may send a name with a trailing ":" */
	scoped(free) char *name = xstrndup(from, strlen(from) - text_ends(from, ":"));
	if (!tag) {
		return TAKE(name);
	}
	return xasprintf("%s%s%s", name, strncmp(tag, "sha256:", 7) == 0 ? "@" : ":", tag);
}

static int check_pull(const struct call *c, struct err *e)
{
	struct ref r;
	scoped(free) char *reference = pull_reference(c);
	const char *tag = call_query_or(c, "tag", "latest");
	const char *platform = c->version >= 32 ? call_query_or(c, "platform", NULL) : NULL;
	if (platform && platform_check(platform, e) < 0) {
		return -1;
	}
	if (!ref_is_digest(tag) && ref_parse(call_query_or(c, "fromImage", ""), &r, e) == 0 &&
		ref_parse(reference, &r, e) < 0) {
		return err_set(e, ERR_INVALID, "invalid tag format");
	}
	if (ref_parse(reference, &r, e) < 0) {
		return -1;
	}
	if (strcmp(r.domain, REF_DEFAULT_DOMAIN) == 0 && strcmp(r.path, "library/scratch") == 0) {
		return err_set(e, ERR_DENIED, "'scratch' is a reserved name");
	}
	return 0;
}

static void pull(struct call *c)
{
	struct err e;
	json_t *auth;
	if (check_pull(c, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	if (call_auth_header(c, "X-Registry-Auth", &auth, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	struct transfer *t = transfer_new(c);
	scoped(free) char *reference = pull_reference(c);
	struct ref r;
	bool all = ref_parse(reference, &r, &e) == 0 && !*r.tag && !*r.digest;
	struct image_work *w = (all ? image_pull_all : image_pull)(c->api->d.images, reference,
		call_query_or(c, "platform", ""), auth, &handlers, t, &e);
	transfer_run(t, w, false, &e);
}

static void import(struct call *c)
{
	struct err e;
	if (strcmp(call_query_or(c, "fromSrc", ""), "-") != 0) {
		err_set(&e, ERR_INVALID,
			"fromSrc must be \"-\" (the archive in the body): importing from a URL is not "
			"supported; download it first");
		call_reply_error(c, &e);
		return;
	}
	scoped(strv) struct strv changes = STRV_INIT;
	const char *change;
	for (size_t i = 0; (change = http_query_nth(c->r, "changes", i)); i++) {
		strv_add(&changes, change);
	}
	const char *repo = call_query_or(c, "repo", NULL); /* an image without a name is well */
	scoped(free) char *reference =
		repo ? reference_join(repo, call_query(c, "tag"), &e) : xstrdup("");
	if (!reference) {
		call_reply_error(c, &e);
		return;
	}
	const char *platform = c->version >= 32 ? call_query_or(c, "platform", "") : "";
	if (*platform && platform_check_import(platform, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	struct transfer *t = transfer_new(c);
	t->is_import = true;
	struct image_work *w = image_import(c->api->d.images, reference,
		call_query_or(c, "message", "Imported from -"), platform, &changes, &handlers, t,
		&e);
	transfer_run(t, w, true, &e);
}

void images_create(struct call *c)
{
	struct err e;
	if (call_query_or(c, "fromImage", NULL)) {
		pull(c);
	} else if (call_query_or(c, "fromSrc", NULL)) {
		import(c);
	} else {
		err_set(&e, ERR_INVALID,
			"fromImage or fromSrc must name what to create the image from");
		call_reply_error(c, &e);
	}
}

/* ?platform=, which may be repeated; "all" is our own word. */
static int read_platforms(const struct call *c, struct strv *ret, struct err *e)
{
	const char *platform;
	for (size_t i = 0; (platform = http_query_nth(c->r, "platform", i)); i++) {
		if (*platform && strcmp(platform, "all") != 0 && platform_check(platform, e) < 0) {
			return -1;
		}
		if (*platform) {
			strv_add(ret, platform);
		}
	}
	return 0;
}

void images_load(struct call *c)
{
	struct err e;
	struct transfer *t = transfer_new(c);
	t->is_load = true;
	t->quiet = call_query_bool(c, "quiet", true);
	scoped(strv) struct strv platforms = STRV_INIT;
	struct image_work *w = read_platforms(c, &platforms, &e) < 0
				       ? NULL
				       : image_load(c->api->d.images, &platforms, &handlers, t, &e);
	transfer_run(t, w, true, &e);
}
