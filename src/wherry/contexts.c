/* context ls, show, use, inspect */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/config_file.h"
#include "wherry/context_store.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/inspect.h"
#include "wherry/rows.h"
#include "wherry/table.h"

static const struct column columns[] = {
	{"Name", "NAME"},
	{"Description", "DESCRIPTION"},
	{"DockerEndpoint", "DOCKER ENDPOINT"},
	{"Current", "CURRENT"},
	{"Error", "ERROR"},
	{0},
};

static const char *host_variable(void)
{
	const char *host = getenv("WHERRY_HOST")   ? "WHERRY_HOST"
			   : getenv("DOCKER_HOST") ? "DOCKER_HOST"
						   : NULL;
	return host;
}

static void warn_overridden(void)
{
	const char *name = host_variable();
	if (name) {
		fprintf(stderr,
			"Warning: %s environment variable overrides the active context. To use a context, either set the global --context flag, or unset %s environment variable.\n",
			name, name);
	}
}

static void add_row(json_t *rows, const struct cli *cli, const char *name, const char *description,
	const char *host)
{
	json_t *row = json_object();
	bool current = strcmp(cli->context, name) == 0;
	json_put_str(row, "Name", name);
	json_put_str(row, "Description", description);
	json_put_str(row, "DockerEndpoint", host);
	json_put(row, "Current", json_boolean(current));
	json_put_str(row, "Error", "");
	json_array_append_new(rows, row);
}

/* The star of the current one belongs to the table alone. */
static void mark_names(json_t *rows)
{
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row) {
		scoped(free) char *marked = xasprintf(
			"%s%s", json_str(row, "Name"), json_bool(row, "Current") ? " *" : "");
		json_put_str(row, "Name", marked);
	}
}

static json_t *all_rows(const struct cli *cli)
{
	json_t *rows = json_array();
	scoped(json) json_t *found = docker_context_list(cli->config_dir);
	size_t i;
	json_t *doc;
	add_row(rows, cli, CONTEXT_DEFAULT, "Current DOCKER_HOST based configuration",
		strcmp(cli->context, CONTEXT_DEFAULT) == 0 ? cli->host : "");
	json_array_foreach (found, i, doc) {
		const json_t *endpoint =
			json_object_get(json_object_get(doc, "Endpoints"), "docker");
		add_row(rows, cli, json_str(doc, "Name"),
			json_str(json_object_get(doc, "Metadata"), "Description"),
			json_str(endpoint, "Host"));
	}
	rows_sort(rows, "Name");
	return rows;
}

int command_context_ls(struct cli *cli, int argc, char **argv)
{
	const char *format = NULL;
	bool quiet = false;
	const struct flag flags[] = {
		{"format", 0, FLAG_STRING, &format, NULL, TABLE_FORMAT_HELP},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Only show context names"},
		{0},
	};
	const struct syntax s = {"context ls", "[OPTIONS]", "List contexts", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	const struct table t = {.columns = columns,
		.dflt = "{{.Name}}\t{{.Description}}\t{{.DockerEndpoint}}\t{{.Error}}",
		.quiet_field = "Name",
		.format = format,
		.quiet = quiet,
		.type = "*formatter.clientContextContext"};
	struct err e;
	scoped(json) json_t *rows = all_rows(cli);
	bool plain = !quiet && (!format || !*format || strncmp(format, "table", 5) == 0);
	if (plain) {
		mark_names(rows);
	}
	if (table_print(&t, rows, &e) < 0) {
		return cli_fail(&e);
	}
	fflush(stdout);
	warn_overridden();
	return 0;
}

int command_context_show(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {
		"context show", "", "Print the name of the current context", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		printf("%s\n", cli->context);
	}
	return status < 0 ? 0 : status;
}

static int use(struct cli *cli, const char *name, struct err *e)
{
	bool is_default = strcmp(name, CONTEXT_DEFAULT) == 0;
	scoped(json) json_t *found =
		is_default ? json_object() : docker_context_read(cli->config_dir, name, e);
	scoped(json) json_t *config = found ? config_file_read(cli, e) : NULL;
	if (!config) {
		return -1;
	}
	if (is_default) {
		json_object_del(config, "currentContext");
	} else {
		json_put_str(config, "currentContext", name);
	}
	return config_file_write(cli, config, e);
}

int command_context_use(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {
		"context use", "CONTEXT", "Set the current docker context", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	if (use(cli, argv[1], &e) < 0) {
		return cli_fail(&e);
	}
	printf("%s\n", argv[1]);
	fflush(stdout);
	fprintf(stderr, "Current context is now \"%s\"\n", argv[1]);
	if (strcmp(argv[1], CONTEXT_DEFAULT) != 0) {
		warn_overridden();
	}
	return 0;
}

/* As docker shows it: with the places of the files. */
static json_t *describe(struct cli *cli, const char *name, struct err *e)
{
	if (strcmp(name, CONTEXT_DEFAULT) == 0) {
		return json_pack("{ss s{} s{s{ss sb}} s{} s{ss ss}}", "Name", name, "Metadata",
			"Endpoints", "docker", "Host", cli->host, "SkipTLSVerify", 0, "TLSMaterial",
			"Storage", "MetadataPath", "<IN MEMORY>", "TLSPath", "<IN MEMORY>");
	}
	scoped(json) json_t *doc = docker_context_read(cli->config_dir, name, e);
	if (!doc) {
		return NULL;
	}
	scoped(free) char *meta = docker_context_dir(cli->config_dir, name);
	scoped(free) char *tls =
		xasprintf("%s/contexts/tls/%s", cli->config_dir, strrchr(meta, '/') + 1);
	json_put(doc, "TLSMaterial", json_object());
	json_put(doc, "Storage", json_pack("{ss ss}", "MetadataPath", meta, "TLSPath", tls));
	return json_incref(doc);
}

int command_context_inspect(struct cli *cli, int argc, char **argv)
{
	const char *format = NULL;
	const struct flag flags[] = {
		{"format", 'f', FLAG_STRING, &format, NULL, INSPECT_FORMAT_HELP},
		{0},
	};
	const struct syntax s = {"context inspect", "[OPTIONS] [CONTEXT] [CONTEXT...]",
		"Display detailed information on one or more contexts", 0, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(json) json_t *found = json_array();
	scoped(buf) struct buf missing = BUF_INIT;
	for (int i = 1; i < argc || i == 1; i++) {
		json_t *doc = describe(cli, argc > 1 ? argv[i] : cli->context, &e);
		if (doc) {
			json_array_append_new(found, doc);
		} else {
			buf_printf(&missing, "%s\n", e.msg);
		}
	}
	return inspect_print(found, format, buf_str(&missing));
}
