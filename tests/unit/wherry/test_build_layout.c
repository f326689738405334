/* OCI layouts on our side: what an engine that means harm can, and what index.json says. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "wherry/build_layout.h"
#include "wherry/build_request.h"

#define FOO "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
#define BAR "sha256:fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9"

static char *dir;
static int fd;

static int make_dir(void **state)
{
	char template[] = "/tmp/wherry-layout-XXXXXX";
	struct err e;
	dir = xstrdup(mkdtemp(template));
	fd = build_layout_open(dir, true, &e);
	return fd < 0 ? -1 : 0;
}

static int remove_dir(void **state)
{
	close(fd);
	path_remove_tree(AT_FDCWD, dir);
	free(dir);
	return 0;
}

static int write_blob(const char *text, const char *digest, struct err *e)
{
	struct build_layout_write w;
	int r = build_layout_begin(fd, &w, e);
	r = r < 0 ? r : build_layout_append(&w, 0, text, strlen(text), e);
	r = r < 0 ? r : build_layout_commit(&w, digest, e);
	build_layout_end(&w);
	return r;
}

static json_t *descriptor(const char *digest)
{
	return json_pack("{ss ss si}", "mediaType", "application/vnd.oci.image.manifest.v1+json",
		"digest", digest, "size", 3);
}

static size_t count_blobs(void)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int blobs = openat(fd, "blobs/sha256", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(path_list(blobs, &names), 0);
	return names.n;
}

static void a_blob_has_its_name_when_it_is_whole(void **state)
{
	struct err e;
	int64_t size;

	assert_int_equal(write_blob("foo", FOO, &e), 0);

	scoped(close) int blob = build_layout_blob(fd, FOO, &size, &e);
	assert_true(blob >= 0);
	assert_int_equal(size, 3);
}

static void other_bytes_leave_nothing(void **state)
{
	struct err e;
	int64_t size;

	assert_int_equal(write_blob("fop", FOO, &e), -1);
	assert_non_null(strstr(e.msg, "unexpected commit digest"));
	assert_int_equal(count_blobs(), 0);
	assert_int_equal(build_layout_blob(fd, FOO, &size, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
}

static void a_blob_begins_anew_but_has_no_holes(void **state)
{
	struct err e;
	struct build_layout_write w;
	assert_int_equal(build_layout_begin(fd, &w, &e), 0);
	assert_int_equal(build_layout_append(&w, 0, "xyzxyz", 6, &e), 0);
	assert_int_equal(build_layout_append(&w, 7, "foo", 3, &e), -1);
	assert_int_equal(build_layout_append(&w, 0, "fo", 2, &e), 0);
	assert_int_equal(build_layout_append(&w, 2, "o", 1, &e), 0);
	assert_int_equal(build_layout_commit(&w, FOO, &e), 0);
	build_layout_end(&w);
}

static void names_and_links_do_not_lead_out(void **state)
{
	static const char *const bad[] = {"", "sha256:", "sha256:../../../etc/passwd",
		"sha256:2C26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae",
		"sha512:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"};
	struct err e;
	int64_t size;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(build_layout_blob(fd, bad[i], &size, &e), -1);
		assert_int_equal(write_blob("foo", bad[i], &e), -1);
	}
	scoped(free) char *at = path_join(dir, "blobs/sha256/" BAR);
	memmove(at + strlen(dir) + strlen("/blobs/sha256/"), strchr(BAR, ':') + 1, 65);
	assert_int_equal(symlink("/etc/passwd", at), 0);
	assert_int_equal(build_layout_blob(fd, BAR, &size, &e), -1);
	scoped(free) char *index = path_join(dir, "index.json");
	assert_int_equal(symlink("/etc/passwd", index), 0);
	char digest[72];
	assert_int_equal(build_layout_find(fd, "latest", digest, &e), -1);
	assert_int_not_equal(e.kind, ERR_NOT_FOUND);
}

static void a_name_is_one_entry(void **state)
{
	struct err e;
	char digest[72];
	scoped(json) json_t *foo = descriptor(FOO);
	scoped(json) json_t *bar = descriptor(BAR);

	assert_int_equal(build_layout_find(fd, "1", digest, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_int_equal(build_layout_put(fd, foo, "docker.io/library/x:1", &e), 0);
	assert_int_equal(build_layout_find(fd, "", digest, &e), 0); /* the only one */
	assert_int_equal(build_layout_put(fd, bar, "docker.io/library/y:1", &e), 0);
	assert_int_equal(build_layout_put(fd, bar, "docker.io/library/x:1", &e), 0);
	assert_int_equal(build_layout_put(fd, foo, "plain", &e), 0);

	assert_int_equal(build_layout_find(fd, "docker.io/library/x:1", digest, &e), 0);
	assert_string_equal(digest, BAR);
	assert_int_equal(build_layout_find(fd, "plain", digest, &e), 0);
	assert_string_equal(digest, FOO);
	assert_int_equal(build_layout_find(fd, "1", digest, &e), 0);
	assert_int_equal(build_layout_find(fd, "", digest, &e), -1); /* there are three */
}

