/* Looks for damaged layers in a worker, and fetches those again that came from a registry: by the
 * image's digest, through the normal pull, which takes only what the store has not got.
 *
 * Invariants
 * 1. At most one of job and pull is set; when neither is, the next step begins or done is called.
 * 2. Layers are held from the beginning to the end: nothing that is looked at is removed meanwhile.
 * 3. What a quick look finds whole may still have been found damaged by a deep one before.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "image/store.h"
#include "job/job.h"

struct image_verify {
	struct image_store *store;
	struct image_verify_handlers handlers;
	void *owner;
	struct image_hold *hold;
	struct strv ids; /* of images, without those that go meanwhile */
	bool deep, repair, everything;
	json_t *auths;
	struct job *job;
	struct image_work *pull;
	size_t next;          /* of ids: whose layers are fetched next */
	size_t next_digest;   /* of its digests */
	struct map *bad;      /* diff id -> what was wrong, owned */
	struct map *failures; /* image id -> why it could not be fetched, owned */
	size_t n_layers;
};

static void free_texts(struct map *m)
{
	map_each (m, char, text) {
		free(text);
	}
	map_free(m);
}

static void verify_free(struct image_verify *v)
{
	image_hold_free(v->hold);
	strv_deinit(&v->ids);
	json_decref(v->auths);
	free_texts(v->bad);
	free_texts(v->failures);
	free(v);
}

static void tell(struct image_verify *v, json_t *take_msg)
{
	if (v->handlers.progress) {
		v->handlers.progress(v->owner, take_msg);
	}
	json_decref(take_msg);
}

/* --- the result --- */

static json_t *damage_of(const struct image_verify *v, const struct image *i)
{
	json_t *list = json_array();
	for (size_t k = 0; k < i->layers.n; k++) {
		const char *damage = image_layer_damage(v->store, i->layers.v[k]);
		if (damage) {
			json_array_append_new(list,
				json_pack("{ss ss}", "Layer", i->layers.v[k], "Reason", damage));
		}
	}
	return list;
}

static bool was_bad(const struct image_verify *v, const struct image *i)
{
	for (size_t k = 0; k < i->layers.n; k++) {
		if (map_get(v->bad, i->layers.v[k])) {
			return true;
		}
	}
	return false;
}

/* What a person can do about it. */
static const char *remedy_of(const struct image_verify *v, const struct image *i)
{
	const char *failure = map_get(v->failures, i->id);
	return i->digests.n == 0 ? "it came from no registry: load or build it again"
	       : failure         ? failure
	       : v->repair       ? "the registry has something else under its digest"
				 : "'wherry image verify --repair' fetches its layers again";
}

static json_t *image_result(const struct image_verify *v, const struct image *i)
{
	json_t *damage = damage_of(v, i);
	bool damaged = json_array_size(damage) > 0;
	json_t *o = json_object();
	json_put_str(o, "Id", i->id);
	json_put(o, "Names", json_strv(i->tags.n ? &i->tags : &i->digests));
	json_put(o, "Layers", json_integer((json_int_t)i->layers.n));
	json_put(o, "Damage", damage);
	json_put(o, "Repaired", json_boolean(!damaged && was_bad(v, i)));
	json_put_str(o, "Remedy", damaged ? remedy_of(v, i) : "");
	return o;
}

/* Layers of no image: of containers whose image was removed, or of the build cache. */
static json_t *lone_damage(const struct image_verify *v, int *damaged, int *repaired)
{
	json_t *list = json_array();
	size_t pos = 0;
	const char *diff_id;
	while (map_next(v->bad, &pos, &diff_id)) {
		const char *damage = image_layer_damage(v->store, diff_id);
		*damaged += damage != NULL;
		*repaired += damage == NULL;
		bool named = false;
		map_each (v->store->images, struct image, i) {
			named = named || strv_has(&i->layers, diff_id);
		}
		if (damage && !named) {
			json_array_append_new(
				list, json_pack("{ss ss}", "Layer", diff_id, "Reason", damage));
		}
	}
	return list;
}

