/* Invariants
 * 1. A layer that two places of an image or two tags name is looked after once: done says where it
 *    is.
 * 2. there is set only to what the registry has said that it has, or has taken from us.
 */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "codec/ref.h"
#include "worker/push.h"
#include "worker/registry_http.h"
#include "worker/rpc.h"

#define PARALLEL 3
#define PARALLEL_MAX 16
#define CHECKS_MAX 3 /* digests of one layer that the repository is asked for */
#define MOUNTS_MAX 4

void push_layers_init(struct push_layers *l, struct rpc *r, struct registry *registry,
	const char *layers_dir, const json_t *config)
{
	l->rpc = r;
	l->registry = registry;
	l->layers_dir = layers_dir;
	l->parallel = registry_parallel(config, "max-concurrent-uploads", PARALLEL, PARALLEL_MAX);
	l->compression = "";
	l->progress.rpc = r;
	l->done = map_new();
	pthread_mutex_init(&l->lock, NULL);
}

static void drop_layers(struct push_layers *l)
{
	for (size_t i = 0; i < l->n; i++) {
		json_decref(l->v[i].blobs);
	}
	l->n = 0;
}

void push_layers_deinit(struct push_layers *l)
{
	drop_layers(l);
	map_each (l->done, struct descriptor, d) {
		free(d);
	}
	map_free(l->done);
	pthread_mutex_destroy(&l->lock);
}

/* --- what is known --- */

/* The one that the kept manifest names first, then those of the repository itself, then the newest.
 */
static int rank(const json_t *blob, const char *wanted, const char *repository)
{
	return 2 * (wanted && strcmp(json_str(blob, "digest"), wanted) == 0) +
	       (strcmp(json_str(blob, "repository"), repository) == 0);
}

static json_t *ranked(const json_t *blobs, const char *wanted, const char *repository)
{
	json_t *list = json_array();
	for (int r = 3; r >= 0; r--) {
		size_t i;
		json_t *blob;
		json_array_foreach (blobs, i, blob) {
			if (rank(blob, wanted, repository) == r) {
				json_array_append(list, blob);
			}
		}
	}
	return list;
}

int push_layers_take(
	struct push_layers *l, const json_t *layers, const struct manifest *kept, struct err *e)
{
	char repository[REF_TEXT_MAX];
	size_t i;
	json_t *item;
	ref_name(&l->registry->ref, repository);
	drop_layers(l);
	json_array_foreach (layers, i, item) {
		const char *diff_id = json_str(item, "diff_id");
		const char *dir = json_str(item, "dir");
		if (!ref_is_digest(diff_id) || strlen(dir) >= sizeof(l->v->dir) ||
			l->n == LAYERS_MAX) {
			return err_set(e, ERR_SYSTEM, "the image's layers make no sense");
		}
		struct push_layer *layer = &l->v[l->n++];
		*layer = (struct push_layer){.bytes = json_i64(item, "size", 0)};
		snprintf(layer->diff_id, sizeof(layer->diff_id), "%s", diff_id);
		snprintf(layer->dir, sizeof(layer->dir), "%s", dir);
		layer->blobs = ranked(json_object_get(item, "blobs"),
			kept ? kept->layers[i].digest : NULL, repository);
	}
	return 0;
}

/* The path of another repository of the same registry, or NULL; borrowed from blob. */
static const char *source_path(const struct ref *ref, const json_t *blob)
{
	const char *name = json_str(blob, "repository");
	size_t n = strlen(ref->domain);
	bool same = strncmp(name, ref->domain, n) == 0 && name[n] == '/';
	return same && strcmp(name + n + 1, ref->path) != 0 ? name + n + 1 : NULL;
}

void push_layers_sources(const struct ref *ref, const json_t *layers, struct strv *ret)
{
	size_t i, k;
	json_t *layer, *blob;
	json_array_foreach (layers, i, layer) {
		json_array_foreach (json_object_get(layer, "blobs"), k, blob) {
			const char *path = source_path(ref, blob);
			if (path && !strv_has(ret, path) && ret->n < MOUNTS_MAX) {
				strv_add(ret, path);
			}
		}
	}
}

/* --- one layer --- */

static void say(struct push_layers *l, const struct push_layer *layer, const char *status)
{
	char id[ID_SHORT_LEN + 1];
	snprintf(id, sizeof(id), "%.12s", layer->diff_id + strlen("sha256:"));
	layers_say(&l->progress, id, status);
}

static void set_there(struct push_layer *layer, const json_t *blob, int64_t size)
{
	struct descriptor d = {.size = size >= 0 ? size : json_i64(blob, "size", 0)};
	snprintf(d.digest, sizeof(d.digest), "%s", json_str(blob, "digest"));
	snprintf(d.media_type, sizeof(d.media_type), "%s", json_str(blob, "mediaType"));
	layer->there = d;
}

/* What was said of this repository is not true any more. */
static int forget(
	struct push_layers *l, const struct push_layer *layer, const json_t *blob, struct err *e)
{
	scoped(json) json_t *answer = rpc_ask(l->rpc,
		json_pack("{ss ss ss ss}", "ask", "forget-blob", "diff_id", layer->diff_id,
			"repository", json_str(blob, "repository"), "digest",
			json_str(blob, "digest")),
		e);
	return answer ? 0 : -1;
}

