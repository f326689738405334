/* What exists: the images of a project, and all projects of an engine. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/compose.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/human.h"
#include "wherry/table.h"
#include "wherry/volumes.h"

static int add_image_row(
	struct compose *c, const struct state_container *container, json_t *rows, struct err *e)
{
	scoped(json) json_t *image = NULL;
	if (engine_on(c->cli, "GET", "/images/", container->image_id, "/json", &image, e) < 0) {
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	}
	const char *name = json_string_value(json_array_get(json_object_get(image, "RepoTags"), 0));
	const char *colon = name ? strrchr(name, ':') : NULL;
	char id[13];
	char size[HUMAN_MAX];
	json_t *row = json_object();
	scoped(free) char *repository =
		colon ? xstrndup(name, (size_t)(colon - name)) : xstrdup("<none>");
	json_put_str(row, "ContainerName", container->name);
	json_put_str(row, "Repository", repository);
	json_put_str(row, "Tag", colon ? colon + 1 : "<none>");
	json_put_str(row, "Platform", "");
	json_put_str(row, "ID", human_short_id(container->image_id, id));
	json_put_str(row, "Size", human_size((double)json_i64(image, "Size", 0), 3, size));
	json_array_append_new(rows, row);
	return 0;
}

int compose_images(struct compose *c, int argc, char **argv)
{
	bool quiet = false;
	const char *format = NULL;
	const struct flag flags[] = {
		{"format", 0, FLAG_STRING, &format, NULL,
			"Format the output. Values: [table | json]"},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Only display IDs"},
		{0},
	};
	const struct syntax s = {"compose images", "[OPTIONS] [SERVICE...]",
		"List images used by the created containers", 0, -1, false};
	static const struct column columns[] = {{"ContainerName", "CONTAINER"},
		{"Repository", "REPOSITORY"}, {"Tag", "TAG"}, {"ID", "IMAGE ID"}, {"Size", "SIZE"},
		{"Platform", "PLATFORM"}, {0}};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *project;
	scoped(compose_state) struct compose_state state = {0};
	scoped(json) json_t *rows = json_array();
	const struct table t = {.columns = columns,
		.dflt = "{{.ContainerName}}\t{{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.Size}}",
		.quiet_field = "ID",
		.format = format,
		.quiet = quiet};
	if (table_check(&t, &e) < 0 ||
		compose_load_or_name(c, argv + 1, argc - 1, &project, &e) < 0 ||
		compose_state_fetch(c, project, &state, &e) < 0) {
		return cli_fail(&e);
	}
	for (size_t i = 0; i < state.s.n_containers; i++) {
		if (compose_is_named(c, state.s.containers[i].service) &&
			add_image_row(c, &state.s.containers[i], rows, &e) < 0) {
			return cli_fail(&e);
		}
	}
	return table_print(&t, rows, &e) < 0 ? cli_fail(&e) : 0;
}

/* ---- ls ---- */

struct seen_project {
	const char *name, *files;
	struct strv states;
	size_t running;
};

/* "running(3)", "exited(1), running(2)". */
static void print_states(const struct seen_project *p, struct buf *ret)
{
	static const char *const order[] = {
		"created", "dead", "exited", "paused", "restarting", "running"};
	for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++) {
		size_t n = 0;
		for (size_t k = 0; k < p->states.n; k++) {
			n += strcmp(p->states.v[k], order[i]) == 0;
		}
		if (n > 0) {
			buf_printf(ret, "%s%s(%zu)", ret->len ? ", " : "", order[i], n);
		}
	}
}

static void collect_project(struct seen_project *projects, size_t *n, const json_t *o)
{
	const json_t *labels = json_object_get(o, "Labels");
	const char *name = json_str(labels, LABEL "project");
	size_t i = 0;
	while (i < *n && strcmp(projects[i].name, name) != 0) {
		i++;
	}
	if (i == *n) {
		projects[(*n)++] = (struct seen_project){
			.name = name, .files = json_str(labels, LABEL "project.config_files")};
	}
	strv_add(&projects[i].states, json_str(o, "State"));
	projects[i].running += strcmp(json_str(o, "State"), "running") == 0;
}

static int compare_projects(const void *a, const void *b)
{
	return strcmp(
		((const struct seen_project *)a)->name, ((const struct seen_project *)b)->name);
}

static json_t *project_rows(const json_t *containers, bool all)
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
		scoped(buf) struct buf states = BUF_INIT;
		print_states(&projects[i], &states);
		if (all || projects[i].running > 0) {
			json_array_append_new(
				rows, json_pack("{s:s,s:s,s:s}", "Name", projects[i].name, "Status",
					      buf_str(&states), "ConfigFiles", projects[i].files));
		}
		strv_deinit(&projects[i].states);
	}
	free(projects);
	return rows;
}

int compose_ls(struct compose *c, int argc, char **argv)
{
	bool all = false;
	bool quiet = false;
	const char *format = NULL;
	const struct flag flags[] = {
		{"all", 'a', FLAG_BOOL, &all, NULL, "Show all stopped Compose projects"},
		{"format", 0, FLAG_STRING, &format, NULL,
			"Format the output. Values: [table | json]"},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Only display project names"},
		{0},
	};
	const struct syntax s = {
		"compose ls", "[OPTIONS]", "List running compose projects", 0, 0, false};
	static const struct column columns[] = {
		{"Name", "NAME"}, {"Status", "STATUS"}, {"ConfigFiles", "CONFIG FILES"}, {0}};
	const struct table t = {.columns = columns,
		.dflt = "{{.Name}}\t{{.Status}}\t{{.ConfigFiles}}",
		.quiet_field = "Name",
		.quiet = quiet};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(json) json_t *containers = NULL;
	scoped(strv) struct strv filters = STRV_INIT;
	scoped(buf) struct buf path = BUF_INIT;
	strv_add(&filters, "label=" LABEL "project");
	buf_puts(&path, "/containers/json?all=1");
	/* the label is wanted whatever its value */
	path_query(&path, "filters", "{\"label\":{\"" LABEL "project\":true}}");
	if (engine_json(c->cli, "GET", buf_str(&path), NULL, &containers, &e) < 0) {
		return cli_fail(&e);
	}
	scoped(json) json_t *rows = project_rows(containers, all);
	if (format && strcmp(format, "json") == 0) {
		scoped(free) char *text = json_text(rows);
		printf("%s\n", text);
		return 0;
	}
	return table_print(&t, rows, &e) < 0 ? cli_fail(&e) : 0;
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
