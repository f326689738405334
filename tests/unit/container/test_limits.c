/* Memory, CPU, pids and ulimits as the OCI runtime gets them; names of containers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "container/internal.h"
#include "fixture.h"

static json_t *resources(json_t *take_host)
{
	scoped(json) json_t *host = take_host;
	json_t *out = NULL;
	struct err e;
	assert_non_null(host);
	assert_int_equal(limits_resources(host, &out, &e), 0);
	return out;
}

static void assert_refused(json_t *take_host, const char *words)
{
	scoped(json) json_t *host = take_host;
	scoped(json) json_t *warnings = json_array();
	struct err e;
	assert_int_equal(limits_check(host, &fixture_cgroups, false, warnings, &e), -1);
	assert_int_equal(e.kind, ERR_INVALID);
	assert_string_equal(e.msg, words);
}

/* What is left of host on a kernel with these features, and what was said. */
static json_t *checked(json_t *take_host, const struct cgroup_features *f, size_t n_warnings)
{
	scoped(json) json_t *warnings = json_array();
	struct err e;
	assert_int_equal(limits_check(take_host, f, false, warnings, &e), 0);
	assert_int_equal(json_array_size(warnings), n_warnings);
	return take_host;
}

static void no_limits_are_an_empty_object(void **state)
{
	scoped(json) json_t *out = resources(json_object());

	assert_int_equal(json_object_size(out), 0);
}

static void memory_alone_allows_as_much_swap(void **state)
{
	scoped(json) json_t *out = resources(json_pack("{sI}", "Memory", (json_int_t)64 << 20));

	const json_t *memory = json_object_get(out, "memory");
	assert_int_equal(json_i64(memory, "limit", 0), 64 << 20);
	assert_int_equal(json_i64(memory, "swap", 0), 128 << 20);
}

static void swap_may_be_unlimited(void **state)
{
	scoped(json) json_t *out =
		resources(json_pack("{sI si}", "Memory", (json_int_t)64 << 20, "MemorySwap", -1));

	assert_int_equal(json_i64(json_object_get(out, "memory"), "swap", 0), -1);
}

static void the_largest_memory_does_not_overflow_its_swap(void **state)
{
	scoped(json) json_t *out = resources(json_pack("{sI}", "Memory", (json_int_t)INT64_MAX));

	assert_int_equal(json_i64(json_object_get(out, "memory"), "swap", 0), -1);
}

static void cpus_become_a_quota_of_a_tenth_of_a_second(void **state)
{
	scoped(json) json_t *out = resources(json_pack("{sI}", "NanoCpus", (json_int_t)1500000000));

	const json_t *cpu = json_object_get(out, "cpu");
	assert_int_equal(json_i64(cpu, "period", 0), 100000);
	assert_int_equal(json_i64(cpu, "quota", 0), 150000);
}

static void the_rest_goes_where_the_runtime_wants_it(void **state)
{
	scoped(json) json_t *out = resources(json_pack("{si ss ss si si si}", "CpuShares", 512,
		"CpusetCpus", "0-1", "CpusetMems", "0", "PidsLimit", 100, "BlkioWeight", 300,
		"MemoryReservation", 6 << 20));

	const json_t *cpu = json_object_get(out, "cpu");
	assert_int_equal(json_i64(cpu, "shares", 0), 512);
	assert_string_equal(json_str(cpu, "cpus"), "0-1");
	assert_string_equal(json_str(cpu, "mems"), "0");
	assert_int_equal(json_i64(json_object_get(out, "pids"), "limit", 0), 100);
	assert_int_equal(json_i64(json_object_get(out, "blockIO"), "weight", 0), 300);
	assert_int_equal(json_i64(json_object_get(out, "memory"), "reservation", 0), 6 << 20);
}

static void minus_one_pids_is_no_limit(void **state)
{
	scoped(json) json_t *out = resources(json_pack("{si}", "PidsLimit", -1));

	assert_null(json_object_get(out, "pids"));
}

