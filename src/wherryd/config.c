#include "wherryd/config.h"

#include <fcntl.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"
#include "wherryd/config_check.h"
#include "wherryd/config_ingress.h"
#include "wherryd/config_signatures.h"

/* Of a pull and of a push; each costs 2 MB (worker/pull.c, worker/push_layers.c). */
#define DOWNLOADS 3
#define UPLOADS 3
#define DOWNLOAD_ATTEMPTS 5
#define DEFAULT_FILE "/etc/wherry/daemon.json"
#define FILE_MAX (1u << 20)

enum kind { K_STRING, K_BOOL, K_NUMBER, K_LIST, K_MAP, K_MAPS, K_JSON, K_CHECKED };

/* key in the file; flag without dashes (NULL: file only) and its letter; what --help says (NULL:
 * not shown). K_CHECKED: type and values are config_check.c's; most of them have no effect here and
 * are known so that a daemon.json can be kept, or to say why not. */
static const struct setting {
	const char *key;
	const char *flag;
	char letter;
	enum kind kind;
	const char *argument;
	const char *help;
} settings[] = {
	{"hosts", "host", 'H', K_LIST, "ADDRESS",
		"Socket to listen on, unix://PATH or fd://; may be repeated"},
	{"data-root", "data-root", 0, K_STRING, "DIR",
		"Images, containers, volumes, state (default /var/lib/wherry)"},
	{"exec-root", "exec-root", 0, K_STRING, "DIR", "Runtime state (default /run/wherry)"},
	{"pidfile", "pidfile", 'p', K_STRING, "FILE",
		"Process id file (default EXEC-ROOT/wherryd.pid)"},
	{"group", "group", 'G', K_STRING, "GROUP",
		"Group that may use the sockets (default docker, if it exists)"},
	{"bridge", "bridge", 'b', K_STRING, "NAME",
		"Default bridge (default wherry0); \"none\" for no default network"},
	{"bip", "bip", 0, K_STRING, "CIDR", "Address of the default bridge, as 172.17.0.1/16"},
	{"bip6", "bip6", 0, K_STRING, "CIDR", "IPv6 address of the default bridge"},
	{"fixed-cidr", "fixed-cidr", 0, K_STRING, "CIDR",
		"Part of the default bridge's subnet that containers get"},
	{"fixed-cidr-v6", "fixed-cidr-v6", 0, K_STRING, "CIDR",
		"IPv6 subnet of the default bridge"},
	{"default-gateway", "default-gateway", 0, K_STRING, "ADDRESS", NULL},
	{"default-gateway-v6", "default-gateway-v6", 0, K_STRING, "ADDRESS", NULL},
	{"ipv6", "ipv6", 0, K_BOOL, NULL, "The default bridge has IPv6, too"},
	{"ip", "ip", 0, K_STRING, "ADDRESS",
		"Where the default bridge's ports are published (default 0.0.0.0)"},
	{"icc", "icc", 0, K_BOOL, NULL,
		"Containers of the default bridge reach each other (default true)"},
	{"ip-masq", "ip-masq", 0, K_BOOL, NULL,
		"Masquerade what leaves the default bridge (default true)"},
	{"ip-forward", "ip-forward", 0, K_BOOL, NULL,
		"Let this host forward packets (default true)"},
	{"mtu", "mtu", 0, K_NUMBER, "N", "MTU of the default bridge (default 1500)"},
	{"default-network-opts", "default-network-opt", 0, K_MAPS, "DRIVER=KEY=VALUE",
		"Options that new networks have by default"},
	{"iptables", "iptables", 0, K_BOOL, NULL, NULL},
	{"ip6tables", "ip6tables", 0, K_BOOL, NULL, NULL},
	{"dns", "dns", 0, K_LIST, "ADDRESS",
		"Upstream name server; may be repeated (default: the host's)"},
	{"registry-mirrors", "registry-mirror", 0, K_LIST, "URL",
		"Mirror asked before Docker Hub; may be repeated"},
	{"insecure-registries", "insecure-registry", 0, K_LIST, "HOST",
		"Registry that may be used without TLS; may be repeated"},
	{"image-peers", NULL, 0, K_LIST, NULL, NULL},
	{"image-peers-listen", "image-peers-listen", 0, K_STRING, "IP:PORT",
		"Address where other engines get this one's layers (default: none)"},
	{"image-signatures", NULL, 0, K_JSON, NULL, NULL},
	{"log-driver", "log-driver", 0, K_STRING, "NAME",
		"Default of containers' logs: json-file, local, journald or none"},
	{"log-opts", "log-opt", 0, K_MAP, "KEY=VALUE",
		"Options of the default log driver; may be repeated"},
	{"seccomp-profile", "seccomp-profile", 0, K_STRING, "FILE",
		"Default seccomp profile, or \"unconfined\""},
	{"cgroup-parent", "cgroup-parent", 0, K_STRING, "NAME",
		"Control group of the containers (default /wherry)"},
	{"default-address-pools", NULL, 0, K_JSON, NULL, NULL},
	{"metrics-addr", "metrics-addr", 0, K_STRING, "IP:PORT",
		"Address for GET /metrics, in Prometheus' format"},
	{"log-level", "log-level", 'l', K_STRING, "LEVEL",
		"error, warn, info or debug (default info)"},
	{"debug", "debug", 'D', K_BOOL, NULL, "Log everything"},
	{"runtimes", NULL, 0, K_CHECKED, NULL, NULL},
	{"default-runtime", "default-runtime", 0, K_CHECKED, "NAME",
		"Runtime of containers that name none (default crun)"},
	{"wherry.unhealthy", "wherry-unhealthy", 0, K_CHECKED, "ACTION",
		"What is done about an unhealthy container: restart or ignore (default)"},
	{"live-restore", "live-restore", 0, K_CHECKED, NULL, NULL},
	{"userland-proxy", "userland-proxy", 0, K_CHECKED, NULL, NULL},
	{"storage-driver", "storage-driver", 's', K_CHECKED, "NAME", NULL},
	{"max-concurrent-downloads", "max-concurrent-downloads", 0, K_CHECKED, "N", NULL},
	{"exec-opts", "exec-opt", 0, K_LIST, "OPT", NULL},
	{"ingress", NULL, 0, K_CHECKED, NULL, NULL},
	{"features", NULL, 0, K_CHECKED, NULL, NULL},
	{"experimental", "experimental", 0, K_CHECKED, NULL, NULL},
	{"shutdown-timeout", "shutdown-timeout", 0, K_CHECKED, "N", NULL},
	/* config_check.c has their types and values */
	{"labels", "label", 0, K_LIST, "KEY=VALUE",
		"Label of the daemon, for /info; may be repeated"},
	{"default-shm-size", "default-shm-size", 0, K_CHECKED, "SIZE",
		"Of containers' /dev/shm (default 64m)"},
	{"default-ulimits", "default-ulimit", 0, K_CHECKED, "NAME=SOFT[:HARD]",
		"Limit of containers that do not say otherwise; may be repeated"},
	{"default-ipc-mode", "default-ipc-mode", 0, K_CHECKED, "MODE", "private or shareable"},
	{"default-cgroupns-mode", "default-cgroupns-mode", 0, K_CHECKED, "MODE", "private or host"},
	{"init", "init", 0, K_BOOL, NULL, "Run an init in every container"},
	{"no-new-privileges", "no-new-privileges", 0, K_BOOL, NULL,
		"No container's process gains privileges"},
	{"dns-opts", "dns-opt", 0, K_LIST, "OPTION", "Option of resolv.conf; may be repeated"},
	{"dns-search", "dns-search", 0, K_LIST, "DOMAIN", "Search domain; may be repeated"},
	{"host-gateway-ip", "host-gateway-ip", 0, K_CHECKED, "ADDRESS",
		"What host-gateway means in extra hosts (default the bridge's)"},
	{"http-proxy", "http-proxy", 0, K_CHECKED, "URL", "Proxy for registries"},
	{"https-proxy", "https-proxy", 0, K_CHECKED, "URL", "Proxy for registries with TLS"},
	{"no-proxy", "no-proxy", 0, K_CHECKED, "HOSTS", "Hosts that need no proxy"},
	{"proxies", NULL, 0, K_CHECKED, NULL, NULL},
	{"max-concurrent-uploads", "max-concurrent-uploads", 0, K_CHECKED, "VALUE", NULL},
	{"max-download-attempts", "max-download-attempts", 0, K_CHECKED, "VALUE", NULL},
	{"containerd", "containerd", 0, K_CHECKED, "VALUE", NULL},
	{"containerd-namespace", "containerd-namespace", 0, K_CHECKED, "VALUE", NULL},
	{"log-format", "log-format", 0, K_CHECKED, "VALUE", NULL},
	{"network-control-plane-mtu", "network-control-plane-mtu", 0, K_CHECKED, "VALUE", NULL},
	{"swarm-default-advertise-addr", "swarm-default-advertise-addr", 0, K_CHECKED, "VALUE",
		NULL},
	{"swarm-raft-heartbeat-tick", "swarm-raft-heartbeat-tick", 0, K_CHECKED, "VALUE", NULL},
	{"swarm-raft-election-tick", "swarm-raft-election-tick", 0, K_CHECKED, "VALUE", NULL},
	{"userland-proxy-path", "userland-proxy-path", 0, K_CHECKED, "VALUE", NULL},
	{"tlscacert", "tlscacert", 0, K_CHECKED, "VALUE", NULL},
	{"tlscert", "tlscert", 0, K_CHECKED, "VALUE", NULL},
	{"tlskey", "tlskey", 0, K_CHECKED, "VALUE", NULL},
	{"userns-remap", "userns-remap", 0, K_CHECKED, "VALUE", NULL},
	{"api-cors-header", "api-cors-header", 0, K_CHECKED, "VALUE", NULL},
	{"cpu-rt-period", "cpu-rt-period", 0, K_CHECKED, "VALUE", NULL},
	{"cpu-rt-runtime", "cpu-rt-runtime", 0, K_CHECKED, "VALUE", NULL},
	{"init-path", "init-path", 0, K_CHECKED, "VALUE", NULL},
	{"network-diagnostic-port", "network-diagnostic-port", 0, K_CHECKED, "VALUE", NULL},
	{"cluster-store", "cluster-store", 0, K_CHECKED, "VALUE", NULL},
	{"cluster-advertise", "cluster-advertise", 0, K_CHECKED, "VALUE", NULL},
	{"containerd-plugin-namespace", NULL, 0, K_CHECKED, NULL, NULL},
	{"containerd-plugins-namespace", "containerd-plugins-namespace", 0, K_CHECKED, "VALUE",
		NULL},
	{"raw-logs", "raw-logs", 0, K_CHECKED, NULL, NULL},
	{"tls", "tls", 0, K_CHECKED, NULL, NULL},
	{"tlsverify", "tlsverify", 0, K_CHECKED, NULL, NULL},
	{"rootless", "rootless", 0, K_CHECKED, NULL, NULL},
	{"selinux-enabled", "selinux-enabled", 0, K_CHECKED, NULL, NULL},
	{"cri-containerd", "cri-containerd", 0, K_CHECKED, NULL, NULL},
	{"builder", NULL, 0, K_CHECKED, NULL, NULL},
	{"default-init", NULL, 0, K_CHECKED, NULL, NULL},
	{"cluster-store-opts", NULL, 0, K_CHECKED, NULL, NULL},
	{"storage-opts", "storage-opt", 0, K_LIST, "VALUE", NULL},
	{"allow-nondistributable-artifacts", "allow-nondistributable-artifacts", 0, K_LIST, "VALUE",
		NULL},
	{"authorization-plugins", "authorization-plugin", 0, K_LIST, "VALUE", NULL},
	{"cdi-spec-dirs", "cdi-spec-dir", 0, K_LIST, "VALUE", NULL},
	{"node-generic-resources", "node-generic-resource", 0, K_LIST, "VALUE", NULL},
};
#define SETTINGS (sizeof(settings) / sizeof(*settings))

