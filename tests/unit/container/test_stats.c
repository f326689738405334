/* The documents of stats, who gets them, and the words of ps_args. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "container/stats.h"
#include "container/top.h"
#include "fixture.h"

static uint64_t each[] = {700, 300};
static struct cgroup_io ios[] = {{8, 0, "Read", 4096}};
static struct procfs_link links[] = {{"eth0", 1, 2, 3, 4, 5, 6, 7, 8}};

static struct stats_sample sample_v1(void)
{
	struct stats_sample s = {.live = true,
		.at_ns = INT64_C(1700000000500000000),
		.system_ns = 5000,
		.n_cpus = 2,
		.links = links,
		.n_links = 1,
		.machine_bytes = 1000000};
	s.group = (struct cgroup_stat){.cpu_ns = 1000,
		.cpu_each_ns = each,
		.n_cpus = 2,
		.memory_bytes = 64,
		.memory_max_bytes = 128,
		.memory_limit_bytes = UINT64_MAX / 2,
		.memory_failures = 9,
		.pids = 3,
		.io_bytes = {ios, 1}};
	return s;
}

static json_t *document(const struct stats_sample *s, const char *precpu, const char *preread)
{
	scoped(buf) struct buf b = BUF_INIT;
	stats_put(&b, s, "web", "abc", precpu, preread);
	/* dockerd's numbers may pass what JSON integers of jansson hold: as reals */
	json_t *doc = json_loads(buf_str(&b), JSON_DECODE_INT_AS_REAL, NULL);
	assert_non_null(doc);
	return doc;
}

static double number(const json_t *o, const char *key)
{
	return json_real_value(json_object_get(o, key));
}

static void v1_has_dockers_shape(void **state)
{
	struct stats_sample s = sample_v1();
	scoped(json) json_t *doc = document(&s, NULL, NULL);

	const json_t *usage = json_object_get(json_object_get(doc, "cpu_stats"), "cpu_usage");
	const json_t *memory = json_object_get(doc, "memory_stats");
	const json_t *io = json_object_get(doc, "blkio_stats");
	assert_true(number(usage, "total_usage") == 1000);
	assert_int_equal(json_array_size(json_object_get(usage, "percpu_usage")), 2);
	assert_true(number(json_object_get(doc, "cpu_stats"), "online_cpus") == 2);
	assert_true(number(memory, "max_usage") == 128);
	assert_true(number(memory, "failcnt") == 9);
	assert_true(json_is_object(json_object_get(memory, "stats")));
	assert_int_equal(json_array_size(json_object_get(io, "io_service_bytes_recursive")), 1);
	assert_true(json_is_array(json_object_get(io, "sectors_recursive")));
	assert_string_equal(json_str(doc, "name"), "/web");
	assert_string_equal(json_str(doc, "id"), "abc");
	assert_string_equal(json_str(doc, "read"), "2023-11-14T22:13:20.5Z");
	assert_true(number(json_object_get(json_object_get(doc, "networks"), "eth0"),
			    "tx_dropped") == 8);
}

static void no_limit_is_the_machines_memory(void **state)
{
	struct stats_sample s = sample_v1();
	scoped(json) json_t *doc = document(&s, NULL, NULL);

	assert_true(number(json_object_get(doc, "memory_stats"), "limit") == 1000000);
}

static void no_pids_limit_is_left_out_on_v1_and_the_largest_number_on_v2(void **state)
{
	struct stats_sample s = sample_v1();
	scoped(json) json_t *v1 = document(&s, NULL, NULL);
	s.group = (struct cgroup_stat){.v2 = true, .pids = 1, .pids_limit = UINT64_MAX};
	scoped(buf) struct buf v2 = BUF_INIT;
	stats_put(&v2, &s, "web", "abc", NULL, NULL);

	assert_null(json_object_get(json_object_get(v1, "pids_stats"), "limit"));
	assert_non_null(strstr(buf_str(&v2), "\"limit\":18446744073709551615"));
}

static void v2_has_bytes_only_and_no_cpu_by_cpu(void **state)
{
	struct stats_sample s = sample_v1();
	s.group = (struct cgroup_stat){.v2 = true, .cpu_ns = 5, .memory_bytes = 7};
	scoped(json) json_t *doc = document(&s, NULL, NULL);

	const json_t *io = json_object_get(doc, "blkio_stats");
	const json_t *memory = json_object_get(doc, "memory_stats");
	assert_true(json_is_array(json_object_get(io, "io_service_bytes_recursive")));
	assert_true(json_is_null(json_object_get(io, "io_serviced_recursive")));
	assert_null(json_object_get(memory, "max_usage"));
	assert_non_null(json_object_get(json_object_get(memory, "stats"), "slab_reclaimable"));
	assert_null(json_object_get(
		json_object_get(json_object_get(doc, "cpu_stats"), "cpu_usage"), "percpu_usage"));
}

static void the_sample_before_stands_in_precpu(void **state)
{
	struct stats_sample s = sample_v1();
	scoped(buf) struct buf cpu = BUF_INIT;
	stats_put_cpu(&cpu, &s);
	s.group.cpu_ns = 3000;
	scoped(json) json_t *doc = document(&s, buf_str(&cpu), "2023-11-14T22:13:19.5Z");

	const json_t *before = json_object_get(json_object_get(doc, "precpu_stats"), "cpu_usage");
	assert_true(number(before, "total_usage") == 1000);
	assert_string_equal(json_str(doc, "preread"), "2023-11-14T22:13:19.5Z");
}

