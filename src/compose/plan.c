/* Invariants:
 * 1. Networks and volumes are created before any container, containers before any is started.
 * 2. p->services has dependencies first, so one walk creates and another starts in the right order.
 * 3. A container is recreated at most once; one that shares a namespace with a recreated one is
 * recreated too. */
#include "compose/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "compose/emit.h"
#include "compose/request.h"

struct up {
	const struct project *p;
	const struct state *s;
	const struct plan_up *o;
	struct plan *plan;
	bool *selected;   /* by index of p->services */
	bool *recreated;  /* the service got a new container in place of an old one */
	struct strv lost; /* names of networks that are made anew */
	struct err *e;
};

void plan_deinit(struct plan *p)
{
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
	struct step *step = &plan->steps[plan->n++];
	*step = (struct step){.kind = kind, .name = tree_strdup(plan->strings, name)};
	return step;
}

bool state_is_running(const struct state_container *c)
{
	return strcmp(c->status, "running") == 0 || strcmp(c->status, "restarting") == 0;
}

static size_t service_index(const struct project *p, const char *name)
{
	size_t i = 0;
	while (i < p->n_services && strcmp(p->services[i].name, name) != 0) {
		i++;
	}
	return i;
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
			service_index(p, p->services[i].dependencies[d].service), no_deps, marks);
	}
}

int plan_select(
	const struct project *p, const struct strv *names, bool no_deps, bool *marks, struct err *e)
{
	for (size_t i = 0; i < p->n_services; i++) {
		marks[i] = names->n == 0;
	}
	for (size_t i = 0; i < names->n; i++) {
		size_t index = service_index(p, names->v[i]);
		if (index == p->n_services) {
			return err_set(e, ERR_INVALID, "no such service: %s", names->v[i]);
		}
		select_with_dependencies(p, index, no_deps, marks);
	}
	return 0;
}

/* ---- networks and volumes ---- */

static const struct state_network *find_network(const struct state *s, const char *name)
{
	for (size_t i = 0; i < s->n_networks; i++) {
		if (strcmp(s->networks[i].name, name) == 0) {
			return &s->networks[i];
		}
	}
	return NULL;
}

static const struct state_volume *find_volume(const struct state *s, const char *name)
{
	for (size_t i = 0; i < s->n_volumes; i++) {
		if (strcmp(s->volumes[i].name, name) == 0) {
			return &s->volumes[i];
		}
	}
	return NULL;
}

static bool uses_network(const struct up *u, const struct network *n)
{
	for (size_t i = 0; i < u->p->n_services; i++) {
		for (size_t k = 0; u->selected[i] && k < u->p->services[i].n_endpoints; k++) {
			if (strcmp(u->p->services[i].endpoints[k].network, n->key) == 0) {
				return true;
			}
		}
	}
	return false;
}

/* A network whose definition changed goes with the containers on it; they are recreated afterwards.
 */
static void replace_network(struct up *u, const struct network *n)
{
	for (size_t i = 0; i < u->s->n_containers; i++) {
		const struct state_container *c = &u->s->containers[i];
		if (strv_has(&c->networks, n->name) && state_is_running(c)) {
			struct step *stop = plan_add_step(u->plan, STEP_STOP, c->name);
			stop->existing = c;
		}
	}
	plan_add_step(u->plan, STEP_NETWORK_REMOVE, n->name)->network = n;
	strv_add(&u->lost, n->name);
}

static int plan_network(struct up *u, const struct network *n)
{
	const struct state_network *there = find_network(u->s, n->name);
	if (n->external) {
		bool builtin = strcmp(n->name, "host") == 0 || strcmp(n->name, "none") == 0 ||
			       strcmp(n->name, "bridge") == 0;
		return there || builtin
			       ? 0
			       : err_set(u->e, ERR_NOT_FOUND,
					 "network %s declared as external, but could not be found",
					 n->name);
	}
	char hash[EMIT_HASH_MAX];
	emit_node_hash(n->node, hash);
	if (there && strcmp(there->project, u->p->name) != 0) {
		strv_addf(&u->plan->warnings,
			"a network with name %s exists but was not created for project \"%s\". Set `external: true` to use an existing network",
			n->name, u->p->name);
		return 0;
	}
	if (there && strcmp(there->hash, hash) != 0 && !u->o->no_recreate && *there->hash) {
		replace_network(u, n);
		there = NULL;
	}
	if (!there) {
		plan_add_step(u->plan, STEP_NETWORK_CREATE, n->name)->network = n;
	}
	return 0;
}

