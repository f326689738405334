/* Job "manifests", started by the CLI (wherry/manifest_worker.h): what `wherry manifest` needs of a
 * registry.
 *
 * request {"what": "get" | "push", "reference": canonical, "insecure": bool, "auth"}
 *   get   result {"list": bool, "manifests": [{"ref", "mediaType", "digest", "size", "platform":
 *         {} or null, "text": exact}]}: of a manifest the one, of an index all that it names
 *   push  {"blobs": [{"from": path, "digest", "may_miss": bool}], "manifests": [{"digest",
 *         "mediaType", "text"}], "list": {"mediaType", "text"}}; says {"pushed": digest} for each
 *         manifest; result {"digest"} of the list
 *
 * Which way leads to the registry is the docker CLI's rule (docker/cli cli/registry/client): TLS
 * with any certificate, or in the clear, only with --insecure; a registry on this machine may show
 * any certificate, and is pushed to in the clear also without it.
 */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "worker/jobs.h"
#include "worker/manifest.h"
#include "worker/registry_ask.h"
#include "worker/registry_http.h"
#include "worker/registry_upload.h"
#include "worker/rpc.h"

#define ENTRIES_MAX 1000
#define TEXTS_MAX (12u << 20) /* of all manifests of a list: the result is one line (rpc.c) */

/* A manifest as it came. */
struct text {
	struct buf text;
	char type[REGISTRY_TYPE_MAX];
	char digest[REF_DIGEST_LEN + 1];
};

/* --- get --- */

static json_t *parse_manifest(const struct text *t, bool *ret_is_index, struct err *e)
{
	json_t *doc = json_parse(buf_str(&t->text), t->text.len, "the manifest", e);
	bool is_index = json_is_array(json_object_get(doc, "manifests"));
	bool is_image = json_is_object(json_object_get(doc, "config")) &&
			json_is_array(json_object_get(doc, "layers"));
	if (doc && (is_index == is_image || json_i64(doc, "schemaVersion", 0) != 2)) {
		(void)err_set(e, ERR_INVALID, "unsupported manifest format");
		json_decref(doc);
		return NULL;
	}
	*ret_is_index = is_index;
	return doc;
}

/* What the image's configuration says. An artifact's says nothing, which is no error. */
static int config_platform(struct registry *r, const json_t *config, json_t **ret, struct err *e)
{
	static const char *const members[] = {
		"architecture", "os", "os.version", "os.features", "variant"};
	const char *digest = json_str(config, "digest");
	char found[REF_DIGEST_LEN + 1];
	scoped(buf) struct buf body = BUF_INIT;
	scoped(free) char *url =
		xasprintf("%s/v2/%s/blobs/%s", registry_base(r), r->ref.path, digest);
	const struct registry_request q = {.method = "GET", .url = url};
	struct reply reply = {.body = &body, .limit = REGISTRY_MANIFEST_MAX};
	if (!ref_is_digest(digest)) {
		return err_set(e, ERR_INVALID, "the manifest names no configuration");
	}
	if (registry_send(r, &q, &reply, e) < 0) {
		return -1;
	}
	if (reply.status != 200) {
		return registry_refused(&reply, e);
	}
	sha256_digest(buf_str(&body), body.len, found);
	if (strcmp(found, digest) != 0) {
		return err_set(
			e, ERR_INVALID, "image config verification failed for digest %s", digest);
	}
	scoped(json) json_t *doc = json_parse(buf_str(&body), body.len, "the configuration", e);
	if (!doc) {
		return -1;
	}
	json_t *platform = json_object();
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		json_put(platform, members[i], json_incref(json_object_get(doc, members[i])));
	}
	*ret = platform;
	return 0;
}

/* take_platform: what the index says, or NULL to ask the configuration. */
static json_t *describe(struct registry *r, const struct text *t, const char *ref,
	json_t *take_platform, struct err *e)
{
	scoped(json) json_t *platform = take_platform;
	bool is_index;
	scoped(json) json_t *doc = parse_manifest(t, &is_index, e);
	if (!doc) {
		return NULL;
	}
	if (is_index) {
		(void)err_set(e, ERR_INVALID, "%s is a manifest list", ref);
		return NULL;
	}
	if (!platform && config_platform(r, json_object_get(doc, "config"), &platform, e) < 0) {
		return NULL;
	}
	json_t *text = json_stringn(buf_str(&t->text), t->text.len);
	if (!text) {
		(void)err_set(e, ERR_INVALID, "the manifest of %s is not UTF-8", ref);
		return NULL;
	}
	return json_pack("{ss ss ss sI sO so}", "ref", ref, "mediaType", t->type, "digest",
		t->digest, "size", (json_int_t)t->text.len, "platform", platform, "text", text);
}

