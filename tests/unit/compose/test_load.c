/* The loader as a whole: compose files in, the typed project out. */
#include "files.h"

#include "base/mem.h"
#include "base/text.h"
#include "compose/emit.h"

#define HTTP "services:\n  a:\n    image: x\n    x-wherry: {http: "
#define NET_VOLUME "services: {a: {image: x, volumes: ['v:/v']}}\nvolumes:\n  v:\n"

/* ---- errors ---- */

static void errors_name_file_line_column_and_what_was_expected(void **state)
{
	static const char *const cases[][2] = {
		{"services:\n  a:\n    imgae: x\n",
			"compose.yaml:3:5: unknown key \"imgae\" in services.a: did you mean \"image\"?"},
		{"servces: {}\n",
			"compose.yaml:1:1: unknown key \"servces\" in the file: did you mean \"services\"?"},
		{"services:\n  a:\n    zzzzzzzz: 1\n",
			"compose.yaml:3:5: unknown key \"zzzzzzzz\" in services.a: expected one of image, build"},
		{"services:\n  a:\n    image: 123\n",
			"compose.yaml:3:12: services.a.image must be a string, not a number: write \"123\""},
		{"services:\n  a:\n    image: x\n    command: [sleep, 10]\n",
			"compose.yaml:4:22: services.a.command[1] must be a string"},
		{"services:\n  a:\n    image: x\n    privileged: maybe\n",
			"compose.yaml:4:17: services.a.privileged must be true or false, not a string"},
		{"services:\n  a:\n    image: x\n    stop_grace_period: 10\n",
			"compose.yaml:4:24: services.a.stop_grace_period must be a string"},
		{"services:\n  a:\n    image: x\n    stop_grace_period: 10q\n",
			"is not a duration; one like 1m30s"},
		{"services:\n  a:\n    image: x\n    mem_limit: lots\n",
			"compose.yaml:4:16: services.a.mem_limit: \"lots\" is not a size"},
		{"services:\n  a:\n    image: x\n    ports: ['x:80']\n",
			"compose.yaml:4:13: port \"x:80\": the host port is not a number"},
		{"services:\n  a:\n    image: x\n    ports: ['1.2.3:80:80']\n",
			"the address is not an IP"},
		{"services:\n  a:\n    image: x\n    ports: ['80/xyz']\n",
			"the protocol is none of tcp, udp, sctp"},
		{"services:\n  a:\n    image: x\n    ports: ['80-90:80-85']\n",
			"the two ranges have different lengths"},
		{"services:\n  a:\n    image: x\n    ports: [1.5]\n", "compose.yaml:4:13:"},
		{"services:\n  a:\n    image: x\n    volumes: ['a:b:c:d']\n",
			"compose.yaml:4:15: volume \"a:b:c:d\": too many colons"},
		{"services:\n  a:\n    image: x\n    volumes: ['data:/data']\n",
			"compose.yaml:4:15: service \"a\" refers to undefined volume \"data\""},
		{"services:\n  a:\n    image: x\n    networks: [front]\n",
			"compose.yaml:4:16: service \"a\" refers to undefined network \"front\""},
		{"services:\n  a:\n    image: x\n    secrets: [s]\n",
			"refers to undefined secret \"s\""},
		{"services:\n  a:\n    image: x\n    depends_on: [b]\n",
			"compose.yaml:4:18: service \"a\" depends on the undefined service \"b\""},
		{"services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [a]}\n",
			"compose.yaml:3:30: dependency cycle detected: a -> b (compose.yaml:2:30) -> a (compose.yaml:3:30)"},
		{"services:\n  z: {image: x, depends_on: [a]}\n  a: {image: x, links: [b]}\n  b: {image: x, network_mode: 'service:c'}\n  c: {image: x, volumes_from: [a]}\n",
			"compose.yaml:5:32: dependency cycle detected: a -> b (compose.yaml:3:25) -> c (compose.yaml:4:31) -> a (compose.yaml:5:32)"},
		{"services:\n  a: {image: x, depends_on: [a]}\n",
			"compose.yaml:2:30: dependency cycle detected: a -> a (compose.yaml:2:30)"},
		{"services:\n  a: {image: x, depends_on: {b: {condition: up}}}\n  b: {image: x}\n",
			"one of service_started, service_healthy"},
		{"services:\n  a:\n    command: x\n",
			"compose.yaml:2:3: service \"a\" has neither an image nor a build context"},
		{"services:\n  a:\n", "services.a must be a mapping"},
		{"services:\n  a:\n    image: x\n    x-wherry: [1]\n",
			"compose.yaml:4:15: services.a.x-wherry must be a mapping, not a list"},
		{"services:\n  a:\n    image: x\n    x-wherry: {device: []}\n",
			"compose.yaml:4:16: unknown key \"device\" in services.a.x-wherry"},
		{"services:\n  a:\n    image: x\n    x-wherry:\n      devices: [/dev/x]\n",
			"compose.yaml:5:17: services.a.x-wherry.devices[0] must be a mapping, not a string"},
		{"services:\n  a:\n    image: x\n    x-wherry:\n      devices: [{class: serial}]\n",
			"compose.yaml:5:17: services.a.x-wherry.devices[0] needs a name"},
		{"services:\n  a:\n    image: x\n    x-wherry:\n      devices: [{as: /dev/x, class: rocket}]\n",
			"compose.yaml:5:30: services.a.x-wherry.devices[0]: wherry.device.x"},
		{"services:\n  a:\n    image: x\n    x-wherry:\n      storage: [{at: /mnt/x, fsck: often, label: X}]\n",
			"compose.yaml:5:30: services.a.x-wherry.storage[0]: wherry.storage.x"},
		{HTTP "{host: [a, 'b,c']}}\n",
			"compose.yaml:4:33: services.a.x-wherry.http.host[1] must be one word"},
		{HTTP "{prot: 1}}\n",
			"compose.yaml:4:23: unknown key \"prot\" in services.a.x-wherry.http; there are: name, host, path, port"},
		{HTTP "{host: a, port: x}}\n",
			"compose.yaml:4:32: services.a.x-wherry.http: wherry.http.port: must be a number from 1 to 65535, not 'x'"},
		{HTTP "{port: 80, users: [bob]}}\n",
			"compose.yaml:4:33: services.a.x-wherry.http: wherry.http.*: users says nothing without auth=basic or auth=login"},
		{HTTP "{}}\n", "compose.yaml:4:22: services.a.x-wherry.http says nothing"},
		{HTTP "{port: }}\n",
			"compose.yaml:4:23: services.a.x-wherry.http.port has no value"},
		{HTTP "{port: [1]}}\n",
			"compose.yaml:4:29: services.a.x-wherry.http.port must be one value, not a list"},
		{HTTP "80}\n",
			"compose.yaml:4:22: services.a.x-wherry.http must be a mapping or a list of them, not a number"},
		{HTTP "[{port: 1}, {port: 2}]}\n",
			"compose.yaml:4:23: services.a.x-wherry.http[0] needs a name"},
		{HTTP "[{name: A, port: 1}]}\n",
			"compose.yaml:4:33: services.a.x-wherry.http[0]: wherry.http.A.port: the name of a route"},
		{HTTP "{headers: {X-A: [1]}}}\n",
			"compose.yaml:4:38: services.a.x-wherry.http.headers.X-A must be text"},
		{"services:\n  a:\n    image: x\n    x-wherry: {stream: [{name: m, listen: 1883, tls: maybe}]}\n",
			"compose.yaml:4:49: services.a.x-wherry.stream[0]: wherry.stream.m: tls: must be none, off or terminate, not 'maybe'"},
		{NET_VOLUME "    x-wherry: {wait: soon}\n",
			"compose.yaml:4:22: volumes.v.x-wherry.wait must be true or false, not a string"},
		{NET_VOLUME "    x-wherry: {user: bob}\n",
			"compose.yaml:4:16: unknown key \"user\" in volumes.v.x-wherry"},
		{NET_VOLUME "    x-wherry: {credentials: smb}\n",
			"compose.yaml:4:29: volume \"v\" refers to undefined secret \"smb\""},
		{NET_VOLUME "    x-wherry: {credentials: smb}\nsecrets: {smb: {external: true}}\n",
			"compose.yaml:4:29: the credentials of volume \"v\" need a secret with a file or an environment variable"},
		{"services:\n  a:\n    image: x\n    restart: sometimes\n",
			"compose.yaml:4:14: restart: one of no, always"},
		{"services:\n  a:\n    image: x\n    restart: false\n",
			"services.a.restart must be a string"},
		{"services:\n  a:\n    image: x\n    network_mode: host\n    networks: [default]\n",
			"compose.yaml:4:19: service \"a\" has both network_mode and networks"},
		{"services:\n  a:\n    image: x\n    container_name: a b\n",
			"compose.yaml:4:21: container_name \"a b\""},
		{"services:\n  a:\n    image: x\n    container_name: abc\n    scale: 2\n",
			"so it cannot have 2 containers"},
		{"services:\n  a b:\n    image: x\n",
			"compose.yaml:2:3: services: \"a b\" is not a name"},
		{"services:\n  a:\n    image: ${X\n",
			"compose.yaml:3:12: invalid interpolation format"},
		{"services:\n  a:\n    image: ${X:?give one}\n",
			"compose.yaml:3:12: required variable X is missing a value: give one"},
		{"services:\n  a:\n    extends: {service: b}\n",
			"compose.yaml:3:24: extends: service \"b\" is not in this file"},
		{"services:\n  a: {extends: b}\n  b: {extends: a}\n",
			"compose.yaml:3:16: extends cycle detected: a -> b (compose.yaml:2:16) -> a (compose.yaml:3:16)"},
		{"services:\n  a: {extends: {file: none.yaml, service: b}}\n",
			"compose.yaml:2:23: cannot read /p/none.yaml"},
		{"services:\n  a: {image: x, env_file: nope.env}\n",
			"compose.yaml:2:27: env file /p/nope.env cannot be read"},
		{"include: [none.yaml]\n", "compose.yaml:1:11: cannot read /p/none.yaml"},
		{"services:\n  a: {image: x, healthcheck: {test: [curl]}}\n",
			"must begin with NONE, CMD or CMD-SHELL"},
		{"services:\n  a: {image: x, external_links: [b, c, b]}\n",
			"compose.yaml:2:40: \"b\" is already in the list, in line 2"},
		{"services:\n  a: {image: x, deploy: {update_config: {order: first}}}\n",
			"compose.yaml:2:49: services.a.deploy.update_config.order: one of start-first, stop-first is expected"},
		{"services:\n  a: {image: x, develop: {watch: [{path: .}]}}\n",
			"compose.yaml:2:35: services.a.develop.watch[0] needs action"},
		{"services:\n  a: {image: x, gpus: some}\n", "one of all is expected"},
		{"services:\n  a: {image: x, pre_stop: [{user: root}]}\n",
			"pre_stop: a hook needs command"},
		{"services:\n  a: {image: x, environment: [' A=b', 'B =c']}\n",
			"NAME=value is expected"},
		{"services:\n  a: {image: x, devices: ['/dev/x:/dev/y:rq']}\n",
			"letters of \"rwm\" are expected"},
		{"services:\n  a: {image: x, cpus: many}\n", "cpus: a number like 0.5 is expected"},
		{"services:\n  a: {image: x, command: \"a 'b\"}\n", "cannot be split into words"},
		{"services:\n  a: {image: x, stop_signal: SIGNOPE}\n", "is not a signal"},
		{"services:\n  a: {image: x, build: {dockerfile: a, dockerfile_inline: b}}\n",
			"exclude each other"},
		{"- a\n", "compose.yaml:1:1: the file must be a mapping with services, not a list"},
		{"", "compose.yaml:1:1: the file is empty"},
		{"web:\n  image: x\n", "compose.yaml:1:1: unknown key \"web\""},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		struct project *p = load_text(cases[i][0], &e);
		if (p || !strstr(e.msg, cases[i][1])) {
			print_error("%s\n said: %s\n wanted: %s\n", cases[i][0],
				p ? "(accepted)" : e.msg, cases[i][1]);
		}
		assert_null(p);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_non_null(strstr(e.msg, cases[i][1]));
	}
}

