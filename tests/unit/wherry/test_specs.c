/* The small languages of run's flags. Expected values are what docker CLI 28 sends for the same
 * flags. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/run_options.h"
#include "wherry/spec_check.h"
#include "wherry/specs.h"

static void assert_doc(const json_t *got, const char *want)
{
	struct err e;
	scoped(json) json_t *expected = json_parse(want, strlen(want), "the expectation", &e);
	scoped(free) char *text = json_dumps(got, JSON_COMPACT);
	assert_non_null(expected);
	if (!json_equal(got, expected)) {
		fail_msg("got %s, want %s", text, want);
	}
}

static void assert_bindings(const char *spec, const char *want)
{
	struct err e;
	scoped(json) json_t *exposed = json_object();
	scoped(json) json_t *bindings = json_object();
	assert_int_equal(spec_port(spec, exposed, bindings, &e), 0);
	assert_int_equal(json_object_size(exposed), json_object_size(bindings));
	assert_doc(bindings, want);
}

static void assert_port_refused(const char *spec, const char *message)
{
	struct err e;
	scoped(json) json_t *exposed = json_object();
	scoped(json) json_t *bindings = json_object();
	assert_int_equal(spec_port(spec, exposed, bindings, &e), -1);
	assert_string_equal(e.msg, message);
}

static void ports_are_published(void **state)
{
	assert_bindings("80", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"\"}]}");
	assert_bindings("8080:80", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}]}");
	assert_bindings("53:53/UDP", "{\"53/udp\":[{\"HostIp\":\"\",\"HostPort\":\"53\"}]}");
	assert_bindings("127.0.0.1:8080:80",
		"{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"8080\"}]}");
	assert_bindings(
		"127.0.0.1::80", "{\"80/tcp\":[{\"HostIp\":\"127.0.0.1\",\"HostPort\":\"\"}]}");
	assert_bindings(
		"[::1]:8080:80", "{\"80/tcp\":[{\"HostIp\":\"::1\",\"HostPort\":\"8080\"}]}");
	assert_bindings("8000-8001:80-81", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8000\"}],"
					   "\"81/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8001\"}]}");
	assert_bindings(
		"8000-8010:80", "{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"8000-8010\"}]}");
	assert_bindings("target=80,published=8080,protocol=udp",
		"{\"80/udp\":[{\"HostIp\":\"\",\"HostPort\":\"8080\"}]}");
}

static void one_port_can_be_published_twice(void **state)
{
	struct err e;
	scoped(json) json_t *exposed = json_object();
	scoped(json) json_t *bindings = json_object();

	assert_int_equal(spec_port("80:80", exposed, bindings, &e), 0);
	assert_int_equal(spec_port("81:80", exposed, bindings, &e), 0);

	assert_doc(bindings,
		"{\"80/tcp\":[{\"HostIp\":\"\",\"HostPort\":\"80\"},{\"HostIp\":\"\",\"HostPort\":\"81\"}]}");
}

static void wrong_ports_are_refused_in_dockers_words(void **state)
{
	assert_port_refused("foo", "invalid containerPort: foo");
	assert_port_refused("70000:80", "invalid hostPort: 70000");
	assert_port_refused("80:80/icmp", "invalid proto: icmp");
	assert_port_refused("80:", "no port specified: 80:<empty>");
	assert_port_refused(
		"1-2:1-3", "invalid ranges specified for container and host Ports: 1-3 and 1-2");
	assert_port_refused("90-80", "invalid containerPort: 90-80");
	assert_port_refused("-1", "invalid containerPort: -1");
}

static void ports_are_exposed_without_bindings(void **state)
{
	struct err e;
	scoped(json) json_t *exposed = json_object();
	assert_int_equal(spec_expose("80-81/udp", exposed, &e), 0);
	assert_int_equal(spec_expose("22", exposed, &e), 0);
	assert_doc(exposed, "{\"80/udp\":{},\"81/udp\":{},\"22/tcp\":{}}");
	assert_int_equal(spec_expose("1:2", exposed, &e), -1);
	assert_string_equal(e.msg, "invalid port format for --expose: 1:2");
}

static void volumes_are_binds_or_anonymous(void **state)
{
	struct err e;
	char cwd[4096];
	scoped(json) json_t *volumes = json_object();
	scoped(json) json_t *binds = json_array();
	assert_non_null(getcwd(cwd, sizeof(cwd)));

	assert_int_equal(spec_volume("/data", volumes, binds, &e), 0);
	assert_int_equal(spec_volume("name:/a:ro", volumes, binds, &e), 0);
	assert_int_equal(spec_volume("./x:/b", volumes, binds, &e), 0);

	scoped(free) char *want = xasprintf("[\"name:/a:ro\",\"%s/x:/b\"]", cwd);
	assert_doc(volumes, "{\"/data\":{}}");
	assert_doc(binds, want);
	assert_int_equal(spec_volume("a:", volumes, binds, &e), -1);
	assert_int_equal(spec_volume(":/a", volumes, binds, &e), -1);
}

static void assert_mount(const char *spec, const char *want)
{
	struct err e;
	scoped(json) json_t *mount = spec_mount(spec, &e);
	if (!mount) {
		fail_msg("%s: %s", spec, e.msg);
	}
	assert_doc(mount, want);
}

static void mounts_have_options_of_their_type(void **state)
{
	assert_mount("type=bind,src=/a,dst=/b,readonly,bind-propagation=rslave",
		"{\"Type\":\"bind\",\"Source\":\"/a\",\"Target\":\"/b\",\"ReadOnly\":true,"
		"\"BindOptions\":{\"Propagation\":\"rslave\"}}");
	assert_mount("source=v,target=/b,volume-nocopy=true,volume-opt=type=nfs,volume-label=a=b",
		"{\"Type\":\"volume\",\"Source\":\"v\",\"Target\":\"/b\",\"VolumeOptions\":{\"NoCopy\":true,"
		"\"DriverConfig\":{\"Options\":{\"type\":\"nfs\"}},\"Labels\":{\"a\":\"b\"}}}");
	assert_mount("type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1770",
		"{\"Type\":\"tmpfs\",\"Target\":\"/t\",\"TmpfsOptions\":{\"SizeBytes\":1048576,\"Mode\":1016}}");
	assert_mount("type=volume,\"volume-opt=o=addr=1,rw\",src=v,dst=/b,ro=0",
		"{\"Type\":\"volume\",\"VolumeOptions\":{\"DriverConfig\":{\"Options\":{\"o\":\"addr=1,rw\"}}},"
		"\"Source\":\"v\",\"Target\":\"/b\",\"ReadOnly\":false}");
}

static void wrong_mounts_are_refused(void **state)
{
	static const char *const specs[][2] = {
		{"type=bind,src=/a", "target is required"},
		{"type=bind,src=/a,dst=/b,volume-nocopy",
			"cannot mix 'volume-*' options with mount type 'bind'"},
		{"src", "invalid field 'src' must be a key=value pair"},
		{"type=tmpfs,dst=/a,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"},
		{"dst=/a,nope=1", "unexpected key 'nope' in 'nope=1'"},
		{"dst=/a,readonly=maybe", "invalid value for readonly: maybe"},
	};
	for (size_t i = 0; i < sizeof(specs) / sizeof(*specs); i++) {
		struct err e;
		assert_null(spec_mount(specs[i][0], &e));
		assert_string_equal(e.msg, specs[i][1]);
	}
}

/* Each as docker 28.2.2 refuses it, or NULL: it takes it. */
static void values_are_checked_when_flags_are_read(void **state)
{
	static const struct {
		int (*check)(const char *, struct err *);
		const char *value, *error;
	} list[] = {
		{check_env, "=x", "invalid environment variable: =x"},
		{check_env, "A", NULL},
		{check_label, "=x", "invalid label '=x': empty name"},
		{check_dns, "x", "IP address is not correctly formatted: x"},
		{check_dns, "::1", NULL},
		{check_domain, "x y", "x y is not a valid domain"},
		{check_domain, "a-b.example.", NULL},
		{check_domain, ".", NULL},
		{check_link, "a:b:c", "bad format for links: a:b:c"},
		{check_mac, "x", "x is not a valid mac address"},
		{check_mac, "92:d0:c6:0a:29:33", NULL},
		{check_sysctl, "x", "sysctl 'x' is not allowed"},
		{check_sysctl, "net.ipv4.ip_forward=1", NULL},
		{check_sysctl, "kernel.msgmaxx=1", "sysctl 'kernel.msgmaxx=1' is not allowed"},
		{check_device_rule, "foo", "invalid device cgroup format 'foo'"},
		{check_device_rule, "c 1:* rwm", NULL},
		{check_device_rule, "c 1:3", "invalid device cgroup format 'c 1:3'"},
		{check_platform, "x",
			"error parsing specified platform: \"x\": unknown operating system or architecture: invalid argument"},
		{check_platform, "linux/arm/v7", NULL},
		{check_attach, "foo", "valid streams are STDIN, STDOUT and STDERR"},
		{check_add_host, "x:", "invalid IP address in add-host: \"\""},
		{check_add_host, "x:host-gateway", NULL},
		{check_bytes_rate, "x", "bad format: x"},
		{check_bytes_rate, "/dev/null:1mb", NULL},
		{check_iops_rate, "/dev/null:x",
			"invalid rate for device: /dev/null:x. The correct format is <device-path>:<number>. Number must be a positive integer"},
		{check_weight, "/dev/null:5", "invalid weight for device: /dev/null:5"},
		{check_ulimit, "nofile=1:x", "strconv.ParseInt: parsing \"x\": invalid syntax"},
		{check_mount, "type=volume", "target is required"},
		{check_network, "name=a,foo=x", "invalid field key foo"},
		{check_gpus, "x",
			"invalid count (x): value must be either \"all\" or an integer: invalid syntax"},
	};
	for (size_t i = 0; i < sizeof(list) / sizeof(*list); i++) {
		struct err e = {0};
		int r = list[i].check(list[i].value, &e);
		assert_int_equal(r, list[i].error ? -1 : 0);
		assert_string_equal(e.msg, list[i].error ? list[i].error : "");
	}
}

