/* The words of -v, --mount and --tmpfs: pure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/scoped.h"
#include "container/mount_rules.h"

static void a_mode_is_one_word_of_each_sort(void **state)
{
	struct mount_mode m;

	assert_true(mount_mode_parse("ro,z,rslave,nocopy,cached", &m));
	assert_true(m.read_only && m.no_copy);
	assert_string_equal(m.propagation, "rslave");
	assert_true(mount_mode_parse("", &m));
	assert_true(!m.read_only && !m.no_copy && !m.propagation);
	static const char *const wrong[] = {
		"ro,rw", "z,Z", "foo", "ro,", "shared,rshared", "volume-nocopy", " ro"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_false(mount_mode_is_valid(wrong[i]));
	}
}

static void volumes_from_takes_neither_labels_nor_propagation(void **state)
{
	assert_true(mount_mode_is_for_volumes_from(""));
	assert_true(mount_mode_is_for_volumes_from("ro"));
	assert_false(mount_mode_is_for_volumes_from("ro,z"));
	assert_false(mount_mode_is_for_volumes_from("rshared"));
	assert_false(mount_mode_is_for_volumes_from("nocopy"));
}

static void check(const char *text, const char *words)
{
	struct err e = {0};
	scoped(json) json_t *o = json_parse(text, strlen(text), "the test", &e);
	assert_non_null(o);
	int r = mount_object_check(o, &e);
	if (!words) {
		assert_int_equal(r, 0);
		return;
	}
	assert_int_equal(r, -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_string_equal(e.msg, words);
}

/* Recorded from dockerd 26.1.5. */
static void a_wrong_mount_is_refused_in_dockers_words(void **state)
{
	check("{\"Type\":\"bind\",\"Source\":\"/etc\",\"Target\":\"/m\"}", NULL);
	check("{\"Type\":\"volume\",\"Target\":\"/m\"}", NULL);
	check("{\"Type\":\"tmpfs\",\"Target\":\"/m\",\"TmpfsOptions\":null}", NULL);
	check("{\"Type\":\"image\",\"Source\":\"bb\",\"Target\":\"/m\",\"ImageOptions\":{\"Subpath\":\"a/b\"}}",
		NULL);
	check("{\"Type\":\"image\",\"Target\":\"/m\"}",
		"invalid mount config for type \"image\": field Source must not be empty");
	check("{\"Type\":\"image\",\"Source\":\"bb\",\"Target\":\"/m\",\"ImageOptions\":{\"Subpath\":\"/a\"}}",
		"invalid mount config for type \"image\": subpath must be a relative path within the image");
	check("{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/m\",\"ImageOptions\":{}}",
		"ImageOptions must not be specified on mount type \"bind\"");
	check("{\"Type\":\"npipe\",\"Source\":\"bb\",\"Target\":\"/m\"}",
		"invalid mount config for type \"npipe\": mount type unknown");
	check("{\"Target\":\"/m\"}", "invalid mount config for type \"\": mount type unknown");
	check("{\"Type\":\"bind\",\"Source\":\"/etc\",\"Target\":\"/m\",\"VolumeOptions\":{}}",
		"VolumeOptions must not be specified on mount type \"bind\"");
	check("{\"Type\":\"volume\",\"Target\":\"/m\",\"BindOptions\":{}}",
		"BindOptions must not be specified on mount type \"volume\"");
	check("{\"Type\":\"bind\",\"Target\":\"/m\"}",
		"invalid mount config for type \"bind\": field Source must not be empty");
	check("{\"Type\":\"bind\",\"Source\":\"/etc\",\"Target\":\"/./x/..\"}",
		"invalid mount config for type \"bind\": invalid specification: destination can't be '/'");
	check("{\"Type\":\"bind\",\"Source\":\"/etc\",\"Target\":\"/m\",\"BindOptions\":{\"Propagation\":\"x\"}}",
		"invalid mount config for type \"bind\": invalid propagation mode: x");
	check("{\"Type\":\"volume\",\"Target\":\"/m\",\"ReadOnly\":true}",
		"invalid mount config for type \"volume\": must not set ReadOnly mode when using anonymous volumes");
	check("{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/m\",\"VolumeOptions\":{\"Subpath\":\"a/../../x\"}}",
		"invalid mount config for type \"volume\": subpath must be a relative path within the volume");
	check("{\"Type\":\"bind\",\"Source\":\"/etc\",\"Target\":\"/m\",\"BindOptions\":{\"ReadOnlyForceRecursive\":true}}",
		"invalid mount config for type \"bind\": mount options conflict: !ReadOnly && BindOptions.ReadOnlyForceRecursive");
}

