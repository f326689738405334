/* version, info */
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/format.h"
#include "wherry/table.h"
#include "wherry/times.h"

#define CLIENT_API "1.45" /* the newest whose answers this program knows */

/* name: of the template, in sentences. */
static int print_formatted(
	const char *name, const char *type, const char *format, const json_t *doc, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	const struct format_style style = {.type = type};
	scoped(format) struct format *f =
		format_new(name, strcmp(format, "json") == 0 ? "{{json .}}" : format, e);
	if (!f) {
		err_wrap(e, "template parsing error");
		return STATUS_BAD_FORMAT;
	}
	int r = format_run(f, doc, &style, &text, e);
	printf("%s\n", buf_str(&text));
	return r < 0 ? 1 : 0;
}

static const char *go_arch(const char *machine)
{
	static const char *const names[][2] = {{"x86_64", "amd64"}, {"aarch64", "arm64"},
		{"armv7l", "arm"}, {"armv6l", "arm"}, {"i686", "386"}};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(machine, names[i][0]) == 0) {
			return names[i][1];
		}
	}
	return machine;
}

static json_t *client_version(const struct cli *cli)
{
	struct utsname u;
	uname(&u);
	return json_pack("{ss ss ss ss ss ss ss ss ss}", "Version", WHERRY_VERSION, "ApiVersion",
		CLIENT_API, "DefaultAPIVersion", CLIENT_API, "GitCommit", "", "GoVersion", "", "Os",
		"linux", "Arch", go_arch(u.machine), "BuildTime", "", "Context", cli->context);
}

static void print_line(const char *indent, const char *label, const char *value)
{
	if (*value) {
		printf("%s%-18s%s\n", indent, label, value);
	}
}

/* RFC 3339 as docker shows it, "Thu Aug 13 05:35:48 2026"; other texts stay. */
static const char *built_at(const char *text, char ret[static TIMES_TEXT_MAX])
{
	int64_t ns;
	struct tm tm;
	if (clock_parse(text, &ns) < 0) {
		snprintf(ret, TIMES_TEXT_MAX, "%s", text);
		return ret;
	}
	time_t t = (time_t)(ns / NS_PER_SEC);
	gmtime_r(&t, &tm);
	strftime(ret, TIMES_TEXT_MAX, "%a %b %e %H:%M:%S %Y", &tm);
	return ret;
}

/* The engine's own details, in Docker's order. */
static void print_engine(const json_t *d)
{
	char built[TIMES_TEXT_MAX];
	if (*json_str(d, "ApiVersion")) {
		printf("  %-18s%s (minimum version %s)\n",
			"API version:", json_str(d, "ApiVersion"), json_str(d, "MinAPIVersion"));
	}
	print_line("  ", "Go version:", json_str(d, "GoVersion"));
	print_line("  ", "Git commit:", json_str(d, "GitCommit"));
	print_line("  ", "Built:", built_at(json_str(d, "BuildTime"), built));
	if (*json_str(d, "Os")) {
		printf("  %-18s%s/%s\n", "OS/Arch:", json_str(d, "Os"), json_str(d, "Arch"));
	}
	print_line("  ", "Experimental:", json_str(d, "Experimental"));
}

/* Those of other components, under their own names. */
static void print_details(json_t *details)
{
	const char *key;
	json_t *v;
	json_object_foreach (details, key, v) {
		scoped(free) char *label = xasprintf("%s:", key);
		printf("  %-18s%s\n", label, json_is_string(v) ? json_string_value(v) : "");
	}
}

static void print_component(const json_t *c)
{
	json_t *details = json_object_get(c, "Details");
	printf(" %s:\n", json_str(c, "Name"));
	print_line("  ", "Version:", json_str(c, "Version"));
	if (strcmp(json_str(c, "Name"), "Engine") == 0) {
		print_engine(details);
	} else {
		print_details(details);
	}
}

static void print_version(const json_t *client, const json_t *server)
{
	printf("Client: Wherry\n");
	print_line(" ", "Version:", json_str(client, "Version"));
	print_line(" ", "API version:", json_str(client, "ApiVersion"));
	printf(" %-18s%s/%s\n", "OS/Arch:", json_str(client, "Os"), json_str(client, "Arch"));
	print_line(" ", "Context:", json_str(client, "Context"));
	if (!server) {
		return;
	}
	const char *platform = json_str(json_object_get(server, "Platform"), "Name");
	printf("\nServer:%s%s\n", *platform ? " " : "", platform);
	const json_t *components = json_object_get(server, "Components");
	for (size_t i = 0; i < json_array_size(components); i++) {
		print_component(json_array_get(components, i));
	}
}

