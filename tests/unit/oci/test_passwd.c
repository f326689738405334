/* USER as numbers. The image's files are made below a temporary directory, one or two layers of it.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "oci/passwd.h"

struct fixture {
	char folder[64];
	struct strv roots; /* folder/top, folder/base */
};

static void put(const struct fixture *f, const char *name, const char *text)
{
	scoped(free) char *path = xasprintf("%s/%s", f->folder, name);
	assert_int_equal(path_write(AT_FDCWD, path, text, strlen(text), 0644, false), 0);
}

static int setup(void **state)
{
	struct fixture *f = xnew(struct fixture);
	strcpy(f->folder, "/tmp/wherry-passwd-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	static const char *const names[] = {"top/etc", "base/etc", "outside"};
	for (size_t i = 0; i < 3; i++) {
		scoped(free) char *path = xasprintf("%s/%s", f->folder, names[i]);
		assert_int_equal(path_mkdirs(path, 0755), 0);
	}
	strv_addf(&f->roots, "%s/top", f->folder);
	strv_addf(&f->roots, "%s/base", f->folder);
	put(f, "base/etc/passwd",
		"root:x:0:0:root:/root:/bin/sh\n"
		"bob:x:1000:1001:Bob:/home/bob:/bin/sh\n");
	put(f, "base/etc/group",
		"root:x:0:\nbob:x:1001:\ndialout:x:20:alice,bob\nplugdev:x:46:bob\n");
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	path_remove_tree(AT_FDCWD, f->folder);
	strv_deinit(&f->roots);
	free(f);
	return 0;
}

static void no_user_is_root(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;

	assert_int_equal(oci_user_find(&f->roots, "", NULL, &u, &e), 0);

	assert_int_equal(u.uid, 0);
	assert_int_equal(u.gid, 0);
	assert_string_equal(u.home, "/root");
}

static void a_name_brings_its_group_home_and_memberships(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;

	assert_int_equal(oci_user_find(&f->roots, "bob", NULL, &u, &e), 0);

	assert_int_equal(u.uid, 1000);
	assert_int_equal(u.gid, 1001);
	assert_string_equal(u.home, "/home/bob");
	assert_int_equal(u.n_groups, 2);
	assert_int_equal(u.groups[0], 20);
	assert_int_equal(u.groups[1], 46);
}

static void a_known_number_brings_what_its_name_would(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;

	assert_int_equal(oci_user_find(&f->roots, "1000", NULL, &u, &e), 0);

	assert_int_equal(u.gid, 1001);
	assert_int_equal(u.n_groups, 2);
}

static void an_unknown_number_is_taken_as_it_is(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;

	assert_int_equal(oci_user_find(&f->roots, "4711:4712", NULL, &u, &e), 0);

	assert_int_equal(u.uid, 4711);
	assert_int_equal(u.gid, 4712);
	assert_int_equal(u.n_groups, 0);
	assert_string_equal(u.home, "/");
}

static void an_explicit_group_drops_the_memberships(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;

	assert_int_equal(oci_user_find(&f->roots, "bob:dialout", NULL, &u, &e), 0);

	assert_int_equal(u.gid, 20);
	assert_int_equal(u.n_groups, 0);
}

static void extra_groups_are_added_by_name_and_number(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	scoped(strv) struct strv extra = STRV_INIT;
	strv_add(&extra, "plugdev");
	strv_add(&extra, "777");

	assert_int_equal(oci_user_find(&f->roots, "0", &extra, &u, &e), 0);

	assert_int_equal(u.n_groups, 2);
	assert_int_equal(u.groups[0], 46);
	assert_int_equal(u.groups[1], 777);
}

static void unknown_names_are_refused_in_dockers_words(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	scoped(strv) struct strv extra = STRV_INIT;
	strv_add(&extra, "nogroup");

	assert_int_equal(oci_user_find(&f->roots, "eve", NULL, &u, &e), -1);
	assert_string_equal(e.msg, "unable to find user eve: no matching entries in passwd file");
	assert_int_equal(oci_user_find(&f->roots, "bob:eve", NULL, &u, &e), -1);
	assert_string_equal(e.msg, "unable to find group eve: no matching entries in group file");
	assert_int_equal(oci_user_find(&f->roots, "bob", &extra, &u, &e), -1);
	assert_string_equal(
		e.msg, "Unable to find group nogroup: no matching entries in group file");
	assert_int_equal(e.kind, ERR_INVALID);
}

/* CVE-2026-46680: an image whose passwd has a user *named* 1000 with uid 0 must not turn `USER
 * 1000` into root. */
static void a_numeric_user_is_never_looked_up_as_a_name(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	put(f, "top/etc/passwd", "1000:x:0:0:evil:/root:/bin/sh\n01000:x:0:0::/:/bin/sh\n");

	assert_int_equal(oci_user_find(&f->roots, "1000", NULL, &u, &e), 0);
	assert_int_equal(u.uid, 1000);
	assert_int_equal(u.gid, 0);
	assert_int_equal(oci_user_find(&f->roots, "01000", NULL, &u, &e), 0);
	assert_int_equal(u.uid, 1000);
}

/* The same by overflow: what is a number, but none that a uid can be, is no name either. */
static void a_number_beyond_every_uid_is_refused_and_no_name(void **state)
{
	struct fixture *f = *state;
	static const char *const wishes[] = {
		"4294967295", "4294967296", "99999999999999999999", "-1", "+5"};
	put(f, "top/etc/passwd",
		"4294967295:x:0:0::/:\n4294967296:x:0:0::/:\n99999999999999999999:x:0:0::/:\n-1:x:0:0::/:\n+5:x:0:0::/:\n");
	put(f, "top/etc/group",
		"4294967295:x:0:\n4294967296:x:0:\n99999999999999999999:x:0:\n-1:x:0:\n+5:x:0:\n");

	for (size_t i = 0; i < 5; i++) {
		struct oci_user u;
		struct err e;
		scoped(free) char *as_group = xasprintf("0:%s", wishes[i]);
		assert_int_equal(oci_user_find(&f->roots, wishes[i], NULL, &u, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_int_equal(oci_user_find(&f->roots, as_group, NULL, &u, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void a_line_whose_uid_is_no_number_counts_for_nothing(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	put(f, "top/etc/passwd",
		"bob:x::0::/:\nbob:x:0x0:0::/:\nbob:x:4294967296:0::/:\nbob\n:::\nbob:x:7:8::/b:\n");

	assert_int_equal(oci_user_find(&f->roots, "bob", NULL, &u, &e), 0);

	assert_int_equal(u.uid, 7);
	assert_int_equal(u.gid, 8);
}

static void the_topmost_layer_that_has_the_file_decides(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	put(f, "top/etc/passwd", "bob:x:2000:2000::/b:\n");

	assert_int_equal(oci_user_find(&f->roots, "bob", NULL, &u, &e), 0);

	assert_int_equal(u.uid, 2000);
}

static void an_absolute_link_stays_inside_the_image(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	scoped(free) char *secret = xasprintf("%s/outside/passwd", f->folder);
	scoped(free) char *link = xasprintf("%s/top/etc/passwd", f->folder);
	put(f, "outside/passwd", "bob:x:0:0::/leaked:\n");
	assert_int_equal(symlink(secret, link), 0);

	assert_int_equal(oci_user_find(&f->roots, "bob", NULL, &u, &e), 0);

	assert_string_equal(
		u.home, "/home/bob"); /* of the layer below: the link leads nowhere inside */
}

static void a_link_that_climbs_stays_inside_the_image(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	scoped(free) char *link = xasprintf("%s/top/etc/passwd", f->folder);
	put(f, "outside/passwd", "bob:x:0:0::/leaked:\n");
	assert_int_equal(symlink("../../outside/passwd", link), 0);

	assert_int_equal(oci_user_find(&f->roots, "bob", NULL, &u, &e), 0);

	assert_string_equal(u.home, "/home/bob");
}

static void a_linked_etc_does_not_lead_out(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	scoped(free) char *etc = xasprintf("%s/top/etc", f->folder);
	scoped(free) char *outside = xasprintf("%s/outside", f->folder);
	put(f, "outside/passwd", "bob:x:0:0::/leaked:\n");
	assert_int_equal(rmdir(etc), 0);
	assert_int_equal(symlink(outside, etc), 0);

	assert_int_equal(oci_user_find(&f->roots, "bob", NULL, &u, &e), 0);

	assert_string_equal(u.home, "/home/bob");
}

static void a_link_inside_the_image_is_followed(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	scoped(free) char *link = xasprintf("%s/top/etc/passwd", f->folder);
	put(f, "top/users", "bob:x:3000:3000::/b:\n");
	assert_int_equal(symlink("/users", link), 0);

	assert_int_equal(oci_user_find(&f->roots, "bob", NULL, &u, &e), 0);

	assert_int_equal(u.uid, 3000);
}

/* A fifo would hold the daemon until somebody writes. The test's time limit is the assertion. */
static void a_fifo_is_not_opened_for_reading(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	scoped(free) char *fifo = xasprintf("%s/top/etc/passwd", f->folder);
	assert_int_equal(mkfifo(fifo, 0644), 0);

	assert_int_equal(oci_user_find(&f->roots, "bob", NULL, &u, &e), -1);
	assert_int_equal(oci_user_find(&f->roots, "5", NULL, &u, &e), 0);
}

static void a_huge_file_is_an_error_not_memory(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	scoped(free) char *path = xasprintf("%s/top/etc/passwd", f->folder);
	put(f, "top/etc/passwd", "");
	assert_int_equal(truncate(path, INT64_C(8) << 30), 0);

	assert_int_equal(oci_user_find(&f->roots, "bob", NULL, &u, &e), -1);
	assert_int_equal(e.sys, EFBIG);
}

static void more_groups_than_the_kernel_call_takes_are_cut(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	scoped(buf) struct buf text = BUF_INIT;
	for (int i = 0; i < 2 * OCI_GROUPS_MAX; i++) {
		buf_printf(&text, "g%d:x:%d:bob\n", i, 5000 + i);
	}
	put(f, "top/etc/group", buf_str(&text));

	assert_int_equal(oci_user_find(&f->roots, "bob", NULL, &u, &e), 0);

	assert_int_equal(u.n_groups, OCI_GROUPS_MAX);
}

static void an_image_without_files_still_has_numbers(void **state)
{
	struct fixture *f = *state;
	struct oci_user u;
	struct err e;
	scoped(strv) struct strv roots = STRV_INIT;
	strv_addf(&roots, "%s/outside", f->folder);

	assert_int_equal(oci_user_find(&roots, "", NULL, &u, &e), 0);
	assert_int_equal(u.uid, 0);
	assert_int_equal(oci_user_find(&roots, "12:34", NULL, &u, &e), 0);
	assert_int_equal(u.gid, 34);
	assert_int_equal(oci_user_find(&roots, "root", NULL, &u, &e), -1);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(no_user_is_root),
		WITH(a_name_brings_its_group_home_and_memberships),
		WITH(a_known_number_brings_what_its_name_would),
		WITH(an_unknown_number_is_taken_as_it_is),
		WITH(an_explicit_group_drops_the_memberships),
		WITH(extra_groups_are_added_by_name_and_number),
		WITH(unknown_names_are_refused_in_dockers_words),
		WITH(a_numeric_user_is_never_looked_up_as_a_name),
		WITH(a_number_beyond_every_uid_is_refused_and_no_name),
		WITH(a_line_whose_uid_is_no_number_counts_for_nothing),
		WITH(the_topmost_layer_that_has_the_file_decides),
		WITH(an_absolute_link_stays_inside_the_image),
		WITH(a_link_that_climbs_stays_inside_the_image),
		WITH(a_linked_etc_does_not_lead_out),
		WITH(a_link_inside_the_image_is_followed),
		WITH(a_fifo_is_not_opened_for_reading),
		WITH(a_huge_file_is_an_error_not_memory),
		WITH(more_groups_than_the_kernel_call_takes_are_cut),
		WITH(an_image_without_files_still_has_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
