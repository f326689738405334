/* Which repositories have a layer: image/blobs.h with a store in memory. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "event/event.h"
#include "image/blobs.h"
#include "image/image.h"
#include "job/job.h"
#include "store/store.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define GZIP "application/vnd.oci.image.layer.v1.tar+gzip"

struct fixture {
	uv_loop_t loop;
	char dir[32];
	struct store *store;
	struct event_bus *bus;
	struct job_pool *jobs;
	struct image_store *images;
	struct err e;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uv_loop_init(&f->loop);
	strcpy(f->dir, "/tmp/unit-blobs.XXXXXX");
	if (!mkdtemp(f->dir)) {
		return -1;
	}
	f->store = store_open(":memory:", &f->e);
	f->bus = event_bus_new();
	f->jobs = job_pool_new(&f->loop, "/bin/false");
	f->images = image_store_new(&f->loop, f->store, f->jobs, f->bus, f->dir, NULL, &f->e);
	scoped(free) char *path = xasprintf("%s/layers/tmp/made", f->dir);
	scoped(free) char *recipe = xasprintf("%s.recipe", path);
	*state = f;
	return mkdir(path, 0755) < 0 || path_write(AT_FDCWD, recipe, "", 0, 0600, false) < 0 ||
	       image_add_layer(f->images, "made", A, 100, &f->e) < 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	uv_run(&f->loop, UV_RUN_DEFAULT);
	job_pool_free(f->jobs);
	image_store_free(f->images);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	store_close(f->store);
	event_bus_free(f->bus);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	path_remove_tree(AT_FDCWD, f->dir);
	free(f);
	return 0;
}

static int learn(struct fixture *f, const char *repository, const char *digest, int size)
{
	scoped(json) json_t *blob = json_pack("{ss ss si ss}", "repository", repository, "digest",
		digest, "size", size, "mediaType", GZIP);
	return image_blob_learn(f->images, A, blob, &f->e);
}

/* "repository size" of all that is known, the newest first. */
static char *known(struct fixture *f)
{
	struct buf text = BUF_INIT;
	scoped(json) json_t *blobs = image_blobs(f->images, A, &f->e);
	size_t i;
	json_t *blob;
	json_array_foreach (blobs, i, blob) {
		buf_printf(&text, "%s%s %d", i ? ", " : "", json_str(blob, "repository"),
			(int)json_i64(blob, "size", -1));
	}
	return buf_take_str(&text);
}

static void the_newest_place_of_a_layer_is_first(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(learn(f, "docker.io/library/x", B, 1), 0);
	assert_int_equal(learn(f, "127.0.0.1:5000/a/b", B, 2), 0);

	scoped(free) char *text = known(f);
	assert_string_equal(text, "127.0.0.1:5000/a/b 2, docker.io/library/x 1");
}

static void a_repository_has_one_form_of_a_layer(void **state)
{
	struct fixture *f = *state;
	learn(f, "r.example/x", A, 1);
	learn(f, "r.example/y", A, 2);

	learn(f, "r.example/x", B, 3);

	scoped(free) char *text = known(f);
	assert_string_equal(text, "r.example/x 3, r.example/y 2");
}

static void what_is_gone_is_forgotten(void **state)
{
	struct fixture *f = *state;
	learn(f, "r.example/x", B, 1);
	learn(f, "r.example/y", B, 2);

	assert_int_equal(image_blob_forget(f->images, A, "r.example/x", A, &f->e), 0);
	assert_int_equal(image_blob_forget(f->images, A, "r.example/y", B, &f->e), 0);

	scoped(free) char *text = known(f);
	assert_string_equal(text, "r.example/x 1");
}

static void the_list_of_a_layer_is_bounded(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 2 * IMAGE_BLOBS_MAX; i++) {
		scoped(free) char *name = xasprintf("r.example/n%d", i);
		assert_int_equal(learn(f, name, B, i), 0);
	}

	scoped(json) json_t *blobs = image_blobs(f->images, A, &f->e);

	assert_int_equal(json_array_size(blobs), IMAGE_BLOBS_MAX);
	assert_string_equal(json_str(json_array_get(blobs, 0), "repository"), "r.example/n31");
}

