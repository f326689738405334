#include "worker/registry.h"

#include <ctype.h>
#include <curl/curl.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/challenge.h"
#include "worker/stream.h"

#define HUB_HOST "registry-1.docker.io"
#define TOKEN_MAX (64u << 10)
#define ERROR_BODY_MAX (64u << 10)
#define CONNECT_TIMEOUT_S 15L
#define STALL_TIMEOUT_S 60L
#define SMALL_TIMEOUT_S 120L
#define RESUME_TRIES 4

static const char manifest_types[] =
	"Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "
	"application/vnd.docker.distribution.manifest.list.v2+json, "
	"application/vnd.docker.distribution.manifest.v2+json";

struct registry {
	struct ref ref;
	struct strv endpoints; /* "http://127.0.0.1:5000"; the last is the registry itself, the others mirrors */
	size_t endpoint;
	char *user, *password;
	char *fixed_token;
	pthread_mutex_t lock; /* authorization */
	char *authorization;  /* the header line, or NULL */
};

/* What one response said before its body. */
struct reply {
	long status;
	char type[REGISTRY_TYPE_MAX];
	char challenge[3 * CHALLENGE_VALUE_MAX];
	struct buf *body;
	size_t limit;
	bool too_big;
};

/* --- where --- */

static bool is_loopback(const char *domain)
{
	return text_starts(domain, "localhost") || text_starts(domain, "127.") || text_starts(domain, "[::1]");
}

static bool listed(const json_t *list, const char *text)
{
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		if (json_is_string(item) && strcmp(json_string_value(item), text) == 0) {
			return true;
		}
	}
	return false;
}

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
	struct registry *r = xnew(struct registry);
	r->ref = *ref;
	pthread_mutex_init(&r->lock, NULL);
	bool hub = strcmp(ref->domain, REF_DEFAULT_DOMAIN) == 0;
	if (hub) {
		add_mirrors(r, json_object_get(config, "registry-mirrors"));
	}
	bool plain = is_loopback(ref->domain) ||
		     listed(json_object_get(config, "insecure-registries"), ref->domain);
	strv_addf(&r->endpoints, "%s://%s", plain ? "http" : "https", hub ? HUB_HOST : ref->domain);
	if (*json_str(auth, "username")) {
		r->user = xstrdup(json_str(auth, "username"));
		r->password = xstrdup(json_str(auth, "password"));
	}
	if (*json_str(auth, "registrytoken")) {
		r->fixed_token = xstrdup(json_str(auth, "registrytoken"));
	}
	return r;
}

static void forget_authorization(struct registry *r)
{
	free(r->authorization);
	r->authorization = NULL;
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
	forget_authorization(r);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static const char *base_url(const struct registry *r)
{
	return r->endpoints.v[r->endpoint];
}

/* Credentials belong to the registry, not to a mirror of it. */
static bool at_registry_itself(const struct registry *r)
{
	return r->endpoint + 1 == r->endpoints.n;
}

/* --- one request --- */

static void take_header(char *ret, size_t room, const char *line, size_t n, const char *name)
{
	size_t at = strlen(name);
	if (n <= at || strncasecmp(line, name, at) != 0) {
		return;
	}
	while (at < n && (line[at] == ' ' || line[at] == '\t')) {
		at++;
	}
	while (n > at && isspace((unsigned char)line[n - 1])) {
		n--;
	}
	if (n - at < room) {
		memcpy(ret, line + at, n - at);
		ret[n - at] = '\0';
	}
}

static size_t on_header(char *line, size_t size, size_t n, void *owner)
{
	struct reply *reply = owner;
	if (n >= 5 && memcmp(line, "HTTP/", 5) == 0) { /* the next response of a chain of redirects */
		*reply->type = *reply->challenge = '\0';
	}
	take_header(reply->type, sizeof(reply->type), line, n, "Content-Type:");
	if (!text_starts(reply->challenge, "Bearer ")) { /* of several challenges, the token is preferred */
		take_header(reply->challenge, sizeof(reply->challenge), line, n, "WWW-Authenticate:");
	}
	return n;
}

static size_t on_small_body(char *data, size_t size, size_t n, void *owner)
{
	struct reply *reply = owner;
	if (buf_append_limited(reply->body, data, n, reply->limit) < 0) {
		reply->too_big = true;
		return 0;
	}
	return n;
}

static CURL *new_handle(const char *url, struct reply *reply, const struct curl_slist *headers)
{
	CURL *c = curl_easy_init();
	if (!c) {
		abort();
	}
	bool plain = text_starts(url, "http://");
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 1L);
	curl_easy_setopt(c, CURLOPT_MAXREDIRS, 5L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, plain ? "http,https" : "https");
	curl_easy_setopt(c, CURLOPT_REDIR_PROTOCOLS_STR, plain ? "http,https" : "https");
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, CONNECT_TIMEOUT_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, STALL_TIMEOUT_S);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "wherry/" WHERRY_VERSION);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers); /* curl drops Authorization when the host changes */
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, reply);
	if (is_loopback(url + (plain ? 7 : 8))) {
		curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	}
	return c;
}

