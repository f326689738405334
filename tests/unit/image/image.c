/* The image store with a worker that is this very program: it does what its request's reference
 * says. */
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
#include "base/text.h"
#include "codec/sha256.h"
#include "event/event.h"
#include "image/image.h"
#include "oci/platform.h"
#include "image/trust.h"
#include "job/job.h"
#include "store/store.h"

#define A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define M "sha256:0123456789012345678901234567890123456789012345678901234567890123"

/* --- the worker side --- */

static json_t *hear(void)
{
	static char line[65536];
	size_t n = 0;
	while (n + 1 < sizeof(line) && read(3, line + n, 1) == 1 && line[n] != '\n') {
		n++;
	}
	struct err e;
	return json_parse(line, n, "the line", &e);
}

static void say(json_t *take_msg)
{
	scoped(json) json_t *msg = take_msg;
	scoped(free) char *text = json_text(msg);
	dprintf(3, "%s\n", text);
}

static const char *ask_layer(const char *diff_id, bool wait)
{
	static char state[16];
	say(json_pack("{ss ss sb}", "ask", "layer", "diff_id", diff_id, "wait", wait));
	scoped(json) json_t *answer = hear();
	snprintf(state, sizeof(state), "%s", json_str(json_object_get(answer, "answer"), "state"));
	return state;
}

static bool add_layer(const json_t *request, const char *diff_id)
{
	const json_t *tmp = json_object_get(request, "tmp");
	scoped(free) char *dir = xasprintf("%s/0", json_str(tmp, "dir"));
	scoped(free) char *name = xasprintf("%s/0", json_str(tmp, "name"));
	mkdir(dir, 0755);
	scoped(free) char *recipe = xasprintf("%s.recipe", dir);
	path_write(AT_FDCWD, recipe, "", 0, 0600, false);
	say(json_pack(
		"{ss ss ss si}", "ask", "add-layer", "diff_id", diff_id, "tmp", name, "size", 10));
	scoped(json) json_t *answer = hear();
	return json_object_get(answer, "answer") != NULL;
}

static void finish(const char *diff_id, const char *reference)
{
	scoped(free) char *config = xasprintf(
		"{\"os\":\"linux\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"%s\"]}}",
		diff_id);
	say(json_pack("{s{s[{ss s[s] ss}]}}", "result", "images", "config", config, "references",
		reference, "digest", M));
}

/* The test says when: the other pull has found the layer busy. False after two minutes. */
static bool wait_for_the_other(const json_t *request)
{
	const json_t *tmp = json_object_get(request, "tmp");
	scoped(free) char *sign = xasprintf("%s/../busy", json_str(tmp, "dir"));
	for (int i = 0; i < 12000; i++) {
		if (access(sign, F_OK) == 0) {
			return true;
		}
		usleep(10000);
	}
	return false;
}

static int work(const char *name)
{
	scoped(json) json_t *request = hear();
	const char *reference = json_str(request, "reference");
	if (strcmp(name, "pull") != 0) {
		say(json_pack("{s{}}", "result"));
		return 0;
	}
	if (text_ends(reference, ":escape")) {
		say(json_pack("{ss ss ss si}", "ask", "add-layer", "diff_id", A, "tmp", "../../etc",
			"size", 1));
		scoped(json) json_t *answer = hear();
		say(json_pack("{ss}", "status",
			json_object_get(answer, "error") ? "refused" : "accepted"));
		finish(B, reference);
		return 0;
	}
	const char *state = ask_layer(A, false);
	if (strcmp(state, "busy") == 0) {
		say(json_pack("{ss}", "status", "busy"));
		state = ask_layer(A, true);
	}
	say(json_pack("{ss}", "status", state));
	if (strcmp(state, "go") == 0) {
		if (!text_ends(reference, ":2") && !wait_for_the_other(request)) {
			return 1;
		}
		if (text_ends(reference, ":crash")) {
			raise(SIGKILL);
		}
		if (!add_layer(request, A)) {
			return 1;
		}
	}
	finish(A, reference);
	return 0;
}

/* --- the daemon side --- */

struct fixture {
	uv_loop_t loop;
	char dir[32];
	struct store *store;
	struct event_bus *bus;
	struct job_pool *jobs;
	struct image_store *images;
	struct strv events, statuses;
	int dones;
	struct image *done_image;
	const char *removed_at_have; /* an image, while a job was told that a layer is there */
	const char *second;          /* pulled once the first one has the layer to itself */
	struct err e;
	const char *in_use;
	char used_id[DIGEST_LEN + 1]; /* of the image that a container uses */
};

static void on_event(void *owner, const struct event *event)
{
	struct fixture *f = owner;
	strv_addf(&f->events, "%s %s", event->action, json_str(event->attributes, "name"));
}

