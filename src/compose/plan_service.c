/* The containers of one service: which of them stay, go, are replaced or made. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "compose/content.h"
#include "compose/emit.h"
#include "compose/plan_internal.h"
#include "compose/request.h"

static const char *image_of(const struct state *s, const char *service)
{
	for (size_t i = 0; i < s->n_images; i++) {
		if (strcmp(s->images[i].service, service) == 0) {
			return s->images[i].id;
		}
	}
	return "";
}

static bool is_recreated(const struct up *u, const char *service)
{
	size_t i = plan_service_index(u->p, service);
	return i < u->p->n_services && u->recreated[i];
}

/* Does the service use a namespace or the volumes of one that was recreated? The old container's id
 * is gone then. */
static bool shares_with_recreated(const struct up *u, const struct service *s)
{
	const char *const modes[] = {s->network_mode, s->pid, s->ipc};
	for (size_t i = 0; i < 3; i++) {
		if (modes[i] && text_starts(modes[i], "service:") &&
			is_recreated(u, modes[i] + strlen("service:"))) {
			return true;
		}
	}
	for (size_t i = 0; i < s->volumes_from.n + s->links.n; i++) {
		const char *from = i < s->volumes_from.n ? s->volumes_from.v[i]
							 : s->links.v[i - s->volumes_from.n];
		scoped(free) char *name = xstrndup(from, strcspn(from, ":"));
		if (is_recreated(u, name)) {
			return true;
		}
	}
	return false;
}

static bool is_detached(
	const struct up *u, const struct service *s, const struct state_container *c)
{
	for (size_t i = 0; i < s->n_endpoints; i++) {
		const struct network *n = project_network(u->p, s->endpoints[i].network);
		if (n && (!strv_has(&c->networks, n->name) || strv_has(&u->lost, n->name))) {
			return true;
		}
	}
	return false;
}

static bool is_named(const struct up *u, const struct service *s)
{
	return u->o->services->n == 0 || strv_has(u->o->services, s->name);
}

/* "0123456789ab_NAME": a replacement that was made but never took the name, because the program was
 * killed. */
static bool has_temporary_name(
	const struct up *u, const struct service *s, const struct state_container *c)
{
	scoped(free) char *name = request_container_name(u->p, s, c->number);
	return strspn(c->name, "0123456789abcdef") == 12 && c->name[12] == '_' &&
	       strcmp(c->name + 13, name) == 0;
}

static const char *contents_of(const struct up *u, const struct service *s)
{
	for (size_t i = 0; i < u->o->n_contents; i++) {
		if (strcmp(u->o->contents[i].service, s->name) == 0) {
			return u->o->contents[i].files;
		}
	}
	return "";
}

/* Borrowed from the plan; NULL when every file is as it was. */
static const char *content_reason(
	const struct up *u, const struct service *s, const struct state_container *c)
{
	scoped(free) char *changes = content_changes(c->files ? c->files : "", contents_of(u, s));
	return tree_strdup(u->plan->strings, changes);
}

/* *ret_reason is set when docker compose would have left it. */
static bool must_recreate(const struct up *u, const struct service *s,
	const struct state_container *c, const char **ret_reason)
{
	if (is_detached(u, s, c) || has_temporary_name(u, s, c)) {
		return true; /* it could not start as it is, or not be found */
	}
	if (u->o->no_recreate) {
		return false;
	}
	if (u->o->force_recreate && (is_named(u, s) || u->o->always_recreate_deps)) {
		return true;
	}
	char hash[EMIT_HASH_MAX];
	emit_service_hash(u->p, s, hash);
	const char *image = image_of(u->s, s->name);
	if (strcmp(c->hash, hash) != 0 || (*image && strcmp(c->image_id, image) != 0) ||
		shares_with_recreated(u, s)) {
		return true;
	}
	*ret_reason = content_reason(u, s, c);
	return *ret_reason != NULL;
}

static int wanted_count(const struct up *u, const struct service *s)
{
	for (size_t i = 0; i < u->o->n_scales; i++) {
		if (strcmp(u->o->scales[i].service, s->name) == 0) {
			return u->o->scales[i].count;
		}
	}
	return s->replicas;
}

struct candidate {
	const struct state_container *c;
	const char *reason;
	bool obsolete;
};

/* The ones to keep first: up to date before obsolete, then by number. */
static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a;
	const struct candidate *y = b;
	return x->obsolete != y->obsolete ? x->obsolete - y->obsolete : x->c->number - y->c->number;
}

static size_t find_candidates(const struct up *u, const struct service *s, struct candidate *ret)
{
	size_t n = 0;
	for (size_t i = 0; i < u->s->n_containers; i++) {
		const struct state_container *c = &u->s->containers[i];
		if (!c->one_off && strcmp(c->service, s->name) == 0) {
			struct candidate candidate = {.c = c};
			candidate.obsolete = must_recreate(u, s, c, &candidate.reason);
			ret[n++] = candidate;
		}
	}
	qsort(ret, n, sizeof(*ret), compare_candidates);
	return n;
}

