/* What a push asks besides sending bytes: is it there, may it be mounted, here is the manifest. */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "worker/registry_http.h"
#include "worker/registry_upload.h"

#define ANSWER_MAX (64u << 10)

static void set_scopes(struct registry *r, const struct strv *from)
{
	strv_clear(&r->scopes);
	strv_addf(&r->scopes, "repository:%s:pull,push", r->ref.path);
	for (size_t i = 0; from && i < from->n; i++) {
		strv_addf(&r->scopes, "repository:%s:pull", from->v[i]);
	}
}

static int ping(struct registry *r, struct err *e)
{
	scoped(buf) struct buf body = BUF_INIT;
	scoped(free) char *url = xasprintf("%s/v2/", registry_base(r));
	const struct registry_request q = {.method = "GET", .url = url};
	struct reply reply = {.body = &body, .limit = ANSWER_MAX};
	registry_forget_authorization(r);
	return registry_send(r, &q, &reply, e);
}

/* A server that refuses the token because of a repository to mount from gets asked without. */
int registry_push_begin(struct registry *r, const struct strv *from, struct err *e)
{
	for (r->endpoint = r->n_mirrors;; r->endpoint++) {
		set_scopes(r, from);
		if (ping(r, e) == 0) {
			return 0;
		}
		if (e->kind == ERR_DENIED && from && from->n > 0) {
			set_scopes(r, NULL);
			if (ping(r, e) == 0) {
				return 0;
			}
		}
		if (e->kind != ERR_SYSTEM || r->endpoint + 1 == r->endpoints.n) {
			return -1;
		}
	}
}

int registry_blob_exists(struct registry *r, const char *digest, int64_t *ret_size, struct err *e)
{
	scoped(buf) struct buf body = BUF_INIT;
	scoped(free) char *url =
		xasprintf("%s/v2/%s/blobs/%s", registry_base(r), r->ref.path, digest);
	const struct registry_request q = {.method = "HEAD", .url = url};
	struct reply reply = {.body = &body, .limit = ANSWER_MAX};
	if (registry_send(r, &q, &reply, e) < 0) {
		return -1;
	}
	if (reply.status == 200) {
		*ret_size = reply.length;
		return 1;
	}
	return 0; /* whatever it is, an upload will say it better */
}

int registry_mount(
	struct registry *r, const char *digest, const char *from, struct buf *ret_location)
{
	scoped(buf) struct buf body = BUF_INIT;
	scoped(buf) struct buf url = BUF_INIT;
	struct err ignored;
	buf_printf(&url, "%s/v2/%s/blobs/uploads/", registry_base(r), r->ref.path);
	registry_url_query(&url, "mount", digest);
	registry_url_query(&url, "from", from);
	const struct registry_request q = {.method = "POST", .url = buf_str(&url)};
	struct reply reply = {.body = &body, .limit = ANSWER_MAX};
	buf_clear(ret_location);
	if (registry_send(r, &q, &reply, &ignored) < 0) {
		return 0;
	}
	if (reply.status == 202 && *reply.location &&
		!registry_url_resolve(buf_str(&url), reply.location, ret_location)) {
		buf_clear(ret_location);
	}
	return reply.status == 201;
}

int registry_put_manifest(struct registry *r, const char *name, const char *media_type,
	const void *text, size_t n, struct err *e)
{
	scoped(buf) struct buf body = BUF_INIT;
	scoped(free) char *type = xasprintf("Content-Type: %s", media_type);
	scoped(free) char *url =
		xasprintf("%s/v2/%s/manifests/%s", registry_base(r), r->ref.path, name);
	const struct registry_request q = {
		.method = "PUT", .url = url, .content_type = type, .body = text, .body_len = n};
	struct reply reply = {.body = &body, .limit = ANSWER_MAX};
	if (registry_send(r, &q, &reply, e) < 0) {
		return -1;
	}
	return reply.status >= 200 && reply.status < 300 ? 0 : registry_refused(&reply, e);
}
