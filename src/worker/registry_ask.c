/* Job "registry": what a registry knows, without bringing anything here.
 *
 * request {"what": "manifest" | "search", "reference" (canonical), "term", "limit",
 * "auth", "registry"} result  manifest  {"Descriptor": {"mediaType", "digest", "size"},
 * "Platforms": [{"architecture", "os", "variant"...}]} (Docker API DistributionInspect) tags
 * {"tags": []} search    {"results": [{"name", "description", "star_count", "is_official"}]}
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

#define HUB_SEARCH "https://index.docker.io"
#define LIST_MAX (4u << 20)
#define PAGES_MAX 1000
#define NAMES_MAX 20000
#define SEARCH_DEFAULT 25

static const char manifest_types[] =
	"Accept: application/vnd.docker.distribution.manifest.v2+json, "
	"application/vnd.docker.distribution.manifest.list.v2+json, "
	"application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";

/* GET below the endpoint in use; any status but 200 is an error in the registry's words. */
static int get(struct registry *r, const char *url, const char *accept, size_t limit,
	struct buf *ret, struct reply *ret_reply, struct err *e)
{
	const struct registry_request q = {.method = "GET", .url = url, .accept = accept};
	*ret_reply = (struct reply){.body = ret, .limit = limit};
	if (registry_send(r, &q, ret_reply, e) < 0) {
		e->kind = e->kind == ERR_DENIED ? ERR_UNAUTHORIZED : e->kind;
		return -1;
	}
	if (ret_reply->status == 200) {
		return 0;
	}
	(void)registry_refused(ret_reply, e);
	e->kind = ret_reply->status == 404 ? ERR_NOT_FOUND : e->kind;
	return -1;
}

/* ask(r) at the registry itself; in its second way only when there was no answer in the first. */
typedef json_t *ask_fn(struct registry *r, const json_t *request, struct err *e);

static json_t *ask_origin(struct registry *r, ask_fn *ask, const json_t *request, struct err *e)
{
	for (r->endpoint = r->n_mirrors;; r->endpoint++) {
		registry_forget_authorization(r);
		json_t *result = ask(r, request, e);
		if (result || e->kind != ERR_SYSTEM || r->endpoint + 1 == r->endpoints.n) {
			return result;
		}
	}
}

/* --- a manifest --- */

static json_t *index_platforms(const json_t *entries)
{
	json_t *list = json_array();
	size_t i;
	json_t *entry;
	json_array_foreach (entries, i, entry) {
		const json_t *p = json_object_get(entry, "platform");
		json_array_append_new(list, p ? json_deep_copy(p) : json_object());
	}
	return list;
}

/* Of an image without an index only its configuration tells; one that cannot be read tells nothing,
 * as in dockerd. */
static json_t *config_platforms(struct registry *r, const struct descriptor *config)
{
	static const char *const members[] = {
		"architecture", "os", "os.version", "os.features", "variant"};
	struct err ignored;
	struct reply reply;
	char digest[REF_DIGEST_LEN + 1];
	scoped(buf) struct buf body = BUF_INIT;
	scoped(free) char *url =
		xasprintf("%s/v2/%s/blobs/%s", registry_base(r), r->ref.path, config->digest);
	if (get(r, url, NULL, LIST_MAX, &body, &reply, &ignored) < 0) {
		return NULL;
	}
	sha256_digest(buf_str(&body), body.len, digest);
	scoped(json) json_t *doc =
		json_parse(buf_str(&body), body.len, "the configuration", &ignored);
	if (strcmp(digest, config->digest) != 0 ||
		(!*json_str(doc, "os") && !*json_str(doc, "architecture"))) {
		return NULL;
	}
	json_t *platform = json_object();
	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		json_put(platform, members[i], json_incref(json_object_get(doc, members[i])));
	}
	return json_pack("[o]", platform);
}

int registry_get_manifest(struct registry *r, const char *name, struct buf *ret,
	char ret_type[static REGISTRY_TYPE_MAX], char ret_digest[static REF_DIGEST_LEN + 1],
	struct err *e)
{
	struct reply reply;
	scoped(free) char *url =
		xasprintf("%s/v2/%s/manifests/%s", registry_base(r), r->ref.path, name);
	if (get(r, url, manifest_types, REGISTRY_MANIFEST_MAX, ret, &reply, e) < 0) {
		return -1;
	}
	sha256_digest(buf_str(ret), ret->len, ret_digest);
	if (ref_is_digest(name) && strcmp(name, ret_digest) != 0) {
		return err_set(e, ERR_INVALID, "manifest verification failed for digest %s", name);
	}
	memcpy(ret_type, reply.type, REGISTRY_TYPE_MAX);
	ret_type[strcspn(ret_type, "; ")] = '\0';
	return 0;
}

static json_t *ask_manifest(struct registry *r, const json_t *request, struct err *e)
{
	char digest[REF_DIGEST_LEN + 1], type[REGISTRY_TYPE_MAX];
	scoped(buf) struct buf text = BUF_INIT;
	scoped(manifest) struct manifest m = {0};
	const char *name = *r->ref.digest ? r->ref.digest : r->ref.tag;
	if (registry_get_manifest(r, name, &text, type, digest, e) < 0 ||
		manifest_parse(buf_str(&text), text.len, type, &m, e) < 0) {
		return NULL;
	}
	json_t *platforms =
		m.is_index ? index_platforms(m.entries) : config_platforms(r, &m.config);
	return json_pack("{s{ss ss sI} so*}", "Descriptor", "mediaType", type, "digest", digest,
		"size", (json_int_t)text.len, "Platforms", platforms);
}