static void fails_with(const struct file *files, const char *message)
{
	struct err e = {0};
	const struct setting s = {.files = files};
	struct project *p = load_setting(&s, &e);
	if (p || strcmp(e.msg, message) != 0) {
		print_error("said: %s\n", p ? "(accepted)" : e.msg);
	}
	assert_null(p);
	assert_string_equal(e.msg, message);
}

static void cycles_over_several_files_are_told_with_every_place(void **state)
{
	const struct file includes[] = {{"/p/compose.yaml", "include: [sub/b.yaml]\n"},
		{"/p/sub/b.yaml", "include:\n  - path: ../c.yaml\n"},
		{"/p/c.yaml", "include: [./sub/../sub/b.yaml]\n"}, {0}};
	fails_with(includes,
		"/p/c.yaml:1:11: include cycle detected: compose.yaml -> /p/sub/b.yaml (compose.yaml:1:11) -> /p/c.yaml (/p/sub/b.yaml:2:11) -> /p/sub/b.yaml (/p/c.yaml:1:11)");
	const struct file extends[] = {
		{"/p/compose.yaml",
			"services:\n  a: {extends: b}\n  b: {extends: {file: e.yaml, service: c}}\n"},
		{"/p/e.yaml", "services:\n  c: {extends: {service: b, file: compose.yaml}}\n"},
		{0}};
	fails_with(extends,
		"/p/e.yaml:2:35: extends cycle detected: a -> b (compose.yaml:2:16) -> c (compose.yaml:3:23) -> b (/p/e.yaml:2:35)");
}

static void a_long_cycle_is_told_without_its_middle(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	buf_puts(&text, "services:\n");
	for (int i = 0; i < 1000; i++) {
		buf_printf(&text, "  s%d: {image: x, depends_on: [s%d]}\n", i, (i + 1) % 1000);
	}
	struct err e = {0};
	assert_null(load_text(buf_str(&text), &e));
	assert_non_null(strstr(
		e.msg, "compose.yaml:1001:33: dependency cycle detected: s0 -> 9")); /* 99x more */
	assert_non_null(strstr(e.msg, " more -> s99"));
	assert_true(text_ends(e.msg, " -> s0 (compose.yaml:1001:33)"));
}

