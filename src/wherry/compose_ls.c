/* What exists: all projects of an engine, the volumes of one. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/build_screen.h"
#include "wherry/compose.h"
#include "wherry/compose_pretty.h"
#include "wherry/engine.h"
#include "wherry/table.h"
#include "wherry/volumes.h"

#define PRETTY_MIN_WIDTH 20 /* tabwriter.NewWriter(out, 20, 1, 3, ' ', 0) */

int compose_format(const char *format, bool *ret_json, struct err *e)
{
	*ret_json = format && strcasecmp(format, "json") == 0;
	if (!*ret_json && format && *format && strcasecmp(format, "table") != 0 &&
		strcasecmp(format, "pretty") != 0) {
		return err_set(e, ERR_INVALID,
			"format value \"%s\" could not be parsed: parsing failed", format);
	}
	return 0;
}

void compose_pretty(const struct buf *text)
{
	scoped(buf) struct buf shown = BUF_INIT;
	scoped(buf) struct buf aligned = BUF_INIT;
	screen_text(buf_str(text), &shown); /* labels of anybody's containers */
	table_align(buf_str(&shown), PRETTY_MIN_WIDTH, &aligned);
	fputs(buf_str(&aligned), stdout);
}

/* ---- ls ---- */

struct seen_project {
	const char *name;
	struct strv files;
	struct strv states;
	bool no_files; /* a container does not say */
};

/* "running(3)", "exited(1), running(2)". */
static void print_states(struct seen_project *p, struct buf *ret)
{
	strv_sort(&p->states);
	for (size_t i = 0, n = 0; i < p->states.n; i++) {
		n++;
		if (i + 1 == p->states.n || strcmp(p->states.v[i], p->states.v[i + 1]) != 0) {
			buf_printf(ret, "%s%s(%zu)", ret->len ? ", " : "", p->states.v[i], n);
			n = 0;
		}
	}
}

static void collect_project(struct seen_project *projects, size_t *n, const json_t *o)
{
	const json_t *labels = json_object_get(o, "Labels");
	const char *name = json_str(labels, LABEL "project");
	const json_t *files = json_object_get(labels, LABEL "project.config_files");
	scoped(strv) struct strv list = STRV_INIT;
	size_t i = 0;
	while (i < *n && strcmp(projects[i].name, name) != 0) {
		i++;
	}
	if (i == *n) {
		projects[(*n)++] = (struct seen_project){.name = name};
	}
	strv_add(&projects[i].states, json_str(o, "State"));
	projects[i].no_files = projects[i].no_files || !files;
	strv_split(&list, files ? json_string_value(files) : "", ',');
	for (size_t k = 0; k < list.n; k++) {
		if (!strv_has(&projects[i].files, list.v[k])) {
			strv_add(&projects[i].files, list.v[k]);
		}
	}
}

static int compare_projects(const void *a, const void *b)
{
	return strcmp(
		((const struct seen_project *)a)->name, ((const struct seen_project *)b)->name);
}

static json_t *project_row(struct seen_project *p)
{
	scoped(buf) struct buf states = BUF_INIT;
	scoped(buf) struct buf files = BUF_INIT;
	print_states(p, &states);
	for (size_t i = 0; i < p->files.n; i++) {
		buf_printf(&files, "%s%s", i ? "," : "", p->files.v[i]);
	}
	json_t *row = json_object();
	json_put_str(row, "Name", p->name);
	json_put_str(row, "Status", buf_str(&states));
	json_put_str(row, "ConfigFiles", p->no_files ? "N/A" : buf_str(&files));
	return row;
}

static bool is_found(const char *pattern, const char *name)
{
	regex_t re;
	if (regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) != 0) {
		return false;
	}
	bool found = regexec(&re, name, 0, NULL, 0) == 0;
	regfree(&re);
	return found;
}

/* The value as it is, or a regular expression in it (moby filters.Args.Match). */
static bool is_named(const struct strv *filters, const char *name)
{
	for (size_t i = 0; i < filters->n; i++) {
		const char *value = filters->v[i] + sizeof("name=") - 1;
		if (strcmp(value, name) == 0 || is_found(value, name)) {
			return true;
		}
	}
	return filters->n == 0;
}

static json_t *project_rows(const json_t *containers, const struct strv *filters)
{
	json_t *rows = json_array();
	struct seen_project *projects =
		xnew_array(struct seen_project, json_array_size(containers) + 1);
	size_t n = 0;
	size_t i;
	json_t *o;
	json_array_foreach (containers, i, o) {
		collect_project(projects, &n, o);
	}
	qsort(projects, n, sizeof(*projects), compare_projects);
	for (i = 0; i < n; i++) {
		if (is_named(filters, projects[i].name)) {
			json_array_append_new(rows, project_row(&projects[i]));
		}
		strv_deinit(&projects[i].states);
		strv_deinit(&projects[i].files);
	}
	free(projects);
	return rows;
}

static bool has_row(const json_t *rows, const char *name)
{
	size_t i;
	json_t *row;
	json_array_foreach (rows, i, row) {
		if (strcmp(json_str(row, "Name"), name) == 0) {
			return true;
		}
	}
	return false;
}

