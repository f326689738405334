/* Prometheus' text format of the engine's and its containers' numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/action_times.h"
#include "api/metrics_text.h"

static void has(const struct buf *b, const char *line)
{
	if (!strstr(buf_str(b), line)) {
		fail_msg("no line %s in\n%s", line, buf_str(b));
	}
}

static void the_engine_has_dockerds_names(void **state)
{
	const struct metrics_engine m = {.version = "1.2",
		.architecture = "x86_64",
		.kernel = "6.1",
		.os = "A \"quoted\" \\ name\n",
		.id = "ab",
		.cpus = 4,
		.running = 2,
		.stopped = 3,
		.health_checks = 7,
		.cpu_ns = 1500000000};
	scoped(buf) struct buf b = BUF_INIT;

	metrics_put_engine(&b, &m);

	has(&b, "# TYPE engine_daemon_container_states_containers gauge\n");
	has(&b, "engine_daemon_container_states_containers{state=\"running\"} 2\n");
	has(&b, "engine_daemon_container_states_containers{state=\"stopped\"} 3\n");
	has(&b, "engine_daemon_engine_cpus_cpus 4\n");
	has(&b, "engine_daemon_health_checks_total 7\n");
	has(&b, "process_cpu_seconds_total 1.500000000\n");
	has(&b, "os=\"A \\\"quoted\\\" \\\\ name\\n\",os_type=\"linux\"");
	has(&b, "version=\"1.2\"} 1\n");
}

/* The lines of client_golang for dockerd's labelled timers. */
static void actions_are_counted_in_each_bucket_above(void **state)
{
	struct action_times t = {0};
	scoped(buf) struct buf b = BUF_INIT;

	action_times_add(&t, ACTION_CONTAINER_START, 5000000);
	action_times_add(&t, ACTION_CONTAINER_START, 70000000);
	action_times_add(&t, ACTION_CONTAINER_START, INT64_C(12000000001));
	action_times_add(&t, ACTION_NONE, 1);
	action_times_put(&b, &t);

	has(&b, "# TYPE engine_daemon_container_actions_seconds histogram\n");
	has(&b, "engine_daemon_container_actions_seconds_bucket{action=\"start\",le=\"0.005\"} 1\n");
	has(&b, "engine_daemon_container_actions_seconds_bucket{action=\"start\",le=\"0.05\"} 1\n");
	has(&b, "engine_daemon_container_actions_seconds_bucket{action=\"start\",le=\"0.1\"} 2\n");
	has(&b, "engine_daemon_container_actions_seconds_bucket{action=\"start\",le=\"10\"} 2\n");
	has(&b, "engine_daemon_container_actions_seconds_bucket{action=\"start\",le=\"+Inf\"} 3\n");
	has(&b, "engine_daemon_container_actions_seconds_sum{action=\"start\"} 12.075000001\n");
	has(&b, "engine_daemon_container_actions_seconds_count{action=\"start\"} 3\n");
	has(&b, "engine_daemon_container_actions_seconds_count{action=\"create\"} 0\n");
	has(&b, "engine_daemon_image_actions_seconds_count{action=\"pull\"} 0\n");
	has(&b, "engine_daemon_network_actions_seconds_count{action=\"connect\"} 0\n");
	has(&b, "engine_daemon_host_info_functions_seconds_count{function=\"system_info\"} 0\n");
	const char *head = strstr(buf_str(&b), "# TYPE engine_daemon_image_actions_seconds");
	assert_non_null(head);
	assert_null(strstr(head + 1, "# TYPE engine_daemon_image_actions_seconds")); /* once */
}

static void a_family_is_in_one_piece(void **state)
{
	struct procfs_link eth = {.name = "eth0", .rx_bytes = 11, .tx_dropped = 12};
	const struct metrics_container v[] = {
		{.id = "a",
			.name = "web",
			.image = "bb",
			.health = "unhealthy",
			.live = true,
			.cpu_ns = 2000000001,
			.links = &eth,
			.n_links = 1,
			.restarts = 5},
		{.id = "b", .name = "rests", .image = "bb", .health = ""},
	};
	scoped(buf) struct buf b = BUF_INIT;

	metrics_put_containers(&b, v, 2);

	has(&b, "container_cpu_usage_seconds_total{id=\"a\",name=\"web\",image=\"bb\"} 2.000000001\n# ");
	has(&b, "container_restarts_total{id=\"a\",name=\"web\",image=\"bb\"} 5\n"
		"container_restarts_total{id=\"b\",name=\"rests\",image=\"bb\"} 0\n");
	has(&b, "container_network_receive_bytes_total{id=\"a\",name=\"web\",image=\"bb\",interface=\"eth0\"} 11\n");
	has(&b, "container_health_status{id=\"a\",name=\"web\",image=\"bb\",status=\"unhealthy\"} 1\n");
	has(&b, "container_health_status{id=\"a\",name=\"web\",image=\"bb\",status=\"healthy\"} 0\n");
	assert_null(strstr(buf_str(&b), "container_memory_usage_bytes{id=\"b\""));
	assert_null(strstr(buf_str(&b), "container_health_status{id=\"b\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_engine_has_dockerds_names),
		cmocka_unit_test(actions_are_counted_in_each_bucket_above),
		cmocka_unit_test(a_family_is_in_one_piece),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
