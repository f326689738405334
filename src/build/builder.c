/* The build cache: which layer a step made. A layer is kept as long as an entry names it. */
#include "build/builder.h"

#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/claims.h"
#include "build/groups.h"
#include "build/session_parts.h"
#include "codec/sha256.h"
#include "image/image.h"
#include "job/remove.h"
#include "store/store.h"
#include "sys/cgroup.h"

#define SPARES_MAX 2000 /* entries whose layers no image has */
#define SPARE_SHARE 10  /* their layers may take this part of the disk */
#define UNUSED_NS (7 * 24 * 3600 * NS_PER_SEC)
#define CACHE_TEXT_MAX 200
#define CLAIM_WAIT_MS \
	(10 * 60 * 1000) /* a build of another client, which may have stopped reading */
#define NOTE_USE_NS (3600 * NS_PER_SEC) /* a use within the hour is not written again */

/* --- entries --- */

static json_t *entry_json(const struct cache_entry *c)
{
	return json_pack("{ss ss sI sI sI ss ss*}", "diff_id", c->diff_id, "image", c->image,
		"used", (json_int_t)c->used_ns, "made", (json_int_t)c->made_ns, "uses",
		(json_int_t)c->uses, "parent", c->parent, "text", c->text);
}

static void free_entry(struct cache_entry *c)
{
	if (c) {
		free(c->text);
		free(c);
	}
}

static int load_entry(void *owner, const char *id, json_t *doc, struct err *e)
{
	struct builder *b = owner;
	struct cache_entry *c = xnew(struct cache_entry);
	snprintf(c->diff_id, sizeof(c->diff_id), "%s", json_str(doc, "diff_id"));
	snprintf(c->image, sizeof(c->image), "%s", json_str(doc, "image"));
	snprintf(c->parent, sizeof(c->parent), "%s", json_str(doc, "parent"));
	c->used_ns = json_i64(doc, "used", 0);
	c->made_ns = json_i64(doc, "made", c->used_ns);
	c->uses = json_i64(doc, "uses", 1);
	c->text = *json_str(doc, "text") ? xstrdup(json_str(doc, "text")) : NULL;
	free_entry(map_put(b->cache, id, c));
	return 0;
}

static int store_entry(
	struct builder *b, const char *key, const struct cache_entry *c, struct err *e)
{
	scoped(json) json_t *doc = entry_json(c);
	return store_put(b->d.store, STORE_BUILD_CACHE, key, doc, e);
}

void builder_cache_drop(struct builder *b, const char *key)
{
	struct err e;
	if (store_delete(b->d.store, STORE_BUILD_CACHE, key, &e) < 0) {
		log_warning("build", "cache-entry-stays", "error", e.msg, NULL);
		return;
	}
	free_entry(map_remove(b->cache, key));
}

static bool is_there(const struct builder *b, const struct cache_entry *c)
{
	struct err ignored;
	return *c->diff_id ? image_has_layer(b->d.images, c->diff_id, NULL)
			   : image_find(b->d.images, c->image, &ignored) != NULL;
}

const struct cache_entry *builder_cache_get(struct builder *b, const char *key)
{
	struct err ignored;
	struct cache_entry *c = map_get(b->cache, key);
	if (!c || !is_there(b, c)) {
		return NULL;
	}
	int64_t now = clock_real_ns();
	c->uses++;
	if (now - c->used_ns > NOTE_USE_NS) {
		c->used_ns = now;
		store_entry(b, key, c, &ignored);
	}
	return c;
}

/* The beginning, of whole characters. */
static char *short_text(const char *text)
{
	size_t n = strnlen(text, CACHE_TEXT_MAX);
	while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80) {
		n--;
	}
	return xstrndup(text, n);
}

int builder_cache_put(
	struct builder *b, const char *key, const struct cache_entry *made, struct err *e)
{
	if (!text_is_hex(key, CACHE_KEY_LEN)) {
		return err_set(e, ERR_INVALID, "a cache key must be 64 hex digits");
	}
	struct cache_entry *c = xnew(struct cache_entry);
	*c = *made;
	c->used_ns = c->made_ns = clock_real_ns();
	c->uses = 1;
	c->text = made->text ? short_text(made->text) : NULL;
	if (store_entry(b, key, c, e) < 0) {
		free_entry(c);
		return -1;
	}
	free_entry(map_put(b->cache, key, c));
	return 0;
}

int builder_cache_put_step(struct builder *b, const json_t *step, struct err *e)
{
	struct cache_entry made = {.text = (char *)json_str(step, "text")};
	snprintf(made.diff_id, sizeof(made.diff_id), "%s", json_str(step, "diff_id"));
	snprintf(made.parent, sizeof(made.parent), "%s", json_str(step, "parent"));
	return builder_cache_put(b, json_str(step, "key"), &made, e);
}

/* --- what may go --- */

struct map *builder_image_layers(const struct builder *b)
{
	struct map *layers = map_new();
	size_t pos = 0;
	struct image *i;
	while ((i = image_next(b->d.images, &pos))) {
		for (size_t k = 0; k < i->layers.n; k++) {
			map_put(layers, i->layers.v[k], layers);
		}
	}
	return layers;
}

