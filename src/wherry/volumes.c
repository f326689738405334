/* volume ls, create, rm, inspect; prune is in prune.c */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "volume/remote.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/human.h"
#include "wherry/inspect.h"
#include "wherry/rows.h"
#include "wherry/spec_check.h"
#include "wherry/specs.h"
#include "wherry/table.h"
#include "wherry/volumes.h"

static const struct inspect_kind kinds[] = {{"volume", "/volumes/", ""}, {0}};

int command_volume_inspect(struct cli *cli, int argc, char **argv)
{
	const struct syntax s = {"volume inspect", "[OPTIONS] VOLUME [VOLUME...]",
		"Display detailed information on one or more volumes", 1, -1, false};
	return inspect_command(cli, kinds, &s, argc, argv);
}

static const struct column columns[] = {
	{"Driver", "DRIVER"},
	{"Name", "VOLUME NAME"},
	{"Scope", "SCOPE"},
	{"Mountpoint", "MOUNTPOINT"},
	{"Labels", "LABELS"},
	{"Links", "LINKS"},
	{"Size", "SIZE"},
	{"Availability", "AVAILABILITY"},
	{"Group", "GROUP"},
	{"Status", "STATUS"},
	{0},
};

json_t *volumes_row(const json_t *v)
{
	json_t *row = json_object();
	static const char *const copied[] = {"Driver", "Name", "Scope", "Mountpoint"};
	static const char *const absent[] = {"Links", "Size", "Availability", "Group", "Status"};
	const char *state = json_str(json_object_get(v, "Status"), "State");
	for (size_t i = 0; i < sizeof(copied) / sizeof(*copied); i++) {
		json_put_str(row, copied[i], json_str(v, copied[i]));
	}
	for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
		json_put_str(row, absent[i], "N/A");
	}
	if (*state) {
		json_put_str(row, "Status", state);
	}
	rows_put_labels(row, json_object_get(v, "Labels"));
	return row;
}

static struct table table_of(const char *format, bool quiet)
{
	return (struct table){.columns = columns,
		.dflt = "{{.Driver}}\t{{.Name}}",
		.quiet_field = "Name",
		.format = format,
		.quiet = quiet,
		.type = "*formatter.volumeContext",
		.raw = "name: {{.Name}}\ndriver: {{.Driver}}\n"};
}

int volumes_check(const char *format, struct err *e)
{
	const struct table t = table_of(format, false);
	return table_check(&t, e);
}

int volumes_print(const json_t *volumes, const char *format, bool quiet, struct err *e)
{
	const struct table t = table_of(format, quiet);
	scoped(json) json_t *rows = json_array();
	for (size_t i = 0; i < json_array_size(volumes); i++) {
		json_array_append_new(rows, volumes_row(json_array_get(volumes, i)));
	}
	rows_sort(rows, "Name");
	return table_print(&t, rows, e);
}

int command_volume_ls(struct cli *cli, int argc, char **argv)
{
	bool quiet = false;
	const char *format = NULL;
	struct strv filters = STRV_INIT;
	const struct flag flags[] = {
		{"filter", 'f', FLAG_FILTER, &filters, NULL,
			"Provide filter values (e.g. \"dangling=true\")"},
		{"format", 0, FLAG_STRING, &format, NULL, TABLE_FORMAT_HELP},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Only display volume names"},
		{0},
	};
	const struct syntax s = {"volume ls", "[OPTIONS]", "List volumes", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		scoped(free) char *chosen =
			table_format(cli->config, "volumesFormat", format, quiet);
		struct err e;
		scoped(buf) struct buf path = BUF_INIT;
		scoped(json) json_t *answer = NULL;
		buf_puts(&path, "/volumes");
		int r = volumes_check(chosen, &e);
		r = r < 0 ? r : path_filters(&path, &filters, &e);
		r = r < 0 ? r : engine_json(cli, "GET", buf_str(&path), NULL, &answer, &e);
		r = r < 0 ? r
			  : volumes_print(json_object_get(answer, "Volumes"), chosen, quiet, &e);
		status = r < 0 ? cli_fail(&e) : 0;
	}
	strv_deinit(&filters);
	return status;
}

