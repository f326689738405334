/* Invariants:
 * 1. Networks and volumes are created before any container, containers before any is started: these
 * are the phases.
 * 2. p->services has dependencies first, so one walk creates and another starts in the right order.
 * 3. A container is recreated at most once; one that shares a namespace with a recreated one is
 * recreated too. */
#include "compose/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "compose/plan_internal.h"

void plan_deinit(struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->steps[i].after);
	}
	free(p->steps);
	strv_deinit(&p->warnings);
	tree_free(p->strings);
	*p = (struct plan){0};
}

struct step *plan_add_step(struct plan *plan, enum step_kind kind, const char *name)
{
	if (plan->n == plan->cap) {
		plan->cap = plan->cap ? plan->cap * 2 : 16;
		plan->steps = xrealloc(plan->steps, plan->cap, sizeof(*plan->steps));
	}
	int phase = plan->n > 0 ? plan->steps[plan->n - 1].phase : 0;
	struct step *step = &plan->steps[plan->n++];
	*step = (struct step){
		.kind = kind, .name = tree_strdup(plan->strings, name), .phase = phase};
	return step;
}

static void add_index(size_t **v, size_t *n, size_t *cap, size_t index)
{
	if (*n == *cap) {
		*cap = *cap ? *cap * 2 : 4;
		*v = xrealloc(*v, *cap, sizeof(**v));
	}
	(*v)[(*n)++] = index;
}

void plan_add_after(struct plan *plan, size_t index)
{
	struct step *last = &plan->steps[plan->n - 1];
	add_index(&last->after, &last->n_after, &last->cap_after, index);
}

bool plan_is_ready(const struct plan *plan, size_t index, const bool *done)
{
	const struct step *step = &plan->steps[index];
	for (size_t i = 0; i < step->n_after; i++) {
		if (!done[step->after[i]]) {
			return false;
		}
	}
	for (size_t i = 0; i < plan->n; i++) {
		if (!done[i] && plan->steps[i].phase < step->phase) {
			return false;
		}
	}
	return true;
}

const char *state_container_of(void *state, const char *service)
{
	const struct state *s = state;
	const struct state_container *first = NULL;
	for (size_t i = 0; i < s->n_containers; i++) {
		const struct state_container *c = &s->containers[i];
		if (!c->one_off && strcmp(c->service, service) == 0 &&
			(!first || c->number < first->number)) {
			first = c;
		}
	}
	return first ? first->id : NULL;
}

bool state_is_running(const struct state_container *c)
{
	return strcmp(c->status, "running") == 0 || strcmp(c->status, "restarting") == 0;
}

size_t plan_service_index(const struct project *p, const char *name)
{
	size_t i = 0;
	while (i < p->n_services && strcmp(p->services[i].name, name) != 0) {
		i++;
	}
	return i;
}

struct step *plan_service_step(struct up *u, struct step_list *list, enum step_kind kind,
	const char *name, const struct service *s)
{
	struct step *step = plan_add_step(u->plan, kind, name);
	step->service = s;
	step->phase = list == &u->started[s - u->p->services] ? PHASE_START : PHASE_CONTAINERS;
	add_index(&list->v, &list->n, &list->cap, u->plan->n - 1);
	return step;
}

/* A dependency that has nothing to do hands on to what it depends on itself. */
void plan_after_dependencies(struct up *u, const struct step_list *lists, size_t service)
{
	const struct service *s = &u->p->services[service];
	for (size_t i = 0; i < s->n_dependencies; i++) {
		size_t other = plan_service_index(u->p, s->dependencies[i].service);
		if (other == u->p->n_services || !u->selected[other]) {
			continue;
		}
		for (size_t k = 0; k < lists[other].n; k++) {
			plan_add_after(u->plan, lists[other].v[k]);
		}
		if (lists[other].n == 0) {
			plan_after_dependencies(u, lists, other);
		}
	}
}

/* ---- selection ---- */

static void select_with_dependencies(const struct project *p, size_t i, bool no_deps, bool *marks)
{
	if (i == p->n_services || marks[i]) {
		return;
	}
	marks[i] = true;
	for (size_t d = 0; !no_deps && d < p->services[i].n_dependencies; d++) {
		select_with_dependencies(p,
			plan_service_index(p, p->services[i].dependencies[d].service), no_deps,
			marks);
	}
}

