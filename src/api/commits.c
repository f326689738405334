/* POST /commit: an image of what a container has become. */
#include <stdlib.h>
#include <string.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "codec/ref.h"
#include "container/container.h"
#include "container/files.h"
#include "image/image.h"

struct commit {
	struct call *call;
	struct image_work *work; /* NULL once it is done */
	char *container_id, *comment, *reference;
	bool paused; /* by us */
};

static void commit_free(struct commit *m)
{
	free(m->container_id);
	free(m->comment);
	free(m->reference);
	free(m);
}

static struct container *committed(const struct commit *m)
{
	struct err ignored;
	return container_find(m->call->api->d.containers, m->container_id, &ignored);
}

static void unpause(struct commit *m)
{
	struct err ignored;
	struct container *k = committed(m);
	if (m->paused && k) {
		(void)container_pause(k, false, &ignored); /* somebody may have been first */
	}
	m->paused = false;
}

static void commit_done(void *owner, struct image *img, const struct err *e)
{
	struct commit *m = owner;
	struct call *c = m->call;
	m->work = NULL;
	unpause(m);
	const struct container *k = committed(m);
	if (img && k) {
		container_note_commit(k, m->comment, img->id, m->reference);
	}
	if (!c->r) { /* the client left before: commit_closed kept m for us */
		call_unref(c);
		commit_free(m);
	} else if (img) {
		call_reply_json(c, 201, json_pack("{ss}", "Id", img->id));
	} else {
		call_reply_error(c, e);
	}
}

static void commit_closed(struct call *c)
{
	struct commit *m = c->stream;
	if (m->work) {
		call_ref(c);
		image_work_cancel(m->work);
		return;
	}
	commit_free(m);
}

/* What is known of the image the container was made from: its document without what commit writes
 * anew. */
static json_t *base_document(const struct container *k, const struct image *img)
{
	json_t *doc = img ? json_deep_copy(img->config) : json_object();
	if (!img) {
		json_put_str(doc, "os", "linux");
		json_put(doc, "rootfs",
			json_pack("{ss so}", "type", "layers", "diff_ids", container_layers(k)));
	}
	return doc;
}

static json_t *changes_of(const struct call *c)
{
	json_t *list = json_array();
	const char *change;
	for (size_t i = 0; (change = http_query_nth(c->r, "changes", i)); i++) {
		if (*change) {
			json_array_append_new(list, json_string(change));
		}
	}
	return list;
}

static json_t *make_request(
	struct call *c, const struct container *k, const json_t *body, struct err *e)
{
	json_t *request = container_commit_request(k, body, e);
	if (request) {
		struct err ignored;
		const struct image *img =
			image_find(c->api->d.images, container_image_id(k), &ignored);
		json_put(request, "base", base_document(k, img));
		json_put_str(request, "parent", img ? img->id : "");
		json_put(request, "changes", changes_of(c));
		json_put_str(request, "author", call_query_or(c, "author", ""));
		json_put_str(request, "comment", call_query_or(c, "comment", ""));
	}
	return request;
}

static int check_state(const struct container *k, struct err *e)
{
	return container_state(k) == CONTAINER_DEAD
		       ? err_set(e, ERR_CONFLICT, "You cannot commit container %s which is Dead",
				 container_id(k))
		       : 0;
}

/* repo and tag as a person would write them: "kept:1" also for docker.io/library/kept. "" for none.
 */
static int read_reference(const struct call *c, char **ret, struct err *e)
{
	const char *repo = call_query_or(c, "repo", "");
	const char *tag = call_query_or(c, "tag", NULL);
	scoped(free) char *typed = *repo && tag ? xasprintf("%s:%s", repo, tag) : xstrdup(repo);
	struct ref ref;
	char familiar[REF_TEXT_MAX] = "";
	if (*typed) {
		if (ref_parse(typed, &ref, e) < 0) {
			return -1;
		}
		ref_default_tag(&ref);
		ref_familiar(&ref, familiar);
	}
	*ret = xstrdup(familiar);
	return 0;
}

static int commit_start(struct commit *m, struct container *k, const json_t *body, struct err *e)
{
	static const struct image_work_handlers handlers = {NULL, commit_done};
	struct call *c = m->call;
	struct err ignored;
	if (check_state(k, e) < 0 || read_reference(c, &m->reference, e) < 0) {
		return -1;
	}
	json_t *request = make_request(c, k, body, e);
	if (!request) {
		return -1;
	}
	m->container_id = xstrdup(container_id(k));
	m->comment = xstrdup(call_query_or(c, "comment", ""));
	m->paused = call_query_bool(c, "pause", true) && container_state(k) == CONTAINER_RUNNING &&
		    container_pause(k, true, &ignored) == 0;
	m->work = image_commit(c->api->d.images, m->reference, request, &handlers, m, e);
	if (!m->work) {
		unpause(m);
		return -1;
	}
	return 0;
}

static void commit_asked(struct call *c, const json_t *body)
{
	struct err e;
	struct container *k =
		container_find(c->api->d.containers, call_query_or(c, "container", ""), &e);
	struct commit *m = xnew(struct commit);
	m->call = c;
	if (!k || commit_start(m, k, body, &e) < 0) {
		commit_free(m);
		call_reply_error(c, &e);
		return;
	}
	c->stream = m;
	c->stream_closed = commit_closed;
}

void commits_create(struct call *c)
{
	call_body_json(c, true, commit_asked);
}
