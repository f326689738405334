/* compose/plan_internal.h - what plan*.c share; for these only. */
#pragma once
#include "compose/plan.h"

enum plan_phase { PHASE_RESOURCES, PHASE_CONTAINERS, PHASE_START };

/* What became of one container of a service that is wanted. */
struct decision {
	size_t service;                         /* index of p->services */
	const struct state_container *existing; /* NULL when it is made by the plan */
	const char *name;                       /* in the end */
	int number;
	bool runs; /* as wanted, before anything is started */
	/* it is replaced while it runs: by this one, when it is there already */
	bool rolls;
	const struct state_container *successor;
	const char *reason;
};

/* Steps of one service in a phase: what others come after. */
struct step_list {
	size_t *v;
	size_t n, cap;
};

struct up {
	const struct project *p;
	const struct state *s;
	const struct plan_up *o;
	struct plan *plan;
	/* by index of p->services */
	bool *selected;
	bool *recreated; /* got a new container in place of an old one */
	bool *rolled;    /* may get one once that is well, or it was said why not */
	bool *stopped;   /* its containers were stopped for one of these */
	struct step_list *made, *started; /* steps of PHASE_CONTAINERS and of PHASE_START */
	struct decision *decisions;
	size_t n_decisions, cap_decisions;
	struct strv lost; /* names of networks that are made anew */
	bool *gone;       /* by index of s->containers: removed with a volume */
	struct err *e;
};

size_t plan_service_index(const struct project *p, const char *name); /* n_services: none */
/* A step of the service's containers, remembered in *list. */
struct step *plan_service_step(struct up *u, struct step_list *list, enum step_kind kind,
	const char *name, const struct service *s);
/* The last step comes after what lists[] say of the services that this one depends on. */
void plan_after_dependencies(struct up *u, const struct step_list *lists, size_t service);

/* plan_roll.c: are containers of the service that run replaced start-first? Warns when the file
 * says so and they cannot be. */
bool plan_rolls(struct up *u, const struct service *s);
/* The steps for all decisions with rolls of a service; they come after the first n_waits of
 * u->started[service]. */
void plan_roll(struct up *u, size_t service, size_t n_waits);

/* plan_resources.c; by the key in the file */
bool plan_uses_network(const struct project *p, const bool *selected, const char *key);
bool plan_uses_volume(const struct project *p, const bool *selected, const char *key);
int plan_resources(struct up *u);
int plan_service(struct up *u, size_t i); /* plan_service.c */
void plan_starts(struct up *u, size_t i); /* plan_start.c */
