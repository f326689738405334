/* worker/build_cache_format.h - what a cache of builds in a registry says of itself
 * (doc/build-cache-format.md): which layer of its manifest a step with this key has made.
 */
#pragma once
#include <jansson.h>

#include "base/err.h"

#define BUILD_CACHE_TYPE "application/vnd.wherry.buildcache.v1+json" /* of the configuration */
#define BUILD_CACHE_MEMBER "vnd.wherry.buildcache.v1" /* in an image's configuration */
#define BUILD_CACHE_TEXT_MAX (4u << 20)
#define BUILD_CACHE_ENTRIES_MAX 5000

/* One step: {"key": 64 hexadecimal digits, "diff_id", "layer": index in the manifest}. New. */
json_t *build_cache_entry(const char *key, const char *diff_id, size_t layer);

/* text: a configuration of the type, the cache's own or an image's; n_layers: of the manifest that
 * names it. The entries, each as above, new; NULL with ERR_INVALID: it holds none, or is not what
 * it should be. */
json_t *build_cache_parse(
	const char *text, size_t n, const char *type, size_t n_layers, struct err *e);
