/* Job "pull": an image from a registry, its layers unpacked while they stream.
 *
 * request {"reference": canonical, "all_tags": bool, "platform": "", "auth": {} or null,
 * "registry": configuration of the daemon, "signature": what image/trust.h gives, or null, "tmp":
 * {}, "partial": directory (partial.h)} asks    {"ask": "layer", "diff_id", "wait": bool} ->
 * {"state": "have" | "go" | "busy"}; go claims it for this job
 *         {"ask": "add-layer", ...} (layers.h)
 *         {"ask": "add-image", "image": {}}: of all tags each one, as soon as it is there
 * result  {"images": [{"config": exact text, "references": [canonical], "digest": of the manifest
 * or index, "signed": id of the key that signed it, or ""}]}; none of all tags
 *
 * Two jobs that want the same layers must not wait for each other in a circle: a busy layer is put
 * off until this job holds no claim of its own, and only then waited for.
 */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/ref.h"
#include "codec/sha256.h"
#include "worker/jobs.h"
#include "worker/partial.h"
#include "worker/pull.h"
#include "worker/registry.h"
#include "worker/rpc.h"
#include "worker/signature.h"
#include "tree/stream.h"

#define PARALLEL 3
#define PARALLEL_MAX 16 /* whatever the configuration says: it is memory */

static bool is_repeated(const struct pull *p, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (strcmp(p->diff_ids.v[k], p->diff_ids.v[i]) == 0) {
			return true;
		}
	}
	return false;
}

static int ask_layer(struct pull *p, size_t i, bool wait, enum step *ret, struct err *e)
{
	scoped(json) json_t *answer = rpc_ask(p->rpc,
		json_pack("{ss ss sb}", "ask", "layer", "diff_id", p->diff_ids.v[i], "wait", wait),
		e);
	if (!answer) {
		return -1;
	}
	const char *state = json_str(answer, "state");
	*ret = strcmp(state, "have") == 0   ? STEP_DONE
	       : strcmp(state, "busy") == 0 ? STEP_WAIT
					    : STEP_FETCH;
	return 0;
}

/* --- all layers --- */

/* Every layer is claimed before any is fetched: the list that a user watches starts in its final
 * order, and two pulls that begin together do not fetch the same layer twice. */
static int claim_layers(struct pull *p, struct err *e)
{
	size_t n_fetch = 0;
	for (size_t i = 0; i < p->manifest.n_layers; i++) {
		p->steps[i] = STEP_DONE;
		if (!is_repeated(p, i) && ask_layer(p, i, false, &p->steps[i], e) < 0) {
			return -1;
		}
		pull_say(p, i, p->steps[i] == STEP_DONE ? "Already exists" : "Pulling fs layer");
	}
	for (size_t i = 0; i < p->manifest.n_layers; i++) {
		n_fetch += p->steps[i] == STEP_FETCH;
		p->left = n_fetch;
		if (p->steps[i] == STEP_WAIT ||
			(p->steps[i] == STEP_FETCH && n_fetch > p->parallel)) {
			pull_say(p, i, "Waiting");
		}
	}
	return 0;
}

static bool take_next(struct pull *p, size_t *ret)
{
	pthread_mutex_lock(&p->lock);
	while (p->next < p->manifest.n_layers && p->steps[p->next] != STEP_FETCH) {
		p->next++;
	}
	bool more = !p->failed && p->next < p->manifest.n_layers;
	if (more) {
		*ret = p->next++;
	}
	pthread_mutex_unlock(&p->lock);
	return more;
}

static void *fetch_some(void *arg)
{
	struct pull *p = arg;
	size_t i;
	while (take_next(p, &i)) {
		(void)pull_layer(p, i);
	}
	return NULL;
}

static void fetch_claimed(struct pull *p)
{
	pthread_t threads[PARALLEL_MAX];
	size_t n = p->manifest.n_layers < p->parallel ? p->manifest.n_layers : p->parallel;
	size_t started = 0;
	while (started < n && pthread_create(&threads[started], NULL, fetch_some, p) == 0) {
		started++;
	}
	if (started == 0) {
		fetch_some(p);
	}
	while (started > 0) {
		pthread_join(threads[--started], NULL);
	}
}

