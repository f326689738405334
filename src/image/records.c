/* Invariants
 * 1. Every image in s->images has all its layers in s->layers, and every layer there has its
 * directory.
 * 2. s->refs holds only images of s->images; tags and digests of an image are exactly its entries
 * there.
 * 3. The tables say the same as the maps: memory changes only after the table did.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "event/event.h"
#include "image/store.h"
#include "store/store.h"
#include "tree/recipe.h"

void image_layer_dir(const char *diff_id, char ret[static LAYER_DIR_LEN + 1])
{
	memcpy(ret, diff_id + strlen("sha256:"), LAYER_DIR_LEN);
	ret[LAYER_DIR_LEN] = '\0';
}

static void free_image(struct image *i)
{
	json_decref(i->config);
	strv_deinit(&i->layers);
	strv_deinit(&i->tags);
	strv_deinit(&i->digests);
	free(i);
}
SCOPED(struct image *, free_image)

struct image_layer *image_layer_find(const struct image_store *s, const char *diff_id)
{
	char dir[LAYER_DIR_LEN + 1];
	if (!ref_is_digest(diff_id)) {
		return NULL;
	}
	image_layer_dir(diff_id, dir);
	struct image_layer *l = map_get(s->layers, dir);
	return l && strcmp(l->diff_id, diff_id) == 0 ? l : NULL;
}

bool image_has_layer(const struct image_store *s, const char *diff_id, int64_t *ret_bytes)
{
	const struct image_layer *l = image_layer_find(s, diff_id);
	if (l && ret_bytes) {
		*ret_bytes = l->bytes;
	}
	return l && !l->damage && !l->pending;
}

int64_t image_layers_bytes(const struct image_store *s)
{
	int64_t total = 0;
	map_each (s->layers, struct image_layer, l) {
		total += l->bytes;
	}
	return total;
}

int64_t image_shared_bytes(const struct image_store *s, const struct image *i)
{
	scoped(strv) struct strv shared = STRV_INIT;
	int64_t total = 0;
	map_each (s->images, struct image, other) {
		for (size_t k = 0; other != i && k < i->layers.n; k++) {
			const char *diff_id = i->layers.v[k];
			int64_t bytes = 0;
			if (strv_has(&other->layers, diff_id) && !strv_has(&shared, diff_id) &&
				image_has_layer(s, diff_id, &bytes)) {
				strv_add(&shared, diff_id);
				total += bytes;
			}
		}
	}
	return total;
}

/* --- images --- */

/* The configuration as an image whose layers are all recorded and, when it is fresh, whole; or
 * NULL.
 */
static struct image *new_image(
	struct image_store *s, const char *text, size_t n, bool fresh, struct err *e)
{
	scoped(free_image) struct image *i = xnew(struct image);
	i->config = json_parse(text, n, "the image configuration", e);
	if (!i->config) {
		return NULL;
	}
	sha256_digest(text, n, i->id);
	json_t *rootfs, *ids;
	if (!json_is_object(i->config)) {
		(void)err_set(e, ERR_INVALID, "the image configuration must be an object");
		return NULL;
	}
	if (json_get_object(i->config, "rootfs", &rootfs, e) < 0 ||
		(rootfs && json_get_array(rootfs, "diff_ids", &ids, e) < 0) ||
		(rootfs && json_get_strv(rootfs, "diff_ids", &i->layers, e) < 0)) {
		return NULL;
	}
	for (size_t k = 0; k < i->layers.n; k++) {
		const struct image_layer *l = image_layer_find(s, i->layers.v[k]);
		if (!l || (fresh && (l->damage || l->pending))) {
			(void)err_set(e, ERR_INVALID, "the image's layer %.19s is not here",
				i->layers.v[k]);
			return NULL;
		}
		i->size_bytes += l->bytes;
	}
	return TAKE(i);
}

struct image *image_add(struct image_store *s, const char *config_text, size_t n, struct err *e)
{
	scoped(free_image) struct image *i = new_image(s, config_text, n, true, e);
	if (!i) {
		return NULL;
	}
	struct image *known = map_get(s->images, i->id);
	if (known) {
		return known;
	}
	scoped(json) json_t *doc = json_object();
	json_put(doc, "config", json_stringn(config_text, n));
	if (!json_object_get(doc, "config")) {
		(void)err_set(e, ERR_INVALID, "the image configuration is not UTF-8");
		return NULL;
	}
	if (store_put(s->store, STORE_IMAGES, i->id, doc, e) < 0) {
		return NULL;
	}
	map_put(s->images, i->id, i);
	image_layers_named(s, i);
	return TAKE(i);
}