static void a_file_that_is_too_large_is_refused_where_the_limit_is(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	buf_puts(&text, "services:\n  a:\n");
	while (text.len < (1u << 20)) {
		buf_puts(&text, "    # 4567890123\n"); /* 17 bytes */
	}
	struct err e = {0};
	assert_null(load_text(buf_str(&text), &e));
	assert_non_null(strstr(e.msg, "compose.yaml:61683:"));
	assert_non_null(strstr(e.msg, "the file goes on here, beyond the 1 MiB"));
	scoped(free) char *env = xasprintf("A=%s\n", buf_str(&text));
	const struct file files[] = {
		{"/p/compose.yaml", "services:\n  a: {image: x, env_file: big.env}\n"},
		{"/p/big.env", env}, {0}};
	fails_with(files,
		"/p/big.env:61682:17: the file goes on here, beyond the 1 MiB that are read of one: a smaller one is expected");
}

/* As docker compose 2.40.3 prints it with --no-interpolate. */
static void a_document_that_keeps_its_variables_stays_as_it_was_written(void **state)
{
	static const char text[] =
		"services:\n  a:\n    image: ${I:-x}\n    command: run $A \"b c\"\n    cpus: '1'\n"
		"    stop_grace_period: 90s\n    environment: [A=$A, HOME]\n    labels: {l: 1}\n"
		"    ports: ['80', '${P}:81']\n    expose: [8080]\n    networks: [front]\n"
		"    volumes: ['${D:-/d}/e:/f:ro', './g:/h']\n    build: {context: ., args: [X, Y=1]}\n"
		"  b: {image: x, ports: ['80:80'], depends_on: [a], privileged: \"$V\"}\n"
		"networks: {front: , unused: }\n";
	static const char wanted[] =
		"name: p\nnetworks:\n  default:\n    name: p_default\n  front:\n    name: p_front\n"
		"  unused:\n    name: p_unused\nservices:\n  a:\n    build:\n      args:\n        - Y=1\n"
		"      context: /p\n      dockerfile: Dockerfile\n    command: \"run $A \\\"b c\\\"\"\n"
		"    cpus: \"1\"\n    environment:\n      - A=$A\n      - HOME\n    expose:\n      - 8080\n"
		"    image: ${I:-x}\n    labels:\n      l: 1\n    networks:\n      front: null\n"
		"    ports:\n      - \"80\"\n      - ${P}:81\n    stop_grace_period: 90s\n    volumes:\n"
		"      - type: volume\n        source: ${D:-/d}/e\n        target: /f\n        read_only: true\n        volume: {}\n"
		"      - type: bind\n        source: /p/g\n        target: /h\n        bind:\n          create_host_path: true\n"
		"  b:\n    depends_on:\n      a:\n        condition: service_started\n        required: true\n"
		"    image: x\n    networks:\n      default: null\n    ports:\n      - mode: ingress\n"
		"        target: 80\n        published: \"80\"\n        protocol: tcp\n    privileged: $V\n";
	struct err e = {0};
	const struct file files[] = {{"/p/compose.yaml", text}, {0}};
	const struct setting s = {
		.files = files, .environment = {"A=a", "HOME=/h"}, .keep_variables = true};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	assert_string_equal(e.msg, "");
	scoped(buf) struct buf printed = BUF_INIT;
	emit_yaml(p->root, true, &printed);
	assert_string_equal(buf_str(&printed), wanted);
}

static void values_of_the_environment_have_no_place_in_errors(void **state)
{
	struct err e = {0};
	const struct file files[] = {
		{"/p/compose.yaml",
			"services: {a: {image: x, environment: [\"$SECRET\"], zzzz: 1}}"},
		{0}};
	const struct setting s = {.files = files, .environment = {"SECRET=hunter2"}};
	assert_null(load_setting(&s, &e));
	assert_null(strstr(e.msg, "hunter2"));
}

static void no_file_at_all_is_said(void **state)
{
	struct err e;
	const struct file files[] = {{0}};
	const struct setting s = {.files = files};
	assert_null(load_setting(&s, &e));
	assert_int_equal(e.kind, ERR_NOT_FOUND);
	assert_non_null(strstr(e.msg, "no configuration file provided"));
}

/* ---- the typed model ---- */

static void a_service_is_read_in_full(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services:\n"
		"  web:\n"
		"    image: nginx\n"
		"    command: nginx -g 'daemon off;'\n"
		"    entrypoint: [\"/entry\", \"x\"]\n"
		"    environment: [A=1, B=, C]\n"
		"    labels: {l: 5}\n"
		"    user: '1000'\n"
		"    restart: on-failure:3\n"
		"    stop_grace_period: 1m30s\n"
		"    init: true\n"
		"    mem_limit: 64m\n"
		"    cpus: 0.5\n"
		"    ulimits: {nofile: 10, core: {soft: 1, hard: 2}}\n"
		"    devices: ['/dev/lirc0', '/dev/a:/dev/b:r', '/dev/c:rw']\n"
		"    dns: 1.1.1.1\n"
		"    extra_hosts: {a: 1.2.3.4}\n"
		"    healthcheck: {test: curl x, interval: 10s, retries: 3}\n"
		"    logging: {driver: json-file, options: {max-size: 10m, max-file: 3}}\n"
		"    tmpfs: /run\n"
		"    group_add: [20, dialout]\n");
	const struct service *s = project_service(p, "web");
	assert_non_null(s);
	assert_int_equal(s->command.n, 3);
	assert_string_equal(s->command.v[2], "daemon off;");
	assert_int_equal(s->entrypoint.n, 2);
	assert_string_equal(pair_value(&s->environment, "A"), "1");
	assert_string_equal(pair_value(&s->environment, "B"), "");
	assert_string_equal(pair_value(&s->environment, "C"), "(null)");
	assert_string_equal(pair_value(&s->labels, "l"), "5");
	assert_int_equal(s->stop_grace_ns / 1000000000, 90);
	assert_int_equal(s->mem_limit, 64 << 20);
	assert_int_equal(s->nano_cpus, 500000000);
	assert_true(s->init);
	assert_int_equal(s->n_ulimits, 2);
	assert_int_equal(s->ulimits[1].hard, 2);
	assert_int_equal(s->n_devices, 3);
	assert_string_equal(s->devices[0].target, "/dev/lirc0");
	assert_string_equal(s->devices[1].permissions, "r");
	assert_string_equal(s->devices[2].target, "/dev/c");
	assert_string_equal(s->dns.v[0], "1.1.1.1");
	assert_string_equal(s->extra_hosts.v[0], "a:1.2.3.4");
	assert_string_equal(s->health->test.v[0], "CMD-SHELL");
	assert_string_equal(pair_value(&s->log_options, "max-file"), "3");
	assert_string_equal(s->tmpfs.v[0], "/run");
	assert_string_equal(s->group_add.v[0], "20");
	assert_int_equal(s->n_endpoints, 1);
	assert_string_equal(project_network(p, "default")->name, "p_default");
}

