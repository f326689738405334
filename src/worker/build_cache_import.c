/* Invariant: what is known of a cache changes before the stages run and not afterwards, but for
 * `failed` and `fetched`, which the lock guards; one thread at a time fetches. */
#include <pthread.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "codec/ref.h"
#include "codec/sha256.h"
#include "oci/platform.h"
#include "tree/stream.h"
#include "worker/build_cache_format.h"
#include "worker/build_cache_remote.h"
#include "worker/content.h"
#include "worker/layers.h"
#include "worker/manifest.h"
#include "worker/registry.h"
#include "worker/rpc.h"

#define SOURCES_MAX 16

struct source {
	const json_t *spec; /* borrowed */
	struct ref ref;
	json_t *setup;
	struct registry *registry; /* NULL: it is in */
	struct content_store store;
	struct manifest manifest;
	bool failed[LAYERS_MAX]; /* they are not tried again */
};

struct import {
	struct source *source;
	size_t layer;
	bool fetched; /* hashed, and the engine has it */
	char diff_id[STREAM_DIGEST_LEN + 1];
};

struct build_imports {
	pthread_mutex_t lock;
	struct map *keys; /* struct import */
	struct source *sources[SOURCES_MAX];
	size_t n;
};

struct build_imports *build_imports_new(void)
{
	struct build_imports *m = xnew(struct build_imports);
	pthread_mutex_init(&m->lock, NULL);
	m->keys = map_new();
	return m;
}

static void source_free(struct source *s)
{
	if (s->registry) {
		registry_free(s->registry);
	}
	manifest_deinit(&s->manifest);
	json_decref(s->setup);
	free(s->store.id);
	free(s);
}

void build_imports_free(struct build_imports *m)
{
	map_each (m->keys, struct import, i) {
		free(i);
	}
	map_free(m->keys);
	for (size_t k = 0; k < m->n; k++) {
		source_free(m->sources[k]);
	}
	pthread_mutex_destroy(&m->lock);
	free(m);
}

/* --- where it is --- */

static int small_blob(
	const struct source *s, const char *digest, int64_t size, struct buf *ret, struct err *e)
{
	return s->registry
		       ? registry_blob_text(s->registry, digest, size, BUILD_CACHE_TEXT_MAX, ret, e)
		       : content_store_text(&s->store, digest, BUILD_CACHE_TEXT_MAX, ret, e);
}

static struct stream *open_blob(
	struct build *b, const struct source *s, const struct descriptor *d, struct err *e)
{
	return s->registry ? registry_blob_from(s->registry, d->digest, d->size, 0, &b->stopping)
			   : content_store_open(&s->store, d->digest, d->size, e);
}

/* --- what a cache has --- */

static int check_digest(const struct buf *text, const char *want, struct err *e)
{
	char digest[STREAM_DIGEST_LEN + 1];
	sha256_digest(buf_str(text), text->len, digest);
	return strcmp(digest, want) == 0
		       ? 0
		       : err_set(e, ERR_INVALID, "manifest verification failed for digest %s",
				 want);
}

/* Its caches are indexes whose entries are no manifests. */
static bool is_of_buildkit(const struct manifest *m)
{
	size_t i;
	json_t *entry;
	json_array_foreach (m->entries, i, entry) {
		if (text_starts(json_str(entry, "mediaType"), "application/vnd.buildkit.")) {
			return true;
		}
	}
	return false;
}

/* Of an index, the image for the first platform of the build. */
static int select_image(struct build *b, struct source *s, struct err *e)
{
	struct platform want;
	struct descriptor chosen;
	scoped(buf) struct buf text = BUF_INIT;
	char type[REGISTRY_TYPE_MAX] = "";
	const char *platform = b->targets[0].platform;
	if (is_of_buildkit(&s->manifest)) {
		return err_set(e, ERR_INVALID, "it is in BuildKit's own format");
	}
	if (platform_parse(*platform ? platform : b->platform, &want, e) < 0 ||
		manifest_select(&s->manifest, &want, &chosen, e) < 0) {
		return -1;
	}
	int r = s->registry ? registry_manifest(s->registry, chosen.digest, &text, type, e)
			    : small_blob(s, chosen.digest, -1, &text, e);
	if (r < 0 || check_digest(&text, chosen.digest, e) < 0) {
		return -1;
	}
	manifest_deinit(&s->manifest);
	s->manifest = (struct manifest){0};
	if (manifest_parse_any(buf_str(&text), text.len, type, &s->manifest, e) < 0) {
		return -1;
	}
	return s->manifest.is_index ? err_set(e, ERR_INVALID, "an index inside an index") : 0;
}