static void open_images(struct fixture *f)
{
	char self[4096] = {0};
	assert_true(readlink("/proc/self/exe", self, sizeof(self) - 1) > 0);
	f->jobs = job_pool_new(&f->loop, self);
	f->images = image_store_new(&f->loop, f->store, f->jobs, f->bus, f->dir, NULL, &f->e);
	assert_non_null(f->images);
}

static void close_images(struct fixture *f)
{
	uv_run(&f->loop, UV_RUN_DEFAULT); /* removals */
	job_pool_free(f->jobs);
	image_store_free(f->images);
	uv_run(&f->loop, UV_RUN_DEFAULT);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uv_loop_init(&f->loop);
	strcpy(f->dir, "/tmp/unit-image.XXXXXX");
	if (!mkdtemp(f->dir)) {
		return -1;
	}
	f->store = store_open(":memory:", &f->e);
	f->bus = event_bus_new();
	event_listen(f->bus, on_event, f);
	open_images(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	close_images(f);
	store_close(f->store);
	event_bus_free(f->bus);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	path_remove_tree(AT_FDCWD, f->dir);
	strv_deinit(&f->events);
	strv_deinit(&f->statuses);
	free(f);
	return 0;
}

static bool exists(const struct fixture *f, const char *name)
{
	scoped(free) char *path = xasprintf("%s/layers/%s", f->dir, name);
	return access(path, F_OK) == 0;
}

static void make_layer(struct fixture *f, const char *diff_id)
{
	scoped(free) char *path = xasprintf("%s/layers/tmp/made", f->dir);
	scoped(free) char *recipe = xasprintf("%s.recipe", path);
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(path_write(AT_FDCWD, recipe, "", 0, 0600, false), 0);
	assert_int_equal(image_add_layer(f->images, "made", diff_id, 100, &f->e), 0);
}

static struct image *make_image(struct fixture *f, const char *label, const char *layers)
{
	scoped(free) char *text = xasprintf(
		"{\"config\":{\"Labels\":{\"l\":\"%s\"}},\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[%s]}}",
		label, layers);
	struct image *i = image_add(f->images, text, strlen(text), &f->e);
	assert_non_null(i);
	return i;
}

static const char *in_use(void *owner, const char *image_id, char ret_container_short_id[static 13])
{
	struct fixture *f = owner;
	strcpy(ret_container_short_id, "c0ffeec0ffee");
	return f->in_use;
}

static const char *used_other(
	void *owner, const char *image_id, char ret_container_short_id[static 13])
{
	struct fixture *f = owner;
	strcpy(ret_container_short_id, "c0ffeec0ffee");
	return strcmp(image_id, f->used_id) == 0 ? "running" : NULL;
}

static void an_image_is_found_by_every_name_of_it(void **state)
{
	struct fixture *f = *state;
	make_layer(f, A);
	struct image *i = make_image(f, "x", "\"" A "\"");
	assert_int_equal(image_tag(f->images, i, "nginx:1.19", &f->e), 0);
	assert_int_equal(image_tag(f->images, i, "127.0.0.1:5000/a/b", &f->e), 0);
	char hex[DIGEST_LEN + 1];

	memcpy(hex, i->id + 7, sizeof(hex) - 7);
	const char *const names[] = {"nginx:1.19", "docker.io/library/nginx:1.19",
		"127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b:latest", i->id, hex};
	for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
		assert_ptr_equal(image_find(f->images, names[k], &f->e), i);
	}
	hex[12] = '\0';
	assert_ptr_equal(image_find(f->images, hex, &f->e), i);

	assert_null(image_find(f->images, "nginx", &f->e));
	assert_int_equal(f->e.kind, ERR_NOT_FOUND);
	assert_string_equal(f->e.msg, "No such image: nginx:latest");
	assert_null(image_find(f->images, "A//", &f->e));
	assert_int_equal(f->e.kind, ERR_INVALID);
}

static void an_image_whose_layer_is_missing_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "{\"rootfs\":{\"diff_ids\":[\"" A "\"]}}";

	assert_null(image_add(f->images, text, strlen(text), &f->e));
	assert_int_equal(f->e.kind, ERR_INVALID);
}

static void the_id_is_the_digest_of_the_exact_text(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "{ \"rootfs\": {\"diff_ids\": []},\n \"x\":1e0}";
	char digest[DIGEST_LEN + 1];
	sha256_digest(text, strlen(text), digest);

	assert_string_equal(image_add(f->images, text, strlen(text), &f->e)->id, digest);
	assert_ptr_equal(image_add(f->images, text, strlen(text), &f->e),
		image_find(f->images, digest, &f->e));
}

static void a_tag_moves_to_the_newer_image(void **state)
{
	struct fixture *f = *state;
	struct image *old = make_image(f, "old", "");
	struct image *new = make_image(f, "new", "");
	image_tag(f->images, old, "x:1", &f->e);

	image_tag(f->images, new, "x:1", &f->e);

	assert_int_equal(old->tags.n, 0);
	assert_int_equal(new->tags.n, 1);
	assert_ptr_equal(image_find(f->images, "x:1", &f->e), new);
}

