/* The daemon's part of a save: which images, under which names, and that their layers stay. The
 * archive is written by a worker (worker/save.c). */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "image/store.h"
#include "job/job.h"

#define CONFIGS_MAX (8u << 20) /* bytes of all configurations: the request is one line */

struct image_save {
	struct image_store *store;
	struct image_hold *hold;
	struct job *job;
	struct image_save_handlers handlers;
	void *owner;
	struct strv ids;
};

/* --- what is to be saved --- */

struct selection {
	struct image_store *store;
	struct image_hold *hold;
	const char *platform;     /* "", or of several under one name only this */
	json_t *images, *indexes; /* of the request (worker/layout.h) */
	size_t config_bytes;
};

static json_t *find_entry(const struct selection *s, const char *id)
{
	size_t k;
	json_t *entry;
	json_array_foreach (s->images, k, entry) {
		if (strcmp(json_str(entry, "id"), id) == 0) {
			return entry;
		}
	}
	return NULL;
}

static json_t *layers_of(const struct image *i)
{
	json_t *layers = json_array();
	for (size_t k = 0; k < i->layers.n; k++) {
		char dir[LAYER_DIR_LEN + 1];
		image_layer_dir(i->layers.v[k], dir);
		json_array_append_new(
			layers, json_pack("{ss ss}", "diff_id", i->layers.v[k], "dir", dir));
	}
	return layers;
}

static json_t *add_entry(struct selection *s, const struct image *i, struct err *e)
{
	scoped(json) json_t *config = image_config_text(s->store, i->id, e);
	if (!config) {
		return NULL;
	}
	s->config_bytes += json_string_length(config);
	if (s->config_bytes > CONFIGS_MAX) {
		(void)err_set(e, ERR_INVALID, "too many images to be saved at once");
		return NULL;
	}
	image_hold_image(s->hold, i);
	json_t *entry = json_pack("{ss sO so s[] s[]}", "id", i->id, "config", config, "layers",
		layers_of(i), "references", "index_references");
	json_array_append_new(s->images, entry);
	return entry;
}

/* canonical: NULL, or a name under which it is saved; a digest is none. */
static void add_name(json_t *names, const char *canonical)
{
	size_t k;
	json_t *there;
	json_array_foreach (names, k, there) {
		if (canonical && strcmp(json_string_value(there), canonical) == 0) {
			return;
		}
	}
	if (canonical && !strchr(canonical, '@')) {
		json_array_append_new(names, json_string(canonical));
	}
}

static int select_image(
	struct selection *s, const struct image *i, const char *canonical, struct err *e)
{
	json_t *entry = find_entry(s, i->id);
	entry = entry ? entry : add_entry(s, i, e);
	if (!entry) {
		return -1;
	}
	add_name(json_object_get(entry, "references"), canonical);
	json_object_del(entry, "member");
	return 0;
}

static json_t *find_index(const struct selection *s, const char *id)
{
	size_t k;
	json_t *entry;
	json_array_foreach (s->indexes, k, entry) {
		if (strcmp(json_str(entry, "id"), id) == 0) {
			return entry;
		}
	}
	return NULL;
}

static int select_index(
	struct selection *s, const struct image_index *x, const char *canonical, struct err *e)
{
	json_t *ids = json_array();
	json_t *entry = json_pack("{ss so s[]}", "id", x->id, "images", ids, "references");
	json_t *known = find_index(s, x->id);
	if (known) {
		json_decref(entry);
	} else {
		json_array_append_new(s->indexes, entry);
	}
	for (size_t k = 0; k < x->n; k++) {
		json_t *image = find_entry(s, x->v[k]->id);
		bool fresh = !image;
		image = image ? image : add_entry(s, x->v[k], e);
		if (!image) {
			return -1;
		}
		if (fresh) {
			json_put(image, "member", json_true());
		}
		if (x->v[k] == x->shown) {
			add_name(json_object_get(image, "index_references"), canonical);
		}
		if (!known) {
			json_array_append_new(ids, json_string(x->v[k]->id));
		}
	}
	add_name(json_object_get(known ? known : entry, "references"), canonical);
	return 0;
}

/* What the name means: an image, or the images of an index. */
static int select_named(struct selection *s, const char *name, const struct image *i,
	const char *canonical, struct err *e)
{
	const struct image_index *x = image_index_find(s->store, name);
	if (!x) {
		return select_image(s, i, canonical, e);
	}
	if (!*s->platform) {
		return select_index(s, x, canonical, e);
	}
	const struct image *one = image_find_for(s->store, name, s->platform, e);
	return one ? select_image(s, one, canonical, e) : -1;
}