/* 1: it is there already; 0: not as far as we know. */
static int find_there(struct push_layers *l, struct push_layer *layer, struct err *e)
{
	scoped(strv) struct strv asked = STRV_INIT;
	char repository[REF_TEXT_MAX];
	size_t i;
	json_t *blob;
	ref_name(&l->registry->ref, repository);
	json_array_foreach (layer->blobs, i, blob) {
		const char *digest = json_str(blob, "digest");
		int64_t size = -1;
		if (strv_has(&asked, digest) || asked.n == CHECKS_MAX) {
			continue;
		}
		strv_add(&asked, digest);
		int there = registry_blob_exists(l->registry, digest, &size, e);
		if (there < 0) {
			return -1;
		}
		if (there) {
			set_there(layer, blob, size);
			say(l, layer, "Layer already exists");
			return 1;
		}
		if (strcmp(json_str(blob, "repository"), repository) == 0 &&
			forget(l, layer, blob, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* 1: mounted. 0: not; ret_location is then an upload that the last try began, or empty. */
static int mount_layer(
	struct push_layers *l, struct push_layer *layer, struct buf *ret_location, struct err *e)
{
	size_t i;
	size_t tries = 0;
	json_t *blob;
	json_array_foreach (layer->blobs, i, blob) {
		const char *from = source_path(&l->registry->ref, blob);
		if (!from || tries++ >= MOUNTS_MAX) {
			continue;
		}
		if (ret_location->len > 0) {
			registry_upload_cancel(l->registry, buf_str(ret_location));
		}
		if (registry_mount(l->registry, json_str(blob, "digest"), from, ret_location)) {
			scoped(free) char *words = xasprintf("Mounted from %s", from);
			set_there(layer, blob, -1);
			say(l, layer, words);
			return 1;
		}
		if (forget(l, layer, blob, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int send_layer(
	struct push_layers *l, struct push_layer *layer, const char *location, struct err *e)
{
	struct push_bytes bytes = {l->layers_dir, layer->dir, layer->diff_id, l->compression,
		layer->bytes, &l->progress, ""};
	const struct registry_source source = {push_bytes_open, &bytes};
	snprintf(bytes.id, sizeof(bytes.id), "%.12s", layer->diff_id + strlen("sha256:"));
	if (registry_upload(l->registry, location, &source, &layer->there, e) < 0) {
		return -1;
	}
	snprintf(layer->there.media_type, sizeof(layer->there.media_type), "%s",
		strcmp(l->compression, "zstd") == 0           ? MANIFEST_OCI_LAYER "+zstd"
		: strcmp(l->compression, "uncompressed") == 0 ? MANIFEST_OCI_LAYER
							      : MANIFEST_DOCKER_LAYER);
	say(l, layer, "Pushed");
	return 0;
}

static int see_to(struct push_layers *l, struct push_layer *layer, struct err *e)
{
	scoped(buf) struct buf location = BUF_INIT;
	int done = find_there(l, layer, e);
	done = done == 0 ? mount_layer(l, layer, &location, e) : done;
	return done != 0 ? (done < 0 ? -1 : 0) : send_layer(l, layer, buf_str(&location), e);
}

/* --- all --- */

static bool is_repeated(const struct push_layers *l, size_t i)
{
	for (size_t k = i + 1; k < l->n; k++) {
		if (strcmp(l->v[k].diff_id, l->v[i].diff_id) == 0) {
			return true;
		}
	}
	return false;
}

/* The next that is not done yet, from the top down as dockerd's. */
static struct push_layer *take_next(struct push_layers *l)
{
	struct push_layer *found = NULL;
	pthread_mutex_lock(&l->lock);
	while (l->left > 0 && !l->failed && !found) {
		struct push_layer *layer = &l->v[--l->left];
		bool known = map_get(l->done, layer->diff_id) != NULL;
		if (known) {
			say(l, layer, "Layer already exists");
		} else if (!is_repeated(l, l->left)) {
			found = layer;
		}
	}
	pthread_mutex_unlock(&l->lock);
	return found;
}

static void finish(struct push_layers *l, const struct push_layer *layer, const struct err *e)
{
	pthread_mutex_lock(&l->lock);
	if (!e) {
		struct descriptor *d = xnew(struct descriptor);
		*d = layer->there;
		free(map_put(l->done, layer->diff_id, d));
	} else if (!l->failed) {
		l->failed = true;
		l->error = *e;
		atomic_store(&l->progress.stop, true);
	}
	pthread_mutex_unlock(&l->lock);
}

static void *work(void *owner)
{
	struct push_layers *l = owner;
	struct push_layer *layer;
	while ((layer = take_next(l))) {
		struct err e;
		bool ok = see_to(l, layer, &e) == 0;
		finish(l, layer, ok ? NULL : &e);
	}
	return NULL;
}

static void announce(struct push_layers *l)
{
	for (size_t i = l->n; i > 0; i--) {
		say(l, &l->v[i - 1], "Preparing");
	}
	for (size_t i = l->n; i > 0; i--) {
		if (l->n - i >= l->parallel) {
			say(l, &l->v[i - 1], "Waiting");
		}
	}
}

int push_layers_run(struct push_layers *l, struct err *e)
{
	pthread_t threads[PARALLEL_MAX];
	size_t started = 0;
	announce(l);
	l->left = l->n;
	while (started < l->parallel && started < l->n &&
		pthread_create(&threads[started], NULL, work, l) == 0) {
		started++;
	}
	if (started == 0) {
		work(l);
	}
	while (started > 0) {
		pthread_join(threads[--started], NULL);
	}
	if (l->failed) {
		*e = l->error;
		return -1;
	}
	for (size_t i = 0; i < l->n; i++) {
		const struct descriptor *d = map_get(l->done, l->v[i].diff_id);
		l->v[i].there = *d; /* those that are repeated have only that */
	}
	return 0;
}