/* Layers that another pull was fetching: it has them now, or has given up. */
static int fetch_waiting(struct pull *p, struct err *e)
{
	for (size_t i = 0; i < p->manifest.n_layers; i++) {
		if (p->steps[i] != STEP_WAIT) {
			continue;
		}
		if (ask_layer(p, i, true, &p->steps[i], e) < 0) {
			return -1;
		}
		p->left = 1;
		if (p->steps[i] == STEP_DONE) {
			pull_say(p, i, "Pull complete");
		} else if (pull_layer(p, i) < 0) {
			*e = p->error;
			return -1;
		}
	}
	return 0;
}

static int pull_layers(struct pull *p, struct err *e)
{
	if (claim_layers(p, e) < 0 || pull_check_room(p, e) < 0) {
		return -1;
	}
	fetch_claimed(p);
	struct err why;
	if (pull_settle(p, &why) < 0) { /* what came before a failure is good */
		pull_fail(p, &why);
	}
	if (p->failed) {
		*e = p->error;
		return -1;
	}
	return fetch_waiting(p, e);
}

/* --- manifest and configuration --- */

/* So that a push of what was pulled can be the same manifest. */
static void keep_manifest(struct pull *p, const struct buf *text, const char *type)
{
	json_t *exact = json_stringn(buf_str(text), text->len);
	json_decref(p->manifest_text);
	p->manifest_text = exact ? json_pack("{ss so}", "mediaType", type, "text", exact) : NULL;
}

/* Where the layers come from, for the daemon's table (image/blobs.h). That a blob which was not
 * fetched holds this layer is only the image's word. */
static json_t *describe_blobs(const struct pull *p)
{
	char repository[REF_TEXT_MAX];
	json_t *layers = json_array();
	ref_name(&p->ref, repository);
	for (size_t i = 0; i < p->manifest.n_layers; i++) {
		const struct descriptor *d = &p->manifest.layers[i];
		json_array_append_new(
			layers, json_pack("{ss sb s{ss ss sI ss}}", "diff_id", p->diff_ids.v[i],
					"claimed", !p->hashed[i], "blob", "repository", repository,
					"digest", d->digest, "size", (json_int_t)d->size,
					"mediaType", d->media_type));
	}
	return json_pack("{so sO*}", "layers", layers, "manifest", p->manifest_text);
}

static int read_manifest(
	struct pull *p, char ret_digest[static STREAM_DIGEST_LEN + 1], struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	char type[REGISTRY_TYPE_MAX];
	if (registry_resolve(p->registry, &text, type, e) < 0) {
		return -1;
	}
	sha256_digest(buf_str(&text), text.len, ret_digest);
	if (*p->ref.digest && strcmp(ret_digest, p->ref.digest) != 0) {
		return err_set(e, ERR_INVALID, "manifest verification failed for digest %s",
			p->ref.digest);
	}
	if (manifest_parse(buf_str(&text), text.len, type, &p->manifest, e) < 0) {
		return -1;
	}
	memcpy(p->image_digest, ret_digest, sizeof(p->image_digest));
	if (!p->manifest.is_index) {
		keep_manifest(p, &text, type);
		return 0;
	}
	struct platform want;
	struct descriptor chosen;
	if (platform_parse(json_str(p->request, "platform"), &want, e) < 0 ||
		manifest_select(&p->manifest, &want, &chosen, e) < 0 ||
		registry_manifest(p->registry, chosen.digest, &text, type, e) < 0) {
		return -1;
	}
	char digest[STREAM_DIGEST_LEN + 1];
	sha256_digest(buf_str(&text), text.len, digest);
	if (strcmp(digest, chosen.digest) != 0 || (int64_t)text.len != chosen.size) {
		return err_set(e, ERR_INVALID, "manifest verification failed for digest %s",
			chosen.digest);
	}
	memcpy(p->image_digest, digest, sizeof(p->image_digest));
	manifest_deinit(&p->manifest);
	if (manifest_parse(buf_str(&text), text.len, type, &p->manifest, e) < 0) {
		return -1;
	}
	if (p->manifest.is_index) {
		return err_set(e, ERR_INVALID, "invalid manifest: an index inside an index");
	}
	keep_manifest(p, &text, type);
	return 0;
}

