/* compose up, create and scale: their flags. */
#include <string.h>

#include "base/parse.h"
#include "wherry/compose_up.h"

static int load_and_run(struct compose *c, struct up *u, int argc, char **argv)
{
	struct err e;
	int status = compose_load(c, argv + 1, argc - 1, &e) < 0 ? cli_fail(&e) : up_run(c, u);
	up_deinit(u);
	return status;
}

/* ---- up ---- */

static int exclude(bool both, const char *text, struct err *e)
{
	return both ? err_set(e, ERR_INVALID, "%s", text) : 0;
}

/* In docker compose's order, so that of two mistakes the same one is told. */
static int check(struct up *u, struct err *e)
{
	struct compose_attached_options *a = &u->attached;
	bool attaches = u->attach_dependencies || a->abort_on_exit || a->abort_on_failure ||
			u->attach.n > 0 || u->watch;
	a->abort_on_exit = a->abort_on_exit || (a->exit_code_from && !a->abort_on_failure);
	if (exclude(a->abort_on_exit && a->abort_on_failure,
		    "--abort-on-container-failure cannot be combined with --abort-on-container-exit",
		    e) < 0 ||
		exclude(u->wait && (u->attach_dependencies || a->abort_on_exit || u->attach.n > 0),
			"--wait cannot be combined with --abort-on-container-exit, --attach or --attach-dependencies",
			e) < 0 ||
		exclude(u->build && u->no_build, "--build and --no-build are incompatible", e) <
			0 ||
		exclude(u->wait && attaches,
			"--wait cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, --attach-dependencies or --watch",
			e) < 0 ||
		exclude(u->detach && (attaches || a->abort_on_exit),
			"--detach cannot be combined with --abort-on-container-exit, --abort-on-container-failure, --attach, --attach-dependencies or --watch",
			e) < 0) {
		return -1;
	}
	const struct plan_up *p = &u->plan;
	if (exclude(u->renew_volumes && p->no_recreate,
		    "--no-recreate and --renew-anon-volumes are incompatible", e) < 0 ||
		exclude(p->force_recreate && p->no_recreate,
			"--force-recreate and --no-recreate are incompatible", e) < 0 ||
		exclude(p->always_recreate_deps && p->no_recreate,
			"--always-recreate-deps and --no-recreate are incompatible", e) < 0) {
		return -1;
	}
	return exclude(u->no_build && u->watch, "--no-build and --watch are incompatible", e);
}

