#include "worker/registry.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"
#include "codec/registry_text.h"
#include "worker/registry_http.h"

#define TAGS_MAX 10000 /* of one repository */
#define PAGES_MAX 1000
#define ATTEMPTS 5
#define ATTEMPTS_MAX 100
#define HUB_HOST "registry-1.docker.io"

static const char manifest_types[] =
	"Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
	"application/vnd.docker.distribution.manifest.list.v2+json, "
	"application/vnd.docker.distribution.manifest.v2+json";

/* --- where --- */

static void add_mirrors(struct registry *r, const json_t *mirrors)
{
	size_t i;
	json_t *item;
	json_array_foreach (mirrors, i, item) {
		const char *url = json_string_value(item);
		if (!url || (!text_starts(url, "http://") && !text_starts(url, "https://"))) {
			continue;
		}
		size_t n = strlen(url);
		while (n > 0 && url[n - 1] == '/') {
			n--;
		}
		strv_addn(&r->endpoints, url, n);
	}
}

struct registry *registry_new(const json_t *config, const struct ref *ref, const json_t *auth)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
	const char *proxy = getenv("HTTP_PROXY");
	if (proxy) { /* libcurl wants this one in small letters, Go does not */
		setenv("http_proxy", proxy, 0);
	}
	struct registry *r = xnew(struct registry);
	r->ref = *ref;
	pthread_mutex_init(&r->lock, NULL);
	bool hub = strcmp(ref->domain, REF_DEFAULT_DOMAIN) == 0;
	if (hub) {
		add_mirrors(r, json_object_get(config, "registry-mirrors"));
	}
	const char *host = hub ? HUB_HOST : ref->domain;
	r->n_mirrors = r->endpoints.n;
	r->insecure =
		registry_is_loopback(ref->domain) ||
		registry_is_insecure(json_object_get(config, "insecure-registries"), ref->domain);
	strv_addf(&r->endpoints, "https://%s", host);
	if (r->insecure) {
		strv_addf(&r->endpoints, "http://%s", host);
	}
	r->attempts = registry_parallel(config, "max-download-attempts", ATTEMPTS, ATTEMPTS_MAX);
	if (*json_str(auth, "username")) {
		r->user = xstrdup(json_str(auth, "username"));
		r->password = xstrdup(json_str(auth, "password"));
	}
	if (*json_str(auth, "registrytoken")) {
		r->fixed_token = xstrdup(json_str(auth, "registrytoken"));
	}
	if (*json_str(auth, "identitytoken")) {
		r->identity_token = xstrdup(json_str(auth, "identitytoken"));
	}
	return r;
}

size_t registry_parallel(const json_t *config, const char *key, size_t dflt, size_t max)
{
	int64_t n = json_i64(config, key, (int64_t)dflt);
	return n < 1 ? 1 : n > (int64_t)max ? max : (size_t)n;
}

