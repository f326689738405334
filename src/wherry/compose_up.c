#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/parse.h"
#include "compose/duration.h"
#include "wherry/compose.h"
#include "wherry/flags.h"

struct up {
	bool detach, build, no_build, quiet_pull, no_log_prefix, no_color, timestamps, wait,
		renew_volumes, creates;
	const char *pull;
	int64_t timeout, wait_timeout;
	struct plan_up plan;
	struct compose_attached_options attached;
	struct strv scales;
	struct plan_scale *wanted;
};

static void up_deinit(struct up *u)
{
	for (size_t i = 0; i < u->plan.n_scales; i++) {
		free((char *)u->wanted[i].service);
	}
	free(u->wanted);
	strv_deinit(&u->scales);
}

static int read_scales(struct up *u, struct err *e)
{
	u->wanted = xnew_array(struct plan_scale, u->scales.n + 1);
	u->plan.scales = u->wanted;
	for (size_t i = 0; i < u->scales.n; i++) {
		const char *equal = strchr(u->scales.v[i], '=');
		int count;
		if (!equal || parse_int(equal + 1, 0, 10000, &count) < 0) {
			return err_set(e, ERR_INVALID,
				"invalid --scale option \"%s\": SERVICE=NUM is expected",
				u->scales.v[i]);
		}
		u->wanted[u->plan.n_scales++] = (struct plan_scale){
			xstrndup(u->scales.v[i], (size_t)(equal - u->scales.v[i])), count};
	}
	return 0;
}

static int check(const struct up *u, struct err *e)
{
	if (u->build && u->no_build) {
		return err_set(e, ERR_INVALID, "--build and --no-build are incompatible");
	}
	if (u->plan.force_recreate && u->plan.no_recreate) {
		return err_set(
			e, ERR_INVALID, "--force-recreate and --no-recreate are incompatible");
	}
	bool aborts = u->attached.abort_on_exit || u->attached.abort_on_failure ||
		      u->attached.exit_code_from;
	if (aborts && (u->detach || u->wait)) {
		return err_set(e, ERR_INVALID,
			"--abort-on-container-exit and --exit-code-from cannot be combined with --detach or --wait");
	}
	return 0;
}

static int wait_all(struct compose *c, struct compose_carry *carry, const struct up *u,
	const bool *selected, struct err *e)
{
	scoped(plan) struct plan plan = {0};
	plan_wait_all(c->project, selected, &plan);
	if (u->wait_timeout > 0) {
		c->wait_until_ms = clock_mono_ms() + u->wait_timeout * 1000;
	}
	int r = compose_carry_out(carry, &plan, e);
	if (r < 0 && c->wait_until_ms > 0 && clock_mono_ms() >= c->wait_until_ms) {
		return err_set(e, ERR_BUSY, "application not healthy after %s",
			duration_format(c->project->tree, u->wait_timeout * NS_PER_SEC));
	}
	return r;
}

/* The labels of the services that read files; each text is the caller's. */
static size_t read_contents(const struct project *p, const bool *selected, struct plan_content *ret)
{
	size_t n = 0;
	for (size_t i = 0; i < p->n_services; i++) {
		char *files = selected[i] ? compose_content(&p->services[i]) : NULL;
		if (files) {
			ret[n++] = (struct plan_content){p->services[i].name, files};
		}
	}
	return n;
}

static int make_plan(struct compose *c, struct up *u, const bool *selected,
	const struct compose_state *state, struct plan *ret, struct err *e)
{
	scoped(free) struct plan_content *contents =
		xnew_array(struct plan_content, c->project->n_services + 1);
	u->plan.contents = contents;
	u->plan.n_contents = read_contents(c->project, selected, contents);
	int r = plan_up(c->project, &state->s, &u->plan, ret, e);
	for (size_t i = 0; i < u->plan.n_contents; i++) {
		free((char *)contents[i].files);
	}
	u->plan.n_contents = 0;
	return r;
}

/* Everything but starting and showing. */
static int prepare(struct compose *c, struct up *u, const bool *selected,
	struct compose_state *state, struct plan *plan, struct err *e)
{
	const struct compose_image_options images = {.build = u->build,
		.no_build = u->no_build,
		.quiet_pull = u->quiet_pull,
		.pull = u->pull};
	if (compose_images_ensure(c, selected, &images, e) < 0 ||
		compose_state_fetch(c, c->project->name, state, e) < 0 ||
		compose_state_images(c, state, e) < 0) {
		return -1;
	}
	return make_plan(c, u, selected, state, plan, e);
}