enum { OPT_CONFIG = 1000, OPT_VALIDATE, OPT_PURGE, OPT_HELP, OPT_VERSION, OPT_SETTING = 2000 };

static const struct setting *setting_by_key(const char *key)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		if (strcmp(settings[i].key, key) == 0) {
			return &settings[i];
		}
	}
	return NULL;
}

void config_print_help(void)
{
	puts("Usage: wherryd [OPTIONS]\n\n"
	     "A small container engine that speaks the Docker API.\n\n"
	     "Options:");
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		if (!s->help || !s->flag) {
			continue;
		}
		char left[64];
		char letter[8] = "    ";
		if (s->letter) {
			snprintf(letter, sizeof(letter), "-%c, ", s->letter);
		}
		snprintf(left, sizeof(left), "%s--%s %s", letter, s->flag,
			s->argument ? s->argument : "");
		printf("  %-32s %s\n", left, s->help);
	}
	puts("      --config-file FILE           Settings as JSON under dockerd's names (default " DEFAULT_FILE
	     ")\n"
	     "      --validate                   Check the configuration and exit\n"
	     "      --purge-network              Remove this daemon's bridges and firewall rules and exit\n"
	     "  -v, --version                    Print the version and exit\n"
	     "      --help                       Print this and exit");
}

/* "nofile=1024:2048", "nproc=100" as the file has it. */
static int set_ulimit(json_t *flags, const struct setting *s, const char *value, struct err *e)
{
	const char *equals = strchr(value, '=');
	const char *colon = equals ? strchr(equals, ':') : NULL;
	scoped(free) char *name = equals ? xstrndup(value, (size_t)(equals - value)) : NULL;
	scoped(free) char *soft_text = colon    ? xstrndup(equals + 1, (size_t)(colon - equals - 1))
				       : equals ? xstrdup(equals + 1)
						: NULL;
	int64_t soft;
	int64_t hard;
	if (!equals || parse_i64(soft_text, -1, INT64_MAX, &soft) < 0 ||
		parse_i64(colon ? colon + 1 : soft_text, -1, INT64_MAX, &hard) < 0) {
		return err_set(
			e, ERR_INVALID, "--%s %s: expected NAME=SOFT[:HARD]", s->flag, value);
	}
	if (!json_object_get(flags, s->key)) {
		json_put(flags, s->key, json_object());
	}
	json_put(json_object_get(flags, s->key), name,
		json_pack("{ss sI sI}", "Name", name, "Hard", (json_int_t)hard, "Soft",
			(json_int_t)soft));
	return 0;
}

