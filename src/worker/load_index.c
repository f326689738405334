#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/ref.h"
#include "worker/load.h"
#include "worker/manifest.h"
#include "worker/rpc.h"
#include "tree/unpack.h"

#define IMAGES_MAX 1000
#define DEPTH_MAX 3 /* index.json, an index of platforms, and one that some tools put between */

/* --- one image --- */

static struct load_file *find_text(
	const struct load *l, const char *name, const char *digest, struct err *e)
{
	struct load_file *f = name ? load_find(l, name) : load_find_digest(l, digest);
	if (!f || f->kind != LOAD_TEXT) {
		(void)err_set(e, ERR_INVALID,
			"invalid archive: it names %.200s, but does not hold it",
			name ? name : digest);
		return NULL;
	}
	return f;
}

/* The layer number i, whose diff id the configuration knows. Docker's words (moby
 * daemon/internal/image/tarexport). */
static int check_layer(
	const struct load_file *f, size_t i, const char *name, const char *diff_id, struct err *e)
{
	if (f && f->kind == LOAD_BROKEN) {
		return err_set(e, ERR_INVALID, "layer %.80s: %s", name, buf_str(&f->text));
	}
	if (!f || f->kind == LOAD_TEXT) {
		return err_set(e, ERR_INVALID,
			"invalid archive: it names layer %.200s, but does not hold it", name);
	}
	if (strcmp(f->layer.diff_id, diff_id) != 0) {
		return err_set(e, ERR_INVALID,
			"invalid diffID for layer %zu: expected \"%s\", got \"%s\"", i, diff_id,
			f->layer.diff_id);
	}
	return 0;
}

static int hand_over(struct load *l, struct load_file *f, struct err *e)
{
	if (f->kind == LOAD_HAVE || f->recorded) {
		return 0;
	}
	if (!l->synced &&
		layers_sync(l->request, e) < 0) { /* once: everything was unpacked before */
		return -1;
	}
	l->synced = true;
	if (layer_record(l->rpc, &f->layer, e) < 0) {
		return -1;
	}
	f->recorded = true;
	return 0;
}

static bool fits_one(const struct platform *want, const json_t *doc)
{
	return platform_match(want, json_str(doc, "os"), json_str(doc, "architecture"),
		       json_str(doc, "variant")) > 0;
}

/* doc: what names os, architecture and variant; without them it is for any machine. What is for
 * none, as attestations, is never wanted. */
static bool fits(const struct load *l, const json_t *doc)
{
	const char *arch = json_str(doc, "architecture");
	if (!*arch || (l->all && strcmp(arch, "unknown") != 0)) {
		return true;
	}
	bool any = !l->several && fits_one(&l->want, doc);
	for (size_t k = 0; l->several && k < l->n_wants; k++) {
		any = any || fits_one(&l->wants[k], doc);
	}
	return any;
}

/* Whether it is an image of the platform that was asked for. */
static bool config_fits(const struct load *l, const struct load_file *config)
{
	struct err ignored;
	scoped(json) json_t *doc =
		json_parse(buf_str(&config->text), config->text.len, "the image", &ignored);
	return (!l->must_match && !l->several) || fits(l, doc);
}

/* find is load_find or load_find_digest; names has one of its keys for each layer. Takes
 * references. */
static int add_image(struct load *l, const struct load_file *config, const struct strv *names,
	struct load_file *(*find)(const struct load *, const char *), json_t *take_references,
	struct err *e)
{
	scoped(json) json_t *references = take_references;
	scoped(strv) struct strv diff_ids = STRV_INIT;
	if (!config_fits(l, config)) {
		return 0;
	}
	if (config_diff_ids(buf_str(&config->text), config->text.len, &diff_ids, e) < 0) {
		return -1;
	}
	if (diff_ids.n != names->n) {
		return err_set(e, ERR_INVALID,
			"invalid manifest, layers length mismatch: expected %zu, got %zu", names->n,
			diff_ids.n);
	}
	for (size_t i = 0; i < names->n; i++) {
		struct load_file *f = find(l, names->v[i]);
		if (check_layer(f, i, names->v[i], diff_ids.v[i], e) < 0 ||
			hand_over(l, f, e) < 0) {
			return -1;
		}
	}
	json_t *text = json_stringn(buf_str(&config->text), config->text.len);
	if (!text) {
		return err_set(e, ERR_INVALID, "the image configuration is not UTF-8");
	}
	l->config_bytes += config->text.len;
	if (l->config_bytes > LOAD_CONFIGS_MAX || json_array_size(l->images) >= IMAGES_MAX) {
		json_decref(text);
		return err_set(
			e, ERR_INVALID, "the archive holds too many images to be loaded at once");
	}
	json_array_append_new(l->images, json_pack("{so so ss}", "config", text, "references",
						 TAKE(references), "digest", ""));
	return 0;
}

