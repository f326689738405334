/* Images of several platforms under one name. A reference names an image as ever; it may name an
 * index beside it, of which that image is one.
 *
 * Invariants
 * 1. Every image of an index is in s->images; shown is one of them.
 * 2. s->ref_indexes holds only references of s->refs, which name the index's shown image there.
 * 3. An index that no reference names is kept only while nothing but it leads to its shown image:
 *    the two are what is left of a name that has moved on.
 */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "image/store.h"
#include "oci/platform.h"
#include "store/store.h"

void image_index_free(struct image_index *x)
{
	free(x->v);
	free(x);
}
SCOPED(struct image_index *, image_index_free)

bool image_index_has(const struct image_index *x, const struct image *i)
{
	for (size_t k = 0; k < x->n; k++) {
		if (x->v[k] == i) {
			return true;
		}
	}
	return false;
}

/* The one that fits the platform best; NULL when none does. */
static struct image *best_of(const struct image_index *x, const char *platform)
{
	struct platform want;
	struct err ignored;
	struct image *best = NULL;
	int best_score = 0;
	if (platform_parse(platform, &want, &ignored) < 0) {
		return NULL;
	}
	for (size_t k = 0; k < x->n; k++) {
		const json_t *config = x->v[k]->config;
		int score = platform_match(&want, json_str(config, "os"),
			json_str(config, "architecture"), json_str(config, "variant"));
		if (score > best_score) {
			best = x->v[k];
			best_score = score;
		}
	}
	return best;
}

static struct image_index *new_index(
	const struct image_store *s, const char *id, const struct strv *image_ids)
{
	struct image_index *x = xnew(struct image_index);
	snprintf(x->id, sizeof(x->id), "%s", id);
	x->v = xnew_array(struct image *, image_ids->n + 1);
	for (size_t k = 0; k < image_ids->n; k++) {
		struct image *i = map_get(s->images, image_ids->v[k]);
		if (i && !image_index_has(x, i)) {
			x->v[x->n++] = i;
		}
	}
	struct image *own = best_of(x, "");
	x->shown = own ? own : x->v[0];
	return x;
}

static int save_index(
	struct image_store *s, const struct image_index *x, const struct image *but, struct err *e)
{
	json_t *ids = json_array();
	for (size_t k = 0; k < x->n; k++) {
		if (x->v[k] != but) {
			json_array_append_new(ids, json_string(x->v[k]->id));
		}
	}
	scoped(json) json_t *doc = json_pack("{so}", "images", ids);
	return store_put(s->store, STORE_INDEXES, x->id, doc, e);
}

/* More of its platforms came. */
static int extend(
	struct image_store *s, struct image_index *x, const struct image_index *more, struct err *e)
{
	size_t before = x->n;
	for (size_t k = 0; k < more->n; k++) {
		if (!image_index_has(x, more->v[k])) {
			x->v = xrealloc(x->v, x->n + 1, sizeof(struct image *));
			x->v[x->n++] = more->v[k];
		}
	}
	return x->n == before ? 0 : save_index(s, x, NULL, e);
}

int image_index_add(struct image_store *s, const char *id, const struct strv *image_ids,
	const struct image_index **ret, struct err *e)
{
	if (!ref_is_digest(id) || image_ids->n == 0 || image_ids->n > IMAGE_INDEX_MAX) {
		return err_set(e, ERR_INVALID, "an index needs a digest and 1 to %d images",
			IMAGE_INDEX_MAX);
	}
	struct image_index *known = map_get(s->indexes, id);
	scoped(image_index_free) struct image_index *x = new_index(s, id, image_ids);
	if (x->n != image_ids->n) {
		return err_set(e, ERR_INVALID, "an image of the index is not here");
	}
	if (known) {
		*ret = known;
		return extend(s, known, x, e);
	}
	if (save_index(s, x, NULL, e) < 0) {
		return -1;
	}
	map_put(s->indexes, id, x);
	*ret = TAKE(x);
	return 0;
}

int image_index_load(struct image_store *s, const char *id, const json_t *doc, struct err *e)
{
	scoped(strv) struct strv ids = STRV_INIT;
	if (!ref_is_digest(id) || json_get_strv(doc, "images", &ids, e) < 0) {
		return 0;
	}
	scoped(image_index_free) struct image_index *x = new_index(s, id, &ids);
	if (x->n == 0) {
		return 0;
	}
	map_put(s->indexes, id, TAKE(x));
	return 1;
}

/* --- what names mean --- */

