/* The rules over time: which step is legal, when a container is started again, what a health
 * probe's result means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "container/health_rules.h"
#include "container/restart.h"
#include "container/state.h"

#define DAY_MS (INT64_C(24) * 3600 * 1000)
#define REFUSED CONTAINER_STATE_MAX

/* --- states --- */

static void a_life_goes_from_created_to_exited_and_again(void **state)
{
	enum container_state s = CONTAINER_CREATED;
	static const enum container_input inputs[] = {INPUT_START, INPUT_STARTED, INPUT_PAUSE,
		INPUT_UNPAUSE, INPUT_STOP, INPUT_DIED, INPUT_START, INPUT_STARTED, INPUT_DIED};
	static const enum container_state expected[] = {CONTAINER_STARTING, CONTAINER_RUNNING,
		CONTAINER_PAUSED, CONTAINER_RUNNING, CONTAINER_STOPPING, CONTAINER_EXITED,
		CONTAINER_STARTING, CONTAINER_RUNNING, CONTAINER_EXITED};

	for (size_t i = 0; i < sizeof(inputs) / sizeof(*inputs); i++) {
		s = container_next_state(s, inputs[i]);
		assert_int_equal(s, expected[i]);
	}
}

static void what_runs_cannot_be_started_or_removed(void **state)
{
	static const enum container_state alive[] = {CONTAINER_STARTING, CONTAINER_RUNNING,
		CONTAINER_PAUSED, CONTAINER_STOPPING, CONTAINER_REMOVING};
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(container_next_state(alive[i], INPUT_START), REFUSED);
		assert_int_equal(container_next_state(alive[i], INPUT_REMOVE), REFUSED);
	}
}

static void a_failed_first_start_leaves_it_created(void **state)
{
	assert_int_equal(container_next_state(CONTAINER_STARTING, INPUT_FAILED), CONTAINER_CREATED);
	assert_int_equal(
		container_next_state(CONTAINER_STARTING, INPUT_RETRY), CONTAINER_RESTARTING);
}

static void a_stop_ends_the_wait_for_a_restart(void **state)
{
	assert_int_equal(
		container_next_state(CONTAINER_RUNNING, INPUT_RETRY), CONTAINER_RESTARTING);
	assert_int_equal(container_next_state(CONTAINER_RESTARTING, INPUT_STOP), CONTAINER_EXITED);
	assert_int_equal(container_next_state(CONTAINER_STOPPING, INPUT_RETRY),
		REFUSED); /* a stopped one stays stopped */
}

static void only_a_failed_start_leads_back_to_created(void **state)
{
	for (int s = 0; s < CONTAINER_STATE_MAX; s++) {
		for (int i = 0; i < INPUT_MAX; i++) {
			bool exception = s == CONTAINER_STARTING && i == INPUT_FAILED;
			enum container_state to = container_next_state(
				(enum container_state)s, (enum container_input)i);
			assert_int_equal(to == CONTAINER_CREATED, exception);
		}
	}
}

static void a_removal_is_the_end(void **state)
{
	for (int i = 0; i < INPUT_MAX; i++) {
		assert_int_equal(
			container_next_state(CONTAINER_REMOVING, (enum container_input)i), REFUSED);
	}
}

static void every_state_has_a_word_of_dockers(void **state)
{
	static const char *const known[] = {
		"created", "running", "paused", "restarting", "removing", "exited", "dead"};
	for (int s = 0; s < CONTAINER_STATE_MAX; s++) {
		const char *word = container_state_word((enum container_state)s);
		bool found = false;
		for (size_t i = 0; i < 7; i++) {
			found = found || strcmp(known[i], word) == 0;
		}
		assert_true(found);
	}
}

/* --- restart policies --- */

static struct restart_policy parsed(const char *name, int64_t max)
{
	struct restart_policy p;
	struct err e;
	assert_int_equal(restart_policy_parse(name, max, &p, &e), 0);
	return p;
}

static void policies_have_dockers_names(void **state)
{
	assert_int_equal(parsed("", 0).kind, RESTART_NO);
	assert_int_equal(parsed("no", 0).kind, RESTART_NO);
	assert_int_equal(parsed("always", 0).kind, RESTART_ALWAYS);
	assert_int_equal(parsed("unless-stopped", 0).kind, RESTART_UNLESS_STOPPED);
	assert_int_equal(parsed("on-failure", 3).max_retries, 3);
}

