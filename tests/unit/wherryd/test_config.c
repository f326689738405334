#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "wherryd/config.h"

#define FILE_NAME "/tmp/wherry-config-test.json"

/* Reads a configuration from a file with that text (NULL: an absent default) and up to six flags.
 */
static int read_config(struct config *c, const char *text, struct err *e, ...)
{
	char *argv[12] = {"wherryd", "--config-file", FILE_NAME};
	int argc = 3;
	path_write(AT_FDCWD, FILE_NAME, text, strlen(text), 0600, false);
	va_list args;
	va_start(args, e);
	char *flag;
	while ((flag = va_arg(args, char *))) {
		argv[argc++] = flag;
	}
	va_end(args);
	int r = config_read(c, argc, argv, e);
	unlink(FILE_NAME);
	return r;
}

static void defaults_are_wherrys_own(void **state)
{
	struct config c;
	struct err e;

	assert_int_equal(read_config(&c, "{}", &e, NULL), 0);

	assert_string_equal(c.data_root, "/var/lib/wherry");
	assert_string_equal(c.hosts.v[0], "unix:///run/wherry/wherry.sock");
	assert_string_equal(c.pidfile, "/run/wherry/wherryd.pid");
	json_t *log = json_object_get(c.log_defaults, "Config");
	assert_string_equal(json_str(log, "max-size"), "10m");
	config_deinit(&c);
}

static void flags_and_file_add_up(void **state)
{
	struct config c;
	struct err e;
	const char *text =
		"{\"registry-mirrors\": [\"http://127.0.0.1:5000\"], \"log-opts\": {\"max-size\": \"1m\"}}";

	assert_int_equal(read_config(&c, text, &e, "-H", "unix:///tmp/a.sock",
				 "-Hunix:///tmp/b.sock", "--exec-root=/tmp/run/", "--debug", NULL),
		0);

	assert_int_equal(c.hosts.n, 2);
	assert_string_equal(c.hosts.v[1], "unix:///tmp/b.sock");
	assert_string_equal(c.exec_root, "/tmp/run");
	assert_string_equal(c.pidfile, "/tmp/run/wherryd.pid");
	assert_true(c.debug);
	assert_int_equal(json_array_size(json_object_get(c.registry, "registry-mirrors")), 1);
	assert_string_equal(json_str(json_object_get(c.log_defaults, "Config"), "max-size"), "1m");
	config_deinit(&c);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *file, *flag, *says;
	} cases[] = {
		{"{\"bridg\": \"x\"}", NULL, "unknown setting \"bridg\""},
		{"{\"debug\": \"yes\"}", NULL, "debug must be true or false"},
		{"{\"dns\": [1]}", NULL, "dns must be a list of strings"},
		{"{\"bridge\": \"a\"}", "--bridge=b", "\"bridge\" is also given as a flag"},
		{"{", NULL, "invalid JSON"},
		{"[]", NULL, "expected a JSON object"},
		{"{}", "--nonsense", "unknown flag: --nonsense"},
		{"{}", "stray", "unexpected argument: stray"},
		{"{}", "--log-opt=x", "expected KEY=VALUE"},
		{"{}", "--host=tcp://0.0.0.0:2375", "expected unix:///PATH"},
		{"{}", "--data-root=var", "must be absolute"},
		{"{}", "--log-driver=syslog", "not supported"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct config c;
		struct err e = {0};

		assert_int_equal(read_config(&c, cases[i].file, &e, cases[i].flag, NULL), -1);

		if (!strstr(e.msg, cases[i].says)) {
			fail_msg("'%s' does not say '%s'", e.msg, cases[i].says);
		}
		config_deinit(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_wherrys_own),
		cmocka_unit_test(flags_and_file_add_up),
		cmocka_unit_test(what_is_wrong_is_named),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
