/* compose/plan.h - what has to be done to make the engine's state that of a project. Pure: asks
 * nobody, does nothing.
 *
 * The state is what the engine listed; its objects are recognised by labels alone. A plan is steps
 * in an order in which they can be carried out one by one; a step that fails ends the plan. Steps
 * may also be carried out at once: each once the steps it comes `after` are done, and all steps of
 * lower phases.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/strv.h"
#include "compose/model.h"

struct state_container {
	const char *id, *name;
	const char *service; /* label; "" when it has none */
	int number;          /* label */
	bool one_off;
	const char *hash;     /* label config-hash */
	const char *image_id; /* of the image it was made from */
	const char *depends;  /* label depends_on */
	const char *status;   /* "created", "running", "paused", "restarting", "exited", "dead" */
	const char *files;    /* label wherry.compose.files; "" when it has none */
	struct strv networks; /* names it is attached to */
	struct strv volumes;  /* names of those that it mounts */
};

struct state_network {
	const char *id, *name;
	const char *project; /* label, "" when it has none */
	const char *key, *hash;
};

struct state_volume {
	const char *name;
	const char *project, *key;
	const char *hash; /* label config-hash; "" or NULL when it has none */
};

struct state_image {
	const char *service;
	const char *id; /* what the service's image name means now */
};

struct state {
	struct state_container *containers; /* of this project, stopped ones included */
	size_t n_containers;
	struct state_network *networks; /* all */
	size_t n_networks;
	struct state_volume *volumes; /* all */
	size_t n_volumes;
	const struct state_image *images;
	size_t n_images;
};

enum step_kind {
	STEP_NETWORK_CREATE,
	STEP_NETWORK_REMOVE,
	STEP_VOLUME_CREATE,
	STEP_VOLUME_REMOVE,
	STEP_CREATE,   /* container, with name and number */
	STEP_RECREATE, /* container `existing` is replaced by one of the same number */
	STEP_KEEP,     /* container runs and is as wanted */
	STEP_RENAME,   /* container `existing` replaced one, but never got its name */
	STEP_ROLL,     /* container `existing` goes on until `successor`, or a new one, is well */
	STEP_FINISH,   /* of a STEP_ROLL with keep_old: the old container goes now */
	STEP_WAIT,     /* for all containers of `service` to reach `condition` */
	STEP_START,
	STEP_STOP,
	STEP_REMOVE,
};

struct step {
	enum step_kind kind;
	const struct service
		*service; /* NULL for containers of services that the project does not have */
	const struct network *network;
	const struct volume *volume;
	const struct state_container *existing; /* NULL for a container that the plan creates */
	const char *name;                       /* of the container, network or volume */
	int number;
	enum condition condition;     /* STEP_WAIT */
	const struct service *waiter; /* STEP_WAIT: who wants it; NULL: --wait, which takes
				       * running for CONDITION_HEALTHY where there is no check */
	bool required;                /* STEP_WAIT: a failure ends the plan */
	/* STEP_ROLL; a failure of a step with carry_on does not end the plan, but is one */
	const struct state_container *successor; /* made by an earlier plan; NULL */
	int64_t delay_ns;                        /* before it */
	bool keep_old; /* the old container still runs, to go back to it */
	bool carry_on;
	size_t n_tolerated; /* so many failed ones of the service count as carry_on */
	const char *reason; /* STEP_RECREATE, STEP_ROLL: what docker compose would not have seen;
			       NULL */
	int phase;
	size_t *after; /* indices of steps, all lower than its own */
	size_t n_after, cap_after;
};

struct plan {
	struct tree *strings;
	struct step *steps;
	size_t n, cap;
	struct strv warnings;
};

struct plan_scale {
	const char *service;
	int count;
};

/* What the files that a service reads hold now: compose/content.h. */
struct plan_content {
	const char *service;
	const char *files; /* as the label */
};

struct plan_up {
	const struct strv *services; /* named; empty: all */
	bool no_deps, force_recreate, no_recreate, remove_orphans, no_start, always_recreate_deps;
	bool ignore_orphans; /* no warning */
	bool all_resources;  /* networks and volumes that no service uses, too */
	const struct plan_scale *scales;
	size_t n_scales;
	const struct plan_content *contents; /* of the services that read any */
	size_t n_contents;
	const struct strv
		*renewed; /* volumes that are to be made anew, with all that mounts them; NULL */
	bool hands_over;  /* the engine hands fixed ports over to a successor (wherry.replaces) */
};

struct plan_down {
	const struct strv
		*services; /* only their containers, and what they use; NULL or empty: all */
	bool volumes, remove_orphans;
};

/* ERR_INVALID: a named service is unknown, a container_name is wanted for several. ERR_NOT_FOUND:
 * an external network or volume is missing. */
int plan_up(const struct project *p, const struct state *s, const struct plan_up *o,
	struct plan *ret, struct err *e);
/* p may be NULL when only the state is known: everything that carries the project's label goes.
 * Containers of services whose profile is not active stay. */
int plan_down(const struct project *p, const char *name, const struct state *s,
	const struct plan_down *o, struct plan *ret);
/* The named services (all when empty) and, unless no_deps, what they depend on; marks[i] is for
 * p->services[i]. */
int plan_select(const struct project *p, const struct strv *names, bool no_deps, bool *marks,
	struct err *e);
/* For plan*.c: a step at the end, of the phase of the one before it; the pointer is good until the
 * next one. */
struct step *plan_add_step(struct plan *plan, enum step_kind kind, const char *name);
/* The last step comes after that one. */
void plan_add_after(struct plan *plan, size_t index);
/* May the step begin? done[i] is for plan->steps[i]. */
bool plan_is_ready(const struct plan *plan, size_t index, const bool *done);
/* Volumes that are not as the file says now: their data would be lost with them, so somebody is
 * asked before they become plan_up.renewed. */
void plan_changed_volumes(
	const struct project *p, const struct state *s, const bool *selected, struct strv *ret);
/* What --wait waits for: the selected services run, are healthy or, where others wait for that,
 * completed. */
void plan_wait_all(const struct project *p, const bool *selected, struct plan *ret);
/* For emit_service_hash, with a struct state as owner. */
const char *state_container_of(void *state, const char *service);
bool state_is_running(const struct state_container *c); /* or restarting */
void plan_deinit(struct plan *p);
static inline void scoped_plan(struct plan *p)
{
	plan_deinit(p);
}

/* The order of the containers in which they can be stopped: dependents first, by the labels alone.
 * order[] takes indices; levels[i] is for order[i]: those of one level do not depend on each other.
 * levels may be NULL. */
void plan_stop_order(const struct state *s, size_t *order, size_t *levels);
