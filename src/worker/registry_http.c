#include "worker/registry_http.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"

#define TOKEN_MAX (64u << 10)
#define CONNECT_TIMEOUT_S 15L
#define STALL_TIMEOUT_S 60L
#define SMALL_TIMEOUT_S 120L
#define FINISH_TIMEOUT_S 900L
#define BUSY_TRIES 5
#define RETRY_AFTER_MAX_S 30
#define CLIENT_ID "docker" /* config.json is shared: a token may be for this client alone */

/* Exactly these: "127.0.0.1.example.com" is somebody else, and would be spoken to in the clear. */
bool registry_is_loopback(const char *host)
{
	scoped(free) char *name =
		xstrndup(host, *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/"));
	struct in_addr ip;
	return strcmp(name, "localhost") == 0 || strcmp(name, "[::1]") == 0 ||
	       (inet_pton(AF_INET, name, &ip) == 1 && ntohl(ip.s_addr) >> 24 == 127);
}

const char *registry_base(const struct registry *r)
{
	return r->endpoints.v[r->endpoint];
}

/* Credentials belong to the registry, not to a mirror of it. */
bool registry_is_origin(const struct registry *r)
{
	return r->endpoint >= r->n_mirrors;
}

bool registry_is_own(const struct registry *r, const char *url)
{
	const char *base = registry_base(r);
	size_t n = strlen(base);
	return strncmp(url, base, n) == 0 && (!url[n] || strchr("/?", url[n]));
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
	const struct {
		const char *name;
		char *to;
		size_t room;
	} wanted[] = {
		{"Content-Type:", reply->type, sizeof(reply->type)},
		{"Location:", reply->location, sizeof(reply->location)},
		{"Link:", reply->link, sizeof(reply->link)},
		{"Content-Range:", reply->content_range, sizeof(reply->content_range)},
		{"Range:", reply->range, sizeof(reply->range)},
		{"Retry-After:", reply->retry_after, sizeof(reply->retry_after)},
		{"OCI-Chunk-Min-Length:", reply->chunk_min, sizeof(reply->chunk_min)},
		{"Docker-Content-Digest:", reply->content_digest, sizeof(reply->content_digest)},
	};
	/* the next response of a chain of redirects: nothing of the one before counts */
	bool begins = n >= 5 && memcmp(line, "HTTP/", 5) == 0;
	if (begins) {
		*reply->challenge = '\0';
	}
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		if (begins) {
			*wanted[i].to = '\0';
		}
		take_header(wanted[i].to, wanted[i].room, line, n, wanted[i].name);
	}
	if (!text_starts(reply->challenge,
		    "Bearer ")) { /* of several challenges, the token is preferred */
		take_header(
			reply->challenge, sizeof(reply->challenge), line, n, "WWW-Authenticate:");
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

void registry_small_answer(CURL *c, struct reply *reply)
{
	buf_clear(reply->body);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_small_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, reply);
}

CURL *registry_handle(const struct registry *r, const char *url, struct reply *reply,
	const struct curl_slist *headers)
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
	curl_easy_setopt(c, CURLOPT_HTTPHEADER,
		headers); /* curl drops Authorization when the host changes */
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, reply);
	registry_trust(c, r);
	if (registry_is_loopback(url + (plain ? 7 : 8))) {
		curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	}
	return c;
}

/* As Go's http client, whose words users and scripts know from Docker. */
int registry_transport_error(CURL *c, CURLcode code, const char *base, struct err *e)
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
		return err_set(e, ERR_SYSTEM, "Get \"%s/v2/\": dial tcp %.*s%s: connect: %s", base,
			(int)host_len, host, port, reason);
	}
	if (code == CURLE_COULDNT_RESOLVE_HOST) {
		return err_set(e, ERR_SYSTEM, "Get \"%s/v2/\": dial tcp: lookup %.*s: no such host",
			base, (int)strcspn(host, ":/"), host);
	}
	if (code == CURLE_SSL_CERTPROBLEM) {
		return err_set(e, ERR_SYSTEM,
			"Get \"%s/v2/\": the client certificate in /etc/docker/certs.d/%.*s cannot be used: a .cert needs its .key beside it",
			base, (int)host_len, host);
	}
	return err_set(e, ERR_SYSTEM, "Get \"%s/v2/\": %s", base, curl_easy_strerror(code));
}