static int plan_volume(struct up *u, const struct volume *v)
{
	const struct state_volume *there = find_volume(u->s, v->name);
	if (v->external) {
		return there ? 0
			     : err_set(u->e, ERR_NOT_FOUND, "external volume \"%s\" not found",
				       v->name);
	}
	if (there && strcmp(there->project, u->p->name) != 0) {
		strv_addf(&u->plan->warnings,
			"volume \"%s\" already exists but was not created by this project. Use `external: true` to use an existing volume",
			v->name);
	}
	if (!there) {
		plan_add_step(u->plan, STEP_VOLUME_CREATE, v->name)->volume = v;
	}
	return 0;
}

static int plan_resources(struct up *u)
{
	for (size_t i = 0; i < u->p->n_networks; i++) {
		if (uses_network(u, &u->p->networks[i]) &&
			plan_network(u, &u->p->networks[i]) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < u->p->n_volumes; i++) {
		if (plan_volume(u, &u->p->volumes[i]) < 0) {
			return -1;
		}
	}
	return 0;
}

/* ---- containers ---- */

static void plan_orphans(struct up *u)
{
	scoped(buf) struct buf names = BUF_INIT;
	for (size_t i = 0; i < u->s->n_containers; i++) {
		const struct state_container *c = &u->s->containers[i];
		bool known = service_index(u->p, c->service) < u->p->n_services;
		for (size_t d = 0; !known && d < u->p->disabled.n; d++) {
			known = strcmp(u->p->disabled.v[d], c->service) == 0;
		}
		if (known || c->one_off) {
			continue;
		}
		if (!u->o->remove_orphans) {
			buf_printf(&names, "%s%s", names.len ? " " : "", c->name);
			continue;
		}
		if (state_is_running(c)) {
			plan_add_step(u->plan, STEP_STOP, c->name)->existing = c;
		}
		plan_add_step(u->plan, STEP_REMOVE, c->name)->existing = c;
	}
	if (names.len > 0) {
		strv_addf(&u->plan->warnings,
			"Found orphan containers ([%s]) for this project. If you removed or renamed this service in your compose file, "
			"you can run this command with the --remove-orphans flag to clean it up.",
			buf_str(&names));
	}
}

static const char *image_of(const struct state *s, const char *service)
{
	for (size_t i = 0; i < s->n_images; i++) {
		if (strcmp(s->images[i].service, service) == 0) {
			return s->images[i].id;
		}
	}
	return "";
}

/* Does the service use a namespace or the volumes of one that was recreated? The old container's id
 * is gone then. */
static bool shares_with_recreated(const struct up *u, const struct service *s)
{
	const char *const modes[] = {s->network_mode, s->pid, s->ipc};
	for (size_t i = 0; i < 3; i++) {
		if (modes[i] && text_starts(modes[i], "service:")) {
			size_t other = service_index(u->p, modes[i] + strlen("service:"));
			if (other < u->p->n_services && u->recreated[other]) {
				return true;
			}
		}
	}
	for (size_t i = 0; i < s->volumes_from.n + s->links.n; i++) {
		const char *from = i < s->volumes_from.n ? s->volumes_from.v[i]
							 : s->links.v[i - s->volumes_from.n];
		scoped(free) char *name = xstrndup(from, strcspn(from, ":"));
		size_t other = service_index(u->p, name);
		if (other < u->p->n_services && u->recreated[other]) {
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

static bool must_recreate(
	const struct up *u, const struct service *s, const struct state_container *c)
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
	return strcmp(c->hash, hash) != 0 || (*image && strcmp(c->image_id, image) != 0) ||
	       shares_with_recreated(u, s);
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
			ret[n++] = (struct candidate){c, must_recreate(u, s, c)};
		}
	}
	qsort(ret, n, sizeof(*ret), compare_candidates);
	return n;
}

static void plan_surplus(
	struct up *u, const struct service *s, const struct candidate *surplus, size_t n)
{
	for (size_t i = n; i-- > 0;) {
		if (state_is_running(surplus[i].c)) {
			struct step *stop = plan_add_step(u->plan, STEP_STOP, surplus[i].c->name);
			stop->existing = surplus[i].c;
			stop->service = s;
		}
	}
	for (size_t i = n; i-- > 0;) {
		struct step *remove = plan_add_step(u->plan, STEP_REMOVE, surplus[i].c->name);
		remove->existing = surplus[i].c;
		remove->service = s;
	}
}

static void plan_kept(struct up *u, size_t index, const struct candidate *candidate)
{
	const struct service *s = &u->p->services[index];
	const struct state_container *c = candidate->c;
	struct step *step = NULL;
	if (candidate->obsolete) {
		scoped(free) char *name = request_container_name(u->p, s, c->number);
		step = plan_add_step(u->plan, STEP_RECREATE, name);
		u->recreated[index] = true;
	} else if (state_is_running(c)) {
		step = plan_add_step(u->plan, STEP_KEEP, c->name);
	} else {
		return;
	}
	step->service = s;
	step->existing = c;
	step->number = c->number;
}

static int plan_service(struct up *u, size_t index)
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
	plan_surplus(u, s, candidates + kept, n - kept);
	for (size_t i = 0; i < kept; i++) {
		plan_kept(u, index, &candidates[i]);
	}
	for (size_t i = kept; i < (size_t)wanted; i++) {
		scoped(free) char *name = request_container_name(u->p, s, ++highest);
		struct step *create = plan_add_step(u->plan, STEP_CREATE, name);
		create->service = s;
		create->number = highest;
	}
	return 0;
}