int image_forget(struct image_store *s, struct image *i, struct err *e)
{
	scoped(strv) struct strv refs = STRV_INIT;
	image_refs_of(s, i, &refs);
	if (store_begin(s->store, e) < 0) {
		return -1;
	}
	for (size_t k = 0; k < refs.n; k++) {
		if (store_delete(s->store, STORE_REFS, refs.v[k], e) < 0) {
			store_rollback(s->store);
			return -1;
		}
	}
	if (image_index_forget_rows(s, i, e) < 0 ||
		store_delete(s->store, STORE_IMAGES, i->id, e) < 0 ||
		store_delete(s->store, STORE_MANIFESTS, i->id, e) < 0) {
		store_rollback(s->store);
		return -1;
	}
	if (store_commit(s->store, e) < 0) {
		return -1;
	}
	for (size_t k = 0; k < refs.n; k++) {
		map_remove(s->refs, refs.v[k]);
		map_remove(s->ref_indexes, refs.v[k]);
		free(map_remove(s->signatures, refs.v[k]));
	}
	image_index_forget(s, i);
	map_remove(s->images, i->id);
	free_image(i);
	return 0;
}

/* --- references --- */

void image_refs_of(const struct image_store *s, const struct image *i, struct strv *ret)
{
	size_t pos = 0;
	const char *canonical;
	const struct image *named;
	while ((named = map_next(s->refs, &pos, &canonical))) {
		if (named == i) {
			strv_add(ret, canonical);
		}
	}
}

static void rebuild_names(struct image_store *s, struct image *i)
{
	scoped(strv) struct strv refs = STRV_INIT;
	image_refs_of(s, i, &refs);
	strv_clear(&i->tags);
	strv_clear(&i->digests);
	for (size_t k = 0; k < refs.n; k++) {
		struct ref r;
		struct err ignored;
		char text[REF_TEXT_MAX];
		if (ref_parse(refs.v[k], &r, &ignored) == 0) {
			strv_add(*r.digest ? &i->digests : &i->tags, ref_familiar(&r, text));
		}
	}
}

/* x: the index that it names beside the image, or NULL. */
static int ref_set(struct image_store *s, const char *canonical, struct image *i,
	struct image_index *x, struct err *e)
{
	scoped(json) json_t *doc = json_object();
	int64_t now = clock_real_ns();
	const struct image *named = map_get(s->refs, canonical);
	const char *key_id = named == i ? map_get(s->signatures, canonical) : NULL;
	json_put_str(doc, "image", i->id);
	json_put(doc, "tagged_ns", json_integer(now));
	if (key_id) {
		json_put_str(doc, "signed", key_id);
	}
	if (x) {
		json_put_str(doc, "index", x->id);
	}
	if (store_put(s->store, STORE_REFS, canonical, doc, e) < 0) {
		return -1;
	}
	i->tagged_ns = now;
	struct image *before = map_put(s->refs, canonical, i);
	if (before && before != i) {
		free(map_remove(s->signatures, canonical));
		rebuild_names(s, before);
	}
	rebuild_names(s, i);
	struct image_index *left =
		x ? map_put(s->ref_indexes, canonical, x) : map_remove(s->ref_indexes, canonical);
	if (left) {
		image_index_settle(s, left);
	}
	return 0;
}

int image_ref_set(struct image_store *s, const char *canonical, struct image *i, struct err *e)
{
	return ref_set(s, canonical, i, NULL, e);
}

int image_ref_set_index(
	struct image_store *s, const char *canonical, const struct image_index *x, struct err *e)
{
	return ref_set(s, canonical, x->shown, map_get(s->indexes, x->id), e);
}

