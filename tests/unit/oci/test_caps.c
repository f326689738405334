#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>

#include <cmocka.h>

#include "base/json.h"
#include "oci/caps.h"

#define BIT(n) (UINT64_C(1) << (n))

/* What this process may pass on: the expectation for "everything" in a sandbox of its own. */
static uint64_t bounding(void)
{
	uint64_t set = 0;
	for (int i = 0; i <= CAP_LAST_CAP; i++) {
		set |= prctl(PR_CAPBSET_READ, i, 0, 0, 0) == 1 ? BIT(i) : 0;
	}
	return set;
}

static uint64_t resolve(const char *add, const char *drop, bool privileged)
{
	scoped(strv) struct strv added = STRV_INIT;
	scoped(strv) struct strv dropped = STRV_INIT;
	struct err e;
	uint64_t set;
	strv_split(&added, add, ',');
	strv_split(&dropped, drop, ',');
	assert_int_equal(oci_caps_resolve(&added, &dropped, privileged, &set, &e), 0);
	return set;
}

static const uint64_t dockers_fourteen = BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FSETID) |
					 BIT(CAP_FOWNER) | BIT(CAP_MKNOD) | BIT(CAP_NET_RAW) |
					 BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) |
					 BIT(CAP_SETPCAP) | BIT(CAP_NET_BIND_SERVICE) |
					 BIT(CAP_SYS_CHROOT) | BIT(CAP_KILL) | BIT(CAP_AUDIT_WRITE);

static void nothing_asked_is_dockers_default(void **state)
{
	uint64_t set;
	struct err e;

	assert_int_equal(oci_caps_resolve(NULL, NULL, false, &set, &e), 0);

	assert_int_equal(__builtin_popcountll(dockers_fourteen), 14);
	assert_int_equal(set, dockers_fourteen & bounding());
}

static void names_come_in_any_spelling(void **state)
{
	uint64_t expected = (dockers_fourteen | BIT(CAP_NET_ADMIN)) & bounding();

	assert_int_equal(resolve("NET_ADMIN", "", false), expected);
	assert_int_equal(resolve("CAP_NET_ADMIN", "", false), expected);
	assert_int_equal(resolve("cap_net_admin", "", false), expected);
}

/* moby caps.TweakCapabilities */
static void adding_wins_over_dropping_the_same_but_not_all(void **state)
{
	assert_int_equal(resolve("NET_ADMIN", "NET_ADMIN", false),
		(dockers_fourteen | BIT(CAP_NET_ADMIN)) & bounding());
	assert_int_equal(resolve("ALL", "SYS_ADMIN", false), bounding() & ~BIT(CAP_SYS_ADMIN));
}

static void drop_all_leaves_only_what_is_added(void **state)
{
	assert_int_equal(resolve("", "ALL", false), 0);
	assert_int_equal(
		resolve("KILL,CHOWN", "all", false), (BIT(CAP_KILL) | BIT(CAP_CHOWN)) & bounding());
}

static void privileged_has_all_and_never_more_than_we_have(void **state)
{
	assert_int_equal(resolve("", "ALL", true), bounding());
}

static void an_unknown_name_is_refused(void **state)
{
	static const char *const wrong[] = {"NET_ADMINS", "CAP_", "", "CAP_CAP_CHOWN"};
	for (size_t i = 0; i < 4; i++) {
		scoped(strv) struct strv list = STRV_INIT;
		struct err e;
		uint64_t set;
		strv_add(&list, wrong[i]);
		assert_int_equal(oci_caps_resolve(&list, NULL, false, &set, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_int_equal(oci_caps_resolve(NULL, &list, true, &set, &e), -1);
	}
}

static void names_of_a_set_are_the_kernels(void **state)
{
	scoped(json) json_t *list =
		oci_caps_json(BIT(CAP_CHOWN) | BIT(CAP_CHECKPOINT_RESTORE) | BIT(63));

	assert_int_equal(json_array_size(list), 2);
	assert_string_equal(json_string_value(json_array_get(list, 0)), "CAP_CHOWN");
	assert_string_equal(json_string_value(json_array_get(list, 1)), "CAP_CHECKPOINT_RESTORE");
	assert_true(oci_caps_has(BIT(CAP_CHOWN), "CAP_CHOWN"));
	assert_false(oci_caps_has(BIT(CAP_CHOWN), "CAP_KILL"));
	assert_false(oci_caps_has(~UINT64_C(0), "CAP_NONE"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_asked_is_dockers_default),
		cmocka_unit_test(names_come_in_any_spelling),
		cmocka_unit_test(adding_wins_over_dropping_the_same_but_not_all),
		cmocka_unit_test(drop_all_leaves_only_what_is_added),
		cmocka_unit_test(privileged_has_all_and_never_more_than_we_have),
		cmocka_unit_test(an_unknown_name_is_refused),
		cmocka_unit_test(names_of_a_set_are_the_kernels),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
