#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/format.h"
#include "wherry/human.h"
#include "wherry/ps.h"
#include "wherry/rows.h"
#include "wherry/table.h"
#include "wherry/times.h"

static const struct column columns[] = {
	{"ID", "CONTAINER ID"},
	{"Names", "NAMES"},
	{"Image", "IMAGE"},
	{"Command", "COMMAND"},
	{"CreatedAt", "CREATED AT"},
	{"RunningFor", "CREATED"},
	{"Ports", "PORTS"},
	{"State", "STATE"},
	{"Status", "STATUS"},
	{"Size", "SIZE"},
	{"Labels", "LABELS"},
	{"Mounts", "MOUNTS"},
	{"LocalVolumes", "LOCAL VOLUMES"},
	{"Networks", "NETWORKS"},
	{"Platform", "PLATFORM"},
	{0},
};

#define RAW                                                                                                              \
	"container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n"                  \
	"state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\n" \
	"ports: {{- pad .Ports 1 0}}\n"

struct ps {
	bool all, latest, no_trunc, quiet, size;
	int64_t last;
	struct strv filters;
	const char *format;
};

/* "web" of ["/web", "/other/alias"]: names of links stay out unless nothing is cut. */
static json_t *names_of(const json_t *c, bool no_trunc)
{
	struct buf text = BUF_INIT;
	const json_t *names = json_object_get(c, "Names");
	for (size_t i = 0; i < json_array_size(names); i++) {
		const char *name = json_string_value(json_array_get(names, i));
		name = name && *name == '/' ? name + 1 : name;
		if (name && (no_trunc || !strchr(name, '/'))) {
			buf_printf(&text, "%s%s", text.len ? "," : "", name);
		}
	}
	json_t *ret = json_string(buf_str(&text));
	buf_deinit(&text);
	return ret;
}

/* A container of an image that lost its name shows the image's id. */
static json_t *image_of(const json_t *c, bool no_trunc)
{
	const char *image = json_str(c, "Image");
	if (!*image) {
		return json_string("<no image>");
	}
	const char *id = json_str(c, "ImageID");
	char short_id[13];
	char shown[13];
	human_short_id(id, short_id);
	human_short_id(image, shown);
	return json_string(!no_trunc && strcmp(short_id, shown) == 0 && text_starts(id, image)
				   ? shown
				   : image);
}

/* In quotes as Go's strconv.Quote, cut to 20 characters first. */
static json_t *command_of(const json_t *c, bool no_trunc)
{
	struct buf text = BUF_INIT;
	struct buf cut = BUF_INIT;
	human_ellipsis(json_str(c, "Command"), no_trunc ? SIZE_MAX : 20, &cut);
	buf_putc(&text, '"');
	for (const char *p = buf_str(&cut); *p; p++) {
		if (strchr("\n\t\r\"\\", *p)) {
			buf_printf(&text, "\\%c",
				*p == '\n'   ? 'n'
				: *p == '\t' ? 't'
				: *p == '\r' ? 'r'
					     : *p);
		} else if ((unsigned char)*p < ' ' || *p == 127) {
			buf_printf(&text, "\\x%02x", (unsigned char)*p);
		} else {
			buf_putc(&text, *p);
		}
	}
	buf_putc(&text, '"');
	json_t *ret = json_string(buf_str(&text));
	buf_deinit(&text);
	buf_deinit(&cut);
	return ret;
}

static json_t *mounts_of(const json_t *c, bool no_trunc, int *ret_volumes)
{
	struct buf text = BUF_INIT;
	const json_t *mounts = json_object_get(c, "Mounts");
	*ret_volumes = 0;
	for (size_t i = 0; i < json_array_size(mounts); i++) {
		const json_t *m = json_array_get(mounts, i);
		const char *name =
			*json_str(m, "Name") ? json_str(m, "Name") : json_str(m, "Source");
		*ret_volumes += strcmp(json_str(m, "Driver"), "local") == 0;
		buf_puts(&text, text.len ? "," : "");
		human_ellipsis(name, no_trunc ? SIZE_MAX : 15, &text);
	}
	json_t *ret = json_string(buf_str(&text));
	buf_deinit(&text);
	return ret;
}

static json_t *networks_of(const json_t *c)
{
	struct buf text = BUF_INIT;
	const char *key;
	json_t *v;
	json_object_foreach (
		json_object_get(json_object_get(c, "NetworkSettings"), "Networks"), key, v) {
		buf_printf(&text, "%s%s", text.len ? "," : "", key);
	}
	json_t *ret = json_string(buf_str(&text));
	buf_deinit(&text);
	return ret;
}

static json_t *size_of(const json_t *c)
{
	char own[HUMAN_MAX];
	char all[HUMAN_MAX];
	int64_t root = json_i64(c, "SizeRootFs", 0);
	human_size((double)json_i64(c, "SizeRw", 0), 3, own);
	human_size((double)root, 3, all);
	scoped(free) char *text = root > 0 ? xasprintf("%s (virtual %s)", own, all) : xstrdup(own);
	return json_string(text);
}

static void put_times(json_t *row, int64_t created, int64_t now)
{
	struct buf ago = BUF_INIT;
	human_ago(created, now, &ago);
	json_put_str(row, "RunningFor", buf_str(&ago));
	buf_deinit(&ago);
	char text[TIMES_TEXT_MAX];
	json_put_str(row, "CreatedAt", times_local(created, text));
}

