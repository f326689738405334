#include "wherry/globals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/context_store.h"
#include "wherry/flags.h"
#include "wherry/tls_choice.h"

#define OWN_SOCKET "/run/wherry/wherry.sock"
#define DOCKER_SOCKET "/var/run/docker.sock"
#define FLAGS_MAX 16

static void table(struct globals *g, struct flag ret[static FLAGS_MAX])
{
	const struct flag flags[] = {
		{"config", 0, FLAG_STRING, &g->config, NULL,
			"Location of client config files (default $DOCKER_CONFIG, ~/.docker)"},
		{"context", 'c', FLAG_STRING, &g->context, NULL,
			"Name of the context to use to connect to the daemon (overrides DOCKER_HOST env var and default context set with \"wherry context use\")"},
		{"debug", 'D', FLAG_BOOL, &g->debug, NULL, "Enable debug mode"},
		{"host", 'H', FLAG_LIST, &g->hosts, NULL,
			"Daemon socket to connect to: unix://PATH, tcp://HOST:PORT or ssh://[USER@]HOST (default $WHERRY_HOST, $DOCKER_HOST, unix://" OWN_SOCKET
			")"},
		{"log-level", 'l', FLAG_STRING, &g->log_level, NULL,
			"Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\") (default \"info\")"},
		{"tls", 0, FLAG_BOOL, &g->tls, NULL, "Use TLS; implied by --tlsverify"},
		{"tlscacert", 0, FLAG_STRING, &g->tls_ca, NULL,
			"Trust certs signed only by this CA (default \"~/.docker/ca.pem\")"},
		{"tlscert", 0, FLAG_STRING, &g->tls_cert, NULL,
			"Path to TLS certificate file (default \"~/.docker/cert.pem\")"},
		{"tlskey", 0, FLAG_STRING, &g->tls_key, NULL,
			"Path to TLS key file (default \"~/.docker/key.pem\")"},
		{"tlsverify", 0, FLAG_BOOL, &g->tls_verify, NULL, "Use TLS and verify the remote"},
		{"version", 'v', FLAG_BOOL, &g->version, NULL,
			"Print version information and quit"},
		{"help", 'h', FLAG_BOOL, &g->help, NULL, NULL},
		{0},
	};
	_Static_assert(sizeof(flags) / sizeof(*flags) <= FLAGS_MAX, "room for all flags");
	memcpy(ret, flags, sizeof(flags));
}

void globals_list(size_t width, struct buf *ret)
{
	struct globals g = {0};
	struct flag flags[FLAGS_MAX];
	table(&g, flags);
	flags_list(flags, width, ret);
}

void globals_describe(struct buf *ret)
{
	struct globals g = {0};
	struct flag flags[FLAGS_MAX];
	const struct syntax s = {"", "[OPTIONS] COMMAND [ARG...]", "", 0, -1, true};
	table(&g, flags);
	flags_describe(&s, flags, ret);
}

static int check_level(const char *level)
{
	static const char *const levels[] = {
		"panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"};
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		if (!level || strcasecmp(level, levels[i]) == 0) {
			return -1;
		}
	}
	fprintf(stderr, "Unable to parse logging level: %s\n", level);
	return 1;
}

int globals_read(struct globals *g, int *argc, char ***argv)
{
	struct flag flags[FLAGS_MAX];
	const struct syntax s = {"", "[OPTIONS] COMMAND [ARG...]", "", 0, -1, true};
	table(g, flags);
	int status = flags_parse(&s, flags, argc, *argv);
	if (status >= 0) {
		return status;
	}
	++*argv;
	--*argc;
	return check_level(g->log_level);
}

void globals_deinit(struct globals *g)
{
	strv_deinit(&g->hosts);
}

char *globals_config_dir(const struct globals *g)
{
	const char *dir = g->config ? g->config : getenv("DOCKER_CONFIG");
	if (dir && *dir) {
		return xstrdup(dir);
	}
	const char *home = getenv("HOME");
	return xasprintf("%s/.docker", home && *home ? home : "/root");
}

