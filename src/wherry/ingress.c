/* ingress ls: what the front door serves, by the engine's own call (doc/own-api.md). */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/format.h"
#include "wherry/rows.h"
#include "wherry/table.h"

static const struct column columns[] = {
	{"URL", "URL"},
	{"Container", "CONTAINER"},
	{"State", "STATE"},
	{"Auth", "AUTH"},
	{"Error", "ERROR"},
	{"Service", "SERVICE"},
	{"Servers", "SERVERS"},
	{"TLS", "TLS"},
	{"ID", "CONTAINER ID"},
	{"Name", "NAME"},
	{0},
};

static char *joined(const json_t *list)
{
	struct buf text = BUF_INIT;
	size_t i;
	json_t *word;
	json_array_foreach (list, i, word) {
		buf_printf(&text, "%s%s", i ? "," : "", json_string_value(word));
	}
	return buf_take_str(&text);
}

static json_t *row_new(const json_t *o, const char *url)
{
	static const char *const copied[][2] = {{"Container", "Container"}, {"State", "State"},
		{"Service", "Service"}, {"TLS", "Tls"}, {"Auth", "Auth"}, {"ID", "Id"},
		{"Name", "Name"}};
	json_t *row = json_object();
	scoped(free) char *servers = joined(json_object_get(o, "Servers"));
	json_put_str(row, "URL", url);
	for (size_t i = 0; i < sizeof(copied) / sizeof(*copied); i++) {
		json_put_str(row, copied[i][0], json_str(o, copied[i][1]));
	}
	json_put_str(row, "Servers", servers);
	json_put_str(row, "Error", "");
	return row;
}

/* "https://app.box.local:8443/x"; the port where it is not the scheme's. */
static char *url_of(const json_t *doc, const json_t *route)
{
	bool plain = strcmp(json_str(route, "Tls"), "off") == 0;
	long long port = json_i64(doc, plain ? "HttpPort" : "HttpsPort", 0);
	const char *scheme = plain ? "http" : "https";
	scoped(free) char *shown =
		port == (plain ? 80 : 443) ? xstrdup("") : xasprintf(":%lld", port);
	return xasprintf(
		"%s://%s%s%s", scheme, json_str(route, "Host"), shown, json_str(route, "Path"));
}

/* An error is of a container: a row of its own, for its route is another's or nobody's. */
static void add_errors(json_t *rows, const json_t *doc)
{
	size_t i;
	json_t *o;
	json_array_foreach (json_object_get(doc, "Errors"), i, o) {
		json_t *row = row_new(o, "");
		json_put_str(row, "State", "refused");
		json_put_str(row, "Error", json_str(o, "Error"));
		json_array_append_new(rows, row);
	}
}

static json_t *rows_of(const json_t *doc)
{
	json_t *rows = json_array();
	const char *general = json_str(doc, "Error");
	size_t i;
	json_t *o;
	json_array_foreach (json_object_get(doc, "Routes"), i, o) {
		scoped(free) char *url = url_of(doc, o);
		json_t *row = row_new(o, url);
		json_put_str(row, "Error", general);
		json_array_append_new(rows, row);
	}
	json_array_foreach (json_object_get(doc, "Streams"), i, o) {
		scoped(free) char *url = xasprintf("%s://%s:%lld", json_str(o, "Protocol"),
			json_str(doc, "Name"), (long long)json_i64(o, "Listen", 0));
		json_t *row = row_new(o, url);
		json_put_str(row, "Error", general);
		json_array_append_new(rows, row);
	}
	rows_sort(rows, "URL");
	add_errors(rows, doc);
	return rows;
}

int command_ingress_ls(struct cli *cli, int argc, char **argv)
{
	bool quiet = false;
	const char *format = NULL;
	const struct flag flags[] = {
		{"format", 0, FLAG_STRING, &format, NULL, TABLE_FORMAT_HELP},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Only display the addresses"},
		{0},
	};
	const struct syntax s = {"ingress ls", "[OPTIONS]",
		"List what the front door serves, and what it cannot", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(json) json_t *doc = NULL;
	const struct table t = {.columns = columns,
		.dflt = "{{.URL}}\t{{.Container}}\t{{.State}}\t{{.Auth}}\t{{.Error}}",
		.quiet_field = "URL",
		.format = format,
		.quiet = quiet,
		.type = "ingress"};
	if (table_check(&t, &e) < 0 ||
		engine_json(cli, "GET", "/wherry/v1/ingress", NULL, &doc, &e) < 0) {
		return cli_fail(&e);
	}
	scoped(json) json_t *rows = rows_of(doc);
	return table_print(&t, rows, &e) < 0 ? cli_fail(&e) : 0;
}