static void ports_of_every_form(void **state)
{
	static const struct {
		const char *text, *ip, *published;
		int target;
		const char *protocol;
		size_t n;
	} cases[] = {
		{"80", "", "", 80, "tcp", 1},
		{"'80:81'", "", "80", 81, "tcp", 1},
		{"'127.0.0.1:80:81/UDP'", "127.0.0.1", "80", 81, "udp", 1},
		{"'127.0.0.1::81'", "127.0.0.1", "", 81, "tcp", 1},
		{"'[::1]:80:81'", "::1", "80", 81, "tcp", 1},
		{"':80'", "", "", 80, "tcp", 1},
		{"'3000-3005'", "", "", 3000, "tcp", 6},
		{"'9090-9091:8080-8081'", "", "9090", 8080, "tcp", 2},
		{"'8000-8010:80'", "", "8000-8010", 80, "tcp", 1},
		{"{target: 80, published: 8080, host_ip: 1.2.3.4}", "1.2.3.4", "8080", 80, "tcp",
			1},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		scoped(free) char *text =
			xasprintf("services: {a: {image: x, ports: [%s]}}", cases[i].text);
		scoped(project_free) struct project *p = load_good(text);
		const struct service *s = &p->services[0];
		assert_int_equal(s->n_ports, cases[i].n);
		assert_string_equal(s->ports[0].host_ip ? s->ports[0].host_ip : "", cases[i].ip);
		assert_string_equal(
			s->ports[0].published ? s->ports[0].published : "", cases[i].published);
		assert_int_equal(s->ports[0].target, cases[i].target);
		assert_string_equal(s->ports[0].protocol, cases[i].protocol);
	}
}

static void mounts_of_every_form(void **state)
{
	const struct file files[] = {
		{"/p/compose.yaml",
			"services:\n"
			"  a:\n"
			"    image: x\n"
			"    volumes:\n"
			"      - ./data:/data:ro\n"
			"      - ~/x:/x\n"
			"      - /abs:/abs/../y\n"
			"      - named:/named:nocopy\n"
			"      - v:/one-letter\n"
			"      - /anonymous\n"
			"      - {type: tmpfs, target: /t, tmpfs: {size: 1m}}\n"
			"      - {type: bind, source: ../up, target: /up, bind: {create_host_path: false}}\n"
			"      - /share:/share:z,rshared,cached\n"
			"volumes: {named: , v: {external: true}}\n"},
		{0}};
	const struct setting s = {.files = files, .environment = {"HOME=/home/me"}};
	struct err e = {0};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	assert_non_null(p);
	const struct mount *m = p->services[0].mounts;
	assert_int_equal(p->services[0].n_mounts, 9);
	assert_string_equal(m[0].source, "/p/data");
	assert_true(m[0].read_only && m[0].create_host_path && m[0].type == MOUNT_BIND);
	assert_string_equal(m[1].source, "/home/me/x");
	assert_string_equal(m[2].target, "/y");
	assert_true(m[3].nocopy && m[3].type == MOUNT_VOLUME);
	assert_string_equal(m[4].source, "v");
	assert_null(m[5].source);
	assert_int_equal(m[6].tmpfs_size_bytes, 1 << 20);
	assert_string_equal(m[7].source, "/up");
	assert_false(m[7].create_host_path);
	assert_string_equal(m[8].selinux, "z");
	assert_string_equal(m[8].propagation, "rshared");
	assert_string_equal(project_volume(p, "named")->name, "p_named");
	assert_string_equal(project_volume(p, "v")->name, "v");
}

static void networks_and_the_primary_one(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services:\n"
		"  a:\n"
		"    image: x\n"
		"    networks:\n"
		"      zeta: {priority: 10, aliases: [q], ipv4_address: 172.4.11.2}\n"
		"      alpha:\n"
		"networks:\n"
		"  zeta: {ipam: {config: [{subnet: 172.4.11.0/24, gateway: 172.4.11.1}]}, internal: true}\n"
		"  alpha: {external: {name: there}}\n"
		"  unused:\n");
	const struct service *s = &p->services[0];
	assert_string_equal(s->endpoints[0].network, "zeta");
	assert_string_equal(s->endpoints[0].ipv4_address, "172.4.11.2");
	assert_string_equal(s->endpoints[0].aliases.v[0], "q");
	assert_string_equal(project_network(p, "alpha")->name, "there");
	assert_true(project_network(p, "alpha")->external);
	assert_string_equal(project_network(p, "zeta")->pools[0].subnet, "172.4.11.0/24");
	assert_null(project_network(p, "unused"));
	assert_null(project_network(p, "default"));
}

static void dependencies_come_first_and_are_implied(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services:\n"
		"  a: {image: x, depends_on: {b: {condition: service_healthy, restart: true}}}\n"
		"  b: {image: x, network_mode: 'service:c'}\n"
		"  c: {image: x}\n"
		"  d: {image: x, links: ['a:alias'], volumes_from: ['c:ro']}\n");
	assert_string_equal(p->services[0].name, "c");
	assert_string_equal(p->services[1].name, "b");
	assert_string_equal(p->services[2].name, "a");
	assert_int_equal(p->services[2].dependencies[0].condition, CONDITION_HEALTHY);
	assert_true(p->services[2].dependencies[0].restart);
	assert_true(p->services[1].dependencies[0].restart);
	assert_int_equal(p->services[3].n_dependencies, 2);
}

static void deploy_decides_over_the_older_keys(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services:\n"
		"  a:\n"
		"    image: x\n"
		"    restart: always\n"
		"    deploy:\n"
		"      replicas: 3\n"
		"      mode: replicated\n"
		"      resources: {limits: {cpus: '1.5', memory: 50M, pids: 10}, reservations: {memory: 20M}}\n"
		"      restart_policy: {condition: on-failure, max_attempts: 4}\n");
	const struct service *s = &p->services[0];
	assert_int_equal(s->replicas, 3);
	assert_int_equal(s->nano_cpus, 1500000000);
	assert_int_equal(s->mem_limit, 50 << 20);
	assert_int_equal(s->mem_reservation, 20 << 20);
	assert_int_equal(s->pids_limit, 10);
	assert_string_equal(s->restart, "on-failure:4");
	assert_int_equal(p->warnings.n, 0);
	assert_string_equal(s->deploy_mode, "replicated");
	assert_int_equal(s->restart_policy->max_attempts, 4);
}

static void hooks_watches_and_updates(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services:\n"
		"  a:\n"
		"    image: x\n"
		"    post_start: [{command: echo 'a b', user: root, privileged: true, environment: [K=v]}]\n"
		"    pre_stop: [{command: [sh, -c, x], working_dir: /w}]\n"
		"    develop:\n"
		"      watch:\n"
		"        - {path: ./src, action: sync+exec, target: /t, ignore: node_modules/, exec: {command: reload}}\n"
		"        - {path: ./pkg, action: rebuild, initial_sync: true}\n"
		"    deploy:\n"
		"      labels: [tier=web]\n"
		"      update_config: {order: start-first, parallelism: 2, delay: 10s, failure_action: rollback, monitor: 1m, max_failure_ratio: 0.5}\n"
		"      rollback_config: {parallelism: 0}\n"
		"      resources: {reservations: {devices: [{capabilities: [gpu], count: 2}]}}\n");
	const struct service *s = &p->services[0];
	assert_int_equal(s->n_post_start, 1);
	assert_string_equal(s->post_start[0].command.v[1], "a b");
	assert_true(s->post_start[0].privileged);
	assert_string_equal(pair_value(&s->post_start[0].environment, "K"), "v");
	assert_string_equal(s->pre_stop[0].working_dir, "/w");
	assert_int_equal(s->n_watches, 2);
	assert_string_equal(s->watches[0].path, "/p/src");
	assert_int_equal(s->watches[0].action, WATCH_SYNC_EXEC);
	assert_string_equal(s->watches[0].ignore.v[0], "node_modules/");
	assert_string_equal(s->watches[0].exec.command.v[0], "reload");
	assert_int_equal(s->watches[1].action, WATCH_REBUILD);
	assert_true(s->watches[1].initial_sync);
	assert_string_equal(pair_value(&s->deploy_labels, "tier"), "web");
	assert_true(s->update->start_first);
	assert_int_equal(s->update->parallelism, 2);
	assert_int_equal(s->update->delay_ns / 1000000000, 10);
	assert_int_equal(s->update->failure_action, FAILURE_ROLLBACK);
	assert_true(s->update->max_failure_ratio == 0.5);
	assert_int_equal(s->rollback->parallelism, 0);
	assert_int_equal(s->device_requests[0].count, 2);
}

