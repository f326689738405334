/* Which devices a container may open; and on cgroup v1 the way from one list to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "oci/device_rules.h"

static json_t *rules(const struct oci_device *v, size_t n, const char *own)
{
	struct err e;
	json_t *ret;
	scoped(json) json_t *list = own ? json_pack("[s]", own) : NULL;
	assert_int_equal(oci_device_rules(v, n, list, &ret, &e), 0);
	return ret;
}

/* What the kernel shows of these rules. */
static void show(const json_t *list, struct buf *ret)
{
	size_t i;
	json_t *rule;
	json_array_foreach (list, i, rule) {
		if (json_bool(rule, "allow")) {
			const char *const keys[] = {"major", "minor"};
			buf_puts(ret, json_str(rule, "type"));
			for (int k = 0; k < 2; k++) {
				int64_t n = json_i64(rule, keys[k], -1);
				buf_puts(ret, k ? ":" : " ");
				n < 0 ? buf_puts(ret, "*") : buf_printf(ret, "%lld", (long long)n);
			}
			buf_printf(ret, " %s\n", json_str(rule, "access"));
		}
	}
}

static const struct oci_device serial = {
	.path = "/dev/zigbee", .type = 'c', .major = 188, .minor = 0, .access = "rw"};

static void a_device_that_comes_is_one_line(void **state)
{
	scoped(json) json_t *before = rules(NULL, 0, NULL);
	scoped(json) json_t *after = rules(&serial, 1, NULL);
	scoped(buf) struct buf list = BUF_INIT;
	scoped(strv) struct strv deny = STRV_INIT;
	scoped(strv) struct strv allow = STRV_INIT;
	struct err e;
	show(before, &list);

	assert_int_equal(oci_device_rules_change(buf_str(&list), after, &deny, &allow, &e), 0);

	assert_int_equal(deny.n, 0);
	assert_int_equal(allow.n, 1);
	assert_string_equal(allow.v[0], "c 188:0 rw");
}

static void one_that_goes_is_one_line_and_the_users_own_rule_stays(void **state)
{
	scoped(json) json_t *before = rules(&serial, 1, "c 188:* rwm");
	scoped(json) json_t *after = rules(NULL, 0, "c 188:* rwm");
	scoped(buf) struct buf list = BUF_INIT;
	scoped(strv) struct strv deny = STRV_INIT;
	scoped(strv) struct strv allow = STRV_INIT;
	struct err e;
	show(before, &list);

	assert_int_equal(oci_device_rules_change(buf_str(&list), after, &deny, &allow, &e), 0);

	assert_int_equal(deny.n, 1);
	assert_string_equal(deny.v[0], "c 188:0 rw");
	assert_int_equal(allow.n, 0);
}

static void only_the_letters_that_differ_are_written(void **state)
{
	const struct oci_device wider = {.type = 'c', .major = 188, .access = "rm"};
	scoped(json) json_t *want = rules(&wider, 1, NULL);
	scoped(json) json_t *have = rules(&serial, 1, NULL);
	scoped(buf) struct buf list = BUF_INIT;
	scoped(strv) struct strv deny = STRV_INIT;
	scoped(strv) struct strv allow = STRV_INIT;
	struct err e;
	show(have, &list);

	assert_int_equal(oci_device_rules_change(buf_str(&list), want, &deny, &allow, &e), 0);

	assert_int_equal(deny.n, 1);
	assert_string_equal(deny.v[0], "c 188:0 w");
	assert_int_equal(allow.n, 1);
	assert_string_equal(allow.v[0], "c 188:0 m");
}

static void a_group_that_may_everything_is_left(void **state)
{
	scoped(json) json_t *want = rules(&serial, 1, NULL);
	scoped(strv) struct strv deny = STRV_INIT;
	scoped(strv) struct strv allow = STRV_INIT;
	struct err e;

	assert_int_equal(oci_device_rules_change("a *:* rwm\n", want, &deny, &allow, &e), 0);

	assert_int_equal(deny.n + allow.n, 0);
}

static void a_list_that_the_kernel_does_not_write_is_refused(void **state)
{
	static const char *const lists[] = {"c 1:3\n", "x 1:3 rwm\n", "c 1:9999999999 r\n", "\x01"};
	scoped(json) json_t *want = rules(NULL, 0, NULL);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		scoped(strv) struct strv deny = STRV_INIT;
		scoped(strv) struct strv allow = STRV_INIT;
		struct err e;
		assert_int_equal(oci_device_rules_change(lists[i], want, &deny, &allow, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_int_equal(deny.n + allow.n, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_that_comes_is_one_line),
		cmocka_unit_test(one_that_goes_is_one_line_and_the_users_own_rule_stays),
		cmocka_unit_test(only_the_letters_that_differ_are_written),
		cmocka_unit_test(a_group_that_may_everything_is_left),
		cmocka_unit_test(a_list_that_the_kernel_does_not_write_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
