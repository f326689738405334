/* compose ps: the containers of a project, with docker ps's columns and docker compose's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/compose.h"
#include "wherry/engine.h"
#include "wherry/human.h"
#include "wherry/ps.h"
#include "wherry/rows.h"
#include "wherry/table.h"

struct ps {
	bool all, quiet, services, orphans, no_trunc;
	const char *format, *filter;
	struct strv statuses;
};

/* "(healthy)" in the status is all that the list says about health. */
static const char *health_word(const char *status)
{
	return strstr(status, "(healthy)")            ? "healthy"
	       : strstr(status, "(unhealthy)")        ? "unhealthy"
	       : strstr(status, "(health: starting)") ? "starting"
						      : "";
}

static int by_target(const void *a, const void *b)
{
	int64_t x = json_i64(*(json_t *const *)a, "PrivatePort", 0);
	int64_t y = json_i64(*(json_t *const *)b, "PrivatePort", 0);
	return (x > y) - (x < y);
}

/* By the port inside; the engine's order otherwise. */
static json_t *publishers(const json_t *ports)
{
	size_t n = json_array_size(ports);
	scoped(free) json_t **sorted = xnew_array(json_t *, n + 1);
	json_t *list = json_array();
	for (size_t i = 0; i < n; i++) {
		sorted[i] = json_array_get(ports, i);
	}
	qsort(sorted, n, sizeof(void *), by_target);
	for (size_t i = 0; i < n; i++) {
		json_t *o = json_object();
		json_put_str(o, "URL", json_str(sorted[i], "IP"));
		json_put(o, "TargetPort", json_integer(json_i64(sorted[i], "PrivatePort", 0)));
		json_put(o, "PublishedPort", json_integer(json_i64(sorted[i], "PublicPort", 0)));
		json_put_str(o, "Protocol", json_str(sorted[i], "Type"));
		json_array_append_new(list, o);
	}
	return list;
}

static json_t *row_of(const struct ps *o, const struct state_container *container,
	const json_t *listed, const char *project)
{
	const char *status = json_str(listed, "Status");
	json_t *row = ps_row(listed, o->no_trunc, clock_real_ns() / NS_PER_SEC);
	long code =
		text_starts(status, "Exited (") ? strtol(status + strlen("Exited ("), NULL, 10) : 0;
	json_object_del(row, "Platform");
	json_put_str(row, "Name", container->name);
	json_put_str(row, "Service", container->service);
	json_put_str(row, "Project", project);
	json_put_str(row, "Image", json_str(listed, "Image"));
	json_put_str(row, "Health", health_word(status));
	json_put(row, "ExitCode", json_integer(code));
	json_put(row, "Publishers", publishers(json_object_get(listed, "Ports")));
	if (o->quiet) {
		json_put_str(row, "ID", container->id);
	}
	return row;
}

/* Go's encoding/json: safe inside HTML. */
static void put_html_safe(const char *text, struct buf *ret)
{
	for (const char *p = text; *p; p++) {
		if (strchr("<>&", *p)) {
			buf_printf(ret, "\\u00%02x", (unsigned)*p);
		} else {
			buf_putc(ret, *p);
		}
	}
}

/* One object a line; publishers have the order of Go's structure. */
static void print_json_rows(json_t *rows)
{
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row) {
		scoped(buf) struct buf line = BUF_INIT;
		scoped(strv) struct strv keys = STRV_INIT;
		const char *key;
		json_t *value;
		json_object_del(row, "_labels");
		json_object_foreach (row, key, value) {
			strv_add(&keys, key);
		}
		strv_sort(&keys);
		for (size_t k = 0; k < keys.n; k++) {
			value = json_object_get(row, keys.v[k]);
			char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
			buf_printf(&line, "%s\"%s\":", k ? "," : "{", keys.v[k]);
			put_html_safe(text ? text : "null", &line);
			free(text);
		}
		printf("%s}\n", buf_str(&line));
	}
}

#define RAW                                                                                                              \
	"container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\n"                  \
	"state: {{- pad .State 1 0}}\nstatus: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\n" \
	"ports: {{- pad .Ports 1 0}}\n"

