/* device ls, watch, inspect: what the machine has, by the engine's own calls (doc/own-api.md). */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/format.h"
#include "wherry/inspect.h"
#include "wherry/rows.h"
#include "wherry/table.h"

static const struct inspect_kind kinds[] = {{"device", "/wherry/v1/devices/", ""}, {0}};

int command_device_inspect(struct cli *cli, int argc, char **argv)
{
	const struct syntax s = {"device inspect", "[OPTIONS] DEVICE [DEVICE...]",
		"Display detailed information on one or more devices: their nodes or links", 1, -1,
		false};
	return inspect_command(cli, kinds, &s, argc, argv);
}

static const struct column columns[] = {
	{"Device", "DEVICE"},
	{"Class", "CLASS"},
	{"USB", "USB"},
	{"Link", "LINK"},
	{"UsedBy", "USED BY"},
	{"Rules", "RULES"},
	{"Serial", "SERIAL"},
	{"Port", "PORT"},
	{"Model", "MODEL"},
	{"Label", "LABEL"},
	{"UUID", "UUID"},
	{"Filesystem", "FILESYSTEM"},
	{"Subsystem", "SUBSYSTEM"},
	{"Number", "NUMBER"},
	{"Mode", "MODE"},
	{"Links", "LINKS"},
	{0},
};

static void put_joined(json_t *row, const char *key, const json_t *list)
{
	scoped(buf) struct buf text = BUF_INIT;
	size_t i;
	json_t *word;
	json_array_foreach (list, i, word) {
		buf_printf(&text, "%s%s", i ? "," : "",
			json_is_string(word) ? json_string_value(word) : "");
	}
	json_put_str(row, key, buf_str(&text));
}

/* The name to write into a configuration: by what the device is, else by where it is plugged. */
static const char *best_link(const json_t *links)
{
	static const char *const kinds_of_link[] = {"/by-id/", "/by-path/", ""};
	size_t i;
	json_t *link;
	for (size_t k = 0; k < sizeof(kinds_of_link) / sizeof(*kinds_of_link); k++) {
		json_array_foreach (links, i, link) {
			if (json_is_string(link) &&
				strstr(json_string_value(link), kinds_of_link[k])) {
				return json_string_value(link);
			}
		}
	}
	return "";
}

static char *usb_of(const json_t *d)
{
	const char *vendor = json_str(d, "vendor");
	return *vendor ? xasprintf("%s:%s", vendor, json_str(d, "product")) : xstrdup("");
}

/* A disk that is not at its place as it was asked for. */
static bool is_amiss(const char *state)
{
	return strcmp(state, "degraded") == 0 || strcmp(state, "failed") == 0;
}

/* "zigbee:/dev/zigbee" of those that have it, and "zigbee/stick" of all whose rule it is;
 * "jellyfin/media(failed)". */
static void put_uses(json_t *row, const json_t *uses)
{
	scoped(json) json_t *users = json_array();
	scoped(json) json_t *rules = json_array();
	size_t i;
	json_t *use;
	json_array_foreach (uses, i, use) {
		const char *name = json_str(use, "name");
		const char *parts[] = {json_str(use, "path"), json_str(use, "rule")};
		scoped(free) char *user = xasprintf("%s:%s", name, parts[0]);
		const char *state = json_str(use, "state");
		bool amiss = is_amiss(state);
		scoped(free) char *rule = xasprintf("%s/%s%s%s%s", name, parts[1], amiss ? "(" : "",
			amiss ? state : "", amiss ? ")" : "");
		if (json_bool(use, "has")) {
			json_array_append_new(users, json_string(user));
		}
		json_array_append_new(rules, json_string(rule));
	}
	put_joined(row, "UsedBy", users);
	put_joined(row, "Rules", rules);
}

static json_t *row_of(const json_t *d)
{
	static const char *const copied[][2] = {{"Device", "node"}, {"Serial", "serial_short"},
		{"Port", "port"}, {"Model", "model"}, {"Label", "label"}, {"UUID", "uuid"},
		{"Filesystem", "fstype"}, {"Subsystem", "subsystem"}, {"Mode", "mode"}};
	json_t *row = json_object();
	scoped(free) char *usb = usb_of(d);
	scoped(free) char *number = xasprintf("%s %lld:%lld", json_str(d, "type"),
		(long long)json_i64(d, "major", 0), (long long)json_i64(d, "minor", 0));
	for (size_t i = 0; i < sizeof(copied) / sizeof(*copied); i++) {
		json_put_str(row, copied[i][0], json_str(d, copied[i][1]));
	}
	put_joined(row, "Class", json_object_get(d, "classes"));
	put_joined(row, "Links", json_object_get(d, "links"));
	json_put_str(row, "USB", usb);
	json_put_str(row, "Number", number);
	json_put_str(row, "Link", best_link(json_object_get(d, "links")));
	put_uses(row, json_object_get(d, "uses"));
	return row;
}

