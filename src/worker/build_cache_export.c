#include <pthread.h>
#include <string.h>

#include "base/json.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "codec/ref.h"
#include "codec/sha256.h"
#include "worker/build_auth.h"
#include "worker/build_cache_format.h"
#include "worker/build_cache_remote.h"
#include "worker/content.h"
#include "worker/layout.h"
#include "worker/push.h"
#include "worker/registry_http.h"
#include "worker/rpc.h"

struct note {
	char key[65];
	char diff_id[STREAM_DIGEST_LEN + 1];
	char dir[64]; /* below layers_dir */
};

struct build_caches {
	pthread_mutex_t lock;
	struct map *known; /* keys: what is in v; values are not used */
	struct note *v;
	size_t n;
};

struct build_caches *build_caches_new(void)
{
	struct build_caches *c = xnew(struct build_caches);
	pthread_mutex_init(&c->lock, NULL);
	c->known = map_new();
	return c;
}

void build_caches_free(struct build_caches *c)
{
	map_free(c->known);
	pthread_mutex_destroy(&c->lock);
	free(c->v);
	free(c);
}

void build_caches_note(struct build *b, const char *key, const char *diff_id, const char *dir)
{
	struct build_caches *c = b->caches;
	pthread_mutex_lock(&c->lock);
	if (c->n < BUILD_CACHE_ENTRIES_MAX && !map_get(c->known, key)) {
		c->v = xrealloc(c->v, c->n + 1, sizeof(*c->v));
		struct note *n = &c->v[c->n++];
		snprintf(n->key, sizeof(n->key), "%s", key);
		snprintf(n->diff_id, sizeof(n->diff_id), "%s", diff_id);
		snprintf(n->dir, sizeof(n->dir), "%s", dir);
		map_put(c->known, key, c);
	}
	pthread_mutex_unlock(&c->lock);
}

/* --- requests --- */

bool build_cache_is_local(const json_t *spec)
{
	return strcmp(json_str(spec, "type"), "local") == 0;
}

const char *build_cache_place(const json_t *spec)
{
	static const char *const keys[] = {"ref", "src", "dest"};
	const json_t *attrs = json_object_get(spec, "attrs");
	const char *place = "";
	for (size_t k = 0; !*place && k < sizeof(keys) / sizeof(*keys); k++) {
		place = json_str(attrs, keys[k]);
	}
	return place;
}

void build_cache_warn(struct build *b, const json_t *spec, const char *what, const char *why)
{
	const char *ref = build_cache_place(spec);
	scoped(free) char *text = xasprintf("cache %.40s%s%.200s is not %s: %s",
		json_str(spec, "type"), *ref ? " " : "", ref, what, why);
	const struct build_warning warning = {.text = text, .level = 1};
	build_event_warning(b->events, b->definition, &warning);
}

struct registry *build_registry_new(
	struct build *b, const char *reference, struct ref *ret, json_t **ret_setup, struct err *e)
{
	if (ref_parse(reference, ret, e) < 0) {
		return NULL;
	}
	ref_default_tag(ret);
	json_t *setup =
		rpc_ask(b->rpc, json_pack("{ss ss}", "ask", "registry", "reference", reference), e);
	if (!setup) {
		return NULL;
	}
	json_t *auth = build_auth(b, reference);
	if (auth) {
		json_put(setup, "auth", auth);
	}
	*ret_setup = setup;
	return registry_new(json_object_get(setup, "config"), ret, json_object_get(setup, "auth"));
}

/* --- what is exported --- */

static bool is_of_target(const struct build *b, const char *diff_id)
{
	for (size_t k = 0; k < b->n_targets; k++) {
		if (strv_has(&build_target_stage(&b->targets[k])->layers, diff_id)) {
			return true;
		}
	}
	return false;
}

/* Its index, or -1. */
static int find_layer(const json_t *layers, const char *diff_id)
{
	size_t i;
	json_t *layer;
	json_array_foreach (layers, i, layer) {
		if (strcmp(json_str(layer, "diff_id"), diff_id) == 0) {
			return (int)i;
		}
	}
	return -1;
}

/* As push_layers_take wants it. */
static int add_layer(struct build *b, const struct note *n, json_t *layers, struct err *e)
{
	json_t *known =
		rpc_ask(b->rpc, json_pack("{ss ss}", "ask", "blobs", "diff_id", n->diff_id), e);
	if (!known) {
		return -1;
	}
	json_put_str(known, "diff_id", n->diff_id);
	json_put_str(known, "dir", n->dir);
	json_array_append_new(layers, known);
	return 0;
}

