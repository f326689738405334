#include "worker/build_cache_format.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "codec/ref.h"

#define KEY_LEN 64

json_t *build_cache_entry(const char *key, const char *diff_id, size_t layer)
{
	return json_pack("{ss ss sI}", "key", key, "diff_id", diff_id, "layer", (json_int_t)layer);
}

static bool is_key(const char *key)
{
	return strlen(key) == KEY_LEN && strspn(key, "0123456789abcdef") == KEY_LEN;
}

static bool is_entry(const json_t *entry, size_t n_layers)
{
	int64_t layer = json_i64(entry, "layer", -1);
	return is_key(json_str(entry, "key")) && ref_is_digest(json_str(entry, "diff_id")) &&
	       layer >= 0 && (uint64_t)layer < n_layers;
}

static int check_entries(const json_t *entries, size_t n_layers, struct err *e)
{
	size_t i;
	json_t *entry;
	if (json_array_size(entries) > BUILD_CACHE_ENTRIES_MAX) {
		return err_set(
			e, ERR_INVALID, "it has more than %d entries", BUILD_CACHE_ENTRIES_MAX);
	}
	json_array_foreach (entries, i, entry) {
		if (!is_entry(entry, n_layers)) {
			return err_set(e, ERR_INVALID, "its entry %zu makes no sense", i);
		}
	}
	return 0;
}

json_t *build_cache_parse(
	const char *text, size_t n, const char *type, size_t n_layers, struct err *e)
{
	if (text_starts(type, "application/vnd.buildkit.cacheconfig.")) {
		(void)err_set(e, ERR_INVALID, "it is in BuildKit's own format");
		return NULL;
	}
	scoped(json) json_t *doc = json_parse(text, n, "its configuration", e);
	if (!doc) {
		return NULL;
	}
	const json_t *cache = strcmp(type, BUILD_CACHE_TYPE) == 0
				      ? doc
				      : json_object_get(doc, BUILD_CACHE_MEMBER);
	json_t *entries = json_object_get(cache, "entries");
	if (!json_is_array(entries)) {
		(void)err_set(e, ERR_INVALID, "no cache of this engine's builds is in it");
		return NULL;
	}
	return check_entries(entries, n_layers, e) < 0 ? NULL : json_incref(entries);
}