/* Puts one flag's value among the settings given on the command line. */
static int set_flag(json_t *flags, const struct setting *s, const char *value, struct err *e)
{
	json_t *known = json_object_get(flags, s->key);
	switch (s->kind) {
	case K_BOOL:
		json_put(flags, s->key, json_boolean(!value || parse_query_bool(value)));
		return 0;
	case K_LIST:
		if (!known) {
			json_put(flags, s->key, known = json_array());
		}
		json_array_append_new(known, json_string(value));
		return 0;
	case K_MAP: {
		const char *equals = strchr(value, '=');
		if (!equals) {
			return err_set(
				e, ERR_INVALID, "--%s %s: expected KEY=VALUE", s->flag, value);
		}
		if (!known) {
			json_put(flags, s->key, known = json_object());
		}
		scoped(free) char *key = xstrndup(value, (size_t)(equals - value));
		json_put_str(known, key, equals + 1);
		return 0;
	}
	case K_MAPS: {
		const char *equals = strchr(value, '=');
		if (!equals || !strchr(equals + 1, '=')) {
			return err_set(
				e, ERR_INVALID, "--%s %s: expected NAME=KEY=VALUE", s->flag, value);
		}
		if (!known) {
			json_put(flags, s->key, known = json_object());
		}
		scoped(free) char *name = xstrndup(value, (size_t)(equals - value));
		const char *second = strchr(equals + 1, '=');
		scoped(free) char *key = xstrndup(equals + 1, (size_t)(second - equals - 1));
		if (!json_object_get(known, name)) {
			json_put(known, name, json_object());
		}
		json_put_str(json_object_get(known, name), key, second + 1);
		return 0;
	}
	case K_NUMBER: {
		int64_t number;
		if (parse_i64(value, 0, INT32_MAX, &number) < 0) {
			return err_set(
				e, ERR_INVALID, "--%s %s: expected a number", s->flag, value);
		}
		json_put(flags, s->key, json_integer(number));
		return 0;
	}
	case K_CHECKED:
		if (strcmp(s->key, "default-ulimits") == 0) {
			return set_ulimit(flags, s, value, e);
		}
		json_put_str(flags, s->key, value ? value : "true");
		return 0;
	default:
		json_put_str(flags, s->key, value ? value : "");
		return 0;
	}
}