static void limits_of_block_devices_and_requests_for_others(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services:\n"
		"  a:\n"
		"    image: x\n"
		"    blkio_config:\n"
		"      weight: 300\n"
		"      weight_device: [{path: /dev/sda, weight: 400}]\n"
		"      device_read_bps: [{path: /dev/sdb, rate: 12mb}]\n"
		"      device_write_iops: [{path: /dev/sdb, rate: 30}]\n"
		"    gpus: all\n"
		"    storage_opt: {size: 1G}\n"
		"    external_links: ['redis:cache']\n"
		"    cpu_rt_runtime: 95000\n"
		"    use_api_socket: true\n"
		"    volumes: [{type: image, source: alpine, target: /i, image: {subpath: etc}}]\n"
		"    models: [llm]\n"
		"    build: {context: ., provenance: true, sbom: x, privileged: true}\n"
		"  b: {provider: {type: aws, options: {a: 1, b: [x, y]}}}\n"
		"models: {llm: {model: ai/smollm, context_size: 1024}}\n");
	const struct service *s = project_service(p, "a");
	assert_int_equal(s->blkio->weight, 300);
	assert_int_equal(s->blkio->weights[0].weight, 400);
	assert_int_equal(s->blkio->read_bps.v[0].rate, 12 << 20);
	assert_int_equal(s->blkio->write_iops.v[0].rate, 30);
	assert_int_equal(s->device_requests[0].count, -1);
	assert_string_equal(pair_value(&s->storage_opt, "size"), "1G");
	assert_string_equal(s->external_links.v[0], "redis:cache");
	assert_int_equal(s->cpu_rt_runtime, 95000);
	assert_true(s->use_api_socket);
	assert_int_equal(s->mounts[0].type, MOUNT_IMAGE);
	assert_string_equal(s->mounts[0].subpath, "etc");
	assert_string_equal(s->models[0].key, "llm");
	assert_int_equal(p->models[0].context_size, 1024);
	assert_string_equal(s->build->provenance, "true");
	assert_non_null(project_service(p, "b")->provider);
}

static void secrets_and_configs(void **state)
{
	const struct file files[] = {
		{"/p/compose.yaml",
			"services: {a: {image: x, secrets: [s, {source: e, target: /x, mode: '0400', uid: '5'}], configs: [c]}}\n"
			"secrets: {s: {file: ./s.txt}, e: {environment: V}}\n"
			"configs: {c: {content: \"hi $V\"}}\n"},
		{0}};
	const struct setting s = {.files = files, .environment = {"V=value"}};
	struct err e = {0};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	assert_non_null(p);
	const struct service *a = &p->services[0];
	assert_string_equal(a->secrets[0].target, "/run/secrets/s");
	assert_string_equal(a->secrets[0].path, "/p/s.txt");
	assert_string_equal(a->secrets[1].target, "/x");
	assert_string_equal(a->secrets[1].content, "value");
	assert_int_equal(a->secrets[1].mode, 0400);
	assert_int_equal(a->secrets[1].uid, 5);
	assert_string_equal(a->configs[0].target, "/c");
	assert_string_equal(a->configs[0].content, "hi value");
}

static void a_build_has_secrets_agents_and_contexts(void **state)
{
	const struct file files[] = {
		{"/p/compose.yaml",
			"services: {a: {build: {context: c, secrets: [s, {source: e, target: t}], ssh: [default, k=/sock],\n"
			" additional_contexts: {base: service:b, d: ./d, u: 'https://h.test/x'}, ulimits: {nofile: 5},\n"
			" cache_to: type=inline, no_cache_filter: [x]}}, b: {build: .}}\n"
			"secrets: {s: {file: ./s.txt}, e: {environment: V}}\n"},
		{0}};
	const struct setting s = {.files = files, .environment = {"V=value"}};
	struct err e = {0};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	assert_non_null(p);
	const struct build *b = project_service(p, "a")->build;
	assert_int_equal(b->n_secrets, 2);
	assert_string_equal(b->secrets[0].path, "/p/s.txt");
	assert_string_equal(b->secrets[1].target, "/run/secrets/t");
	assert_string_equal(b->secrets[1].content, "value");
	assert_string_equal(b->ssh.v[0].name, "default");
	assert_string_equal(b->ssh.v[1].value, "/sock");
	assert_string_equal(b->contexts.v[0].value, "service:b");
	assert_string_equal(b->contexts.v[1].value, "/p/d");
	assert_string_equal(b->contexts.v[2].value, "https://h.test/x");
	assert_int_equal(b->ulimits[0].hard, 5);
	assert_string_equal(b->cache_to.v[0], "type=inline");
	assert_string_equal(b->no_cache_filter.v[0], "x");
}

static void of_two_mounts_on_one_target_the_last_stays(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services: {a: {image: x, volumes: ['./a:/t', './b:/t'], ports: ['80:80', '80:80', '81:80'], dns: [1.1.1.1]}}");
	assert_int_equal(p->services[0].n_mounts, 1);
	assert_string_equal(p->services[0].mounts[0].source, "/p/b");
	assert_int_equal(p->services[0].n_ports, 2);
}

/* ---- several files ---- */

static void override_files_merge_by_the_rules(void **state)
{
	const struct file files[] = {
		{"/p/docker-compose.yml",
			"services:\n"
			"  a:\n"
			"    image: one\n"
			"    command: [old]\n"
			"    environment: [A=1, B=1]\n"
			"    ports: ['80:80']\n"
			"    volumes: ['./x:/data', './k:/keep']\n"
			"    labels: {gone: x, kept: y}\n"
			"    dns: [1.1.1.1]\n"
			"    cap_add: [A, B]\n"
			"    logging: {driver: json-file, options: {max-size: 1m}}\n"
			"    healthcheck: {test: old, interval: 1s}\n"},
		{"/p/docker-compose.override.yml", "services:\n"
						   "  a:\n"
						   "    image: two\n"
						   "    command: [new, words]\n"
						   "    environment: {B: 2, C: 3}\n"
						   "    ports: ['81:80', '80:80']\n"
						   "    volumes: ['./y:/data']\n"
						   "    labels: {gone: !reset null}\n"
						   "    dns: !override [2.2.2.2]\n"
						   "    cap_add: [B, C]\n"
						   "    logging: {driver: none}\n"
						   "    healthcheck: {test: new}\n"
						   "  b: {image: x}\n"},
		{0}};
	const struct setting s = {.files = files};
	struct err e = {0};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	assert_non_null(p);
	const struct service *a = project_service(p, "a");
	assert_string_equal(a->image, "two");
	assert_int_equal(a->command.n, 2);
	assert_string_equal(pair_value(&a->environment, "A"), "1");
	assert_string_equal(pair_value(&a->environment, "B"), "2");
	assert_string_equal(pair_value(&a->environment, "C"), "3");
	assert_int_equal(a->n_ports, 2);
	assert_int_equal(a->n_mounts, 2);
	assert_string_equal(a->mounts[0].source, "/p/y");
	assert_string_equal(pair_value(&a->labels, "gone"), "(absent)");
	assert_string_equal(pair_value(&a->labels, "kept"), "y");
	assert_int_equal(a->dns.n, 1);
	assert_string_equal(a->dns.v[0], "2.2.2.2");
	assert_int_equal(a->cap_add.n, 3);
	assert_string_equal(a->log_driver, "none");
	assert_int_equal(a->log_options.n, 0);
	assert_string_equal(a->health->test.v[1], "new");
	assert_int_equal(a->health->interval_ns, 1000000000);
	assert_int_equal(p->files.n, 2);
	assert_non_null(project_service(p, "b"));
}