static void graphics_cards_are_requests(void **state)
{
	struct err e;
	scoped(json) json_t *all = spec_gpus("all", &e);
	assert_doc(all,
		"{\"Driver\":\"\",\"Count\":-1,\"DeviceIDs\":[],\"Capabilities\":[[\"gpu\"]],\"Options\":{}}");
	scoped(json) json_t *some = spec_gpus("\"device=0,1\",capabilities=compute", &e);
	assert_doc(some,
		"{\"Driver\":\"\",\"Count\":0,\"DeviceIDs\":[\"0\",\"1\"],\"Capabilities\":[[\"gpu\",\"compute\"]],\"Options\":{}}");
}

static void assert_device(
	const char *text, const char *host, const char *inside, const char *access)
{
	struct err e;
	scoped(json) json_t *o = spec_device(text, &e);
	assert_non_null(o);
	assert_string_equal(json_str(o, "PathOnHost"), host);
	assert_string_equal(json_str(o, "PathInContainer"), inside);
	assert_string_equal(json_str(o, "CgroupPermissions"), access);
}

static void colons_in_udevd_s_names_belong_to_them(void **state)
{
	struct err e;
#define PORT "/dev/serial/by-path/pci-0000:00:14.0-usb-0:2:1.0-port0"
	assert_device(PORT, PORT, PORT, "rwm");
	assert_device(PORT ":rw", PORT, PORT, "rw");
	assert_device(PORT ":/dev/zigbee", PORT, "/dev/zigbee", "rwm");
	assert_device(PORT ":/dev/zigbee:r", PORT, "/dev/zigbee", "r");
	assert_null(spec_device(PORT ":/dev/zigbee:x", &e));
#undef PORT
#define ESP "/dev/serial/by-id/usb-Espressif_USB_JTAG_serial_debug_unit_F4:12:FA:E2:73:AC-if00"
	assert_device(ESP, ESP, ESP, "rwm");
	assert_device(ESP ":/dev/ttyACM0", ESP, "/dev/ttyACM0", "rwm");
#undef ESP
	assert_device("/dev/serial/by-id/a:/dev/b:r", "/dev/serial/by-id/a", "/dev/b", "r");
}

