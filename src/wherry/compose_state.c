#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "compose/content.h"
#include "wherry/compose.h"
#include "wherry/engine.h"

static const char *label(const json_t *labels, const char *key)
{
	scoped(free) char *name = xasprintf(LABEL "%s", key);
	return json_str(labels, name);
}

static int list(struct cli *cli, const char *path, const char *project, json_t **ret, struct err *e)
{
	scoped(strv) struct strv filters = STRV_INIT;
	scoped(buf) struct buf full = BUF_INIT;
	strv_addf(&filters, "label=" LABEL "project=%s", project);
	buf_puts(&full, path);
	return path_filters(&full, &filters, e) < 0
		       ? -1
		       : engine_json(cli, "GET", buf_str(&full), NULL, ret, e);
}

static void read_container(const json_t *o, struct state_container *c)
{
	const json_t *labels = json_object_get(o, "Labels");
	const char *name = json_string_value(json_array_get(json_object_get(o, "Names"), 0));
	*c = (struct state_container){
		.id = json_str(o, "Id"),
		.name = name && *name == '/' ? name + 1
			: name               ? name
					     : "",
		.service = label(labels, "service"),
		.number = (int)strtol(label(labels, "container-number"), NULL, 10),
		.one_off = strcmp(label(labels, "oneoff"), "True") == 0,
		.hash = label(labels, "config-hash"),
		.image_id = json_str(o, "ImageID"),
		.depends = label(labels, "depends_on"),
		.status = json_str(o, "State"),
		.files = json_str(labels, CONTENT_LABEL),
	};
	const char *key;
	json_t *endpoint;
	json_t *networks = json_object_get(json_object_get(o, "NetworkSettings"), "Networks");
	json_object_foreach (networks, key, endpoint) {
		strv_add(&c->networks, key);
	}
	size_t i;
	json_t *mount;
	json_array_foreach (json_object_get(o, "Mounts"), i, mount) {
		if (strcmp(json_str(mount, "Type"), "volume") == 0) {
			strv_add(&c->volumes, json_str(mount, "Name"));
		}
	}
}

static int compare_containers(const void *a, const void *b)
{
	const struct state_container *x = a;
	const struct state_container *y = b;
	int r = strcmp(x->service, y->service);
	return r ? r : x->number - y->number;
}

static void read_all(struct compose_state *s)
{
	size_t i;
	json_t *o;
	s->s.containers = xnew_array(struct state_container, json_array_size(s->containers) + 1);
	json_array_foreach (s->containers, i, o) {
		read_container(o, &s->s.containers[s->s.n_containers++]);
	}
	qsort(s->s.containers, s->s.n_containers, sizeof(*s->s.containers), compare_containers);
	s->s.networks = xnew_array(struct state_network, json_array_size(s->networks) + 1);
	json_array_foreach (s->networks, i, o) {
		const json_t *labels = json_object_get(o, "Labels");
		s->s.networks[s->s.n_networks++] = (struct state_network){json_str(o, "Id"),
			json_str(o, "Name"), label(labels, "project"), label(labels, "network"),
			label(labels, "config-hash")};
	}
	const json_t *volumes = json_object_get(s->volumes, "Volumes");
	s->s.volumes = xnew_array(struct state_volume, json_array_size(volumes) + 1);
	json_array_foreach (volumes, i, o) {
		const json_t *labels = json_object_get(o, "Labels");
		s->s.volumes[s->s.n_volumes++] =
			(struct state_volume){json_str(o, "Name"), label(labels, "project"),
				label(labels, "volume"), label(labels, "config-hash")};
	}
}

int compose_state_fetch(
	struct compose *c, const char *project, struct compose_state *ret, struct err *e)
{
	scoped(compose_state) struct compose_state s = {0};
	if (list(c->cli, "/containers/json?all=1", project, &s.containers, e) < 0 ||
		engine_json(c->cli, "GET", "/networks", NULL, &s.networks, e) < 0 ||
		engine_json(c->cli, "GET", "/volumes", NULL, &s.volumes, e) < 0) {
		return -1;
	}
	read_all(&s);
	*ret = s;
	s = (struct compose_state){0};
	return 0;
}

int compose_state_images(struct compose *c, struct compose_state *s, struct err *e)
{
	const struct project *p = c->project;
	s->images = xnew_array(struct state_image, p->n_services + 1);
	s->image_ids = xnew_array(char *, p->n_services + 1);
	for (size_t i = 0; i < p->n_services; i++) {
		char *id = NULL;
		int found = compose_image_find(c, p->services[i].image, &id, e);
		if (found < 0) {
			return -1;
		}
		if (found) {
			s->image_ids[s->n_images] = id;
			s->images[s->n_images++] = (struct state_image){p->services[i].name, id};
		}
	}
	s->s.images = s->images;
	s->s.n_images = s->n_images;
	return 0;
}

void compose_state_deinit(struct compose_state *s)
{
	for (size_t i = 0; i < s->s.n_containers; i++) {
		strv_deinit(&s->s.containers[i].networks);
		strv_deinit(&s->s.containers[i].volumes);
	}
	for (size_t i = 0; i < s->n_images; i++) {
		free(s->image_ids[i]);
	}
	free(s->s.containers);
	free(s->s.networks);
	free(s->s.volumes);
	free(s->images);
	free(s->image_ids);
	json_decref(s->containers);
	json_decref(s->networks);
	json_decref(s->volumes);
	*s = (struct compose_state){0};
}

const struct state_container *compose_container(
	const struct compose_state *s, const char *service, int number)
{
	for (size_t i = 0; i < s->s.n_containers; i++) {
		const struct state_container *c = &s->s.containers[i];
		if (!c->one_off && strcmp(c->service, service) == 0 &&
			(number == 0 || c->number == number)) {
			return c;
		}
	}
	return NULL;
}

bool compose_is_running(const struct state_container *c)
{
	return strcmp(c->status, "running") == 0 || strcmp(c->status, "restarting") == 0 ||
	       strcmp(c->status, "paused") == 0;
}

const json_t *compose_listed(const struct compose_state *s, const char *id)
{
	size_t i;
	json_t *o;
	json_array_foreach (s->containers, i, o) {
		if (strcmp(json_str(o, "Id"), id) == 0) {
			return o;
		}
	}
	return NULL;
}

bool compose_is_named(const struct compose *c, const char *service)
{
	return c->services.n == 0 || strv_has(&c->services, service);
}

int compose_check_names(const struct compose *c, struct err *e)
{
	for (size_t i = 0; c->project && i < c->services.n; i++) {
		if (!project_service(c->project, c->services.v[i])) {
			return err_set(e, ERR_INVALID, "no such service: %s", c->services.v[i]);
		}
	}
	return 0;
}
