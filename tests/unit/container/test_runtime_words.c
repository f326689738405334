/* What crun 1.8 and 1.2x say, in the words and with the codes of dockerd 26 with runc. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "container/runtime_words.h"

#define CREATE \
	"failed to create task for container: failed to create shim task: OCI runtime create failed: "
#define RUNC CREATE "runc create failed: unable to start container process: "
#define EXEC "OCI runtime exec failed: exec failed: unable to start container process: "

static void assert_words(const char *arg0, const char *crun, int code, const char *sentence)
{
	struct err e;
	int got = runtime_failure(RUNTIME_CREATE, arg0, crun, &e);
	assert_string_equal(e.msg, sentence);
	assert_int_equal(got, code);
	assert_int_equal(e.kind, code == 128 ? ERR_SYSTEM : ERR_INVALID);
}

static void a_word_is_looked_for(void **state)
{
	const char *nope = RUNC "exec: \"nope\": executable file not found in $PATH: unknown";
	assert_words("nope", "executable file `nope` not found in $PATH: No such file or directory",
		127, nope);
	assert_words("nope", "executable file `nope` not found in $PATH", 127, nope); /* 1.2x */
	assert_words("nope", "open executable: Permission denied", 127, nope);
	assert_words("", "open executable: Invalid argument", 127,
		RUNC "exec: \"\": executable file not found in $PATH: unknown");
	assert_words("no\"p\\e\n", "executable file `x` not found in $PATH", 127,
		RUNC "exec: \"no\\\"p\\\\e\\x0a\": executable file not found in $PATH: unknown");
}

static void a_path_says_what_is_wrong_with_it(void **state)
{
	const char *missing = RUNC "exec: \"/n\": stat /n: no such file or directory: unknown";
	assert_words("/n", "executable file `/n` not found in $PATH: No such file or directory",
		127, missing);
	assert_words(
		"/n", "executable file `/n` not found: No such file or directory", 127, missing);
	assert_words("/n", "open executable: No such file or directory", 127, missing);
	assert_words("/n", "open executable: Permission denied", 126,
		RUNC "exec: \"/n\": permission denied: unknown");
	assert_words("/n", "the path `/n` exists but it is not executable", 126,
		RUNC "exec: \"/n\": permission denied: unknown");
	assert_words("/n", "open executable: Operation not permitted", 126,
		RUNC "exec: \"/n\": is a directory: unknown: permission denied");
	assert_words("/n", "open executable: Too many levels of symbolic links", 128,
		RUNC "exec: \"/n\": stat /n: too many levels of symbolic links: unknown");
	assert_words("/n/x", "open executable: Not a directory", 127,
		RUNC
		"exec: \"/n/x\": stat /n/x: not a directory: unknown: Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists and is the expected type");
}

static void directories_and_mounts_are_named(void **state)
{
	assert_words("sh", "chdir `/w`: No such file or directory", 127,
		RUNC
		"chdir to cwd (\"/w\") set in config.json failed: no such file or directory: unknown");
	assert_words("sh", "chdir to `/w`: Permission denied", 126,
		RUNC "chdir to cwd (\"/w\") set in config.json failed: permission denied: unknown");
	assert_words("sh", "mount `/a` to `b/c`: Invalid argument", 128,
		RUNC
		"error during container init: error mounting \"/a\" to rootfs at \"/b/c\": invalid argument: unknown");
}

static void what_nobody_greps_for_is_kept(void **state)
{
	assert_words("sh", "writing file `/sys/fs/x`: Device or resource busy", 128,
		CREATE "crun: writing file `/sys/fs/x`: device or resource busy: unknown");
	assert_words("sh", "mount `odd", 128, CREATE "crun: mount `odd: unknown");
	assert_words("sh",
		"runc create failed: unable to start container process: exec: \"x\": permission denied",
		126, RUNC "exec: \"x\": permission denied: unknown"); /* a runtime of daemon.json */
}

static void an_exec_has_its_own_front(void **state)
{
	struct err e;

	int code = runtime_failure(RUNTIME_EXEC, "nope", "executable file `nope` not found", &e);

	assert_string_equal(
		e.msg, EXEC "exec: \"nope\": executable file not found in $PATH: unknown");
	assert_int_equal(code, 127);
}

static void what_is_too_long_is_cut(void **state)
{
	struct err e;
	char name[4000];
	char text[4096];
	memset(name, 'a', sizeof(name));
	name[0] = '/';
	name[sizeof(name) - 1] = '\0';
	snprintf(text, sizeof(text), "executable file `%s` not found", name);

	int code = runtime_failure(RUNTIME_CREATE, name, text, &e);

	assert_int_equal(code, 127);
	assert_non_null(strstr(e.msg, ": no such file or directory: unknown"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_word_is_looked_for),
		cmocka_unit_test(a_path_says_what_is_wrong_with_it),
		cmocka_unit_test(directories_and_mounts_are_named),
		cmocka_unit_test(what_nobody_greps_for_is_kept),
		cmocka_unit_test(an_exec_has_its_own_front),
		cmocka_unit_test(what_is_too_long_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