/* What goes with the entry: a layer that no image names, counted once. */
static int64_t freed_bytes(
	const struct builder *b, const struct cache_entry *c, struct map *counted)
{
	int64_t bytes = 0;
	if (!*c->diff_id || map_get(counted, c->diff_id) ||
		!image_has_layer(b->d.images, c->diff_id, &bytes)) {
		return 0;
	}
	map_put(counted, c->diff_id, counted);
	return bytes;
}

/* An entry that nothing but the cache needs. */
struct spare {
	const char *key; /* of the map */
	const struct cache_entry *entry;
	int64_t bytes; /* freed when it goes after all older ones */
};

static int newest_first(const void *a, const void *b)
{
	int64_t x = ((const struct spare *)a)->entry->used_ns;
	int64_t y = ((const struct spare *)b)->entry->used_ns;
	return x < y ? 1 : x > y ? -1 : 0;
}

/* Spare entries, newest first; several may name one layer, which counts with the newest of them. */
static struct spare *find_spares(const struct builder *b, size_t *ret_n)
{
	struct spare *v = xnew_array(struct spare, map_count(b->cache) + 1);
	struct map *used = builder_image_layers(b);
	size_t pos = 0, n = 0;
	const char *key;
	const struct cache_entry *c;
	while ((c = map_next(b->cache, &pos, &key))) {
		bool wanted = *c->diff_id ? map_get(used, c->diff_id) != NULL : is_there(b, c);
		if (!wanted) {
			v[n++] = (struct spare){key, c, 0};
		}
	}
	qsort(v, n, sizeof(*v), newest_first);
	for (size_t k = 0; k < n; k++) {
		v[k].bytes = freed_bytes(b, v[k].entry, used);
	}
	map_free(used);
	*ret_n = n;
	return v;
}

/* A tenth of the disk, as BuildKit. */
static int64_t spare_limit(const struct builder *b)
{
	struct statvfs fs;
	if (statvfs(image_layers_dir(b->d.images), &fs) < 0) {
		return INT64_MAX;
	}
	return (int64_t)((uint64_t)fs.f_blocks * fs.f_frsize / SPARE_SHARE);
}

void builder_cache_trim(struct builder *b)
{
	size_t n;
	struct spare *v = find_spares(b, &n);
	const int64_t now = clock_real_ns(), limit = spare_limit(b);
	int64_t kept = 0;
	bool dropped = false;
	for (size_t k = 0; k < n; k++) {
		kept += v[k].bytes;
		if (now - v[k].entry->used_ns > UNUSED_NS || kept > limit || k >= SPARES_MAX) {
			scoped(free) char *name = xstrdup(v[k].key);
			builder_cache_drop(b, name);
			dropped = true;
		}
	}
	free(v);
	if (dropped) {
		image_collect(b->d.images);
	}
}

void builder_pin_layers(
	const struct builder *b, void (*pin)(void *arg, const char *diff_id), void *arg)
{
	map_each (b->cache, struct cache_entry, c) {
		if (*c->diff_id) {
			pin(arg, c->diff_id);
		}
	}
	session_pin_layers(b, pin, arg);
}

/* --- life --- */

void builder_remove_trees(struct builder *b, const char *dir, json_t *take_names)
{
	job_remove_trees(b->d.jobs, "build", dir, take_names, NULL, NULL);
}

/* A daemon that was killed leaves the groups of its RUN steps, with processes in them. */
static void destroy_left_over(void *owner, const char *name)
{
	const struct builder *b = owner;
	if (text_starts(name, b->cgroup_prefix)) {
		scoped(free) char *group = xasprintf("%s/%s", b->d.cgroup_parent, name);
		build_groups_destroy(b->groups, group);
	}
}

struct builder *builder_new(const struct builder_deps *d, struct err *e)
{
	char digest[72];
	struct builder *b = xnew(struct builder);
	b->d = *d;
	b->cache = map_new();
	list_init(&b->sessions);
	b->claims = claims_new(d->loop, CLAIM_WAIT_MS, session_claim_granted);
	b->groups = build_groups_new(d->loop);
	b->cache_dir = xasprintf("%s/build-cache", d->data_root);
	sha256_digest(d->data_root, strlen(d->data_root), digest);
	b->cgroup_prefix = xasprintf("build-%.8s-", digest + strlen("sha256:"));
	int r = path_mkdirs(b->cache_dir, 0700);
	if (r < 0) {
		(void)err_sys(e, -r, "cannot make %s", b->cache_dir);
	} else {
		r = store_each(d->store, STORE_BUILD_CACHE, load_entry, b, e);
	}
	if (r < 0) {
		builder_free(b);
		return NULL;
	}
	cgroup_each_child(d->cgroup_parent, destroy_left_over, b);
	return b;
}

void builder_free(struct builder *b)
{
	if (!b) {
		return;
	}
	map_each (b->cache, struct cache_entry, c) {
		free_entry(c);
	}
	map_free(b->cache);
	claims_free(b->claims);
	free(b->cache_dir);
	free(b->cgroup_prefix);
	build_groups_free(b->groups);
	free(b);
}
