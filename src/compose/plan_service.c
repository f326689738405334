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

static bool lacks_volume(
	const struct up *u, const struct service *s, const struct state_container *c)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct mount *m = &s->mounts[i];
		const struct volume *v = m->type == MOUNT_VOLUME && m->source
						 ? project_volume(u->p, m->source)
						 : NULL;
		if (v && !strv_has(&c->volumes, v->name)) {
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
	if (is_detached(u, s, c)) {
		return true; /* it could not start as it is */
	}
	if (u->o->no_recreate) {
		return false;
	}
	if (u->o->force_recreate && (is_named(u, s) || u->o->always_recreate_deps)) {
		return true;
	}
	char hash[EMIT_HASH_MAX];
	emit_service_hash(s, state_container_of, (void *)u->s, hash);
	const char *image = image_of(u->s, s->name);
	if (strcmp(c->hash, hash) != 0 || (*image && strcmp(c->image_id, image) != 0) ||
		lacks_volume(u, s, c) || shares_with_recreated(u, s)) {
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
	const struct state_container *successor; /* may take its place; NULL */
	bool obsolete;
	bool unnamed; /* it has a temporary name, and the one it replaced is gone */
};

/* The ones to keep first: up to date before obsolete, then by number. */
static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a;
	const struct candidate *y = b;
	return x->obsolete != y->obsolete ? x->obsolete - y->obsolete : x->c->number - y->c->number;
}

static bool is_of(const struct state_container *c, const struct service *s)
{
	return !c->one_off && strcmp(c->service, s->name) == 0;
}

static struct candidate *find_number(struct candidate *v, size_t n, int number)
{
	for (size_t i = 0; i < n; i++) {
		if (v[i].c->number == number) {
			return &v[i];
		}
	}
	return NULL;
}

/* One with a temporary name: the successor of a container that goes on until it is well, the only
 * one of its number, or a leftover. False when it is that. */
static bool place_unnamed(struct up *u, const struct service *s, struct candidate *v, size_t *n,
	const struct state_container *c)
{
	struct candidate candidate = {.c = c, .unnamed = true};
	struct candidate *old = find_number(v, *n, c->number);
	candidate.obsolete = must_recreate(u, s, c, &candidate.reason);
	if (!old) {
		v[(*n)++] = candidate;
		return true;
	}
	bool alive = state_is_running(c) || strcmp(c->status, "created") == 0;
	if (!old->obsolete || candidate.obsolete || !alive || old->successor || old->unnamed ||
		!plan_rolls(u, s)) {
		return false;
	}
	old->successor = c;
	return true;
}

