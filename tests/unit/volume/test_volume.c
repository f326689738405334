#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "event/event.h"
#include "store/store.h"
#include "volume/volume.h"

struct fixture {
	char folder[64];
	struct store *store;
	struct event_bus *bus;
	struct volume_set *volumes;
};

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	struct err e;
	strcpy(f->folder, "/tmp/wherry-volume-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	f->store = store_open(":memory:", &e);
	f->bus = event_bus_new();
	f->volumes = volume_set_new(f->store, f->bus, NULL, f->folder, &e);
	assert_non_null(f->volumes);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	volume_set_free(f->volumes);
	event_bus_free(f->bus);
	store_close(f->store);
	path_remove_tree(AT_FDCWD, f->folder);
	free(f);
	return 0;
}

static void a_volume_survives_a_restart_of_the_daemon(void **state)
{
	struct fixture *f = *state;
	struct err e;
	scoped(json) json_t *labels = json_pack("{ss}", "a", "b");
	struct volume *v = volume_create(f->volumes, "data", "", labels, NULL, &e);
	assert_non_null(v);
	volume_set_seeded(f->volumes, v);

	volume_set_free(f->volumes);
	f->volumes = volume_set_new(f->store, f->bus, NULL, f->folder, &e);

	v = volume_find(f->volumes, "data", &e);
	assert_non_null(v);
	assert_false(volume_wants_seed(v));
	assert_int_equal(access(volume_mountpoint(v), F_OK), 0);
	scoped(json) json_t *shown = volume_inspect(v);
	assert_string_equal(json_str(json_object_get(shown, "Labels"), "a"), "b");
}

static void creating_it_again_returns_the_same_volume(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct volume *v = volume_create(f->volumes, "data", "local", NULL, NULL, &e);

	assert_ptr_equal(volume_create(f->volumes, "data", NULL, NULL, NULL, &e), v);
}

static void a_nameless_volume_is_anonymous(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct volume *v = volume_create(f->volumes, "", NULL, NULL, NULL, &e);

	assert_int_equal(strlen(volume_name(v)), 64);
	assert_true(volume_anonymous(v));
}

static void names_that_could_leave_the_directory_are_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"../x", "a/b", ".hidden", "x", "a b", "ab\n", "-ab"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct err e;
		assert_null(volume_create(f->volumes, names[i], NULL, NULL, NULL, &e));
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void unsupported_drivers_and_options_are_said(void **state)
{
	struct fixture *f = *state;
	struct err e;
	scoped(json) json_t *options = json_pack("{ss}", "type", "nfs");
	assert_null(volume_create(f->volumes, "data", "rexray", NULL, NULL, &e));
	assert_non_null(strstr(e.msg, "rexray"));
	assert_null(volume_create(f->volumes, "data", "", NULL, options, &e));
	assert_non_null(strstr(e.msg, "\"device\""));
	assert_null(volume_find(f->volumes, "data", &e));
}

/* The words are dockerd 26.1.5's. */
static void options_are_checked_as_docker_does(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *key, *value, *said;
	} cases[] = {{"foo", "x", "create vol: invalid option: \"foo\""},
		{"type", "nfs", "create vol: missing required option: \"device\""},
		{"device", "/x", "create vol: missing required option: \"type\""},
		{"o", "ro", "create vol: missing required option: \"device\""},
		{"size", "1m", "create vol: quota size requested but no quota support"},
		{"size", "x", "create vol: invalid size: 'x'"}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e;
		scoped(json) json_t *options = json_pack("{ss}", cases[i].key, cases[i].value);
		assert_null(volume_create(f->volumes, "vol", NULL, NULL, options, &e));
		assert_string_equal(e.msg, cases[i].said);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void a_volume_with_a_device_is_a_mount_point(void **state)
{
	struct fixture *f = *state;
	struct err e;
	scoped(json) json_t *options =
		json_pack("{ss ss ss}", "type", "tmpfs", "device", "tmpfs", "o", "size=1m,ro");
	const struct volume *plain = volume_create(f->volumes, "plain", NULL, NULL, NULL, &e);
	const struct volume *disk = volume_create(f->volumes, "disk", NULL, NULL, options, &e);

	assert_false(volume_needs_mount(plain));
	assert_true(volume_needs_mount(disk));
	assert_true(volume_mounts_read_only(disk));
	assert_false(volume_is_mounted(disk));
	scoped(json) json_t *request = volume_mount_request(disk);
	assert_string_equal(json_str(request, "target"), volume_mountpoint(disk));
	assert_string_equal(json_str(request, "o"), "size=1m,ro");
	scoped(json) json_t *shown = volume_inspect(plain);
	assert_true(json_is_null(json_object_get(shown, "Labels")));
}

static void removal_takes_the_directory_along(void **state)
{
	struct fixture *f = *state;
	struct err e;
	struct volume *v = volume_create(f->volumes, "data", NULL, NULL, NULL, &e);
	scoped(free) char *place = xstrdup(volume_mountpoint(v));

	assert_int_equal(volume_remove(f->volumes, v, &e), 0);

	assert_int_equal(access(place, F_OK), -1);
	assert_null(volume_find(f->volumes, "data", &e));
	assert_string_equal(e.msg, "get data: no such volume");
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(a_volume_survives_a_restart_of_the_daemon),
		WITH(creating_it_again_returns_the_same_volume),
		WITH(a_nameless_volume_is_anonymous),
		WITH(names_that_could_leave_the_directory_are_refused),
		WITH(unsupported_drivers_and_options_are_said),
		WITH(options_are_checked_as_docker_does),
		WITH(a_volume_with_a_device_is_a_mount_point),
		WITH(removal_takes_the_directory_along),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