static void a_wrong_policy_is_refused(void **state)
{
	static const struct {
		const char *name;
		int64_t max;
	} wrong[] = {{"Always", 0}, {"on-failure:3", 0}, {"always", 3}, {"no", 1},
		{"on-failure", -1}, {"on-failure", INT64_C(1) << 32}};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		struct restart_policy p;
		struct err e;
		assert_int_equal(restart_policy_parse(wrong[i].name, wrong[i].max, &p, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
}

/* A container as the daemon would drive it: each run lasts run_ms and ends with code. */
struct simulation {
	int64_t now_ms, longest_wait_ms, shortest_wait_ms;
	int starts;
	bool given_up;
};

static struct simulation live(struct restart_policy p, int64_t until_ms, int64_t run_ms, int code)
{
	struct simulation sim = {.starts = 1, .shortest_wait_ms = INT64_MAX};
	int64_t last_wait = 0;
	while (sim.now_ms < until_ms) {
		sim.now_ms += run_ms;
		struct restart_facts f = {.exit_code = code,
			.count = sim.starts - 1,
			.ran_ms = run_ms,
			.last_wait_ms = last_wait};
		int64_t wait;
		if (!restart_decide(&p, &f, &wait)) {
			sim.given_up = true;
			break;
		}
		sim.longest_wait_ms = wait > sim.longest_wait_ms ? wait : sim.longest_wait_ms;
		sim.shortest_wait_ms = wait < sim.shortest_wait_ms ? wait : sim.shortest_wait_ms;
		sim.now_ms += wait;
		sim.starts++;
		last_wait = wait;
	}
	return sim;
}

static void a_day_of_crashes_at_start_is_one_start_a_minute(void **state)
{
	struct simulation sim = live(parsed("always", 0), DAY_MS, 10, 1);

	assert_false(sim.given_up);
	assert_int_equal(sim.shortest_wait_ms, 100);
	assert_int_equal(sim.longest_wait_ms, 60000);
	assert_in_range(sim.starts, 24 * 60, 24 * 60 + 15); /* the doubling at first adds ten */
}

static void a_day_of_long_runs_is_started_again_at_once_each_time(void **state)
{
	struct simulation sim = live(parsed("unless-stopped", 0), DAY_MS, 600000, 137);

	assert_false(sim.given_up);
	assert_int_equal(sim.longest_wait_ms, 100);
	assert_in_range(sim.starts, 144, 145);
}

static void a_run_of_ten_seconds_forgets_the_pause(void **state)
{
	struct restart_policy p = parsed("always", 0);
	struct restart_facts f = {.exit_code = 1, .last_wait_ms = 51200, .ran_ms = 9999};
	int64_t wait;

	assert_true(restart_decide(&p, &f, &wait));
	assert_int_equal(wait, 60000);
	f.ran_ms = 10000;
	assert_true(restart_decide(&p, &f, &wait));
	assert_int_equal(wait, 100);
}

static void on_failure_gives_up_after_its_count(void **state)
{
	struct simulation three = live(parsed("on-failure", 3), DAY_MS, 10, 1);
	struct simulation forever = live(parsed("on-failure", 0), DAY_MS, 10, 1);

	assert_true(three.given_up);
	assert_int_equal(three.starts, 1 + 3);
	assert_false(forever.given_up);
}

static void on_failure_is_content_with_success(void **state)
{
	struct simulation sim = live(parsed("on-failure", 0), DAY_MS, 10, 0);

	assert_true(sim.given_up);
	assert_int_equal(sim.starts, 1);
}

static void who_waits_for_a_device_looks_again_every_few_seconds(void **state)
{
	struct restart_policy p = parsed("unless-stopped", 0);
	struct restart_facts f = {.exit_code = 128, .waiting = true};
	int64_t wait = 0;
	int64_t waited = 0;

	for (int i = 0; i < 20; i++) {
		assert_true(restart_decide(&p, &f, &wait));
		assert_true(wait >= 100 && wait <= 5000);
		waited += wait;
		f.last_wait_ms = wait;
	}
	assert_int_equal(wait, 5000);
	assert_true(waited > 60000);
	p = parsed("on-failure", 3);
	f.count = 3;
	assert_false(restart_decide(&p, &f, &wait));
}

static void an_unhealthy_container_is_restarted_ever_more_rarely(void **state)
{
	struct unhealthy_history h = {0};
	int64_t now = 1000;
	int64_t waits[9];

	/* it becomes unhealthy again 1 s after each restart */
	for (int i = 0; i < 9; i++) {
		waits[i] = unhealthy_wait_ms(&h, now);
		now += waits[i];
		h = unhealthy_after(h, now);
		now += 1000;
	}
	assert_int_equal(waits[0], 0);
	assert_int_equal(waits[1], 9000);
	assert_int_equal(waits[2], 19000);
	assert_int_equal(waits[8], 10 * 60 * 1000 - 1000);
	/* half an hour well: the next one is the first */
	assert_int_equal(unhealthy_wait_ms(&h, now + 30 * 60 * 1000), 0);
	assert_int_equal(unhealthy_after(h, now + 30 * 60 * 1000).count, 1);
}

static void the_label_wins_over_the_setting(void **state)
{
	enum unhealthy_action a;

	assert_true(unhealthy_action_parse("", UNHEALTHY_RESTART, &a) && a == UNHEALTHY_RESTART);
	assert_true(
		unhealthy_action_parse("ignore", UNHEALTHY_RESTART, &a) && a == UNHEALTHY_IGNORE);
	assert_true(
		unhealthy_action_parse("restart", UNHEALTHY_IGNORE, &a) && a == UNHEALTHY_RESTART);
	assert_false(unhealthy_action_parse("reboot", UNHEALTHY_IGNORE, &a));
}

static void nothing_restarts_what_its_user_has_stopped(void **state)
{
	static const char *const names[] = {"no", "always", "unless-stopped", "on-failure"};
	for (size_t i = 0; i < 4; i++) {
		struct restart_policy p = parsed(names[i], 0);
		struct restart_facts f = {.exit_code = 137, .stopped_by_user = true};
		int64_t wait = -1;
		assert_false(restart_decide(&p, &f, &wait));
		assert_int_equal(wait, -1);
	}
}

static void the_daemons_start_brings_back_what_was_meant_to_run(void **state)
{
	struct restart_policy no = parsed("no", 0);
	struct restart_policy always = parsed("always", 0);
	struct restart_policy unless = parsed("unless-stopped", 0);
	struct restart_policy failure = parsed("on-failure", 0);

	assert_false(restart_at_boot(&no, 1, true, false));
	assert_true(restart_at_boot(
		&always, 0, false, true)); /* Docker: always means also after a stop */
	assert_true(restart_at_boot(&unless, 0, true, false));
	assert_false(restart_at_boot(&unless, 0, false, true));
	assert_true(restart_at_boot(&failure, 137, true, false));
	assert_false(restart_at_boot(&failure, 0, true, false));
	assert_false(restart_at_boot(&failure, 1, false, false));
}

/* --- health --- */

static const struct health_config rules = {.interval_ms = 30000,
	.timeout_ms = 1000,
	.start_period_ms = 60000,
	.start_interval_ms = 5000,
	.retries = 3};

static void failures_in_the_start_period_do_not_count(void **state)
{
	struct health_state s = {0};
	for (int64_t now = 0; now < rules.start_period_ms; now += health_wait_ms(s, &rules, now)) {
		s = health_after(s, &rules, false, now);
	}

	assert_int_equal(s.status, HEALTH_STARTING);
	assert_int_equal(s.failing_streak, 0);
	assert_int_equal(health_wait_ms(s, &rules, 59999), 5000);
	assert_int_equal(health_wait_ms(s, &rules, 60000), 30000);
}

static void retries_in_a_row_make_it_unhealthy(void **state)
{
	struct health_state s = {.status = HEALTH_HEALTHY};

	s = health_after(s, &rules, false, 100000);
	s = health_after(s, &rules, false, 130000);
	assert_int_equal(s.status, HEALTH_HEALTHY);
	s = health_after(s, &rules, false, 160000);

	assert_int_equal(s.status, HEALTH_UNHEALTHY);
	assert_int_equal(s.failing_streak, 3);
}

static void one_success_heals(void **state)
{
	struct health_state s = {.status = HEALTH_UNHEALTHY, .failing_streak = 99};

	s = health_after(s, &rules, true, 100000);

	assert_int_equal(s.status, HEALTH_HEALTHY);
	assert_int_equal(s.failing_streak, 0);
}

static void the_first_success_ends_the_start_period(void **state)
{
	struct health_state s = health_after((struct health_state){0}, &rules, true, 1000);

	assert_int_equal(health_wait_ms(s, &rules, 1000), 30000);
	s = health_after(s, &rules, false, 2000);
	assert_int_equal(s.failing_streak, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_life_goes_from_created_to_exited_and_again),
		cmocka_unit_test(what_runs_cannot_be_started_or_removed),
		cmocka_unit_test(a_failed_first_start_leaves_it_created),
		cmocka_unit_test(a_stop_ends_the_wait_for_a_restart),
		cmocka_unit_test(only_a_failed_start_leads_back_to_created),
		cmocka_unit_test(a_removal_is_the_end),
		cmocka_unit_test(every_state_has_a_word_of_dockers),
		cmocka_unit_test(policies_have_dockers_names),
		cmocka_unit_test(a_wrong_policy_is_refused),
		cmocka_unit_test(a_day_of_crashes_at_start_is_one_start_a_minute),
		cmocka_unit_test(a_day_of_long_runs_is_started_again_at_once_each_time),
		cmocka_unit_test(a_run_of_ten_seconds_forgets_the_pause),
		cmocka_unit_test(on_failure_gives_up_after_its_count),
		cmocka_unit_test(on_failure_is_content_with_success),
		cmocka_unit_test(who_waits_for_a_device_looks_again_every_few_seconds),
		cmocka_unit_test(an_unhealthy_container_is_restarted_ever_more_rarely),
		cmocka_unit_test(the_label_wins_over_the_setting),
		cmocka_unit_test(nothing_restarts_what_its_user_has_stopped),
		cmocka_unit_test(the_daemons_start_brings_back_what_was_meant_to_run),
		cmocka_unit_test(failures_in_the_start_period_do_not_count),
		cmocka_unit_test(retries_in_a_row_make_it_unhealthy),
		cmocka_unit_test(one_success_heals),
		cmocka_unit_test(the_first_success_ends_the_start_period),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