static int carry(struct compose *c, struct up *u, const bool *selected,
	struct compose_attached *attached, struct err *e)
{
	scoped(compose_state) struct compose_state state = {0};
	scoped(plan) struct plan plan = {0};
	if (prepare(c, u, selected, &state, &plan, e) < 0) {
		return -1;
	}
	struct compose_carry carry = {.c = c,
		.state = &state,
		.timeout_s = (int)u->timeout,
		.renew_volumes = u->renew_volumes,
		.on_start = attached ? compose_attached_started : NULL,
		.owner = attached};
	if (attached) {
		compose_attached_expect(attached, &plan);
	}
	int r = compose_carry_out(&carry, &plan, e);
	if (r == 0 && u->wait) {
		r = wait_all(c, &carry, u, selected, e);
	}
	strv_deinit(&carry.fresh);
	return r;
}

static int run_up(struct compose *c, struct up *u)
{
	struct err e;
	scoped(free) bool *selected = xnew_array(bool, c->project->n_services + 1);
	struct compose_attached *attached = NULL;
	bool interactive = !u->detach && !u->wait && !u->plan.no_start;
	bool detached = !interactive || c->dry_run;
	u->plan.services = &c->services;
	u->attached.timeout_s = (int)u->timeout;
	if (check(u, &e) < 0 || read_scales(u, &e) < 0 ||
		plan_select(c->project, &c->services, u->plan.no_deps, selected, &e) < 0) {
		return cli_fail(&e);
	}
	if (!detached) {
		attached = compose_attached_new(c, &u->attached, selected, &e);
		if (!attached) {
			return cli_fail(&e);
		}
	}
	compose_begin(c, u->creates ? "Creating" : "Running");
	int status = carry(c, u, selected, attached, &e) < 0 ? cli_fail(&e) : 0;
	if (status == 0 && attached) {
		status = compose_attached_run(attached);
	}
	if (status == 0 && interactive && c->dry_run) {
		puts("end of 'compose up' output, interactive run is not supported in dry-run mode");
	}
	compose_attached_free(attached);
	return status;
}

static int load_and_run(struct compose *c, struct up *u, int argc, char **argv)
{
	struct err e;
	int status = compose_load(c, argv + 1, argc - 1, &e) < 0 ? cli_fail(&e) : run_up(c, u);
	up_deinit(u);
	return status;
}

int compose_up(struct compose *c, int argc, char **argv)
{
	struct up u = {.timeout = -1};
	bool ignored = false;
	const struct flag flags[] = {
		{"detach", 'd', FLAG_BOOL, &u.detach, NULL,
			"Detached mode: Run containers in the background"},
		{"build", 0, FLAG_BOOL, &u.build, NULL, "Build images before starting containers"},
		{"no-build", 0, FLAG_BOOL, &u.no_build, NULL,
			"Don't build an image, even if it's policy"},
		{"pull", 0, FLAG_STRING, &u.pull, NULL,
			"Pull image before running (\"always\"|\"missing\"|\"never\")"},
		{"quiet-pull", 0, FLAG_BOOL, &u.quiet_pull, NULL,
			"Pull without printing progress information"},
		{"force-recreate", 0, FLAG_BOOL, &u.plan.force_recreate, NULL,
			"Recreate containers even if their configuration and image haven't changed"},
		{"no-recreate", 0, FLAG_BOOL, &u.plan.no_recreate, NULL,
			"If containers already exist, don't recreate them"},
		{"always-recreate-deps", 0, FLAG_BOOL, &u.plan.always_recreate_deps, NULL,
			"Recreate dependent containers"},
		{"renew-anon-volumes", 'V', FLAG_BOOL, &u.renew_volumes, NULL,
			"Recreate anonymous volumes instead of retrieving data from the previous containers"},
		{"remove-orphans", 0, FLAG_BOOL, &u.plan.remove_orphans, NULL,
			"Remove containers for services not defined in the Compose file"},
		{"no-deps", 0, FLAG_BOOL, &u.plan.no_deps, NULL, "Don't start linked services"},
		{"no-start", 0, FLAG_BOOL, &u.plan.no_start, NULL,
			"Don't start the services after creating them"},
		{"scale", 0, FLAG_LIST, &u.scales, "SERVICE=NUM", "Scale SERVICE to NUM instances"},
		{"wait", 0, FLAG_BOOL, &u.wait, NULL,
			"Wait for services to be running|healthy. Implies detached mode"},
		{"wait-timeout", 0, FLAG_INT, &u.wait_timeout, NULL,
			"Maximum duration in seconds to wait for the project"},
		{"timeout", 't', FLAG_INT, &u.timeout, NULL,
			"Timeout in seconds for container shutdown"},
		{"abort-on-container-exit", 0, FLAG_BOOL, &u.attached.abort_on_exit, NULL,
			"Stops all containers if any container was stopped"},
		{"abort-on-container-failure", 0, FLAG_BOOL, &u.attached.abort_on_failure, NULL,
			"Stops all containers if any container exited with failure"},
		{"exit-code-from", 0, FLAG_STRING, &u.attached.exit_code_from, NULL,
			"Return the exit code of the selected service container"},
		{"no-log-prefix", 0, FLAG_BOOL, &u.attached.no_prefix, NULL,
			"Don't print prefix in logs"},
		{"no-color", 0, FLAG_BOOL, &u.attached.no_color, NULL, "Produce monochrome output"},
		{"timestamps", 0, FLAG_BOOL, &u.attached.timestamps, NULL, "Show timestamps"},
		{"yes", 'y', FLAG_BOOL, &ignored, NULL, NULL},
		{0},
	};
	const struct syntax s = {"compose up", "[OPTIONS] [SERVICE...]",
		"Create and start containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		up_deinit(&u);
		return status;
	}
	if (u.attached.exit_code_from) {
		u.attached.abort_on_exit = true;
	}
	return load_and_run(c, &u, argc, argv);
}

