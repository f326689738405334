#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "oci/seccomp.h"

#define BIT(n) (UINT64_C(1) << (n))

static json_t *convert(const char *text, uint64_t caps, struct err *e)
{
	scoped(json) json_t *profile = json_parse(text, strlen(text), "the test's profile", e);
	assert_non_null(profile);
	return oci_seccomp_convert(profile, caps, e);
}

static bool allows(const json_t *converted, const char *name)
{
	size_t i;
	json_t *rule;
	json_array_foreach (json_object_get(converted, "syscalls"), i, rule) {
		size_t k;
		json_t *item;
		if (strcmp(json_str(rule, "action"), "SCMP_ACT_ALLOW") != 0) {
			continue;
		}
		json_array_foreach (json_object_get(rule, "names"), k, item) {
			if (strcmp(json_string_value(item), name) == 0) {
				return true;
			}
		}
	}
	return false;
}

static const char by_caps[] =
	"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":1,\"syscalls\":["
	"{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ALLOW\"},"
	"{\"names\":[\"mount\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}},"
	"{\"names\":[\"clone\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":2114060288,"
	"\"op\":\"SCMP_CMP_MASKED_EQ\"}],\"excludes\":{\"caps\":[\"CAP_SYS_ADMIN\"]}}]}";

static void rules_for_a_capability_apply_with_it_only(void **state)
{
	struct err e;

	scoped(json) json_t *without = convert(by_caps, 0, &e);
	scoped(json) json_t *with = convert(by_caps, BIT(CAP_SYS_ADMIN), &e);

	assert_true(
		allows(without, "read") && allows(without, "clone") && !allows(without, "mount"));
	assert_true(allows(with, "read") && !allows(with, "clone") && allows(with, "mount"));
}

static void what_the_runtime_needs_is_kept(void **state)
{
	struct err e;

	scoped(json) json_t *converted = convert(by_caps, 0, &e);

	assert_string_equal(json_str(converted, "defaultAction"), "SCMP_ACT_ERRNO");
	assert_int_equal(json_i64(converted, "defaultErrnoRet", 0), 1);
	const json_t *clone_rule = json_array_get(json_object_get(converted, "syscalls"), 1);
	assert_int_equal(json_array_size(json_object_get(clone_rule, "args")), 1);
	assert_null(json_object_get(
		clone_rule, "excludes")); /* Docker's own words are unknown to the OCI format */
	assert_null(json_object_get(clone_rule, "includes"));
}

static void rules_of_other_machines_and_newer_kernels_stay_out(void **state)
{
	struct err e;
	const char *text =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":["
		"{\"names\":[\"old\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"2.6\"}},"
		"{\"names\":[\"future\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"minKernel\":\"999.1\"}},"
		"{\"names\":[\"gone\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"minKernel\":\"2.6\"}},"
		"{\"names\":[\"zarch\"],\"action\":\"SCMP_ACT_ALLOW\",\"includes\":{\"arches\":[\"s390x\"]}},"
		"{\"names\":[\"notz\"],\"action\":\"SCMP_ACT_ALLOW\",\"excludes\":{\"arches\":[\"s390x\"]}}]}";

	scoped(json) json_t *converted = convert(text, 0, &e);

	assert_true(allows(converted, "old") && allows(converted, "notz"));
	assert_false(allows(converted, "future") || allows(converted, "gone") ||
		     allows(converted, "zarch"));
}

static void the_machines_own_architecture_brings_its_parts(void **state)
{
	struct err e;
	struct utsname u;
	uname(&u);
	if (strcmp(u.machine, "x86_64") != 0) {
		skip();
	}
	const char *text =
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[],\"archMap\":["
		"{\"architecture\":\"SCMP_ARCH_X86_64\",\"subArchitectures\":[\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"]},"
		"{\"architecture\":\"SCMP_ARCH_AARCH64\",\"subArchitectures\":[\"SCMP_ARCH_ARM\"]}]}";

	scoped(json) json_t *converted = convert(text, 0, &e);

	scoped(free) char *list = json_text(json_object_get(converted, "architectures"));
	assert_string_equal(list, "[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"]");
}

/* A profile that cannot be understood must not end as "no filter". */
static void a_profile_of_another_shape_is_refused(void **state)
{
	static const char *const wrong[] = {"{}", "[]", "{\"defaultAction\":\"SCMP_ACT_ERRNO\"}",
		"{\"defaultAction\":1,\"syscalls\":[]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":{}}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"action\":\"SCMP_ACT_ALLOW\"}]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[],\"action\":\"SCMP_ACT_ALLOW\"}]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"]}]}",
		"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[\"read\"]}"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct err e;
		assert_null(convert(wrong[i], 0, &e));
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void the_distributions_profile_filters(void **state)
{
	static const char path[] = "/usr/share/containers/seccomp.json";
	struct err e;
	if (access(path, R_OK) < 0) {
		skip();
	}
	scoped(json) json_t *profile = oci_seccomp_read(path, &e);
	assert_non_null(profile);

	scoped(json) json_t *converted = oci_seccomp_convert(profile, 0, &e);

	assert_true(allows(converted, "read"));
	assert_false(allows(converted, "kexec_load"));
	assert_string_not_equal(json_str(converted, "defaultAction"), "SCMP_ACT_ALLOW");
}

static void a_missing_or_broken_file_is_an_error(void **state)
{
	struct err e;
	char path[] = "/tmp/wherry-seccomp-XXXXXX";
	scoped(close) int fd = mkstemp(path);
	assert_int_equal(path_write_all(fd, "{", 1), 0);

	assert_null(oci_seccomp_read(path, &e));
	assert_int_equal(e.kind, ERR_INVALID);
	unlink(path);
	assert_null(oci_seccomp_read(path, &e));
	assert_int_equal(e.sys, ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_for_a_capability_apply_with_it_only),
		cmocka_unit_test(what_the_runtime_needs_is_kept),
		cmocka_unit_test(rules_of_other_machines_and_newer_kernels_stay_out),
		cmocka_unit_test(the_machines_own_architecture_brings_its_parts),
		cmocka_unit_test(a_profile_of_another_shape_is_refused),
		cmocka_unit_test(the_distributions_profile_filters),
		cmocka_unit_test(a_missing_or_broken_file_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