int plan_select(
	const struct project *p, const struct strv *names, bool no_deps, bool *marks, struct err *e)
{
	for (size_t i = 0; i < p->n_services; i++) {
		marks[i] = names->n == 0;
	}
	for (size_t i = 0; i < names->n; i++) {
		size_t index = plan_service_index(p, names->v[i]);
		if (index == p->n_services) {
			return err_set(e, ERR_INVALID, "no such service: %s", names->v[i]);
		}
		select_with_dependencies(p, index, no_deps, marks);
	}
	return 0;
}

/* ---- orphans ---- */

static bool is_orphan(const struct up *u, const struct state_container *c)
{
	bool known = plan_service_index(u->p, c->service) < u->p->n_services;
	for (size_t d = 0; !known && d < u->p->disabled.n; d++) {
		known = strcmp(u->p->disabled.v[d], c->service) == 0;
	}
	return !known && !c->one_off;
}

static void plan_orphans(struct up *u)
{
	scoped(buf) struct buf names = BUF_INIT;
	for (size_t i = 0; i < u->s->n_containers; i++) {
		const struct state_container *c = &u->s->containers[i];
		if (!is_orphan(u, c)) {
			continue;
		}
		if (!u->o->remove_orphans) {
			buf_printf(&names, "%s%s", names.len ? " " : "", c->name);
			continue;
		}
		bool running = state_is_running(c);
		if (running) {
			struct step *stop = plan_add_step(u->plan, STEP_STOP, c->name);
			stop->existing = c;
			stop->phase = PHASE_CONTAINERS;
		}
		struct step *remove = plan_add_step(u->plan, STEP_REMOVE, c->name);
		remove->existing = c;
		remove->phase = PHASE_CONTAINERS;
		if (running) {
			plan_add_after(u->plan, u->plan->n - 2);
		}
	}
	if (names.len > 0 && !u->o->ignore_orphans) {
		strv_addf(&u->plan->warnings,
			"Found orphan containers ([%s]) for this project. If you removed or renamed this service in your compose file, "
			"you can run this command with the --remove-orphans flag to clean it up.",
			buf_str(&names));
	}
}

/* ---- up ---- */

static int plan_all(struct up *u)
{
	if (plan_resources(u) < 0) {
		return -1;
	}
	plan_orphans(u);
	for (size_t i = 0; i < u->p->n_services; i++) {
		if (u->selected[i] && plan_service(u, i) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; !u->o->no_start && i < u->p->n_services; i++) {
		if (u->selected[i]) {
			plan_starts(u, i);
		}
	}
	return 0;
}

static void up_deinit(struct up *u)
{
	for (size_t i = 0; i < u->p->n_services; i++) {
		free(u->made[i].v);
		free(u->started[i].v);
	}
	free(u->selected);
	free(u->recreated);
	free(u->rolled);
	free(u->stopped);
	free(u->made);
	free(u->started);
	free(u->decisions);
	free(u->gone);
	strv_deinit(&u->lost);
}

int plan_up(const struct project *p, const struct state *s, const struct plan_up *o,
	struct plan *ret, struct err *e)
{
	scoped(plan) struct plan plan = {.strings = tree_new()};
	for (size_t i = 0; i < o->n_scales; i++) {
		if (!project_service(p, o->scales[i].service)) {
			return err_set(e, ERR_INVALID, "no such service: %s", o->scales[i].service);
		}
	}
	struct up u = {.p = p,
		.s = s,
		.o = o,
		.plan = &plan,
		.selected = xnew_array(bool, p->n_services + 1),
		.recreated = xnew_array(bool, p->n_services + 1),
		.rolled = xnew_array(bool, p->n_services + 1),
		.stopped = xnew_array(bool, p->n_services + 1),
		.made = xnew_array(struct step_list, p->n_services + 1),
		.started = xnew_array(struct step_list, p->n_services + 1),
		.gone = xnew_array(bool, s->n_containers + 1),
		.e = e};
	int r = plan_select(p, o->services, o->no_deps, u.selected, e);
	r = r == 0 ? plan_all(&u) : r;
	up_deinit(&u);
	if (r == 0) {
		*ret = plan;
		plan = (struct plan){0};
	}
	return r;
}