/* The layers to push, each once: of the targets, or of all stages. *ret_left: what has no room. */
static json_t *choose_layers(struct build *b, bool all, size_t *ret_left, struct err *e)
{
	scoped(json) json_t *layers = json_array();
	*ret_left = 0;
	for (size_t k = 0; k < b->caches->n; k++) {
		const struct note *n = &b->caches->v[k];
		if ((!all && !is_of_target(b, n->diff_id)) || find_layer(layers, n->diff_id) >= 0) {
			continue;
		}
		if (json_array_size(layers) == LAYERS_MAX) {
			++*ret_left;
		} else if (add_layer(b, n, layers, e) < 0) {
			return NULL;
		}
	}
	return TAKE(layers);
}

static json_t *list_entries(const struct build *b, const json_t *layers)
{
	json_t *entries = json_array();
	for (size_t k = 0; k < b->caches->n; k++) {
		const struct note *n = &b->caches->v[k];
		int layer = find_layer(layers, n->diff_id);
		if (layer >= 0) {
			json_array_append_new(
				entries, build_cache_entry(n->key, n->diff_id, (size_t)layer));
		}
	}
	return entries;
}

json_t *build_cache_inline(const struct build_stage *s)
{
	const struct build *b = s->target->b;
	bool wanted = false;
	size_t i;
	json_t *spec;
	json_array_foreach (json_object_get(b->options, "cache_to"), i, spec) {
		wanted = wanted || strcmp(json_str(spec, "type"), "inline") == 0;
	}
	if (!wanted) {
		return NULL;
	}
	json_t *entries = json_array();
	for (size_t layer = 0; layer < s->layers.n; layer++) {
		for (size_t k = 0; k < b->caches->n; k++) {
			const struct note *n = &b->caches->v[k];
			if (strcmp(n->diff_id, s->layers.v[layer]) == 0) {
				json_array_append_new(
					entries, build_cache_entry(n->key, n->diff_id, layer));
			}
		}
	}
	return json_pack("{so}", "entries", entries);
}

/* --- one registry --- */

static json_t *describe_layers(const struct push_layers *l)
{
	json_t *list = json_array();
	for (size_t k = 0; k < l->n; k++) {
		const struct descriptor *d = &l->v[k].there;
		bool docker = !*d->media_type || strcmp(d->media_type, MANIFEST_DOCKER_LAYER) == 0;
		json_array_append_new(
			list, json_pack("{ss ss sI}", "mediaType",
				      docker ? MANIFEST_OCI_LAYER "+gzip" : d->media_type, "digest",
				      d->digest, "size", (json_int_t)d->size));
	}
	return list;
}

static int put_manifest(struct build *b, const struct push_layers *l, const json_t *layers,
	const char *tag, struct err *e)
{
	char digest[STREAM_DIGEST_LEN + 1];
	scoped(json) json_t *config = json_pack("{so}", "entries", list_entries(b, layers));
	scoped(free) char *text = json_text(config);
	size_t n = strlen(text);
	sha256_digest(text, n, digest);
	scoped(json) json_t *manifest = json_pack("{si ss s{ss ss sI} so}", "schemaVersion", 2,
		"mediaType", MANIFEST_OCI, "config", "mediaType", BUILD_CACHE_TYPE, "digest",
		digest, "size", (json_int_t)n, "layers", describe_layers(l));
	scoped(free) char *whole = json_text(manifest);
	return registry_upload_bytes(l->registry, text, n, digest, e) < 0 ||
			       registry_put_manifest(
				       l->registry, tag, MANIFEST_OCI, whole, strlen(whole), e) < 0
		       ? -1
		       : 0;
}

int build_cache_learn(struct build *b, const struct ref *ref, const char *diff_id,
	const struct descriptor *d, struct err *e)
{
	char repository[REF_TEXT_MAX];
	scoped(json) json_t *answer = rpc_ask(b->rpc,
		json_pack("{ss ss s{ss ss sI ss}}", "ask", "learn-blob", "diff_id", diff_id, "blob",
			"repository", ref_name(ref, repository), "digest", d->digest, "size",
			(json_int_t)d->size, "mediaType", d->media_type),
		e);
	return answer ? 0 : -1;
}

static int learn_all(struct build *b, const struct push_layers *l, struct err *e)
{
	for (size_t k = 0; k < l->n; k++) {
		if (build_cache_learn(b, &l->registry->ref, l->v[k].diff_id, &l->v[k].there, e) <
			0) {
			return -1;
		}
	}
	return 0;
}

static int push(struct build *b, struct registry *registry, const json_t *setup,
	const json_t *layers, const char *tag, struct err *e)
{
	scoped(strv) struct strv from = STRV_INIT;
	struct push_layers *l = xnew(struct push_layers);
	push_layers_init(l, b->rpc, registry, b->layers_dir, json_object_get(setup, "config"));
	l->progress.rpc = NULL; /* a build has its own way to tell */
	push_layers_sources(&registry->ref, layers, &from);
	int r = registry_push_begin(registry, &from, e) < 0 ||
				push_layers_take(l, layers, NULL, e) < 0 ||
				push_layers_run(l, e) < 0 ||
				put_manifest(b, l, layers, tag, e) < 0 || learn_all(b, l, e) < 0
			? -1
			: 0;
	push_layers_deinit(l);
	free(l);
	return r;
}