static char *platform_text(const char *os, const char *arch, const char *variant)
{
	return xasprintf("%.31s/%.31s%s%.31s", os, arch, *variant ? "/" : "", variant);
}

/* A manifest without an index has only one platform to give; Docker pulls it and warns. */
static void warn_of_platform(struct pull *p, const char *config, size_t n)
{
	struct err ignored;
	struct platform want;
	scoped(json) json_t *doc = json_parse(config, n, "the configuration", &ignored);
	const char *os = json_str(doc, "os");
	const char *arch = json_str(doc, "architecture");
	const char *variant = json_str(doc, "variant");
	if (!*json_str(p->request, "platform") || !*os || !*arch ||
		platform_parse(json_str(p->request, "platform"), &want, &ignored) < 0 ||
		platform_match(&want, os, arch, variant) > 0) {
		return;
	}
	char familiar[REF_TEXT_MAX];
	scoped(free) char *has = platform_text(os, arch, variant);
	scoped(free) char *wanted = platform_text(want.os, want.arch, want.variant);
	scoped(free) char *text = xasprintf(
		"WARNING: image with reference %s was found but its platform (%s) does not match "
		"the specified platform (%s)",
		ref_familiar(&p->ref, familiar), has, wanted);
	rpc_send(p->rpc, json_pack("{ss}", "status", text));
}

/* The signature policy: before anything of the image is fetched. *ret: the id of the key that
 * signed it, or as it was. */
static int check_signature(struct pull *p, const char *digest, const char **ret, struct err *e)
{
	const json_t *rule = json_object_get(p->request, "signature");
	if (!rule) {
		return 0;
	}
	struct err why;
	const char *key_id = signature_find(p->request, &p->ref, digest, p->image_digest, &why);
	if (key_id) {
		*ret = key_id;
		return 0;
	}
	if (json_bool(rule, "enforce")) {
		*e = why;
		return -1;
	}
	rpc_send(p->rpc, json_pack("{s s+}", "status", "WARNING: ", why.msg));
	return 0;
}

static json_t *pull_image(struct pull *p, struct err *e)
{
	char digest[STREAM_DIGEST_LEN + 1];
	scoped(buf) struct buf config = BUF_INIT;
	const char *key_id = "";
	if (read_manifest(p, digest, e) < 0 || check_signature(p, digest, &key_id, e) < 0) {
		return NULL;
	}
	rpc_send(p->rpc, json_pack("{s s+ ss}", "status", "Pulling from ", p->ref.path, "id",
				 *p->ref.digest ? p->ref.digest : p->ref.tag));
	if (registry_blob_text(p->registry, p->manifest.config.digest, p->manifest.config.size,
		    CONFIG_TEXT_MAX, &config, e) < 0 ||
		config_diff_ids(buf_str(&config), config.len, &p->diff_ids, e) < 0) {
		return NULL;
	}
	if (p->diff_ids.n != p->manifest.n_layers) {
		(void)err_set(e, ERR_INVALID,
			"invalid image: %zu layers in the manifest, %zu in the configuration",
			p->manifest.n_layers, p->diff_ids.n);
		return NULL;
	}
	if (pull_layers(p, e) < 0 || layers_settle(p->request, e) < 0) {
		return NULL;
	}
	warn_of_platform(p, buf_str(&config), config.len);
	json_t *text = json_stringn(buf_str(&config), config.len);
	if (!text) {
		(void)err_set(e, ERR_INVALID, "the image configuration is not UTF-8");
		return NULL;
	}
	char canonical[REF_TEXT_MAX];
	return json_pack("{s[{so s[s] ss ss so}]}", "images", "config", text, "references",
		ref_canonical(&p->ref, canonical), "digest", digest, "signed", key_id, "registry",
		describe_blobs(p));
}