/* getopt_long's tables, from ours. */
struct options {
	struct option longs[SETTINGS + 6];
	char letters[2 * SETTINGS + 8];
};

static void build_options(struct options *o)
{
	static const struct option own[] = {{"config-file", required_argument, NULL, OPT_CONFIG},
		{"validate", no_argument, NULL, OPT_VALIDATE},
		{"purge-network", no_argument, NULL, OPT_PURGE},
		{"help", no_argument, NULL, OPT_HELP}, {"version", no_argument, NULL, OPT_VERSION}};
	size_t n = 0;
	char *letter = o->letters;
	*letter++ = ':';
	*letter++ = 'v';
	*letter++ = 'h';
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];
		if (!s->flag) {
			continue;
		}
		int has = s->argument ? required_argument : optional_argument;
		o->longs[n++] = (struct option){s->flag, has, NULL, OPT_SETTING + (int)i};
		if (s->letter) {
			*letter++ = s->letter;
			if (s->argument) {
				*letter++ = ':';
			}
		}
	}
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++) {
		o->longs[n++] = own[i];
	}
	o->longs[n] = (struct option){0};
	*letter = '\0';
}

static const struct setting *setting_of_option(int opt)
{
	if (opt >= OPT_SETTING) {
		return &settings[opt - OPT_SETTING];
	}
	for (size_t i = 0; i < SETTINGS; i++) {
		if (settings[i].letter == opt && opt) {
			return &settings[i];
		}
	}
	return NULL;
}

