/* When ACME is asked for what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/ip.h"
#include "base/json.h"
#include "ingress/acme_plan.h"
#include "ingress/lan_watch.h"

#define DAY INT64_C(86400)
#define NOW INT64_C(1795900000)

static void hosts_that_a_public_authority_signs_for_are_wanted(void **state)
{
	struct strv none = STRV_INIT;
	struct strv hosts = {.v = (char *[]){"app.pi.local", "a.example.org", "*.example.org", ".",
				     "a.example.org", "192.0.2.1", NULL},
		.n = 6};
	scoped(strv) struct strv http = STRV_INIT;
	scoped(strv) struct strv dns = STRV_INIT;

	acme_wanted(&none, &hosts, false, &http);
	acme_wanted(&none, &hosts, true, &dns);

	assert_int_equal(http.n, 1);
	assert_string_equal(http.v[0], "a.example.org");
	assert_int_equal(dns.n, 2);
	assert_string_equal(dns.v[1], "*.example.org");
}

static void what_the_settings_name_is_all(void **state)
{
	struct strv named = {.v = (char *[]){"b.example.org", NULL}, .n = 1};
	struct strv hosts = {.v = (char *[]){"a.example.org", NULL}, .n = 1};
	scoped(strv) struct strv got = STRV_INIT;

	acme_wanted(&named, &hosts, false, &got);

	assert_int_equal(got.n, 1);
	assert_string_equal(got.v[0], "b.example.org");
}

static void pauses_grow_to_a_day_and_differ(void **state)
{
	assert_int_equal(acme_pause(1, 0), 600);
	assert_int_equal(acme_pause(2, 0), 1200);
	assert_int_equal(acme_pause(30, 0), DAY);
	assert_true(acme_pause(1, UINT32_MAX) > 740 && acme_pause(1, UINT32_MAX) < 750);
	assert_int_not_equal(acme_seed("a", "x.example.org"), acme_seed("b", "x.example.org"));
}

static void a_certificate_is_renewed_with_a_third_left(void **state)
{
	int64_t ends = NOW + 90 * DAY;

	assert_int_equal(acme_renew_at(NOW, ends, 0), NOW + 60 * DAY);
	assert_true(acme_renew_at(NOW, ends, UINT32_MAX) > NOW + 56 * DAY);
	assert_int_equal(acme_renew_at(ends, NOW, 0), NOW); /* nonsense is renewed */
}

static json_t *state_of(int64_t failures, int64_t tried, int64_t ends)
{
	return json_pack("{sI sI sI sI}", "failures", (json_int_t)failures, "tried",
		(json_int_t)tried, "not_before", (json_int_t)NOW, "not_after", (json_int_t)ends);
}

static void a_failure_is_followed_by_a_pause_from_the_try(void **state)
{
	scoped(json) json_t *failed = state_of(2, NOW, 0);
	scoped(json) json_t *renewal = state_of(1, NOW, NOW + 90 * DAY);
	scoped(json) json_t *good = state_of(0, NOW, NOW + 90 * DAY);

	assert_int_equal(acme_next(failed, NOW + 5, 0), NOW + 1200);
	assert_int_equal(acme_next(renewal, NOW + 5, 0), NOW + 600);
	assert_int_equal(acme_next(good, NOW + 5, 0), NOW + 60 * DAY);
	assert_int_equal(acme_next(NULL, NOW, 0), NOW);
}

static void a_try_of_a_clock_ahead_is_not_waited_for(void **state)
{
	scoped(json) json_t *failed = state_of(3, NOW + 3650 * DAY, 0);

	assert_int_equal(acme_next(failed, NOW, 0), NOW);
}

static bool told(const char *listen, const char *address)
{
	struct strv list = {.v = (char *[]){(char *)listen, NULL}, .n = *listen ? 1 : 0};
	struct ip ip;
	assert_int_equal(ip_parse(address, &ip), 0);
	return lan_is_told(&list, ip);
}

static void only_addresses_that_are_listened_on_are_told(void **state)
{
	assert_true(told("", "192.0.2.1"));
	assert_true(told("192.0.2.1", "192.0.2.1"));
	assert_true(told("[2001:db8::1]", "2001:db8::1"));
	assert_true(told("0.0.0.0", "192.0.2.1"));
	assert_false(told("192.0.2.2", "192.0.2.1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_that_a_public_authority_signs_for_are_wanted),
		cmocka_unit_test(what_the_settings_name_is_all),
		cmocka_unit_test(pauses_grow_to_a_day_and_differ),
		cmocka_unit_test(a_certificate_is_renewed_with_a_third_left),
		cmocka_unit_test(a_failure_is_followed_by_a_pause_from_the_try),
		cmocka_unit_test(a_try_of_a_clock_ahead_is_not_waited_for),
		cmocka_unit_test(only_addresses_that_are_listened_on_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
