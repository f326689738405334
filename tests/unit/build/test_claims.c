/* Who runs a step, and who waits for it. Owners are letters, granted questions are noted. */
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include "build/claims.h"
#include "cmocka_all.h"

#define LONG_MS 1000000

struct fixture {
	uv_loop_t loop;
	struct claims *claims;
	char granted[256]; /* "b1+ " owner, question, taken or not */
};

static struct fixture f;

static void note(void *owner, json_int_t question, bool taken)
{
	size_t n = strlen(f.granted);
	snprintf(f.granted + n, sizeof(f.granted) - n, "%s%d%c ", (const char *)owner,
		(int)question, taken ? '+' : '-');
}

static int begin(uint64_t wait_ms)
{
	memset(&f, 0, sizeof(f));
	uv_loop_init(&f.loop);
	f.claims = claims_new(&f.loop, wait_ms, note);
	return 0;
}

static int setup(void **state)
{
	return begin(LONG_MS);
}

static int teardown(void **state)
{
	claims_free(f.claims);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&f.loop);
}

static void the_first_has_it_and_the_next_get_it_in_order(void **state)
{
	assert_true(claims_take(f.claims, "a", "k", 1));
	assert_true(claims_take(f.claims, "b", "other", 1));
	assert_false(claims_take(f.claims, "b", "k", 2));
	assert_false(claims_take(f.claims, "c", "k", 3));
	assert_string_equal(f.granted, "");

	claims_drop(f.claims, "a", "k");
	assert_string_equal(f.granted, "b2+ ");
	claims_drop(f.claims, "b", "k");
	claims_drop(f.claims, "c", "k");
	assert_string_equal(f.granted, "b2+ c3+ ");

	assert_true(claims_take(f.claims, "d", "k", 4));
	assert_false(claims_take(f.claims, "d", "other", -1));
}

static void tell(void *owner, int vertex, const json_t *log)
{
	size_t n = strlen(f.granted);
	snprintf(f.granted + n, sizeof(f.granted) - n, "%s%d:%s ", (const char *)owner, vertex,
		json_string_value(json_object_get(log, "data")));
}

static void say(const char *owner, int vertex, const char *text)
{
	json_t *log = json_pack("{si ss}", "vertex", vertex, "data", text);
	claims_log(f.claims, owner, log, tell);
	json_decref(log);
}

static void who_waits_sees_the_log_from_its_beginning(void **state)
{
	static const char a[] = "a", b[] = "b", c[] = "c", d[] = "d";
	assert_true(claims_take(f.claims, (void *)a, "k", 1));
	claims_note(f.claims, a, "k", 7, tell);
	say(a, 7, "one");
	say(a, 8, "of-another-step");
	assert_false(claims_take(f.claims, (void *)b, "k", 2));
	claims_note(f.claims, b, "k", 3, tell);
	assert_string_equal(f.granted, "b3:one ");
	assert_false(claims_take(f.claims, (void *)d, "k", 4)); /* takes no part */
	say(a, 7, "two");
	say(c, 7, "not-by-who-runs-it");
	assert_string_equal(f.granted, "b3:one b3:two ");

	claims_drop(f.claims, a, "k");
	say(a, 7, "late");
	assert_false(claims_take(f.claims, (void *)c, "k", 5));
	claims_note(f.claims, c, "k", 9, tell);
	say(b, 3, "anew");
	assert_string_equal(f.granted, "b3:one b3:two b2+ c9:anew ");
}

static void only_who_has_it_gives_it_back(void **state)
{
	assert_true(claims_take(f.claims, "a", "k", 1));
	assert_false(claims_take(f.claims, "b", "k", -1)); /* and does not wait */
	claims_drop(f.claims, "b", "k");
	assert_false(claims_take(f.claims, "c", "k", 3));
	assert_string_equal(f.granted, "");
}

static void who_leaves_has_none_and_waits_for_none(void **state)
{
	assert_true(claims_take(f.claims, "a", "k", 1));
	assert_true(claims_take(f.claims, "a", "other", 2));
	assert_false(claims_take(f.claims, "b", "k", 3));
	assert_false(claims_take(f.claims, "b", "other", 4));
	assert_false(claims_take(f.claims, "c", "k", 5));

	claims_drop_all(f.claims, "b");
	claims_drop_all(f.claims, "a");

	assert_string_equal(f.granted, "c5+ ");
	assert_true(claims_take(f.claims, "d", "other", 6));
}

static void nobody_waits_for_ever(void **state)
{
	teardown(NULL);
	begin(1);
	assert_true(claims_take(f.claims, "a", "k", 1));
	assert_false(claims_take(f.claims, "b", "k", 2));
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_string_equal(f.granted, "b2- ");
	assert_false(claims_take(f.claims, "c", "k", -1));
	claims_drop(f.claims, "b", "k"); /* it has none */
	assert_false(claims_take(f.claims, "c", "k", -1));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_first_has_it_and_the_next_get_it_in_order),
		T(who_waits_sees_the_log_from_its_beginning),
		T(only_who_has_it_gives_it_back),
		T(who_leaves_has_none_and_waits_for_none),
		T(nobody_waits_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