static void finish(struct image_verify *v, const struct err *e)
{
	json_t *images = json_array();
	int damaged = 0, repaired = 0;
	for (size_t k = 0; k < v->ids.n; k++) {
		const struct image *i = map_get(v->store->images, v->ids.v[k]);
		if (i) {
			json_array_append_new(images, image_result(v, i));
		}
	}
	json_t *lone = lone_damage(v, &damaged, &repaired);
	scoped(json) json_t *result =
		json_pack("{sI si si so so}", "Layers", (json_int_t)v->n_layers, "Damaged", damaged,
			"Repaired", repaired, "Images", images, "LoneLayers", lone);
	v->handlers.done(v->owner, e ? NULL : result, e);
	verify_free(v);
}

/* --- fetching again --- */

static void repair_next(struct image_verify *v);

static void pull_progress(void *owner, json_t *msg)
{
	struct image_verify *v = owner;
	if (json_object_get(msg, "id") && v->handlers.progress) {
		v->handlers.progress(v->owner, msg); /* a layer's; the rest is about names */
	}
}

static void pull_done(void *owner, struct image *i, const struct err *e)
{
	struct image_verify *v = owner;
	v->pull = NULL;
	if (!i && e->kind == ERR_BUSY) {
		finish(v, e);
		return;
	}
	if (!i) {
		free(map_put(v->failures, v->ids.v[v->next], xstrdup(e->msg)));
	}
	repair_next(v);
}

static bool is_damaged(const struct image_verify *v, const struct image *i)
{
	for (size_t k = 0; k < i->layers.n; k++) {
		if (image_layer_damage(v->store, i->layers.v[k])) {
			return true;
		}
	}
	return false;
}

static int start_pull(
	struct image_verify *v, const struct image *i, const char *name, struct err *e)
{
	static const struct image_work_handlers handlers = {pull_progress, pull_done};
	struct ref r;
	if (ref_parse(name, &r, e) < 0) {
		return -1;
	}
	const char *variant = json_str(i->config, "variant");
	scoped(free) char *platform = xasprintf("%s/%s%s%s", json_str(i->config, "os"),
		json_str(i->config, "architecture"), *variant ? "/" : "", variant);
	v->pull = image_pull(
		v->store, name, platform, image_auth_find(v->auths, &r), &handlers, v, e);
	return v->pull ? 0 : -1;
}

static void repair_next(struct image_verify *v)
{
	for (; v->next < v->ids.n; v->next++, v->next_digest = 0) {
		struct err e;
		const struct image *i = map_get(v->store->images, v->ids.v[v->next]);
		while (i && is_damaged(v, i) && v->next_digest < i->digests.n) {
			scoped(free) char *name = xstrdup(i->digests.v[v->next_digest++]);
			if (start_pull(v, i, name, &e) == 0) {
				return;
			}
			free(map_put(v->failures, i->id, xstrdup(e.msg)));
		}
	}
	finish(v, NULL);
}

/* --- looking --- */

static void on_message(void *owner, struct job *j, json_t *msg)
{
	struct image_verify *v = owner;
	const char *diff_id = json_str(msg, "layer");
	const char *state = json_str(msg, "state");
	const char *reason = json_str(msg, "reason");
	if (!ref_is_digest(diff_id)) {
		return;
	}
	if (strcmp(state, "whole") == 0 && v->deep) { /* invariant 3 */
		image_layer_note(v->store, diff_id, NULL);
	} else if (strcmp(state, "damaged") == 0 ||
		   (strcmp(state, "no-recipe") == 0 && v->repair)) {
		image_layer_note(v->store, diff_id, reason);
	}
	const char *damage = image_layer_damage(v->store, diff_id);
	if (strcmp(state, "checking") == 0) {
		tell(v, json_pack("{ss s{} s s#}", "status", "Checking", "progressDetail", "id",
				diff_id + strlen("sha256:"), ID_SHORT_LEN));
		return;
	}
	if (damage) {
		free(map_put(v->bad, diff_id, xstrdup(damage)));
	}
	scoped(free) char *text = damage ? xasprintf("Damaged: %s", damage) : xstrdup("Whole");
	tell(v, json_pack("{ss s{} s s#}", "status", text, "progressDetail", "id",
			diff_id + strlen("sha256:"), ID_SHORT_LEN));
}

