/* What goes when a project goes down, and the order in which containers can be stopped. */
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "compose/plan_internal.h"

static bool names_service(const char *depends, const char *service)
{
	size_t n = strlen(service);
	for (const char *p = depends; *p; p += strcspn(p, ","), p += *p == ',') {
		if (n > 0 && strncmp(p, service, n) == 0 && (p[n] == ':' || p[n] == ',' || !p[n])) {
			return true;
		}
	}
	return false;
}

static bool is_needed(const struct state *s, size_t index, const bool *placed)
{
	for (size_t k = 0; k < s->n_containers; k++) {
		if (!placed[k] &&
			strcmp(s->containers[k].service, s->containers[index].service) != 0 &&
			names_service(s->containers[k].depends, s->containers[index].service)) {
			return true;
		}
	}
	return false;
}

void plan_stop_order(const struct state *s, size_t *order, size_t *levels)
{
	scoped(free) bool *placed = xnew_array(bool, s->n_containers + 1);
	size_t level = 0;
	for (size_t n = 0; n < s->n_containers; level++) {
		size_t before = n;
		for (size_t i = 0; i < s->n_containers; i++) {
			if (!placed[i] && !is_needed(s, i, placed)) {
				order[n++] = i;
			}
		}
		for (size_t i = 0; n == before && i < s->n_containers; i++) {
			if (!placed[i]) { /* a circle in foreign labels: any order will do */
				order[n++] = i;
				break;
			}
		}
		for (size_t i = before; i < n; i++) {
			placed[order[i]] = true; /* only now: of one level none waits for another */
			if (levels) {
				levels[i] = level;
			}
		}
	}
}

static bool goes_down(
	const struct project *p, const struct state_container *c, const struct plan_down *o)
{
	if (o->services && o->services->n > 0) {
		return !c->one_off && strv_has(o->services, c->service);
	}
	for (size_t i = 0; p && i < p->disabled.n; i++) {
		if (strcmp(p->disabled.v[i], c->service) == 0) {
			return false; /* as docker compose: whose profile is not active is not meant
				       */
		}
	}
	return !p || o->remove_orphans || (!c->one_off && project_service(p, c->service));
}

/* selected: by service of p; what none of these uses stays. NULL: nothing stays. */
static void plan_down_resources(const struct project *p, const char *name, const struct state *s,
	const struct plan_down *o, const bool *selected, struct plan *plan)
{
	const int phase = INT_MAX; /* after every container */
	for (size_t i = 0; i < s->n_networks; i++) {
		if (strcmp(s->networks[i].project, name) == 0 &&
			(!selected || plan_uses_network(p, selected, s->networks[i].key))) {
			plan_add_step(plan, STEP_NETWORK_REMOVE, s->networks[i].name)->phase =
				phase;
		}
	}
	for (size_t i = 0; o->volumes && i < s->n_volumes; i++) {
		const struct state_volume *v = &s->volumes[i];
		const struct volume *declared = p ? project_volume(p, v->key) : NULL;
		if (strcmp(v->project, name) == 0 && !(declared && declared->external) &&
			(!selected || plan_uses_volume(p, selected, v->key))) {
			plan_add_step(plan, STEP_VOLUME_REMOVE, v->name)->phase = phase;
		}
	}
}

static void plan_down_level(const struct project *p, const struct state *s,
	const struct plan_down *o, const size_t *order, size_t n, int phase, struct plan *plan)
{
	scoped(free) size_t *stops = xnew_array(size_t, n + 1);
	for (size_t i = 0; i < n; i++) {
		const struct state_container *c = &s->containers[order[i]];
		if (goes_down(p, c, o) &&
			(state_is_running(c) || strcmp(c->status, "paused") == 0)) {
			struct step *stop = plan_add_step(plan, STEP_STOP, c->name);
			stop->existing = c;
			stop->phase = phase;
			stops[i] = plan->n;
		}
	}
	for (size_t i = 0; i < n; i++) {
		const struct state_container *c = &s->containers[order[i]];
		if (goes_down(p, c, o)) {
			struct step *remove = plan_add_step(plan, STEP_REMOVE, c->name);
			remove->existing = c;
			remove->phase = phase;
			if (stops[i] > 0) {
				plan_add_after(plan, stops[i] - 1);
			}
		}
	}
}

int plan_down(const struct project *p, const char *name, const struct state *s,
	const struct plan_down *o, struct plan *ret)
{
	struct plan plan = {.strings = tree_new()};
	scoped(free) size_t *order = xnew_array(size_t, s->n_containers + 1);
	scoped(free) size_t *levels = xnew_array(size_t, s->n_containers + 1);
	plan_stop_order(s, order, levels);
	for (size_t from = 0, to; from < s->n_containers; from = to) {
		for (to = from; to < s->n_containers && levels[to] == levels[from]; to++) {
		}
		plan_down_level(p, s, o, order + from, to - from, (int)levels[from], &plan);
	}
	bool some = o->services && o->services->n > 0;
	scoped(free) bool *selected = some && p ? xnew_array(bool, p->n_services + 1) : NULL;
	struct err unknown; /* its containers go by their label */
	if (!some || (selected && plan_select(p, o->services, false, selected, &unknown) == 0)) {
		plan_down_resources(p, name, s, o, selected, &plan);
	}
	*ret = plan;
	return 0;
}