static int read_manifest(struct build *b, struct source *s, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	char type[REGISTRY_TYPE_MAX] = "";
	const char *digest = json_str(json_object_get(s->spec, "attrs"), "digest");
	int r = s->registry ? registry_resolve(s->registry, &text, type, e)
			    : small_blob(s, digest, -1, &text, e);
	if (r < 0 || (*s->ref.digest && check_digest(&text, s->ref.digest, e) < 0) ||
		manifest_parse_any(buf_str(&text), text.len, type, &s->manifest, e) < 0) {
		return -1;
	}
	return s->manifest.is_index ? select_image(b, s, e) : 0;
}

/* The first cache that has a key is the one that is asked. */
static void take_entries(struct build_imports *m, struct source *s, const json_t *entries)
{
	size_t k;
	json_t *entry;
	json_array_foreach (entries, k, entry) {
		const char *key = json_str(entry, "key");
		if (!map_get(m->keys, key) && map_count(m->keys) < BUILD_CACHE_ENTRIES_MAX) {
			struct import *i = xnew(struct import);
			i->source = s;
			i->layer = (size_t)json_i64(entry, "layer", 0);
			snprintf(i->diff_id, sizeof(i->diff_id), "%s", json_str(entry, "diff_id"));
			map_put(m->keys, key, i);
		}
	}
}

/* The client has found the digest in its index.json. */
static int open_local(struct build *b, struct source *s, struct err *e)
{
	const json_t *attrs = json_object_get(s->spec, "attrs");
	s->store = (struct content_store){b, xasprintf("local:%s", json_str(attrs, "src"))};
	return ref_is_digest(json_str(attrs, "digest"))
		       ? 0
		       : err_set(e, ERR_INVALID, "local cache importer requires explicit digest");
}

static int open_registry(struct build *b, struct source *s, struct err *e)
{
	const char *reference = build_cache_place(s->spec);
	s->registry = build_registry_new(b, reference, &s->ref, &s->setup, e);
	return s->registry ? 0 : -1;
}

/* An image of the name that is here is its own cache (type=inline), as dockerd's BuildKit has it
 * (builder-next/adapters/localinlinecache): its layers are in the store. False: it is not here, or
 * has none. */
static bool read_image_here(struct build *b, struct source *s)
{
	struct err ignored;
	scoped(json) json_t *image = rpc_ask(b->rpc,
		json_pack("{ss ss ss sb}", "ask", "image", "name", build_cache_place(s->spec),
			"platform", b->targets[0].platform, "local", 1),
		&ignored);
	scoped(free) char *text = image ? json_text(json_object_get(image, "config")) : NULL;
	scoped(json) json_t *entries =
		text ? build_cache_parse(text, strlen(text), "",
			       json_array_size(json_object_get(image, "layers")), &ignored)
		     : NULL;
	if (!entries) {
		return false;
	}
	memset(s->failed, true, sizeof(s->failed)); /* there is nowhere to fetch them from */
	take_entries(b->imports, s, entries);
	return true;
}

static int read_source(struct build *b, struct source *s, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	const struct descriptor *c = &s->manifest.config;
	bool local = build_cache_is_local(s->spec);
	if (!local && read_image_here(b, s)) {
		return 0;
	}
	if ((local ? open_local(b, s, e) : open_registry(b, s, e)) < 0 ||
		read_manifest(b, s, e) < 0 || small_blob(s, c->digest, c->size, &text, e) < 0) {
		return -1;
	}
	scoped(json) json_t *entries =
		build_cache_parse(buf_str(&text), text.len, c->media_type, s->manifest.n_layers, e);
	if (!entries) {
		return -1;
	}
	take_entries(b->imports, s, entries);
	return 0;
}