static struct curl_slist *add_line(struct curl_slist *lines, const char *line)
{
	return line ? curl_slist_append(lines, line) : lines;
}

static void set_method(CURL *c, const struct registry_request *q)
{
	if (strcmp(q->method, "HEAD") == 0) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	} else if (strcmp(q->method, "GET") != 0) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body ? q->body : "");
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
	}
}

/* One request and its small answer. user: for basic authentication, or NULL. */
static int perform(const struct registry *r, const struct registry_request *q,
	const char *authorization, const char *user, struct reply *reply, struct err *e)
{
	struct curl_slist *headers = add_line(NULL, q->accept);
	headers = add_line(headers, registry_is_own(r, q->url) ? authorization : NULL);
	headers = add_line(headers, q->content_type ? q->content_type : "Content-Type:");
	headers = add_line(headers, q->range);
	headers = curl_slist_append(headers, "Expect:"); /* or curl waits a second for 100 */
	CURL *c = registry_handle(r, q->url, reply, headers);
	set_method(c, q);
	bool finishes = strcmp(q->method, "PUT") == 0; /* registries move what they got */
	curl_easy_setopt(c, CURLOPT_TIMEOUT, finishes ? FINISH_TIMEOUT_S : SMALL_TIMEOUT_S);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, finishes ? 0L : STALL_TIMEOUT_S);
	registry_small_answer(c, reply);
	if (user) {
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, CURLAUTH_BASIC);
		curl_easy_setopt(c, CURLOPT_USERNAME, user);
		curl_easy_setopt(c, CURLOPT_PASSWORD, r->password);
	}
	CURLcode code = curl_easy_perform(c);
	int result = 0;
	if (reply->too_big) {
		result = err_set(e, ERR_INVALID, "the answer of %s is larger than %zu bytes",
			registry_base(r), reply->limit);
	} else if (code != CURLE_OK) {
		result = registry_transport_error(c, code, registry_base(r), e);
	}
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &reply->status);
	curl_easy_getinfo(c, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &reply->length);
	curl_easy_cleanup(c);
	curl_slist_free_all(headers);
	return result;
}

void registry_sleep_ms(long ms)
{
	struct timespec t = {ms / 1000, ms % 1000 * 1000000};
	nanosleep(&t, NULL);
}

bool registry_wait(const struct reply *reply, int *tries)
{
	if ((reply->status != 429 && reply->status != 503) || ++*tries > BUSY_TRIES) {
		return false;
	}
	int seconds = registry_retry_after(reply->retry_after, 1, RETRY_AFTER_MAX_S);
	registry_sleep_ms(seconds > 0 ? seconds * 1000L : 200L);
	return true;
}

int registry_get(const struct registry *r, const char *url, const char *accept,
	const char *authorization, const char *user, struct reply *reply, struct err *e)
{
	const struct registry_request q = {.method = "GET", .url = url, .accept = accept};
	int busy = 0;
	do {
		if (perform(r, &q, authorization, user, reply, e) < 0) {
			return -1;
		}
	} while (registry_wait(reply, &busy));
	return 0;
}

int registry_send(
	struct registry *r, const struct registry_request *q, struct reply *reply, struct err *e)
{
	int busy = 0;
	int logins = 0;
	for (;;) {
		scoped(free) char *authorization = registry_authorization(r);
		if (perform(r, q, authorization, NULL, reply, e) < 0) {
			return -1;
		}
		if (reply->status == 401 && logins++ == 0) {
			if (registry_log_in(r, reply->challenge, authorization, e) < 0) {
				return -1;
			}
			continue;
		}
		if (reply->status == 401) {
			char words[256], code[64];
			registry_words(reply, words, sizeof(words), code);
			return err_set(e, ERR_DENIED, "%s",
				*code ? words : "unauthorized: authentication required");
		}
		if (!registry_wait(reply, &busy)) {
			return 0;
		}
	}
}

