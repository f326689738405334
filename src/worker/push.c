/* Job "push": the tags of one repository to its registry.
 *
 * request {"repository": canonical name, "tags": [], a tag "" for none but the digest, "digest":
 *         bool, "layers_dir", "auth": {} or null, "registry": configuration of the daemon,
 *         "compression" of what is sent: "" or "gzip", "zstd", "uncompressed", "annotations":
 *         push_annotate.h}
 * asks    "image", "pushed", "forget-blob" (image/push.c)
 * result  {}
 *
 * A layer that the repository has is left alone, one that another repository of the registry has is
 * mounted, any other is made again from its recipe, compressed and sent, a few at a time. The
 * manifest is the one the image came with when all its blobs are what that names, else dockerd's.
 */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "worker/jobs.h"
#include "worker/manifest.h"
#include "worker/push.h"
#include "worker/push_annotate.h"
#include "worker/registry_http.h"
#include "worker/rpc.h"

struct push {
	struct rpc *rpc;
	const json_t *request;
	struct registry *registry;
	struct ref ref;
	struct push_layers layers;
};

/* --- the image --- */

/* The manifest that the image came with, when it is one that this engine could have pulled. */
static bool read_kept(const json_t *image, struct manifest *ret)
{
	struct err ignored;
	const json_t *kept = json_object_get(image, "manifest");
	const json_t *text = json_object_get(kept, "text");
	return json_is_string(text) &&
	       manifest_parse(json_string_value(text), json_string_length(text),
		       json_str(kept, "mediaType"), ret, &ignored) == 0 &&
	       !ret->is_index && strcmp(ret->config.digest, json_str(image, "id")) == 0 &&
	       ret->n_layers == json_array_size(json_object_get(image, "layers"));
}

static bool is_what_we_have(const struct manifest *kept, const struct push_layers *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(kept->layers[i].digest, l->v[i].there.digest) != 0) {
			return false;
		}
	}
	return kept->n_layers == l->n;
}

/* --- one tag --- */

static json_t *describe_layers(const struct push *p)
{
	char repository[REF_TEXT_MAX];
	json_t *layers = json_array();
	ref_name(&p->ref, repository);
	for (size_t i = 0; i < p->layers.n; i++) {
		const struct push_layer *l = &p->layers.v[i];
		json_array_append_new(layers,
			json_pack("{ss s{ss ss sI ss}}", "diff_id", l->diff_id, "blob",
				"repository", repository, "digest", l->there.digest, "size",
				(json_int_t)l->there.size, "mediaType", l->there.media_type));
	}
	return layers;
}

/* What the registry has now. */
struct pushed {
	char digest[REF_DIGEST_LEN + 1];
	size_t size;
	const char *type; /* borrowed for as long as the image's description */
};

static int ask_pushed(struct push *p, json_t *take_question, struct err *e)
{
	json_put_str(take_question, "ask", "pushed");
	scoped(json) json_t *answer = rpc_ask(p->rpc, take_question, e);
	return answer ? 0 : -1;
}

static int record_image(struct push *p, const json_t *image, bool part, const struct pushed *pushed,
	const struct buf *manifest, struct err *e)
{
	json_t *registry = json_pack("{so}", "layers", describe_layers(p));
	json_put(registry, "manifest",
		json_pack("{ss so}", "mediaType", pushed->type, "text",
			json_stringn(buf_str(manifest), manifest->len)));
	return ask_pushed(p,
		json_pack("{ss ss so sb}", "id", json_str(image, "id"), "digest", pushed->digest,
			"registry", registry, "part", part),
		e);
}

static void tell_pushed(struct push *p, const char *tag, const struct pushed *pushed)
{
	scoped(free) char *words =
		xasprintf("%s: digest: %s size: %zu", tag, pushed->digest, pushed->size);
	rpc_send(p->rpc, json_pack("{ss}", "status", words));
	rpc_send(p->rpc, json_pack("{s{} s{ss ss sI}}", "progressDetail", "aux", "Tag", tag,
				 "Digest", pushed->digest, "Size", (json_int_t)pushed->size));
}

/* tag: "" for none but the digest; part: only an index names it. */
static int push_manifest(struct push *p, const char *tag, bool part, const json_t *image,
	const struct manifest *kept, struct pushed *ret, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	const json_t *config = json_object_get(image, "config");
	struct descriptor c = {.size = (int64_t)json_string_length(config)};
	const char *type;
	snprintf(c.digest, sizeof(c.digest), "%s", json_str(image, "id"));
	const json_t *annotations = json_object_get(p->request, "annotations");
	bool annotated = push_is_annotated(annotations, json_str(image, "id"));
	if (kept && !annotated && is_what_we_have(kept, &p->layers)) {
		const json_t *whole = json_object_get(image, "manifest");
		const json_t *same = json_object_get(whole, "text");
		buf_append(&text, json_string_value(same), json_string_length(same));
		type = json_str(whole, "mediaType");
		type = *type ? type : MANIFEST_OCI;
	} else {
		struct descriptor *there = xnew_array(struct descriptor, p->layers.n + 1);
		for (size_t i = 0; i < p->layers.n; i++) {
			there[i] = p->layers.v[i].there;
		}
		manifest_write(&c, there, p->layers.n, &text, &type);
		free(there);
	}
	if (annotated) {
		push_annotate(annotations, json_str(image, "id"), &text);
		type = MANIFEST_OCI;
	}
	*ret = (struct pushed){.size = text.len, .type = type};
	sha256_digest(buf_str(&text), text.len, ret->digest);
	return registry_upload_bytes(
		       p->registry, json_string_value(config), (size_t)c.size, c.digest, e) < 0 ||
			       registry_put_manifest(p->registry, *tag ? tag : ret->digest, type,
				       buf_str(&text), text.len, e) < 0
		       ? -1
		       : record_image(p, image, part, ret, &text, e);
}