/* --- several platforms under one name --- */

#define INDEX_ID "sha256:1111111111111111111111111111111111111111111111111111111111111111"

static struct image *make_for(struct fixture *f, const char *arch, const char *layers)
{
	scoped(free) char *text = xasprintf(
		"{\"os\":\"linux\",\"architecture\":\"%s\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[%s]}}",
		arch, layers);
	struct image *i = image_add(f->images, text, strlen(text), &f->e);
	assert_non_null(i);
	return i;
}

/* One of this machine's platform with layer A, named second, and another one with B. */
static const struct image_index *make_index(
	struct fixture *f, struct image **ret_own, struct image **ret_other)
{
	struct platform host;
	const struct image_index *x;
	scoped(strv) struct strv ids = STRV_INIT;
	platform_host(&host);
	make_layer(f, A);
	make_layer(f, B);
	*ret_own = make_for(f, host.arch, "\"" A "\"");
	*ret_other = make_for(f, "s390x", "\"" B "\"");
	strv_add(&ids, (*ret_other)->id);
	strv_add(&ids, (*ret_own)->id);
	assert_int_equal(image_index_add(f->images, INDEX_ID, &ids, &x, &f->e), 0);
	return x;
}

static void a_name_of_several_platforms_means_this_machines(void **state)
{
	struct fixture *f = *state;
	struct image *own, *other;
	const struct image_index *x = make_index(f, &own, &other);

	assert_int_equal(image_tag_index(f->images, x, "x:1", &f->e), 0);

	assert_ptr_equal(image_find(f->images, "x:1", &f->e), own);
	assert_ptr_equal(image_find(f->images, INDEX_ID, &f->e), own);
	assert_ptr_equal(image_find(f->images, "111111111111", &f->e), own);
	assert_ptr_equal(image_find_for(f->images, "x:1", "linux/s390x", &f->e), other);
	assert_ptr_equal(image_find_for(f->images, "x:1", "linux/riscv64", &f->e), own);
	assert_ptr_equal(image_index_find(f->images, "x:1"), x);
	assert_null(image_index_find(f->images, own->id));
	assert_true(image_is_beside(f->images, other));
	assert_false(image_is_beside(f->images, own));
}

static void an_index_comes_back_after_a_restart(void **state)
{
	struct fixture *f = *state;
	struct image *own, *other;
	image_tag_index(f->images, make_index(f, &own, &other), "x:1", &f->e);
	close_images(f);

	open_images(f);

	const struct image_index *x = image_index_find(f->images, "x:1");
	assert_non_null(x);
	assert_int_equal(x->n, 2);
	assert_string_equal(json_str(x->v[0]->config, "architecture"), "s390x");
	assert_ptr_equal(x->shown, image_find(f->images, "x:1", &f->e));
	assert_ptr_not_equal(x->shown, x->v[0]);
}

static void the_last_name_takes_all_platforms_along(void **state)
{
	struct fixture *f = *state;
	struct image *own, *other;
	json_t *changes;
	const struct image_remove_query q = {.force = false};
	size_t pos = 0;
	const struct image_index *x = make_index(f, &own, &other);
	image_tag_index(f->images, x, "x:1", &f->e);
	image_tag_index(f->images, x, "x:2", &f->e);

	assert_int_equal(image_remove(f->images, "x:1", &q, &changes, &f->e), 0);
	assert_int_equal(json_array_size(changes), 1);
	json_decref(changes);
	assert_ptr_equal(image_find_for(f->images, "x:2", "linux/s390x", &f->e), other);
	assert_int_equal(image_remove(f->images, "x:2", &q, &changes, &f->e), 0);

	assert_int_equal(json_array_size(changes), 5); /* a name, two images, two layers */
	json_decref(changes);
	assert_null(image_next(f->images, &pos));
	assert_false(image_has_layer(f->images, B, NULL));
}

static void a_name_that_goes_leaves_what_other_names_need(void **state)
{
	struct fixture *f = *state;
	struct image *own, *other;
	json_t *changes;
	const struct image_remove_query q = {.force = false};
	image_tag_index(f->images, make_index(f, &own, &other), "x:1", &f->e);
	image_tag(f->images, own, "alone:1", &f->e);

	assert_int_equal(image_remove(f->images, "x:1", &q, &changes, &f->e), 0);
	json_decref(changes);

	assert_ptr_equal(image_find(f->images, "alone:1", &f->e), own);
	assert_null(image_index_find(f->images, INDEX_ID));
	assert_true(image_has_layer(f->images, A, NULL));
	assert_false(image_has_layer(f->images, B, NULL));
}