int image_ref_drop(struct image_store *s, const char *canonical, struct err *e)
{
	if (store_delete(s->store, STORE_REFS, canonical, e) < 0) {
		return -1;
	}
	struct image *i = map_remove(s->refs, canonical);
	struct image_index *left = map_remove(s->ref_indexes, canonical);
	free(map_remove(s->signatures, canonical));
	if (i) {
		rebuild_names(s, i);
	}
	if (left) {
		image_index_settle(s, left);
	}
	return 0;
}

void image_event(struct image_store *s, const char *action, const char *id, const struct image *i,
	const char *name)
{
	json_t *attributes = json_object();
	json_t *labels = json_object_get(json_object_get(i->config, "config"), "Labels");
	const char *key;
	json_t *value;
	json_object_foreach (labels, key, value) {
		if (json_is_string(value)) {
			json_put(attributes, key, json_incref(value));
		}
	}
	json_put_str(attributes, "name", name);
	event_publish(s->bus, "image", action, id, attributes);
}

int image_tag_parse(const char *reference, struct ref *ret, struct err *e)
{
	if (ref_parse(reference, ret, e) < 0) {
		return -1;
	}
	if (*ret->digest) {
		return err_set(e, ERR_INVALID, "refusing to create a tag with a digest reference");
	}
	ref_default_tag(ret);
	return 0;
}

int image_tag(struct image_store *s, struct image *i, const char *reference, struct err *e)
{
	struct ref r;
	char canonical[REF_TEXT_MAX], familiar[REF_TEXT_MAX];
	if (image_tag_parse(reference, &r, e) < 0 ||
		image_ref_set(s, ref_canonical(&r, canonical), i, e) < 0) {
		return -1;
	}
	image_event(s, "tag", i->id, i, ref_familiar(&r, familiar));
	return 0;
}

/* --- layers --- */

void image_layer_free(struct image_layer *l)
{
	free(l->damage);
	free(l);
}
SCOPED(struct image_layer *, image_layer_free)

static int put_layer(struct image_store *s, const char *dir, const char *diff_id, int64_t bytes,
	int64_t pulled_s, bool early, struct err *e)
{
	scoped(image_layer_free) struct image_layer *l = xnew(struct image_layer);
	snprintf(l->diff_id, sizeof(l->diff_id), "%s", diff_id);
	l->bytes = bytes;
	l->pulled_s = pulled_s;
	l->pending = early;
	if (!early && image_layer_save(s, l, e) < 0) {
		return -1;
	}
	struct image_layer *before = map_put(s->layers, dir, TAKE(l));
	if (before) {
		log_info("image", "layer-replaced", "layer", diff_id, NULL);
		image_layer_free(before);
	}
	return 0;
}

/* "JOB" or "JOB/3" */
static bool valid_tmp_name(const char *name)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, name, '/');
	for (size_t k = 0; k < parts.n; k++) {
		if (!path_is_component(parts.v[k])) {
			return false;
		}
	}
	return parts.n == 1 || parts.n == 2;
}

/* The recipe first: where the directory is, both are. A damaged directory that is there changes
 * places with the new one, so that the layer is there at every moment, and its containers keep
 * theirs. */
static int move_into_place(
	struct image_store *s, const char *tmp_name, const char *dir, bool replace)
{
	scoped(free) char *from = xasprintf("tmp/%s", tmp_name);
	scoped(free) char *recipe_from = xasprintf("%s" RECIPE_SUFFIX, from);
	scoped(free) char *recipe = xasprintf("%s" RECIPE_SUFFIX, dir);
	if (renameat(s->layers_fd, recipe_from, s->layers_fd, recipe) < 0) {
		return -1;
	}
	if (replace && renameat2(s->layers_fd, from, s->layers_fd, dir, RENAME_EXCHANGE) == 0) {
		image_keep_replaced(s, from, dir);
		return 0;
	}
	return replace && errno != ENOENT ? -1 : renameat(s->layers_fd, from, s->layers_fd, dir);
}