static int push_image(struct push *p, const char *tag, bool part, const json_t *image,
	struct pushed *ret, struct err *e)
{
	scoped(manifest) struct manifest kept = {0};
	bool has_kept = read_kept(image, &kept);
	if (push_layers_take(
		    &p->layers, json_object_get(image, "layers"), has_kept ? &kept : NULL, e) < 0 ||
		push_layers_run(&p->layers, e) < 0) {
		return -1;
	}
	return push_manifest(p, tag, part, image, has_kept ? &kept : NULL, ret, e);
}

/* The images first: a registry refuses an index that names what it has not got. */
static int push_index(
	struct push *p, const char *tag, const json_t *index, struct pushed *ret, struct err *e)
{
	const json_t *annotations = json_object_get(p->request, "annotations");
	scoped(json) json_t *entries = json_array();
	bool all_docker = true;
	size_t k;
	json_t *image;
	json_array_foreach (json_object_get(index, "images"), k, image) {
		struct pushed one;
		const json_t *config = json_object_get(image, "config");
		if (push_image(p, "", true, image, &one, e) < 0) {
			return -1;
		}
		scoped(json) json_t *plain = json_pack("{ss ss sI}", "mediaType", one.type,
			"digest", one.digest, "size", (json_int_t)one.size);
		json_t *entry = manifest_entry(
			plain, json_string_value(config), json_string_length(config), e);
		if (!entry) {
			return -1;
		}
		bool noted = push_annotate_part(
			annotations, "manifest-descriptor", json_str(image, "id"), entry);
		json_array_append_new(entries, entry);
		all_docker = all_docker && !noted && strcmp(one.type, MANIFEST_DOCKER) == 0;
	}
	all_docker = all_docker && !json_object_size(json_object_get(annotations, "index"));
	ret->type = all_docker ? MANIFEST_DOCKER_LIST : MANIFEST_OCI_INDEX;
	scoped(json) json_t *doc = manifest_index(ret->type, entries);
	push_annotate_part(annotations, "index", NULL, doc);
	scoped(free) char *text = json_text(doc);
	ret->size = strlen(text);
	sha256_digest(text, ret->size, ret->digest);
	return registry_put_manifest(
		       p->registry, *tag ? tag : ret->digest, ret->type, text, ret->size, e) < 0
		       ? -1
		       : ask_pushed(p,
				 json_pack("{ss ss sb}", "id", json_str(index, "id"), "digest",
					 ret->digest, "index", true),
				 e);
}

static int push_tag(struct push *p, const char *tag, struct err *e)
{
	struct pushed pushed;
	scoped(json) json_t *image =
		rpc_ask(p->rpc, json_pack("{ss ss}", "ask", "image", "tag", tag), e);
	if (!image || (json_object_get(image, "images")
				      ? push_index(p, tag, image, &pushed, e)
				      : push_image(p, tag, false, image, &pushed, e)) < 0) {
		return -1;
	}
	tell_pushed(p, tag, &pushed);
	return 0;
}

/* --- the job --- */

/* Repositories of this registry that layers may be mounted from: their rights belong into the
 * token. All images are asked for first, because there is one token for all. */
static int mount_sources(struct push *p, struct strv *ret, struct err *e)
{
	size_t k;
	json_t *tag;
	json_array_foreach (json_object_get(p->request, "tags"), k, tag) {
		scoped(json) json_t *image =
			rpc_ask(p->rpc, json_pack("{ss sO}", "ask", "image", "tag", tag), e);
		if (!image) {
			return -1;
		}
		size_t i;
		json_t *one;
		push_layers_sources(&p->ref, json_object_get(image, "layers"), ret);
		json_array_foreach (json_object_get(image, "images"), i, one) {
			push_layers_sources(&p->ref, json_object_get(one, "layers"), ret);
		}
	}
	return 0;
}

static int push_all(struct push *p, struct err *e)
{
	const json_t *tags = json_object_get(p->request, "tags");
	scoped(strv) struct strv from = STRV_INIT;
	struct err missing = {0};
	char name[REF_TEXT_MAX];
	int have = mount_sources(p, &from, &missing);
	if (registry_push_begin(p->registry, &from, e) < 0) {
		return -1;
	}
	if (json_bool(p->request, "digest")) {
		return err_set(e, ERR_INVALID, "cannot push a digest reference");
	}
	if (have < 0) {
		*e = missing;
		return -1;
	}
	if (json_array_size(tags) == 0) {
		return err_set(e, ERR_NOT_FOUND, "no tags to push for %s",
			ref_familiar_name(&p->ref, name));
	}
	size_t k;
	json_t *tag;
	json_array_foreach (tags, k, tag) {
		if (push_tag(p, json_string_value(tag), e) < 0) {
			return -1;
		}
	}
	return 0;
}

json_t *worker_push(struct rpc *r, const json_t *request, struct err *e)
{
	struct push p = {.rpc = r, .request = request};
	if (ref_parse(json_str(request, "repository"), &p.ref, e) < 0) {
		return NULL;
	}
	p.registry = registry_new(
		json_object_get(request, "registry"), &p.ref, json_object_get(request, "auth"));
	push_layers_init(&p.layers, r, p.registry, json_str(request, "layers_dir"),
		json_object_get(request, "registry"));
	p.layers.compression = json_str(request, "compression");
	int result = push_all(&p, e);
	push_layers_deinit(&p.layers);
	registry_free(p.registry);
	return result < 0 ? NULL : json_object();
}