static void an_index_whose_name_moved_on_can_be_pruned(void **state)
{
	struct fixture *f = *state;
	struct image *own, *other;
	json_t *changes;
	int64_t bytes;
	size_t pos = 0;
	const struct image_prune_query q = {.all = false};
	image_tag_index(f->images, make_index(f, &own, &other), "x:1", &f->e);
	struct image *new = make_image(f, "new", "");

	image_tag(f->images, new, "x:1", &f->e);

	assert_null(image_index_find(f->images, "x:1"));
	assert_false(image_is_intermediate(f->images, own));
	assert_true(image_is_intermediate(f->images, other));
	assert_int_equal(image_prune(f->images, &q, &changes, &bytes, &f->e), 0);
	json_decref(changes);
	assert_int_equal(bytes, 200);
	assert_ptr_equal(image_next(f->images, &pos), new);
	assert_null(image_next(f->images, &pos));
}

static void a_container_of_any_platform_keeps_the_index(void **state)
{
	struct fixture *f = *state;
	struct image *own, *other;
	json_t *changes;
	const struct image_remove_query q = {.force = true, .in_use = used_other, .use_owner = f};
	image_tag_index(f->images, make_index(f, &own, &other), "x:1", &f->e);
	snprintf(f->used_id, sizeof(f->used_id), "%s", other->id);

	assert_int_equal(image_remove(f->images, own->id, &q, &changes, &f->e), -1);

	assert_int_equal(f->e.kind, ERR_CONFLICT);
	assert_ptr_equal(image_find_for(f->images, "x:1", "linux/s390x", &f->e), other);
}

static void lower_layers_are_named_topmost_first_and_once(void **state)
{
	struct fixture *f = *state;
	struct strv layers = STRV_INIT;
	scoped(free) char *none = image_lowerdir(f->images, &layers);
	assert_string_equal(none, "empty");
	strv_add(&layers, A);
	strv_add(&layers, B);
	strv_add(&layers, A);

	scoped(free) char *text = image_lowerdir(f->images, &layers);

	assert_string_equal(text, "aaaaaaaaaaaaaaaaaaaaaaaa:bbbbbbbbbbbbbbbbbbbbbbbb");
	strv_deinit(&layers);
}

static void shared_layers_are_counted_once(void **state)
{
	struct fixture *f = *state;
	make_layer(f, A);
	make_layer(f, B);
	struct image *both = make_image(f, "both", "\"" A "\",\"" B "\"");
	struct image *one = make_image(f, "one", "\"" A "\"");

	assert_int_equal(image_layers_bytes(f->images), 200);
	assert_int_equal(both->size_bytes, 200);
	assert_int_equal(image_shared_bytes(f->images, both), 100);
	assert_int_equal(image_shared_bytes(f->images, one), 100);
}

static json_t *remove_image(struct fixture *f, const char *name, bool force)
{
	json_t *changes = NULL;
	const struct image_remove_query q = {.force = force, .in_use = in_use, .use_owner = f};
	return image_remove(f->images, name, &q, &changes, &f->e) == 0 ? changes : NULL;
}

static void the_last_tag_takes_image_and_own_layers_along(void **state)
{
	struct fixture *f = *state;
	make_layer(f, A);
	make_layer(f, B);
	image_tag(f->images, make_image(f, "both", "\"" A "\",\"" B "\""), "both", &f->e);
	image_tag(f->images, make_image(f, "one", "\"" A "\""), "one", &f->e);

	scoped(json) json_t *changes = remove_image(f, "both", false);

	assert_int_equal(json_array_size(changes), 3);
	assert_string_equal(json_str(json_array_get(changes, 0), "Untagged"), "both:latest");
	assert_true(text_starts(json_str(json_array_get(changes, 2), "Deleted"), "sha256:"));
	assert_false(image_has_layer(f->images, B, NULL));
	assert_true(image_has_layer(f->images, A, NULL));
	assert_true(exists(f, "aaaaaaaaaaaaaaaaaaaaaaaa"));
	assert_false(exists(f, "bbbbbbbbbbbbbbbbbbbbbbbb"));
	assert_true(exists(f, "aaaaaaaaaaaaaaaaaaaaaaaa.recipe"));
	assert_false(exists(f, "bbbbbbbbbbbbbbbbbbbbbbbb.recipe"));
	assert_int_equal(f->events.n, 4);
	assert_string_equal(f->events.v[0], "tag both:latest");
	assert_true(text_starts(f->events.v[2], "untag sha256:"));
	assert_true(text_starts(f->events.v[3], "delete sha256:"));
}

