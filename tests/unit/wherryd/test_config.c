#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

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
		{"{\"bridge\": \"a\"}", "--bridge=b",
			"specified both as a flag and in the configuration file: bridge: (from flag: \"b\", from file: \"a\")"},
		{"{", NULL, "invalid JSON"},
		{"[]", NULL, "expected a JSON object"},
		{"{}", "--nonsense", "unknown flag: --nonsense"},
		{"{}", "stray", "unexpected argument: stray"},
		{"{}", "--log-opt=x", "expected KEY=VALUE"},
		{"{}", "--host=tcp://0.0.0.0:2375", "TCP would give root to the network"},
		{"{}", "--host=npipe://x", "expected unix:///PATH or fd://"},
		{"{\"userns-remap\": \"default\"}", NULL,
			"userns-remap cannot be used: user namespaces"},
		{"{\"tlsverify\": true}", NULL,
			"tlsverify cannot be used: the daemon listens on unix"},
		{"{\"max-concurrent-downloads\": \"x\"}", NULL,
			"max-concurrent-downloads must be a number"},
		{"{}", "--max-concurrent-downloads=0", "max-concurrent-downloads must be over 0"},
		{"{\"labels\": [\"a\"]}", NULL, "bad attribute format: a"},
		{"{\"labels\": [\"a=1\", \"a=2\"]}", NULL, "conflict labels for a"},
		{"{\"default-ipc-mode\": \"host\"}", NULL, "it is private or shareable"},
		{"{\"storage-driver\": \"btrfs\"}", NULL, "kept with overlayfs"},
		{"{\"exec-opts\": [\"native.cgroupdriver=systemd\"]}", NULL,
			"native.cgroupdriver=cgroupfs"},
		{"{\"default-shm-size\": \"big\"}", NULL, "default-shm-size must be a size"},
		{"{\"default-ulimits\": {\"nofile\": 5}}", NULL, "nofile must be {"},
		{"{\"default-ulimits\": {\"nofile\": {\"Hard\": 1, \"Soft\": 2}}}", NULL,
			"over the hard limit"},
		{"{\"proxies\": {\"ftp\": \"x\"}}", NULL, "proxies: unknown setting \"ftp\""},
		{"{\"log-level\": \"loud\"}", NULL, "log-level: it is debug"},
		{"{}", "--default-ulimit=nofile", "expected NAME=SOFT[:HARD]"},
		{"{}", "--selinux-enabled", "selinux-enabled cannot be used"},
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

/* Every key of dockerd 26.1.5's daemon.json, with the value it has there by default. */
static void a_daemon_json_of_dockerd_can_be_kept(void **state)
{
	static const char text[] =
		"{\"allow-nondistributable-artifacts\": [], \"api-cors-header\": \"\", \"authorization-plugins\": [],"
		"\"bridge\": \"\", \"builder\": {\"gc\": {\"enabled\": true}}, \"cgroup-parent\": \"\","
		"\"containerd\": \"/run/containerd/containerd.sock\", \"containerd-namespace\": \"docker\","
		"\"containerd-plugin-namespace\": \"docker-plugins\", \"data-root\": \"\", \"debug\": true,"
		"\"default-address-pools\": [{\"base\": \"172.30.0.0/16\", \"size\": 24}],"
		"\"default-cgroupns-mode\": \"private\", \"default-ipc-mode\": \"private\","
		"\"default-shm-size\": \"64M\", \"default-ulimits\": {\"nofile\": {\"Hard\": 64000, \"Name\": "
		"\"nofile\", \"Soft\": 64000}}, \"dns\": [], \"dns-opts\": [], \"dns-search\": [], \"exec-opts\": [],"
		"\"exec-root\": \"\", \"experimental\": false, \"features\": {}, \"group\": \"\", \"hosts\": [],"
		"\"proxies\": {\"http-proxy\": \"http://p:80\", \"https-proxy\": \"https://p:443\", \"no-proxy\": "
		"\"*.lan\"}, \"init\": false, \"insecure-registries\": [], \"labels\": [], \"live-restore\": true,"
		"\"log-driver\": \"json-file\", \"log-format\": \"text\", \"log-level\": \"\", \"log-opts\": "
		"{\"max-size\": \"10m\"}, \"max-concurrent-downloads\": 3, \"max-concurrent-uploads\": 5,"
		"\"max-download-attempts\": 5, \"network-control-plane-mtu\": 1500, \"no-new-privileges\": false,"
		"\"node-generic-resources\": [], \"pidfile\": \"\", \"raw-logs\": false, \"registry-mirrors\": [],"
		"\"seccomp-profile\": \"\", \"selinux-enabled\": false, \"shutdown-timeout\": 15, \"storage-driver\": "
		"\"\", \"storage-opts\": [], \"swarm-default-advertise-addr\": \"\", \"tls\": false, \"tlscacert\": \"\","
		"\"tlscert\": \"\", \"tlskey\": \"\", \"tlsverify\": false, \"userland-proxy\": false,"
		"\"userland-proxy-path\": \"/usr/libexec/docker-proxy\", \"userns-remap\": \"\"}";
	struct config c;
	struct err e;

	int r = read_config(&c, text, &e, NULL);

	if (r < 0) {
		fail_msg("%s", e.msg);
	}
	config_deinit(&c);
}