static void the_users_tmpfs_option_wins(void **state)
{
	static const struct {
		const char *given, *expected;
	} cases[] = {{"", "noexec,nosuid,nodev"}, {"exec", "nosuid,nodev,exec"},
		{"size=1m,mode=700,size=2m", "noexec,nosuid,nodev,mode=700,size=2m"},
		{"rw,ro", "noexec,nosuid,nodev,ro"}};
	for (size_t i = 0; i < 4; i++) {
		struct err e = {0};
		scoped(free) char *options = NULL;
		assert_int_equal(mount_tmpfs_options(cases[i].given, &options, &e), 0);
		assert_string_equal(options, cases[i].expected);
	}
	struct err e = {0};
	char *none = NULL;
	assert_int_equal(mount_tmpfs_options("foo=bar", &none, &e), -1);
	assert_string_equal(e.msg, "invalid tmpfs option \"foo\"");
	assert_int_equal(mount_tmpfs_options("size", &none, &e), -1);
}

static void what_is_on_a_server_is_told_by_its_mount(void **state)
{
	static const struct {
		const char *path, *place; /* NULL: on this machine */
	} cases[] = {{"/srv", NULL}, {"/mnt/nas", "/mnt/nas"}, {"/mnt/nas/a/b", "/mnt/nas"},
		{"/mnt/nas/local/x", NULL}, {"/mnt/nasty", NULL}, {"/mnt/f/x", "/mnt/f"},
		{"/mnt/ntfs/x", NULL}, {"/mnt/over", "/mnt/over"}};
	const char *info = "21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n"
			   "30 21 0:25 / /mnt/nas rw - nfs4 nas:/x rw\n"
			   "31 30 0:26 / /mnt/nas/local rw - tmpfs tmpfs rw\n"
			   "32 21 0:27 / /mnt/f rw - fuse.sshfs host: rw\n"
			   "33 21 0:28 / /mnt/ntfs rw - fuseblk /dev/sdb1 rw\n"
			   "34 21 0:29 / /mnt/over rw - tmpfs tmpfs rw\n"
			   "35 34 0:30 / /mnt/over rw - cifs //nas/x rw\n";
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *place = mount_server_place(info, cases[i].path);
		if (cases[i].place) {
			assert_non_null(place);
			assert_string_equal(place, cases[i].place);
		} else {
			assert_null(place);
		}
	}
}

static void propagation_needs_a_peer_group(void **state)
{
	const char *info = "21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
			   "30 21 0:25 / /mnt rw - tmpfs tmpfs rw\n"
			   "31 30 0:26 / /mnt/a\\040b rw master:7 - tmpfs tmpfs rw\n";
	scoped(free) char *none = mount_propagation_refusal(info, "/mnt/x", "rslave");
	scoped(free) char *shared = mount_propagation_refusal(info, "/mnt/a b/c", "rshared");

	assert_null(mount_propagation_refusal(info, "/srv", "rshared"));
	assert_null(mount_propagation_refusal(info, "/mnt/a b/c", "slave"));
	assert_null(mount_propagation_refusal(info, "/mntx", "rslave"));
	assert_string_equal(
		none, "path /mnt/x is mounted on /mnt but it is not a shared or slave mount");
	assert_string_equal(
		shared, "path /mnt/a b/c is mounted on /mnt/a b but it is not a shared mount");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mode_is_one_word_of_each_sort),
		cmocka_unit_test(volumes_from_takes_neither_labels_nor_propagation),
		cmocka_unit_test(a_wrong_mount_is_refused_in_dockers_words),
		cmocka_unit_test(the_users_tmpfs_option_wins),
		cmocka_unit_test(what_is_on_a_server_is_told_by_its_mount),
		cmocka_unit_test(propagation_needs_a_peer_group),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
