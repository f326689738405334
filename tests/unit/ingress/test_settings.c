#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "ingress/settings.h"

static void there_are_defaults(void **state)
{
	struct err e = {0};
	scoped(ingress_settings) struct ingress_settings s;
	assert_int_equal(ingress_settings_read(NULL, "My_Box.lan", &s, &e), 0);
	assert_true(s.enabled && s.mdns && !s.log_archive);
	assert_string_equal(s.name, "my-box");
	assert_int_equal(s.http_port, 80);
	assert_int_equal(s.https_port, 443);
	assert_int_equal(s.api_port, 0);
	assert_null(s.acme.directory);
}

static void all_of_it_is_read(void **state)
{
	struct err e = {0};
	scoped(json) json_t *doc = json_loads(
		"{\"enabled\": false, \"name\": \"shelf\", \"http-port\": 8080, \"api-port\": 2376,"
		" \"addresses\": [\"[::1]\", \"127.0.0.1\"], \"trusted-proxies\": [\"fd00::/8\", \"10.0.0.1\"],"
		" \"certificates\": [{\"cert\": \"/a.crt\", \"key\": \"/a.key\"}],"
		" \"acme\": {\"directory\": \"https://acme.example/dir\", \"email\": \"a@b\", \"hosts\": [\"X.example.org\"],"
		" \"dns-hook\": \"/usr/local/bin/hook\", \"ca-file\": \"/ca.pem\"}, \"log-archive\": true, \"mdns\": false}",
		0, NULL);
	scoped(ingress_settings) struct ingress_settings s;
	assert_int_equal(ingress_settings_read(doc, "box", &s, &e), 0);
	assert_false(s.enabled || s.mdns);
	assert_string_equal(s.name, "shelf");
	assert_string_equal(s.addresses.v[0], "[::1]");
	assert_string_equal(s.trusted_proxies.v[0], "fd00::/8");
	assert_string_equal(s.certificates[0].key, "/a.key");
	assert_string_equal(s.acme.hosts.v[0], "x.example.org");
	assert_string_equal(s.acme.dns_hook, "/usr/local/bin/hook");
}

static void what_is_wrong_is_said_with_its_key(void **state)
{
	static const char *const cases[][2] = {
		{"{\"names\": 1}", "ingress: unknown setting 'names'"},
		{"{\"name\": \"a.b\"}", "ingress: name must be"},
		{"{\"http-port\": 0}", "http-port and https-port must be from 1"},
		{"{\"http-port\": 443}", "must differ"},
		{"{\"api-port\": 70000}", "api-port must be a number"},
		{"{\"addresses\": [\"x\"]}", "addresses: 'x' is no address"},
		{"{\"trusted-proxies\": [\"10.0.0.0/99\"]}", "trusted-proxies: '10.0.0.0/99'"},
		{"{\"certificates\": [1]}", "certificates must be a list of objects"},
		{"{\"certificates\": [{\"cert\": \"/a\"}]}",
			"certificates: each needs cert and key"},
		{"{\"certificates\": [{\"cert\": \"a\", \"key\": \"/b\"}]}",
			"certificates: cert must be an absolute path"},
		{"{\"acme\": {}}", "acme: directory must be an https URL"},
		{"{\"acme\": {\"directory\": \"http://x\"}}",
			"acme: directory must be an https URL"},
		{"{\"acme\": {\"directory\": \"https://x\", \"hosts\": [\"a\"]}}",
			"hosts: 'a' is no full name"},
		{"{\"acme\": {\"directory\": \"https://x\", \"email\": \"-x@y\"}}",
			"email '-x@y' is none"},
		{"[]", "ingress: must be an object"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		scoped(json) json_t *doc = json_loads(cases[i][0], 0, NULL);
		scoped(ingress_settings) struct ingress_settings s;
		assert_int_equal(ingress_settings_read(doc, "box", &s, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
		if (!strstr(e.msg, cases[i][1])) {
			fail_msg("%s: %s", cases[i][0], e.msg);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_are_defaults),
		cmocka_unit_test(all_of_it_is_read),
		cmocka_unit_test(what_is_wrong_is_said_with_its_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