/* As a real dockerd 26.1.5 on two CPUs refused them. */
static void limits_that_contradict_are_refused_in_dockers_words(void **state)
{
	assert_refused(json_pack("{si}", "Memory", 1024), "Minimum memory limit allowed is 6MB");
	assert_refused(json_pack("{si}", "Memory", -1), "Minimum memory limit allowed is 6MB");
	assert_refused(json_pack("{si}", "MemorySwap", 64 << 20),
		"You should always set the Memory limit when using Memoryswap limit, see usage");
	assert_refused(json_pack("{si si}", "Memory", 64 << 20, "MemorySwap", 32 << 20),
		"Minimum memoryswap limit should be larger than memory limit, see usage");
	assert_refused(json_pack("{si si}", "Memory", 64 << 20, "MemoryReservation", 65 << 20),
		"Minimum memory limit can not be less than memory reservation limit, see usage");
	assert_refused(json_pack("{si}", "MemoryReservation", 1000),
		"Minimum memory reservation allowed is 6MB");
	assert_refused(json_pack("{si}", "MemorySwappiness", 200),
		"Invalid value: 200, valid memory swappiness range is 0-100");
	assert_refused(json_pack("{si si}", "NanoCpus", 1, "CpuQuota", 1000),
		"Conflicting options: Nano CPUs and CPU Quota cannot both be set");
	assert_refused(json_pack("{si si}", "NanoCpus", 1, "CpuPeriod", 1000),
		"Conflicting options: Nano CPUs and CPU Period cannot both be set");
	assert_refused(json_pack("{sI}", "NanoCpus", (json_int_t)5000000000),
		"Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available");
	assert_refused(json_pack("{si}", "NanoCpus", -1),
		"Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available");
	assert_refused(json_pack("{si}", "CpuQuota", 10),
		"CPU cfs quota can not be less than 1ms (i.e. 1000)");
	assert_refused(json_pack("{si}", "CpuPeriod", 10),
		"CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)");
	assert_refused(json_pack("{ss}", "CpusetCpus", "7"),
		"Requested CPUs are not available - requested 7, available: 0-1");
	assert_refused(json_pack("{ss}", "CpusetMems", "9"),
		"Requested memory nodes are not available - requested 9, available: 0");
	assert_refused(json_pack("{ss}", "CpusetCpus", "1-0"),
		"Invalid value 1-0 for cpuset cpus: invalid format: 1-0");
	assert_refused(
		json_pack("{si}", "BlkioWeight", 5), "Range of blkio weight is from 10 to 1000");
	assert_refused(json_pack("{si}", "CpuRealtimeRuntime", 5),
		"CPU real-time scheduling is not supported: CpuRealtimePeriod and CpuRealtimeRuntime must be 0");
}

static void what_the_kernel_cannot_limit_is_dropped_with_a_warning(void **state)
{
	static const struct cgroup_features none = {.n_cpus = 2};
	scoped(json) json_t *host = checked(
		json_pack("{sI si si sb si si ss si s[{ss si}]}", "Memory", (json_int_t)64 << 20,
			"MemorySwappiness", 5, "MemoryReservation", 32 << 20, "OomKillDisable", 1,
			"PidsLimit", 5, "CpuShares", 5, "CpusetCpus", "0", "BlkioWeight", 100,
			"BlkioDeviceReadBps", "Path", "/dev/x", "Rate", 1),
		&none, 9);

	assert_int_equal(json_i64(host, "Memory", 0), 0);
	assert_int_equal(json_i64(host, "MemorySwap", 0), -1);
	assert_true(json_is_null(json_object_get(host, "MemorySwappiness")));
	assert_true(json_is_null(json_object_get(host, "OomKillDisable")));
	assert_true(json_is_null(json_object_get(host, "PidsLimit")));
	assert_int_equal(json_i64(host, "CpuShares", 5), 0);
	assert_string_equal(json_str(host, "CpusetCpus"), "");
	assert_int_equal(json_array_size(json_object_get(host, "BlkioDeviceReadBps")), 0);
}