static void devices_limits_and_policies(void **state)
{
	struct err e;
	scoped(json) json_t *plain = spec_device("/dev/a", &e);
	scoped(json) json_t *full = spec_device("/dev/a:/dev/b:r", &e);
	scoped(json) json_t *rights = spec_device("/dev/a:rw", &e);
	scoped(json) json_t *limit = spec_ulimit("nofile=10:20", &e);
	scoped(json) json_t *single = spec_ulimit("core=-1", &e);
	scoped(json) json_t *policy = spec_restart("on-failure:3", &e);
	assert_doc(plain,
		"{\"PathOnHost\":\"/dev/a\",\"PathInContainer\":\"/dev/a\",\"CgroupPermissions\":\"rwm\"}");
	assert_doc(full,
		"{\"PathOnHost\":\"/dev/a\",\"PathInContainer\":\"/dev/b\",\"CgroupPermissions\":\"r\"}");
	assert_doc(rights,
		"{\"PathOnHost\":\"/dev/a\",\"PathInContainer\":\"/dev/a\",\"CgroupPermissions\":\"rw\"}");
	assert_doc(limit, "{\"Name\":\"nofile\",\"Hard\":20,\"Soft\":10}");
	assert_doc(single, "{\"Name\":\"core\",\"Hard\":-1,\"Soft\":-1}");
	assert_doc(policy, "{\"Name\":\"on-failure\",\"MaximumRetryCount\":3}");
	assert_null(spec_ulimit("nofile=30:20", &e));
	assert_null(spec_ulimit("nope=1", &e));
	assert_string_equal(e.msg, "invalid ulimit type: nope");
	assert_null(spec_restart("on-failure:x", &e));
	assert_string_equal(
		e.msg, "invalid restart policy format: maximum retry count must be an integer");
	assert_null(spec_device("/dev/a:/dev/b:x", &e));
	assert_null(spec_device("nvidia.com/gpu=0", &e));
	assert_non_null(strstr(e.msg, "CDI devices are not supported: nvidia.com/gpu=0"));
	assert_null(spec_device("dev/a", &e));
	assert_non_null(strstr(e.msg, "is not an absolute path"));
}