int compose_up(struct compose *c, int argc, char **argv)
{
	struct up u = {.timeout = -1};
	u.plan.remove_orphans = compose_switch("COMPOSE_REMOVE_ORPHANS");
	const struct flag flags[] = {
		{"abort-on-container-exit", 0, FLAG_BOOL, &u.attached.abort_on_exit, NULL,
			"Stops all containers if any container was stopped. Incompatible with -d"},
		{"abort-on-container-failure", 0, FLAG_BOOL, &u.attached.abort_on_failure, NULL,
			"Stops all containers if any container exited with failure. Incompatible with -d"},
		{"always-recreate-deps", 0, FLAG_BOOL, &u.plan.always_recreate_deps, NULL,
			"Recreate dependent containers. Incompatible with --no-recreate."},
		{"attach", 0, FLAG_LIST, &u.attach, "stringArray",
			"Restrict attaching to the specified services. Incompatible with --attach-dependencies."},
		{"attach-dependencies", 0, FLAG_BOOL, &u.attach_dependencies, NULL,
			"Automatically attach to log output of dependent services"},
		{"build", 0, FLAG_BOOL, &u.build, NULL, "Build images before starting containers"},
		{"detach", 'd', FLAG_BOOL, &u.detach, NULL,
			"Detached mode: Run containers in the background"},
		{"exit-code-from", 0, FLAG_STRING, &u.attached.exit_code_from, NULL,
			"Return the exit code of the selected service container. Implies --abort-on-container-exit"},
		{"force-recreate", 0, FLAG_BOOL, &u.plan.force_recreate, NULL,
			"Recreate containers even if their configuration and image haven't changed"},
		{"menu", 0, FLAG_BOOL, NULL, NULL,
			"Accepted; there is no menu of shortcuts. Can also be set by COMPOSE_MENU"},
		{"no-attach", 0, FLAG_LIST, &u.no_attach, "stringArray",
			"Do not attach (stream logs) to the specified services"},
		{"no-build", 0, FLAG_BOOL, &u.no_build, NULL,
			"Don't build an image, even if it's policy"},
		{"no-color", 0, FLAG_BOOL, &u.attached.no_color, NULL, "Produce monochrome output"},
		{"no-deps", 0, FLAG_BOOL, &u.plan.no_deps, NULL, "Don't start linked services"},
		{"no-log-prefix", 0, FLAG_BOOL, &u.attached.no_prefix, NULL,
			"Don't print prefix in logs"},
		{"no-recreate", 0, FLAG_BOOL, &u.plan.no_recreate, NULL,
			"If containers already exist, don't recreate them. Incompatible with --force-recreate."},
		{"no-start", 0, FLAG_BOOL, &u.plan.no_start, NULL,
			"Don't start the services after creating them"},
		{"pull", 0, FLAG_STRING, &u.pull, NULL,
			"Pull image before running (\"always\"|\"missing\"|\"never\") (default \"policy\")"},
		{"quiet-build", 0, FLAG_BOOL, &u.quiet_build, NULL, "Suppress the build output"},
		{"quiet-pull", 0, FLAG_BOOL, &u.quiet_pull, NULL,
			"Pull without printing progress information"},
		{"remove-orphans", 0, FLAG_BOOL, &u.plan.remove_orphans, NULL,
			"Remove containers for services not defined in the Compose file"},
		{"renew-anon-volumes", 'V', FLAG_BOOL, &u.renew_volumes, NULL,
			"Recreate anonymous volumes instead of retrieving data from the previous containers"},
		{"scale", 0, FLAG_LIST, &u.scales, "scale",
			"Scale SERVICE to NUM instances. Overrides the scale setting in the Compose file if present."},
		{"timeout", 't', FLAG_INT, &u.timeout, NULL,
			"Use this timeout in seconds for container shutdown when attached or when containers are already running"},
		{"timestamps", 0, FLAG_BOOL, &u.attached.timestamps, NULL, "Show timestamps"},
		{"wait", 0, FLAG_BOOL, &u.wait, NULL,
			"Wait for services to be running|healthy. Implies detached mode."},
		{"wait-timeout", 0, FLAG_INT, &u.wait_timeout, NULL,
			"Maximum duration in seconds to wait for the project to be running|healthy"},
		{"watch", 'w', FLAG_BOOL, &u.watch, NULL,
			"Watch source code and rebuild/refresh containers when files are updated."},
		{"yes", 'y', FLAG_BOOL, &u.yes, NULL,
			"Assume \"yes\" as answer to all prompts and run non-interactively"},
		{"y", 0, FLAG_BOOL, &u.yes, NULL, NULL},
		{0},
	};
	const struct syntax s = {"compose up", "[OPTIONS] [SERVICE...]",
		"Create and start containers", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	struct err e;
	if (status < 0 && check(&u, &e) < 0) {
		status = cli_fail(&e);
	}
	if (status >= 0) {
		up_deinit(&u);
		return status;
	}
	return load_and_run(c, &u, argc, argv);
}

/* ---- create ---- */

int compose_create(struct compose *c, int argc, char **argv)
{
	struct up u = {.timeout = -1, .creates = true, .plan.no_start = true};
	const struct flag flags[] = {
		{"build", 0, FLAG_BOOL, &u.build, NULL, "Build images before starting containers"},
		{"force-recreate", 0, FLAG_BOOL, &u.plan.force_recreate, NULL,
			"Recreate containers even if their configuration and image haven't changed"},
		{"no-build", 0, FLAG_BOOL, &u.no_build, NULL,
			"Don't build an image, even if it's policy"},
		{"no-recreate", 0, FLAG_BOOL, &u.plan.no_recreate, NULL,
			"If containers already exist, don't recreate them. Incompatible with --force-recreate."},
		{"pull", 0, FLAG_STRING, &u.pull, NULL,
			"Pull image before running (\"always\"|\"missing\"|\"never\"|\"build\") (default \"policy\")"},
		{"quiet-pull", 0, FLAG_BOOL, &u.quiet_pull, NULL,
			"Pull without printing progress information"},
		{"remove-orphans", 0, FLAG_BOOL, &u.plan.remove_orphans, NULL,
			"Remove containers for services not defined in the Compose file"},
		{"scale", 0, FLAG_LIST, &u.scales, "scale",
			"Scale SERVICE to NUM instances. Overrides the scale setting in the Compose file if present."},
		{"yes", 'y', FLAG_BOOL, &u.yes, NULL,
			"Assume \"yes\" as answer to all prompts and run non-interactively"},
		{"y", 0, FLAG_BOOL, &u.yes, NULL, NULL},
		{0},
	};
	const struct syntax s = {"compose create", "[OPTIONS] [SERVICE...]",
		"Creates containers for a service", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	struct err e;
	if (status < 0 && check(&u, &e) < 0) {
		status = cli_fail(&e);
	}
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
		status = failed ? cli_fail(&e) : up_run(c, &u);
	}
	up_deinit(&u);
	return status;
}