static int add_layer(struct image_store *s, const char *tmp_name, const char *diff_id,
	int64_t size_bytes, int64_t pulled_s, bool early, struct err *e)
{
	char dir[LAYER_DIR_LEN + 1];
	if (!ref_is_digest(diff_id) || !valid_tmp_name(tmp_name)) {
		return err_set(
			e, ERR_INVALID, "a finished layer needs a name and a SHA-256 digest");
	}
	image_layer_dir(diff_id, dir);
	const struct image_layer *there = map_get(s->layers, dir);
	if (there && strcmp(there->diff_id, diff_id) != 0) {
		return err_set(e, ERR_CONFLICT, "the layers %s and %s share a name", diff_id,
			there->diff_id);
	}
	if (there && !there->damage && (early || !there->pending)) {
		image_discard(s, tmp_name, true);
		return 0;
	}
	if (!there) {
		image_discard(s, dir, false); /* renamed before, but never recorded */
	}
	if (move_into_place(s, tmp_name, dir, there != NULL) < 0) {
		return err_sys(e, errno, "cannot put layer %.19s into place", diff_id);
	}
	return put_layer(s, dir, diff_id, size_bytes, pulled_s, early, e);
}

int image_add_layer(struct image_store *s, const char *tmp_name, const char *diff_id,
	int64_t size_bytes, struct err *e)
{
	return add_layer(s, tmp_name, diff_id, size_bytes, 0, false, e);
}

int image_add_layer_early(struct image_store *s, const char *tmp_name, const char *diff_id,
	int64_t size_bytes, struct err *e)
{
	return add_layer(s, tmp_name, diff_id, size_bytes, 0, true, e);
}

int image_settle_layer(struct image_store *s, const char *diff_id, struct err *e)
{
	struct image_layer *l = image_layer_find(s, diff_id);
	if (!l) {
		return err_set(e, ERR_NOT_FOUND, "the layer is not known");
	}
	if (l->pending && image_layer_save(s, l, e) < 0) {
		return -1;
	}
	l->pending = false;
	return 0;
}

int image_add_pulled_layer(struct image_store *s, const char *tmp_name, const char *diff_id,
	int64_t size_bytes, struct err *e)
{
	return add_layer(s, tmp_name, diff_id, size_bytes, clock_real_ns() / 1000000000, false, e);
}

char *image_lowerdir(const struct image_store *s, const struct strv *layers)
{
	struct buf out = BUF_INIT;
	scoped(strv) struct strv seen = STRV_INIT;
	for (size_t k = layers->n; k > 0; k--) {
		char dir[LAYER_DIR_LEN + 1];
		if (!ref_is_digest(layers->v[k - 1])) {
			continue;
		}
		image_layer_dir(layers->v[k - 1], dir);
		/* overlayfs refuses a directory twice, and the upper one hides all that the lower
		 * would show */
		if (!strv_has(&seen, dir)) {
			strv_add(&seen, dir);
			buf_printf(&out, "%s%s", out.len ? ":" : "", dir);
		}
	}
	if (out.len == 0) {
		buf_puts(&out, "empty");
	}
	return buf_take_str(&out);
}

json_t *image_registry_config(const struct image_store *s)
{
	return s->registry_config;
}

const char *image_layers_dir(const struct image_store *s)
{
	return s->layers_dir;
}

/* --- start --- */

/* Rows whose directory or layers are gone; they are deleted after the walk. */
struct loading {
	struct image_store *s;
	struct strv stale;
};