static void networks_have_names_and_settings(void **state)
{
	struct err e;
	char *name = NULL;
	json_t *endpoint = NULL;
	assert_int_equal(spec_network("name=n,alias=a,alias=b,ip=10.0.0.2,driver-opt=k=v", &name,
				 &endpoint, &e),
		0);
	assert_string_equal(name, "n");
	assert_doc(endpoint,
		"{\"Aliases\":[\"a\",\"b\"],\"IPAMConfig\":{\"IPv4Address\":\"10.0.0.2\"},"
		"\"DriverOpts\":{\"k\":\"v\"}}");
	free(name);
	json_decref(endpoint);
	assert_int_equal(spec_network("alias=a", &name, &endpoint, &e), -1);
	assert_int_equal(spec_network("name=a,what=b", &name, &endpoint, &e), -1);
}

static void hosts_are_added(void **state)
{
	struct err e;
	scoped(free) char *plain = spec_add_host("db:10.0.0.1", &e);
	scoped(free) char *equal = spec_add_host("db=[::1]", &e);
	scoped(free) char *six = spec_add_host("db:::1", &e);
	assert_string_equal(plain, "db:10.0.0.1");
	assert_string_equal(equal, "db:::1");
	assert_string_equal(six, "db:::1");
	assert_null(spec_add_host("db", &e));
}

static void environment_comes_from_flags_and_from_us(void **state)
{
	struct err e;
	scoped(strv) struct strv env = STRV_INIT;
	setenv("WHERRY_TEST_OWN", "mine", 1);
	unsetenv("WHERRY_TEST_NONE");

	assert_int_equal(spec_env("A=b=c", &env, &e), 0);
	assert_int_equal(spec_env("E=", &env, &e), 0);
	assert_int_equal(spec_env("WHERRY_TEST_OWN", &env, &e), 0);
	assert_int_equal(spec_env("WHERRY_TEST_NONE", &env, &e), 0);

	assert_int_equal(env.n, 4);
	assert_string_equal(env.v[0], "A=b=c");
	assert_string_equal(env.v[1], "E=");
	assert_string_equal(env.v[2], "WHERRY_TEST_OWN=mine");
	assert_string_equal(env.v[3], "WHERRY_TEST_NONE");
	assert_int_equal(spec_env("=x", &env, &e), -1);
}

static int read_env_text(const char *text, struct strv *env, struct err *e)
{
	char path[] = "/tmp/wherry-env-XXXXXX";
	int fd = mkstemp(path);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	int r = spec_env_file(path, env, e);
	unlink(path);
	return r;
}

