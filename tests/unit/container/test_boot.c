/* What a container of a compose project waits for when the daemon starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "container/boot_rules.h"

static void the_label_is_read_as_compose_writes_it(void **state)
{
	static const char *const cases[][2] = {
		{"", ""},
		{"db:service_healthy:true", "db=1 "},
		{"a:service_started:false,b:service_completed_successfully:true,c:service_healthy:"
		 "false",
			"a=0 b=2 c=1 "},
		{"old:service_started", "old=0 "},    /* docker compose before 2.5 */
		{"a,b:service_started:true", "b=0 "}, /* and before that */
		{"a:,:service_started,,a:x:y,b:service_healthyer:true", ""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(buf) struct buf got = BUF_INIT;
		const char *label = cases[i][0];
		struct boot_dependency d;
		while (boot_dependency_next(&label, &d)) {
			buf_printf(&got, "%.*s=%d ", d.n, d.service, (int)d.condition);
		}
		assert_string_equal(buf_str(&got), cases[i][1]);
	}
}

#define RUNS .runs = true, .came = true
#define PROBED(what) .probed = true, .health = HEALTH_##what

static void it_waits_for_what_is_still_to_come(void **state)
{
	static const struct {
		const char *what;
		struct boot_facts f;
		bool waits[3]; /* started, healthy, completed */
	} cases[] = {
		{"runs, no check", {RUNS}, {false, false, true}},
		{"runs, not yet healthy", {RUNS, PROBED(STARTING)}, {false, true, true}},
		{"healthy", {RUNS, PROBED(HEALTHY)}, {false, false, true}},
		{"unhealthy", {RUNS, PROBED(UNHEALTHY)}, {false, false, true}},
		{"to be started", {.coming = true}, {true, true, true}},
		{"to be started, with a check", {.coming = true, PROBED(STARTING)},
			{true, true, true}},
		{"to be started for ever", {.coming = true, .waited_ms = BOOT_PATIENCE_MS},
			{false, false, false}},
		{"starts again and again", {.coming = true, .came = true}, {false, true, true}},
		{"slow, but alive", {RUNS, PROBED(STARTING), .waited_ms = 10LL * BOOT_PATIENCE_MS},
			{false, true, true}},
		{"has ended, no policy", {.came = true}, {false, false, false}},
		{"never ran", {.came = false}, {false, false, false}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		for (int k = 0; k < 3; k++) {
			if (boot_must_wait((enum boot_condition)k, &cases[i].f) !=
				cases[i].waits[k]) {
				fail_msg("%s: condition %d", cases[i].what, k);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_label_is_read_as_compose_writes_it),
		cmocka_unit_test(it_waits_for_what_is_still_to_come),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
