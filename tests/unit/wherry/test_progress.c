/* What the terminal shows of steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "wherry/progress_view.h"

static void shows(struct progress_view v, size_t lines, const char *expected)
{
	scoped(buf) struct buf text = BUF_INIT;
	assert_int_equal(progress_view_draw(&v, &text), lines);
	assert_string_equal(buf_str(&text), expected);
}

static const struct progress_item two[] = {
	{"Network p_default", "Created", 1000, 1100, PROGRESS_DONE},
	{"Container p-db-1", "Starting", 1100, 1150, PROGRESS_WORKING},
};

static void lines_are_as_docker_composes(void **state)
{
	struct progress_view v = {"Running", "", two, 2, 50, 24, false, 2300};
	shows(v, 3,
		"[+] Running 1/2\n"
		" ✔ Network p_default  Created                0.1s \n"
		" ⠸ Container p-db-1   Starting               1.2s \n");
	v.color = true;
	shows(v, 3,
		"[+] Running 1/2\n"
		" \033[32m✔\033[0m Network p_default  \033[32mCreated\033[0m                \033[34m0.1s \033[0m\n"
		" \033[33m⠸\033[0m Container p-db-1   Starting               \033[34m1.2s \033[0m\n");
	v.n = 1;
	v.color = false;
	v.prefix = " DRY-RUN MODE - ";
	shows(v, 2,
		"[+] Running 1/1\n"
		" ✔  DRY-RUN MODE - Network p_default  Created0.1s \n");
}

static void a_narrow_window_cuts(void **state)
{
	struct progress_view v = {"Running", "", two, 2, 24, 24, false, 2300};
	shows(v, 3,
		"[+] Running 1/2\n"
		" ✔ Network p_defaul0.1s \n"
		" ⠸ Container p-db-11.2s \n");
	v.columns = 1;
	scoped(buf) struct buf text = BUF_INIT;
	progress_view_draw(&v, &text); /* nothing sensible, and nothing bad */
}

static void what_works_is_shown_first(void **state)
{
	static const struct progress_item many[] = {
		{"a", "Starting", 0, 0, PROGRESS_WORKING},
		{"b", "Started", 0, 0, PROGRESS_DONE},
		{"c", "Started", 0, 0, PROGRESS_DONE},
		{"d", "Error", 0, 0, PROGRESS_ERROR},
	};
	struct progress_view v = {"Running", "", many, 4, 30, 4, false, 0};
	shows(v, 3,
		"[+] Running 3/4\n"
		" ⠋ a  Starting           0.0s \n"
		" ✘ d  Error              0.0s \n");
}

static void words_have_a_status(void **state)
{
	static const struct {
		const char *word;
		enum progress_status status;
	} cases[] = {
		{"Creating", PROGRESS_WORKING},
		{"Recreate", PROGRESS_WORKING},
		{"Recreate (the content of /a changed)", PROGRESS_WORKING},
		{"Recreated", PROGRESS_DONE},
		{"Running", PROGRESS_DONE},
		{"Healthy", PROGRESS_DONE},
		{"Exited", PROGRESS_DONE},
		{"Rolled back", PROGRESS_DONE},
		{"Resource is still in use", PROGRESS_WARNING},
		{"Skipped: no", PROGRESS_WARNING},
		{"Error", PROGRESS_ERROR},
		{"Error while Stopping", PROGRESS_ERROR},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(progress_status_of(cases[i].word), cases[i].status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_as_docker_composes),
		cmocka_unit_test(a_narrow_window_cuts),
		cmocka_unit_test(what_works_is_shown_first),
		cmocka_unit_test(words_have_a_status),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