/* Blobs are named by their digests. */
static int add_manifest(
	struct load *l, const struct manifest *m, json_t *take_references, struct err *e)
{
	scoped(json) json_t *references = take_references;
	scoped(strv) struct strv digests = STRV_INIT;
	const struct load_file *config = find_text(l, NULL, m->config.digest, e);
	if (!config) {
		return -1;
	}
	for (size_t i = 0; i < m->n_layers; i++) {
		strv_add(&digests, m->layers[i].digest);
	}
	return add_image(l, config, &digests, load_find_digest, TAKE(references), e);
}

/* What was added behind the first n images are the platforms of an index. */
static void put_together(struct load *l, size_t n, const char *digest, json_t *take_references)
{
	scoped(json) json_t *references = take_references;
	json_t *members = json_array();
	while (json_array_size(l->images) > n) {
		json_array_append(members, json_array_get(l->images, n));
		json_array_remove(l->images, n);
	}
	if (json_array_size(members) == 1) { /* the others were not wanted: an image like any */
		json_put(json_array_get(members, 0), "references", json_incref(references));
		json_array_extend(l->images, members);
		json_decref(members);
	} else if (json_array_size(members) == 0) {
		json_decref(members);
	} else {
		json_array_append_new(l->images, json_pack("{ss so sO}", "index", digest, "members",
							 members, "references", references));
	}
}

static int add_digest(struct load *l, const char *digest, json_t *take_references, struct err *e);

/* All platforms of an index that are wanted. An archive may leave out some of those that its index
 * names: with "all" it is all that there is. */
static int add_platforms(struct load *l, const struct manifest *m, const char *digest,
	json_t *take_references, struct err *e)
{
	scoped(json) json_t *references = take_references;
	size_t before = json_array_size(l->images);
	size_t i;
	json_t *entry;
	json_array_foreach (m->entries, i, entry) {
		const char *one = json_str(entry, "digest");
		if (!ref_is_digest(one) || !fits(l, json_object_get(entry, "platform")) ||
			(l->all && !load_find_digest(l, one))) {
			continue;
		}
		if (add_digest(l, one, json_array(), e) < 0) {
			return -1;
		}
	}
	put_together(l, before, digest, TAKE(references));
	return 0;
}

/* --- manifest.json --- */

static int add_tag(json_t *references, const char *tag, struct err *e)
{
	struct ref ref;
	char canonical[REF_TEXT_MAX];
	if (ref_parse(tag, &ref, e) < 0) {
		return -1;
	}
	if (!*ref.tag || *ref.digest) {
		return err_set(e, ERR_INVALID, "invalid tag \"%.300s\"", tag);
	}
	json_array_append_new(references, json_string(ref_canonical(&ref, canonical)));
	return 0;
}

static int add_docker_image(struct load *l, const json_t *item, struct err *e)
{
	const char *config_name;
	scoped(strv) struct strv tags = STRV_INIT;
	scoped(strv) struct strv layers = STRV_INIT;
	scoped(strv) struct strv cleaned = STRV_INIT;
	if (!json_is_object(item) || json_get_str(item, "Config", &config_name, e) < 0 ||
		!config_name || json_get_strv(item, "RepoTags", &tags, e) < 0 ||
		json_get_strv(item, "Layers", &layers, e) < 0) {
		return err_set(e, ERR_INVALID,
			"invalid archive: manifest.json is not one of `docker save`");
	}
	for (size_t i = 0; i < layers.n; i++) {
		char *name = unpack_clean_name(layers.v[i], e);
		if (!name) {
			return -1;
		}
		strv_take(&cleaned, name);
	}
	scoped(free) char *name = unpack_clean_name(config_name, e);
	const struct load_file *config = name ? find_text(l, name, NULL, e) : NULL;
	if (!config) {
		return -1;
	}
	scoped(json) json_t *references = json_array();
	for (size_t i = 0; i < tags.n; i++) {
		if (add_tag(references, tags.v[i], e) < 0) {
			return -1;
		}
	}
	return add_image(l, config, &cleaned, load_find, TAKE(references), e);
}