static int read_flags(struct config *c, int argc, char **argv, json_t *flags, const char **ret_file,
	struct err *e)
{
	struct options o;
	build_options(&o);
	opterr = 0;
	optind = 1;
	int opt;
	while ((opt = getopt_long(argc, argv, o.letters, o.longs, NULL)) != -1) {
		const struct setting *s = setting_of_option(opt);
		if (opt == '?') {
			return err_set(e, ERR_INVALID, "unknown flag: %s; see wherryd --help",
				argv[optind - 1]);
		}
		if (opt == ':') {
			return err_set(
				e, ERR_INVALID, "flag needs an argument: %s", argv[optind - 1]);
		}
		if (opt == OPT_CONFIG) {
			*ret_file = optarg;
		} else if (opt == OPT_VALIDATE) {
			c->validate = true;
		} else if (opt == OPT_PURGE) {
			c->purge_network = true;
		} else if (opt == OPT_HELP || opt == 'h') {
			c->help = true;
		} else if (opt == OPT_VERSION || opt == 'v') {
			c->version = true;
		} else if (set_flag(flags, s, optarg, e) < 0) {
			return -1;
		}
	}
	if (optind < argc) {
		return err_set(e, ERR_INVALID, "unexpected argument: %s; see wherryd --help",
			argv[optind]);
	}
	return 0;
}

static int check_type(const struct setting *s, const json_t *v, struct err *e)
{
	static const char *const wanted[] = {[K_STRING] = "a string",
		[K_BOOL] = "true or false",
		[K_NUMBER] = "a number",
		[K_LIST] = "a list of strings",
		[K_MAP] = "an object of strings",
		[K_MAPS] = "an object of objects of strings",
		[K_JSON] = "a list"};
	bool ok = s->kind == K_CHECKED || (s->kind == K_STRING && json_is_string(v)) ||
		  (s->kind == K_BOOL && json_is_boolean(v)) ||
		  (s->kind == K_NUMBER && json_is_integer(v)) ||
		  (s->kind == K_LIST && json_is_array(v)) ||
		  ((s->kind == K_MAP || s->kind == K_MAPS) && json_is_object(v)) ||
		  (s->kind == K_JSON && json_is_array(v));
	size_t i;
	json_t *item;
	if (s->kind == K_LIST) {
		json_array_foreach (v, i, item) {
			ok = ok && json_is_string(item);
		}
	}
	const char *key;
	if (s->kind == K_MAP) {
		json_object_foreach ((json_t *)v, key, item) {
			ok = ok && json_is_string(item);
		}
	}
	if (s->kind == K_MAPS) {
		json_object_foreach ((json_t *)v, key, item) {
			const struct setting one = {.key = s->key, .kind = K_MAP};
			ok = ok && check_type(&one, item, e) == 0;
		}
	}
	return ok ? 0 : err_set(e, ERR_INVALID, "%s must be %s", s->key, wanted[s->kind]);
}