static void extends_takes_from_this_and_other_files(void **state)
{
	const struct file files[] = {
		{"/p/compose.yaml",
			"services:\n"
			"  a: {extends: {file: sub/base.yaml, service: web}, environment: {X: mine}}\n"
			"  b: {extends: a, image: other}\n"},
		{"/p/sub/base.yaml",
			"services:\n"
			"  web: {extends: common, build: ./ctx, volumes: ['./v:/v'], env_file: e.env}\n"
			"  common: {image: base, environment: {X: base, Y: base}, restart: always}\n"},
		{"/p/sub/e.env", "FROM_FILE=1\nX=file\n"}, {0}};
	const struct setting s = {.files = files};
	struct err e = {0};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	if (!p) {
		print_error("%s\n", e.msg);
	}
	assert_non_null(p);
	const struct service *a = project_service(p, "a");
	assert_string_equal(a->image, "base");
	assert_string_equal(a->restart, "always");
	assert_string_equal(a->build->context, "/p/sub/ctx");
	assert_string_equal(a->mounts[0].source, "/p/sub/v");
	assert_string_equal(pair_value(&a->environment, "X"), "mine");
	assert_string_equal(pair_value(&a->environment, "Y"), "base");
	assert_string_equal(pair_value(&a->environment, "FROM_FILE"), "1");
	assert_string_equal(project_service(p, "b")->image, "other");
}

static void included_files_have_their_own_directory_and_env(void **state)
{
	const struct file files[] = {
		{"/p/compose.yaml",
			"include: [sub/inc.yaml]\nservices: {a: {image: x, depends_on: [i]}}\n"},
		{"/p/sub/inc.yaml",
			"services: {i: {image: \"img:$TAG-$OUT\", volumes: ['./d:/d']}}\n"},
		{"/p/sub/.env", "TAG=inner\nOUT=inner\n"}, {0}};
	const struct setting s = {.files = files, .environment = {"OUT=outer"}};
	struct err e = {0};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	assert_non_null(p);
	const struct service *i = project_service(p, "i");
	assert_string_equal(i->image, "img:inner-outer");
	assert_string_equal(i->mounts[0].source, "/p/sub/d");
}

static void what_is_included_is_not_defined_again(void **state)
{
	const struct file files[] = {
		{"/p/compose.yaml",
			"include: [inc.yaml]\nservices: {i: {image: y}, same: {image: z}}\n"},
		{"/p/inc.yaml", "services:\n  i: {image: x}\n  same: {image: z}\n"}, {0}};
	const struct setting s = {.files = files};
	struct err e = {0};
	assert_null(load_setting(&s, &e));
	assert_non_null(strstr(e.msg,
		"compose.yaml:2:12: services.i conflicts with the included one at /p/inc.yaml:2:3"));
}

static void a_file_that_includes_itself_is_refused(void **state)
{
	struct err e = {0};
	assert_null(load_text("include: [compose.yaml]\n", &e));
	assert_non_null(strstr(e.msg,
		"include cycle detected: compose.yaml -> /p/compose.yaml (compose.yaml:1:11)"));
}

static void documents_of_one_file_merge(void **state)
{
	scoped(project_free) struct project *p = load_good(
		"services: {a: {image: one}}\n---\nservices: {a: {image: two}, b: {image: x}}\n");
	assert_string_equal(project_service(p, "a")->image, "two");
	assert_int_equal(p->n_services, 2);
}

/* ---- where things come from ---- */

static void names_come_from_flag_variable_file_directory(void **state)
{
	const char *named = "name: From$X\nservices: {a: {image: \"i-$COMPOSE_PROJECT_NAME\"}}\n";
	const struct file files[] = {{"/p/compose.yaml", named}, {0}};
	struct err e = {0};
	struct setting s = {.files = files, .environment = {"X=File_1!"}};
	struct project *p = load_setting(&s, &e);
	assert_string_equal(p->name, "fromfile_1");
	assert_string_equal(p->services[0].image, "i-fromfile_1");
	project_free(p);
	s.environment[1] = "COMPOSE_PROJECT_NAME=var";
	p = load_setting(&s, &e);
	assert_string_equal(p->name, "var");
	project_free(p);
	s.project_name = "flag";
	p = load_setting(&s, &e);
	assert_string_equal(p->name, "flag");
	project_free(p);
	s.project_name = "Bad Name";
	assert_null(load_setting(&s, &e));
	assert_non_null(strstr(e.msg, "invalid project name \"Bad Name\""));
}

static void files_are_searched_upwards(void **state)
{
	const struct file files[] = {
		{"/docker-compose.yaml", "services: {a: {image: x, volumes: ['./d:/d']}}\n"},
		{"/.env", "X=1\n"}, {0}};
	const struct setting s = {.files = files, .project_name = "n"};
	struct err e = {0};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	assert_non_null(p);
	assert_string_equal(p->working_dir, "/");
	assert_string_equal(p->services[0].mounts[0].source, "/d");
}

static void dotenv_and_compose_file_variable(void **state)
{
	const struct file files[] = {{"/p/.env", "COMPOSE_FILE=one.yml:two.yml\nTAG=1.10\nA=dot\n"},
		{"/p/one.yml", "services: {a: {image: \"x:$TAG\", environment: [A, B, NONE]}}\n"},
		{"/p/two.yml", "services: {a: {environment: {B: $A}}}\n"}, {0}};
	const struct setting s = {.files = files, .environment = {"A=process"}};
	struct err e = {0};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	assert_non_null(p);
	assert_string_equal(p->services[0].image, "x:1.10");
	assert_string_equal(pair_value(&p->services[0].environment, "A"), "process");
	assert_string_equal(pair_value(&p->services[0].environment, "B"), "process");
	assert_string_equal(pair_value(&p->services[0].environment, "NONE"), "(null)");
}

