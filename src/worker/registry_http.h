/* worker/registry_http.h - what the files of registry share: one request, and the authorization it
 * needs. Nobody else includes it. */
#pragma once
#include <curl/curl.h>
#include <pthread.h>

#include "base/strv.h"
#include "codec/challenge.h"
#include "codec/registry_text.h"
#include "worker/registry.h"

#define REGISTRY_SHORT_HEADER_MAX 64

struct registry {
	struct ref ref;
	struct strv endpoints; /* "http://127.0.0.1:5000": mirrors, then the registry itself, in one
				  way or two */
	size_t endpoint;
	size_t n_mirrors;
	size_t attempts; /* to fetch a blob */
	bool insecure;   /* the registry may show any certificate */
	char *user, *password;
	char *fixed_token;
	char *identity_token; /* an OAuth 2 refresh token, instead of a password */
	bool wants_identity;  /* a login: the token server is asked for such a token */
	struct strv scopes;   /* of tokens; none: what the challenge says */
	pthread_mutex_t lock; /* authorization */
	char *authorization;  /* the header line, or NULL */
};

/* What one response said before its body. */
struct reply {
	long status;
	char type[REGISTRY_TYPE_MAX];
	char challenge[3 * CHALLENGE_VALUE_MAX];
	char location[REGISTRY_URL_MAX + 1];
	char link[REGISTRY_URL_MAX + 1];
	char content_range[2 * REGISTRY_SHORT_HEADER_MAX];
	char range[REGISTRY_SHORT_HEADER_MAX];
	char retry_after[REGISTRY_SHORT_HEADER_MAX];
	char chunk_min[REGISTRY_SHORT_HEADER_MAX]; /* OCI-Chunk-Min-Length */
	char content_digest[REF_DIGEST_LEN + 1];   /* Docker-Content-Digest; not verified */
	curl_off_t length;                         /* Content-Length, or -1 */
	struct buf *body;                          /* of registry_get */
	size_t limit;
	bool too_big;
};

/* --- registry_tls.c --- */
/* By its name in the daemon's list of insecure registries, or by an address in a range there. */
bool registry_is_insecure(const json_t *list, const char *domain);
/* What the endpoint in use must show, and what we show it. */
void registry_trust(CURL *c, const struct registry *r);

bool registry_is_loopback(const char *host);         /* what follows ':' or '/' is ignored */
bool registry_is_origin(const struct registry *r);   /* the endpoint in use is no mirror */
const char *registry_base(const struct registry *r); /* the endpoint in use; borrowed */

/* Whether url is below the endpoint in use: what is elsewhere gets no authorization. */
bool registry_is_own(const struct registry *r, const char *url);

/* The body of what a handle is answered goes to reply. */
void registry_small_answer(CURL *c, struct reply *reply);

/* A handle for url that fills reply's head; headers are borrowed. The caller cleans it up. */
CURL *registry_handle(const struct registry *r, const char *url, struct reply *reply,
	const struct curl_slist *headers);
int registry_transport_error(CURL *c, CURLcode code, const char *base, struct err *e);
/* GET of a small document. accept and authorization: header lines or NULL; user: for basic
 * authentication, or NULL. */
int registry_get(const struct registry *r, const char *url, const char *accept,
	const char *authorization, const char *user, struct reply *reply, struct err *e);

/* A request that may be sent again: after a log-in when it is answered with 401, and after the time
 * that a 429 or 503 asks for. */
struct registry_request {
	const char *method; /* "GET", "HEAD", "POST", "PATCH", "PUT", "DELETE" */
	const char *url;
	const char *accept, *content_type, *range; /* header lines, or NULL */
	const void *body;                          /* NULL: none */
	size_t body_len;
};
/* 0 with any status but 401; ERR_DENIED with Docker's words when there are no good credentials. */
int registry_send(
	struct registry *r, const struct registry_request *q, struct reply *reply, struct err *e);
/* Waits as long as a 429 or 503 asks for. False when that is no such answer, or was one too often.
 */
bool registry_wait(const struct reply *reply, int *tries);
void registry_sleep_ms(long ms);

/* "code: message" of the first error in a registry's document, as Docker prints it, or "received
 * unexpected HTTP status: 500 Internal Server Error". code: "DENIED", or "". */
void registry_words(const struct reply *reply, char *ret, size_t room, char code[static 64]);
const char *registry_status_words(long status); /* " Not Found", or "" */
/* The same as an error: ERR_DENIED for 403. */
int registry_refused(const struct reply *reply, struct err *e);

/* Answers a 401. used: the authorization that was refused, or NULL; another thread may have renewed
 * it. ERR_DENIED when there is nothing to answer with. */
int registry_log_in(struct registry *r, const char *header, const char *used, struct err *e);
char *registry_authorization(struct registry *r); /* the header line, the caller's; or NULL */
void registry_forget_authorization(struct registry *r);
