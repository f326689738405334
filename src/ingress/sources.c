#include "ingress/sources.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "base/text.h"
#include "container/boot_rules.h"
#include "container/container.h"

#define GHOSTS_MAX 256

struct ghost {
	struct list node;
	char *id, *name, *project, *service;
	int64_t created_ns, until_ms;
	json_t *labels;
	uint16_t *ports;
	size_t n_ports;
};

/* --- of one container --- */

static json_t *labels_of(const struct container *k)
{
	json_t *http = container_own_labels(k, ROUTE_LABEL);
	scoped(json) json_t *streams = container_own_labels(k, STREAM_LABEL);
	if (http && streams) {
		json_object_update(http, streams);
	}
	return http ? http : TAKE(streams);
}

bool source_has_labels(const struct container *k)
{
	scoped(json) json_t *labels = labels_of(k);
	return labels != NULL;
}

/* "80/tcp", "80" */
static void add_ports(const json_t *object, uint16_t **ports, size_t *n)
{
	const char *key;
	const json_t *ignored;
	json_object_foreach ((json_t *)object, key, ignored) {
		uint16_t port;
		size_t digits = strcspn(key, "/");
		scoped(free) char *number = xstrndup(key, digits);
		if ((!key[digits] || strcmp(key + digits, "/tcp") == 0) &&
			parse_u16(number, &port) == 0) {
			*ports = xrealloc(*ports, *n + 1, sizeof(**ports));
			(*ports)[(*n)++] = port;
		}
	}
}

/* Published ports say more than exposed ones, of which an image may have many. */
static uint16_t *ports_of(const struct container *k, size_t *ret_n)
{
	uint16_t *ports = NULL;
	*ret_n = 0;
	add_ports(json_object_get(container_host_config(k), "PortBindings"), &ports, ret_n);
	if (*ret_n == 0) {
		add_ports(json_object_get(container_config(k), "ExposedPorts"), &ports, ret_n);
	}
	return ports;
}

static enum route_life life_of_running(const struct container *k)
{
	const char *health = container_health(k);
	if (*health && strcmp(health, "healthy") != 0) {
		return ROUTE_COMING;
	}
	return container_is_standby(k) ? ROUTE_STANDBY : ROUTE_SERVING;
}

/* *ret_until_ms: when that ends by itself, or 0. */
static enum route_life life_of(
	const struct container *k, int64_t now_ms, int64_t now_ns, int64_t *ret_until_ms)
{
	int64_t age_ms = (now_ns - container_created_ns(k)) / NS_PER_MS;
	*ret_until_ms = 0;
	switch (container_state(k)) {
	case CONTAINER_RUNNING:
	case CONTAINER_STOPPING:
		return life_of_running(k);
	case CONTAINER_STARTING:
	case CONTAINER_PAUSED:
	case CONTAINER_RESTARTING:
		return ROUTE_COMING;
	case CONTAINER_CREATED:
		if (age_ms >= 0 && age_ms < SOURCE_GRACE_MS) {
			*ret_until_ms = now_ms + SOURCE_GRACE_MS - age_ms;
			return ROUTE_COMING;
		}
		return ROUTE_STOPPED;
	default:
		return ROUTE_STOPPED;
	}
}

/* --- removed ones --- */

void ghosts_init(struct ghosts *g)
{
	list_init(&g->all);
}

static void ghost_free(struct ghost *h)
{
	list_remove(&h->node);
	free(h->id);
	free(h->name);
	free(h->project);
	free(h->service);
	json_decref(h->labels);
	free(h->ports);
	free(h);
}

void ghosts_free(struct ghosts *g)
{
	list_each_safe (pos, &g->all) {
		ghost_free(container_of(pos, struct ghost, node));
	}
}

static size_t ghost_count(const struct ghosts *g)
{
	size_t n = 0;
	list_each (pos, &g->all) {
		n++;
	}
	return n;
}

void ghosts_note(struct ghosts *g, const struct container *k, int64_t now_ms)
{
	const char *service = container_own_label(k, BOOT_SERVICE_LABEL);
	json_t *labels = *service ? labels_of(k) : NULL;
	if (!labels) {
		return;
	}
	if (ghost_count(g) >= GHOSTS_MAX) {
		ghost_free(container_of(g->all.next, struct ghost, node));
	}
	struct ghost *h = xnew(struct ghost);
	h->id = xstrdup(container_id(k));
	h->name = xstrdup(container_name(k));
	h->project = xstrdup(container_own_label(k, BOOT_PROJECT_LABEL));
	h->service = xstrdup(service);
	h->created_ns = container_created_ns(k);
	h->until_ms = now_ms + SOURCE_GRACE_MS;
	h->labels = labels;
	h->ports = ports_of(k, &h->n_ports);
	list_append(&g->all, &h->node);
}