/* ChainID("A B") of OCI image-spec config.md, by hand: sha256sum of the text. */
static void layers_that_go_are_named_as_docker_names_them(void **state)
{
	struct fixture *f = *state;
	char chain[DIGEST_LEN + 1];
	sha256_digest(A " " B, strlen(A " " B), chain);
	make_layer(f, A);
	make_layer(f, B);
	image_tag(f->images, make_image(f, "both", "\"" A "\",\"" B "\""), "both", &f->e);
	image_tag(f->images, make_image(f, "turned", "\"" B "\",\"" A "\""), "turned", &f->e);

	scoped(json) json_t *changes = remove_image(f, "both", false);

	assert_int_equal(json_array_size(changes), 4);
	assert_string_equal(json_str(json_array_get(changes, 2), "Deleted"), chain);
	assert_string_equal(json_str(json_array_get(changes, 3), "Deleted"), A);
	assert_true(image_has_layer(f->images, A, NULL)); /* under other layers in the other one */
}

static struct image *make_child(struct fixture *f, const char *label, const struct image *parent)
{
	scoped(free) char *text =
		xasprintf("{\"parent\":\"%s\",\"config\":{\"Labels\":{\"l\":\"%s\"}},"
			  "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[]}}",
			parent->id, label);
	return image_add(f->images, text, strlen(text), &f->e);
}

static void parents_without_a_name_go_with_their_child(void **state)
{
	struct fixture *f = *state;
	image_tag(f->images, make_image(f, "x", ""), "base", &f->e);
	struct image *middle = make_child(f, "middle", image_find(f->images, "base", &f->e));
	image_tag(f->images, make_child(f, "child", middle), "child", &f->e);
	scoped(free) char *id = xstrdup(middle->id);
	assert_true(image_is_intermediate(f->images, middle));

	assert_null(remove_image(f, id, true));
	assert_non_null(strstr(f->e.msg, "(cannot be forced) - image has dependent child images"));
	scoped(json) json_t *changes = remove_image(f, "child", false);

	assert_int_equal(json_array_size(changes), 3);
	assert_string_equal(json_str(json_array_get(changes, 2), "Deleted"), id);
	assert_null(image_find(f->images, id, &f->e));
	assert_non_null(image_find(f->images, "base", &f->e));
}

static void noprune_keeps_parents(void **state)
{
	struct fixture *f = *state;
	struct image *parent = make_image(f, "x", "");
	image_tag(f->images, make_child(f, "child", parent), "child", &f->e);
	const struct image_remove_query q = {.no_prune = true};
	json_t *changes;

	assert_int_equal(image_remove(f->images, "child", &q, &changes, &f->e), 0);

	assert_int_equal(json_array_size(changes), 2);
	assert_non_null(image_find(f->images, parent->id, &f->e));
	json_decref(changes);
}

static void prune_takes_children_before_their_parents(void **state)
{
	struct fixture *f = *state;
	struct image *parent = make_image(f, "x", "");
	image_tag(f->images, parent, "base", &f->e);
	image_tag(f->images, make_child(f, "child", parent), "child", &f->e);
	const struct image_prune_query q = {.all = true};
	json_t *changes;
	int64_t bytes;

	assert_int_equal(image_prune(f->images, &q, &changes, &bytes, &f->e), 0);

	assert_int_equal(json_array_size(changes), 4);
	size_t pos = 0;
	assert_null(image_next(f->images, &pos));
	json_decref(changes);
}

static void one_of_two_tags_only_untags(void **state)
{
	struct fixture *f = *state;
	struct image *i = make_image(f, "x", "");
	image_tag(f->images, i, "x:1", &f->e);
	image_tag(f->images, i, "x:2", &f->e);

	scoped(json) json_t *changes = remove_image(f, "x:1", false);

	assert_int_equal(json_array_size(changes), 1);
	assert_ptr_equal(image_find(f->images, "x:2", &f->e), i);
}

static void an_image_in_use_stays(void **state)
{
	struct fixture *f = *state;
	struct image *i = make_image(f, "x", "");
	image_tag(f->images, i, "x:1", &f->e);
	f->in_use = "stopped";

	assert_null(remove_image(f, "x:1", false));
	assert_int_equal(f->e.kind, ERR_CONFLICT);
	assert_non_null(strstr(f->e.msg,
		"conflict: unable to remove repository reference \"x:1\" (must force) - container "
		"c0ffeec0ffee is using its referenced image "));
	f->in_use = "running";
	assert_null(remove_image(f, i->id, true));
	assert_non_null(strstr(f->e.msg,
		"(cannot be forced) - image is being used by running container c0ffeec0ffee"));
	f->in_use = NULL;
}

static void an_id_with_several_repositories_needs_force(void **state)
{
	struct fixture *f = *state;
	struct image *i = make_image(f, "x", "");
	char id[DIGEST_LEN + 1];
	memcpy(id, i->id, sizeof(id));
	image_tag(f->images, i, "x:1", &f->e);
	image_tag(f->images, i, "y:1", &f->e);

	assert_null(remove_image(f, id, false));
	assert_non_null(strstr(
		f->e.msg, "(must be forced) - image is referenced in multiple repositories"));
	scoped(json) json_t *changes = remove_image(f, id, true);
	assert_int_equal(json_array_size(changes), 3);
	assert_null(image_find(f->images, id, &f->e));
}

