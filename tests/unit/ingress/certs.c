/* Names of certificates, and which of the job's pairs serves a host. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/json.h"
#include "ingress/cert_name.h"
#include "ingress/cert_pick.h"

static void a_wildcard_stands_for_one_label(void **state)
{
	assert_int_equal(cert_name_match("app.pi.local", "app.pi.local"), CERT_MATCH_EXACT);
	assert_int_equal(cert_name_match("*.pi.local", "app.pi.local"), CERT_MATCH_WILDCARD);
	assert_int_equal(cert_name_match("*.pi.local", "a.b.pi.local"), CERT_MATCH_NONE);
	assert_int_equal(cert_name_match("*.pi.local", "pi.local"), CERT_MATCH_NONE);
	assert_int_equal(cert_name_match("*.pi.local", ".pi.local"), CERT_MATCH_NONE);
	assert_int_equal(cert_name_match("*.pi.local", "*.pi.local"), CERT_MATCH_EXACT);
	assert_int_equal(cert_name_match("*.local", "*.pi.local"), CERT_MATCH_NONE);
}

static void names_of_hosts_are_checked(void **state)
{
	char label[80];
	memset(label, 'a', 64);
	label[64] = '\0';

	assert_true(cert_name_is_valid("app.example.org"));
	assert_true(cert_name_is_valid("*.example.org"));
	assert_true(cert_name_is_valid("pi"));
	assert_false(cert_name_is_valid(""));
	assert_false(cert_name_is_valid("."));
	assert_false(cert_name_is_valid("*."));
	assert_false(cert_name_is_valid("a..b"));
	assert_false(cert_name_is_valid("a.b."));
	assert_false(cert_name_is_valid("a.*.b"));
	assert_false(cert_name_is_valid("a,DNS:b"));
	assert_false(cert_name_is_valid(label));
	label[63] = '\0';
	assert_true(cert_name_is_valid(label));
}

static void private_names_are_known(void **state)
{
	assert_true(cert_name_is_private("pi"));
	assert_true(cert_name_is_private("app.pi.local"));
	assert_true(cert_name_is_private("nas.fritz.box"));
	assert_true(cert_name_is_private("192.0.2.1"));
	assert_false(cert_name_is_private("app.example.org"));
	assert_false(cert_name_is_private("notlocal.example"));
	assert_false(cert_name_is_private("my.xlocal"));
}

static void the_device_has_its_names_and_addresses(void **state)
{
	struct strv search = {.v = (char *[]){"Lan.", "bad..name", NULL}, .n = 2};
	struct strv addresses = {
		.v = (char *[]){"192.0.2.7", "2001:DB8::7", "junk", "::1", NULL}, .n = 4};
	scoped(strv) struct strv names = STRV_INIT;

	cert_device_names("pi", "Pi.example.org", &search, &addresses, &names);

	static const char *const wanted[] = {"pi.local", "*.pi.local", "pi", "pi.example.org",
		"pi.lan", "localhost", "127.0.0.1", "::1", "192.0.2.7", "2001:db8::7"};
	assert_int_equal(names.n, sizeof(wanted) / sizeof(*wanted));
	for (size_t i = 0; i < names.n; i++) {
		assert_string_equal(names.v[i], wanted[i]);
	}
}

static const char result_text[] =
	"{\"pairs\": ["
	"{\"stem\": \"own1\", \"source\": \"own\", \"names\": [\"*.example.org\"], \"not_after\": 100},"
	"{\"stem\": \"own2\", \"source\": \"own\", \"names\": [\"b.example.org\"], \"not_after\": 90},"
	"{\"stem\": \"own3\", \"source\": \"own\", \"names\": [\"*.example.org\"], \"not_after\": 200},"
	"{\"stem\": \"acme\", \"source\": \"acme\", \"names\": [\"a.example.org\", \"c.example.net\"],"
	" \"not_after\": 300},"
	"{\"stem\": \"device\", \"source\": \"local\", \"names\": [\"pi.local\", \"*.pi.local\", \"::1\"],"
	" \"not_after\": 400},"
	"{\"stem\": \"host\", \"source\": \"local\", \"names\": [\"c.example.net\"], \"not_after\": 500}]}";

static void better_pairs_serve_a_host(void **state)
{
	struct err e;
	scoped(json) json_t *r = json_parse(result_text, strlen(result_text), "the result", &e);

	assert_string_equal(
		cert_pick(r, "a.example.org"), "own3"); /* own before ACME, the longer one */
	assert_string_equal(cert_pick(r, "b.example.org"), "own2"); /* exact before wildcard */
	assert_string_equal(cert_pick(r, "c.example.net"), "acme"); /* ACME before ours */
	assert_string_equal(cert_pick(r, "app.pi.local"), "device");
	assert_string_equal(cert_pick(r, "*.pi.local"), "device");
	assert_string_equal(cert_pick(r, "."), "device");
	assert_string_equal(cert_pick(r, ""), "device");
	assert_null(cert_pick(r, "else.example.net"));
	assert_null(cert_pick(NULL, ""));
}

static void only_what_is_not_renewed_here_is_warned_of(void **state)
{
	struct err e;
	scoped(json) json_t *r = json_parse(result_text, strlen(result_text), "the result", &e);
	const json_t *pairs = json_object_get(r, "pairs");
	const int64_t day = 86400;

	assert_true(cert_expires_soon(json_array_get(pairs, 0), 100 - 14 * day));
	assert_false(cert_expires_soon(json_array_get(pairs, 0), 99 - 14 * day));
	assert_true(cert_expires_soon(json_array_get(pairs, 0), 101));
	assert_false(cert_expires_soon(json_array_get(pairs, 4), 400));
}

static void all_is_shown_for_the_api(void **state)
{
	struct err e;
	scoped(json) json_t *r = json_parse(result_text, strlen(result_text), "the result", &e);
	scoped(json) json_t *shown = cert_shown(r);
	scoped(json) json_t *nothing = cert_shown(NULL);

	const json_t *first = json_array_get(json_object_get(shown, "Certificates"), 0);
	assert_string_equal(json_str(first, "Source"), "own");
	assert_string_equal(json_str(first, "NotAfter"), "1970-01-01T00:01:40Z");
	assert_int_equal(json_array_size(json_object_get(shown, "Authorities")), 0);
	assert_int_equal(json_array_size(json_object_get(nothing, "Certificates")), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_wildcard_stands_for_one_label),
		cmocka_unit_test(names_of_hosts_are_checked),
		cmocka_unit_test(private_names_are_known),
		cmocka_unit_test(the_device_has_its_names_and_addresses),
		cmocka_unit_test(better_pairs_serve_a_host),
		cmocka_unit_test(only_what_is_not_renewed_here_is_warned_of),
		cmocka_unit_test(all_is_shown_for_the_api),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
