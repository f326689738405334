/* compose/emit.h - the canonical document as text that can be loaded again: `compose config`, and
 * the hash of a service. */
#pragma once
#include "base/buf.h"
#include "compose/model.h"

/* YAML as `docker compose config` prints it: keys sorted, every `$` doubled unless keep_dollars. */
void emit_yaml(const struct node *n, bool keep_dollars, struct buf *ret);
/* JSON, indented. */
void emit_json(const struct node *n, bool keep_dollars, struct buf *ret);

/* SHA-256 in hex over what a container of the service is made from: everything but build,
 * pull_policy, scale, deploy.replicas, depends_on, profiles and attach. It is our own, stable
 * between our versions; docker compose's differs. */
#define EMIT_HASH_MAX 65
void emit_service_hash(
	const struct project *p, const struct service *s, char ret[static EMIT_HASH_MAX]);