static int add_docker_images(struct load *l, const struct load_file *f, struct err *e)
{
	scoped(json) json_t *doc = json_parse(buf_str(&f->text), f->text.len, "manifest.json", e);
	if (!doc) {
		return -1;
	}
	if (json_is_object(doc)) { /* skopeo's "dir:", whose files are named by their digests */
		scoped(manifest) struct manifest m = {0};
		return manifest_parse(buf_str(&f->text), f->text.len, "", &m, e) < 0 ? -1
		       : m.is_index ? err_set(e, ERR_INVALID,
					      "invalid archive: manifest.json is an index")
				    : add_manifest(l, &m, json_array(), e);
	}
	if (!json_is_array(doc)) {
		return err_set(e, ERR_INVALID, "invalid archive: manifest.json must be a list");
	}
	size_t i;
	json_t *item;
	json_array_foreach (doc, i, item) {
		if (add_docker_image(l, item, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --- index.json --- */

/* What the entry of index.json says about its name; a lone tag, which OCI image-spec annotations.md
 * allows, names nothing here. */
static json_t *entry_references(const json_t *entry)
{
	const json_t *annotations = json_object_get(entry, "annotations");
	const char *name = json_str(annotations, "io.containerd.image.name");
	name = *name ? name : json_str(annotations, "org.opencontainers.image.ref.name");
	json_t *references = json_array();
	struct ref ref;
	struct err ignored;
	char canonical[REF_TEXT_MAX];
	if (strpbrk(name, "/:") && ref_parse(name, &ref, &ignored) == 0 && !*ref.digest) {
		ref_default_tag(&ref);
		json_array_append_new(references, json_string(ref_canonical(&ref, canonical)));
	}
	return references;
}

/* The image of a manifest, or the one of an index that fits this machine. */
static int add_digest(struct load *l, const char *digest, json_t *take_references, struct err *e)
{
	scoped(json) json_t *references = take_references;
	char wanted[STREAM_DIGEST_LEN + 1];
	snprintf(wanted, sizeof(wanted), "%s", digest);
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		scoped(manifest) struct manifest m = {0};
		const struct load_file *f = find_text(l, NULL, wanted, e);
		if (!f || manifest_parse(buf_str(&f->text), f->text.len, "", &m, e) < 0) {
			return -1;
		}
		if (!m.is_index) {
			return add_manifest(l, &m, TAKE(references), e);
		}
		if (l->several) {
			return depth > 0 ? err_set(e, ERR_INVALID,
						   "invalid archive: an index inside an index")
					 : add_platforms(l, &m, wanted, TAKE(references), e);
		}
		struct descriptor chosen;
		if (manifest_select(&m, &l->want, &chosen, e) < 0) {
			/* another image of the archive may be of the platform that was asked for */
			return l->must_match && e->kind == ERR_NOT_FOUND ? 0 : -1;
		}
		memcpy(wanted, chosen.digest, sizeof(wanted));
	}
	return err_set(e, ERR_INVALID, "invalid archive: an index inside an index inside an index");
}

/* The entries of index.json are images of their own, unless each is for another platform. */
static int add_oci_images(struct load *l, const struct load_file *f, struct err *e)
{
	scoped(manifest) struct manifest m = {0};
	if (manifest_parse(buf_str(&f->text), f->text.len, "", &m, e) < 0) {
		return err_wrap(e, "index.json");
	}
	if (!m.is_index) {
		return err_set(e, ERR_INVALID, "invalid archive: index.json is not an index");
	}
	size_t i;
	json_t *entry;
	json_array_foreach (m.entries, i, entry) {
		const char *digest = json_str(entry, "digest");
		if (!ref_is_digest(digest)) {
			return err_set(e, ERR_INVALID,
				"invalid archive: an entry of index.json has no SHA-256 digest");
		}
		if (fits(l, json_object_get(entry, "platform")) &&
			add_digest(l, digest, entry_references(entry), e) < 0) {
			return -1;
		}
	}
	if (json_array_size(l->images) == 0 && json_array_size(m.entries) > 0 && !l->must_match &&
		!l->several) {
		return err_set(
			e, ERR_NOT_FOUND, "the archive holds no image for this machine's platform");
	}
	return 0;
}

/* manifest.json knows no index: it would give the platforms as images without a name. */
static bool has_index(const struct load_file *f)
{
	scoped(manifest) struct manifest m = {0};
	struct err ignored;
	size_t i;
	json_t *entry;
	if (!f || f->kind != LOAD_TEXT ||
		manifest_parse(buf_str(&f->text), f->text.len, "", &m, &ignored) < 0) {
		return false;
	}
	json_array_foreach (m.entries, i, entry) {
		if (strcmp(json_str(entry, "mediaType"), MANIFEST_OCI_INDEX) == 0) {
			return true;
		}
	}
	return false;
}

static int add_images(struct load *l, struct err *e)
{
	const struct load_file *manifest = load_find(l, "manifest.json");
	const struct load_file *index = load_find(l, "index.json");
	if (manifest && manifest->kind == LOAD_TEXT && !has_index(index)) {
		return add_docker_images(l, manifest, e);
	}
	if (index && index->kind == LOAD_TEXT) {
		return add_oci_images(l, index, e);
	}
	return err_set(
		e, ERR_INVALID, "invalid archive: it holds neither manifest.json nor index.json");
}

int load_images(struct load *l, struct err *e)
{
	if (add_images(l, e) < 0) {
		return -1;
	}
	if (l->several && json_array_size(l->images) == 0) {
		return err_set(e, ERR_NOT_FOUND, "no image of the requested platforms found");
	}
	if (l->must_match && json_array_size(l->images) == 0) {
		return err_set(e, ERR_NOT_FOUND, "requested platform (%s/%s%s%s) not found",
			l->want.os, l->want.arch, *l->want.variant ? "/" : "", l->want.variant);
	}
	return 0;
}