/* The containers of the service by what can become of them; leftovers go to ret_left. */
static size_t find_candidates(struct up *u, const struct service *s, struct candidate *ret,
	const struct state_container **ret_left, size_t *n_left)
{
	size_t n = 0;
	for (size_t i = 0; i < u->s->n_containers; i++) {
		const struct state_container *c = &u->s->containers[i];
		if (!u->gone[i] && is_of(c, s) && !has_temporary_name(u, s, c)) {
			struct candidate candidate = {.c = c};
			candidate.obsolete = must_recreate(u, s, c, &candidate.reason);
			ret[n++] = candidate;
		}
	}
	for (size_t i = 0; i < u->s->n_containers; i++) {
		const struct state_container *c = &u->s->containers[i];
		if (!u->gone[i] && is_of(c, s) && has_temporary_name(u, s, c) &&
			!place_unnamed(u, s, ret, &n, c)) {
			ret_left[(*n_left)++] = c;
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

static void plan_surplus(
	struct up *u, size_t index, const struct state_container *const *surplus, size_t n)
{
	scoped(free) size_t *stops = xnew_array(size_t, n + 1);
	for (size_t i = n; i-- > 0;) {
		if (state_is_running(surplus[i])) {
			make(u, index, STEP_STOP, surplus[i]->name, surplus[i]);
			stops[i] = u->plan->n;
		}
	}
	for (size_t i = n; i-- > 0;) {
		make(u, index, STEP_REMOVE, surplus[i]->name, surplus[i]);
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

/* The step that was added last makes a container under a temporary name: a leftover may have it. */
static void after_leftovers(struct up *u, size_t index)
{
	const struct step_list *made = &u->made[index];
	for (size_t i = 0; i < made->n; i++) {
		const struct step *step = &u->plan->steps[made->v[i]];
		if (step->kind == STEP_REMOVE &&
			has_temporary_name(u, &u->p->services[index], step->existing)) {
			plan_add_after(u->plan, made->v[i]);
		}
	}
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
	after_leftovers(u, index);
	decide(u, &(struct decision){.service = index,
			  .name = u->plan->steps[u->plan->n - 1].name,
			  .number = c->number});
}

/* It goes on until another one has taken its place, in the last phase. */
static void plan_replaced_later(struct up *u, size_t index, const struct candidate *candidate)
{
	scoped(free) char *name =
		request_container_name(u->p, &u->p->services[index], candidate->c->number);
	decide(u, &(struct decision){.service = index,
			  .existing = candidate->c,
			  .name = tree_strdup(u->plan->strings, name),
			  .number = candidate->c->number,
			  .runs = true,
			  .rolls = true,
			  .successor = candidate->successor,
			  .reason = candidate->reason});
}

static bool may_roll(struct up *u, const struct service *s, const struct candidate *candidate)
{
	bool runs = strcmp(candidate->c->status, "running") == 0 || candidate->successor;
	return runs && !is_detached(u, s, candidate->c) && plan_rolls(u, s);
}

static void plan_current(struct up *u, size_t index, const struct candidate *candidate)
{
	const struct state_container *c = candidate->c;
	scoped(free) char *name = request_container_name(u->p, &u->p->services[index], c->number);
	const char *shown = candidate->unnamed ? name : c->name;
	bool runs = state_is_running(c) && !u->stopped[index];
	if (candidate->unnamed || runs) {
		make(u, index, candidate->unnamed ? STEP_RENAME : STEP_KEEP, shown, c)->number =
			c->number;
	}
	decide(u, &(struct decision){.service = index,
			  .existing = c,
			  .name = tree_strdup(u->plan->strings, shown),
			  .number = c->number,
			  .runs = runs});
}

static void plan_kept(struct up *u, size_t index, const struct candidate *candidate)
{
	if (!candidate->obsolete) {
		plan_current(u, index, candidate);
	} else if (may_roll(u, &u->p->services[index], candidate)) {
		plan_replaced_later(u, index, candidate);
	} else {
		plan_recreate(u, index, candidate);
	}
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
			"WARNING: The \"%s\" service is using the custom container name \"%s\". Docker requires each container to have a unique name. Remove the custom name to scale the service",
			s->name, s->container_name);
	}
	scoped(free) struct candidate *candidates =
		xnew_array(struct candidate, u->s->n_containers + 1);
	scoped(free) const struct state_container **surplus =
		xnew_array(const struct state_container *, 2 * u->s->n_containers + 1);
	size_t n_left = 0;
	size_t n = find_candidates(u, s, candidates, surplus, &n_left);
	size_t kept = n < (size_t)wanted ? n : (size_t)wanted;
	int highest = 0;
	for (size_t i = 0; i < n; i++) {
		highest = candidates[i].c->number > highest ? candidates[i].c->number : highest;
	}
	for (size_t i = kept; i < n; i++) {
		surplus[n_left++] = candidates[i].c;
		if (candidates[i].successor) {
			surplus[n_left++] = candidates[i].successor;
		}
	}
	plan_surplus(u, index, surplus, n_left);
	for (size_t i = 0; i < kept; i++) {
		plan_kept(u, index, &candidates[i]);
	}
	for (size_t i = kept; i < (size_t)wanted; i++) {
		plan_create(u, index, ++highest);
	}
	return 0;
}
