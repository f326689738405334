/* Statistics and features of control groups, from trees of files as kernels have them; /proc. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "sys/cgroup_features.h"
#include "sys/cgroup_stat.h"
#include "sys/procfs.h"

static struct cgroup_stat stat_of(bool v2, const char *group)
{
	struct cgroup_stat s;
	const char *root = v2 ? CGROUP_TREES "/v2" : CGROUP_TREES "/v1";
	assert_int_equal(cgroup_stat_read(root, v2, group, &s), 0);
	return s;
}

static void v1_cpu_time_is_in_ns_by_cpu_and_mode(void **state)
{
	struct cgroup_stat s = stat_of(false, "wherry/c1");

	assert_int_equal(s.cpu_ns, 5012345678);
	assert_int_equal(s.n_cpus, 2);
	assert_int_equal(s.cpu_each_ns[0], 3000000000);
	assert_int_equal(s.cpu_each_ns[1], 2012345678);
	assert_int_equal(s.cpu_user_ns, 3210000000);
	assert_int_equal(s.cpu_kernel_ns, 450000000);
	assert_int_equal(s.periods, 100);
	assert_int_equal(s.throttled_periods, 7);
	assert_int_equal(s.throttled_ns, 123456789);
	cgroup_stat_deinit(&s);
}

static void v1_memory_has_its_peak_and_failures(void **state)
{
	struct cgroup_stat s = stat_of(false, "wherry/c1");

	assert_int_equal(s.memory_bytes, 10485760);
	assert_int_equal(s.memory_max_bytes, 20971520);
	assert_int_equal(s.memory_limit_bytes, 67108864);
	assert_int_equal(s.memory_failures, 3);
	assert_int_equal(cgroup_memory_value(&s, "cache"), 4096);
	assert_int_equal(cgroup_memory_value(&s, "total_inactive_file"), 3073);
	assert_int_equal(cgroup_memory_value(&s, "hierarchical_memsw_limit"), 9223372036854771712u);
	assert_int_equal(cgroup_memory_value(&s, "total_writeback"), 0); /* absent */
	assert_int_equal(cgroup_memory_value(&s, "shmem"), 0);           /* not Docker's */
	cgroup_stat_deinit(&s);
}

static void v1_no_pids_limit_is_0_as_docker_has_it(void **state)
{
	struct cgroup_stat s = stat_of(false, "wherry/c1");
	struct cgroup_stat limited = stat_of(false, "wherry/limited");

	assert_int_equal(s.pids, 5);
	assert_int_equal(s.pids_limit, 0);
	assert_int_equal(limited.pids_limit, 100);
	cgroup_stat_deinit(&s);
	cgroup_stat_deinit(&limited);
}

static void v1_io_comes_from_the_layer_that_counted(void **state)
{
	struct cgroup_stat s = stat_of(false, "wherry/c1");

	assert_int_equal(s.io_bytes.n, 6); /* without the total of all devices */
	assert_int_equal(s.io_bytes.v[1].major, 8);
	assert_string_equal(s.io_bytes.v[1].op, "Write");
	assert_int_equal(s.io_bytes.v[1].value, 8192);
	assert_int_equal(s.io_count.n, 2);
	assert_int_equal(s.io_count.v[1].value, 2);
	cgroup_stat_deinit(&s);
}

static void v2_says_the_same_in_microseconds(void **state)
{
	struct cgroup_stat s = stat_of(true, "wherry/c1");

	assert_int_equal(s.cpu_ns, 5012345000);
	assert_int_equal(s.cpu_user_ns, 4000000000);
	assert_int_equal(s.cpu_kernel_ns, 1012345000);
	assert_int_equal(s.n_cpus, 0);
	assert_int_equal(s.throttled_periods, 4);
	assert_int_equal(s.throttled_ns, 5000000);
	cgroup_stat_deinit(&s);
}

static void v2_max_is_no_limit(void **state)
{
	struct cgroup_stat s = stat_of(true, "wherry/c1");

	assert_int_equal(s.memory_bytes, 10485760);
	assert_true(s.memory_limit_bytes == UINT64_MAX);
	assert_true(s.pids_limit == UINT64_MAX);
	assert_int_equal(s.pids, 3);
	assert_int_equal(s.memory_failures, 2); /* "oom", not "oom_kill" */
	assert_int_equal(cgroup_memory_value(&s, "slab"), 11);
	assert_int_equal(cgroup_memory_value(&s, "file"), 8192);
	cgroup_stat_deinit(&s);
}

static void v2_io_is_two_entries_a_device(void **state)
{
	struct cgroup_stat s = stat_of(true, "wherry/c1");

	assert_int_equal(s.io_bytes.n, 4);
	assert_int_equal(s.io_bytes.v[0].major, 259);
	assert_string_equal(s.io_bytes.v[0].op, "read");
	assert_int_equal(s.io_bytes.v[0].value, 4096);
	assert_string_equal(s.io_bytes.v[1].op, "write");
	assert_int_equal(s.io_bytes.v[1].value, 8192);
	assert_int_equal(s.io_bytes.v[3].value, 0); /* a device without numbers */
	assert_int_equal(s.io_count.n, 0);
	cgroup_stat_deinit(&s);
}

static void a_group_that_is_gone_is_not_there(void **state)
{
	struct cgroup_stat s;

	assert_int_equal(cgroup_stat_read(CGROUP_TREES "/v1", false, "wherry/gone", &s), -ENOENT);
	assert_int_equal(cgroup_stat_read(CGROUP_TREES "/v2", true, "wherry/gone", &s), -ENOENT);
}