json_t *ps_row(const json_t *c, bool no_trunc, int64_t now)
{
	json_t *row = json_object();
	char id[13];
	struct buf ports = BUF_INIT;
	int volumes;
	json_t *mounts = mounts_of(c, no_trunc, &volumes);
	scoped(free) char *n_volumes = xasprintf("%d", volumes);
	human_ports(json_object_get(c, "Ports"), &ports);
	json_put_str(
		row, "ID", no_trunc ? json_str(c, "Id") : human_short_id(json_str(c, "Id"), id));
	json_put(row, "Names", names_of(c, no_trunc));
	json_put(row, "Image", image_of(c, no_trunc));
	json_put(row, "Command", command_of(c, no_trunc));
	put_times(row, json_i64(c, "Created", 0), now);
	json_put_str(row, "Ports", buf_str(&ports));
	json_put_str(row, "State", json_str(c, "State"));
	json_put_str(row, "Status", json_str(c, "Status"));
	json_put(row, "Size", size_of(c));
	rows_put_labels(row, json_object_get(c, "Labels"));
	json_put(row, "Mounts", mounts);
	json_put_str(row, "LocalVolumes", n_volumes);
	json_put(row, "Networks", networks_of(c));
	json_put(row, "Platform", json_null());
	buf_deinit(&ports);
	return row;
}

/* Docker runs the template once over a container without anything, before it asks. */
static int probe(const struct ps *o, struct err *e)
{
	scoped(json) json_t *empty = json_object();
	scoped(json) json_t *row = ps_row(empty, o->no_trunc, 0);
	scoped(buf) struct buf text = BUF_INIT;
	const struct format_style style = {.type = "*formatter.ContainerContext", .is_row = true};
	scoped(format) struct format *f = format_new("", o->format, e);
	json_put_str(row, "Image", "");
	if (!f) {
		return err_wrap(e, "failed to parse template");
	}
	return format_run(f, row, &style, &text, e) < 0 ? err_wrap(e, "failed to execute template")
							: 0;
}

/* Sizes cost the engine a walk over files. */
static bool uses_size(const char *format)
{
	return strstr(format, ".Size") || strstr(format, "{{.}}") || strstr(format, "json .}") ||
	       strstr(format, "json . ");
}

static int list(struct cli *cli, const struct ps *o, const struct table *t, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	scoped(json) json_t *found = NULL;
	buf_puts(&path, "/containers/json");
	path_query(&path, "all", o->all ? "1" : NULL);
	if (o->last > 0) { /* the engine then looks at all */
		char limit[24];
		snprintf(limit, sizeof(limit), "%" PRId64, o->last);
		path_query(&path, "limit", limit);
	}
	bool templated = o->format && *o->format && strcmp(o->format, "json") != 0;
	bool wants_size = o->size || (templated && uses_size(o->format));
	path_query(&path, "size", wants_size ? "1" : NULL);
	if ((templated && probe(o, e) < 0) || table_check(t, e) < 0 ||
		path_filters(&path, &o->filters, e) < 0 ||
		engine_json(cli, "GET", buf_str(&path), NULL, &found, e) < 0) {
		return -1;
	}
	scoped(json) json_t *rows = json_array();
	int64_t now = clock_real_ns() / NS_PER_SEC;
	for (size_t i = 0; i < json_array_size(found); i++) {
		json_array_append_new(rows, ps_row(json_array_get(found, i), o->no_trunc, now));
	}
	return table_print(t, rows, e);
}

int command_ps(struct cli *cli, int argc, char **argv)
{
	struct ps o = {.last = -1};
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &o.all, NULL,
			"Show all containers (default shows just running)"},
		{"filter", 'f', FLAG_FILTER, &o.filters, NULL,
			"Filter output based on conditions provided"},
		{"format", 0, FLAG_STRING, &o.format, NULL, TABLE_FORMAT_HELP},
		{"last", 'n', FLAG_INT, &o.last, NULL,
			"Show n last created containers (includes all states) (default -1)"},
		{"latest", 'l', FLAG_BOOL, &o.latest, NULL,
			"Show the latest created container (includes all states)"},
		{"no-trunc", 0, FLAG_BOOL, &o.no_trunc, NULL, "Don't truncate output"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL, "Only display container IDs"},
		{"size", 's', FLAG_BOOL, &o.size, NULL, "Display total file sizes"},
		{0},
	};
	const struct syntax s = {"ps", "[OPTIONS]", "List containers", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		if (o.quiet && o.format) {
			fprintf(stderr,
				"WARNING: Ignoring custom format, because both --format and --quiet are set.\n");
			o.format = NULL;
		}
		scoped(free) char *format =
			table_format(cli->config, "psFormat", o.format, o.quiet);
		o.format = format;
		o.last = o.latest && o.last < 0 ? 1 : o.last;
		const struct table t = {.columns = columns,
			.dflt = o.size ? "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}\t{{.Size}}"
				       : "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}",
			.quiet_field = "ID",
			.format = o.format,
			.quiet = o.quiet,
			.type = "*formatter.containerContext",
			.raw = RAW};
		struct err e;
		status = list(cli, &o, &t, &e) < 0 ? cli_fail(&e) : 0;
	}
	strv_deinit(&o.filters);
	return status;
}