static void on_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct image_verify *v = owner;
	v->job = NULL;
	if (!result) {
		finish(v, e);
	} else if (v->repair) {
		repair_next(v);
	} else {
		finish(v, NULL);
	}
}

/* --- start --- */

static void add_layer(struct image_verify *v, json_t *layers, struct map *seen, const char *diff_id)
{
	char dir[LAYER_DIR_LEN + 1];
	if (map_put(seen, diff_id, v) || !image_layer_find(v->store, diff_id)) {
		return;
	}
	image_layer_dir(diff_id, dir);
	image_hold_layer(v->hold, diff_id);
	json_array_append_new(layers, json_pack("{ss ss}", "diff_id", diff_id, "dir", dir));
}

static json_t *list_layers(struct image_verify *v)
{
	json_t *layers = json_array();
	struct map *seen = map_new();
	for (size_t k = 0; k < v->ids.n; k++) {
		const struct image *i = map_get(v->store->images, v->ids.v[k]);
		for (size_t n = 0; n < i->layers.n; n++) {
			add_layer(v, layers, seen, i->layers.v[n]);
		}
	}
	if (v->everything) {
		map_each (v->store->layers, struct image_layer, l) {
			add_layer(v, layers, seen, l->diff_id);
		}
	}
	map_free(seen);
	v->n_layers = json_array_size(layers);
	return layers;
}

static int choose_images(struct image_verify *v, const struct strv *names, struct err *e)
{
	for (size_t k = 0; k < names->n; k++) {
		const struct image *i = image_find(v->store, names->v[k], e);
		if (!i) {
			return -1;
		}
		if (!strv_has(&v->ids, i->id)) {
			strv_add(&v->ids, i->id);
		}
	}
	v->everything = names->n == 0;
	if (v->everything) {
		map_each (v->store->images, struct image, i) {
			strv_add(&v->ids, i->id);
		}
	}
	return 0;
}

struct image_verify *image_verify(struct image_store *s, const struct image_verify_query *q,
	const struct image_verify_handlers *h, void *owner, struct err *e)
{
	static const struct job_handlers handlers = {on_message, NULL, on_done};
	struct image_verify *v = xnew(struct image_verify);
	v->store = s;
	v->handlers = *h;
	v->owner = owner;
	v->deep = q->deep;
	v->repair = q->repair;
	v->auths = json_incref(q->auths);
	v->hold = image_hold_new(s);
	v->bad = map_new();
	v->failures = map_new();
	if (choose_images(v, q->names, e) == 0) {
		json_t *request = json_pack("{ss so sb sb}", "dir", s->layers_dir, "layers",
			list_layers(v), "deep", q->deep, "gentle", q->gentle);
		v->job = job_start(s->jobs, "verify", request, -1, false, &handlers, v, e);
	}
	if (!v->job) {
		verify_free(v);
		return NULL;
	}
	return v;
}

void image_verify_cancel(struct image_verify *v)
{
	if (v->job) {
		job_cancel(v->job);
	} else if (v->pull) {
		image_work_cancel(v->pull);
	}
}

/* --- after a power cut --- */

static void start_done(void *owner, json_t *result, const struct err *e)
{
	if (e && e->kind != ERR_BUSY) {
		log_warning("image", "layers-not-checked", "error", e->msg, NULL);
	} else if (result) {
		log_info("image", "layers-checked", "layers_n",
			LOG_N((int)json_i64(result, "Layers", 0)), "damaged_n",
			LOG_N((int)json_i64(result, "Damaged", 0)), NULL);
	}
}

void image_verify_gently(struct image_store *s)
{
	static const struct image_verify_handlers handlers = {NULL, start_done};
	static const struct strv none = STRV_INIT;
	const struct image_verify_query q = {.names = &none, .gentle = true};
	struct err e;
	if (map_count(s->layers) > 0 && !image_verify(s, &q, &handlers, NULL, &e)) {
		log_warning("image", "layers-not-checked", "error", e.msg, NULL);
	}
}