static void what_is_no_blob_is_refused(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(learn(f, "x", B, 1), -1); /* not canonical */
	assert_int_equal(learn(f, "r.example/x:1", B, 1), -1);
	assert_int_equal(learn(f, "r.example/x", "sha256:../../etc/passwd", 1), -1);
	assert_int_equal(learn(f, "r.example/x", B, -1), -1);
	scoped(json) json_t *blob = json_pack("{ss ss si ss}", "repository", "r.example/x",
		"digest", B, "size", 1, "mediaType", "a\"b");
	assert_int_equal(image_blob_learn(f->images, A, blob, &f->e), -1);
	assert_int_equal(f->e.kind, ERR_INVALID);
	assert_int_equal(image_blob_learn(f->images, B, blob, &f->e), -1); /* no such layer */
	assert_int_equal(f->e.kind, ERR_NOT_FOUND);

	scoped(free) char *text = known(f);
	assert_string_equal(text, "");
}

static void a_layer_takes_its_places_along(void **state)
{
	struct fixture *f = *state;
	learn(f, "r.example/x", B, 1);

	image_collect(f->images); /* nobody names it */

	scoped(free) char *text = known(f);
	assert_string_equal(text, "");
}

static void learn_claim(struct fixture *f, const char *repository, const char *digest, bool claimed)
{
	scoped(json) json_t *record = json_pack("{s[{ss sb s{ss ss si}}]}", "layers", "diff_id", A,
		"claimed", claimed, "blob", "repository", repository, "digest", digest, "size", 7);
	image_blobs_learn_all(f->images, A, record);
}

static void what_an_image_claims_is_believed_of_a_known_blob_only(void **state)
{
	struct fixture *f = *state;
	learn_claim(f, "evil.example/x", B, true);
	scoped(free) char *nothing = known(f);
	assert_string_equal(nothing, "");

	learn_claim(f, "r.example/x", B, false);
	learn_claim(f, "evil.example/x", A, true);
	learn_claim(f, "r.example/y", B, true);
	scoped(free) char *both = known(f);
	assert_string_equal(both, "r.example/y 7, r.example/x 7");
}

static void an_image_keeps_its_manifest_to_its_end(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "{\"rootfs\":{\"diff_ids\":[\"" A "\"]}}";
	struct image *i = image_add(f->images, text, strlen(text), &f->e);
	scoped(free) char *id = xstrdup(i->id);
	scoped(json) json_t *record =
		json_pack("{s[{ss s{ss ss si}}] s{ss ss}}", "layers", "diff_id", A, "blob",
			"repository", "r.example/x", "digest", B, "size", 7, "manifest",
			"mediaType", "application/vnd.oci.image.manifest.v1+json", "text", "{ }\n");
	json_t *kept = NULL;

	image_blobs_learn_all(f->images, id, record);

	scoped(free) char *places = known(f);
	assert_string_equal(places, "r.example/x 7");
	assert_int_equal(image_manifest_kept(f->images, id, &kept, &f->e), 0);
	assert_string_equal(json_str(kept, "text"), "{ }\n");
	json_decref(kept);
	json_t *changes;
	const struct image_remove_query query = {0};
	assert_int_equal(image_remove(f->images, id, &query, &changes, &f->e), 0);
	json_decref(changes);
	assert_int_equal(image_manifest_kept(f->images, id, &kept, &f->e), 0);
	assert_null(kept);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN); /* the worker is gone before it is spoken to, as /bin/false is */
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_newest_place_of_a_layer_is_first),
		TEST(a_repository_has_one_form_of_a_layer),
		TEST(what_is_gone_is_forgotten),
		TEST(the_list_of_a_layer_is_bounded),
		TEST(what_is_no_blob_is_refused),
		TEST(a_layer_takes_its_places_along),
		TEST(what_an_image_claims_is_believed_of_a_known_blob_only),
		TEST(an_image_keeps_its_manifest_to_its_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