/* As Go's http client, whose words users and scripts know from Docker. */
static int transport_error(CURL *c, CURLcode code, const char *base, struct err *e)
{
	const char *host = strstr(base, "://") + 3;
	size_t host_len = strcspn(host, "/");
	bool has_port = memchr(host, ':', host_len) && host[host_len - 1] != ']';
	const char *port = has_port ? "" : text_starts(base, "https") ? ":443" : ":80";
	long os_error = 0;
	curl_easy_getinfo(c, CURLINFO_OS_ERRNO, &os_error);
	if (code == CURLE_COULDNT_CONNECT && os_error != 0) {
		char reason[128];
		snprintf(reason, sizeof(reason), "%s", strerror((int)os_error));
		*reason = (char)tolower((unsigned char)*reason);
		return err_set(e, ERR_SYSTEM, "Get \"%s/v2/\": dial tcp %.*s%s: connect: %s", base, (int)host_len, host,
			port, reason);
	}
	if (code == CURLE_COULDNT_RESOLVE_HOST) {
		return err_set(e, ERR_SYSTEM, "Get \"%s/v2/\": dial tcp: lookup %.*s: no such host", base,
			(int)strcspn(host, ":/"), host);
	}
	return err_set(e, ERR_SYSTEM, "Get \"%s/v2/\": %s", base, curl_easy_strerror(code));
}

/* GET of a small document. user: for basic authentication, or NULL. */
static int get_small(const struct registry *r, const char *url, const char *accept, const char *authorization,
	const char *user, struct reply *reply, struct err *e)
{
	struct curl_slist *headers = accept ? curl_slist_append(NULL, accept) : NULL;
	if (authorization) {
		headers = curl_slist_append(headers, authorization);
	}
	buf_clear(reply->body);
	CURL *c = new_handle(url, reply, headers);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, SMALL_TIMEOUT_S);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_small_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, reply);
	if (user) {
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(c, CURLOPT_USERNAME, user);
		curl_easy_setopt(c, CURLOPT_PASSWORD, r->password);
	}
	CURLcode code = curl_easy_perform(c);
	int result = 0;
	if (reply->too_big) {
		result = err_set(e, ERR_INVALID, "the answer of %s is larger than %zu bytes", base_url(r), reply->limit);
	} else if (code != CURLE_OK) {
		result = transport_error(c, code, base_url(r), e);
	}
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &reply->status);
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	return result;
}

/* --- log in --- */

static void add_query(struct buf *url, const char *key, const char *value)
{
	if (*value) {
		buf_printf(url, "%s%s=", strchr(buf_str(url), '?') ? "&" : "?", key);
		percent_encode(value, url);
	}
}

static int fetch_token(struct registry *r, const struct challenge *c, char **ret, struct err *e)
{
	scoped(buf) struct buf url = BUF_INIT;
	scoped(buf) struct buf body = BUF_INIT;
	bool realm_ok = text_starts(c->realm, "https://") ||
			(text_starts(c->realm, "http://") && text_starts(base_url(r), "http://"));
	if (!realm_ok) { /* a password must not leave in the clear because a registry says so */
		return err_set(e, ERR_SYSTEM, "the registry %s asks to log in at an insecure place", base_url(r));
	}
	buf_puts(&url, c->realm);
	add_query(&url, "service", c->service);
	add_query(&url, "scope", c->scope);
	struct reply reply = {.body = &body, .limit = TOKEN_MAX};
	if (get_small(r, buf_str(&url), NULL, NULL, at_registry_itself(r) ? r->user : NULL, &reply, e) < 0) {
		return -1;
	}
	if (reply.status != 200) {
		return err_set(e, ERR_DENIED, "unauthorized: authentication required");
	}
	scoped(json) json_t *doc = json_parse(buf_str(&body), body.len, "the token", e);
	const char *token = json_str(doc, "token");
	token = *token ? token : json_str(doc, "access_token");
	if (!*token || strpbrk(token, "\r\n")) {
		return err_set(e, ERR_SYSTEM, "the token server of %s sent no token", base_url(r));
	}
	*ret = xasprintf("Authorization: Bearer %s", token);
	return 0;
}

