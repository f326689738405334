#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/compose_make.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

struct down {
	struct plan_down plan;
	const char *rmi;
	int64_t timeout;
};

static bool has_tag(const char *image)
{
	const char *slash = strrchr(image, '/');
	return strpbrk(slash ? slash : image, ":@") != NULL;
}

static void remove_image(struct compose *c, const char *name)
{
	struct err e;
	scoped(free) char *image = xasprintf("%s%s", name, has_tag(name) ? "" : ":latest");
	compose_progress_say(c->progress, "Image", image, "Removing");
	if (compose_act(c, "DELETE", "/images/", image, "", &e) == 0 || e.kind == ERR_NOT_FOUND) {
		compose_progress_say(c->progress, "Image", image, "Removed");
	} else {
		compose_progress_say(c->progress, "Image", image,
			e.kind == ERR_CONFLICT ? "Resource is still in use" : "Error");
	}
}

/* "local": only images without a name of their own, which we built. */
static void remove_images(struct compose *c, const char *which)
{
	scoped(strv) struct strv seen = STRV_INIT;
	for (size_t i = 0; i < c->project->n_services; i++) {
		const struct service *s = &c->project->services[i];
		bool wanted = strcmp(which, "all") == 0 || !node_text(s->node, "image");
		if (wanted && !strv_has(&seen, s->image)) {
			remove_image(c, s->image);
			strv_add(&seen, s->image);
		}
	}
}

static int run_down(struct compose *c, const struct down *d, const char *name, struct err *e)
{
	scoped(compose_state) struct compose_state state = {0};
	scoped(plan) struct plan plan = {0};
	if (compose_state_fetch(c, name, &state, e) < 0) {
		return -1;
	}
	plan_down(c->project, name, &state.s, &d->plan, &plan);
	compose_begin(c, "Running");
	struct compose_carry carry = {.c = c,
		.state = &state,
		.timeout_s = (int)d->timeout,
		.remove_volumes = d->plan.volumes};
	int r = compose_carry_out(&carry, &plan, e);
	strv_deinit(&carry.fresh);
	if (r == 0 && c->services.n == 0) {
		compose_forget(c, name);
	}
	if (r == 0 && d->rmi && c->project) {
		remove_images(c, d->rmi);
	}
	return r;
}

int compose_down(struct compose *c, int argc, char **argv)
{
	struct down d = {.timeout = -1};
	const struct flag flags[] = {
		{"volumes", 'v', FLAG_BOOL, &d.plan.volumes, NULL,
			"Remove named volumes declared in the \"volumes\" section of the Compose file and anonymous volumes"},
		{"rmi", 0, FLAG_STRING, &d.rmi, NULL,
			"Remove images used by services (\"local\"|\"all\")"},
		{"remove-orphans", 0, FLAG_BOOL, &d.plan.remove_orphans, NULL,
			"Remove containers for services not defined in the Compose file"},
		{"timeout", 't', FLAG_INT, &d.timeout, NULL,
			"Specify a shutdown timeout in seconds"},
		{0},
	};
	const struct syntax s = {"compose down", "[OPTIONS] [SERVICES]",
		"Stop and remove containers, networks", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	const char *name;
	if (d.rmi && strcmp(d.rmi, "all") != 0 && strcmp(d.rmi, "local") != 0) {
		err_set(&e, ERR_INVALID,
			"invalid value for --rmi: \"%s\": local or all is expected", d.rmi);
		return cli_fail(&e);
	}
	d.plan.services = &c->services;
	if (compose_load_or_name(c, argv + 1, argc - 1, &name, &e) < 0 ||
		compose_check_names(c, &e) < 0 || run_down(c, &d, name, &e) < 0) {
		return cli_fail(&e);
	}
	return 0;
}