static json_t *get_entry(struct registry *r, const json_t *entry, size_t *bytes, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct text t = {0};
	char canonical[REF_TEXT_MAX];
	struct ref ref = r->ref;
	const char *digest = json_str(entry, "digest");
	const json_t *platform = json_object_get(entry, "platform");
	if (!ref_is_digest(digest)) {
		(void)err_set(e, ERR_INVALID, "an entry of the list has no SHA-256 digest");
		return NULL;
	}
	if (registry_get_manifest(r, digest, &text, t.type, t.digest, e) < 0) {
		return NULL;
	}
	*bytes += text.len;
	if (*bytes > TEXTS_MAX) {
		(void)err_set(e, ERR_INVALID, "the manifests of the list are larger than %u bytes",
			TEXTS_MAX);
		return NULL;
	}
	snprintf(ref.digest, sizeof(ref.digest), "%s", digest);
	t.text = text; /* borrowed */
	return describe(r, &t, ref_canonical(&ref, canonical),
		platform ? json_deep_copy(platform) : json_object(), e);
}

static json_t *get_list(struct registry *r, const json_t *entries, struct err *e)
{
	scoped(json) json_t *list = json_array();
	size_t bytes = 0;
	size_t i;
	json_t *entry;
	if (json_array_size(entries) > ENTRIES_MAX) {
		(void)err_set(e, ERR_INVALID, "the list has more than %d entries", ENTRIES_MAX);
		return NULL;
	}
	json_array_foreach (entries, i, entry) {
		json_t *one = get_entry(r, entry, &bytes, e);
		if (!one) {
			return NULL;
		}
		json_array_append_new(list, one);
	}
	return json_incref(list);
}

static json_t *get(struct registry *r, const json_t *request, struct rpc *rpc, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	struct text t = {0};
	char canonical[REF_TEXT_MAX];
	bool is_list;
	const char *name = *r->ref.digest ? r->ref.digest : r->ref.tag;
	if (registry_get_manifest(r, name, &text, t.type, t.digest, e) < 0) {
		return NULL;
	}
	t.text = text; /* borrowed */
	scoped(json) json_t *doc = parse_manifest(&t, &is_list, e);
	if (!doc) {
		return NULL;
	}
	json_t *manifests = NULL;
	if (is_list) {
		manifests = get_list(r, json_object_get(doc, "manifests"), e);
	} else {
		json_t *one = describe(r, &t, ref_canonical(&r->ref, canonical), NULL, e);
		manifests = one ? json_pack("[o]", one) : NULL;
	}
	return manifests ? json_pack("{sb so}", "list", is_list, "manifests", manifests) : NULL;
}

/* --- push --- */

static int mount_blob(struct registry *r, const json_t *blob, struct err *e)
{
	const char *digest = json_str(blob, "digest");
	const char *from = json_str(blob, "from");
	char canonical[REF_TEXT_MAX];
	int64_t size;
	scoped(buf) struct buf location = BUF_INIT;
	int there = registry_blob_exists(r, digest, &size, e);
	if (there != 0) {
		return there < 0 ? -1 : 0;
	}
	if (registry_mount(r, digest, from, &location)) {
		return 0;
	}
	if (location.len > 0) {
		registry_upload_cancel(r, buf_str(&location));
	}
	return json_bool(blob, "may_miss")
		       ? 0
		       : err_set(e, ERR_CONFLICT, "error mounting %s@%s to %s", from, digest,
				 ref_canonical(&r->ref, canonical));
}