/* --- what a registry says about a failure --- */

const char *registry_status_words(long status)
{
	static const struct {
		long status;
		const char *words;
	} known[] = {{400, " Bad Request"}, {401, " Unauthorized"}, {403, " Forbidden"},
		{404, " Not Found"}, {405, " Method Not Allowed"}, {409, " Conflict"},
		{411, " Length Required"}, {413, " Request Entity Too Large"},
		{416, " Requested Range Not Satisfiable"}, {429, " Too Many Requests"},
		{500, " Internal Server Error"}, {501, " Not Implemented"}, {502, " Bad Gateway"},
		{503, " Service Unavailable"}, {504, " Gateway Timeout"}};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (known[i].status == status) {
			return known[i].words;
		}
	}
	return "";
}

int registry_refused(const struct reply *reply, struct err *e)
{
	char words[256], code[64];
	registry_words(reply, words, sizeof(words), code);
	bool denied = reply->status == 403 || strcmp(code, "DENIED") == 0;
	return err_set(e, denied ? ERR_DENIED : ERR_SYSTEM, "%s",
		denied && !*code ? "denied: requested access to the resource is denied" : words);
}

/* "MANIFEST_UNKNOWN" and "manifest unknown" as Docker prints them: "manifest unknown: manifest
 * unknown". */
void registry_words(const struct reply *reply, char *ret, size_t room, char code[static 64])
{
	struct err ignored;
	scoped(json) json_t *doc =
		json_parse(buf_str(reply->body), reply->body->len, "the error", &ignored);
	json_t *first = json_array_get(json_object_get(doc, "errors"), 0);
	snprintf(code, 64, "%.63s", json_str(first, "code"));
	if (!*code) {
		snprintf(ret, room, "received unexpected HTTP status: %ld%s", reply->status,
			registry_status_words(reply->status));
		return;
	}
	char words[64];
	for (size_t i = 0; i < sizeof(words); i++) {
		words[i] = code[i] == '_' ? ' ' : (char)tolower((unsigned char)code[i]);
	}
	snprintf(ret, room, "%s: %.160s", words, json_str(first, "message"));
}

/* --- log in --- */

void registry_forget_authorization(struct registry *r)
{
	free(r->authorization);
	r->authorization = NULL;
}

/* With the reason that the token server gives: "details" (Docker Hub) or the errors of the
 * distribution-spec. */
static int token_refused(const struct reply *reply, struct err *e)
{
	struct err ignored;
	scoped(json) json_t *doc =
		json_parse(buf_str(reply->body), reply->body->len, "the refusal", &ignored);
	const json_t *first = json_array_get(json_object_get(doc, "errors"), 0);
	const char *why = json_str(doc, "details");
	why = *why ? why : json_str(first, "message");
	return err_set(
		e, ERR_DENIED, "unauthorized: %.160s", *why ? why : "authentication required");
}

static void add_scopes(const struct registry *r, const struct challenge *c, struct buf *to)
{
	for (size_t i = 0; i < r->scopes.n; i++) {
		registry_url_query(to, "scope", r->scopes.v[i]);
	}
	if (r->scopes.n == 0 && *c->scope) {
		registry_url_query(to, "scope", c->scope);
	}
}

/* With a user's password or for anybody: distribution "token authentication". A login says who it
 * is, so that the server can give a token for good. */
static int get_token(
	struct registry *r, const struct challenge *c, struct reply *reply, struct err *e)
{
	scoped(buf) struct buf url = BUF_INIT;
	buf_puts(&url, c->realm);
	if (*c->service) {
		registry_url_query(&url, "service", c->service);
	}
	add_scopes(r, c, &url);
	const char *user = registry_is_origin(r) ? r->user : NULL;
	if (r->wants_identity && user) {
		registry_url_query(&url, "account", user);
		registry_url_query(&url, "client_id", CLIENT_ID);
		registry_url_query(&url, "offline_token", "true");
	}
	return registry_get(r, buf_str(&url), NULL, NULL, user, reply, e);
}

