/* Which engine is meant: flags, environment, contexts; and ssh's words. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "http/client_ssh.h"
#include "http/client_tls.h"
#include "wherry/context_store.h"
#include "wherry/globals.h"

static void hosts_are_completed(void **state)
{
	static const char *const list[][2] = {
		{"unix:///a/b", "unix:///a/b"},
		{"unix://", "unix:///var/run/docker.sock"},
		{"10.0.0.1", "tcp://10.0.0.1:2375"},
		{"box:99", "tcp://box:99"},
		{"tcp://box", "tcp://box:2375"},
		{"tcp://[::1]", "tcp://[::1]:2375"},
		{":2375", "tcp://localhost:2375"},
		{"ssh://me@box", "ssh://me@box"},
	};
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		scoped(free) char *host = globals_host(list[i][0], false);
		assert_string_equal(host, list[i][1]);
	}
	scoped(free) char *tls = globals_host("tcp://box", true);
	assert_string_equal(tls, "tcp://box:2376");
}

static void ssh_gets_no_more_than_a_host(void **state)
{
	struct err e;
	scoped(strv) struct strv words = STRV_INIT;
	assert_int_equal(ssh_words("ssh://me@box:2222/run/x.sock", &words, &e), 0);
	const char *const want[] = {
		"ssh", "-T", "-o", "ConnectTimeout=30", "-l", "me", "-p", "2222", "--", "box"};
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		assert_string_equal(words.v[i], want[i]);
	}
	assert_non_null(strstr(words.v[10], "wherry -H unix:///run/x.sock system dial-stdio"));
	static const char *const wrong[] = {"ssh://", "ssh://-oProxyCommand=x",
		"ssh://me:secret@box", "ssh://box:x", "ssh://box/a;b", "ssh://box/a b",
		"ssh://$(x)", "ssh://-x@box", "http://box"};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		scoped(strv) struct strv none = STRV_INIT;
		if (ssh_words(wrong[i], &none, &e) == 0) {
			fail_msg("%s was accepted", wrong[i]);
		}
	}
}

/* As `docker context create box --docker host=tcp://10.0.0.9:2375` leaves it. */
static char *make_context(void)
{
	char *dir = xstrdup("/tmp/wherry-globals.XXXXXX");
	assert_non_null(mkdtemp(dir));
	static const char meta[] =
		"{\"Name\":\"box\",\"Metadata\":{\"Description\":\"a box\"},\"Endpoints\":{\"docker\":{\"Host\":\"tcp://10.0.0.9:2375\",\"SkipTLSVerify\":false}}}";
	scoped(free) char *below = docker_context_dir(dir, "box");
	scoped(free) char *file = xasprintf("%s/meta.json", below);
	assert_int_equal(path_mkdirs(below, 0700), 0);
	assert_int_equal(path_write(AT_FDCWD, file, meta, strlen(meta), 0600, false), 0);
	return dir;
}

static void remove_context(char *take_dir)
{
	path_remove_tree(AT_FDCWD, take_dir);
	free(take_dir);
}

static void assert_host(const char *dir, const char *config, char *const *words, const char *want)
{
	struct err e = {0};
	struct globals g = {0};
	char *argv[8] = {(char *)"wherry"};
	int argc = 1;
	while (words && words[argc - 1]) {
		argv[argc] = words[argc - 1];
		argc++;
	}
	argv[argc++] = (char *)"ps";
	char **rest = argv;
	scoped(json) json_t *doc = json_loads(config, 0, NULL);
	struct cli cli = {.config_dir = dir, .config = doc};
	assert_int_equal(globals_read(&g, &argc, &rest), -1);
	assert_string_equal(rest[0], "ps");
	const char *got = globals_choose_engine(&g, &cli, &e) < 0 ? e.msg : cli.host;
	if (strncmp(got, want, strlen(want)) != 0) {
		fail_msg("%s, want %s", got, want);
	}
	free((char *)cli.host);
	free(cli.headers);
	if (cli.tls) {
		tls_files_deinit(cli.tls);
		free(cli.tls);
	}
	globals_deinit(&g);
}

#define WORDS(...) ((char *const[]){__VA_ARGS__, NULL})

static void the_engine_is_chosen_as_docker_does(void **state)
{
	char *dir = make_context();
	unsetenv("WHERRY_HOST");
	unsetenv("DOCKER_HOST");
	unsetenv("DOCKER_CONTEXT");
	unsetenv("DOCKER_TLS_VERIFY");
	assert_host(dir, "{\"currentContext\":\"box\"}", NULL, "tcp://10.0.0.9:2375");
	assert_host(dir, "{\"currentContext\":\"box\"}", WORDS((char *)"-H", (char *)"unix:///x"),
		"unix:///x");
	assert_host(dir, "{}", WORDS((char *)"-c", (char *)"box"), "tcp://10.0.0.9:2375");
	assert_host(dir, "{}", WORDS((char *)"-c", (char *)"nope"),
		"context \"nope\": context not found: open ");
	assert_host(dir, "{}", WORDS((char *)"-c", (char *)"box", (char *)"-Hx"),
		"conflicting options: cannot specify both --host and --context");
	assert_host(
		dir, "{}", WORDS((char *)"-H", (char *)"a", (char *)"-Hb"), "Specify only one -H");
	setenv("DOCKER_CONTEXT", "box", 1);
	assert_host(dir, "{}", NULL, "tcp://10.0.0.9:2375");
	setenv("DOCKER_HOST", "unix:///env", 1);
	assert_host(dir, "{\"currentContext\":\"box\"}", NULL, "unix:///env");
	assert_host(dir, "{}", WORDS((char *)"--context", (char *)"box"), "tcp://10.0.0.9:2375");
	unsetenv("DOCKER_HOST");
	unsetenv("DOCKER_CONTEXT");
	assert_host(dir, "{}", WORDS((char *)"-Hbox", (char *)"--tls"), "tcp://box:2376");
	setenv("DOCKER_TLS_VERIFY", "1", 1);
	assert_host(dir, "{}", WORDS((char *)"-Hbox"), "tcp://box:2376");
	unsetenv("DOCKER_TLS_VERIFY");
	remove_context(dir);
}

static void headers_of_the_config_are_sent(void **state)
{
	struct err e;
	struct globals g = {0};
	scoped(json) json_t *doc = json_loads(
		"{\"HttpHeaders\":{\"X-Meta\":\"a\",\"Bad\":\"a\\r\\nb\",\"N\":3}}", 0, NULL);
	struct cli cli = {.config_dir = "/nonexistent", .config = doc};
	assert_int_equal(globals_choose_engine(&g, &cli, &e), 0);
	assert_string_equal(cli.headers, "X-Meta: a\r\n");
	free((char *)cli.host);
	free(cli.headers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_are_completed),
		cmocka_unit_test(ssh_gets_no_more_than_a_host),
		cmocka_unit_test(the_engine_is_chosen_as_docker_does),
		cmocka_unit_test(headers_of_the_config_are_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