int command_version(struct cli *cli, int argc, char **argv)
{
	const char *format = NULL;
	const struct flag flags[] = {
		{"format", 'f', FLAG_STRING, &format, NULL, INSPECT_FORMAT_HELP},
		{0},
	};
	const struct syntax s = {
		"version", "[OPTIONS]", "Show the Wherry version information", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	struct err f;
	scoped(json) json_t *client = client_version(cli);
	scoped(json) json_t *server = NULL;
	int printed = 0;
	int r = engine_json(cli, "GET", "/version", NULL, &server, &e);
	if (server) {
		json_put_str(client, "ApiVersion", json_str(server, "ApiVersion"));
	}
	if (server && !json_object_get(server, "Experimental")) { /* Go leaves a false one out */
		json_put(server, "Experimental", json_false());
	}
	if (format && *format) {
		scoped(json) json_t *doc = json_pack("{sO so}", "Client", client, "Server",
			server ? json_incref(server) : json_null());
		printed = print_formatted("version", "system.versionInfo", format, doc, &f);
	} else {
		print_version(client, server);
	}
	fflush(stdout);
	if (printed != 0) {
		cli_fail(&f);
		return printed;
	}
	return r < 0 ? cli_fail(&e) : 0;
}

/* --- info --- */

static void put_text(const char *label, const json_t *info, const char *key)
{
	if (*json_str(info, key)) {
		printf(" %s: %s\n", label, json_str(info, key));
	}
}

static void put_number(const char *indent, const char *label, const json_t *info, const char *key)
{
	printf(" %s%s: %lld\n", indent, label, (long long)json_i64(info, key, 0));
}

static void put_flag(const char *label, const json_t *info, const char *key)
{
	printf(" %s: %s\n", label, json_bool(info, key) ? "true" : "false");
}

static void put_counts(const json_t *info)
{
	put_number("", "Containers", info, "Containers");
	put_number(" ", "Running", info, "ContainersRunning");
	put_number(" ", "Paused", info, "ContainersPaused");
	put_number(" ", "Stopped", info, "ContainersStopped");
	put_number("", "Images", info, "Images");
	put_text("Server Version", info, "ServerVersion");
	put_text("Storage Driver", info, "Driver");
	const json_t *status = json_object_get(info, "DriverStatus");
	for (size_t i = 0; i < json_array_size(status); i++) {
		const json_t *pair = json_array_get(status, i);
		printf("  %s: %s\n", json_string_value(json_array_get(pair, 0)),
			json_string_value(json_array_get(pair, 1)));
	}
}

static void put_plugins(const json_t *info)
{
	const char *kind;
	json_t *names;
	printf(" Plugins:\n");
	json_object_foreach (json_object_get(info, "Plugins"), kind, names) {
		if (json_array_size(names) == 0) {
			continue;
		}
		printf("  %s:", kind);
		for (size_t i = 0; i < json_array_size(names); i++) {
			printf(" %s", json_string_value(json_array_get(names, i)));
		}
		printf("\n");
	}
}

static void put_runtimes(const json_t *info)
{
	const char *name;
	json_t *v;
	printf(" Runtimes:");
	json_object_foreach (json_object_get(info, "Runtimes"), name, v) {
		printf(" %s", name);
	}
	printf("\n");
	put_text("Default Runtime", info, "DefaultRuntime");
	put_text("Init Binary", info, "InitBinary");
	static const char *const commits[][2] = {{"containerd version", "ContainerdCommit"},
		{"runc version", "RuncCommit"}, {"init version", "InitCommit"}};
	for (size_t i = 0; i < sizeof(commits) / sizeof(*commits); i++) {
		const char *id = json_str(json_object_get(info, commits[i][1]), "ID");
		if (*id) {
			printf(" %s: %s\n", commits[i][0], id);
		}
	}
	const json_t *security = json_object_get(info, "SecurityOptions");
	printf(" Security Options:\n");
	for (size_t i = 0; i < json_array_size(security);
		i++) { /* "name=seccomp,profile=builtin" */
		scoped(strv) struct strv parts = STRV_INIT;
		strv_split(&parts, json_string_value(json_array_get(security, i)), ',');
		for (size_t k = 0; k < parts.n; k++) {
			const char *value = strchr(parts.v[k], '=');
			bool is_name = text_starts(parts.v[k], "name=");
			if (is_name) {
				printf("  %s\n", value + 1);
			} else if (value) {
				printf("   %c%.*s: %s\n", parts.v[k][0] - 32,
					(int)(value - parts.v[k] - 1), parts.v[k] + 1, value + 1);
			}
		}
	}
}

/* units.BytesSize: 1024-based, four digits. */
static void put_memory(const json_t *info)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double n = (double)json_i64(info, "MemTotal", 0);
	size_t i = 0;
	for (; n >= 1024 && i + 1 < sizeof(units) / sizeof(*units); i++) {
		n /= 1024;
	}
	printf(" Total Memory: %.4g%s\n", n, units[i]);
}

