/* What a registry says of a cache is used as text of keys, as digests and as indexes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "worker/build_cache_format.h"

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIFF_ID "sha256:" KEY
#define IMAGE "application/vnd.oci.image.config.v1+json"
#define N_LAYERS 2

static json_t *parse(const char *text, const char *type, struct err *e)
{
	return build_cache_parse(text, strlen(text), type, N_LAYERS, e);
}

static void what_is_written_is_read(void **state)
{
	struct err e;
	scoped(json) json_t *entries = json_array();
	json_array_append_new(entries, build_cache_entry(KEY, DIFF_ID, 0));
	json_array_append_new(entries, build_cache_entry(KEY, DIFF_ID, N_LAYERS - 1));
	scoped(json) json_t *own = json_pack("{sO}", "entries", entries);
	scoped(json) json_t *image = json_pack("{ss sO}", "os", "linux", BUILD_CACHE_MEMBER, own);
	scoped(free) char *own_text = json_text(own);
	scoped(free) char *image_text = json_text(image);
	scoped(json) json_t *read = parse(own_text, BUILD_CACHE_TYPE, &e);
	scoped(json) json_t *inside = parse(image_text, IMAGE, &e);
	assert_true(json_equal(read, entries));
	assert_true(json_equal(inside, entries));
	assert_null(parse(own_text, IMAGE, &e));
}

static void refused(const char *text, const char *type, const char *why)
{
	struct err e;
	assert_null(parse(text, type, &e));
	assert_non_null(strstr(e.msg, why));
}

static void what_makes_no_sense_is_refused(void **state)
{
	static const char *const entries[] = {
		"1",
		"{}",
		"{\"key\": \"" KEY "\", \"diff_id\": \"" DIFF_ID "\"}",
		"{\"key\": \"" KEY "\", \"diff_id\": \"" DIFF_ID "\", \"layer\": -1}",
		"{\"key\": \"" KEY "\", \"diff_id\": \"" DIFF_ID "\", \"layer\": 2}",
		"{\"key\": \"" KEY "\", \"diff_id\": \"" DIFF_ID "\", \"layer\": \"0\"}",
		"{\"key\": \"" KEY "0\", \"diff_id\": \"" DIFF_ID "\", \"layer\": 0}",
		"{\"key\": \"../../etc/passwd\", \"diff_id\": \"" DIFF_ID "\", \"layer\": 0}",
		"{\"key\": \"" KEY "\", \"diff_id\": \"sha256:../../etc\", \"layer\": 0}",
	};
	for (size_t k = 0; k < sizeof(entries) / sizeof(*entries); k++) {
		scoped(free) char *text = xasprintf("{\"entries\": [%s]}", entries[k]);
		refused(text, BUILD_CACHE_TYPE, "entry 0 makes no sense");
	}
	refused("{}", BUILD_CACHE_TYPE, "no cache");
	refused("[]", BUILD_CACHE_TYPE, "no cache");
	refused("{\"entries\": {}}", BUILD_CACHE_TYPE, "no cache");
	refused("{\"os\": \"linux\"}", IMAGE, "no cache");
	refused("{}", "application/vnd.buildkit.cacheconfig.v0", "BuildKit's own format");
	refused("{", BUILD_CACHE_TYPE, "its configuration");
}

static void there_is_a_bound(void **state)
{
	struct err e;
	scoped(json) json_t *entries = json_array();
	for (size_t k = 0; k < BUILD_CACHE_ENTRIES_MAX; k++) {
		json_array_append_new(entries, build_cache_entry(KEY, DIFF_ID, 0));
	}
	scoped(json) json_t *doc = json_pack("{sO}", "entries", entries);
	scoped(free) char *all = json_text(doc);
	scoped(json) json_t *read = parse(all, BUILD_CACHE_TYPE, &e);
	assert_non_null(read);
	json_array_append_new(entries, build_cache_entry(KEY, DIFF_ID, 0));
	scoped(free) char *more = json_text(doc);
	refused(more, BUILD_CACHE_TYPE, "more than 5000 entries");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(what_makes_no_sense_is_refused),
		cmocka_unit_test(there_is_a_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