static void pin_a(void *owner, void (*pin)(void *arg, const char *diff_id), void *arg)
{
	pin(arg, A);
}

static void pinned_layers_survive_collection(void **state)
{
	struct fixture *f = *state;
	make_layer(f, A);
	make_layer(f, B);
	image_set_pins(f->images, pin_a, NULL);

	image_collect(f->images);

	assert_true(image_has_layer(f->images, A, NULL));
	assert_false(image_has_layer(f->images, B, NULL));
}

static void held_layers_go_when_nobody_holds_them_any_more(void **state)
{
	struct fixture *f = *state;
	make_layer(f, A);
	make_layer(f, B);
	image_tag(f->images, make_image(f, "x", "\"" A "\""), "x", &f->e);
	struct image_hold *h = image_hold_new(f->images);
	image_hold_image(h, image_find(f->images, "x", &f->e));

	json_decref(remove_image(f, "x", false));

	assert_true(exists(f, "aaaaaaaaaaaaaaaaaaaaaaaa"));
	assert_false(exists(f, "bbbbbbbbbbbbbbbbbbbbbbbb")); /* a hold stops nothing else */
	image_hold_free(h);
	assert_false(exists(f, "aaaaaaaaaaaaaaaaaaaaaaaa"));
	assert_false(image_has_layer(f->images, A, NULL));
}

static void prune_takes_what_has_no_tag(void **state)
{
	struct fixture *f = *state;
	make_layer(f, A);
	make_image(f, "dangling", "\"" A "\"");
	image_tag(f->images, make_image(f, "x", ""), "x", &f->e);
	json_t *changes;
	int64_t bytes;

	const struct image_prune_query query = {.in_use = in_use, .use_owner = f};
	assert_int_equal(image_prune(f->images, &query, &changes, &bytes, &f->e), 0);

	assert_int_equal(bytes, 100);
	assert_int_equal(json_array_size(changes), 2);
	assert_non_null(image_find(f->images, "x", &f->e));
	json_decref(changes);
}

static void everything_is_there_after_a_restart(void **state)
{
	struct fixture *f = *state;
	make_layer(f, A);
	make_layer(f, B);
	image_tag(f->images, make_image(f, "x", "\"" A "\""), "x", &f->e);
	image_tag(f->images, make_image(f, "y", "\"" B "\""), "y", &f->e);
	int64_t tagged_ns = image_find(f->images, "x", &f->e)->tagged_ns;
	scoped(free) char *lost = xasprintf("%s/layers/bbbbbbbbbbbbbbbbbbbbbbbb", f->dir);
	scoped(free) char *unknown = xasprintf("%s/layers/cccccccccccccccccccccccc", f->dir);
	scoped(free) char *alone = xasprintf("%s/layers/dddddddddddddddddddddddd.recipe", f->dir);
	scoped(free) char *half = xasprintf("%s/layers/tmp/job-1", f->dir);
	close_images(f);
	assert_int_equal(rmdir(lost), 0);
	assert_int_equal(mkdir(unknown, 0755), 0);
	assert_int_equal(mkdir(half, 0755), 0);
	assert_int_equal(path_write(AT_FDCWD, alone, "", 0, 0600, false), 0);

	open_images(f);

	struct image *i = image_find(f->images, "x", &f->e);
	assert_non_null(i);
	assert_string_equal(i->tags.v[0], "x:latest");
	assert_int_equal(i->size_bytes, 100);
	assert_true(tagged_ns > 0 && i->tagged_ns == tagged_ns);
	struct image *damaged = image_find(f->images, "y", &f->e);
	assert_non_null(damaged);
	assert_false(image_has_layer(f->images, B, NULL));
	assert_int_equal(image_check_layers(f->images, &damaged->layers, "y", &f->e), -1);
	assert_non_null(strstr(f->e.msg, "is damaged (its directory is missing)"));
	assert_int_equal(image_check_layers(f->images, &i->layers, "x", &f->e), 0);
	assert_false(exists(f, "cccccccccccccccccccccccc"));
	assert_true(exists(f, "aaaaaaaaaaaaaaaaaaaaaaaa.recipe"));
	assert_true(exists(f, "bbbbbbbbbbbbbbbbbbbbbbbb.recipe"));
	assert_false(exists(f, "dddddddddddddddddddddddd.recipe"));
}

static void a_layer_without_its_recipe_is_refused(void **state)
{
	struct fixture *f = *state;
	scoped(free) char *path = xasprintf("%s/layers/tmp/made", f->dir);
	assert_int_equal(mkdir(path, 0755), 0);

	int r = image_add_layer(f->images, "made", A, 100, &f->e);

	assert_int_equal(r, -1);
	assert_false(image_has_layer(f->images, A, NULL));
	assert_false(exists(f, "aaaaaaaaaaaaaaaaaaaaaaaa"));
}

