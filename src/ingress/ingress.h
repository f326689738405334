/* ingress/ingress.h - the front door: containers' labels become what nginx serves.
 *
 * Listens to events, computes a model of all routes, and lets the job "ingress" (worker/ingress.c)
 * make nginx serve it; one job at a time, and what happens meanwhile is in the next one. nginx runs
 * while there is something to serve and outlives this daemon, which finds it again. What cannot be
 * served is told with the containers it concerns: in ps, inspect and events.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "ingress/conf.h"
#include "ingress/settings.h"

typedef struct uv_loop_s uv_loop_t;
struct container_set;
struct counters;
struct event_bus;
struct job_pool;
struct ingress;

/* All borrowed; they outlive the ingress. */
struct ingress_deps {
	uv_loop_t *loop;
	struct event_bus *bus;
	struct job_pool *jobs;
	struct container_set *containers;
	const char *data_root, *exec_root;
	const char *hostname; /* for the default name */
};

/* What other parts add to the model; all may be left out. */
struct ingress_parts {
	ingress_certificate_fn *certificate; /* which pair serves a host */
	void *owner;
	/* The table's hosts are served next; NULL: nothing is. False: what certificate answers for
	 * them is not all there, and ingress_changed follows. */
	bool (*prepare)(void *owner, const struct ingress_settings *s, const struct route_table *t);
	void (*served)(void *owner);                /* what was prepared */
	void (*show)(const void *owner, json_t *o); /* into ingress_json */
	bool login;
	const char *api_ca;
	const struct strv *api_users;
};

/* settings: "ingress" of daemon.json, or NULL. Begins from the loop, after this returns. */
struct ingress *ingress_new(const struct ingress_deps *d, const json_t *settings, struct err *e);
/* Nothing is looked at any more, and nobody waits: before the jobs end. */
void ingress_end(struct ingress *g);
void ingress_free(struct ingress *g); /* after them; nginx goes on; NULL is fine */
/* daemon.json was read again. ERR_INVALID: nothing changes. */
int ingress_set_settings(struct ingress *g, const json_t *settings, struct err *e);
const struct ingress_settings *ingress_settings_of(const struct ingress *g);
/* Copied, but for what its members point to. */
void ingress_set_parts(struct ingress *g, const struct ingress_parts *p);
/* Something that goes into the model is new: looked at soon, many at once. */
void ingress_changed(struct ingress *g);
/* done is called once, when all who accept requests serve what is true now, or it is known that
 * they cannot; perhaps before this returns. */
void ingress_settle(struct ingress *g, void (*done)(void *owner), void *owner);

/* Requests by route; borrowed, until ingress_free. */
struct counters *ingress_counters(const struct ingress *g);
/* For GET /wherry/v1/ingress; new. */
json_t *ingress_json(struct ingress *g);
/* A network_holder_fn. */
const char *ingress_holds(void *ingress, uint16_t port, bool udp);
/* A container_deps.check_routes. */
int ingress_check_labels(const json_t *labels, struct err *e);
