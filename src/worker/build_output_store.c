/* Outputs "moby" and "image": images in the store under their names, and in registries. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "codec/ref.h"
#include "worker/build_auth.h"
#include "worker/build_output.h"
#include "worker/layout.h"
#include "worker/rpc.h"

/* The same image may be there already with other dates: then that is the one. */
static json_t *add_image(const struct build_output *o, struct build_image *i,
	const struct strv *names, struct err *e)
{
	struct build *b = o->all->b;
	json_t *question = json_pack("{ss sO ss so sb}", "ask", "add-image", "config", i->text,
		"key", i->key, "tags", json_strv(names), "fresh", b->no_cache || b->epoch_ns >= 0);
	json_t *answer = rpc_ask(b->rpc, question, e);
	json_t *text = json_object_get(answer, "config");
	if (text) {
		json_decref(i->text);
		i->text = json_incref(text);
	}
	if (answer) {
		snprintf(i->id, sizeof(i->id), "%s", json_str(answer, "id"));
	}
	return answer;
}

static void say_classic(const struct build_output *o, const json_t *added)
{
	struct build *b = o->all->b;
	const char *id = json_str(added, "id");
	size_t k;
	json_t *tag;
	if (!b->vertices) {
		rpc_send(b->rpc, json_pack("{s{ss}}", "aux", "ID", id));
	}
	build_say(b->events, NULL, "Successfully built %.12s\n",
		text_starts(id, "sha256:") ? id + 7 : id);
	json_array_foreach (json_object_get(added, "tags"), k, tag) {
		build_say(b->events, NULL, "Successfully tagged %s\n", json_string_value(tag));
	}
}

static void say_stored(const struct build_output *o, const json_t *added, int64_t begun)
{
	say_classic(o, added);
	build_output_say(o, begun, "writing image %s", json_str(added, "id"));
	for (size_t k = 0; k < o->names.n; k++) {
		build_output_say(o, begun, "naming to %s", o->names.v[k]);
	}
}

/* --- into the store --- */

static json_t *store_one(struct build_output *o, const struct strv *names, struct err *e)
{
	struct build_outputs *all = o->all;
	json_t *added = add_image(o, &all->images[0], names, e);
	if (added) {
		/* as dockerd: an image is known here by its configuration's digest */
		json_put_str(all->response, "containerimage.digest", all->images[0].id);
		json_put_str(all->response, "containerimage.config.digest", all->images[0].id);
	}
	return added;
}

static json_t *store_several(struct build_output *o, const struct strv *names, struct err *e)
{
	struct build_outputs *all = o->all;
	static const struct strv none = STRV_INIT;
	scoped(json) json_t *ids = json_array();
	for (size_t k = 0; k < all->n; k++) {
		scoped(json) json_t *added = add_image(o, &all->images[k], &none, e);
		if (!added) {
			return NULL;
		}
		json_array_append_new(ids, json_string(all->images[k].id));
	}
	scoped(json) json_t *request = build_output_request(o, e);
	if (!request) {
		return NULL;
	}
	json_put_str(request, "compression", ""); /* that is about what is pushed */
	scoped(layout_free) struct layout *l = layout_new(request, e);
	if (!l) {
		return NULL;
	}
	build_output_respond(o, l);
	return rpc_ask(all->b->rpc,
		json_pack("{ss ss sO so}", "ask", "add-index", "id",
			json_str(all->response, "containerimage.digest"), "images", ids, "tags",
			json_strv(names)),
		e);
}

/* --- into registries --- */

static int push_one(struct build_output *o, const char *what, const char *name, bool by_digest,
	json_t *annotations, struct err *e)
{
	struct build_outputs *all = o->all;
	struct ref r;
	char text[REF_TEXT_MAX];
	int64_t begun = clock_real_ns();
	if (ref_parse(name, &r, e) < 0) {
		return -1;
	}
	if (by_digest) {
		*r.tag = '\0';
	}
	scoped(json) json_t *answer = rpc_ask(all->b->rpc,
		json_pack("{ss ss ss ss si sO so*}", "ask", "push", "what", what, "reference",
			ref_canonical(&r, text), "compression", json_str(o->attrs, "compression"),
			"vertex", all->vertex, "annotations", annotations, "auth",
			build_auth(all->b, name)),
		e);
	if (!answer) {
		return err_wrap(e, "failed to push %.200s", name);
	}
	const char *digest = json_str(answer, "digest");
	build_output_say(o, begun, "pushing manifest for %s@%s", ref_canonical(&r, text), digest);
	json_put_str(all->response, "containerimage.digest", digest);
	return 0;
}

static int push_all(struct build_output *o, const char *what, struct err *e)
{
	bool by_digest;
	if (build_output_bool(o, "push-by-digest", false, &by_digest, e) < 0) {
		return -1;
	}
	if (o->names.n == 0) {
		return err_set(e, ERR_INVALID, "tag is needed when pushing to registry");
	}
	scoped(json) json_t *annotations = build_output_annotations(o, e);
	if (!annotations) {
		return -1;
	}
	for (size_t k = 0; k < o->names.n; k++) {
		if (push_one(o, what, o->names.v[k], by_digest, annotations, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- names that hold a digest --- */

static int name_digest(
	const struct build_output *o, const char *what, const char *name, struct err *e)
{
	const char *digest = json_str(o->all->response, "containerimage.digest");
	scoped(free) char *reference = xasprintf("%s@%s", name, digest);
	scoped(json) json_t *answer = rpc_ask(o->all->b->rpc,
		json_pack("{ss ss ss}", "ask", "name-digest", "what", what, "reference", reference),
		e);
	return answer ? 0 : -1;
}

static int add_digest_names(const struct build_output *o, const char *what, struct err *e)
{
	const char *prefix = json_str(o->attrs, "dangling-name-prefix");
	if (o->names.n == 0) {
		return *prefix ? name_digest(o, what, prefix, e) : 0;
	}
	for (size_t k = 0; build_output_is(o, "name-canonical") && k < o->names.n; k++) {
		struct ref r;
		char name[REF_TEXT_MAX];
		if (ref_parse(o->names.v[k], &r, e) < 0 ||
			name_digest(o, what, ref_name(&r, name), e) < 0) {
			return -1;
		}
	}
	return 0;
}

int build_output_store(struct build_output *o, struct err *e)
{
	struct build_outputs *all = o->all;
	static const struct strv none = STRV_INIT;
	int64_t begun = clock_real_ns();
	bool store, push, by_digest;
	if (build_output_bool(o, "store", true, &store, e) < 0 ||
		build_output_bool(o, "push", false, &push, e) < 0 ||
		build_output_bool(o, "push-by-digest", false, &by_digest, e) < 0) {
		return -1;
	}
	const struct strv *names = store && !by_digest ? &o->names : &none;
	scoped(json) json_t *added =
		all->n == 1 ? store_one(o, names, e) : store_several(o, names, e);
	if (!added) {
		return -1;
	}
	snprintf(all->id, sizeof(all->id), "%s", json_str(added, "id"));
	say_stored(o, added, begun);
	build_output_respond_names(o);
	return add_digest_names(o, all->id, e) < 0 || (push && push_all(o, all->id, e) < 0) ? -1
											    : 0;
}