/* --- lists of several pages --- */

/* Appends the strings of member of each page. path: "/v2/_catalog". */
static int read_pages(struct registry *r, const char *path, const char *member, size_t max,
	struct strv *ret, struct err *e)
{
	scoped(buf) struct buf url = BUF_INIT;
	buf_printf(&url, "%s%s", registry_base(r), path);
	for (int page = 0; page < PAGES_MAX; page++) {
		struct reply reply;
		scoped(buf) struct buf body = BUF_INIT;
		scoped(buf) struct buf link = BUF_INIT;
		scoped(buf) struct buf next = BUF_INIT;
		if (get(r, buf_str(&url), NULL, LIST_MAX, &body, &reply, e) < 0) {
			return -1;
		}
		scoped(json) json_t *doc = json_parse(buf_str(&body), body.len, "the list", e);
		if (!doc || json_get_strv(doc, member, ret, e) < 0) {
			return -1;
		}
		if (ret->n > max) {
			return err_set(e, ERR_INVALID,
				"the registry's list has more than %zu entries", max);
		}
		if (!registry_link_next(reply.link, &link) ||
			!registry_url_resolve(buf_str(&url), buf_str(&link), &next) ||
			!registry_is_own(r, buf_str(&next)) ||
			strcmp(buf_str(&next), buf_str(&url)) == 0) {
			return 0;
		}
		buf_clear(&url);
		buf_puts(&url, buf_str(&next));
	}
	return 0;
}

/* --- search --- */

static json_t *result_of(const char *name, const json_t *found)
{
	return json_pack("{sb ss ss sI sb}", "is_official", json_bool(found, "is_official"), "name",
		name, "description", json_str(found, "description"), "star_count",
		(json_int_t)json_i64(found, "star_count", 0), "is_automated", 0);
}

/* Docker Hub's service, and registries that have the same. */
static json_t *search_v1(
	struct registry *r, const char *base, const char *term, int limit, struct err *e)
{
	struct reply reply;
	scoped(buf) struct buf url = BUF_INIT;
	scoped(buf) struct buf body = BUF_INIT;
	scoped(free) char *count = xasprintf("%d", limit);
	buf_printf(&url, "%s/v1/search", base);
	registry_url_query(&url, "q", term);
	registry_url_query(&url, "n", count);
	if (get(r, buf_str(&url), NULL, LIST_MAX, &body, &reply, e) < 0) {
		if (reply.status > 0 && reply.status != 404) {
			(void)err_set(e, ERR_SYSTEM, "Unexpected status code %ld", reply.status);
		}
		return NULL;
	}
	scoped(json) json_t *doc = json_parse(buf_str(&body), body.len, "the search", e);
	json_t *list = doc ? json_array() : NULL;
	size_t i;
	json_t *found;
	json_array_foreach (json_object_get(doc, "results"), i, found) {
		json_array_append_new(list, result_of(json_str(found, "name"), found));
	}
	return list;
}

/* A registry that only lists: the repositories whose name has the term in it. */
static json_t *search_catalog(struct registry *r, const char *term, int limit, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	if (read_pages(r, "/v2/_catalog?n=1000", "repositories", NAMES_MAX, &names, e) < 0) {
		return NULL;
	}
	json_t *list = json_array();
	for (size_t i = 0; i < names.n && (int)json_array_size(list) < limit; i++) {
		if (strstr(names.v[i], term)) {
			scoped(free) char *whole = xasprintf("%s/%s", r->ref.domain, names.v[i]);
			json_array_append_new(list, result_of(whole, NULL));
		}
	}
	return list;
}

static json_t *ask_search(struct registry *r, const json_t *request, struct err *e)
{
	const char *term = json_str(request, "term");
	int limit = (int)json_i64(request, "limit", SEARCH_DEFAULT);
	bool hub = strcmp(r->ref.domain, REF_DEFAULT_DOMAIN) == 0;
	json_t *list = search_v1(r, hub ? HUB_SEARCH : registry_base(r), term, limit, e);
	if (!list && !hub && e->kind == ERR_NOT_FOUND) {
		registry_forget_authorization(r);
		list = search_catalog(r, term, limit, e);
	}
	return list ? json_pack("{so}", "results", list) : NULL;
}

json_t *worker_registry(struct rpc *rpc, const json_t *request, struct err *e)
{
	static const struct {
		const char *what;
		ask_fn *ask;
	} questions[] = {{"manifest", ask_manifest}, {"search", ask_search}};
	struct ref ref;
	if (ref_parse(json_str(request, "reference"), &ref, e) < 0) {
		return NULL;
	}
	ref_default_tag(&ref);
	struct registry *r = registry_new(
		json_object_get(request, "registry"), &ref, json_object_get(request, "auth"));
	json_t *result = NULL;
	bool known = false;
	for (size_t i = 0; i < sizeof(questions) / sizeof(*questions); i++) {
		if (strcmp(questions[i].what, json_str(request, "what")) == 0) {
			known = true;
			result = ask_origin(r, questions[i].ask, request, e);
		}
	}
	if (!known) {
		(void)err_set(e, ERR_INVALID, "unknown question");
	}
	registry_free(r);
	return result;
}
