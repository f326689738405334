/* ingress_model < MODEL.json > nginx.conf - what ingress/conf.h writes for containers that a test
 * makes up.
 *
 * {"settings": of daemon.json, "run", "data", "stems": {host: stem}, "login", "generation",
 * "api_ca", "api_users": [], "own_pages": [], "sources": [{"id", "name", "project", "service",
 * "created", "life", "address", "ports": [], "mounts": [], "labels": {}}]} Refusals go to standard
 * error; files beside the configuration are written below "data".
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "ingress/conf.h"

#define PORTS_MAX 16

static const char *stem_of(void *owner, const char *host)
{
	const char *stem = json_str(owner, host);
	return *stem ? stem : NULL;
}

static void read_source(const json_t *o, struct route_source *s, uint16_t *ports)
{
	size_t i;
	json_t *port;
	*s = (struct route_source){
		.id = json_str(o, "id"),
		.name = json_str(o, "name"),
		.project = json_str(o, "project"),
		.service = json_str(o, "service"),
		.created_ns = json_i64(o, "created", 0),
		.labels = json_object_get(o, "labels"),
		.life = (enum route_life)json_i64(o, "life", ROUTE_SERVING),
		.ports = ports,
		.mounts = json_object_get(o, "mounts"),
	};
	(void)ip_parse(json_str(o, "address"), &s->address);
	json_array_foreach (json_object_get(o, "ports"), i, port) {
		if (i < PORTS_MAX) {
			ports[s->n_ports++] = (uint16_t)json_integer_value(port);
		}
	}
}

static int write_files(const struct ingress_model *m)
{
	scoped(json) json_t *files = ingress_conf_files(m);
	const char *name;
	json_t *text;
	json_object_foreach (files, name, text) {
		scoped(free) char *path = path_join(m->data_dir, name);
		const char *content = json_string_value(text);
		if (path_write(AT_FDCWD, path, content, strlen(content), 0644, false) < 0) {
			return -1;
		}
	}
	return 0;
}

static int print(const json_t *doc, struct ingress_settings *settings, struct route_table *t)
{
	struct err e = {0};
	scoped(strv) struct strv users = STRV_INIT;
	scoped(strv) struct strv pages = STRV_INIT;
	(void)json_get_strv(doc, "api_users", &users, &e);
	(void)json_get_strv(doc, "own_pages", &pages, &e);
	const char *ca = json_str(doc, "api_ca");
	struct ingress_model m = {
		.settings = settings,
		.table = t,
		.run_dir = json_str(doc, "run"),
		.data_dir = json_str(doc, "data"),
		.certificate = stem_of,
		.owner = json_object_get(doc, "stems"),
		.login = json_bool(doc, "login"),
		.api_ca = *ca ? ca : NULL,
		.api_users = &users,
		.own_pages = &pages,
		.generation = (uint64_t)json_i64(doc, "generation", 1),
	};
	ingress_conf_look(&m);
	scoped(free) char *text = ingress_conf_text(&m, &e);
	if (!text || write_files(&m) < 0) {
		fprintf(stderr, "%s\n", e.msg);
		return 1;
	}
	fputs(text, stdout);
	return 0;
}

int main(void)
{
	struct err e = {0};
	json_error_t wrong;
	scoped(json) json_t *doc = json_loadf(stdin, 0, &wrong);
	scoped(ingress_settings) struct ingress_settings settings = {0};
	if (!doc ||
		ingress_settings_read(json_object_get(doc, "settings"), "box", &settings, &e) < 0) {
		fprintf(stderr, "%s\n", doc ? e.msg : wrong.text);
		return 1;
	}
	const json_t *list = json_object_get(doc, "sources");
	size_t n = json_array_size(list);
	scoped(free) struct route_source *sources = xnew_array(struct route_source, n + 1);
	scoped(free) uint16_t *ports = xnew_array(uint16_t, (n + 1) * PORTS_MAX);
	for (size_t i = 0; i < n; i++) {
		read_source(json_array_get(list, i), &sources[i], ports + i * PORTS_MAX);
	}
	scoped(route_table_free) struct route_table *t = route_table_new(&settings, sources, n);
	for (size_t i = 0; i < t->n_refusals; i++) {
		fprintf(stderr, "refused %s: %s\n", t->refusals[i].id, t->refusals[i].text);
	}
	return print(doc, &settings, t);
}
