/* worker/registry_http.h - what the files of registry share: one request, and the authorization it
 * needs. Nobody else includes it. */
#pragma once
#include <curl/curl.h>
#include <pthread.h>

#include "base/strv.h"
#include "codec/challenge.h"
#include "worker/registry.h"

struct registry {
	struct ref ref;
	struct strv endpoints; /* "http://127.0.0.1:5000": mirrors, then the registry itself, in one
				  way or two */
	size_t endpoint;
	size_t n_mirrors;
	bool insecure; /* the registry may show any certificate */
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
	struct buf *body; /* of registry_get */
	size_t limit;
	bool too_big;
};

bool registry_is_loopback(const char *host);         /* what follows ':' or '/' is ignored */
bool registry_is_origin(const struct registry *r);   /* the endpoint in use is no mirror */
const char *registry_base(const struct registry *r); /* the endpoint in use; borrowed */

/* A handle for url that fills reply's head; headers are borrowed. The caller cleans it up. */
CURL *registry_handle(const struct registry *r, const char *url, struct reply *reply,
	const struct curl_slist *headers);
int registry_transport_error(CURL *c, CURLcode code, const char *base, struct err *e);
/* GET of a small document. accept and authorization: header lines or NULL; user: for basic
 * authentication, or NULL. */
int registry_get(const struct registry *r, const char *url, const char *accept,
	const char *authorization, const char *user, struct reply *reply, struct err *e);

/* Answers a 401. used: the authorization that was refused, or NULL; another thread may have renewed
 * it. ERR_DENIED when there is nothing to answer with. */
int registry_log_in(struct registry *r, const char *header, const char *used, struct err *e);
char *registry_authorization(struct registry *r); /* the header line, the caller's; or NULL */
void registry_forget_authorization(struct registry *r);