void registry_free(struct registry *r)
{
	if (!r) {
		return;
	}
	strv_deinit(&r->endpoints);
	free(r->user);
	free(r->password);
	free(r->fixed_token);
	free(r->identity_token);
	strv_deinit(&r->scopes);
	registry_forget_authorization(r);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* --- manifests --- */

static int refused(const struct registry *r, const struct reply *reply, struct err *e)
{
	char words[256], code[64], familiar[REF_TEXT_MAX], name[REF_TEXT_MAX];
	registry_words(reply, words, sizeof(words), code);
	ref_familiar(&r->ref, familiar);
	ref_familiar_name(&r->ref, name);
	if (reply->status == 401 || reply->status == 403 || strcmp(code, "DENIED") == 0) {
		return err_set(e, ERR_NOT_FOUND,
			"pull access denied for %s, repository does not exist or may require 'docker login': %s",
			name, *code ? words : "denied: requested access to the resource is denied");
	}
	if (strcmp(code, "NAME_UNKNOWN") == 0) {
		return err_set(e, ERR_NOT_FOUND, "repository %s not found: %s", name, words);
	}
	if (reply->status == 404) {
		return err_set(e, ERR_NOT_FOUND, "manifest for %s not found: %s", familiar,
			*code ? words : "manifest unknown: manifest unknown");
	}
	return err_set(
		e, ERR_SYSTEM, "cannot pull %s from %s: %s", familiar, registry_base(r), words);
}

static int get_manifest(struct registry *r, const char *what, struct buf *ret,
	char ret_type[static REGISTRY_TYPE_MAX], struct err *e)
{
	scoped(free) char *url =
		xasprintf("%s/v2/%s/manifests/%s", registry_base(r), r->ref.path, what);
	for (int tries = 0;; tries++) {
		scoped(free) char *authorization = registry_authorization(r);
		struct reply reply = {.body = ret, .limit = REGISTRY_MANIFEST_MAX};
		if (registry_get(r, url, manifest_types, authorization, NULL, &reply, e) < 0) {
			return -1;
		}
		if (reply.status == 401 && tries == 0) {
			struct err why;
			if (registry_log_in(r, reply.challenge, authorization, &why) == 0) {
				continue;
			}
			if (why.kind != ERR_DENIED) {
				*e = why;
				return -1;
			}
		}
		if (reply.status != 200) {
			return refused(r, &reply, e);
		}
		memcpy(ret_type, reply.type, REGISTRY_TYPE_MAX);
		ret_type[strcspn(ret_type, "; ")] = '\0';
		return 0;
	}
}

bool registry_next(struct registry *r)
{
	bool more = !registry_is_origin(r);
	r->endpoint += more;
	return more;
}

/* Every mirror is asked, whatever the ones before it said; the registry itself in its second way
 * only when it could not be reached in the first. */
int registry_resolve(
	struct registry *r, struct buf *ret, char ret_type[static REGISTRY_TYPE_MAX], struct err *e)
{
	const char *what = *r->ref.digest ? r->ref.digest : r->ref.tag;
	struct err missing = {0};
	for (; r->endpoint < r->endpoints.n; r->endpoint++) {
		registry_forget_authorization(r);
		if (get_manifest(r, what, ret, ret_type, e) == 0) {
			return 0;
		}
		bool answered = e->kind != ERR_SYSTEM;
		if (answered && registry_is_origin(r)) {
			break;
		}
		if (e->kind == ERR_NOT_FOUND && !*missing.msg) {
			missing = *e;
		}
	}
	r->endpoint = r->endpoints.n - 1;
	if (e->kind != ERR_NOT_FOUND &&
		*missing.msg) { /* a mirror answered, the registry cannot be reached */
		struct err unreachable = *e;
		return err_set(
			e, ERR_NOT_FOUND, "%.250s (and %.200s)", missing.msg, unreachable.msg);
	}
	return -1;
}

int registry_manifest(struct registry *r, const char *digest, struct buf *ret,
	char ret_type[static REGISTRY_TYPE_MAX], struct err *e)
{
	return get_manifest(r, digest, ret, ret_type, e);
}

/* --- tags --- */

static bool is_tag(const char *text)
{
	struct ref r;
	struct err ignored;
	scoped(free) char *named = xasprintf("x:%s", text ? text : "");
	return ref_parse(named, &r, &ignored) == 0 && text && strcmp(r.tag, text) == 0;
}

static int add_tags(const struct reply *reply, struct strv *ret, struct err *e)
{
	scoped(json) json_t *doc =
		json_parse(buf_str(reply->body), reply->body->len, "the list of tags", e);
	if (!doc) {
		return -1;
	}
	size_t i;
	json_t *tag;
	json_array_foreach (json_object_get(doc, "tags"), i, tag) {
		if (ret->n == TAGS_MAX) {
			return err_set(
				e, ERR_INVALID, "the repository has more than %d tags", TAGS_MAX);
		}
		if (is_tag(json_string_value(tag))) {
			strv_add(ret, json_string_value(tag));
		}
	}
	return 0;
}

/* Page after page (distribution-spec "Listing Tags"). */
static int list_tags(struct registry *r, struct strv *ret, struct err *e)
{
	scoped(buf) struct buf body = BUF_INIT;
	scoped(buf) struct buf next = BUF_INIT;
	scoped(free) char *url = xasprintf("%s/v2/%s/tags/list", registry_base(r), r->ref.path);
	for (int pages = 0; url && pages < PAGES_MAX; pages++) {
		const struct registry_request q = {.method = "GET", .url = url};
		struct reply reply = {.body = &body, .limit = REGISTRY_MANIFEST_MAX};
		if (registry_send(r, &q, &reply, e) < 0) {
			if (e->kind != ERR_DENIED) {
				return -1;
			}
			reply.status = 401;
		}
		if (reply.status != 200) {
			return refused(r, &reply, e);
		}
		if (add_tags(&reply, ret, e) < 0) {
			return -1;
		}
		buf_clear(&next);
		bool more = registry_link_next(reply.link, &next) &&
			    registry_url_resolve(url, buf_str(&next), &body);
		free(url);
		url = more ? xstrdup(buf_str(&body)) : NULL;
	}
	return 0;
}

int registry_tags(struct registry *r, struct strv *ret, struct err *e)
{
	for (; r->endpoint < r->endpoints.n; r->endpoint++) {
		registry_forget_authorization(r);
		strv_clear(ret);
		if (list_tags(r, ret, e) == 0) {
			return 0;
		}
		if (e->kind != ERR_SYSTEM && registry_is_origin(r)) {
			break;
		}
	}
	r->endpoint = r->endpoints.n - 1;
	return -1;
}

void registry_set_tag(struct registry *r, const char *tag)
{
	snprintf(r->ref.tag, sizeof(r->ref.tag), "%s", tag);
}
