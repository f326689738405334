/* The images that services need: there, pulled or built. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/timestamp.h"
#include "compose/duration.h"
#include "compose/refusal.h"
#include "wherry/compose_transfer.h"
#include "wherry/engine.h"

int compose_image_find(struct compose *c, const char *image, char **ret_id, struct err *e)
{
	scoped(json) json_t *doc = NULL;
	if (engine_on(c->cli, "GET", "/images/", image, "/json", &doc, e) < 0) {
		return e->kind == ERR_NOT_FOUND ? 0 : -1;
	}
	if (ret_id) {
		*ret_id = xstrdup(json_str(doc, "Id"));
	}
	return 1;
}

static bool is_first_use(const struct project *p, size_t index, const bool *selected)
{
	for (size_t i = 0; i < index; i++) {
		if (selected[i] && strcmp(p->services[i].image, p->services[index].image) == 0 &&
			!p->services[i].build == !p->services[index].build) {
			return false;
		}
	}
	return true;
}

/* "every_2h", "daily": when it was last tagged here does not matter to the others. */
static bool is_due(const json_t *image, const char *policy)
{
	int64_t period_ns =
		strcmp(policy, "weekly") == 0 ? 7 * 24 * 3600 * NS_PER_SEC : 24 * 3600 * NS_PER_SEC;
	int64_t tagged_ns;
	const char *tagged = json_str(json_object_get(image, "Metadata"), "LastTagTime");
	if (text_starts(policy, "every_") &&
		duration_parse(policy + strlen("every_"), &period_ns) < 0) {
		return true;
	}
	return timestamp_parse(tagged, 0, &tagged_ns) < 0 ||
	       tagged_ns + period_ns < clock_real_ns();
}

/* Whether it is pulled and whether, when it is not here after that, it is built. */
struct need {
	bool pull, build, present;
};

static int find_need(struct compose *c, const struct service *s,
	const struct compose_image_options *o, struct need *ret, struct err *e)
{
	scoped(json) json_t *image = NULL;
	const char *policy = o->pull && strcmp(o->pull, "policy") != 0 ? o->pull
			     : s->pull_policy                          ? s->pull_policy
								       : "missing";
	bool periodic = text_starts(policy, "every_") || strcmp(policy, "daily") == 0 ||
			strcmp(policy, "weekly") == 0;
	bool named = node_text(s->node, "image") != NULL;
	if (engine_on(c->cli, "GET", "/images/", s->image, "/json", &image, e) < 0 &&
		e->kind != ERR_NOT_FOUND) {
		return -1;
	}
	*ret = (struct need){.present = image != NULL};
	if (s->build && !o->no_build && (o->build || strcmp(policy, "build") == 0)) {
		ret->build = true;
		return 0;
	}
	ret->pull =
		named &&
		(strcmp(policy, "always") == 0 ||
			(!image && strcmp(policy, "never") != 0 && strcmp(policy, "build") != 0) ||
			(image && periodic && is_due(image, policy)));
	ret->build = s->build && !o->no_build && !image;
	return ret->present || ret->pull || ret->build
		       ? 0
		       : err_set(e, ERR_NOT_FOUND, "No such image: %s", s->image);
}

/* Images that are mounted are pulled, too; names are the tree's. */
static int add_mounted(
	struct compose *c, const struct service *s, struct transfer *list, size_t *n, struct err *e)
{
	for (size_t i = 0; i < s->n_mounts; i++) {
		const struct mount *m = &s->mounts[i];
		if (m->type != MOUNT_IMAGE || !m->source) {
			continue;
		}
		int found = compose_image_find(c, m->source, NULL, e);
		if (found < 0) {
			return -1;
		}
		if (!found) {
			list[(*n)++] = (struct transfer){
				.name = tree_printf(c->project->tree, "%s:volume %zu", s->name, i),
				.image = m->source};
		}
	}
	return 0;
}

/* Before anything is made. Only who asks for devices in another way than by their nodes has to know
 * the engine. */
static int check_startable(struct compose *c, const bool *selected, struct err *e)
{
	for (size_t i = 0; i < c->project->n_services; i++) {
		const struct service *s = &c->project->services[i];
		if (selected[i] && service_check_startable(s, false, e) < 0) {
			return -1;
		}
		if (selected[i] && service_asks_for_devices(s) && compose_engine_is_own(c) &&
			service_check_startable(s, true, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static size_t count_images(const struct project *p)
{
	size_t n = p->n_services;
	for (size_t i = 0; i < p->n_services; i++) {
		n += p->services[i].n_mounts;
	}
	return n;
}

/* needs[i] is for the service i; what it says of builds is right when this is done. */
static int pull_needed(struct compose *c, const bool *selected,
	const struct compose_image_options *o, struct need *needs, struct err *e)
{
	const struct project *p = c->project;
	scoped(free) struct transfer *list = xnew_array(struct transfer, count_images(p) + 1);
	scoped(free) size_t *owners = xnew_array(size_t, p->n_services + 1);
	size_t n_services = 0;
	for (size_t i = 0; i < p->n_services; i++) {
		const struct service *s = &p->services[i];
		if (!selected[i] || !is_first_use(p, i, selected)) {
			continue;
		}
		if (find_need(c, s, o, &needs[i], e) < 0) {
			return -1;
		}
		if (needs[i].pull) {
			owners[n_services] = i;
			list[n_services++] = (struct transfer){.name = s->name,
				.image = s->image,
				.platform = s->platform,
				.tolerated = s->build && (needs[i].build || needs[i].present)};
		}
	}
	size_t n = n_services;
	for (size_t i = 0; i < p->n_services; i++) {
		if (selected[i] && add_mounted(c, &p->services[i], list, &n, e) < 0) {
			return -1;
		}
	}
	int r = compose_pull_images(c, list, n, o->quiet_pull, e);
	for (size_t i = 0; i < n_services; i++) {
		needs[owners[i]].build = needs[owners[i]].build && list[i].failed;
	}
	return r;
}

int compose_images_ensure(struct compose *c, const bool *selected,
	const struct compose_image_options *o, struct err *e)
{
	scoped(free) struct need *needs = xnew_array(struct need, c->project->n_services + 1);
	scoped(free) const struct service **builds =
		xnew_array(const struct service *, c->project->n_services + 1);
	size_t n = 0;
	if (check_startable(c, selected, e) < 0 || pull_needed(c, selected, o, needs, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < c->project->n_services; i++) {
		if (needs[i].build) {
			builds[n++] = &c->project->services[i];
		}
	}
	const struct compose_build_options options = {.to_run = true,
		.quiet = o->quiet_build,
		.pull = o->pull && strcmp(o->pull, "always") == 0};
	return compose_build_services(c, builds, n, &options, e);
}