static int load_layer(void *owner, const char *id, json_t *doc, struct err *e)
{
	struct loading *l = owner;
	char dir[LAYER_DIR_LEN + 1];
	struct stat st;
	if (!ref_is_digest(id)) {
		strv_add(&l->stale, id);
		return 0;
	}
	image_layer_dir(id, dir);
	struct image_layer *layer = xnew(struct image_layer);
	snprintf(layer->diff_id, sizeof(layer->diff_id), "%s", id);
	layer->bytes = json_i64(doc, "size", 0);
	layer->pulled_s = json_i64(doc, "pulled_s", 0);
	layer->damage = *json_str(doc, "damage") ? xstrdup(json_str(doc, "damage")) : NULL;
	map_put(l->s->layers, dir, layer);
	bool there =
		fstatat(l->s->layers_fd, dir, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
	if (!there && !image_take_back(l->s, dir)) {
		log_error("image", "layer-lost", "layer", id, NULL);
		free(layer->damage);
		layer->damage = xstrdup("its directory is missing"); /* not recorded: it shows */
	}
	return 0;
}

static int load_image(void *owner, const char *id, json_t *doc, struct err *e)
{
	struct loading *l = owner;
	const json_t *text = json_object_get(doc, "config");
	struct err why;
	struct image *i =
		new_image(l->s, json_str(doc, "config"), json_string_length(text), false, &why);
	if (!i || strcmp(i->id, id) != 0) {
		log_warning("image", "image-lost", "image", id, "error",
			i ? "its text has changed" : why.msg, NULL);
		strv_add(&l->stale, id);
		if (i) {
			free_image(i);
		}
		return 0;
	}
	map_put(l->s->images, id, i);
	image_layers_named(l->s, i);
	return 0;
}

static int load_index(void *owner, const char *id, json_t *doc, struct err *e)
{
	struct loading *l = owner;
	int there = image_index_load(l->s, id, doc, e);
	if (there == 0) {
		strv_add(&l->stale, id);
	}
	return there < 0 ? -1 : 0;
}

static int load_ref(void *owner, const char *id, json_t *doc, struct err *e)
{
	struct loading *l = owner;
	struct image_index *x = map_get(l->s->indexes, json_str(doc, "index"));
	struct image *i = x ? x->shown : map_get(l->s->images, json_str(doc, "image"));
	if (!i) {
		strv_add(&l->stale, id);
		return 0;
	}
	map_put(l->s->refs, id, i);
	if (x) {
		map_put(l->s->ref_indexes, id, x);
	}
	if (*json_str(doc, "signed")) {
		free(map_put(l->s->signatures, id, xstrdup(json_str(doc, "signed"))));
	}
	int64_t tagged_ns = json_i64(doc, "tagged_ns", 0);
	i->tagged_ns = tagged_ns > i->tagged_ns ? tagged_ns : i->tagged_ns;
	return 0;
}

static int load_table(
	struct image_store *s, enum store_table table, store_row_fn *fn, struct err *e)
{
	struct loading l = {.s = s};
	int r = store_each(s->store, table, fn, &l, e);
	for (size_t k = 0; r == 0 && k < l.stale.n; k++) {
		r = store_delete(s->store, table, l.stale.v[k], e);
	}
	strv_deinit(&l.stale);
	return r;
}

/* "a1b2..." or "a1b2....recipe" of no layer that was recorded. */
static bool is_unrecorded(const struct image_store *s, const char *name)
{
	scoped(free) char *dir = xstrndup(name, LAYER_DIR_LEN);
	const char *rest = name + strlen(dir);
	return text_is_hex(dir, LAYER_DIR_LEN) && (!*rest || strcmp(rest, RECIPE_SUFFIX) == 0) &&
	       !map_get(s->layers, dir);
}

/* What was renamed into place but never recorded. */
static void discard_unrecorded(struct image_store *s)
{
	scoped(close) int fd = openat(s->layers_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	scoped(closedir) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		return;
	}
	(void)TAKE_FD(fd);
	scoped(strv) struct strv names = STRV_INIT;
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		if (is_unrecorded(s, entry->d_name)) {
			scoped(free) char *layer = xstrndup(entry->d_name, LAYER_DIR_LEN);
			strv_add(&names, layer);
		}
	}
	for (size_t k = 0; k < names.n; k++) {
		image_discard(s, names.v[k], false);
	}
}

int image_records_load(struct image_store *s, struct err *e)
{
	if (load_table(s, STORE_LAYERS, load_layer, e) < 0 ||
		load_table(s, STORE_IMAGES, load_image, e) < 0 ||
		load_table(s, STORE_INDEXES, load_index, e) < 0 ||
		load_table(s, STORE_REFS, load_ref, e) < 0) {
		return -1;
	}
	map_each (s->images, struct image, i) {
		rebuild_names(s, i);
	}
	image_discard_all_tmp(s);
	discard_unrecorded(s);
	return 0;
}

void image_records_free(struct image_store *s)
{
	map_each (s->images, struct image, i) {
		free_image(i);
	}
	map_each (s->indexes, struct image_index, x) {
		image_index_free(x);
	}
	map_each (s->layers, struct image_layer, l) {
		image_layer_free(l);
	}
	map_each (s->signatures, char, key_id) {
		free(key_id);
	}
	map_free(s->signatures);
	map_free(s->indexes);
	map_free(s->ref_indexes);
	map_free(s->images);
	map_free(s->layers);
	map_free(s->refs);
}