static int conflict(
	const char *path, const char *key, const json_t *flag, const json_t *file, struct err *e)
{
	scoped(free) char *from_flag = json_dumps(flag, JSON_COMPACT | JSON_ENCODE_ANY);
	scoped(free) char *from_file = json_dumps(file, JSON_COMPACT | JSON_ENCODE_ANY);
	return err_set(e, ERR_CONFLICT,
		"%s: the following directives are specified both as a flag and in the configuration file: "
		"%s: (from flag: %.100s, from file: %.100s)",
		path, key, from_flag ? from_flag : "", from_file ? from_file : "");
}

/* Adds the file's settings to those of the flags. */
static int read_file(const char *path, bool named, json_t *merged, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, path, FILE_MAX, &text);
	if (r == -ENOENT && !named) {
		return 0;
	}
	if (r < 0) {
		return err_sys(e, -r, "cannot read %s", path);
	}
	if (buf_str(&text)[strspn(buf_str(&text), " \t\r\n")] == '\0') {
		return 0; /* an empty file, as dockerd takes it */
	}
	scoped(json) json_t *doc = json_parse(buf_str(&text), text.len, path, e);
	if (!doc) {
		return -1;
	}
	if (!json_is_object(doc)) {
		return err_set(e, ERR_INVALID, "%s: expected a JSON object", path);
	}
	const char *key;
	json_t *v;
	json_object_foreach (doc, key, v) {
		const struct setting *s = setting_by_key(key);
		if (!s) {
			return err_set(e, ERR_INVALID,
				"%s: unknown setting \"%s\": the following directives don't match any "
				"configuration option: %s; see wherryd(8)",
				path, key, key);
		}
		if (json_object_get(merged, key)) {
			return conflict(path, key, json_object_get(merged, key), v, e);
		}
		if (check_type(s, v, e) < 0) {
			return err_wrap(e, "%s", path);
		}
		json_put(merged, key, json_incref(v));
	}
	return 0;
}

static char *string_or(const json_t *merged, const char *key, const char *dflt)
{
	const char *text = json_str(merged, key);
	return xstrdup(*text ? text : dflt);
}

static json_t *list_or_empty(const json_t *merged, const char *key)
{
	json_t *list = json_object_get(merged, key);
	return list ? json_incref(list) : json_array();
}

/* Docker's defaults leave logs unbounded; ours of json-file are 10 MB x 3 (SD cards). */
static int read_log_defaults(struct config *c, struct err *e)
{
	static const char *const drivers[] = {"json-file", "local", "journald", "none"};
	const char *driver = json_str(c->merged, "log-driver");
	const char *type = NULL;
	for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++) {
		type = strcmp(*driver ? driver : "json-file", drivers[i]) == 0 ? drivers[i] : type;
	}
	if (!type) {
		return err_set(e, ERR_INVALID,
			"log-driver \"%s\" is not supported: use json-file, local, journald or none",
			driver);
	}
	json_t *options = json_object();
	if (strcmp(type, "json-file") == 0) {
		json_put_str(options, "max-size", "10m");
		json_put_str(options, "max-file", "3");
	}
	json_object_update(options, json_object_get(c->merged, "log-opts"));
	c->log_defaults = json_pack("{ss so}", "Type", type, "Config", options);
	return 0;
}

/* Published ports are nftables' work alone: there is no proxy that could do it without. */
static int check_network(const json_t *merged, struct err *e)
{
	static const char *const always[] = {"iptables", "ip6tables"};
	for (size_t i = 0; i < 2; i++) {
		if (json_is_false(json_object_get(merged, always[i]))) {
			return err_set(e, ERR_INVALID,
				"%s cannot be false: ports are published by nftables; see wherryd(8) for filters of your own",
				always[i]);
		}
	}
	return 0;
}