static void put_registries(const json_t *info)
{
	const json_t *config = json_object_get(info, "RegistryConfig");
	const json_t *insecure = json_object_get(config, "InsecureRegistryCIDRs");
	const json_t *mirrors = json_object_get(config, "Mirrors");
	const char *name;
	json_t *v;
	printf(" Insecure Registries:\n");
	json_object_foreach (json_object_get(config, "IndexConfigs"), name, v) {
		if (json_is_false(json_object_get(v, "Secure"))) {
			printf("  %s\n", name);
		}
	}
	for (size_t i = 0; i < json_array_size(insecure); i++) {
		printf("  %s\n", json_string_value(json_array_get(insecure, i)));
	}
	if (json_array_size(mirrors) > 0) {
		printf(" Registry Mirrors:\n");
	}
	for (size_t i = 0; i < json_array_size(mirrors); i++) {
		printf("  %s\n", json_string_value(json_array_get(mirrors, i)));
	}
}

static void print_info(const struct cli *cli, const json_t *info)
{
	printf("Client: Wherry\n Version:    " WHERRY_VERSION
	       "\n Context:    %s\n Debug Mode: %s\n\nServer:\n",
		cli->context, cli->debug ? "true" : "false");
	put_counts(info);
	put_text("Logging Driver", info, "LoggingDriver");
	put_text("Cgroup Driver", info, "CgroupDriver");
	put_text("Cgroup Version", info, "CgroupVersion");
	put_plugins(info);
	printf(" Swarm: %s\n", json_str(json_object_get(info, "Swarm"), "LocalNodeState"));
	put_runtimes(info);
	put_text("Kernel Version", info, "KernelVersion");
	put_text("Operating System", info, "OperatingSystem");
	put_text("OSType", info, "OSType");
	put_text("Architecture", info, "Architecture");
	put_number("", "CPUs", info, "NCPU");
	put_memory(info);
	put_text("Name", info, "Name");
	put_text("ID", info, "ID");
	printf(" Docker Root Dir: %s\n", json_str(info, "DockerRootDir"));
	put_flag("Debug Mode", info, "Debug");
	put_flag("Experimental", info, "ExperimentalBuild");
	put_registries(info);
	put_flag("Live Restore Enabled", info, "LiveRestoreEnabled");
	printf("\n");
	const json_t *warnings = json_object_get(info, "Warnings");
	fflush(stdout);
	for (size_t i = 0; i < json_array_size(warnings); i++) {
		fprintf(stderr, "%s\n", json_string_value(json_array_get(warnings, i)));
	}
}

static json_t *client_info(const struct cli *cli)
{
	return json_pack("{sb ss ss s[] sn}", "Debug", cli->debug, "Version", WHERRY_VERSION,
		"Context", cli->context, "Plugins", "Warnings");
}

int command_info(struct cli *cli, int argc, char **argv)
{
	const char *format = NULL;
	const struct flag flags[] = {
		{"format", 'f', FLAG_STRING, &format, NULL, INSPECT_FORMAT_HELP},
		{0},
	};
	const struct syntax s = {
		"info", "[OPTIONS]", "Display system-wide information", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(json) json_t *info = NULL;
	if (engine_json(cli, "GET", "/info", NULL, &info, &e) < 0) {
		return cli_fail(&e);
	}
	if (format && *format) {
		json_put(info, "ClientInfo", client_info(cli));
		status = print_formatted("", "system.dockerInfo", format, info, &e);
		fflush(stdout);
		if (status != 0) {
			cli_fail(&e);
		}
		return status;
	}
	print_info(cli, info);
	return 0;
}