static void memory_keys_are_sorted_for_the_look_up(void **state)
{
	for (int v2 = 0; v2 < 2; v2++) {
		const char *const *keys = cgroup_memory_keys(v2);
		for (size_t i = 1; keys[i]; i++) {
			assert_true(strcmp(keys[i - 1], keys[i]) < 0);
		}
	}
}

static void v1_features_are_files(void **state)
{
	struct cgroup_features f;

	cgroup_features_read(CGROUP_TREES "/v1", false, &f);

	assert_true(f.memory && f.reservation && f.oom_kill_disable && f.swappiness);
	assert_true(f.cpu_shares && f.cpu_quota && f.cpuset && f.pids && f.io_read_bps);
	assert_false(f.swap || f.cpu_realtime || f.io_weight || f.io_write_bps);
	assert_string_equal(f.cpus, "0-3");
	assert_true(f.n_cpus > 0);
}

static void v2_features_are_controllers(void **state)
{
	struct cgroup_features f;

	cgroup_features_read(CGROUP_TREES "/v2", true, &f);

	assert_true(f.memory && f.swap && f.reservation && f.cpu_quota && f.io_weight && f.pids);
	assert_false(f.oom_kill_disable || f.swappiness || f.cpu_realtime);
	assert_string_equal(f.cpus, "0-1");

	/* accounting of swap is off, and no scheduler knows weights */
	cgroup_features_read(CGROUP_TREES "/v2-lean", true, &f);
	assert_true(f.memory && f.io_read_bps);
	assert_false(f.swap || f.io_weight || f.io_weight_device);

	cgroup_features_read(CGROUP_TREES "/v2-bare", true, &f);
	assert_true(f.cpu_shares && f.pids);
	assert_false(f.memory || f.swap || f.io_read_bps || f.cpuset);
}

static void lists_of_cpus_are_sets(void **state)
{
	assert_int_equal(cgroup_list_within("", "0-1"), 1);
	assert_int_equal(cgroup_list_within("0", "0-1"), 1);
	assert_int_equal(cgroup_list_within("1,0", "0-1"), 1);
	assert_int_equal(cgroup_list_within("0-3,7", "0-7"), 1);
	assert_int_equal(cgroup_list_within("2", "0-1"), 0);
	assert_int_equal(cgroup_list_within("0-2", "0-1"), 0);
	static const char *const wrong[] = {"x", "1-0", "-1", "0-", "0,,1", "0 1", "99999", "1x"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_int_equal(cgroup_list_within(wrong[i], "0-1"), -EINVAL);
	}
}

static void the_machines_cpu_time_is_the_sum_of_seven(void **state)
{
	uint64_t ns;
	unsigned online;
	const char *text = "cpu  10 20 30 40 50 60 70 1000 1000 1000\n"
			   "cpu0 5 10 15 20 25 30 35 500 500 500\n"
			   "cpu1 5 10 15 20 25 30 35 500 500 500\nintr 5\n";

	assert_int_equal(procfs_cpu_parse(text, &ns, &online), 0);

	assert_int_equal(ns, 2800000000);
	assert_int_equal(online, 2);
	assert_int_equal(procfs_cpu_parse("intr 1\n", &ns, &online), -EINVAL);
	assert_int_equal(procfs_cpu_parse("cpu  1 2\n", &ns, &online), -EINVAL);
}

static void links_are_those_the_engine_made(void **state)
{
	const char *text =
		"Inter-|   Receive                    |  Transmit\n"
		" face |bytes    packets errs drop fifo frame compressed multicast|bytes packets\n"
		"    lo:     100       1    0    0    0     0          0         0 100 1 0 0 0 0 0 0\n"
		"  eth1:    1000      10    1    2    0     0          0         0 2000 20 3 4 0 0 0 0\n"
		"  eth0:      18446744073709551615 1 0 0 0 0 0 0 6 1 0 0 0 0 0 0\n"
		" tunl0: broken\n";
	struct procfs_link links[PROCFS_LINKS_MAX];

	assert_int_equal(procfs_net_parse(text, "eth", links), 2);

	assert_string_equal(links[0].name, "eth0");
	assert_true(links[0].rx_bytes == UINT64_MAX);
	assert_int_equal(links[0].tx_bytes, 6);
	assert_int_equal(links[1].rx_errors, 1);
	assert_int_equal(links[1].rx_dropped, 2);
	assert_int_equal(links[1].tx_packets, 20);
	assert_int_equal(links[1].tx_dropped, 4);
	assert_int_equal(procfs_net_parse("", "eth", links), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v1_cpu_time_is_in_ns_by_cpu_and_mode),
		cmocka_unit_test(v1_memory_has_its_peak_and_failures),
		cmocka_unit_test(v1_no_pids_limit_is_0_as_docker_has_it),
		cmocka_unit_test(v1_io_comes_from_the_layer_that_counted),
		cmocka_unit_test(v2_says_the_same_in_microseconds),
		cmocka_unit_test(v2_max_is_no_limit),
		cmocka_unit_test(v2_io_is_two_entries_a_device),
		cmocka_unit_test(a_group_that_is_gone_is_not_there),
		cmocka_unit_test(memory_keys_are_sorted_for_the_look_up),
		cmocka_unit_test(v1_features_are_files),
		cmocka_unit_test(v2_features_are_controllers),
		cmocka_unit_test(lists_of_cpus_are_sets),
		cmocka_unit_test(the_machines_cpu_time_is_the_sum_of_seven),
		cmocka_unit_test(links_are_those_the_engine_made),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
