/* build/builder.h - what builder.c and session.c share; nobody else includes it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "build/session.h"

#define CACHE_KEY_LEN 64

struct builder {
	struct builder_deps d; /* strings are borrowed from the daemon's configuration */
	struct map *cache;     /* key -> struct cache_entry */
	struct list sessions;
	struct claims *claims;
	struct build_groups *groups;
	char *cache_dir;     /* of RUN --mount=type=cache */
	char *cgroup_prefix; /* "build-" and what tells this daemon's from another's */
};

struct cache_entry {
	char diff_id[72]; /* of a step's layer, or "" */
	char image[72];   /* of a whole build's result, or "" */
	int64_t used_ns, made_ns;
	int64_t uses;
	char parent[CACHE_KEY_LEN + 1]; /* key of the step before, or "" */
	char *text;                     /* the instruction, for people, or NULL */
};

/* Borrowed, or NULL when there is none or what it names is gone. Notes the use. */
const struct cache_entry *builder_cache_get(struct builder *b, const char *key);
/* c: diff_id or image, parent, text, which is copied. */
int builder_cache_put(
	struct builder *b, const char *key, const struct cache_entry *c, struct err *e);
/* step: {"key", "diff_id", "parent": key of the step before or "", "text": the instruction}. */
int builder_cache_put_step(struct builder *b, const json_t *step, struct err *e);
void builder_cache_drop(struct builder *b, const char *key);
/* Diff ids that images name, as keys; the caller frees the map. */
struct map *builder_image_layers(const struct builder *b);
/* Of the entries whose layers no image has: drops what was not used for a week, and the oldest
 * beyond a tenth of the disk. */
void builder_cache_trim(struct builder *b);
/* Deletes trees below dir in a worker. */
void builder_remove_trees(struct builder *b, const char *dir, json_t *take_names);
/* Calls pin with what running builds need. */
void session_pin_layers(
	const struct builder *b, void (*pin)(void *arg, const char *diff_id), void *arg);