static void environment_files_have_comments_and_bare_names(void **state)
{
	struct err e;
	scoped(strv) struct strv env = STRV_INIT;
	setenv("WHERRY_TEST_OWN", "mine", 1);
	unsetenv("WHERRY_TEST_NONE");

	int r = read_env_text(
		"\xef\xbb\xbf# comment\n\n  A= b \r\nWHERRY_TEST_OWN\nWHERRY_TEST_NONE\nQ=\"x\"\n",
		&env, &e);

	assert_int_equal(r, 0);
	assert_int_equal(env.n, 3);
	assert_string_equal(env.v[0], "A= b "); /* nothing is stripped or unquoted in a value */
	assert_string_equal(env.v[1], "WHERRY_TEST_OWN=mine");
	assert_string_equal(env.v[2], "Q=\"x\"");
	assert_int_equal(read_env_text("A B=c\n", &env, &e), -1);
	assert_non_null(strstr(e.msg, "contains whitespaces"));
	assert_int_equal(read_env_text("=c\n", &env, &e), -1);
}

/* The body for a command line: argv[0] is the command, as the flags module wants it. */
static json_t *body_of(int argc, char **argv, struct err *e)
{
	struct run_options o;
	struct flag flags[RUN_FLAGS_MAX];
	const struct syntax s = {"run", "IMAGE", "", 1, -1, true};
	run_options_init(&o);
	run_flags(&o, true, flags);
	assert_int_equal(flags_parse(&s, flags, &argc, argv), -1);
	json_t *body = run_body(&o, argv + 1, e);
	run_options_deinit(&o);
	return body;
}

#define BODY(e, ...)                                                               \
	({                                                                         \
		char *words_[] = {(char *)"run", __VA_ARGS__, NULL};               \
		body_of((int)(sizeof(words_) / sizeof(*words_)) - 1, words_, (e)); \
	})

static void flags_after_the_image_belong_to_the_command(void **state)
{
	struct err e;
	scoped(json) json_t *body = BODY(&e, "-d", "img", "ls", "-l", "--rm");
	assert_string_equal(json_str(body, "Image"), "img");
	assert_doc(json_object_get(body, "Cmd"), "[\"ls\",\"-l\",\"--rm\"]");
	assert_false(json_bool(json_object_get(body, "HostConfig"), "AutoRemove"));
	assert_null(json_object_get(body, "Entrypoint"));
}

static void streams_are_attached_unless_detached(void **state)
{
	struct err e;
	scoped(json) json_t *attached = BODY(&e, "-it", "img");
	scoped(json) json_t *detached = BODY(&e, "-d", "-i", "img");
	scoped(json) json_t *chosen = BODY(&e, "-a", "stderr", "img");
	assert_true(json_bool(attached, "AttachStdin") && json_bool(attached, "AttachStdout"));
	assert_true(json_bool(attached, "StdinOnce") && json_bool(attached, "OpenStdin") &&
		    json_bool(attached, "Tty"));
	assert_false(json_bool(detached, "AttachStdin") || json_bool(detached, "AttachStdout"));
	assert_true(json_bool(detached, "OpenStdin"));
	assert_false(json_bool(detached, "StdinOnce"));
	assert_true(json_bool(chosen, "AttachStderr"));
	assert_false(json_bool(chosen, "AttachStdout"));
}

static void resources_become_numbers(void **state)
{
	struct err e;
	scoped(json) json_t *body = BODY(&e, "-m", "64m", "--cpus", "1.5", "--pids-limit", "10",
		"--shm-size=1g", "--oom-score-adj", "-500", "--memory-swap", "-1", "img");
	const json_t *host = json_object_get(body, "HostConfig");
	assert_int_equal(json_i64(host, "Memory", 0), 64 << 20);
	assert_int_equal(json_i64(host, "NanoCpus", 0), 1500000000);
	assert_int_equal(json_i64(host, "PidsLimit", 0), 10);
	assert_int_equal(json_i64(host, "ShmSize", 0), 1 << 30);
	assert_int_equal(json_i64(host, "OomScoreAdj", 0), -500);
	assert_int_equal(json_i64(host, "MemorySwap", 0), -1);
	assert_null(json_object_get(host, "MemorySwappiness"));
}

