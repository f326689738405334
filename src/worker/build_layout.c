/* An image in an OCI layout of the client's as a base: --build-context NAME=oci-layout://PATH,
 * which the client turns into "oci-layout://ID[:TAG]@DIGEST" and the content store "oci:ID" of its
 * session. Only layers that the engine does not have are fetched; nothing is kept of it but these.
 */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "oci/platform.h"
#include "worker/build.h"
#include "worker/content.h"
#include "worker/layers.h"
#include "worker/manifest.h"
#include "worker/registry.h"
#include "worker/rpc.h"

struct layout_image {
	struct build *b;
	struct content_store store;
	struct manifest manifest;
	struct strv diff_ids;
	json_t *config;
};

static void layout_image_deinit(struct layout_image *i)
{
	free(i->store.id);
	manifest_deinit(&i->manifest);
	strv_deinit(&i->diff_ids);
	json_decref(i->config);
}

/* --- what it is --- */

static int read_manifest(struct layout_image *i, const char *digest, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	manifest_deinit(&i->manifest);
	i->manifest = (struct manifest){0};
	return content_store_text(&i->store, digest, REGISTRY_MANIFEST_MAX, &text, e) < 0
		       ? -1
		       : manifest_parse(buf_str(&text), text.len, "", &i->manifest, e);
}

static int select_manifest(
	struct layout_image *i, const char *digest, const char *platform, struct err *e)
{
	struct platform want;
	struct descriptor chosen;
	if (read_manifest(i, digest, e) < 0) {
		return -1;
	}
	if (!i->manifest.is_index) {
		return 0;
	}
	if (platform_parse(*platform ? platform : i->b->platform, &want, e) < 0 ||
		manifest_select(&i->manifest, &want, &chosen, e) < 0 ||
		read_manifest(i, chosen.digest, e) < 0) {
		return -1;
	}
	return i->manifest.is_index ? err_set(e, ERR_INVALID, "an index inside an index") : 0;
}

static int read_config(struct layout_image *i, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (content_store_text(&i->store, i->manifest.config.digest, CONFIG_TEXT_MAX, &text, e) <
			0 ||
		config_diff_ids(buf_str(&text), text.len, &i->diff_ids, e) < 0) {
		return -1;
	}
	if (i->diff_ids.n != i->manifest.n_layers) {
		return err_set(e, ERR_INVALID, "its configuration has %zu layers, its manifest %zu",
			i->diff_ids.n, i->manifest.n_layers);
	}
	i->config = json_parse(buf_str(&text), text.len, "the image configuration", e);
	return i->config ? 0 : -1;
}

/* --- its layers --- */

static int unpack(struct layout_image *i, size_t k, int n, struct layer *ret, struct err *e)
{
	const struct descriptor *d = &i->manifest.layers[k];
	scoped(stream_free) struct stream *blob =
		content_store_open(&i->store, d->digest, d->size, e);
	scoped(stream_free) struct stream *packed = blob ? stream_digest_new(blob) : NULL;
	if (!packed || layer_unpack(i->b->request, n, packed, true, ret, e) < 0) {
		return -1;
	}
	if (stream_drain(packed, e) < 0 || layer_verify(packed, d->digest, d->size, e) < 0) {
		layer_drop(i->b->request, n);
		return -1;
	}
	if (strcmp(ret->diff_id, i->diff_ids.v[k]) != 0) {
		layer_drop(i->b->request, n);
		return err_set(e, ERR_INVALID, "layer %.19s unpacks to %.19s, not to %.19s",
			d->digest, ret->diff_id, i->diff_ids.v[k]);
	}
	return 0;
}

static json_t *fetch(struct layout_image *i, size_t k, struct err *e)
{
	struct layer made;
	int n = atomic_fetch_add(&i->b->n_layers, 1);
	return unpack(i, k, n, &made, e) < 0 ? NULL : layer_add(i->b->rpc, &made, e);
}

static int add_layers(struct layout_image *i, json_t *dirs, struct err *e)
{
	for (size_t k = 0; k < i->diff_ids.n; k++) {
		json_t *there = rpc_ask(i->b->rpc,
			json_pack("{ss ss}", "ask", "layer", "diff_id", i->diff_ids.v[k]), e);
		if (there && !json_object_get(there, "dir")) {
			json_decref(there);
			there = fetch(i, k, e);
		}
		if (!there) {
			return -1;
		}
		json_array_append_new(dirs, json_string(json_str(there, "dir")));
		json_decref(there);
	}
	return 0;
}

/* --- all --- */

/* "ID:TAG@DIGEST": a digest is needed, a tag is what the client has found it by. */
static int read_name(struct layout_image *i, const char *name, const char **ret, struct err *e)
{
	const char *id = name + strlen(PLAN_LAYOUT);
	const char *at = strrchr(id, '@');
	if (!at || !ref_is_digest(at + 1)) {
		return err_set(e, ERR_INVALID, "oci-layout reference \"%.200s\" has no digest", id);
	}
	i->store.b = i->b;
	i->store.id = xasprintf("oci:%.*s", (int)strcspn(id, ":@"), id);
	*ret = at + 1;
	return 0;
}

static json_t *load(struct build *b, const char *name, const char *platform, struct err *e)
{
	struct layout_image i = {.b = b};
	const char *digest;
	json_t *image = NULL;
	scoped(json) json_t *dirs = json_array();
	if (read_name(&i, name, &digest, e) == 0 && select_manifest(&i, digest, platform, e) == 0 &&
		read_config(&i, e) == 0 && add_layers(&i, dirs, e) == 0) {
		image = json_pack("{ss sO so sO}", "id", i.manifest.config.digest, "config",
			i.config, "layers", json_strv(&i.diff_ids), "dirs", dirs);
	} else {
		(void)err_wrap(e, "the named context of the client");
	}
	layout_image_deinit(&i);
	return image;
}

int build_layout_image(
	struct build *b, const char *name, const char *platform, json_t **ret, struct err *e)
{
	scoped(free) char *key = xasprintf("%s %s", name, platform);
	pthread_mutex_lock(&b->images_lock);
	json_t *image = json_object_get(b->layout_images, key);
	if (!image) {
		image = load(b, name, platform, e);
		if (image) {
			json_put(b->layout_images, key, image);
		}
	}
	*ret = json_deep_copy(image); /* for another thread */
	pthread_mutex_unlock(&b->images_lock);
	return *ret ? 0 : -1;
}