static int export_to_registry(
	struct build *b, const json_t *attrs, const json_t *layers, struct err *e)
{
	struct ref ref;
	scoped(json) json_t *setup = NULL;
	struct registry *registry = build_registry_new(b, json_str(attrs, "ref"), &ref, &setup, e);
	int r = !registry     ? -1
		: *ref.digest ? err_set(e, ERR_INVALID, "a cache cannot be written under a digest")
			      : push(b, registry, setup, layers, ref.tag, e);
	if (registry) {
		registry_free(registry);
	}
	return r;
}

/* --- one directory of the client --- */

/* As worker/layout.h has it: what stands for an image's configuration are the entries. */
static json_t *layout_request(struct build *b, const json_t *attrs, const json_t *layers,
	const char *text, const char *digest)
{
	const char *compression = json_str(attrs, "compression");
	return json_pack("{ss ss ss sb sb s[{ss ss ss sO sb s[] s[]}]}", "layers_dir",
		b->layers_dir, "spool", b->tmp_dir, "compression",
		strcmp(compression, "uncompressed") == 0 ? "" : compression, "empty", true, "oci",
		true, "images", "id", digest, "config", text, "config_type", BUILD_CACHE_TYPE,
		"layers", layers, "member", true, "references", "index_references");
}

static int export_to_client(
	struct build *b, const json_t *attrs, const json_t *layers, json_t *response, struct err *e)
{
	char digest[STREAM_DIGEST_LEN + 1];
	scoped(free) char *id = xasprintf("local:%s", json_str(attrs, "dest"));
	const struct content_store store = {b, id};
	scoped(json) json_t *config = json_pack("{so}", "entries", list_entries(b, layers));
	scoped(free) char *text = json_text(config);
	sha256_digest(text, strlen(text), digest);
	scoped(json) json_t *request = layout_request(b, attrs, layers, text, digest);
	scoped(layout_free) struct layout *l = layout_new(request, e);
	if (!l || layout_put(l, &store, e) < 0) {
		return -1;
	}
	scoped(free) char *manifest = json_text(layout_manifest(l, digest));
	json_put_str(response, "cache.manifest", manifest);
	return 0;
}

/* --- any --- */

static int export_to(struct build *b, const json_t *spec, json_t *response, struct err *e)
{
	const json_t *attrs = json_object_get(spec, "attrs");
	const char *mode = json_str(attrs, "mode");
	bool all = strcmp(mode, "max") == 0;
	size_t left;
	if (*mode && !all && strcmp(mode, "min") != 0) {
		return err_set(e, ERR_INVALID, "unsupported mode %.40s: min or max", mode);
	}
	scoped(json) json_t *layers = choose_layers(b, all, &left, e);
	if (!layers) {
		return -1;
	}
	if (json_array_size(layers) == 0) {
		build_cache_warn(b, spec, "written", "no step of this build has a layer to keep");
		return 0;
	}
	int r = build_cache_is_local(spec) ? export_to_client(b, attrs, layers, response, e)
					   : export_to_registry(b, attrs, layers, e);
	if (r == 0 && left > 0) {
		build_cache_warn(b, spec, "whole", "it has no room for all layers of this build");
	}
	return r;
}

static bool ignores_errors(const json_t *spec)
{
	const char *text = json_str(json_object_get(spec, "attrs"), "ignore-error");
	return strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
}

static int export_one(struct build *b, const json_t *spec, json_t *response, struct err *e)
{
	const char *type = json_str(spec, "type");
	if (strcmp(type, "inline") == 0) {
		return 0; /* it went with the image */
	}
	if (strcmp(type, "registry") != 0 && !build_cache_is_local(spec)) {
		build_cache_warn(
			b, spec, "written", "only type=registry, type=inline and type=local are");
		return 0;
	}
	int vertex = build_event_vertex(b->events, NULL, 0, "exporting cache to %s",
		build_cache_is_local(spec) ? "client directory" : "registry");
	build_event_begin(b->events, vertex);
	int r = export_to(b, spec, response, e);
	build_event_end(b->events, vertex, false, r < 0 ? e : NULL);
	if (r < 0 && ignores_errors(spec)) {
		build_cache_warn(b, spec, "written", e->msg);
		return 0;
	}
	return r < 0 ? err_wrap(e, "error writing the cache %.200s", build_cache_place(spec)) : 0;
}

int build_caches_export(struct build *b, json_t *response, struct err *e)
{
	size_t i;
	json_t *spec;
	json_array_foreach (json_object_get(b->options, "cache_to"), i, spec) {
		if (export_one(b, spec, response, e) < 0) {
			return -1;
		}
	}
	return 0;
}
