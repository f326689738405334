/* What is started, after what. */
#include <string.h>

#include "compose/plan_internal.h"

static bool has_containers(const struct up *u, size_t service)
{
	for (size_t i = 0; i < u->n_decisions; i++) {
		if (u->decisions[i].service == service) {
			return true;
		}
	}
	return false;
}

/* What the service waits for, also when it runs already: docker compose tells so that a dependency
 * is not well. */
static void plan_waits(struct up *u, size_t index)
{
	const struct service *s = &u->p->services[index];
	for (size_t i = 0; has_containers(u, index) && i < s->n_dependencies; i++) {
		const struct dependency *d = &s->dependencies[i];
		size_t other = plan_service_index(u->p, d->service);
		if (d->condition == CONDITION_STARTED || other == u->p->n_services ||
			!u->selected[other] || !has_containers(u, other)) {
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

/* What it asked to be restarted with is replaced while it runs. */
static bool follows_a_roll(const struct up *u, const struct service *s)
{
	for (size_t i = 0; i < u->n_decisions; i++) {
		const char *rolled = u->p->services[u->decisions[i].service].name;
		for (size_t k = 0; u->decisions[i].rolls && k < s->n_dependencies; k++) {
			if (s->dependencies[k].restart &&
				strcmp(s->dependencies[k].service, rolled) == 0) {
				return true;
			}
		}
	}
	return false;
}

void plan_starts(struct up *u, size_t index)
{
	const struct service *s = &u->p->services[index];
	plan_waits(u, index);
	size_t waits = u->started[index].n;
	for (size_t i = 0; i < u->n_decisions; i++) {
		const struct decision *d = &u->decisions[i];
		bool again = d->service == index && d->runs && !d->rolls && follows_a_roll(u, s);
		if (d->service != index || (d->runs && !again)) {
			continue;
		}
		if (again) {
			struct step *stop =
				plan_service_step(u, &u->started[index], STEP_STOP, d->name, s);
			stop->existing = d->existing;
			plan_after_dependencies(u, u->started, index);
		}
		struct step *start =
			plan_service_step(u, &u->started[index], STEP_START, d->name, s);
		start->existing = d->existing;
		start->number = d->number;
		for (size_t k = 0; k < waits; k++) {
			plan_add_after(u->plan, u->started[index].v[k]);
		}
		if (again) {
			plan_add_after(u->plan, u->plan->n - 2);
		}
		plan_after_dependencies(u, u->started, index);
	}
	plan_roll(u, index, waits);
}

static bool is_a_job(const struct project *p, const char *service)
{
	for (size_t i = 0; i < p->n_services; i++) {
		const struct service *s = &p->services[i];
		for (size_t k = 0; k < s->n_dependencies; k++) {
			if (s->dependencies[k].condition == CONDITION_COMPLETED &&
				strcmp(s->dependencies[k].service, service) == 0) {
				return true;
			}
		}
	}
	return false;
}

void plan_wait_all(const struct project *p, const bool *selected, struct plan *ret)
{
	*ret = (struct plan){.strings = tree_new()};
	for (size_t i = 0; i < p->n_services; i++) {
		if (!selected[i] || p->services[i].replicas == 0) {
			continue;
		}
		struct step *wait = plan_add_step(ret, STEP_WAIT, p->services[i].name);
		wait->service = &p->services[i];
		wait->condition =
			is_a_job(p, p->services[i].name) ? CONDITION_COMPLETED : CONDITION_HEALTHY;
		wait->required = true;
	}
}