static void memory_without_swap_accounting_is_limited_alone(void **state)
{
	struct cgroup_features f = fixture_cgroups;
	f.swap = false;
	scoped(json) json_t *host =
		checked(json_pack("{sI}", "Memory", (json_int_t)64 << 20), &f, 1);

	assert_int_equal(json_i64(host, "Memory", 0), 64 << 20);
	assert_int_equal(json_i64(host, "MemorySwap", 0), -1);
}

static void an_oom_killer_that_is_off_without_a_limit_is_warned_of(void **state)
{
	scoped(json) json_t *host =
		checked(json_pack("{sb}", "OomKillDisable", 1), &fixture_cgroups, 1);
	scoped(json) json_t *limited = checked(
		json_pack("{sb si}", "OomKillDisable", 1, "Memory", 64 << 20), &fixture_cgroups, 0);
	scoped(json) json_t *out = resources(json_incref(limited));

	assert_true(json_bool(json_object_get(out, "memory"), "disableOOMKiller"));
	(void)host;
}

static void an_update_may_set_swap_alone(void **state)
{
	scoped(json) json_t *host = json_pack("{si}", "MemorySwap", 64 << 20);
	scoped(json) json_t *warnings = json_array();
	struct err e;

	assert_int_equal(limits_check(host, &fixture_cgroups, true, warnings, &e), 0);
}

static void swappiness_of_minus_one_is_none(void **state)
{
	scoped(json) json_t *host =
		checked(json_pack("{si}", "MemorySwappiness", -1), &fixture_cgroups, 0);

	assert_true(json_is_null(json_object_get(host, "MemorySwappiness")));
}

static void what_was_left_out_is_recorded_as_docker_does(void **state)
{
	scoped(json) json_t *host = json_pack("{si si}", "Memory", 64 << 20, "PidsLimit", -2);

	limits_put_defaults(host);

	assert_int_equal(json_i64(host, "MemorySwap", 0), 128 << 20);
	assert_true(json_is_null(json_object_get(host, "PidsLimit")));
}

static void devices_are_their_numbers(void **state)
{
	scoped(json) json_t *out = resources(
		json_pack("{s[{ss si}] s[{ss si}]}", "BlkioDeviceReadBps", "Path", "/dev/null",
			"Rate", 1000, "BlkioWeightDevice", "Path", "/dev/zero", "Weight", 50));

	const json_t *io = json_object_get(out, "blockIO");
	const json_t *read = json_array_get(json_object_get(io, "throttleReadBpsDevice"), 0);
	const json_t *weight = json_array_get(json_object_get(io, "weightDevice"), 0);
	assert_int_equal(json_i64(read, "major", 0), 1);
	assert_int_equal(json_i64(read, "minor", 0), 3);
	assert_int_equal(json_i64(read, "rate", 0), 1000);
	assert_int_equal(json_i64(weight, "minor", 0), 5);
	assert_int_equal(json_i64(weight, "weight", 0), 50);
}

static void a_device_that_is_not_there_fails_the_start(void **state)
{
	scoped(json) json_t *host =
		json_pack("{s[{ss si}]}", "BlkioDeviceWriteIOps", "Path", "/dev/nope", "Rate", 5);
	json_t *out = NULL;
	struct err e;

	assert_int_equal(limits_resources(host, &out, &e), -1);
	assert_non_null(strstr(e.msg, "stat /dev/nope: No such file"));
}

static json_t *ulimit(const char *name, int64_t soft, int64_t hard)
{
	return json_pack("{s[{ss sI sI}]}", "Ulimits", "Name", name, "Soft", (json_int_t)soft,
		"Hard", (json_int_t)hard);
}

static void a_ulimit_gets_its_oci_name(void **state)
{
	scoped(json) json_t *host = ulimit("nofile", 64, 128);
	scoped(json) json_t *out = NULL;
	struct err e;

	assert_int_equal(limits_rlimits(host, &out, &e), 0);

	const json_t *first = json_array_get(out, 0);
	assert_string_equal(json_str(first, "type"), "RLIMIT_NOFILE");
	assert_int_equal(json_i64(first, "soft", 0), 64);
	assert_int_equal(json_i64(first, "hard", 0), 128);
}

