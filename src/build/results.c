#include "build/results.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "build/builder.h"
#include "codec/ref.h"
#include "image/blobs.h"
#include "image/image.h"

/* --- images --- */

/* An image that is the same but for its dates, when there is one. */
static struct image *find_same(struct builder *b, const json_t *msg)
{
	struct err ignored;
	const struct cache_entry *c =
		json_bool(msg, "fresh") ? NULL : builder_cache_get(b, json_str(msg, "key"));
	return c && *c->image ? image_find(b->d.images, c->image, &ignored) : NULL;
}

/* x: the index that the names mean, or NULL for the image. */
static json_t *name_result(struct builder *b, const json_t *msg, struct image *i,
	const struct image_index *x, struct err *e)
{
	scoped(json) json_t *added = json_pack("{ss s[]}", "id", x ? x->id : i->id, "tags");
	size_t k;
	json_t *tag;
	json_array_foreach (json_object_get(msg, "tags"), k, tag) {
		struct ref r;
		char familiar[REF_TEXT_MAX];
		const char *name = json_string_value(tag);
		if (!name) {
			(void)err_set(e, ERR_INVALID, "a tag must be text");
			return NULL;
		}
		if (ref_parse(name, &r, e) < 0 || (x ? image_tag_index(b->d.images, x, name, e)
						     : image_tag(b->d.images, i, name, e)) < 0) {
			return NULL;
		}
		ref_default_tag(&r);
		json_array_append_new(
			json_object_get(added, "tags"), json_string(ref_familiar(&r, familiar)));
	}
	return TAKE(added);
}

json_t *build_add_image(struct builder *b, const json_t *msg, struct err *e)
{
	const json_t *text = json_object_get(msg, "config");
	struct image *i = find_same(b, msg);
	if (!i) {
		i = image_add(b->d.images, json_str(msg, "config"), json_string_length(text), e);
		struct cache_entry made = {0};
		if (!i) {
			return NULL;
		}
		memcpy(made.image, i->id, sizeof(i->id));
		if (builder_cache_put(b, json_str(msg, "key"), &made, e) < 0) {
			return NULL;
		}
	}
	scoped(json) json_t *added = name_result(b, msg, i, NULL, e);
	scoped(json) json_t *kept = added ? image_config_text(b->d.images, i->id, e) : NULL;
	if (!kept) {
		return NULL;
	}
	if (!json_equal(kept, text)) {
		json_put(added, "config", TAKE(kept));
	}
	return TAKE(added);
}

json_t *build_add_index(struct builder *b, const json_t *msg, struct err *e)
{
	const struct image_index *x;
	scoped(strv) struct strv ids = STRV_INIT;
	if (json_get_strv(msg, "images", &ids, e) < 0 ||
		image_index_add(b->d.images, json_str(msg, "id"), &ids, &x, e) < 0) {
		return NULL;
	}
	return name_result(b, msg, NULL, x, e);
}

json_t *build_name_digest(struct builder *b, const json_t *msg, struct err *e)
{
	return image_name_digest(
		       b->d.images, json_str(msg, "what"), json_str(msg, "reference"), e) < 0
		       ? NULL
		       : json_object();
}

/* --- registries, for a cache of builds --- */

json_t *build_registry(struct builder *b, const json_t *msg, json_t *auths, struct err *e)
{
	struct ref r;
	if (ref_parse(json_str(msg, "reference"), &r, e) < 0) {
		return NULL;
	}
	return json_pack("{sO? so?}", "config", image_registry_config(b->d.images), "auth",
		image_auth_find(auths, &r));
}

json_t *build_blobs(struct builder *b, const json_t *msg, struct err *e)
{
	json_t *blobs = image_blobs(b->d.images, json_str(msg, "diff_id"), e);
	return blobs ? json_pack("{so}", "blobs", blobs) : NULL;
}

json_t *build_learn_blob(struct builder *b, const json_t *msg, struct err *e)
{
	return image_blob_learn(
		       b->d.images, json_str(msg, "diff_id"), json_object_get(msg, "blob"), e) < 0
		       ? NULL
		       : json_object();
}

json_t *build_forget_blob(struct builder *b, const json_t *msg, struct err *e)
{
	return image_blob_forget(b->d.images, json_str(msg, "diff_id"), json_str(msg, "repository"),
		       json_str(msg, "digest"), e) < 0
		       ? NULL
		       : json_object();
}

/* --- pushes --- */

struct build_push {
	struct image_push *push;
	struct build_push_handlers handlers;
	void *owner;
	json_t *aux; /* of the last progress that had one */
};

static void on_progress(void *owner, json_t *msg)
{
	struct build_push *p = owner;
	json_t *aux = json_object_get(msg, "aux");
	if (aux) {
		json_decref(p->aux);
		p->aux = json_incref(aux);
	} else {
		p->handlers.progress(p->owner, msg);
	}
}

static void on_done(void *owner, const struct err *e)
{
	struct build_push *p = owner;
	json_t *answer = e ? NULL
			   : json_pack("{ss sI}", "digest", json_str(p->aux, "Digest"), "size",
				     (json_int_t)json_i64(p->aux, "Size", 0));
	p->handlers.done(p->owner, answer, e);
	json_decref(p->aux);
	free(p);
}

struct build_push *build_push_start(struct builder *b, const json_t *msg, json_t *auths,
	const struct build_push_handlers *h, void *owner, struct err *e)
{
	static const struct image_push_handlers handlers = {on_progress, on_done};
	const char *reference = json_str(msg, "reference");
	json_t *auth = json_object_get(msg, "auth");
	struct ref r;
	if (ref_parse(reference, &r, e) < 0) {
		return NULL;
	}
	struct build_push *p = xnew(struct build_push);
	p->handlers = *h;
	p->owner = owner;
	p->push = image_push_made(b->d.images, json_str(msg, "what"), reference,
		json_str(msg, "compression"), json_object_get(msg, "annotations"),
		json_is_object(auth) ? json_incref(auth) : image_auth_find(auths, &r), &handlers, p,
		e);
	if (!p->push) {
		free(p);
		return NULL;
	}
	return p;
}

void build_push_cancel(struct build_push *p)
{
	image_push_cancel(p->push);
}