struct volume_create {
	const char *driver, *name, *credentials;
	struct strv labels, options;
};

/* Also of one that there is: they are replaced. */
static int put_credentials(struct cli *cli, const char *name, const char *file, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	int r = path_read(AT_FDCWD, file, REMOTE_CREDENTIALS_MAX, &text);
	if (r < 0) {
		return err_sys(e, -r, "cannot read %s", file);
	}
	return engine_put_credentials(cli, name, buf_str(&text), e);
}

static int create(struct cli *cli, const struct volume_create *o, const char *name, struct err *e)
{
	json_t *labels = json_object();
	json_t *options = json_object();
	scoped(json) json_t *answer = NULL;
	scoped(json) json_t *body = json_pack(
		"{ss so so}", "Driver", o->driver, "DriverOpts", options, "Labels", labels);
	if (name) {
		json_put_str(body, "Name", name);
	}
	for (size_t i = 0; i < o->labels.n; i++) {
		if (spec_label(o->labels.v[i], labels, e) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < o->options.n; i++) {
		if (spec_option(o->options.v[i], "opt", options, e) < 0) {
			return -1;
		}
	}
	if (engine_json(cli, "POST", "/volumes/create", body, &answer, e) < 0) {
		return -1;
	}
	if (o->credentials &&
		put_credentials(cli, json_str(answer, "Name"), o->credentials, e) < 0) {
		return -1;
	}
	printf("%s\n", json_str(answer, "Name"));
	return 0;
}

int engine_put_credentials(struct cli *cli, const char *volume, const char *text, struct err *e)
{
	scoped(free) char *path = xasprintf("/wherry/v1/volumes/%s/credentials", volume);
	scoped(json) json_t *body = json_pack("{ss}", "credentials", text);
	return body ? engine_json(cli, "PUT", path, body, NULL, e)
		    : err_set(e, ERR_INVALID, "the credentials are no UTF-8");
}

int command_volume_create(struct cli *cli, int argc, char **argv)
{
	struct volume_create o = {.driver = "local"};
	struct flag_checked labels = {&o.labels, check_label};
	const struct flag flags[] = {
		{"credentials", 0, FLAG_STRING, &o.credentials, NULL,
			"File with lines username=, password=, domain= that the engine keeps for it (cifs)"},
		{"driver", 'd', FLAG_STRING, &o.driver, NULL,
			"Specify volume driver name (default \"local\")"},
		{"label", 0, FLAG_CHECKED, &labels, NULL, "Set metadata for a volume"},
		{"name", 0, FLAG_STRING, &o.name, NULL, NULL},
		{"opt", 'o', FLAG_LIST, &o.options, "map",
			"Set driver specific options (default map[])"},
		{0},
	};
	const struct syntax s = {
		"volume create", "[OPTIONS] [VOLUME]", "Create a volume", 0, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		struct err e;
		status = create(cli, &o, argc > 1 ? argv[1] : o.name, &e) < 0 ? cli_fail(&e) : 0;
	}
	strv_deinit(&o.labels);
	strv_deinit(&o.options);
	return status;
}

static int remove_one(struct cli *cli, const char *name, void *owner, struct err *e)
{
	return engine_on(
		cli, "DELETE", "/volumes/", name, *(bool *)owner ? "?force=1" : "", NULL, e);
}

int command_volume_rm(struct cli *cli, int argc, char **argv)
{
	bool force = false;
	const struct flag flags[] = {
		{"force", 'f', FLAG_BOOL, &force, NULL, "Force the removal of one or more volumes"},
		{0}};
	const struct syntax s = {"volume rm", "[OPTIONS] VOLUME [VOLUME...]",
		"Remove one or more volumes. You cannot remove a volume that is in use by a container.",
		1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	return status >= 0 ? status : engine_each(cli, argc, argv, remove_one, &force);
}