static char *basic_line(const struct registry *r)
{
	scoped(free) char *pair = xasprintf("%s:%s", r->user, r->password);
	struct buf line = BUF_INIT;
	buf_puts(&line, "Authorization: Basic ");
	base64_encode(pair, strlen(pair), &line);
	return buf_take_str(&line);
}

/* Answers a 401. used: the authorization that was refused, or NULL; another thread may have renewed it. */
static int log_in(struct registry *r, const char *header, const char *used, struct err *e)
{
	struct challenge c;
	int result = 0;
	pthread_mutex_lock(&r->lock);
	bool renewed = r->authorization && (!used || strcmp(used, r->authorization) != 0);
	if (renewed) {
		goto out;
	}
	forget_authorization(r);
	if (!challenge_parse(header, &c)) {
		result = err_set(e, ERR_DENIED, "unauthorized: authentication required");
	} else if (c.bearer && r->fixed_token && at_registry_itself(r)) {
		r->authorization = xasprintf("Authorization: Bearer %s", r->fixed_token);
	} else if (c.bearer) {
		result = fetch_token(r, &c, &r->authorization, e);
	} else if (r->user && at_registry_itself(r)) {
		r->authorization = basic_line(r);
	} else {
		result = err_set(e, ERR_DENIED, "no basic auth credentials");
	}
out:
	pthread_mutex_unlock(&r->lock);
	return result;
}

static char *copy_authorization(struct registry *r)
{
	pthread_mutex_lock(&r->lock);
	char *line = xstrdup(r->authorization);
	pthread_mutex_unlock(&r->lock);
	return line;
}

/* --- manifests --- */

/* "MANIFEST_UNKNOWN" and "manifest unknown" as Docker prints them: "manifest unknown: manifest unknown". */
static void registry_words(const struct reply *reply, char *ret, size_t room, char code[static 64])
{
	struct err ignored;
	scoped(json) json_t *doc = json_parse(buf_str(reply->body), reply->body->len, "the error", &ignored);
	json_t *first = json_array_get(json_object_get(doc, "errors"), 0);
	snprintf(code, 64, "%.63s", json_str(first, "code"));
	if (!*code) {
		snprintf(ret, room, "received unexpected HTTP status: %ld", reply->status);
		return;
	}
	char words[64];
	for (size_t i = 0; i < sizeof(words); i++) {
		words[i] = code[i] == '_' ? ' ' : (char)tolower((unsigned char)code[i]);
	}
	snprintf(ret, room, "%s: %.160s", words, json_str(first, "message"));
}

static int refused(const struct registry *r, const struct reply *reply, struct err *e)
{
	char words[256], code[64], familiar[REF_TEXT_MAX], name[REF_TEXT_MAX];
	registry_words(reply, words, sizeof(words), code);
	ref_familiar(&r->ref, familiar);
	ref_familiar_name(&r->ref, name);
	if (reply->status == 401 || reply->status == 403 || strcmp(code, "DENIED") == 0) {
		return err_set(e, ERR_NOT_FOUND,
			"pull access denied for %s, repository does not exist or may require 'docker login': %s", name,
			*code ? words : "denied: requested access to the resource is denied");
	}
	if (strcmp(code, "NAME_UNKNOWN") == 0) {
		return err_set(e, ERR_NOT_FOUND, "repository %s not found: %s", name, words);
	}
	if (reply->status == 404) {
		return err_set(e, ERR_NOT_FOUND, "manifest for %s not found: %s", familiar,
			*code ? words : "manifest unknown: manifest unknown");
	}
	return err_set(e, ERR_SYSTEM, "cannot pull %s from %s: %s", familiar, base_url(r), words);
}

