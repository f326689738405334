#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "network/ipam.h"

static const uint8_t seed[5] = {1, 2, 3, 4, 5};

static struct ip_range range(const char *text)
{
	struct ip_range r;
	assert_int_equal(ip_parse_range(text, &r, NULL), 0);
	return r;
}

static struct ip address(const char *text)
{
	struct ip a;
	assert_int_equal(ip_parse(text, &a), 0);
	return a;
}

static void subnets_are_read_and_written(void **state)
{
	static const char *const wrong[] = {"", "10.0.0.0", "10.0.0.0/", "10.0.0.0/33",
		"10.0.0.0/-1", "10.0.0/8", "/8", "fd00::/129", "fd00:/8", "10.0.0.0/8 ",
		"10.0.0.0.0/8", "10.0.0.0/0x8"};
	char text[IP_TEXT_MAX];
	struct ip_range r;
	struct ip a;

	assert_int_equal(ip_parse_range("172.17.0.1/16", &r, &a), 0);
	assert_string_equal(ip_format_range(r, text), "172.17.0.0/16");
	assert_string_equal(ip_format(a, text), "172.17.0.1");
	assert_string_equal(ip_format(ip_last(r), text), "172.17.255.255");
	assert_string_equal(
		ip_format_range(range("255.255.255.255/32"), text), "255.255.255.255/32");
	assert_string_equal(ip_format_range(range("1.2.3.4/0"), text), "0.0.0.0/0");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(ip_parse_range(wrong[i], &r, &a), -EINVAL);
	}
}

static void overlap_is_seen_from_both_sides(void **state)
{
	assert_true(ip_overlap(range("10.0.0.0/8"), range("10.1.2.0/24")));
	assert_true(ip_overlap(range("10.1.2.0/24"), range("10.0.0.0/8")));
	assert_true(ip_overlap(range("0.0.0.0/0"), range("10.1.2.0/24")));
	assert_false(ip_overlap(range("10.1.2.0/24"), range("10.1.3.0/24")));
	assert_false(ip_overlap(range("172.16.0.0/16"), range("172.17.0.0/16")));
}

static void pools_are_dockers_unless_told_otherwise(void **state)
{
	struct ipam_pools p;
	struct ip_range r;
	struct err e;
	char text[IP_TEXT_MAX];
	assert_int_equal(ipam_pools_read(NULL, seed, &p, &e), 0);

	assert_int_equal(ipam_pick_subnet(&p, IP4_BYTES, NULL, 0, &r), 0);
	assert_string_equal(ip_format_range(r, text), "172.17.0.0/16");
	const struct ip_range used[] = {range("172.17.0.0/16"), range("172.18.5.0/24"),
		range("172.20.0.0/14"), range("172.19.0.1/32")};
	assert_int_equal(ipam_pick_subnet(&p, IP4_BYTES, used, 4, &r), 0);
	assert_string_equal(ip_format_range(r, text), "172.24.0.0/16");
	const struct ip_range all[] = {range("172.16.0.0/12"), range("192.168.0.0/19")};
	assert_int_equal(ipam_pick_subnet(&p, IP4_BYTES, all, 2, &r), 0);
	assert_string_equal(ip_format_range(r, text), "192.168.32.0/20");
	const struct ip_range everything[] = {range("0.0.0.0/0")};
	assert_int_equal(ipam_pick_subnet(&p, IP4_BYTES, everything, 1, &r), -ENOSPC);
	ipam_pools_deinit(&p);
}