static struct step *make(struct up *u, size_t index, enum step_kind kind, const char *name,
	const struct state_container *existing)
{
	struct step *step =
		plan_service_step(u, &u->made[index], kind, name, &u->p->services[index]);
	step->existing = existing;
	plan_after_dependencies(u, u->made, index);
	return step;
}

static void decide(struct up *u, const struct decision *decision)
{
	if (u->n_decisions == u->cap_decisions) {
		u->cap_decisions = u->cap_decisions ? u->cap_decisions * 2 : 16;
		u->decisions = xrealloc(u->decisions, u->cap_decisions, sizeof(*u->decisions));
	}
	u->decisions[u->n_decisions++] = *decision;
}

static void plan_surplus(struct up *u, size_t index, const struct candidate *surplus, size_t n)
{
	scoped(free) size_t *stops = xnew_array(size_t, n + 1);
	for (size_t i = n; i-- > 0;) {
		if (state_is_running(surplus[i].c)) {
			make(u, index, STEP_STOP, surplus[i].c->name, surplus[i].c);
			stops[i] = u->plan->n;
		}
	}
	for (size_t i = n; i-- > 0;) {
		make(u, index, STEP_REMOVE, surplus[i].c->name, surplus[i].c);
		if (stops[i] > 0) {
			plan_add_after(u->plan, stops[i] - 1);
		}
	}
}

static bool restarts_with(const struct service *s, const char *dependency)
{
	for (size_t i = 0; i < s->n_dependencies; i++) {
		if (s->dependencies[i].restart &&
			strcmp(s->dependencies[i].service, dependency) == 0) {
			return true;
		}
	}
	return false;
}

/* Those with `restart: true` are stopped before the service is replaced, and started after it. */
static void stop_dependents(struct up *u, size_t index)
{
	const struct service *s = &u->p->services[index];
	for (size_t i = 0; !u->recreated[index] && i < u->p->n_services; i++) {
		if (!u->selected[i] || u->stopped[i] || u->o->no_start ||
			!restarts_with(&u->p->services[i], s->name)) {
			continue;
		}
		u->stopped[i] = true;
		for (size_t k = 0; k < u->s->n_containers; k++) {
			const struct state_container *c = &u->s->containers[k];
			if (!c->one_off && state_is_running(c) &&
				strcmp(c->service, u->p->services[i].name) == 0) {
				make(u, index, STEP_STOP, c->name, c);
			}
		}
	}
	u->recreated[index] = true;
}

static void plan_recreate(struct up *u, size_t index, const struct candidate *candidate)
{
	const struct state_container *c = candidate->c;
	const struct service *s = &u->p->services[index];
	scoped(free) char *name = request_container_name(u->p, s, c->number);
	size_t first = u->plan->n;
	stop_dependents(u, index);
	size_t last = u->plan->n;
	struct step *step = make(u, index, STEP_RECREATE, name, c);
	step->number = c->number;
	step->reason = candidate->reason;
	for (size_t i = first; i < last; i++) {
		plan_add_after(u->plan, i);
	}
	decide(u, &(struct decision){.service = index,
			  .name = u->plan->steps[u->plan->n - 1].name,
			  .number = c->number});
}

static void plan_kept(struct up *u, size_t index, const struct candidate *candidate)
{
	const struct state_container *c = candidate->c;
	if (candidate->obsolete) {
		plan_recreate(u, index, candidate);
		return;
	}
	bool runs = state_is_running(c) && !u->stopped[index];
	if (runs) {
		make(u, index, STEP_KEEP, c->name, c)->number = c->number;
	}
	decide(u, &(struct decision){.service = index,
			  .existing = c,
			  .name = c->name,
			  .number = c->number,
			  .runs = runs});
}

static void plan_create(struct up *u, size_t index, int number)
{
	scoped(free) char *name = request_container_name(u->p, &u->p->services[index], number);
	make(u, index, STEP_CREATE, name, NULL)->number = number;
	decide(u, &(struct decision){.service = index,
			  .name = u->plan->steps[u->plan->n - 1].name,
			  .number = number});
}

int plan_service(struct up *u, size_t index)
{
	const struct service *s = &u->p->services[index];
	int wanted = wanted_count(u, s);
	if (wanted > 1 && s->container_name) {
		return err_set(u->e, ERR_INVALID,
			"service \"%s\" has a container_name (\"%s\"), so it cannot have %d containers",
			s->name, s->container_name, wanted);
	}
	scoped(free) struct candidate *candidates =
		xnew_array(struct candidate, u->s->n_containers + 1);
	size_t n = find_candidates(u, s, candidates);
	size_t kept = n < (size_t)wanted ? n : (size_t)wanted;
	int highest = 0;
	for (size_t i = 0; i < n; i++) {
		highest = candidates[i].c->number > highest ? candidates[i].c->number : highest;
	}
	plan_surplus(u, index, candidates + kept, n - kept);
	for (size_t i = 0; i < kept; i++) {
		plan_kept(u, index, &candidates[i]);
	}
	for (size_t i = kept; i < (size_t)wanted; i++) {
		plan_create(u, index, ++highest);
	}
	return 0;
}