static int get_manifest(
	struct registry *r, const char *what, struct buf *ret, char ret_type[static REGISTRY_TYPE_MAX], struct err *e)
{
	scoped(free) char *url = xasprintf("%s/v2/%s/manifests/%s", base_url(r), r->ref.path, what);
	for (int tries = 0;; tries++) {
		scoped(free) char *authorization = copy_authorization(r);
		struct reply reply = {.body = ret, .limit = REGISTRY_MANIFEST_MAX};
		if (get_small(r, url, manifest_types, authorization, NULL, &reply, e) < 0) {
			return -1;
		}
		if (reply.status == 401 && tries == 0) {
			struct err why;
			if (log_in(r, reply.challenge, authorization, &why) == 0) {
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
	bool more = r->endpoint + 1 < r->endpoints.n;
	r->endpoint += more;
	return more;
}

int registry_resolve(struct registry *r, struct buf *ret, char ret_type[static REGISTRY_TYPE_MAX], struct err *e)
{
	const char *what = *r->ref.digest ? r->ref.digest : r->ref.tag;
	struct err missing = {0};
	for (; r->endpoint < r->endpoints.n; r->endpoint++) {
		forget_authorization(r);
		if (get_manifest(r, what, ret, ret_type, e) == 0) {
			return 0;
		}
		if (e->kind == ERR_NOT_FOUND && !*missing.msg) {
			missing = *e;
		}
	}
	r->endpoint = r->endpoints.n - 1;
	if (e->kind != ERR_NOT_FOUND && *missing.msg) { /* a mirror answered, the registry cannot be reached */
		struct err unreachable = *e;
		return err_set(e, ERR_NOT_FOUND, "%.250s (and %.200s)", missing.msg, unreachable.msg);
	}
	return -1;
}

int registry_manifest(struct registry *r, const char *digest, struct buf *ret,
	char ret_type[static REGISTRY_TYPE_MAX], struct err *e)
{
	return get_manifest(r, digest, ret, ret_type, e);
}

/* --- blobs --- */

struct blob {
	struct stream base;
	struct registry *registry;
	char digest[REF_DIGEST_LEN + 1];
	int64_t size;
	int64_t received; /* of the blob, over all connections */
	int64_t skip;     /* bytes that come again because the server ignores ranges */
	CURLM *multi;
	CURL *easy; /* NULL between connections */
	struct curl_slist *headers;
	char *authorization;
	struct reply reply;
	CURLcode code;
	int tries, logins;
	bool over, paused, checked;
	char data[STREAM_CHUNK];
	size_t begin, end;
};

/* Looks at the status once, before the first byte counts. */
static bool body_wanted(struct blob *b)
{
	if (!b->checked) {
		b->checked = true;
		curl_easy_getinfo(b->easy, CURLINFO_RESPONSE_CODE, &b->reply.status);
		b->skip = b->reply.status == 200 ? b->received : 0;
	}
	return b->reply.status == 200 || b->reply.status == 206;
}

static size_t on_blob(char *data, size_t size, size_t n, void *owner)
{
	struct blob *b = owner;
	if (!body_wanted(b)) {
		return n; /* an error page */
	}
	if (b->begin == b->end) {
		b->begin = b->end = 0;
	}
	if (n > sizeof(b->data) - b->end) {
		b->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	size_t skipped = b->skip < (int64_t)n ? (size_t)b->skip : n;
	b->skip -= (int64_t)skipped;
	memcpy(b->data + b->end, data + skipped, n - skipped);
	b->end += n - skipped;
	b->received += (int64_t)(n - skipped);
	return n;
}

static void disconnect(struct blob *b)
{
	if (b->easy) {
		curl_multi_remove_handle(b->multi, b->easy);
		curl_easy_cleanup(b->easy);
	}
	b->easy = NULL;
	curl_slist_free_all(b->headers);
	b->headers = NULL;
	free(b->authorization);
	b->authorization = NULL;
}

static void connect_blob(struct blob *b)
{
	scoped(free) char *url = xasprintf(
		"%s/v2/%s/blobs/%s", base_url(b->registry), b->registry->ref.path, b->digest);
	b->authorization = copy_authorization(b->registry);
	b->headers = b->authorization ? curl_slist_append(NULL, b->authorization) : NULL;
	b->reply = (struct reply){0};
	b->over = b->paused = b->checked = false;
	b->easy = new_handle(url, &b->reply, b->headers);
	curl_easy_setopt(b->easy, CURLOPT_WRITEFUNCTION, on_blob);
	curl_easy_setopt(b->easy, CURLOPT_WRITEDATA, b);
	if (b->received > 0) {
		char range[32];
		snprintf(range, sizeof(range), "%lld-", (long long)b->received);
		curl_easy_setopt(b->easy, CURLOPT_RANGE, range);
	}
	curl_multi_add_handle(b->multi, b->easy);
}

static void sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&t, NULL);
}

/* The connection has ended and all its bytes were read. 1: connected again, 0: the blob is complete, -1 with *e. */
static int next_connection(struct blob *b, struct err *e)
{
	long status = b->reply.status;
	if (b->code == CURLE_OK && !b->checked) { /* no body at all */
		curl_easy_getinfo(b->easy, CURLINFO_RESPONSE_CODE, &status);
	}
	if (b->code == CURLE_OK && status == 401 && b->logins++ == 0) {
		if (log_in(b->registry, b->reply.challenge, b->authorization, e) < 0) {
			return -1;
		}
		disconnect(b);
		connect_blob(b);
		return 1;
	}
	if (b->code == CURLE_OK && status != 200 && status != 206) {
		return err_set(e, status == 404 ? ERR_NOT_FOUND : ERR_SYSTEM,
			"cannot fetch layer %.19s: %s", b->digest,
			status == 404 ? "blob unknown: blob unknown to registry" : "unexpected HTTP status");
	}
	if (b->received >= b->size) {
		return 0;
	}
	if (b->code == CURLE_OK) { /* the server believes that this is all */
		return err_set(e, ERR_INVALID, "unexpected EOF: %.19s has %lld bytes, the manifest says %lld", b->digest,
			(long long)b->received, (long long)b->size);
	}
	if (++b->tries > RESUME_TRIES) {
		(void)transport_error(b->easy, b->code, base_url(b->registry), e);
		return err_wrap(e, "cannot fetch %.19s", b->digest);
	}
	disconnect(b);
	sleep_ms(200L << b->tries);
	connect_blob(b);
	return 1;
}

/* Lets curl work until there is a byte or the connection has ended. */
static void pump(struct blob *b)
{
	if (b->paused) {
		b->paused = false;
		curl_easy_pause(b->easy, CURLPAUSE_CONT);
	}
	while (b->begin == b->end && !b->over) {
		int running, left;
		curl_multi_perform(b->multi, &running);
		CURLMsg *msg;
		while ((msg = curl_multi_info_read(b->multi, &left))) {
			if (msg->msg == CURLMSG_DONE) {
				b->over = true;
				b->code = msg->data.result;
			}
		}
		if (b->begin == b->end && !b->over) {
			curl_multi_poll(b->multi, NULL, 0, 1000, NULL);
		}
	}
}

static ssize_t blob_read(struct stream *s, void *data, size_t n, struct err *e)
{
	struct blob *b = container_of(s, struct blob, base);
	if (!b->easy) {
		connect_blob(b);
	}
	while (b->begin == b->end) {
		if (!b->over) {
			pump(b);
			continue;
		}
		int r = next_connection(b, e);
		if (r <= 0) {
			return r;
		}
	}
	if (b->received > b->size) {
		return err_set(e, ERR_INVALID, "%.19s is larger than the %lld bytes that the manifest says", b->digest,
			(long long)b->size);
	}
	size_t kept = b->end - b->begin;
	n = n < kept ? n : kept;
	memcpy(data, b->data + b->begin, n);
	b->begin += n;
	return (ssize_t)n;
}

static void blob_free(struct stream *s)
{
	struct blob *b = container_of(s, struct blob, base);
	disconnect(b);
	curl_multi_cleanup(b->multi);
	free(b);
}

struct stream *registry_blob(struct registry *r, const char *digest, int64_t size)
{
	struct blob *b = xnew(struct blob);
	b->base = (struct stream){blob_read, blob_free};
	b->registry = r;
	snprintf(b->digest, sizeof(b->digest), "%s", digest);
	b->size = size;
	b->multi = curl_multi_init();
	if (!b->multi) {
		abort();
	}
	return &b->base;
}