static void an_index_of_somebody_else_is_not_believed(void **state)
{
	static const char *const bad[] = {"", "[]", "{\"manifests\": 1}",
		"{\"manifests\": [{\"digest\": \"sha256:../x\"}]}", "{\"manifests\": [1]}"};
	struct err e;
	char digest[72];
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		path_write(fd, "index.json", bad[i], strlen(bad[i]), 0644, false);
		assert_int_equal(build_layout_find(fd, "", digest, &e), -1);
		assert_int_equal(build_layout_find(fd, "x", digest, &e), -1);
	}
}

/* --- what a build asks for --- */

static void a_pipe_for_an_index_is_not_waited_for(void **state)
{
	char digest[72];
	struct err e;
	scoped(free) char *index = path_join(dir, "index.json");
	assert_int_equal(mkfifo(index, 0600), 0);

	assert_int_equal(build_layout_find(fd, "", digest, &e), -1);

	assert_string_equal(e.msg, "its index.json is no file");
}

/* Annotations of another kind are replaced. */
static void a_descriptor_of_a_hostile_engine_is_named(void **state)
{
	char digest[72];
	struct err e;
	scoped(json) json_t *d = descriptor(FOO);
	json_put(d, "annotations", json_array());

	assert_int_equal(build_layout_put(fd, d, "a", &e), 0);

	assert_int_equal(build_layout_find(fd, "a", digest, &e), 0);
}

static void a_cache_that_is_not_there_is_no_failure(void **state)
{
	struct err e;
	struct build_request r;
	build_request_init(&r);
	scoped(json) json_t *attrs = json_pack("{ss}", "src", dir);
	scoped(free) char *why = NULL;

	assert_int_equal(build_request_cache_from(&r, attrs, &why, &e), 0);
	assert_non_null(strstr(why, "index.json"));
	assert_int_equal(r.n_stores, 0);

	scoped(json) json_t *foo = descriptor(FOO);
	assert_int_equal(build_layout_put(fd, foo, "latest", &e), 0);
	assert_int_equal(write_blob("foo", FOO, &e), 0);
	assert_int_equal(build_request_cache_from(&r, attrs, &why, &e), 1);
	assert_string_equal(json_str(attrs, "digest"), FOO);
	assert_false(r.stores[0].write);
	scoped(json) json_t *to = json_pack("{ss}", "dest", dir);
	assert_int_equal(build_request_cache_to(&r, to, &e), 0);
	assert_int_equal(r.n_stores, 1); /* the same one */
	assert_true(r.stores[0].write);
	build_request_deinit(&r);
}

static void a_layout_is_named_by_tag_and_digest(void **state)
{
	struct err e;
	struct build_request r;
	build_request_init(&r);
	scoped(json) json_t *foo = descriptor(FOO);
	assert_int_equal(build_layout_put(fd, foo, "v1", &e), 0);
	assert_int_equal(write_blob("foo", FOO, &e), 0);
	static const char *const good[] = {"", ":v1", "@" FOO, ":v1@" FOO, ":other@" FOO};
	static const char *const bad[] = {":v2", ("@" BAR), "/nowhere"};
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		scoped(free) char *value = xasprintf("oci-layout://%s%s", dir, good[i]);
		scoped(free) char *said = build_request_layout(&r, value, &e);
		assert_non_null(said);
		assert_string_equal(said + strlen(said) - strlen("@" FOO), "@" FOO);
		assert_string_equal(r.stores[i].path, dir);
		assert_non_null(strstr(said, r.stores[i].id + strlen("oci:")));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		scoped(free) char *value = xasprintf("oci-layout://%s%s", dir, bad[i]);
		assert_null(build_request_layout(&r, value, &e));
	}
	build_request_deinit(&r);
}

static void an_answer_goes_into_the_index(void **state)
{
	struct err e;
	struct build_request r;
	char digest[72];
	build_request_init(&r);
	scoped(json) json_t *attrs = json_pack("{ss ss}", "dest", dir, "tag", "t");
	assert_int_equal(build_request_cache_to(&r, attrs, &e), 0);
	scoped(json) json_t *good =
		json_pack("{ss}", "cache.manifest", "{\"digest\":\"" FOO "\",\"size\":3}");
	scoped(json) json_t *bad = json_pack("{ss}", "cache.manifest", "{\"digest\":\"x\"}");
	scoped(json) json_t *none = json_object();

	assert_int_equal(build_stores_update(&r, none, &e), 0);
	assert_int_equal(build_stores_update(&r, bad, &e), -1);
	assert_int_equal(build_layout_find(fd, "t", digest, &e), -1);
	assert_int_equal(build_stores_update(&r, good, &e), 0);
	assert_int_equal(build_layout_find(fd, "t", digest, &e), 0);
	assert_string_equal(digest, FOO);
	build_request_deinit(&r);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_blob_has_its_name_when_it_is_whole),
		TEST(other_bytes_leave_nothing),
		TEST(a_blob_begins_anew_but_has_no_holes),
		TEST(names_and_links_do_not_lead_out),
		TEST(a_name_is_one_entry),
		TEST(an_index_of_somebody_else_is_not_believed),
		TEST(a_pipe_for_an_index_is_not_waited_for),
		TEST(a_descriptor_of_a_hostile_engine_is_named),
		TEST(a_cache_that_is_not_there_is_no_failure),
		TEST(a_layout_is_named_by_tag_and_digest),
		TEST(an_answer_goes_into_the_index),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