/* All that is known under the name. 0: nothing is. */
static int select_repository(struct selection *s, const struct ref *typed, struct err *e)
{
	char wanted[REF_TEXT_MAX];
	size_t pos = 0;
	const char *canonical;
	const struct image *i;
	int found = 0;
	ref_name(typed, wanted);
	while ((i = map_next(s->store->refs, &pos, &canonical))) {
		struct ref r;
		struct err ignored;
		char name[REF_TEXT_MAX];
		if (ref_parse(canonical, &r, &ignored) < 0 ||
			strcmp(ref_name(&r, name), wanted) != 0) {
			continue;
		}
		if (select_named(s, canonical, i, canonical, e) < 0) {
			return -1;
		}
		found = 1;
	}
	return found;
}

/* Docker's words, which are others than everywhere else. */
static int not_found(const char *name, struct err *e)
{
	struct ref r;
	struct err ignored;
	bool is_name = !ref_is_digest(name) && ref_parse(name, &r, &ignored) == 0;
	return is_name && (*r.tag || *r.digest)
		       ? err_set(e, ERR_NOT_FOUND, "reference does not exist")
		       : err_set(e, ERR_NOT_FOUND, "No such image: %.300s", name);
}

/* moby image/tarexport parseNames */
static int select_name(struct selection *s, const char *name, struct err *e)
{
	struct ref r;
	bool by_id;
	char canonical[REF_TEXT_MAX];
	if (!ref_is_digest(name) && ref_parse(name, &r, e) == 0 && !*r.tag && !*r.digest) {
		int found = select_repository(s, &r, e);
		if (found != 0) {
			return found < 0 ? -1 : 0;
		}
	}
	const struct image *i = image_find_named(s->store, name, &by_id, e);
	if (!i) {
		return e->kind == ERR_NOT_FOUND ? not_found(name, e) : -1;
	}
	return select_named(s, name, i, by_id ? NULL : ref_canonical(&r, canonical), e);
}

/* --- the job --- */

static void on_output(void *owner, struct job *j, const char *data, size_t n)
{
	struct image_save *w = owner;
	w->handlers.output(w->owner, data, n);
}

static void on_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct image_save *w = owner;
	for (size_t k = 0; result && k < w->ids.n; k++) {
		const struct image *i = map_get(w->store->images, w->ids.v[k]);
		if (i) {
			image_event(w->store, "save", i->id, i, i->id);
		}
	}
	w->handlers.done(w->owner, result ? NULL : e);
	image_hold_free(w->hold);
	strv_deinit(&w->ids);
	free(w);
}

static struct image_save *start(
	struct selection *s, const struct image_save_handlers *h, void *owner, struct err *e)
{
	static const struct job_handlers handlers = {NULL, on_output, on_done};
	struct image_save *w = xnew(struct image_save);
	size_t k;
	json_t *entry;
	w->store = s->store;
	w->hold = s->hold;
	w->handlers = *h;
	w->owner = owner;
	json_array_foreach (s->images, k, entry) {
		strv_add(&w->ids, json_str(entry, "id"));
	}
	json_t *request = json_pack("{ss sO sO}", "layers_dir", s->store->layers_dir, "images",
		s->images, "indexes", s->indexes);
	w->job = job_start(s->store->jobs, "save", request, -1, true, &handlers, w, e);
	if (!w->job) {
		strv_deinit(&w->ids);
		free(w);
		return NULL;
	}
	return w;
}

struct image_save *image_save(struct image_store *s, const struct strv *names, const char *platform,
	const struct image_save_handlers *h, void *owner, struct err *e)
{
	scoped(json) json_t *images = json_array();
	scoped(json) json_t *indexes = json_array();
	struct selection chosen = {.store = s,
		.hold = image_hold_new(s),
		.platform = platform,
		.images = images,
		.indexes = indexes};
	int r = 0;
	for (size_t k = 0; r == 0 && k < names->n; k++) {
		r = select_name(&chosen, names->v[k], e);
	}
	struct image_save *w = r == 0 ? start(&chosen, h, owner, e) : NULL;
	if (!w) {
		image_hold_free(chosen.hold);
	}
	return w;
}

void image_save_pause(struct image_save *w, bool pause)
{
	job_output_pause(w->job, pause);
}

void image_save_cancel(struct image_save *w)
{
	job_cancel(w->job);
}