/* The next one of the service is there: what it asks for is what counts. */
static bool is_followed(const struct ghost *h, const struct container_set *s)
{
	size_t pos = 0;
	for (const struct container *k; (k = container_next(s, &pos));) {
		if (strcmp(container_id(k), h->id) != 0 &&
			strcmp(container_own_label(k, BOOT_SERVICE_LABEL), h->service) == 0 &&
			strcmp(container_own_label(k, BOOT_PROJECT_LABEL), h->project) == 0) {
			return true;
		}
	}
	return false;
}

/* --- all --- */

static struct route_source *append(
	struct route_sources *s, json_t *take_labels, uint16_t *take_ports)
{
	s->v = xrealloc(s->v, s->n + 1, sizeof(*s->v));
	s->labels = xrealloc(s->labels, s->n + 1, sizeof(json_t *));
	s->ports = xrealloc(s->ports, s->n + 1, sizeof(*s->ports));
	s->mounts = xrealloc(s->mounts, s->n + 1, sizeof(json_t *));
	s->errors = xrealloc(s->errors, s->n + 1, sizeof(*s->errors));
	s->labels[s->n] = take_labels;
	s->ports[s->n] = take_ports;
	s->mounts[s->n] = NULL;
	s->errors[s->n] = NULL;
	s->v[s->n] = (struct route_source){.labels = take_labels, .ports = take_ports};
	return &s->v[s->n++];
}

static void note_time(struct route_sources *s, int64_t until_ms)
{
	if (until_ms > 0 && (s->look_again == 0 || until_ms < s->look_again)) {
		s->look_again = until_ms;
	}
}

/* Only those that serve files are asked. */
static json_t *mounts_of(const struct container *k, const json_t *labels)
{
	const char *key;
	const json_t *ignored;
	json_object_foreach ((json_t *)labels, key, ignored) {
		if (text_starts(key, ROUTE_LABEL) && text_ends(key, ".root")) {
			scoped(json) json_t *all = container_inspect(k);
			return json_incref(json_object_get(all, "Mounts"));
		}
	}
	return NULL;
}

static void read_one(
	struct route_sources *s, const struct container *k, int64_t now_ms, int64_t now_ns)
{
	struct err e;
	int64_t until_ms;
	size_t n_ports;
	json_t *labels = labels_of(k);
	if (!labels || container_state(k) == CONTAINER_REMOVING) {
		json_decref(labels);
		return;
	}
	uint16_t *ports = ports_of(k, &n_ports);
	struct route_source *o = append(s, labels, ports);
	o->mounts = s->mounts[s->n - 1] = mounts_of(k, labels);
	o->id = container_id(k);
	o->name = container_name(k);
	o->project = container_own_label(k, BOOT_PROJECT_LABEL);
	o->service = container_own_label(k, BOOT_SERVICE_LABEL);
	o->created_ns = container_created_ns(k);
	o->n_ports = n_ports;
	o->life = life_of(k, now_ms, now_ns, &until_ms);
	note_time(s, until_ms);
	if (container_is_running(k) && container_reach(k, &o->address, &e) < 0) {
		o->life = ROUTE_STOPPED;
		s->errors[s->n - 1] = xstrdup(e.msg);
	}
}

static void read_ghost(struct route_sources *s, const struct ghost *h)
{
	size_t bytes = h->n_ports * sizeof(*h->ports);
	uint16_t *ports = h->n_ports ? xnew_array(uint16_t, h->n_ports) : NULL;
	if (ports) {
		memcpy(ports, h->ports, bytes);
	}
	struct route_source *o = append(s, json_incref(h->labels), ports);
	o->id = h->id;
	o->name = h->name;
	o->project = h->project;
	o->service = h->service;
	o->created_ns = h->created_ns;
	o->n_ports = h->n_ports;
	o->life = ROUTE_COMING;
	note_time(s, h->until_ms);
}

void route_sources_read(const struct container_set *set, struct ghosts *g, int64_t now_ms,
	int64_t now_ns, struct route_sources *ret)
{
	size_t pos = 0;
	*ret = (struct route_sources){0};
	for (const struct container *k; (k = container_next(set, &pos));) {
		read_one(ret, k, now_ms, now_ns);
	}
	list_each_safe (node, &g->all) {
		struct ghost *h = container_of(node, struct ghost, node);
		if (h->until_ms <= now_ms || is_followed(h, set)) {
			ghost_free(h);
		} else {
			read_ghost(ret, h);
		}
	}
}

void route_sources_deinit(struct route_sources *s)
{
	for (size_t i = 0; i < s->n; i++) {
		json_decref(s->labels[i]);
		json_decref(s->mounts[i]);
		free(s->ports[i]);
		free(s->errors[i]);
	}
	free(s->v);
	free(s->labels);
	free(s->mounts);
	free(s->ports);
	free(s->errors);
	*s = (struct route_sources){0};
}