static void an_unlimited_ulimit_stays_a_number_that_json_can_hold(void **state)
{
	scoped(json) json_t *host = ulimit("core", -1, -1);
	scoped(json) json_t *out = NULL;
	struct err e;

	assert_int_equal(limits_rlimits(host, &out, &e), 0);

	assert_true(json_i64(json_array_get(out, 0), "hard", -5) >= 0);
}

static void a_wrong_ulimit_is_refused(void **state)
{
	static const struct {
		const char *name;
		int64_t soft, hard;
	} wrong[] = {
		{"files", 1, 1}, {"", 1, 1}, {"NOFILE", 1, 1}, {"nofile", 2, 1}, {"nofile", -1, 1}};
	for (size_t i = 0; i < 5; i++) {
		scoped(json) json_t *host = ulimit(wrong[i].name, wrong[i].soft, wrong[i].hard);
		scoped(json) json_t *out = NULL;
		struct err e;
		assert_int_equal(limits_rlimits(host, &out, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

static void no_ulimits_are_nothing(void **state)
{
	scoped(json) json_t *host = json_pack("{sn}", "Ulimits");
	json_t *out = NULL;
	struct err e;

	assert_int_equal(limits_rlimits(host, &out, &e), 0);

	assert_null(out);
}

static void names_are_what_docker_accepts(void **state)
{
	static const char *const good[] = {"ab", "A0", "web.1_x-y", "0a"};
	static const char *const bad[] = {
		"", "a", "-ab", ".ab", "_ab", "a b", "a/b", "/ab", "a\nb", "ü1", "a:b", ".."};
	for (size_t i = 0; i < 4; i++) {
		assert_true(container_name_is_valid(good[i]));
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_false(container_name_is_valid(bad[i]));
	}
	char longest[1026]; /* Kubernetes' are up to 430 */
	memset(longest, 'a', 1025);
	longest[1025] = '\0';
	assert_false(container_name_is_valid(longest));
	assert_true(container_name_is_valid(longest + 1));
}

static void a_made_up_name_is_always_valid(void **state)
{
	for (int i = 0; i < 1000; i++) {
		char name[80];
		container_name_random(name, sizeof(name));
		assert_true(container_name_is_valid(name));
		assert_non_null(strchr(name, '_'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_limits_are_an_empty_object),
		cmocka_unit_test(memory_alone_allows_as_much_swap),
		cmocka_unit_test(swap_may_be_unlimited),
		cmocka_unit_test(the_largest_memory_does_not_overflow_its_swap),
		cmocka_unit_test(cpus_become_a_quota_of_a_tenth_of_a_second),
		cmocka_unit_test(the_rest_goes_where_the_runtime_wants_it),
		cmocka_unit_test(minus_one_pids_is_no_limit),
		cmocka_unit_test(limits_that_contradict_are_refused_in_dockers_words),
		cmocka_unit_test(what_the_kernel_cannot_limit_is_dropped_with_a_warning),
		cmocka_unit_test(memory_without_swap_accounting_is_limited_alone),
		cmocka_unit_test(an_oom_killer_that_is_off_without_a_limit_is_warned_of),
		cmocka_unit_test(an_update_may_set_swap_alone),
		cmocka_unit_test(swappiness_of_minus_one_is_none),
		cmocka_unit_test(what_was_left_out_is_recorded_as_docker_does),
		cmocka_unit_test(devices_are_their_numbers),
		cmocka_unit_test(a_device_that_is_not_there_fails_the_start),
		cmocka_unit_test(a_ulimit_gets_its_oci_name),
		cmocka_unit_test(an_unlimited_ulimit_stays_a_number_that_json_can_hold),
		cmocka_unit_test(a_wrong_ulimit_is_refused),
		cmocka_unit_test(no_ulimits_are_nothing),
		cmocka_unit_test(names_are_what_docker_accepts),
		cmocka_unit_test(a_made_up_name_is_always_valid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
