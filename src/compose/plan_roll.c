/* deploy.update_config.order: start-first - a container goes on until its successor is well. */
#include <string.h>

#include "base/text.h"
#include "compose/plan_internal.h"

static bool has_fixed_ports(const struct service *s)
{
	for (size_t i = 0; i < s->n_ports; i++) {
		const char *published = s->ports[i].published;
		if (published && *published && strcmp(published, "0") != 0 &&
			!strchr(published, '-')) {
			return true;
		}
	}
	return false;
}

static bool has_fixed_address(const struct service *s)
{
	bool fixed = s->mac_address != NULL;
	for (size_t i = 0; i < s->n_endpoints; i++) {
		const struct endpoint *e = &s->endpoints[i];
		fixed = fixed || e->ipv4_address || e->ipv6_address || e->mac_address;
	}
	return fixed;
}

static bool is_mode_of(const char *mode, const char *service)
{
	return mode && text_starts(mode, "service:") &&
	       strcmp(mode + strlen("service:"), service) == 0;
}

/* Another service holds on to the container itself. */
static bool is_shared(const struct up *u, const char *service)
{
	size_t n = strlen(service);
	for (size_t i = 0; i < u->p->n_services; i++) {
		const struct service *s = &u->p->services[i];
		if (is_mode_of(s->network_mode, service) || is_mode_of(s->pid, service) ||
			is_mode_of(s->ipc, service)) {
			return true;
		}
		for (size_t k = 0; k < s->volumes_from.n + s->links.n; k++) {
			const char *from = k < s->volumes_from.n
						   ? s->volumes_from.v[k]
						   : s->links.v[k - s->volumes_from.n];
			if (strncmp(from, service, n) == 0 && (!from[n] || from[n] == ':')) {
				return true;
			}
		}
	}
	return false;
}

static const char *obstacle(const struct up *u, const struct service *s)
{
	const char *mode = s->network_mode ? s->network_mode : "";
	if (strcmp(mode, "host") == 0 || text_starts(mode, "service:") ||
		text_starts(mode, "container:")) {
		return "its network is not its own";
	}
	if (has_fixed_address(s)) {
		return "its address is fixed";
	}
	if (is_shared(u, s->name)) {
		return "another service shares its container's namespaces, volumes or links";
	}
	if (!u->o->hands_over && has_fixed_ports(s)) {
		return "its published ports are fixed and this engine does not hand them over";
	}
	return NULL;
}

bool plan_rolls(struct up *u, const struct service *s)
{
	if (!s->update || !s->update->start_first || u->o->no_start) {
		return false;
	}
	const char *why = obstacle(u, s);
	bool *said = &u->rolled[s - u->p->services];
	if (why && !*said) {
		strv_addf(&u->plan->warnings,
			"service \"%s\" is stopped before its new container starts, in spite of order: start-first: %s",
			s->name, why);
	}
	*said = true;
	return !why;
}

static struct step *add(struct up *u, enum step_kind kind, const struct decision *d)
{
	const struct service *s = &u->p->services[d->service];
	struct step *step = plan_service_step(u, &u->started[d->service], kind, d->name, s);
	step->existing = d->existing;
	step->number = d->number;
	step->keep_old = s->update->failure_action == FAILURE_ROLLBACK;
	step->carry_on = s->update->failure_action == FAILURE_CONTINUE;
	return step;
}

static void after_range(struct up *u, const struct step_list *list, size_t from, size_t to)
{
	for (size_t k = from; k < to; k++) {
		plan_add_after(u->plan, list->v[k]);
	}
}

/* rank: how many rolls of the service come before it. Batches of `parallelism`, each after all of
 * those before it. */
static void add_roll(struct up *u, const struct decision *d, size_t n_waits, size_t rank)
{
	const struct update_config *o = u->p->services[d->service].update;
	const struct step_list *list = &u->started[d->service];
	size_t batch = o->parallelism == UNSET ? 1 : (size_t)o->parallelism;
	size_t before = batch > 0 ? rank / batch * batch : 0;
	struct step *step = add(u, STEP_ROLL, d);
	step->successor = d->successor;
	step->reason = d->reason;
	step->delay_ns = before > 0 && o->delay_ns > 0 ? o->delay_ns : 0;
	after_range(u, list, 0, n_waits);
	size_t first = list->n - 1 - rank;
	after_range(u, list, first, first + before);
	plan_after_dependencies(u, u->started, d->service);
}

void plan_roll(struct up *u, size_t service, size_t n_waits)
{
	const struct service *s = &u->p->services[service];
	const struct step_list *list = &u->started[service];
	size_t first = list->n;
	for (size_t i = 0; i < u->n_decisions; i++) {
		if (u->decisions[i].service == service && u->decisions[i].rolls) {
			add_roll(u, &u->decisions[i], n_waits, list->n - first);
		}
	}
	size_t last = list->n;
	for (size_t k = first; k < last; k++) {
		u->plan->steps[list->v[k]].n_tolerated =
			(size_t)(s->update->max_failure_ratio * (double)(last - first));
	}
	bool keeps = last > first && s->update->failure_action == FAILURE_ROLLBACK;
	for (size_t i = 0; keeps && i < u->n_decisions; i++) {
		if (u->decisions[i].service == service && u->decisions[i].rolls) {
			add(u, STEP_FINISH, &u->decisions[i]);
			after_range(u, list, first, last);
		}
	}
}
