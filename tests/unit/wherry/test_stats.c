/* A document of GET /containers/x/stats as the docker CLI shows it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "wherry/stats_row.h"

static json_t *row(const char *text)
{
	scoped(json) json_t *doc = json_loads(text, JSON_DECODE_INT_AS_REAL, NULL);
	assert_non_null(doc);
	return stats_row(doc, "web", false);
}

static void shows(const json_t *r, const char *key, const char *value)
{
	assert_string_equal(json_str(r, key), value);
}

static void v1_counts_what_the_kernel_cannot_take_back(void **state)
{
	scoped(json) json_t *r = row(
		"{\"id\":\"0123456789abcdef\",\"name\":\"/web\",\"pids_stats\":{\"current\":3},"
		"\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":300},\"system_cpu_usage\":2000,\"online_cpus\":2},"
		"\"precpu_stats\":{\"cpu_usage\":{\"total_usage\":100},\"system_cpu_usage\":1000},"
		"\"memory_stats\":{\"usage\":3145728,\"stats\":{\"total_inactive_file\":1048576},\"limit\":67108864},"
		"\"blkio_stats\":{\"io_service_bytes_recursive\":[{\"op\":\"Read\",\"value\":4096},"
		"{\"op\":\"Write\",\"value\":1000000},{\"op\":\"Total\",\"value\":5}]},"
		"\"networks\":{\"eth0\":{\"rx_bytes\":572,\"tx_bytes\":0},\"eth1\":{\"rx_bytes\":542,\"tx_bytes\":7}}}");

	shows(r, "ID", "0123456789ab");
	shows(r, "Name", "web");
	shows(r, "CPUPerc", "40.00%");
	shows(r, "MemUsage", "2MiB / 64MiB");
	shows(r, "MemPerc", "3.12%");
	shows(r, "NetIO", "1.11kB / 7B");
	shows(r, "BlockIO", "4.1kB / 1MB");
	shows(r, "PIDs", "3");
}

static void v2_has_numbers_beyond_what_json_integers_hold(void **state)
{
	scoped(json) json_t *r = row(
		"{\"id\":\"a\",\"name\":\"/web\",\"pids_stats\":{\"current\":1,\"limit\":18446744073709551615},"
		"\"memory_stats\":{\"usage\":1024,\"stats\":{\"inactive_file\":1000},\"limit\":2048}}");

	shows(r, "MemUsage", "24B / 2KiB");
	shows(r, "PIDs", "1");
	shows(r, "CPUPerc", "0.00%");
}

static void nothing_heard_is_dashes(void **state)
{
	scoped(json) json_t *r = stats_row(NULL, "web", false);

	shows(r, "Container", "web");
	shows(r, "Name", "--");
	shows(r, "MemUsage", "-- / --");
	shows(r, "CPUPerc", "--");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v1_counts_what_the_kernel_cannot_take_back),
		cmocka_unit_test(v2_has_numbers_beyond_what_json_integers_hold),
		cmocka_unit_test(nothing_heard_is_dashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