static void profiles_choose_services(void **state)
{
	const struct file files[] = {
		{"/p/compose.yaml",
			"services:\n"
			"  always: {image: x, depends_on: {dev: {condition: service_started, required: false}}}\n"
			"  dev: {image: x, profiles: [dev]}\n"
			"  test: {image: x, profiles: [test, ci]}\n"},
		{0}};
	struct setting s = {.files = files};
	struct err e = {0};
	struct project *p = load_setting(&s, &e);
	assert_int_equal(p->n_services, 1);
	assert_int_equal(p->disabled.n, 2);
	assert_int_equal(p->services[0].n_dependencies, 0);
	project_free(p);
	s.environment[0] = "COMPOSE_PROFILES=other, ci";
	p = load_setting(&s, &e);
	assert_int_equal(p->n_services, 2);
	project_free(p);
	s.profiles[0] = "*";
	p = load_setting(&s, &e);
	assert_int_equal(p->n_services, 3);
	project_free(p);
	s.profiles[0] = NULL;
	s.environment[0] = NULL;
	s.services[0] = "dev";
	p = load_setting(&s, &e);
	assert_non_null(project_service(p, "dev"));
	project_free(p);
}

static void a_load_that_fails_warns_all_the_same(void **state)
{
	struct err e = {0};
	scoped(strv) struct strv warnings = STRV_INIT;
	const struct file files[] = {
		{"/p/compose.yaml",
			"services: {a: {image: \"x$X$X\", env_file: a.env}, b: {image: x, links: [c]}}\n"
			"networks: {n: {external: {name: m}}}\n"},
		{"/p/.env", "A=$Y\n"}, {"/p/a.env", "B=$Z\n"}, {0}};
	const struct setting s = {.files = files, .warnings = &warnings};
	assert_null(load_setting(&s, &e));
	assert_int_equal(warnings.n, 4);
	assert_string_equal(warnings.v[0],
		"compose.yaml:2:26: networks.n: external.name is deprecated. Please set name and external: true");
	assert_non_null(strstr(warnings.v[1], "The \"Y\" variable is not set."));
	assert_non_null(strstr(warnings.v[2], "The \"X\" variable is not set."));
	assert_non_null(strstr(warnings.v[3], "The \"Z\" variable is not set."));
}

static void unset_variables_and_version_are_warned_of(void **state)
{
	scoped(project_free) struct project *p =
		load_good("version: '3'\nservices: {a: {image: \"x$NONE\"}}\n");
	assert_int_equal(p->warnings.n, 2);
	assert_string_equal(p->warnings.v[0],
		"compose.yaml:1:1: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion");
	assert_string_equal(p->warnings.v[1],
		"The \"NONE\" variable is not set. Defaulting to a blank string.");
}

static void interpolated_text_becomes_the_type_of_its_field(void **state)
{
	const struct file files[] = {
		{"/p/compose.yaml",
			"services: {a: {image: x, init: \"${T}\", read_only: \"${Y}\", pids_limit: \"$N\", deploy: {replicas: \"$N\"}}}\n"},
		{0}};
	const struct setting s = {.files = files, .environment = {"T=true", "Y=yes", "N=7"}};
	struct err e = {0};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	assert_non_null(p);
	assert_true(p->services[0].init && p->services[0].read_only);
	assert_int_equal(p->services[0].pids_limit, 7);
	assert_int_equal(p->services[0].replicas, 7);
	assert_int_equal(p->warnings.n, 1); /* "yes" is read as true */
}

/* ---- what is printed can be loaded again ---- */

static void config_output_is_a_fixed_point(void **state)
{
	static const char *const text =
		"name: n\n"
		"x-common: &c {restart: always, labels: {a: '1', b: 'yes', c: '$$x'}}\n"
		"services:\n"
		"  a:\n"
		"    <<: *c\n"
		"    image: x\n"
		"    command: echo '$$HOME' \"two words\"\n"
		"    environment: {N: 010, F: 1.10, E: '', NUL: , T: \"tab\\tnew\\nline \\\"q\\\" \\\\ # : x\", D: 2020-01-01, S: '22:22'}\n"
		"    ports: ['80-81:80-81', '127.0.0.1:5:6/udp']\n"
		"    volumes: ['./x:/y:ro', 'v:/v', /anon]\n"
		"    depends_on: [b]\n"
		"    networks: {default: , other: {aliases: [z]}}\n"
		"    healthcheck: {test: [CMD, a], interval: 1m}\n"
		"    extra_hosts: ['a:1.2.3.4', 'b=[::1]']\n"
		"  b: {build: {context: ., args: {X: 1}}, cap_drop: [ALL]}\n"
		"volumes: {v: }\n"
		"networks: {other: {driver: bridge}}\n";
	scoped(project_free) struct project *first = load_good(text);
	scoped(buf) struct buf printed = BUF_INIT;
	scoped(buf) struct buf again = BUF_INIT;
	emit_yaml(first->root, false, &printed);

	scoped(project_free) struct project *second = load_good(buf_str(&printed));
	emit_yaml(second->root, false, &again);

	assert_string_equal(buf_str(&printed), buf_str(&again));
	for (size_t i = 0; i < first->n_services; i++) {
		char one[EMIT_HASH_MAX];
		char two[EMIT_HASH_MAX];
		const struct service *same = project_service(second, first->services[i].name);
		emit_service_hash(&first->services[i], NULL, NULL, one);
		emit_service_hash(same, NULL, NULL, two);
		assert_string_equal(one, two);
	}
}

static void the_hash_knows_what_matters(void **state)
{
	static const struct {
		const char *text;
		bool same;
	} cases[] = {
		{"services: {a: {environment: {B: 2, A: 1}, image: x}}",
			true}, /* the order of keys */
		{"services: {a: {image: x, environment: {A: '1', B: '2'}, pull_policy: always, scale: 2}}",
			true},
		{"services: {a: {image: x, environment: {A: 1, B: 2}, deploy: {replicas: 3}}}",
			false}, /* a structure that docker compose counts, not the number */
		{"services: {a: {image: x, environment: {A: 1, B: 2}, deploy: {resources: {limits: {pids: 3}}}}}",
			false},
		{"services: {a: {image: x, environment: {A: 1, B: 3}}}", false},
		{"services: {a: {image: y, environment: {A: 1, B: 2}}}", false},
		{"services: {a: {image: x, environment: {A: 1, B: 2}, command: []}}", false},
	};
	char first[EMIT_HASH_MAX];
	scoped(project_free) struct project *p =
		load_good("services: {a: {image: x, environment: {A: 1, B: 2}}}");
	emit_service_hash(&p->services[0], NULL, NULL, first);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char hash[EMIT_HASH_MAX];
		scoped(project_free) struct project *other = load_good(cases[i].text);
		emit_service_hash(&other->services[0], NULL, NULL, hash);
		assert_int_equal(strcmp(hash, first) == 0, cases[i].same);
	}
}

static void spelling_is_no_change(void **state)
{
	static const char *const pairs[][2] = {{"mem_limit: 64m", "mem_limit: '67108864'"},
		{"shm_size: 1.5g", "shm_size: 1536MB"},
		{"stop_grace_period: 90s", "stop_grace_period: 1m30s"},
		{"stop_grace_period: 1.5h", "stop_grace_period: 1h30m"},
		{"stop_grace_period: 1500us", "stop_grace_period: 1.5ms"},
		{"command: a 'b c'", "command: [a, b c]"},
		{"ports: ['80:80']", "ports: [{target: 80, published: 80}]"},
		{"environment: [A=1]", "environment: {A: 1}"}, {"dns: 1.1.1.1", "dns: [1.1.1.1]"},
		{"build: .", "build: {context: /p, dockerfile: Dockerfile}"},
		{"command:", "labels:"}, {"networks: [default]", "networks: {default: }"}};
	for (size_t i = 0; i < sizeof(pairs) / sizeof(*pairs); i++) {
		char hashes[2][EMIT_HASH_MAX];
		for (size_t k = 0; k < 2; k++) {
			scoped(free) char *text =
				xasprintf("services:\n  a:\n    image: x\n    %s\n", pairs[i][k]);
			scoped(project_free) struct project *p = load_good(text);
			emit_service_hash(&p->services[0], NULL, NULL, hashes[k]);
		}
		assert_string_equal(hashes[0], hashes[1]);
	}
}

