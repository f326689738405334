/* A push: one worker, which asks for each image when its turn comes and tells what the registry has
 * then.
 *
 * {"ask": "image", "tag"} -> {"id", "config": exact text, "manifest": {"mediaType", "text"} or
 *     null, "layers": [{"diff_id", "dir", "size", "blobs": [blob]}], lowest first}; of several
 *     platforms {"id": of the index, "images": [such]}
 * {"ask": "pushed", "id", "digest", "registry": {"layers", "manifest"} of image/blobs.h, "index":
 *     true for an index, which has no "registry", "part": true for an image of one} -> {}
 * {"ask": "forget-blob", "diff_id", "repository", "digest"} -> {}
 */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "image/blobs.h"
#include "image/store.h"
#include "job/job.h"
#include "job/wire.h"
#include "store/store.h"

struct image_push {
	struct image_store *store;
	struct image_hold *hold; /* the layers it reads */
	struct job *job;
	struct image_push_handlers handlers;
	void *owner;
	struct ref ref;
	char what[DIGEST_LEN + 1]; /* an image or index that is pushed whatever its names, or "" */
	char last_id[DIGEST_LEN + 1]; /* of the image that was pushed last, for the event */
};

/* --- answers --- */

/* *ret_index: beside the image, or NULL. */
static struct image *image_of_tag(const struct image_push *p, const char *tag,
	const struct image_index **ret_index, struct err *e)
{
	if (*p->what) {
		*ret_index = map_get(p->store->indexes, p->what);
		return *ret_index ? (*ret_index)->shown : image_find(p->store, p->what, e);
	}
	struct ref r = p->ref;
	char canonical[REF_TEXT_MAX], familiar[REF_TEXT_MAX];
	snprintf(r.tag, sizeof(r.tag), "%s", tag);
	struct image *i = map_get(p->store->refs, ref_canonical(&r, canonical));
	*ret_index = map_get(p->store->ref_indexes, canonical);
	if (!i) {
		(void)err_set(
			e, ERR_NOT_FOUND, "tag does not exist: %s", ref_familiar(&r, familiar));
	}
	return i;
}

static json_t *describe_layers(struct image_store *s, const struct image *i, struct err *e)
{
	scoped(json) json_t *layers = json_array();
	for (size_t k = 0; k < i->layers.n; k++) {
		int64_t bytes = 0;
		char dir[LAYER_DIR_LEN + 1];
		json_t *blobs = image_blobs(s, i->layers.v[k], e);
		if (!blobs) {
			return NULL;
		}
		(void)image_has_layer(s, i->layers.v[k], &bytes);
		image_layer_dir(i->layers.v[k], dir);
		json_array_append_new(
			layers, json_pack("{ss ss sI so}", "diff_id", i->layers.v[k], "dir", dir,
					"size", (json_int_t)bytes, "blobs", blobs));
	}
	return TAKE(layers);
}

static json_t *describe_image(struct image_push *p, const struct image *i, struct err *e)
{
	struct image_store *s = p->store;
	scoped(json) json_t *doc = NULL;
	scoped(json) json_t *manifest = NULL;
	if (store_get(s->store, STORE_IMAGES, i->id, &doc, e) < 0 ||
		image_manifest_kept(s, i->id, &manifest, e) < 0) {
		return NULL;
	}
	image_hold_image(p->hold, i);
	json_t *layers = describe_layers(s, i, e);
	if (!layers) {
		return NULL;
	}
	json_t *answer = json_pack("{ss so}", "id", i->id, "layers", layers);
	json_put(answer, "config", json_incref(json_object_get(doc, "config")));
	json_put(answer, "manifest", manifest ? TAKE(manifest) : json_null());
	return answer;
}

static json_t *describe_tag(struct image_push *p, const char *tag, struct err *e)
{
	const struct image_index *x;
	const struct image *i = image_of_tag(p, tag, &x, e);
	if (!i || !x) {
		return i ? describe_image(p, i, e) : NULL;
	}
	scoped(json) json_t *images = json_array();
	for (size_t k = 0; k < x->n; k++) {
		json_t *one = describe_image(p, x->v[k], e);
		if (!one) {
			return NULL;
		}
		json_array_append_new(images, one);
	}
	return json_pack("{ss sO}", "id", x->id, "images", images);
}

/* The image may be gone by now; what the registry has is true all the same. */
static json_t *take_pushed(struct image_push *p, const json_t *msg, struct err *e)
{
	struct image_store *s = p->store;
	const char *digest = json_str(msg, "digest");
	const char *id = json_str(msg, "id");
	const struct image_index *x = json_bool(msg, "index") ? map_get(s->indexes, id) : NULL;
	struct image *i = x ? x->shown : map_get(s->images, id);
	if (!ref_is_digest(digest)) {
		(void)err_set(e, ERR_INVALID, "the worker sent a wrong digest");
		return NULL;
	}
	if (i && json_bool(msg, "part")) { /* the index gets the name */
		image_blobs_learn_all(s, id, json_object_get(msg, "registry"));
	} else if (i) {
		struct ref r = p->ref;
		char canonical[REF_TEXT_MAX];
		*r.tag = '\0';
		snprintf(r.digest, sizeof(r.digest), "%s", digest);
		bool named = map_get(s->refs, ref_canonical(&r, canonical)) == i &&
			     map_get(s->ref_indexes, canonical) == x;
		if (!named && (x ? image_ref_set_index(s, canonical, x, e)
				 : image_ref_set(s, canonical, i, e)) < 0) {
			return NULL;
		}
		image_blobs_learn_all(s, id, json_object_get(msg, "registry"));
		snprintf(p->last_id, sizeof(p->last_id), "%s", i->id);
	}
	return json_object();
}

