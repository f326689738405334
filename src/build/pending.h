/* build/pending.h - the layers of one build that are in place, but not recorded yet: they may not
 * be on the disk. The cache keys that they belong to wait with them. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct builder;
struct pending_layers;

struct pending_layers *pending_new(void);
void pending_free(struct pending_layers *p);
bool pending_is_empty(const struct pending_layers *p);
void pending_add(struct pending_layers *p, const char *diff_id); /* twice is once */
/* step: what builder_cache_put_step takes; borrowed. False when the layer does not wait here. */
bool pending_add_key(struct pending_layers *p, const json_t *step);
/* The layer that waits with this key; borrowed, or NULL. */
const char *pending_find(const struct pending_layers *p, const char *key);
/* They are on the disk: all are recorded, and none is left. */
int pending_settle(struct pending_layers *p, struct builder *b, struct err *e);