static int put_text(struct registry *r, const json_t *manifest, const char *name, char *ret_digest,
	struct err *e)
{
	const json_t *text = json_object_get(manifest, "text");
	char canonical[REF_TEXT_MAX];
	if (registry_put_manifest(r, name, json_str(manifest, "mediaType"), json_string_value(text),
		    json_string_length(text), e) < 0) {
		struct ref ref = r->ref;
		snprintf(ref.digest, sizeof(ref.digest), "%s", ref_is_digest(name) ? name : "");
		*ref.tag = *ref.digest ? '\0' : *ref.tag;
		return err_wrap(e, "failed to put manifest %s", ref_canonical(&ref, canonical));
	}
	sha256_digest(json_string_value(text), json_string_length(text), ret_digest);
	return 0;
}

static json_t *push(struct registry *r, const json_t *request, struct rpc *rpc, struct err *e)
{
	scoped(strv) struct strv from = STRV_INIT;
	char digest[REF_DIGEST_LEN + 1];
	const json_t *blobs = json_object_get(request, "blobs");
	size_t i;
	json_t *item;
	json_array_foreach (blobs, i, item) {
		if (!strv_has(&from, json_str(item, "from"))) {
			strv_add(&from, json_str(item, "from"));
		}
	}
	if (registry_push_begin(r, &from, e) < 0) {
		return NULL;
	}
	json_array_foreach (blobs, i, item) {
		if (mount_blob(r, item, e) < 0) {
			return NULL;
		}
	}
	json_array_foreach (json_object_get(request, "manifests"), i, item) {
		if (put_text(r, item, json_str(item, "digest"), digest, e) < 0) {
			return NULL;
		}
		rpc_send(rpc, json_pack("{ss}", "pushed", digest));
	}
	const char *name = *r->ref.tag ? r->ref.tag : r->ref.digest;
	return put_text(r, json_object_get(request, "list"), name, digest, e) < 0
		       ? NULL
		       : json_pack("{ss}", "digest", digest);
}

/* --- both --- */

typedef json_t *manifests_fn(
	struct registry *r, const json_t *request, struct rpc *rpc, struct err *e);

/* Docker's words for what is not there or wants a password; all else is the registry's. */
static void explain(const struct registry *r, struct err *e)
{
	char canonical[REF_TEXT_MAX];
	if (e->kind == ERR_NOT_FOUND) {
		(void)err_set(e, ERR_NOT_FOUND, "no such manifest: %s",
			ref_canonical(&r->ref, canonical));
	} else if (strcmp(e->msg, "no basic auth credentials") == 0) {
		(void)err_wrap(e, "Get \"%s/v2/%s/manifests/%s\"", registry_base(r), r->ref.path,
			*r->ref.digest ? r->ref.digest : r->ref.tag);
	}
}

/* Of ways that lead nowhere the first one's failure is told, which is TLS's. */
static json_t *try_ways(struct registry *r, manifests_fn *fn, bool in_the_clear,
	const json_t *request, struct rpc *rpc, struct err *e)
{
	struct err first = {0};
	for (r->endpoint = r->n_mirrors; r->endpoint < r->endpoints.n; r->endpoint++) {
		struct err why;
		if (text_starts(registry_base(r), "http://") && !in_the_clear) {
			continue;
		}
		registry_forget_authorization(r);
		json_t *result = fn(r, request, rpc, &why);
		if (result) {
			return result;
		}
		bool unreachable = why.kind == ERR_SYSTEM && text_starts(why.msg, "Get \"");
		if (!unreachable) {
			*e = why;
			explain(r, e);
			return NULL;
		}
		first = *first.msg ? first : why;
	}
	*e = first;
	(void)err_wrap(e, "failed to configure transport: error pinging v2 registry");
	return NULL;
}

json_t *worker_manifests(struct rpc *rpc, const json_t *request, struct err *e)
{
	struct ref ref;
	bool pushes = strcmp(json_str(request, "what"), "push") == 0;
	bool insecure = json_bool(request, "insecure");
	if (ref_parse(json_str(request, "reference"), &ref, e) < 0) {
		return NULL;
	}
	ref_default_tag(&ref);
	scoped(json) json_t *config =
		insecure ? json_pack("{s[s]}", "insecure-registries", ref.domain) : json_object();
	struct registry *r = registry_new(config, &ref, json_object_get(request, "auth"));
	bool in_the_clear = insecure || (pushes && registry_is_loopback(ref.domain));
	json_t *result = try_ways(r, pushes ? push : get, in_the_clear, request, rpc, e);
	registry_free(r);
	return result;
}
