/* What is started, after what. */
#include <string.h>

#include "compose/plan_internal.h"

/* What the service waits for; the steps are the first of its own. */
static void plan_waits(struct up *u, size_t index)
{
	const struct service *s = &u->p->services[index];
	for (size_t i = 0; i < s->n_dependencies; i++) {
		const struct dependency *d = &s->dependencies[i];
		size_t other = plan_service_index(u->p, d->service);
		if (d->condition == CONDITION_STARTED || other == u->p->n_services ||
			!u->selected[other]) {
			continue;
		}
		struct step *wait =
			plan_service_step(u, &u->started[index], STEP_WAIT, d->service, s);
		wait->service = &u->p->services[other];
		wait->waiter = s;
		wait->condition = d->condition;
		wait->required = d->required;
		for (size_t k = 0; k < u->started[other].n; k++) {
			plan_add_after(u->plan, u->started[other].v[k]);
		}
	}
}

void plan_starts(struct up *u, size_t index)
{
	const struct service *s = &u->p->services[index];
	bool first = true;
	size_t waits = 0;
	for (size_t i = 0; i < u->n_decisions; i++) {
		const struct decision *d = &u->decisions[i];
		if (d->service != index || d->runs) {
			continue;
		}
		if (first) {
			plan_waits(u, index);
			waits = u->started[index].n;
			first = false;
		}
		struct step *start =
			plan_service_step(u, &u->started[index], STEP_START, d->name, s);
		start->existing = d->existing;
		start->number = d->number;
		for (size_t k = 0; k < waits; k++) {
			plan_add_after(u->plan, u->started[index].v[k]);
		}
		plan_after_dependencies(u, u->started, index);
	}
}