/* The power went after the rename and before the store's last commits reached the disk. */
static void a_removal_that_the_store_does_not_know_is_taken_back(void **state)
{
	struct fixture *f = *state;
	make_layer(f, A);
	image_tag(f->images, make_image(f, "x", "\"" A "\""), "x", &f->e);
	scoped(free) char *dir = xasprintf("%s/layers/aaaaaaaaaaaaaaaaaaaaaaaa", f->dir);
	scoped(free) char *gone =
		xasprintf("%s/layers/tmp/gone-aaaaaaaaaaaaaaaaaaaaaaaa-0123456789abcdef", f->dir);
	close_images(f);
	assert_int_equal(rename(dir, gone), 0);

	open_images(f);

	assert_true(image_has_layer(f->images, A, NULL));
	assert_true(exists(f, "aaaaaaaaaaaaaaaaaaaaaaaa"));
}

static void a_damaged_layer_is_replaced_by_the_next_that_comes(void **state)
{
	struct fixture *f = *state;
	make_layer(f, A);
	image_tag(f->images, make_image(f, "x", "\"" A "\""), "x", &f->e);
	close_images(f);
	scoped(free) char *dir = xasprintf("%s/layers/aaaaaaaaaaaaaaaaaaaaaaaa", f->dir);
	assert_int_equal(rmdir(dir), 0);
	open_images(f);
	assert_false(image_has_layer(f->images, A, NULL));

	make_layer(f, A);

	assert_true(image_has_layer(f->images, A, NULL));
	assert_true(exists(f, "aaaaaaaaaaaaaaaaaaaaaaaa"));
	assert_null(image_layer_damage(f->images, A));
}

static void a_layer_outside_of_tmp_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {
		"", ".", "..", "../x", "/etc", "a/../b", "a/b/c", "a//b", "a/"};
	for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++) {
		assert_int_equal(image_add_layer(f->images, names[k], A, 1, &f->e), -1);
		assert_int_equal(f->e.kind, ERR_INVALID);
	}
	assert_int_equal(image_add_layer(f->images, "x", "sha256:../../x", 1, &f->e), -1);
}

/* --- work --- */

static void pull(struct fixture *f, const char *reference);

static void on_progress(void *owner, json_t *msg)
{
	struct fixture *f = owner;
	const char *status = json_str(msg, "status");
	strv_add(&f->statuses, status);
	if (strcmp(status, "go") == 0 && f->second) {
		pull(f, TAKE(f->second));
	}
	if (strcmp(status, "have") == 0 && f->removed_at_have) {
		json_decref(remove_image(f, TAKE(f->removed_at_have), false));
	}
	if (strcmp(status, "busy") == 0) {
		scoped(free) char *sign = xasprintf("%s/layers/tmp/busy", f->dir);
		assert_int_equal(mkdir(sign, 0755), 0);
	}
}

static void on_done(void *owner, struct image *i, const struct err *e)
{
	struct fixture *f = owner;
	f->dones++;
	if (i) {
		f->done_image = i;
	} else {
		f->e = *e;
	}
}

static void pull(struct fixture *f, const char *reference)
{
	static const struct image_work_handlers handlers = {on_progress, on_done};
	int before = f->dones;
	assert_non_null(image_pull(f->images, reference, "", NULL, &handlers, f, &f->e));
	assert_int_equal(f->dones, before);
}

static size_t count(const struct strv *s, const char *text)
{
	size_t n = 0;
	for (size_t k = 0; k < s->n; k++) {
		n += strcmp(s->v[k], text) == 0;
	}
	return n;
}

static void two_pulls_fetch_a_layer_once(void **state)
{
	struct fixture *f = *state;
	f->second = "x:2";
	pull(f, "x:1");

	uv_run(&f->loop, UV_RUN_DEFAULT);

	assert_int_equal(f->dones, 2);
	assert_int_equal(count(&f->statuses, "go"), 1);
	assert_int_equal(count(&f->statuses, "busy"), 1);
	assert_int_equal(count(&f->statuses, "have"), 1);
	assert_int_equal(f->done_image->tags.n, 2);
	assert_string_equal(f->done_image->digests.v[0], "x@" M);
}

static void a_layer_that_a_pull_was_told_of_stays_for_it(void **state)
{
	struct fixture *f = *state;
	make_layer(f, A);
	image_tag(f->images, make_image(f, "x", "\"" A "\""), "old", &f->e);
	f->removed_at_have = "old";
	pull(f, "x:2");

	uv_run(&f->loop, UV_RUN_DEFAULT);

	assert_null(image_find(f->images, "old", &f->e));
	assert_non_null(image_find(f->images, "x:2", &f->e));
	assert_true(exists(f, "aaaaaaaaaaaaaaaaaaaaaaaa"));
	json_decref(remove_image(f, "x:2", false));
	assert_false(exists(f, "aaaaaaaaaaaaaaaaaaaaaaaa"));
}

