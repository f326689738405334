/* worker/registry.h - one repository of an OCI distribution registry, over libcurl.
 *
 * Finds the endpoint (mirrors first for docker.io), logs in when asked (bearer token or basic), and
 * reads manifests and blobs. Nothing that comes back is verified here: the caller hashes it. OCI
 * distribution-spec 1.1 "Pull"; distribution "token authentication".
 */
#pragma once
#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/strv.h"
#include "codec/ref.h"

struct registry;
struct stream;

#define REGISTRY_MANIFEST_MAX (4u << 20)
#define REGISTRY_TYPE_MAX 160

/* config: {"registry-mirrors": [], "insecure-registries": [name or network],
 * "max-download-attempts": number} or NULL; auth:
 * {"username", "password"}, {"identitytoken"} or NULL. */
struct registry *registry_new(const json_t *config, const struct ref *ref, const json_t *auth);
void registry_free(struct registry *r);
/* How many transfers at a time the configuration wants: at most max; dflt when it says nothing. */
size_t registry_parallel(const json_t *config, const char *key, size_t dflt, size_t max);

/* Gives the mirror up that answered: registry_resolve begins with the one after it. False when it
 * was no mirror. */
bool registry_next(struct registry *r);

/* Asks /v2/ of the registry itself, no mirror, with the credentials. ERR_UNAUTHORIZED with Docker's
 * words when they are refused: "login attempt to https://x/v2/ failed with status: 401
 * Unauthorized", "Get \"https://x/v2/\": unauthorized: incorrect username or password". */
int registry_check_login(struct registry *r, struct err *e);
/* What its token server gave to be sent instead of the password from now on; "" for none. */
const char *registry_identity_token(const struct registry *r);

/* The manifest that ref names, from the first endpoint that has it; later requests go to the same
 * one. ERR_NOT_FOUND with Docker's words: "manifest for x:y not found: manifest unknown: manifest
 * unknown", "pull access denied for x, repository does not exist or may require 'docker login':
 * ...". */
int registry_resolve(struct registry *r, struct buf *ret, char ret_type[static REGISTRY_TYPE_MAX],
	struct err *e);

/* The tags of the repository, from the first endpoint that lists them; what follows asks that one.
 * Errors as of registry_resolve. */
int registry_tags(struct registry *r, struct strv *ret, struct err *e);
/* The tag that the next registry_resolve is about. */
void registry_set_tag(struct registry *r, const char *tag);

/* A manifest by digest, after registry_resolve. */
int registry_manifest(struct registry *r, const char *digest, struct buf *ret,
	char ret_type[static REGISTRY_TYPE_MAX], struct err *e);

/* How long a gzip blob of size bytes is unpacked, as its end says (RFC 1952 2.3.1): modulo 2^32,
 * and only of the last member. -1: it could not be asked. */
int64_t registry_gzip_size(struct registry *r, const char *digest, int64_t size);

/* The bytes of a blob; a broken connection is resumed a few times. Any thread, one stream a thread.
 * Exactly size bytes come, or an error. */
struct stream *registry_blob(struct registry *r, const char *digest, int64_t size);
/* A small one, an image's configuration, whole and with its digest checked; appended. */
int registry_blob_text(struct registry *r, const char *digest, int64_t size, size_t limit,
	struct buf *ret, struct err *e);
/* From byte `from` on, so size - from bytes come. ERR_BUSY "canceled" soon after *stop was set; it
 * is borrowed, NULL for never. */
struct stream *registry_blob_from(struct registry *r, const char *digest, int64_t size,
	int64_t from, const atomic_bool *stop);
