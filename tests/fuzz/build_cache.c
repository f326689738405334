/* What a cache of builds names is safe to use as a key, a digest and an index. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/json.h"
#include "codec/ref.h"
#include "worker/build_cache_format.h"

#define N_LAYERS 3

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_one(const char *text, size_t n, const char *type)
{
	struct err e;
	size_t i;
	json_t *entry;
	scoped(json) json_t *entries = build_cache_parse(text, n, type, N_LAYERS, &e);
	assert(entries || *e.msg);
	assert(json_array_size(entries) <= BUILD_CACHE_ENTRIES_MAX);
	json_array_foreach (entries, i, entry) {
		int64_t layer = json_i64(entry, "layer", -1);
		assert(strlen(json_str(entry, "key")) == 64);
		assert(ref_is_digest(json_str(entry, "diff_id")));
		assert(layer >= 0 && layer < N_LAYERS);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	check_one((const char *)data, size, BUILD_CACHE_TYPE);
	check_one((const char *)data, size, "");
	return 0;
}