char *globals_host(const char *text, bool tls)
{
	if (!*text || strcmp(text, "unix://") == 0) {
		return xstrdup("unix://" DOCKER_SOCKET);
	}
	bool bare = !strstr(text, "://");
	const char *host = bare ? text : text_starts(text, "tcp://") ? text + 6 : NULL;
	if (!host || (bare && *host == '/')) {
		return xstrdup(text);
	}
	if (*host == ':') { /* a port of this machine */
		return xasprintf("tcp://localhost%s", host);
	}
	const char *bracket = strrchr(host, ']');
	return xasprintf("tcp://%s%s", host,
		strchr(bracket ? bracket : host, ':') ? ""
		: tls ? ":2376"
		      : ":2375");
}

static const char *from_environment(void)
{
	const char *const names[] = {"WHERRY_HOST", "DOCKER_HOST"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *value = getenv(names[i]);
		if (value && *value) {
			return value;
		}
	}
	return NULL;
}

/* Our socket, or Docker's when ours is absent. */
static const char *usual_host(void)
{
	bool only_docker = access(OWN_SOCKET, F_OK) < 0 && access(DOCKER_SOCKET, F_OK) == 0;
	return only_docker ? "unix://" DOCKER_SOCKET : "unix://" OWN_SOCKET;
}

/* --context, DOCKER_CONTEXT, config.json's currentContext; NULL: none of them decides. */
static const char *chosen_context(const struct globals *g, const struct cli *cli)
{
	const char *env = getenv("DOCKER_CONTEXT");
	const char *current = json_str(cli->config, "currentContext");
	if (g->context && *g->context) {
		return g->context;
	}
	if (g->hosts.n > 0 || from_environment()) {
		return NULL;
	}
	return env && *env ? env : *current ? current : NULL;
}

/* A context brings its own certificates, everything else is asked of flags and environment. */
static void choose_tls(
	const struct globals *g, struct cli *cli, const char *context, bool skip_verify)
{
	struct tls_files files = {0};
	bool wanted = context ? tls_of_context(cli->config_dir, context, skip_verify, &files)
			      : tls_choose(g, cli->config_dir, &files);
	if (wanted) {
		struct tls_files *t = xnew(struct tls_files);
		*t = files;
		cli->tls = t;
	}
}

/* "X-Meta: a\r\n" for each of HttpHeaders. */
static char *headers_of(const json_t *config)
{
	struct buf lines = BUF_INIT;
	const char *name;
	json_t *v;
	json_object_foreach (json_object_get(config, "HttpHeaders"), name, v) {
		const char *value = json_string_value(v);
		bool clean = value && !strpbrk(value, "\r\n") && *name && !strpbrk(name, ": \r\n");
		if (clean) {
			buf_printf(&lines, "%s: %s\r\n", name, value);
		}
	}
	return lines.len ? buf_take_str(&lines) : NULL;
}

int globals_choose_engine(const struct globals *g, struct cli *cli, struct err *e)
{
	if (g->hosts.n > 0 && g->context && *g->context) {
		return err_set(e, ERR_INVALID,
			"conflicting options: cannot specify both --host and --context");
	}
	if (g->hosts.n > 1) {
		return err_set(e, ERR_INVALID, "Specify only one -H");
	}
	const char *context = chosen_context(g, cli);
	scoped(free) char *host = NULL;
	if (context && strcmp(context, CONTEXT_DEFAULT) != 0) {
		bool skip_verify;
		host = docker_context_host(cli->config_dir, context, &skip_verify, e);
		if (!host) {
			return -1;
		}
		choose_tls(g, cli, context, skip_verify);
	} else {
		const char *given = g->hosts.n > 0 ? g->hosts.v[0] : from_environment();
		choose_tls(g, cli, NULL, false);
		host = given ? globals_host(given, cli->tls != NULL) : xstrdup(usual_host());
	}
	cli->context = context ? context : CONTEXT_DEFAULT;
	cli->headers = headers_of(cli->config);
	cli->host = TAKE(host);
	return 0;
}
