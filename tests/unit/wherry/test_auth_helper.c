/* wherry/auth_helper.h: what a docker-credential-* program does must not hurt who runs it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "wherry/auth_helper.h"

#define PATIENT_MS 60000

static char dir[] = "/tmp/wherry-helper.XXXXXX";

static int make_dir(void **state)
{
	return mkdtemp(dir) && setenv("PATH", dir, 1) == 0 ? 0 : -1;
}

static int remove_dir(void **state)
{
	return path_remove_tree(AT_FDCWD, dir);
}

static void given_helper(const char *script)
{
	scoped(free) char *path = xasprintf("%s/docker-credential-t", dir);
	scoped(free) char *text = xasprintf("#!/bin/sh\nPATH=/usr/bin:/bin\n%s\n", script);
	assert_int_equal(path_write(AT_FDCWD, path, text, strlen(text), 0755, false), 0);
}

static int run(const char *name, const char *verb, const char *input, int timeout_ms,
	struct buf *ret, struct err *e)
{
	*e = (struct err){0};
	return auth_helper_run(name, verb, input, timeout_ms, ret, e);
}

static void a_helper_reads_its_input_and_answers(void **state)
{
	struct err e;
	scoped(buf) struct buf out = BUF_INIT;
	given_helper("echo \"$1 $(cat /dev/stdin)\"");
	assert_int_equal(run("t", "get", "a server", PATIENT_MS, &out, &e), 0);
	assert_string_equal(buf_str(&out), "get a server\n");
}

static void only_the_end_of_a_name_is_taken(void **state)
{
	static const char *const bad[] = {"", "a/b", "../t", "t;ls", "a b", "t\n", "$(x)"};
	struct err e;
	scoped(buf) struct buf out = BUF_INIT;
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(run(bad[i], "get", "s", PATIENT_MS, &out, &e), -1);
		assert_int_equal(e.kind, ERR_INVALID);
	}
	assert_int_equal(run("missing", "store", "s", PATIENT_MS, &out, &e), -1);
	assert_string_equal(e.msg,
		"error storing credentials - err: exec: \"docker-credential-missing\": executable "
		"file not found in $PATH, out: ``");
}

static void what_it_says_at_its_end_is_passed_on(void **state)
{
	struct err e;
	scoped(buf) struct buf out = BUF_INIT;
	given_helper("echo credentials not found in native keychain; exit 1");
	assert_int_equal(run("t", "get", "s", PATIENT_MS, &out, &e), -1);
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	buf_clear(&out);
	given_helper("echo ' locked '; exit 4");
	assert_int_equal(run("t", "erase", "s", PATIENT_MS, &out, &e), -1);
	assert_int_equal(e.kind, ERR_SYSTEM);
	assert_string_equal(
		e.msg, "error erasing credentials - err: exit status 4, out: ` locked`");
	buf_clear(&out);
	given_helper("exec <&-; exit 0"); /* does not read */
	scoped(free) char *long_input = xnew_array(char, (16 << 10) + 1);
	memset(long_input, 'x', 16 << 10);
	assert_int_equal(run("t", "store", long_input, PATIENT_MS, &out, &e), 0);
}

static void one_that_never_ends_is_killed(void **state)
{
	struct err e;
	scoped(buf) struct buf out = BUF_INIT;
	given_helper("exec sleep 100000");
	assert_int_equal(run("t", "get", "s", 100, &out, &e), -1);
	assert_non_null(strstr(e.msg, "no answer in"));
	given_helper("exec yes"); /* and one that never stops talking */
	assert_int_equal(run("t", "get", "s", PATIENT_MS, &out, &e), -1);
	assert_true(out.len <= 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_helper_reads_its_input_and_answers),
		cmocka_unit_test(only_the_end_of_a_name_is_taken),
		cmocka_unit_test(what_it_says_at_its_end_is_passed_on),
		cmocka_unit_test(one_that_never_ends_is_killed),
	};
	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