static void a_name_without_letters_is_refused_at_its_place(void **state)
{
	struct err e = {0};
	assert_null(load_text("services: {}\nname: '!!'\n", &e));
	assert_non_null(
		strstr(e.msg, "compose.yaml:2:7: name \"!!\": a letter or digit is expected"));
}

static void copies_are_bounded(void **state)
{
	scoped(buf) struct buf text = BUF_INIT;
	buf_puts(&text, "services:\n  s0:\n    image: x\n    labels:\n");
	for (int i = 0; i < 2000; i++) {
		buf_printf(&text, "      l%d: v\n", i);
	}
	for (int i = 1; i < 1000; i++) {
		buf_printf(&text, "  s%d: {extends: s0}\n", i);
	}
	struct err e = {0};
	assert_null(load_text(buf_str(&text), &e));
	assert_non_null(strstr(e.msg, "grows beyond"));
	assert_non_null(strstr(e.msg, "compose.yaml:"));
}

static void a_volume_says_whose_credentials_it_has(void **state)
{
	scoped(project_free) struct project *p =
		load_good(NET_VOLUME "    driver_opts: {type: cifs, device: //nas/media}\n"
				     "    x-wherry: {credentials: smb, wait: false}\n"
				     "secrets: {smb: {file: ./smb}, other: {file: ./x}}\n");

	assert_int_equal(p->n_volumes, 1);
	assert_string_equal(p->volumes[0].credentials, "smb");
	assert_int_equal(p->volumes[0].labels.n, 1);
	assert_string_equal(pair_value(&p->volumes[0].labels, "wherry.wait"), "false");
	assert_int_equal(p->n_secrets, 1); /* used, and the other one not */
	assert_string_equal(p->secrets[0].key, "smb");
}

/* Also what an override file and extends add to it. */
static void routes_become_labels(void **state)
{
	const struct file files[] = {
		{"/p/docker-compose.yml",
			"services:\n"
			"  a:\n"
			"    image: x\n"
			"    labels: {wherry.http.path: /mine}\n"
			"    x-wherry:\n"
			"      http: {host: [wiki, wiki.example.org], port: 8080, path: /other, websocket: false, rate: 10/s,\n"
			"        headers: {X-Frame-Options: DENY, X-Powered-By: }}\n"
			"      stream: [{name: mqtt, listen: 8883, port: 1883, tls: terminate}]\n"
			"  b: {extends: a, image: y}\n"
			"  c:\n"
			"    image: x\n"
			"    x-wherry: {http: [{name: one, port: 1, headers: ['A: 1;', 'B: 2']}, {name: two, host: ., redirect: /one}]}\n"},
		{"/p/docker-compose.override.yml",
			"services:\n"
			"  a: {x-wherry: {http: {port: 9090}}}\n"
			"  c: {x-wherry: {http: [{name: one, port: 3}]}}\n"},
		{0},
	};
	const struct setting s = {.files = files};
	struct err e = {0};
	scoped(project_free) struct project *p = load_setting(&s, &e);
	assert_non_null(p);
	const struct pairs *a = &project_service(p, "a")->labels;
	assert_string_equal(pair_value(a, "wherry.http.host"), "wiki,wiki.example.org,");
	assert_string_equal(pair_value(a, "wherry.http.port"), "9090");
	assert_string_equal(pair_value(a, "wherry.http.path"), "/mine");
	assert_string_equal(pair_value(a, "wherry.http.websocket"), "false");
	assert_string_equal(pair_value(a, "wherry.http.rate"), "10/s");
	assert_string_equal(pair_value(a, "wherry.http.headers"),
		"{\"X-Frame-Options\":\"DENY\",\"X-Powered-By\":\"\"}");
	assert_string_equal(pair_value(a, "wherry.stream.mqtt"),
		"{\"listen\":8883,\"port\":1883,\"tls\":\"terminate\"}");
	assert_string_equal(
		pair_value(&project_service(p, "b")->labels, "wherry.http.port"), "8080");
	const struct pairs *c = &project_service(p, "c")->labels;
	assert_string_equal(pair_value(c, "wherry.http.one.headers"), "A: 1;\nB: 2\n");
	assert_string_equal(pair_value(c, "wherry.http.two.redirect"), "/one");
	assert_string_equal(pair_value(c, "wherry.http.one.port"), "3");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(routes_become_labels),
		cmocka_unit_test(errors_name_file_line_column_and_what_was_expected),
		cmocka_unit_test(a_volume_says_whose_credentials_it_has),
		cmocka_unit_test(a_document_that_keeps_its_variables_stays_as_it_was_written),
		cmocka_unit_test(cycles_over_several_files_are_told_with_every_place),
		cmocka_unit_test(a_long_cycle_is_told_without_its_middle),
		cmocka_unit_test(a_file_that_is_too_large_is_refused_where_the_limit_is),
		cmocka_unit_test(values_of_the_environment_have_no_place_in_errors),
		cmocka_unit_test(no_file_at_all_is_said),
		cmocka_unit_test(a_service_is_read_in_full),
		cmocka_unit_test(ports_of_every_form),
		cmocka_unit_test(mounts_of_every_form),
		cmocka_unit_test(networks_and_the_primary_one),
		cmocka_unit_test(dependencies_come_first_and_are_implied),
		cmocka_unit_test(deploy_decides_over_the_older_keys),
		cmocka_unit_test(hooks_watches_and_updates),
		cmocka_unit_test(limits_of_block_devices_and_requests_for_others),
		cmocka_unit_test(secrets_and_configs),
		cmocka_unit_test(a_build_has_secrets_agents_and_contexts),
		cmocka_unit_test(of_two_mounts_on_one_target_the_last_stays),
		cmocka_unit_test(override_files_merge_by_the_rules),
		cmocka_unit_test(extends_takes_from_this_and_other_files),
		cmocka_unit_test(included_files_have_their_own_directory_and_env),
		cmocka_unit_test(what_is_included_is_not_defined_again),
		cmocka_unit_test(a_file_that_includes_itself_is_refused),
		cmocka_unit_test(documents_of_one_file_merge),
		cmocka_unit_test(names_come_from_flag_variable_file_directory),
		cmocka_unit_test(files_are_searched_upwards),
		cmocka_unit_test(dotenv_and_compose_file_variable),
		cmocka_unit_test(profiles_choose_services),
		cmocka_unit_test(a_load_that_fails_warns_all_the_same),
		cmocka_unit_test(unset_variables_and_version_are_warned_of),
		cmocka_unit_test(interpolated_text_becomes_the_type_of_its_field),
		cmocka_unit_test(config_output_is_a_fixed_point),
		cmocka_unit_test(the_hash_knows_what_matters),
		cmocka_unit_test(spelling_is_no_change),
		cmocka_unit_test(a_name_without_letters_is_refused_at_its_place),
		cmocka_unit_test(copies_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