int compose_create(struct compose *c, int argc, char **argv)
{
	struct up u = {.timeout = -1, .creates = true, .plan.no_start = true};
	const struct flag flags[] = {
		{"build", 0, FLAG_BOOL, &u.build, NULL, "Build images before starting containers"},
		{"no-build", 0, FLAG_BOOL, &u.no_build, NULL,
			"Don't build an image, even if it's policy"},
		{"pull", 0, FLAG_STRING, &u.pull, NULL,
			"Pull image before running (\"always\"|\"missing\"|\"never\")"},
		{"quiet-pull", 0, FLAG_BOOL, &u.quiet_pull, NULL,
			"Pull without printing progress information"},
		{"force-recreate", 0, FLAG_BOOL, &u.plan.force_recreate, NULL,
			"Recreate containers even if their configuration and image haven't changed"},
		{"no-recreate", 0, FLAG_BOOL, &u.plan.no_recreate, NULL,
			"If containers already exist, don't recreate them"},
		{"remove-orphans", 0, FLAG_BOOL, &u.plan.remove_orphans, NULL,
			"Remove containers for services not defined in the Compose file"},
		{"scale", 0, FLAG_LIST, &u.scales, "SERVICE=NUM", "Scale SERVICE to NUM instances"},
		{0},
	};
	const struct syntax s = {"compose create", "[OPTIONS] [SERVICE...]",
		"Creates containers for a service", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		up_deinit(&u);
		return status;
	}
	return load_and_run(c, &u, argc, argv);
}

/* ---- scale ---- */

/* "web=3" as --scale takes it; the services are those that are named. */
static int read_tuples(struct compose *c, struct up *u, int argc, char **argv, struct err *e)
{
	for (int i = 1; i < argc; i++) {
		const char *equal = strchr(argv[i], '=');
		int count;
		if (!equal || equal == argv[i] || !equal[1]) {
			return err_set(e, ERR_INVALID, "invalid scale specifier: %s", argv[i]);
		}
		if (parse_int(equal + 1, 0, 10000, &count) < 0) {
			return err_set(e, ERR_INVALID,
				"invalid scale specifier: can't parse replica value as int: %s",
				argv[i]);
		}
		strv_add(&u->scales, argv[i]);
		strv_addn(&c->services, argv[i], (size_t)(equal - argv[i]));
	}
	return 0;
}

int compose_scale(struct compose *c, int argc, char **argv)
{
	struct up u = {.timeout = -1, .detach = true};
	const struct flag flags[] = {
		{"no-deps", 0, FLAG_BOOL, &u.plan.no_deps, NULL, "Don't start linked services"},
		{0},
	};
	const struct syntax s = {
		"compose scale", "[SERVICE=REPLICAS...]", "Scale services", 1, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	struct err e;
	if (status < 0) {
		bool failed = read_tuples(c, &u, argc, argv, &e) < 0 ||
			      compose_load(c, NULL, 0, &e) < 0 || compose_check_names(c, &e) < 0;
		status = failed ? cli_fail(&e) : run_up(c, &u);
	}
	up_deinit(&u);
	return status;
}
