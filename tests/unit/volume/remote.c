/* What is given to mount(2) for file systems whose server may be away, and what is not shown. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/scoped.h"
#include "volume/remote.h"

static void a_dead_server_is_an_error_unless_one_wants_to_wait(void **state)
{
	static const struct {
		const char *type, *device, *o, *want;
	} cases[] = {
		{"nfs", ":/x", "addr=10.0.0.1,rw", "addr=10.0.0.1,rw,soft,timeo=50,retrans=2"},
		{"nfs4", "nas:/x", "", "addr=nas,soft,timeo=50,retrans=2"},
		{"nfs4", "[fe80::1]:/x", "hard", "hard,addr=fe80::1"},
		{"nfs", ":/x", "addr=nas,soft,timeo=7", "addr=nas,soft,timeo=7"},
		{"nfs", ":/x", "addr=nas,timeo=7", "addr=nas,timeo=7,soft,retrans=2"},
		{"nfs", ":/x", "addr=nas,softerr", "addr=nas,softerr"},
		{"cifs", "//nas/x", "username=a,password=b,,c",
			"username=a,password=b,,c,soft,echo_interval=10"},
		{"smb3", "//nas/x", "hard,echo_interval=60", "hard,echo_interval=60"},
		{"tmpfs", "tmpfs", "size=1m", "size=1m"},
		{"none", "/mnt", "bind", "bind"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *got = remote_options(cases[i].type, cases[i].device, cases[i].o);
		assert_string_equal(got, cases[i].want);
	}
}

static void passwords_are_not_shown(void **state)
{
	static const struct {
		const char *o, *want;
	} cases[] = {
		{"username=u,password=secret,vers=3", "username=u,password=********,vers=3"},
		{"password=a,,b,c", "password=********,c"},
		{"pass=x,Password2=y,passwd=z", "pass=********,Password2=********,passwd=********"},
		{"password=,x", "password=,x"},
		{"nopassword,username=pass", "nopassword,username=pass"},
		{"password=a,password=b", "password=********,password=********"},
		{"", ""},
		{",,", ",,"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *got = remote_shown(cases[i].o);
		assert_string_equal(got, cases[i].want);
	}
}

static void credentials_become_options(void **state)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} cases[] = {
		{"username=bob\npassword=secret\n", "username=bob,password=secret"},
		{"# mount.cifs(8)\r\nuser = bob\r\npass=a,b =c \r\ndom=W\r\n",
			"username= bob,password=a,,b =c ,domain=W"},
		{"username=bob", "username=bob"},
		{"password=secret\n", NULL},
		{"", NULL},
		{"secret\n", NULL},
		{"username=bob\nuid=0\n", NULL},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		scoped(free) char *got = remote_credentials(cases[i].text, &e);
		if (!cases[i].want) {
			assert_null(got);
			assert_int_equal(e.kind, ERR_INVALID);
			assert_null(strstr(e.msg, "secret"));
			continue;
		}
		assert_non_null(got);
		assert_string_equal(got, cases[i].want);
	}
}

static json_t *object(const char *text)
{
	struct err e;
	json_t *o = json_parse(text, strlen(text), "a test", &e);
	assert_non_null(o);
	return o;
}

static void settings_come_from_options_or_labels(void **state)
{
	static const struct {
		const char *options, *labels;
		bool ok, watched;
		enum remote_start start;
	} cases[] = {
		{"{}", "null", true, false, REMOTE_START_FAILS},
		{"{\"type\":\"nfs\"}", "null", true, true, REMOTE_START_FAILS},
		{"{\"type\":\"tmpfs\"}", "{}", true, false, REMOTE_START_FAILS},
		{"{\"type\":\"none\"}", "{\"wherry.wait\":\"true\"}", true, true,
			REMOTE_START_WAITS},
		{"{\"type\":\"cifs\",\"wherry.wait\":\"false\"}", "{\"wherry.wait\":\"true\"}",
			true, true, REMOTE_START_WITHOUT},
		{"{\"type\":\"cifs\"}", "{\"wherry.credentials\":\"/run/x\"}", true, true,
			REMOTE_START_FAILS},
		{"{\"type\":\"cifs\"}", "{\"wherry.credentials\":\"x\"}", false, true,
			REMOTE_START_FAILS},
		{"{\"type\":\"nfs\"}", "{\"wherry.credentials\":\"/run/x\"}", false, true,
			REMOTE_START_FAILS},
		{"{\"type\":\"nfs\"}", "{\"wherry.wait\":\"yes\"}", false, true,
			REMOTE_START_WITHOUT},
		{"{}", "{\"wherry.wait\":\"true\"}", false, false, REMOTE_START_WAITS},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e;
		scoped(json) json_t *options = object(cases[i].options);
		scoped(json) json_t *labels =
			strcmp(cases[i].labels, "null") == 0 ? NULL : object(cases[i].labels);
		assert_int_equal(remote_check(options, labels, &e) == 0, cases[i].ok);
		assert_int_equal(remote_is_watched(options, labels), cases[i].watched);
		assert_int_equal(remote_start_of(options, labels), cases[i].start);
	}
}

static void a_wrong_password_is_told_in_words(void **state)
{
	assert_string_equal(
		remote_reason("cifs", EACCES), "the server refuses the name and password");
	assert_string_equal(
		remote_reason("nfs4", EACCES), "the server does not let this machine in");
	assert_string_equal(remote_reason("nfs", ETIMEDOUT), "the server does not answer");
	assert_null(remote_reason("none", EACCES));
	assert_null(remote_reason("nfs", EBUSY));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_dead_server_is_an_error_unless_one_wants_to_wait),
		cmocka_unit_test(passwords_are_not_shown),
		cmocka_unit_test(credentials_become_options),
		cmocka_unit_test(settings_come_from_options_or_labels),
		cmocka_unit_test(a_wrong_password_is_told_in_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