static void an_empty_file_is_no_settings(void **state)
{
	struct config c;
	struct err e;

	assert_int_equal(read_config(&c, " \n", &e, NULL), 0);

	config_deinit(&c);
}

static void an_ulimit_of_a_flag_is_as_one_of_the_file(void **state)
{
	struct config c;
	struct err e;

	assert_int_equal(read_config(&c, "{}", &e, "--default-ulimit=nofile=1024:2048",
				 "--default-ulimit", "nproc=5", NULL),
		0);

	const json_t *limits = json_object_get(c.merged, "default-ulimits");
	assert_int_equal(json_i64(json_object_get(limits, "nofile"), "Soft", 0), 1024);
	assert_int_equal(json_i64(json_object_get(limits, "nofile"), "Hard", 0), 2048);
	assert_int_equal(json_i64(json_object_get(limits, "nproc"), "Hard", 0), 5);
	config_deinit(&c);
}

#define KEY_NAME "/tmp/wherry-config-test.pub"
#define KEY_TEXT                                                             \
	"-----BEGIN PUBLIC KEY-----\n"                                       \
	"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n" \
	"-----END PUBLIC KEY-----\n"

static void repositories_of_a_policy_are_whole_names(void **state)
{
	static const char *const names[][2] = {{"nginx", "docker.io/library/nginx"},
		{"ngin*", "docker.io/library/ngin*"}, {"me/*", "docker.io/me/*"}, {"*", "*"},
		{"index.docker.io/me/a*", "docker.io/me/a*"},
		{"registry.example/app*", "registry.example/app*"},
		{"127.0.0.1:5000/*", "127.0.0.1:5000/*"}, {"r.example/a/b", "r.example/a/b"},
		{"r.example/a:1", NULL}, {"r.example*", NULL}, {"a*b", NULL}, {"", NULL},
		{"a/B", NULL}, {"r.example/a**", NULL}};
	path_write(AT_FDCWD, KEY_NAME, KEY_TEXT, strlen(KEY_TEXT), 0600, false);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct config c;
		struct err e;
		scoped(free) char *text = xasprintf(
			"{\"image-signatures\": [{\"repository\": \"%s\", \"keys\": [\"" KEY_NAME
			"\"]}]}",
			names[i][0]);
		int r = read_config(&c, text, &e, NULL);
		assert_int_equal(r, names[i][1] ? 0 : -1);
		if (r == 0) {
			const json_t *rule =
				json_array_get(json_object_get(c.registry, "image-signatures"), 0);
			assert_string_equal(json_str(rule, "repository"), names[i][1]);
			assert_true(json_bool(rule, "enforce"));
			const json_t *key = json_array_get(json_object_get(rule, "keys"), 0);
			assert_int_equal(strlen(json_str(key, "id")), 71);
			assert_string_equal(json_str(key, "pem"), KEY_TEXT);
		}
		config_deinit(&c);
	}
	unlink(KEY_NAME);
}

int main(void)
{
	/* the files have fixed names, and somebody else may run this program just now */
	int lock = open("/tmp/wherry-config-test.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) < 0) {
		return 1;
	}
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_wherrys_own),
		cmocka_unit_test(flags_and_file_add_up),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(a_daemon_json_of_dockerd_can_be_kept),
		cmocka_unit_test(an_empty_file_is_no_settings),
		cmocka_unit_test(an_ulimit_of_a_flag_is_as_one_of_the_file),
		cmocka_unit_test(repositories_of_a_policy_are_whole_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
