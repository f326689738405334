#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "wherry/compose.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/human.h"
#include "wherry/table.h"

struct ps {
	bool all, quiet, services, orphans, no_trunc;
	const char *format;
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

static json_t *publishers(const json_t *o)
{
	json_t *list = json_array();
	size_t i;
	json_t *port;
	json_array_foreach (json_object_get(o, "Ports"), i, port) {
		json_array_append_new(
			list, json_pack("{s:s,s:I,s:I,s:s}", "URL", json_str(port, "IP"),
				      "TargetPort", (json_int_t)json_i64(port, "PrivatePort", 0),
				      "PublishedPort", (json_int_t)json_i64(port, "PublicPort", 0),
				      "Protocol", json_str(port, "Type")));
	}
	return list;
}

static json_t *labels_text(const json_t *labels)
{
	scoped(buf) struct buf text = BUF_INIT;
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)labels, key, value) {
		buf_printf(&text, "%s%s=%s", text.len ? "," : "", key,
			json_string_value(value) ? json_string_value(value) : "");
	}
	return json_string(buf_str(&text));
}

static json_t *ps_row(const struct compose *c, const struct state_container *container,
	const json_t *o, const char *project)
{
	scoped(buf) struct buf created = BUF_INIT;
	scoped(buf) struct buf ports = BUF_INIT;
	scoped(buf) struct buf command = BUF_INIT;
	const char *status = json_str(o, "Status");
	const char *open = strstr(status, "Exited (");
	scoped(free) char *quoted = xasprintf("\"%s\"", json_str(o, "Command"));
	json_t *row = json_object();
	human_ago(json_i64(o, "Created", 0), time(NULL), &created);
	human_ports(json_object_get(o, "Ports"), &ports);
	human_ellipsis(quoted, 20, &command);
	json_put_str(row, "ID", container->id);
	json_put_str(row, "Name", container->name);
	json_put_str(row, "Names", container->name);
	json_put_str(row, "Service", container->service);
	json_put_str(row, "Project", project);
	json_put_str(row, "Image", json_str(o, "Image"));
	json_put_str(row, "Command", buf_str(&command));
	json_put_str(row, "RunningFor", buf_str(&created));
	json_put_str(row, "Status", status);
	json_put_str(row, "State", container->status);
	json_put_str(row, "Health", health_word(status));
	json_put_str(row, "Ports", buf_str(&ports));
	json_put(row, "ExitCode",
		json_integer(open ? strtol(open + strlen("Exited ("), NULL, 10) : 0));
	json_put(row, "Publishers", publishers(o));
	json_put(row, "Labels", labels_text(json_object_get(o, "Labels")));
	json_put(row, "_labels", json_deep_copy(json_object_get(o, "Labels")));
	return row;
}

/* One object a line; what only our tables need is left out. */
static void print_json_rows(json_t *rows)
{
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row) {
		json_object_del(row, "_labels");
		scoped(free) char *text = json_dumps(row, JSON_COMPACT | JSON_SORT_KEYS);
		printf("%s\n", text ? text : "{}");
	}
}

static int print_ps(const struct ps *o, json_t *rows, struct err *e)
{
	static const struct column columns[] = {{"Name", "NAME"}, {"Image", "IMAGE"},
		{"Command", "COMMAND"}, {"Service", "SERVICE"}, {"RunningFor", "CREATED"},
		{"Status", "STATUS"}, {"Ports", "PORTS"}, {"ID", "CONTAINER ID"},
		{"Names", "NAMES"}, {"Project", "PROJECT"}, {"State", "STATE"},
		{"Health", "HEALTH"}, {"ExitCode", "EXIT CODE"}, {"Labels", "LABELS"}, {0}};
	const struct table t = {.columns = columns,
		.dflt = "{{.Name}}\t{{.Image}}\t{{.Command}}\t{{.Service}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}",
		.quiet_field = "ID",
		.format = o->format,
		.quiet = o->quiet};
	if (o->format && strcmp(o->format, "json") == 0 && !o->quiet) {
		print_json_rows(rows);
		return 0;
	}
	return table_check(&t, e) < 0 ? -1 : table_print(&t, rows, e);
}

static void print_services(const json_t *rows)
{
	scoped(strv) struct strv seen = STRV_INIT;
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row) {
		const char *service = json_str(row, "Service");
		if (!strv_has(&seen, service)) {
			printf("%s\n", service);
			strv_add(&seen, service);
		}
	}
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
		const json_t *listing = compose_listed(&s, container->id);
		bool wanted = o->statuses.n > 0 ? strv_has(&o->statuses, container->status)
						: o->all || compose_is_running(container);
		if (wanted && compose_is_named(c, container->service) &&
			(!container->one_off || o->all) && listing) {
			json_array_append_new(rows, ps_row(c, container, listing, project));
		}
	}
	if (o->services) {
		print_services(rows);
		return 0;
	}
	return print_ps(o, rows, e);
}

