#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "network/resolv.h"

static void servers_search_and_options_are_read(void **state)
{
	struct resolv r = {0};

	resolv_parse(
		"# nameserver 1.1.1.1\n; x\nnameserver 10.0.0.1\nnameserver\tfe80::1%eth0 # home\r\nnameserver 10.0.0.1\n"
		"domain old.lan\nsearch lan example.com\noptions ndots:2 timeout:1\nsortlist 1\nnameserver",
		&r);

	assert_int_equal(r.servers.n, 2);
	assert_string_equal(r.servers.v[0], "10.0.0.1");
	assert_string_equal(r.servers.v[1], "fe80::1%eth0");
	assert_int_equal(r.search.n, 2);
	assert_string_equal(r.search.v[0], "lan");
	assert_int_equal(r.options.n, 2);
	resolv_deinit(&r);
}

static void loopback_servers_are_known(void **state)
{
	assert_true(resolv_is_loopback("127.0.0.53"));
	assert_true(resolv_is_loopback("::1"));
	assert_false(resolv_is_loopback("10.0.0.1"));
	assert_false(resolv_is_loopback("fe80::1%eth0"));
	assert_false(resolv_is_loopback("localhost"));
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void file_is_followed(void **state)
{
	char dir[] = "/tmp/wherry-resolv-XXXXXX";
	char path[64];
	char other[64];
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	snprintf(other, sizeof(other), "%s/new", dir);
	struct resolv_follow f = {.path = path};

	resolv_follow_refresh(&f);
	assert_int_equal(f.now.servers.n, 0); /* no file, no servers */
	put(path, "nameserver 10.0.0.1\n");
	resolv_follow_refresh(&f);
	assert_string_equal(f.now.servers.v[0], "10.0.0.1");
	put(other, "nameserver 10.0.0.2\n"); /* of the same length, perhaps within one tick of the
						clock */
	assert_int_equal(rename(other, path), 0);
	resolv_follow_refresh(&f);
	assert_string_equal(f.now.servers.v[0], "10.0.0.2");
	assert_int_equal(unlink(path), 0);
	resolv_follow_refresh(&f);
	assert_int_equal(f.now.servers.n, 0);
	resolv_follow_deinit(&f);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(servers_search_and_options_are_read),
		cmocka_unit_test(loopback_servers_are_known),
		cmocka_unit_test(file_is_followed),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