static void forget_image(struct pull *p)
{
	manifest_deinit(&p->manifest);
	p->manifest = (struct manifest){0};
	strv_clear(&p->diff_ids);
	memset(p->hashed, 0, sizeof(p->hashed));
	p->next = 0;
	p->failed = false;
	atomic_store(&p->progress.stop, false);
}

/* A mirror that has the manifest but not the layers, or wrong ones, must not stand between us and
 * the registry. */
static json_t *pull_from_any(struct pull *p, struct err *e)
{
	json_t *result = pull_image(p, e);
	struct err first = *e;
	bool again = false;
	while (!result && e->sys == 0 &&
		registry_next(p->registry)) { /* sys: this machine failed */
		again = true;
		forget_image(p);
		result = pull_image(p, e);
	}
	if (!result && again) {
		struct err last = *e;
		(void)err_set(e, first.kind, "%.250s (and %.200s)", first.msg, last.msg);
	}
	return result;
}

/* What cosign puts beside an image: a signature, an attestation or a list of parts. */
static bool is_attached(const char *tag)
{
	static const char *const kinds[] = {".sig", ".att", ".sbom"};
	char digest[REF_DIGEST_LEN + 1];
	bool known = false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		known = known || text_ends(tag, kinds[i]);
	}
	snprintf(
		digest, sizeof(digest), "sha256:%.64s", text_starts(tag, "sha256-") ? tag + 7 : "");
	return known && ref_is_digest(digest);
}

static int hand_over(struct pull *p, const json_t *result, struct err *e)
{
	json_t *image = json_array_get(json_object_get(result, "images"), 0);
	scoped(json) json_t *answer =
		rpc_ask(p->rpc, json_pack("{ss sO}", "ask", "add-image", "image", image), e);
	return answer ? 0 : -1;
}

/* Every tag of the repository, one after the other. The first failure is the pull's, and what came
 * before it stays, as in dockerd. */
static json_t *pull_all_tags(struct pull *p, struct err *e)
{
	scoped(strv) struct strv tags = STRV_INIT;
	if (registry_tags(p->registry, &tags, e) < 0) {
		return NULL;
	}
	for (size_t i = 0; i < tags.n; i++) {
		if (is_attached(tags.v[i])) {
			rpc_send(p->rpc, json_pack("{ss ss}", "status", "Skipped: no image", "id",
						 tags.v[i]));
			continue;
		}
		snprintf(p->ref.tag, sizeof(p->ref.tag), "%s", tags.v[i]);
		registry_set_tag(p->registry, tags.v[i]);
		forget_image(p);
		scoped(json) json_t *one = pull_from_any(p, e);
		if (!one || hand_over(p, one, e) < 0) {
			return NULL;
		}
	}
	return json_pack("{s[]}", "images");
}

json_t *worker_pull(struct rpc *r, const json_t *request, struct err *e)
{
	struct pull p = {.rpc = r, .request = request, .progress = {.rpc = r}};
	if (ref_parse(json_str(request, "reference"), &p.ref, e) < 0) {
		return NULL;
	}
	p.parallel = registry_parallel(json_object_get(request, "registry"),
		"max-concurrent-downloads", PARALLEL, PARALLEL_MAX);
	bool all = json_bool(request, "all_tags");
	if (!all) {
		ref_default_tag(&p.ref);
	}
	partial_tidy(json_str(request, "partial"));
	pthread_mutex_init(&p.lock, NULL);
	p.registry = registry_new(
		json_object_get(request, "registry"), &p.ref, json_object_get(request, "auth"));
	json_t *result = all ? pull_all_tags(&p, e) : pull_from_any(&p, e);
	manifest_deinit(&p.manifest);
	json_decref(p.manifest_text);
	strv_deinit(&p.diff_ids);
	registry_free(p.registry);
	pthread_mutex_destroy(&p.lock);
	return result;
}