static int print_ps(const struct ps *o, json_t *rows, struct err *e)
{
	static const struct column columns[] = {{"Name", "NAME"}, {"Image", "IMAGE"},
		{"Command", "COMMAND"}, {"Service", "SERVICE"}, {"RunningFor", "CREATED"},
		{"Status", "STATUS"}, {"Ports", "PORTS"}, {"ID", "CONTAINER ID"},
		{"Project", "PROJECT"}, {"CreatedAt", "CREATED AT"}, {"State", "STATE"},
		{"Size", "SIZE"}, {"Labels", "LABELS"}, {"Names", "NAMES"}, {"Health", "HEALTH"},
		{"ExitCode", "EXIT CODE"}, {"Mounts", "MOUNTS"}, {"Networks", "NETWORKS"},
		{"LocalVolumes", "LOCAL VOLUMES"}, {"Publishers", "PUBLISHERS"}, {0}};
	const struct table t = {.columns = columns,
		.dflt = "{{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}",
		.quiet_field = "ID",
		.format = o->quiet ? NULL : o->format,
		.quiet = o->quiet,
		.type = "*formatter.ContainerContext",
		.raw = RAW};
	if (o->format && strcmp(o->format, "json") == 0 && !o->quiet) {
		print_json_rows(rows);
		return 0;
	}
	return table_check(&t, e) < 0 ? -1 : table_print(&t, rows, e);
}

/* On a line of its own also when there is none, as docker compose. */
static void print_services(const json_t *rows)
{
	scoped(strv) struct strv seen = STRV_INIT;
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row) {
		const char *service = json_str(row, "Service");
		if (!strv_has(&seen, service)) {
			scoped(free) char *shown = compose_shown(service);
			printf("%s%s", seen.n ? "\n" : "", shown);
			strv_add(&seen, service);
		}
	}
	printf("\n");
}

static bool is_wanted(
	const struct compose *c, const struct ps *o, const struct state_container *container)
{
	bool by_status = o->statuses.n > 0;
	if (c->project && !o->orphans && c->services.n == 0 &&
		!project_service(c->project, container->service)) {
		return false;
	}
	if (by_status && !strv_has(&o->statuses, container->status)) {
		return false;
	}
	return compose_is_named(c, container->service) &&
	       (o->all || by_status || (compose_is_running(container) && !container->one_off));
}

static int run_ps(struct compose *c, const struct ps *o, const char *project, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	scoped(json) json_t *rows = json_array();
	if (compose_check_names(c, e) < 0 || compose_state_fetch(c, project, &s, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < s.s.n_containers; i++) {
		const struct state_container *container = &s.s.containers[i];
		const json_t *listed = compose_listed(&s, container->id);
		if (listed && is_wanted(c, o, container)) {
			json_array_append_new(rows, row_of(o, container, listed, project));
		}
	}
	rows_sort_plain(rows, "Name");
	if (o->services && !o->quiet) {
		print_services(rows);
		return 0;
	}
	return print_ps(o, rows, e);
}

static int read_filter(struct ps *o, struct err *e)
{
	if (!o->filter || !*o->filter) {
		return 0;
	}
	size_t n = strcspn(o->filter, "=");
	if (!o->filter[n]) {
		return err_set(e, ERR_INVALID, "arguments to --filter should be in form KEY=VAL");
	}
	if (!text_starts(o->filter, "status=")) {
		return err_set(e, ERR_INVALID, "unknown filter %.*s", (int)n, o->filter);
	}
	strv_add(&o->statuses, o->filter + n + 1);
	return 0;
}

int compose_ps(struct compose *c, int argc, char **argv)
{
	struct ps o = {.orphans = true};
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &o.all, NULL,
			"Show all stopped containers (including those created by the run command)"},
		{"filter", 0, FLAG_STRING, &o.filter, NULL,
			"Filter services by a property (supported filters: status)"},
		{"format", 0, FLAG_STRING, &o.format, NULL,
			TABLE_FORMAT_HELP " (default \"table\")"},
		{"no-trunc", 0, FLAG_BOOL, &o.no_trunc, NULL, "Don't truncate output"},
		{"orphans", 0, FLAG_BOOL, &o.orphans, NULL,
			"Include orphaned services (not declared by project) (default true)"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL, "Only display IDs"},
		{"services", 0, FLAG_BOOL, &o.services, NULL, "Display services"},
		{"status", 0, FLAG_LIST, &o.statuses, "stringArray",
			"Filter services by status. Values: [paused | restarting | removing | running | dead | created | exited]"},
		{0},
	};
	const struct syntax s = {
		"compose ps", "[OPTIONS] [SERVICE...]", "List containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	struct err e;
	const char *project;
	if (status < 0) {
		bool failed = read_filter(&o, &e) < 0 ||
			      compose_load_or_name(c, argv + 1, argc - 1, &project, &e) < 0 ||
			      run_ps(c, &o, project, &e) < 0;
		status = failed ? cli_fail(&e) : 0;
	}
	strv_deinit(&o.statuses);
	return status;
}