/* With an identity token: distribution "OAuth 2 token authentication". */
static int post_token(
	struct registry *r, const struct challenge *c, struct reply *reply, struct err *e)
{
	scoped(buf) struct buf form = BUF_INIT;
	/* a form is a query without its first character */
	registry_url_query(&form, "grant_type", "refresh_token");
	registry_url_query(&form, "service", c->service);
	registry_url_query(&form, "client_id", CLIENT_ID);
	registry_url_query(&form, "refresh_token", r->identity_token);
	if (r->scopes.n == 0) {
		registry_url_query(&form, "scope", c->scope);
	} else { /* one parameter, blanks between */
		scoped(buf) struct buf all = BUF_INIT;
		for (size_t i = 0; i < r->scopes.n; i++) {
			buf_printf(&all, "%s%s", i ? " " : "", r->scopes.v[i]);
		}
		registry_url_query(&form, "scope", buf_str(&all));
	}
	const struct registry_request q = {.method = "POST",
		.url = c->realm,
		.content_type = "Content-Type: application/x-www-form-urlencoded",
		.body = form.data + 1,
		.body_len = form.len - 1};
	return perform(r, &q, NULL, NULL, reply, e);
}

static void take_identity(struct registry *r, const json_t *answer)
{
	const char *token = json_str(answer, "refresh_token");
	if (r->wants_identity && *token) {
		free(r->identity_token);
		r->identity_token = xstrdup(token);
	}
}

static int fetch_token(struct registry *r, const struct challenge *c, char **ret, struct err *e)
{
	scoped(buf) struct buf body = BUF_INIT;
	bool realm_ok =
		text_starts(c->realm, "https://") ||
		(text_starts(c->realm, "http://") && text_starts(registry_base(r), "http://"));
	if (!realm_ok) { /* a password must not leave in the clear because a registry says so */
		return err_set(e, ERR_SYSTEM, "the registry %s asks to log in at an insecure place",
			registry_base(r));
	}
	struct reply reply = {.body = &body, .limit = TOKEN_MAX};
	bool refresh = r->identity_token && registry_is_origin(r);
	if ((refresh ? post_token : get_token)(r, c, &reply, e) < 0) {
		return -1;
	}
	if (reply.status != 200) {
		return token_refused(&reply, e);
	}
	scoped(json) json_t *doc = json_parse(buf_str(&body), body.len, "the token", e);
	const char *token = json_str(doc, "token");
	token = *token ? token : json_str(doc, "access_token");
	if (!*token || strpbrk(token, "\r\n")) {
		return err_set(
			e, ERR_SYSTEM, "the token server of %s sent no token", registry_base(r));
	}
	*ret = xasprintf("Authorization: Bearer %s", token);
	take_identity(r, doc);
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

int registry_log_in(struct registry *r, const char *header, const char *used, struct err *e)
{
	struct challenge c;
	int result = 0;
	pthread_mutex_lock(&r->lock);
	bool renewed = r->authorization && (!used || strcmp(used, r->authorization) != 0);
	if (renewed) {
		goto out;
	}
	registry_forget_authorization(r);
	if (!challenge_parse(header, &c)) {
		result = err_set(e, ERR_DENIED, "unauthorized: authentication required");
	} else if (c.bearer && r->fixed_token && registry_is_origin(r)) {
		r->authorization = xasprintf("Authorization: Bearer %s", r->fixed_token);
	} else if (c.bearer) {
		result = fetch_token(r, &c, &r->authorization, e);
	} else if (r->user && registry_is_origin(r)) {
		r->authorization = basic_line(r);
	} else {
		result = err_set(e, ERR_DENIED, "no basic auth credentials");
	}
out:
	pthread_mutex_unlock(&r->lock);
	return result;
}

char *registry_authorization(struct registry *r)
{
	pthread_mutex_lock(&r->lock);
	char *line = xstrdup(r->authorization);
	pthread_mutex_unlock(&r->lock);
	return line;
}