static int apply(struct config *c, struct err *e)
{
	const json_t *m = c->merged;
	struct err ignored; /* types were checked */
	if (config_check(m, e) < 0 || config_ingress_check(m, e) < 0) {
		return -1;
	}
	json_get_strv(m, "hosts", &c->hosts, &ignored);
	if (c->hosts.n == 0) {
		strv_add(&c->hosts, "unix:///run/wherry/wherry.sock");
	}
	for (size_t i = 0; i < c->hosts.n; i++) {
		if (text_starts(c->hosts.v[i], "tcp://")) {
			return err_set(e, ERR_INVALID,
				"cannot listen on %s: TCP would give root to the network; use ssh:// from the "
				"other machine, or a TLS server in front of the unix socket",
				c->hosts.v[i]);
		}
		if (!text_starts(c->hosts.v[i], "unix:///") &&
			strcmp(c->hosts.v[i], "fd://") != 0) {
			return err_set(e, ERR_INVALID,
				"cannot listen on %s: expected unix:///PATH or fd://",
				c->hosts.v[i]);
		}
	}
	json_get_strv(m, "dns", &c->dns, &ignored);
	scoped(free) char *data_root = string_or(m, "data-root", "/var/lib/wherry");
	scoped(free) char *exec_root = string_or(m, "exec-root", "/run/wherry");
	if (*data_root != '/' || *exec_root != '/') {
		return err_set(e, ERR_INVALID, "data-root and exec-root must be absolute paths");
	}
	if (data_root[strcspn(data_root, ":,\\\"")]) { /* it stands in overlayfs' mount options */
		return err_set(e, ERR_INVALID,
			"data-root %s: a path with : , \\ or \" cannot hold overlay mounts",
			data_root);
	}
	c->data_root = path_clean(data_root);
	c->exec_root = path_clean(exec_root);
	scoped(free) char *pidfile = xasprintf("%s/wherryd.pid", c->exec_root);
	c->pidfile = string_or(m, "pidfile", pidfile);
	c->group = string_or(m, "group", "");
	c->bridge = string_or(m, "bridge", "wherry0");
	c->seccomp_profile = string_or(m, "seccomp-profile", "");
	c->metrics_addr = string_or(m, "metrics-addr", "");
	c->peers_listen = string_or(m, "image-peers-listen", "");
	c->cgroup_parent = string_or(m, "cgroup-parent", "wherry");
	c->log_level = string_or(m, "log-level", "info");
	c->debug = json_bool(m, "debug");
	json_t *signatures = config_signatures(m, e);
	if (!signatures) {
		return -1;
	}
	c->registry = json_pack("{so so so so sI sI sI}", "image-signatures", signatures,
		"image-peers", list_or_empty(m, "image-peers"), "registry-mirrors",
		list_or_empty(m, "registry-mirrors"), "insecure-registries",
		list_or_empty(m, "insecure-registries"), "max-concurrent-downloads",
		(json_int_t)json_i64(m, "max-concurrent-downloads", DOWNLOADS),
		"max-concurrent-uploads",
		(json_int_t)json_i64(m, "max-concurrent-uploads", UPLOADS), "max-download-attempts",
		(json_int_t)json_i64(m, "max-download-attempts", DOWNLOAD_ATTEMPTS));
	return check_network(m, e) < 0 ? -1 : read_log_defaults(c, e);
}

int config_read(struct config *c, int argc, char **argv, struct err *e)
{
	*c = (struct config){0};
	const char *file = NULL;
	c->merged = json_object();
	if (read_flags(c, argc, argv, c->merged, &file, e) < 0) {
		return -1;
	}
	if (c->help || c->version) {
		return 0;
	}
	if (read_file(file ? file : DEFAULT_FILE, file != NULL, c->merged, e) < 0) {
		return -1;
	}
	return apply(c, e);
}

void config_deinit(struct config *c)
{
	char *texts[] = {c->data_root, c->exec_root, c->pidfile, c->group, c->bridge,
		c->seccomp_profile, c->cgroup_parent, c->metrics_addr, c->peers_listen,
		c->log_level};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		free(texts[i]);
	}
	strv_deinit(&c->hosts);
	strv_deinit(&c->dns);
	json_decref(c->log_defaults);
	json_decref(c->registry);
	json_decref(c->merged);
	*c = (struct config){0};
}