/* ---- starting ---- */

static void plan_waits(struct up *u, const struct service *s)
{
	for (size_t i = 0; i < s->n_dependencies; i++) {
		const struct dependency *d = &s->dependencies[i];
		size_t other = service_index(u->p, d->service);
		if (d->condition == CONDITION_STARTED || other == u->p->n_services ||
			!u->selected[other]) {
			continue;
		}
		struct step *wait = plan_add_step(u->plan, STEP_WAIT, d->service);
		wait->service = &u->p->services[other];
		wait->waiter = s;
		wait->condition = d->condition;
		wait->required = d->required;
	}
}

static bool restarts_with_dependency(const struct up *u, const struct service *s)
{
	for (size_t i = 0; i < s->n_dependencies; i++) {
		size_t other = service_index(u->p, s->dependencies[i].service);
		if (s->dependencies[i].restart && other < u->p->n_services && u->recreated[other]) {
			return true;
		}
	}
	return false;
}

/* What plan_service decided for the service, as starts. Steps are looked up by index: adding moves
 * them. */
static void plan_starts(struct up *u, size_t index, size_t n_decided)
{
	const struct service *s = &u->p->services[index];
	bool restart = restarts_with_dependency(u, s);
	bool waited = false;
	for (size_t i = 0; i < n_decided; i++) {
		struct step decided = u->plan->steps[i];
		bool fresh = decided.kind == STEP_CREATE || decided.kind == STEP_RECREATE;
		if (decided.service != s || !(fresh || (decided.kind == STEP_KEEP && restart))) {
			continue;
		}
		if (!waited) {
			plan_waits(u, s);
			waited = true;
		}
		if (decided.kind == STEP_KEEP) {
			struct step *stop = plan_add_step(u->plan, STEP_STOP, decided.name);
			stop->service = s;
			stop->existing = decided.existing;
		}
		struct step *start = plan_add_step(u->plan, STEP_START, decided.name);
		start->service = s;
		start->existing = decided.kind == STEP_KEEP ? decided.existing : NULL;
		start->number = decided.number;
	}
	for (size_t i = 0; i < u->s->n_containers; i++) {
		const struct state_container *c = &u->s->containers[i];
		bool mentioned = false;
		for (size_t k = 0; k < n_decided; k++) {
			mentioned = mentioned || u->plan->steps[k].existing == c;
		}
		if (c->one_off || strcmp(c->service, s->name) != 0 || mentioned) {
			continue;
		}
		if (!waited) {
			plan_waits(u, s);
			waited = true;
		}
		struct step *start = plan_add_step(u->plan, STEP_START, c->name);
		start->service = s;
		start->existing = c;
		start->number = c->number;
	}
}

static int plan_containers(struct up *u)
{
	for (size_t i = 0; i < u->p->n_services; i++) {
		if (u->selected[i] && plan_service(u, i) < 0) {
			return -1;
		}
	}
	size_t n_decided = u->plan->n;
	for (size_t i = 0; !u->o->no_start && i < u->p->n_services; i++) {
		if (u->selected[i]) {
			plan_starts(u, i, n_decided);
		}
	}
	return 0;
}

int plan_up(const struct project *p, const struct state *s, const struct plan_up *o,
	struct plan *ret, struct err *e)
{
	scoped(plan) struct plan plan = {.strings = tree_new()};
	scoped(free) bool *selected = xnew_array(bool, p->n_services + 1);
	scoped(free) bool *recreated = xnew_array(bool, p->n_services + 1);
	struct up u = {.p = p,
		.s = s,
		.o = o,
		.plan = &plan,
		.selected = selected,
		.recreated = recreated,
		.e = e};
	for (size_t i = 0; i < o->n_scales; i++) {
		if (!project_service(p, o->scales[i].service)) {
			return err_set(e, ERR_INVALID, "no such service: %s", o->scales[i].service);
		}
	}
	int r = plan_select(p, o->services, o->no_deps, selected, e);
	r = r == 0 ? plan_resources(&u) : r;
	if (r == 0) {
		plan_orphans(&u);
		r = plan_containers(&u);
	}
	strv_deinit(&u.lost);
	if (r == 0) {
		*ret = plan;
		plan = (struct plan){0};
	}
	return r;
}
