/* build/usage.h - the build cache as people see it: what it holds, and its removal.
 *
 * Three kinds of records: what a step made ("regular"; several keys that lead to one layer are one
 * record), a cache mount ("exec.cachemount"), a client's kept files ("source.local"). The trees of
 * the last two are measured and removed by a worker: answers come later.
 *
 * A record: {"id", "type", "parents": [ids], "description", "in_use", "shared": an image has it
 * too, "mutable", "size", "created", "used" (ns since 1970), "uses"}.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct builder;

/* records is borrowed; NULL with e, perhaps before the call returns. Once. */
typedef void build_usage_fn(void *owner, const json_t *records, const struct err *e);

/* filter: NULL, or an array of alternatives, each an array of {"field", "op", "value"} that must
 * all be true. field: "id", "parent", "type", "description", "inuse", "shared", "private",
 * "mutable", "immutable"; op "==", "!=", "~=" (an extended regular expression), or "" (it has one,
 * it is true). Borrowed. */
void build_usage(struct builder *b, const json_t *filter, build_usage_fn *fn, void *owner);
/* The text of containerd's filters, as BuildKit's clients send it: one alternative each. A new
 * array as above, NULL with *e. */
json_t *build_usage_filter(const json_t *texts, struct err *e);

struct build_prune_query {
	const json_t *filter; /* as above */
	bool all;             /* also what images have too */
	int64_t before_ns;    /* what was used since then stays; INT64_MAX: nothing for that */
	/* Bytes; the longest unused go until the cache fits. 0: no bound, everything goes. */
	int64_t reserved; /* less than that is never left */
	int64_t max_used;
	int64_t min_free; /* of the disk */
};
/* fn gets the records that went. What a build uses stays. */
void build_prune(
	struct builder *b, const struct build_prune_query *q, build_usage_fn *fn, void *owner);
