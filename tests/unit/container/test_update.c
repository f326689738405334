/* New limits and restart policy of a container that rests: what is taken, kept and refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

#include "base/json.h"
#include "fixture.h"

struct answer {
	int calls;
	struct err e; /* msg "" on success */
};

static void note(void *owner, const struct err *e)
{
	struct answer *a = owner;
	a->calls++;
	a->e = e ? *e : (struct err){0};
}

static struct answer update(struct fixture *f, struct container *c, json_t *take_body)
{
	scoped(json) json_t *body = take_body;
	scoped(json) json_t *changes = NULL;
	scoped(json) json_t *warnings = NULL;
	struct answer a = {0};
	assert_int_equal(container_update_check(&f->set, body, &changes, &warnings, &f->e), 0);
	container_update(c, changes, note, &a);
	assert_int_equal(a.calls, 1);
	return a;
}

static void refused(struct answer a, const char *words)
{
	assert_int_equal(a.e.kind, ERR_CONFLICT);
	assert_non_null(strstr(a.e.msg, "Cannot update container "));
	assert_non_null(strstr(a.e.msg, words));
}

static int64_t limit(const struct container *c, const char *key)
{
	return json_i64(c->host_config, key, -7);
}

static void what_is_zero_stays(void **state)
{
	struct fixture *f = *state;
	struct container *c = fixture_create(
		f, "aa", NULL, json_pack("{si si}", "Memory", 64 << 20, "CpuShares", 512));

	struct answer a = update(f, c,
		json_pack("{si ss si si}", "Memory", 0, "CpusetCpus", "", "CpuShares", 700,
			"PidsLimit", -1));

	assert_string_equal(a.e.msg, "");
	assert_int_equal(limit(c, "Memory"), 64 << 20);
	assert_int_equal(limit(c, "CpuShares"), 700);
	assert_int_equal(limit(c, "PidsLimit"), 0); /* none, and recorded so */
}

static void contradictions_with_what_is_set_are_refused(void **state)
{
	struct fixture *f = *state;
	struct container *nano = fixture_create(
		f, "aa", NULL, json_pack("{sI}", "NanoCpus", (json_int_t)1000000000));
	struct container *quota =
		fixture_create(f, "bb", NULL, json_pack("{si}", "CpuQuota", 50000));
	struct container *memory =
		fixture_create(f, "cc", NULL, json_pack("{si}", "Memory", 64 << 20));

	refused(update(f, nano, json_pack("{si}", "CpuQuota", 50000)),
		"CPU Quota cannot be updated as NanoCPUs has already been set");
	refused(update(f, nano, json_pack("{si}", "CpuPeriod", 50000)),
		"CPU Period cannot be updated as NanoCPUs has already been set");
	refused(update(f, quota, json_pack("{si}", "NanoCpus", 50000)),
		"Nano CPUs cannot be updated as CPU Quota has already been set");
	refused(update(f, memory, json_pack("{si}", "Memory", 200 << 20)),
		"Memory limit should be smaller than already set memoryswap limit");
	assert_int_equal(limit(memory, "Memory"), 64 << 20);
	assert_int_equal(limit(nano, "CpuQuota"), 0);
}

static void memory_and_swap_move_together(void **state)
{
	struct fixture *f = *state;
	struct container *c = fixture_create(f, "aa", NULL, json_pack("{si}", "Memory", 64 << 20));

	struct answer a =
		update(f, c, json_pack("{si si}", "Memory", 200 << 20, "MemorySwap", 300 << 20));

	assert_string_equal(a.e.msg, "");
	assert_int_equal(limit(c, "Memory"), 200 << 20);
	assert_int_equal(limit(c, "MemorySwap"), 300 << 20);
}

static void the_policy_is_in_force_at_once(void **state)
{
	struct fixture *f = *state;
	struct container *c = fixture_create(f, "aa", NULL, NULL);

	struct answer a = update(f, c,
		json_pack("{s{ss si}}", "RestartPolicy", "Name", "on-failure", "MaximumRetryCount",
			3));

	assert_string_equal(a.e.msg, "");
	assert_int_equal(c->policy.kind, RESTART_ON_FAILURE);
	assert_int_equal(c->policy.max_retries, 3);
	a = update(f, c, json_pack("{s{ss}}", "RestartPolicy", "Name", "")); /* stays */
	assert_int_equal(c->policy.kind, RESTART_ON_FAILURE);
}

static void one_that_removes_itself_gets_no_policy(void **state)
{
	struct fixture *f = *state;
	struct container *c = fixture_create(f, "aa", NULL, json_pack("{sb}", "AutoRemove", 1));

	refused(update(f, c, json_pack("{s{ss}}", "RestartPolicy", "Name", "always")),
		"AutoRemove is enabled");
	assert_string_equal(
		update(f, c, json_pack("{s{ss}}", "RestartPolicy", "Name", "no")).e.msg, "");
}

static void nonsense_is_refused_before_the_name_is_looked_up(void **state)
{
	struct fixture *f = *state;
	static const char *const bodies[] = {"{\"Memory\": 5}", "{\"Memory\": \"much\"}",
		"{\"RestartPolicy\": {\"Name\": \"bogus\"}}", "{\"RestartPolicy\": 5}",
		"{\"CpusetCpus\": \"9\"}", "{\"RestartPolicy\": {\"Name\": 5}}"};
	for (size_t i = 0; i < sizeof(bodies) / sizeof(*bodies); i++) {
		scoped(json) json_t *body = json_loads(bodies[i], 0, NULL);
		json_t *changes = NULL;
		json_t *warnings = NULL;
		assert_int_equal(
			container_update_check(&f->set, body, &changes, &warnings, &f->e), -1);
		assert_int_equal(f->e.kind, ERR_INVALID);
		assert_null(changes);
		assert_null(warnings);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(what_is_zero_stays),
		WITH(contradictions_with_what_is_set_are_refused),
		WITH(memory_and_swap_move_together),
		WITH(the_policy_is_in_force_at_once),
		WITH(one_that_removes_itself_gets_no_policy),
		WITH(nonsense_is_refused_before_the_name_is_looked_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