static void a_waiting_pull_takes_over_when_the_other_dies(void **state)
{
	struct fixture *f = *state;
	f->second = "x:2";
	pull(f, "x:crash");

	uv_run(&f->loop, UV_RUN_DEFAULT);

	assert_int_equal(f->dones, 2);
	assert_non_null(image_find(f->images, "x:2", &f->e));
	assert_null(image_find(f->images, "x:crash", &f->e));
}

static void a_worker_cannot_name_other_directories(void **state)
{
	struct fixture *f = *state;
	pull(f, "x:escape");

	uv_run(&f->loop, UV_RUN_DEFAULT);

	assert_int_equal(count(&f->statuses, "refused"), 1);
	assert_int_equal(f->dones, 1);
	assert_null(f->done_image); /* the layer of its image never came */
}

static void a_cancelled_pull_is_done_once_and_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	static const struct image_work_handlers handlers = {on_progress, on_done};
	struct image_work *w = image_pull(f->images, "x:1", "", NULL, &handlers, f, &f->e);

	image_work_cancel(w);
	uv_run(&f->loop, UV_RUN_DEFAULT);

	assert_int_equal(f->dones, 1);
	assert_int_equal(f->e.kind, ERR_BUSY);
	assert_false(image_has_layer(f->images, A, NULL));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

static void the_first_rule_that_matches_counts(void **state)
{
	static const char *const known[][3] = {{"r/app", "0", "r/app"}, {"r/apple", "1", "r/apple"},
		{"m/x/y", "2", "docker.io/x/y"}, {"s/a", "3", "t/b"}, {"other", "4", "other"},
		{"", "4", ""}};
	scoped(json) json_t *policy = json_pack("[{ss} {ss ss} {ss ss} {ss ss} {ss}]", "repository",
		"r/app", "repository", "r/app*", "signed-as", "", "repository", "m/*", "signed-as",
		"docker.io/*", "repository", "s/a", "signed-as", "t/b", "repository", "*");
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		char name[REF_TEXT_MAX];
		const json_t *rule = trust_rule(policy, known[i][0]);
		assert_ptr_equal(rule, json_array_get(policy, (size_t)(*known[i][1] - '0')));
		assert_string_equal(trust_identity(rule, known[i][0], name), known[i][2]);
	}
	json_array_remove(policy, 4);
	assert_null(trust_rule(policy, "r/ap"));
	assert_null(trust_rule(policy, ""));
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (strcmp(argv[0], "wherry-worker") == 0) {
		return work(argv[1]);
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_rule_that_matches_counts),
		TEST(an_image_is_found_by_every_name_of_it),
		TEST(an_image_whose_layer_is_missing_is_refused),
		TEST(the_id_is_the_digest_of_the_exact_text),
		TEST(a_tag_moves_to_the_newer_image),
		TEST(lower_layers_are_named_topmost_first_and_once),
		TEST(shared_layers_are_counted_once),
		TEST(the_last_tag_takes_image_and_own_layers_along),
		TEST(layers_that_go_are_named_as_docker_names_them),
		TEST(parents_without_a_name_go_with_their_child),
		TEST(noprune_keeps_parents),
		TEST(prune_takes_children_before_their_parents),
		TEST(one_of_two_tags_only_untags),
		TEST(an_image_in_use_stays),
		TEST(an_id_with_several_repositories_needs_force),
		TEST(pinned_layers_survive_collection),
		TEST(held_layers_go_when_nobody_holds_them_any_more),
		TEST(prune_takes_what_has_no_tag),
		TEST(everything_is_there_after_a_restart),
		TEST(a_layer_without_its_recipe_is_refused),
		TEST(a_removal_that_the_store_does_not_know_is_taken_back),
		TEST(a_damaged_layer_is_replaced_by_the_next_that_comes),
		TEST(a_layer_outside_of_tmp_is_refused),
		TEST(a_name_of_several_platforms_means_this_machines),
		TEST(an_index_comes_back_after_a_restart),
		TEST(the_last_name_takes_all_platforms_along),
		TEST(a_name_that_goes_leaves_what_other_names_need),
		TEST(an_index_whose_name_moved_on_can_be_pruned),
		TEST(a_container_of_any_platform_keeps_the_index),
		TEST(two_pulls_fetch_a_layer_once),
		TEST(a_layer_that_a_pull_was_told_of_stays_for_it),
		TEST(a_waiting_pull_takes_over_when_the_other_dies),
		TEST(a_worker_cannot_name_other_directories),
		TEST(a_cancelled_pull_is_done_once_and_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