static void open_source(struct build *b, const json_t *spec)
{
	struct build_imports *m = b->imports;
	struct err e;
	bool local = build_cache_is_local(spec);
	if (strcmp(json_str(spec, "type"), "image") == 0) {
		build_cache_image_open(b, json_str(json_object_get(spec, "attrs"), "ref"));
		return;
	}
	if (strcmp(json_str(spec, "type"), "registry") != 0 && !local) {
		build_cache_warn(b, spec, "read", "only type=registry and type=local are");
		return;
	}
	if (m->n == SOURCES_MAX) {
		build_cache_warn(b, spec, "read", "it is one too many");
		return;
	}
	int vertex = build_event_vertex(b->events, NULL, 0, "importing cache manifest from %s%s",
		local ? "local:" : "", build_cache_place(spec));
	build_event_begin(b->events, vertex);
	struct source *s = xnew(struct source);
	s->spec = spec;
	m->sources[m->n++] = s;
	int r = read_source(b, s, &e);
	build_event_end(b->events, vertex, false, r < 0 ? &e : NULL);
	if (r < 0) {
		build_cache_warn(b, spec, "read", e.msg);
	}
}

/* Clients say it twice: as the frontend's attribute and beside it. */
static bool is_repeated(const json_t *list, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (json_equal(json_array_get(list, k), json_array_get(list, i))) {
			return true;
		}
	}
	return false;
}

void build_imports_open(struct build *b)
{
	size_t i;
	json_t *spec;
	const json_t *list = json_object_get(b->options, "cache_from");
	json_array_foreach (list, i, spec) {
		if (!is_repeated(list, i)) {
			open_source(b, spec);
		}
	}
}

/* --- one layer --- */

static int unpack(struct build *b, const struct import *i, int n, struct layer *ret, struct err *e)
{
	const struct descriptor *want = &i->source->manifest.layers[i->layer];
	scoped(stream_free) struct stream *blob = open_blob(b, i->source, want, e);
	scoped(stream_free) struct stream *packed = blob ? stream_digest_new(blob) : NULL;
	if (!packed || layer_unpack(b->request, n, packed, true, ret, e) < 0) {
		return -1;
	}
	if (stream_drain(packed, e) < 0 || layer_verify(packed, want->digest, want->size, e) < 0) {
		layer_drop(b->request, n);
		return -1;
	}
	if (strcmp(ret->diff_id, i->diff_id) != 0) {
		layer_drop(b->request, n);
		return err_set(e, ERR_INVALID, "layer %.19s unpacks to %.19s, not to %.19s",
			want->digest, ret->diff_id, i->diff_id);
	}
	return 0;
}

static int fetch(struct build *b, struct import *i, struct err *e)
{
	struct layer made;
	int n = atomic_fetch_add(&b->n_layers, 1);
	if (unpack(b, i, n, &made, e) < 0 || layer_record(b->rpc, &made, e) < 0) {
		return -1;
	}
	i->fetched = true;
	return 0;
}

void build_imports_learn(struct build *b)
{
	map_each (b->imports->keys, struct import, i) {
		struct err ignored;
		const struct source *s = i->source;
		if (i->fetched && s->registry) {
			(void)build_cache_learn(
				b, &s->ref, i->diff_id, &s->manifest.layers[i->layer], &ignored);
		}
	}
}

/* Fails when the engine has no such layer. */
static int put_key(
	const struct build_step *t, const char *key, const struct import *i, struct err *e)
{
	json_t *question = json_pack("{ss ss ss ss}", "ask", "cache-put", "key", key, "diff_id",
		i->diff_id, "parent", t->s->cache_key);
	json_put_str(question, "text", t->i->text); /* left out when it is not UTF-8 */
	scoped(json) json_t *answer = rpc_ask(t->b->rpc, question, e);
	return answer ? 0 : -1;
}

int build_import(const struct build_step *t, const char *key, struct err *e)
{
	struct build *b = t->b;
	struct build_imports *m = b->imports;
	struct import *i = map_get(m->keys, key);
	struct err why;
	if (!i) {
		return 0;
	}
	pthread_mutex_lock(&m->lock);
	bool *failed = &i->source->failed[i->layer];
	int r = put_key(t, key, i, &why);
	if (r < 0 && !*failed) {
		r = fetch(b, i, &why) < 0 ? -1 : put_key(t, key, i, &why);
		*failed = r < 0;
		if (r < 0 && !atomic_load(&b->stopping)) {
			build_cache_warn(b, i->source->spec, "used", why.msg);
		}
	}
	pthread_mutex_unlock(&m->lock);
	return build_go_on(b, e) < 0 ? -1 : r == 0;
}