const struct image_index *image_index_find(struct image_store *s, const char *name)
{
	struct ref r;
	struct err ignored;
	char canonical[REF_TEXT_MAX];
	const char *hex = text_starts(name, "sha256:") ? name + strlen("sha256:") : name;
	if (!ref_is_digest(name) && !text_is_hex(name, 64) && ref_parse(name, &r, &ignored) == 0) {
		ref_default_tag(&r);
		if (*r.digest) {
			*r.tag = '\0';
		}
		ref_canonical(&r, canonical);
		if (map_get(s->refs, canonical)) {
			return map_get(s->ref_indexes, canonical);
		}
	}
	size_t n = strlen(hex);
	map_each (s->indexes, struct image_index, x) {
		if (n > 0 && strncmp(x->id + strlen("sha256:"), hex, n) == 0) {
			return x;
		}
	}
	return NULL;
}

struct image *image_find_for(
	struct image_store *s, const char *name, const char *platform, struct err *e)
{
	const struct image_index *x = *platform ? image_index_find(s, name) : NULL;
	struct image *best = x ? best_of(x, platform) : NULL;
	return best ? best : image_find(s, name, e);
}

bool image_is_beside(const struct image_store *s, const struct image *i)
{
	if (i->tags.n + i->digests.n > 0) {
		return false;
	}
	bool beside = false;
	map_each (s->indexes, struct image_index, x) {
		if (x->shown == i) {
			return false;
		}
		beside = beside || image_index_has(x, i);
	}
	return beside;
}

void image_index_companions(
	const struct image_store *s, const struct image *shown, struct strv *ret)
{
	map_each (s->indexes, struct image_index, x) {
		for (size_t k = 0; x->shown == shown && k < x->n; k++) {
			if (x->v[k] != shown && !strv_has(ret, x->v[k]->id)) {
				strv_add(ret, x->v[k]->id);
			}
		}
	}
}

int image_tag_index(
	struct image_store *s, const struct image_index *x, const char *reference, struct err *e)
{
	struct ref r;
	char canonical[REF_TEXT_MAX], familiar[REF_TEXT_MAX];
	if (image_tag_parse(reference, &r, e) < 0 ||
		image_ref_set_index(s, ref_canonical(&r, canonical), x, e) < 0) {
		return -1;
	}
	image_event(s, "tag", x->shown->id, x->shown, ref_familiar(&r, familiar));
	return 0;
}

int image_name_digest(struct image_store *s, const char *what, const char *reference, struct err *e)
{
	struct ref r;
	char canonical[REF_TEXT_MAX];
	const struct image_index *x = map_get(s->indexes, what);
	struct image *i = map_get(s->images, what);
	if (ref_parse(reference, &r, e) < 0) {
		return -1;
	}
	if (!*r.digest || (!x && !i)) {
		return err_set(e, ERR_INVALID, "there is nothing to be named %.200s", reference);
	}
	*r.tag = '\0';
	ref_canonical(&r, canonical);
	return x ? image_ref_set_index(s, canonical, x, e) : image_ref_set(s, canonical, i, e);
}

/* --- what goes --- */

static bool is_named(const struct image_store *s, const struct image_index *x)
{
	map_each (s->ref_indexes, struct image_index, named) {
		if (named == x) {
			return true;
		}
	}
	return false;
}

void image_index_settle(struct image_store *s, struct image_index *x)
{
	struct err e;
	if (is_named(s, x) || x->shown->tags.n + x->shown->digests.n == 0) {
		return;
	}
	if (store_delete(s->store, STORE_INDEXES, x->id, &e) < 0) {
		log_warning("image", "index-stays", "index", x->id, "error", e.msg, NULL);
		return;
	}
	map_remove(s->indexes, x->id);
	image_index_free(x);
}

int image_index_forget_rows(struct image_store *s, const struct image *i, struct err *e)
{
	map_each (s->indexes, struct image_index, x) {
		int r = x->shown == i           ? store_delete(s->store, STORE_INDEXES, x->id, e)
			: image_index_has(x, i) ? save_index(s, x, i, e)
						: 0;
		if (r < 0) {
			return -1;
		}
	}
	return 0;
}

static void take_out(struct image_index *x, const struct image *i)
{
	size_t n = 0;
	for (size_t k = 0; k < x->n; k++) {
		if (x->v[k] != i) {
			x->v[n++] = x->v[k];
		}
	}
	x->n = n;
}

void image_index_forget(struct image_store *s, const struct image *i)
{
	scoped(strv) struct strv gone = STRV_INIT;
	map_each (s->indexes, struct image_index, x) {
		if (x->shown == i) {
			strv_add(&gone, x->id);
		} else {
			take_out(x, i);
		}
	}
	for (size_t k = 0; k < gone.n; k++) { /* no reference names it: those of i have gone */
		image_index_free(map_remove(s->indexes, gone.v[k]));
	}
}