/* As a real dockerd 26.1.5 answered for a stopped container. */
static void nothing_is_what_dockerd_says_of_a_stopped_one(void **state)
{
	const struct stats_sample s = {0};
	scoped(buf) struct buf b = BUF_INIT;
	stats_put(&b, &s, "st-stopped", "acd2", NULL, NULL);

	assert_string_equal(buf_str(&b),
		"{\"read\":\"0001-01-01T00:00:00Z\",\"preread\":\"0001-01-01T00:00:00Z\",\"pids_stats\":{},"
		"\"blkio_stats\":{\"io_service_bytes_recursive\":null,\"io_serviced_recursive\":null,"
		"\"io_queue_recursive\":null,\"io_service_time_recursive\":null,\"io_wait_time_recursive\":null,"
		"\"io_merged_recursive\":null,\"io_time_recursive\":null,\"sectors_recursive\":null},\"num_procs\":0,"
		"\"storage_stats\":{},\"cpu_stats\":{\"cpu_usage\":{\"total_usage\":0,\"usage_in_kernelmode\":0,"
		"\"usage_in_usermode\":0},\"throttling_data\":{\"periods\":0,\"throttled_periods\":0,"
		"\"throttled_time\":0}},\"precpu_stats\":{\"cpu_usage\":{\"total_usage\":0,\"usage_in_kernelmode\":0,"
		"\"usage_in_usermode\":0},\"throttling_data\":{\"periods\":0,\"throttled_periods\":0,"
		"\"throttled_time\":0}},\"memory_stats\":{},\"name\":\"/st-stopped\",\"id\":\"acd2\"}");
}

struct watcher {
	int lines, ends;
	struct stats_watch *other; /* ended from inside the call */
};

static void note(void *owner, const char *line, size_t n)
{
	struct watcher *w = owner;
	w->lines += line != NULL;
	w->ends += line == NULL;
	stats_unwatch(TAKE(w->other));
}

static void watchers_hear_samples_and_the_end(void **state)
{
	struct fixture *f = *state;
	struct container *c = f->anchor;
	struct watcher stream = {0};
	struct watcher pair = {0};
	struct stats_watch *a = stats_watch(c, false, note, &stream);
	struct stats_watch *b = stats_watch(c, true, note, &pair);

	assert_int_equal(stream.lines, 0); /* never from inside */
	uv_run(f->loop, UV_RUN_NOWAIT);
	assert_int_equal(stream.lines, 1);
	assert_int_equal(pair.lines, 0); /* there is no sample before the first */

	stats_forget(c);
	assert_int_equal(stream.ends, 1);
	assert_int_equal(pair.ends, 1);
	assert_null(c->stats);
	stats_unwatch(a);
	stats_unwatch(b);
}

static void nobody_watches_nothing_is_sampled(void **state)
{
	struct fixture *f = *state;
	struct watcher w = {0};
	struct stats_watch *a = stats_watch(f->anchor, false, note, &w);

	stats_unwatch(a);

	assert_null(f->anchor->stats);
	assert_int_equal(uv_run(f->loop, UV_RUN_NOWAIT), 0); /* no timer runs */
	assert_int_equal(w.lines, 0);
}

static void a_watcher_may_end_itself_and_others(void **state)
{
	struct fixture *f = *state;
	struct watcher first = {0};
	struct watcher second = {0};
	struct stats_watch *a = stats_watch(f->anchor, false, note, &first);
	second.other = stats_watch(f->anchor, false, note, &second);
	first.other = a;

	uv_run(f->loop, UV_RUN_NOWAIT);

	assert_int_equal(first.lines, 1);
	assert_int_equal(second.lines, 1);
	assert_null(f->anchor->stats);
}

static void another_column_must_not_be_called_pid(void **state)
{
	static const char *const good[] = {"", "-ef", "aux", "-o pid,comm", "-o pid=PID",
		"-e -o pid=PID -o user=who", "-o user=Pid", "user=PID"};
	static const char *const bad[] = {"-o user=PID", "-o comm= PIDx", "-e -o a=b -o x=PID"};
	struct err e;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		assert_int_equal(container_top_check(good[i], &e), 0);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(container_top_check(bad[i], &e), -1);
	}
	assert_int_equal(container_top_check("-o user=PID", &e), -1);
	assert_string_equal(e.msg, "specifying \"user=PID\" is not allowed");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v1_has_dockers_shape),
		cmocka_unit_test(no_limit_is_the_machines_memory),
		cmocka_unit_test(no_pids_limit_is_left_out_on_v1_and_the_largest_number_on_v2),
		cmocka_unit_test(v2_has_bytes_only_and_no_cpu_by_cpu),
		cmocka_unit_test(the_sample_before_stands_in_precpu),
		cmocka_unit_test(nothing_is_what_dockerd_says_of_a_stopped_one),
		WITH(watchers_hear_samples_and_the_end),
		WITH(nobody_watches_nothing_is_sampled),
		WITH(a_watcher_may_end_itself_and_others),
		cmocka_unit_test(another_column_must_not_be_called_pid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
