/* The images that services need: there, pulled or built. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "compose/refusal.h"
#include "wherry/compose.h"
#include "wherry/engine.h"
#include "wherry/pull.h"

#define DAEMON "Error response from daemon: "

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

int compose_pull_service(struct compose *c, const struct service *s, bool quiet, struct err *e)
{
	compose_progress_event(c->progress, s->name, "Pulling", "");
	compose_progress_leave(c->progress);
	if (c->dry_run) {
		compose_progress_event(c->progress, s->name, "Pulled", "");
		return 0;
	}
	if (pull_image(c->cli, s->image, s->platform, quiet ? NULL : stderr, e) < 0) {
		compose_progress_event(
			c->progress, s->name, s->build ? "Warning" : "Error", e->msg);
		return -1;
	}
	compose_progress_event(c->progress, s->name, "Pulled", "");
	return 0;
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

/* Pulls it, or tells that it has to be built. */
static int ensure(struct compose *c, const struct service *s, const struct compose_image_options *o,
	bool *ret_build, struct err *e)
{
	const char *policy = o->pull && strcmp(o->pull, "policy") != 0 ? o->pull
			     : s->pull_policy                          ? s->pull_policy
								       : "missing";
	bool always = strcmp(policy, "always") == 0 || text_starts(policy, "every_") ||
		      strcmp(policy, "daily") == 0 || strcmp(policy, "weekly") == 0;
	int found = compose_image_find(c, s->image, NULL, e);
	if (found < 0) {
		return -1;
	}
	*ret_build = s->build && !o->no_build && (o->build || strcmp(policy, "build") == 0);
	if (*ret_build) {
		return 0;
	}
	if (found && !(always && !s->build)) {
		return 0;
	}
	if (s->build) {
		*ret_build = !o->no_build;
		return *ret_build ? 0 : err_set(e, ERR_NOT_FOUND, "No such image: %s", s->image);
	}
	if (strcmp(policy, "never") == 0) {
		return err_set(e, ERR_NOT_FOUND, "No such image: %s", s->image);
	}
	return compose_pull_service(c, s, o->quiet_pull, e);
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

int compose_images_ensure(struct compose *c, const bool *selected,
	const struct compose_image_options *o, struct err *e)
{
	scoped(free) const struct service **builds =
		xnew_array(const struct service *, c->project->n_services + 1);
	size_t n = 0;
	if (check_startable(c, selected, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < c->project->n_services; i++) {
		bool build = false;
		if (!selected[i] || !is_first_use(c->project, i, selected)) {
			continue;
		}
		if (ensure(c, &c->project->services[i], o, &build, e) < 0) {
			return -1;
		}
		if (build) {
			builds[n++] = &c->project->services[i];
		}
	}
	const struct compose_build_options options = {.to_run = true,
		.quiet = o->quiet_build,
		.pull = o->pull && strcmp(o->pull, "always") == 0};
	return compose_build_services(c, builds, n, &options, e);
}