/* Those that the engine keeps and that have no container. */
static void add_kept(struct compose *c, const struct strv *filters, json_t *rows)
{
	scoped(json) json_t *kept = compose_kept_list(c);
	size_t i;
	json_t *o;
	json_array_foreach (kept, i, o) {
		const char *name = json_str(o, "name");
		scoped(buf) struct buf files = BUF_INIT;
		size_t k;
		json_t *file;
		if (has_row(rows, name) || !is_named(filters, name)) {
			continue;
		}
		json_array_foreach (json_object_get(o, "config_files"), k, file) {
			buf_printf(&files, "%s%s", k ? "," : "", json_string_value(file));
		}
		json_array_append_new(rows, json_pack("{ss ss ss}", "Name", name, "Status", "kept",
						    "ConfigFiles", buf_str(&files)));
	}
}

static void print_projects(const json_t *rows, bool quiet)
{
	scoped(buf) struct buf text = BUF_INIT;
	size_t i;
	json_t *row;
	buf_puts(&text, quiet ? "" : "NAME\tSTATUS\tCONFIG FILES\n");
	json_array_foreach (rows, i, row) {
		if (quiet) {
			scoped(free) char *shown = compose_shown(json_str(row, "Name"));
			printf("%s\n", shown);
		} else {
			buf_printf(&text, "%s\t%s\t%s\n", json_str(row, "Name"),
				json_str(row, "Status"), json_str(row, "ConfigFiles"));
		}
	}
	compose_pretty(&text);
}

static int fetch_projects(struct compose *c, bool all, json_t **ret, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	buf_puts(&path, all ? "/containers/json?all=1" : "/containers/json");
	/* the labels are wanted whatever their values */
	path_query(&path, "filters",
		"{\"label\":{\"" LABEL "project\":true,\"" LABEL "config-hash\":true}}");
	return engine_json(c->cli, "GET", buf_str(&path), NULL, ret, e);
}

static int check_filters(const struct strv *filters, struct err *e)
{
	for (size_t i = 0; i < filters->n; i++) {
		if (!text_starts(filters->v[i], "name=")) {
			return err_set(e, ERR_INVALID, "invalid filter '%.*s'",
				(int)strcspn(filters->v[i], "="), filters->v[i]);
		}
	}
	return 0;
}

int compose_ls(struct compose *c, int argc, char **argv)
{
	bool all = false;
	bool quiet = false;
	bool json;
	const char *format = NULL;
	scoped(strv) struct strv filters = STRV_INIT;
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &all, NULL, "Show all stopped Compose projects"},
		{"filter", 0, FLAG_FILTER, &filters, NULL,
			"Filter output based on conditions provided"},
		{"format", 0, FLAG_STRING, &format, NULL,
			"Format the output. Values: [table | json] (default \"table\")"},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Only display project names"},
		{0},
	};
	const struct syntax s = {
		"compose ls", "[OPTIONS]", "List running compose projects", 0, 0, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(json) json_t *containers = NULL;
	if (check_filters(&filters, &e) < 0 || compose_format(format, &json, &e) < 0 ||
		fetch_projects(c, all, &containers, &e) < 0) {
		return cli_fail(&e);
	}
	scoped(json) json_t *rows = project_rows(containers, &filters);
	if (all) {
		add_kept(c, &filters, rows);
	}
	if (json && !quiet) {
		scoped(free) char *text = json_text(rows);
		printf("%s\n", text);
	} else {
		print_projects(rows, quiet);
	}
	return 0;
}

/* ---- volumes ---- */

static bool is_mounted(const struct compose *c, const struct compose_state *s, const char *volume)
{
	for (size_t i = 0; i < s->s.n_containers; i++) {
		const struct state_container *k = &s->s.containers[i];
		size_t m;
		json_t *mount;
		if (!compose_is_running(k) || !strv_has(&c->services, k->service)) {
			continue;
		}
		json_array_foreach (json_object_get(compose_listed(s, k->id), "Mounts"), m, mount) {
			if (strcmp(json_str(mount, "Name"), volume) == 0) {
				return true;
			}
		}
	}
	return false;
}

static int list_volumes(
	struct compose *c, const char *project, const char *format, bool quiet, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	scoped(json) json_t *found = json_array();
	size_t i;
	json_t *v;
	if (compose_check_names(c, e) < 0 || compose_state_fetch(c, project, &s, e) < 0) {
		return -1;
	}
	json_array_foreach (json_object_get(s.volumes, "Volumes"), i, v) {
		const char *owner = json_str(json_object_get(v, "Labels"), LABEL "project");
		if (strcmp(owner, project) == 0 &&
			(c->services.n == 0 || is_mounted(c, &s, json_str(v, "Name")))) {
			json_array_append(found, v);
		}
	}
	return volumes_print(found, format, quiet, e);
}

/* Those of the project; of services, those that their running containers have mounted. */
int compose_volumes(struct compose *c, int argc, char **argv)
{
	bool quiet = false;
	const char *format = NULL;
	const struct flag flags[] = {
		{"format", 0, FLAG_STRING, &format, NULL, TABLE_FORMAT_HELP " (default \"table\")"},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Only display volume names"},
		{0},
	};
	const struct syntax s = {
		"compose volumes", "[OPTIONS] [SERVICE...]", "List volumes", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *project;
	bool failed = volumes_check(format, &e) < 0 ||
		      compose_load_or_name(c, argv + 1, argc - 1, &project, &e) < 0 ||
		      list_volumes(c, project, format, quiet, &e) < 0;
	return failed ? cli_fail(&e) : 0;
}