static void health_checks_are_set_or_switched_off(void **state)
{
	struct err e;
	scoped(json) json_t *set = BODY(&e, "--health-cmd", "true", "--health-interval", "1m30s",
		"--health-retries=2", "img");
	scoped(json) json_t *off = BODY(&e, "--no-healthcheck", "img");
	scoped(json) json_t *kept = BODY(&e, "img");
	assert_doc(json_object_get(set, "Healthcheck"),
		"{\"Test\":[\"CMD-SHELL\",\"true\"],\"Interval\":90000000000,\"Timeout\":0,\"StartPeriod\":0,"
		"\"StartInterval\":0,\"Retries\":2}");
	assert_doc(json_object_get(off, "Healthcheck"), "{\"Test\":[\"NONE\"]}");
	assert_null(json_object_get(kept, "Healthcheck"));
	assert_null(BODY(&e, "--no-healthcheck", "--health-cmd", "x", "img"));
	assert_string_equal(e.msg, "--no-healthcheck conflicts with --health-* options");
}

static void the_first_network_has_address_and_aliases(void **state)
{
	struct err e;
	scoped(json) json_t *body = BODY(&e, "--network", "n", "--ip", "10.0.0.9",
		"--network-alias", "web", "--network", "name=m,alias=x", "img");
	scoped(json) json_t *host = BODY(&e, "--net", "host", "img");
	assert_string_equal(json_str(json_object_get(body, "HostConfig"), "NetworkMode"), "n");
	assert_doc(json_object_get(json_object_get(body, "NetworkingConfig"), "EndpointsConfig"),
		"{\"n\":{\"IPAMConfig\":{\"IPv4Address\":\"10.0.0.9\"},\"Aliases\":[\"web\"]},\"m\":{\"Aliases\":[\"x\"]}}");
	assert_string_equal(json_str(json_object_get(host, "HostConfig"), "NetworkMode"), "host");
	assert_doc(json_object_get(json_object_get(host, "NetworkingConfig"), "EndpointsConfig"),
		"{}");
	assert_null(BODY(&e, "--network", "n", "--network", "n", "img"));
}

static void conflicts_are_said(void **state)
{
	struct err e;
	assert_null(BODY(&e, "--rm", "--restart", "always", "img"));
	assert_string_equal(e.msg, "conflicting options: cannot specify both --restart and --rm");
	assert_null(BODY(&e, "--security-opt", "nonsense", "img"));
	assert_null(BODY(&e, "--security-opt", "seccomp=/nonexistent/profile", "img"));
}

static void security_options_are_passed_on(void **state)
{
	struct err e;
	scoped(json) json_t *body =
		BODY(&e, "--security-opt", "no-new-privileges", "--security-opt",
			"seccomp=unconfined", "--security-opt", "systempaths=unconfined", "img");
	const json_t *host = json_object_get(body, "HostConfig");
	assert_doc(json_object_get(host, "SecurityOpt"),
		"[\"no-new-privileges\",\"seccomp=unconfined\"]");
	assert_doc(json_object_get(host, "MaskedPaths"), "[]");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_are_published),
		cmocka_unit_test(one_port_can_be_published_twice),
		cmocka_unit_test(wrong_ports_are_refused_in_dockers_words),
		cmocka_unit_test(ports_are_exposed_without_bindings),
		cmocka_unit_test(volumes_are_binds_or_anonymous),
		cmocka_unit_test(mounts_have_options_of_their_type),
		cmocka_unit_test(wrong_mounts_are_refused),
		cmocka_unit_test(values_are_checked_when_flags_are_read),
		cmocka_unit_test(graphics_cards_are_requests),
		cmocka_unit_test(colons_in_udevd_s_names_belong_to_them),
		cmocka_unit_test(devices_limits_and_policies),
		cmocka_unit_test(networks_have_names_and_settings),
		cmocka_unit_test(hosts_are_added),
		cmocka_unit_test(environment_comes_from_flags_and_from_us),
		cmocka_unit_test(environment_files_have_comments_and_bare_names),
		cmocka_unit_test(flags_after_the_image_belong_to_the_command),
		cmocka_unit_test(streams_are_attached_unless_detached),
		cmocka_unit_test(resources_become_numbers),
		cmocka_unit_test(health_checks_are_set_or_switched_off),
		cmocka_unit_test(the_first_network_has_address_and_aliases),
		cmocka_unit_test(conflicts_are_said),
		cmocka_unit_test(security_options_are_passed_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
