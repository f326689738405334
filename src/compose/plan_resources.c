/* Networks and volumes: what is missing is made, a network that was defined anew is replaced. */
#include <string.h>

#include "compose/plan_internal.h"
#include "compose/resource_hash.h"

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

bool plan_uses_network(const struct project *p, const bool *selected, const char *key)
{
	for (size_t i = 0; i < p->n_services; i++) {
		for (size_t k = 0; selected[i] && k < p->services[i].n_endpoints; k++) {
			if (strcmp(p->services[i].endpoints[k].network, key) == 0) {
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
	size_t first = u->plan->n;
	for (size_t i = 0; i < u->s->n_containers; i++) {
		const struct state_container *c = &u->s->containers[i];
		if (strv_has(&c->networks, n->name) && state_is_running(c)) {
			plan_add_step(u->plan, STEP_STOP, c->name)->existing = c;
		}
	}
	size_t last = u->plan->n;
	plan_add_step(u->plan, STEP_NETWORK_REMOVE, n->name)->network = n;
	for (size_t i = first; i < last; i++) {
		plan_add_after(u->plan, i);
	}
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
	char hash[RESOURCE_HASH_MAX];
	resource_hash_network(n, hash);
	if (there && strcmp(there->project, u->p->name) != 0) {
		strv_addf(&u->plan->warnings,
			"a network with name %s exists but was not created for project \"%s\". Set `external: true` to use an existing network",
			n->name, u->p->name);
		return 0;
	}
	bool changed =
		there && strcmp(there->hash, hash) != 0 && !u->o->no_recreate && *there->hash;
	if (changed) {
		replace_network(u, n);
	}
	if (!there || changed) {
		plan_add_step(u->plan, STEP_NETWORK_CREATE, n->name)->network = n;
	}
	if (changed) {
		plan_add_after(u->plan, u->plan->n - 2);
	}
	return 0;
}

bool plan_uses_volume(const struct project *p, const bool *selected, const char *key)
{
	for (size_t i = 0; i < p->n_services; i++) {
		for (size_t k = 0; selected[i] && k < p->services[i].n_mounts; k++) {
			const struct mount *m = &p->services[i].mounts[k];
			if (m->type == MOUNT_VOLUME && m->source && strcmp(m->source, key) == 0) {
				return true;
			}
		}
	}
	return false;
}

/* All that mounts it goes with it. */
static void replace_volume(struct up *u, const struct volume *v)
{
	size_t first = u->plan->n;
	for (size_t i = 0; i < u->s->n_containers; i++) {
		const struct state_container *c = &u->s->containers[i];
		if (u->gone[i] || !strv_has(&c->volumes, v->name)) {
			continue;
		}
		bool running = state_is_running(c);
		if (running) {
			plan_add_step(u->plan, STEP_STOP, c->name)->existing = c;
		}
		plan_add_step(u->plan, STEP_REMOVE, c->name)->existing = c;
		if (running) {
			plan_add_after(u->plan, u->plan->n - 2);
		}
		u->gone[i] = true;
	}
	size_t last = u->plan->n;
	plan_add_step(u->plan, STEP_VOLUME_REMOVE, v->name)->volume = v;
	for (size_t i = first; i < last; i++) {
		plan_add_after(u->plan, i);
	}
}

static int plan_volume(struct up *u, const struct volume *v)
{
	const struct state_volume *there = find_volume(u->s, v->name);
	if (v->external) {
		return there ? 0
			     : err_set(u->e, ERR_NOT_FOUND, "external volume \"%s\" not found",
				       v->name);
	}
	if (there && !*there->project) {
		strv_addf(&u->plan->warnings,
			"volume \"%s\" already exists but was not created by Docker Compose. Use `external: true` to use an existing volume",
			v->name);
	} else if (there && strcmp(there->project, u->p->name) != 0) {
		strv_addf(&u->plan->warnings,
			"volume \"%s\" already exists but was created for project \"%s\" (expected \"%s\"). Use `external: true` to use an existing volume",
			v->name, there->project, u->p->name);
	}
	bool renewed = there && u->o->renewed && strv_has(u->o->renewed, v->name);
	if (renewed) {
		replace_volume(u, v);
	}
	if (!there || renewed) {
		plan_add_step(u->plan, STEP_VOLUME_CREATE, v->name)->volume = v;
	}
	if (renewed) {
		plan_add_after(u->plan, u->plan->n - 2);
	}
	return 0;
}

void plan_changed_volumes(
	const struct project *p, const struct state *s, const bool *selected, struct strv *ret)
{
	for (size_t i = 0; i < p->n_volumes; i++) {
		const struct volume *v = &p->volumes[i];
		const struct state_volume *there = find_volume(s, v->name);
		char hash[RESOURCE_HASH_MAX];
		resource_hash_volume(v, hash);
		if (!v->external && there && there->hash && *there->hash &&
			strcmp(there->hash, hash) != 0 && plan_uses_volume(p, selected, v->key)) {
			strv_add(ret, v->name);
		}
	}
}

int plan_resources(struct up *u)
{
	for (size_t i = 0; i < u->p->n_networks; i++) {
		const struct network *n = &u->p->networks[i];
		if ((u->o->all_resources || plan_uses_network(u->p, u->selected, n->key)) &&
			plan_network(u, n) < 0) {
			return -1;
		}
	}
	for (size_t i = 0; i < u->p->n_volumes; i++) {
		const struct volume *v = &u->p->volumes[i];
		if ((u->o->all_resources || plan_uses_volume(u->p, u->selected, v->key)) &&
			plan_volume(u, v) < 0) {
			return -1;
		}
	}
	return 0;
}