int compose_ps(struct compose *c, int argc, char **argv)
{
	struct ps o = {0};
	struct strv filters = STRV_INIT;
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &o.all, NULL, "Show all stopped containers"},
		{"format", 0, FLAG_STRING, &o.format, NULL,
			"Format output (\"table\", \"json\" or a Go template)"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL, "Only display IDs"},
		{"services", 0, FLAG_BOOL, &o.services, NULL, "Display services"},
		{"status", 0, FLAG_LIST, &o.statuses, NULL, "Filter services by status"},
		{"filter", 0, FLAG_LIST, &filters, NULL,
			"Filter services by a property (supported filters: status)"},
		{"orphans", 0, FLAG_BOOL, &o.orphans, NULL,
			"Include orphaned services (not declared by project)"},
		{"no-trunc", 0, FLAG_BOOL, &o.no_trunc, NULL, "Don't truncate output"},
		{0},
	};
	const struct syntax s = {
		"compose ps", "[OPTIONS] [SERVICE...]", "List containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	struct err e;
	const char *project;
	if (status < 0) {
		for (size_t i = 0; i < filters.n; i++) {
			if (strncmp(filters.v[i], "status=", 7) == 0) {
				strv_add(&o.statuses, filters.v[i] + 7);
			}
		}
		bool failed = compose_load_or_name(c, argv + 1, argc - 1, &project, &e) < 0 ||
			      run_ps(c, &o, project, &e) < 0;
		status = failed ? cli_fail(&e) : 0;
	}
	strv_deinit(&filters);
	strv_deinit(&o.statuses);
	return status;
}

/* ---- port ---- */

static int print_port(struct compose *c, const char *project, const char *service, int number,
	int port, const char *protocol, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	if (compose_state_fetch(c, project, &s, e) < 0) {
		return -1;
	}
	const struct state_container *container = compose_container(&s, service, number);
	if (!container) {
		return err_set(e, ERR_NOT_FOUND, "no container found for service \"%s\"", service);
	}
	size_t i;
	json_t *o;
	json_array_foreach (json_object_get(compose_listed(&s, container->id), "Ports"), i, o) {
		if (json_i64(o, "PrivatePort", 0) == port &&
			strcmp(json_str(o, "Type"), protocol) == 0 &&
			json_i64(o, "PublicPort", 0) > 0) {
			const char *ip = json_str(o, "IP");
			printf(strchr(ip, ':') ? "[%s]:%lld\n" : "%s:%lld\n", ip,
				(long long)json_i64(o, "PublicPort", 0));
			return 0;
		}
	}
	return err_set(e, ERR_NOT_FOUND, "no port %d/%s for container %s", port, protocol,
		container->name);
}

int compose_port(struct compose *c, int argc, char **argv)
{
	int64_t number = 0;
	const char *protocol = "tcp";
	const struct flag flags[] = {
		{"index", 0, FLAG_INT, &number, NULL,
			"Index of the container if service has multiple replicas"},
		{"protocol", 0, FLAG_STRING, &protocol, NULL, "tcp or udp"},
		{0},
	};
	const struct syntax s = {"compose port", "[OPTIONS] SERVICE PRIVATE_PORT",
		"Print the public port for a port binding", 2, 2, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *project;
	int port;
	if (parse_int(argv[2], 1, 65535, &port) < 0) {
		err_set(&e, ERR_INVALID, "\"%s\" is not a port", argv[2]);
		return cli_fail(&e);
	}
	bool failed = compose_load_or_name(c, argv + 1, 1, &project, &e) < 0 ||
		      print_port(c, project, argv[1], (int)number, port, protocol, &e) < 0;
	return failed ? cli_fail(&e) : 0;
}

/* ---- top ---- */

static int print_top(struct compose *c, const struct state_container *container, struct err *e)
{
	scoped(json) json_t *o = NULL;
	scoped(buf) struct buf text = BUF_INIT;
	scoped(buf) struct buf aligned = BUF_INIT;
	if (engine_on(c->cli, "GET", "/containers/", container->id, "/top", &o, e) < 0) {
		return -1;
	}
	size_t i;
	size_t k;
	json_t *row;
	json_t *cell;
	json_array_foreach (json_object_get(o, "Titles"), k, cell) {
		buf_printf(&text, "%s%s", k ? "\t" : "", json_string_value(cell));
	}
	buf_putc(&text, '\n');
	json_array_foreach (json_object_get(o, "Processes"), i, row) {
		json_array_foreach (row, k, cell) {
			buf_printf(&text, "%s%s", k ? "\t" : "", json_string_value(cell));
		}
		buf_putc(&text, '\n');
	}
	table_align(buf_str(&text), 0, &aligned);
	printf("%s\n%s\n", container->name, buf_str(&aligned));
	return 0;
}

int compose_top(struct compose *c, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {
		"compose top", "[SERVICE...]", "Display the running processes", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *project;
	scoped(compose_state) struct compose_state state = {0};
	if (compose_load_or_name(c, argv + 1, argc - 1, &project, &e) < 0 ||
		compose_state_fetch(c, project, &state, &e) < 0) {
		return cli_fail(&e);
	}
	for (size_t i = 0; i < state.s.n_containers; i++) {
		const struct state_container *container = &state.s.containers[i];
		if (compose_is_named(c, container->service) && compose_is_running(container) &&
			print_top(c, container, &e) < 0) {
			return cli_fail(&e);
		}
	}
	return 0;
}
