/* compose/emit.h - the canonical document as text that can be loaded again: `compose config`, and
 * the hash of a service. */
#pragma once
#include "base/buf.h"
#include "compose/model.h"

/* YAML as `docker compose config` prints it: keys sorted, every `$` doubled unless keep_dollars. */
void emit_yaml(const struct node *n, bool keep_dollars, struct buf *ret);
/* JSON, indented. */
void emit_json(const struct node *n, bool keep_dollars, struct buf *ret);

/* service_hash.c: SHA-256 in hex over what a container of the service is made from: all of it but
 * build, pull_policy, scale, deploy.replicas, depends_on and profiles, as JSON in the order of Go's
 * structures. It is docker compose's (2.40), so that each leaves what the other has made. */
#define EMIT_HASH_MAX 65
/* A service's container, whose id stands for "service:NAME" in the hash, as in docker compose's;
 * NULL when there is none. */
typedef const char *emit_container_fn(void *owner, const char *service);
void emit_service_hash(const struct service *s, emit_container_fn *container_of, void *owner,
	char ret[static EMIT_HASH_MAX]); /* container_of NULL: names stay as they are */