static void configured_pools_are_cut_as_asked(void **state)
{
	struct ipam_pools p;
	struct ip_range r;
	struct err e;
	char text[IP_TEXT_MAX];
	json_t *doc = json_pack("[{ss si}]", "base", "10.10.0.0/16", "size", 24);
	assert_int_equal(ipam_pools_read(doc, seed, &p, &e), 0);
	json_decref(doc);
	const struct ip_range used[] = {range("10.10.0.0/24")};

	assert_int_equal(ipam_pick_subnet(&p, IP4_BYTES, used, 1, &r), 0);

	assert_string_equal(ip_format_range(r, text), "10.10.1.0/24");
	ipam_pools_deinit(&p);
	doc = json_pack("[{ss si}]", "base", "10.10.0.0/16", "size", 8); /* larger than its space */
	assert_int_equal(ipam_pools_read(doc, seed, &p, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	json_decref(doc);
}

static void lowest_free_address_is_given(void **state)
{
	const struct ipam p = {range("10.0.0.0/29"), range("10.0.0.0/29"), address("10.0.0.1")};
	struct ip used[8] = {address("10.0.0.4"), address("10.0.0.2"), address("10.0.0.2")};
	struct ip got;

	assert_int_equal(ipam_pick_address(&p, used, 3, &got), 0);
	assert_true(ip_equal(got, address("10.0.0.3")));
	used[3] = got;
	assert_int_equal(ipam_pick_address(&p, used, 4, &got), 0);
	assert_true(ip_equal(got, address("10.0.0.5")));
	used[4] = got;
	used[5] = address("10.0.0.6");
	assert_int_equal(
		ipam_pick_address(&p, used, 6, &got), -ENOSPC); /* .0, .1 and .7 are nobody's */
}

static void range_limits_only_what_is_chosen_for_you(void **state)
{
	const struct ipam p = {range("10.0.0.0/24"), range("10.0.0.128/25"), address("10.0.0.254")};
	struct ip used[] = {address("10.0.0.128")};
	struct ip got;

	assert_int_equal(ipam_pick_address(&p, used, 1, &got), 0);
	assert_true(ip_equal(got, address("10.0.0.129")));
	assert_int_equal(ipam_check_address(&p, used, 1, address("10.0.0.7")), 0);
	assert_int_equal(ipam_check_address(&p, used, 1, address("10.0.0.128")), -EADDRINUSE);
	assert_int_equal(ipam_check_address(&p, used, 1, address("10.0.0.254")), -EADDRINUSE);
	assert_int_equal(ipam_check_address(&p, used, 1, address("10.0.0.255")), -EINVAL);
	assert_int_equal(ipam_check_address(&p, used, 1, address("10.0.1.7")), -EINVAL);
}

static void last_address_of_all_does_not_wrap(void **state)
{
	const struct ipam p = {range("255.255.255.248/29"), range("255.255.255.252/30"),
		address("255.255.255.249")};
	struct ip used[] = {
		address("255.255.255.252"), address("255.255.255.253"), address("255.255.255.254")};
	struct ip got;

	assert_int_equal(ipam_pick_address(&p, used, 3, &got), -ENOSPC);
}

static void ipv6_subnets_and_addresses_follow_the_same_rules(void **state)
{
	struct ipam_pools p;
	struct ip_range r;
	struct err e;
	char text[IP_TEXT_MAX];
	assert_int_equal(ipam_pools_read(NULL, seed, &p, &e), 0);
	assert_int_equal(ipam_pick_subnet(&p, IP6_BYTES, NULL, 0, &r), 0);
	assert_string_equal(ip_format_range(r, text), "fd01:203:405::/64");
	const struct ip_range used[] = {range("fd01:203:405::/64"), range("0.0.0.0/0")};
	assert_int_equal(ipam_pick_subnet(&p, IP6_BYTES, used, 2, &r), 0);
	assert_string_equal(ip_format_range(r, text), "fd01:203:405:1::/64");
	ipam_pools_deinit(&p);

	struct ipam subnet = ipam_of(range("fd00:1::/64"));
	struct ip taken[] = {address("fd00:1::3"), address("fd00:1::2")};
	struct ip got;
	assert_string_equal(ip_format(subnet.gateway, text), "fd00:1::1");
	assert_int_equal(ipam_pick_address(&subnet, taken, 2, &got), 0);
	assert_string_equal(ip_format(got, text), "fd00:1::4");
	assert_int_equal(ipam_check_address(&subnet, taken, 2, address("fd00:1::")), -EINVAL);
	assert_int_equal(ipam_check_address(&subnet, taken, 2, address("10.0.0.1")), -EINVAL);
	assert_int_equal(
		ipam_check_address(&subnet, taken, 2, address("fd00:1::ffff:ffff:ffff:ffff")), 0);
}

static void pools_of_one_family_leave_the_other_its_own(void **state)
{
	struct ipam_pools p;
	struct ip_range r;
	struct err e;
	char text[IP_TEXT_MAX];
	json_t *doc = json_pack("[{ss si}]", "base", "2001:db8::/32", "size", 80);
	assert_int_equal(ipam_pools_read(doc, seed, &p, &e), 0);
	json_decref(doc);
	const struct ip_range used[] = {range("2001:db8::/80"), range("2001:db8:0:0:1::/80")};
	assert_int_equal(ipam_pick_subnet(&p, IP6_BYTES, used, 2, &r), 0);
	assert_string_equal(ip_format_range(r, text), "2001:db8:0:0:2::/80");
	assert_int_equal(ipam_pick_subnet(&p, IP4_BYTES, used, 2, &r), 0);
	assert_string_equal(ip_format_range(r, text), "172.17.0.0/16");
	ipam_pools_deinit(&p);
}

static void sums_carry_across_bytes(void **state)
{
	char text[IP_TEXT_MAX];
	assert_string_equal(ip_format(ip_add(address("10.0.255.255"), 1, 0), text), "10.1.0.0");
	assert_string_equal(ip_format(ip_add(address("10.0.0.0"), 3, 12), text), "10.0.48.0");
	assert_string_equal(
		ip_format(ip_add(address("fd00::ffff:ffff"), 1, 0), text), "fd00::1:0:0");
	assert_string_equal(ip_format(ip_add(address("fd00::"), 0x12345, 60), text),
		"fd00:0:0:1234:5000::"); /* 60 is no multiple of 8 */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(subnets_are_read_and_written),
		cmocka_unit_test(overlap_is_seen_from_both_sides),
		cmocka_unit_test(pools_are_dockers_unless_told_otherwise),
		cmocka_unit_test(configured_pools_are_cut_as_asked),
		cmocka_unit_test(lowest_free_address_is_given),
		cmocka_unit_test(range_limits_only_what_is_chosen_for_you),
		cmocka_unit_test(last_address_of_all_does_not_wrap),
		cmocka_unit_test(ipv6_subnets_and_addresses_follow_the_same_rules),
		cmocka_unit_test(pools_of_one_family_leave_the_other_its_own),
		cmocka_unit_test(sums_carry_across_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