/* What people give to containers, or have given; the rest is of the system. */
static bool is_of_interest(const json_t *d)
{
	return json_array_size(json_object_get(d, "classes")) > 0 ||
	       json_array_size(json_object_get(d, "uses")) > 0;
}

static int list_devices(struct cli *cli, bool all, bool quiet, const char *format, struct err *e)
{
	const struct table t = {.columns = columns,
		.dflt = "{{.Device}}\t{{.Class}}\t{{.USB}}\t{{.Link}}\t{{.UsedBy}}\t{{.Rules}}",
		.quiet_field = "Device",
		.format = format,
		.quiet = quiet,
		.type = "device"};
	scoped(json) json_t *devices = NULL;
	scoped(json) json_t *rows = json_array();
	size_t i;
	json_t *d;
	if (table_check(&t, e) < 0 ||
		engine_json(cli, "GET", "/wherry/v1/devices", NULL, &devices, e) < 0) {
		return -1;
	}
	json_array_foreach (devices, i, d) {
		if (all || is_of_interest(d)) {
			json_array_append_new(rows, row_of(d));
		}
	}
	rows_sort(rows, "Device");
	return table_print(&t, rows, e);
}

int command_device_ls(struct cli *cli, int argc, char **argv)
{
	bool all = false;
	bool quiet = false;
	const char *format = NULL;
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &all, NULL,
			"Show all device nodes (default shows those of a class, and those in use)"},
		{"format", 0, FLAG_STRING, &format, NULL, TABLE_FORMAT_HELP},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Only display the nodes"},
		{0},
	};
	const struct syntax s = {"device ls", "[OPTIONS]",
		"List the machine's devices, what uses them, and the rules that ask for them", 0, 0,
		false};
	int status = flags_parse(&s, flags, &argc, argv);
	struct err e;
	if (status >= 0) {
		return status;
	}
	return list_devices(cli, all, quiet, format, &e) < 0 ? cli_fail(&e) : 0;
}

/* "2026-11-28T07:48:01Z add /dev/ttyUSB0 serial 0403:6001 /dev/serial/by-id/..." */
static void print_plain(const json_t *event)
{
	const json_t *d = json_object_get(event, "device");
	scoped(json) json_t *row = row_of(d);
	static const char *const shown[] = {"Class", "USB", "Link"};
	printf("%s %s %s", json_str(event, "time"), json_str(event, "action"), json_str(d, "node"));
	for (size_t i = 0; i < sizeof(shown) / sizeof(*shown); i++) {
		const char *text = json_str(row, shown[i]);
		printf("%s%s", *text ? " " : "", text);
	}
	printf("\n");
}

static int print_event(void *owner, const json_t *event, struct err *e)
{
	const struct format *f = owner;
	int r = 0;
	if (f) {
		r = format_put_line(f, event, "device event", e);
	} else {
		print_plain(event);
	}
	fflush(stdout);
	return r;
}

static int watch(struct cli *cli, const struct format *f, struct err *e)
{
	const struct http_call call = {.method = "GET", .path = "/wherry/v1/devices/events"};
	return engine_send(cli->http, &call, NULL, e) < 0
		       ? -1
		       : engine_documents(cli->http, print_event, (void *)f, e);
}

int command_device_watch(struct cli *cli, int argc, char **argv)
{
	const char *format = NULL;
	const struct flag flags[] = {
		{"format", 0, FLAG_STRING, &format, NULL, INSPECT_FORMAT_HELP},
		{0},
	};
	const struct syntax s = {"device watch", "[OPTIONS]",
		"Show devices as they come, change and go", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *template = !format || !*format           ? NULL
			       : strcmp(format, "json") == 0 ? "{{json .}}"
							     : format;
	scoped(format) struct format *f = template ? format_new("", template, &e) : NULL;
	if (template && !f) {
		(void)err_wrap(&e, "Error parsing format");
		cli_fail(&e);
		return STATUS_BAD_FORMAT;
	}
	return watch(cli, f, &e) < 0 ? cli_fail(&e) : 0;
}