static json_t *forget_blob(struct image_push *p, const json_t *msg, struct err *e)
{
	return image_blob_forget(p->store, json_str(msg, "diff_id"), json_str(msg, "repository"),
		       json_str(msg, "digest"), e) < 0
		       ? NULL
		       : json_object();
}

static void on_message(void *owner, struct job *j, json_t *msg)
{
	struct image_push *p = owner;
	struct err e;
	json_t *answer;
	const char *ask = json_str(msg, "ask");
	if (!*ask) {
		p->handlers.progress(p->owner, msg);
		return;
	}
	if (strcmp(ask, "image") == 0) {
		answer = describe_tag(p, json_str(msg, "tag"), &e);
	} else if (strcmp(ask, "pushed") == 0) {
		answer = take_pushed(p, msg, &e);
	} else if (strcmp(ask, "forget-blob") == 0) {
		answer = forget_blob(p, msg, &e);
	} else {
		(void)err_set(&e, ERR_INVALID, "a push cannot ask for %.32s", ask);
		answer = NULL;
	}
	job_send(j, answer ? json_pack("{so}", "answer", answer)
			   : json_pack("{so}", "error", job_err_to_json(&e)));
}

static void on_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct image_push *p = owner;
	struct image_store *s = p->store;
	const struct image *i = map_get(s->images, p->last_id);
	char familiar[REF_TEXT_MAX], name[REF_TEXT_MAX];
	if (result && i) {
		image_event(s, "push", ref_familiar(&p->ref, familiar), i,
			ref_familiar_name(&p->ref, name));
	}
	p->handlers.done(p->owner, result ? NULL : e);
	image_hold_free(p->hold);
	free(p);
}

/* --- start --- */

/* The tags of the repository here, sorted; *ret_any: or at least a digest. */
static json_t *tags_of(const struct image_store *s, const struct ref *ref, bool *ret_any)
{
	scoped(strv) struct strv tags = STRV_INIT;
	char wanted[REF_TEXT_MAX];
	size_t pos = 0;
	const char *canonical;
	ref_name(ref, wanted);
	while (map_next(s->refs, &pos, &canonical)) {
		struct ref r;
		struct err ignored;
		char name[REF_TEXT_MAX];
		if (ref_parse(canonical, &r, &ignored) < 0 ||
			strcmp(ref_name(&r, name), wanted) != 0) {
			continue;
		}
		*ret_any = true;
		if (!*r.digest) {
			strv_add(&tags, r.tag);
		}
	}
	strv_sort(&tags);
	return json_strv(&tags);
}

static struct image_push *start(struct image_store *s, const struct ref *ref, const char *what,
	json_t *take_request, const struct image_push_handlers *h, void *owner, struct err *e)
{
	static const struct job_handlers handlers = {on_message, NULL, on_done};
	char name[REF_TEXT_MAX];
	struct image_push *p = xnew(struct image_push);
	p->store = s;
	p->handlers = *h;
	p->owner = owner;
	p->ref = *ref;
	snprintf(p->what, sizeof(p->what), "%s", what);
	p->hold = image_hold_new(s);
	json_put_str(take_request, "repository", ref_name(ref, name));
	json_put_str(take_request, "layers_dir", s->layers_dir);
	json_put(take_request, "registry", json_incref(s->registry_config));
	p->job = job_start(s->jobs, "push", take_request, -1, false, &handlers, p, e);
	if (!p->job) {
		image_hold_free(p->hold);
		free(p);
		return NULL;
	}
	return p;
}

struct image_push *image_push(struct image_store *s, const char *reference, json_t *take_auth,
	const struct image_push_handlers *h, void *owner, struct err *e)
{
	scoped(json) json_t *auth = take_auth;
	struct ref ref;
	char name[REF_TEXT_MAX];
	bool any = false;
	if (ref_parse(reference, &ref, e) < 0) {
		return NULL;
	}
	scoped(json) json_t *tags = tags_of(s, &ref, &any);
	if (!any) {
		(void)err_set(e, ERR_NOT_FOUND, "An image does not exist locally with the tag: %s",
			ref_familiar_name(&ref, name));
		return NULL;
	}
	json_t *request = json_pack("{sb}", "digest", *ref.digest != '\0');
	json_put(request, "tags", *ref.tag ? json_pack("[s]", ref.tag) : TAKE(tags));
	json_put(request, "auth", TAKE(auth));
	return start(s, &ref, "", request, h, owner, e);
}

struct image_push *image_push_made(struct image_store *s, const char *what, const char *reference,
	const char *compression, json_t *annotations, json_t *take_auth,
	const struct image_push_handlers *h, void *owner, struct err *e)
{
	scoped(json) json_t *auth = take_auth;
	struct ref ref;
	if (ref_parse(reference, &ref, e) < 0) {
		return NULL;
	}
	json_t *request = json_pack("{s[s] ss sO? sO?}", "tags", ref.tag, "compression",
		compression, "auth", auth, "annotations", annotations);
	return start(s, &ref, what, request, h, owner, e);
}

void image_push_cancel(struct image_push *p)
{
	job_cancel(p->job);
}
