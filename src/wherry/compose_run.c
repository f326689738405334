/* exec, run, pull: what hands over to the plain commands of the CLI. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "compose/emit.h"
#include "wherry/attached.h"
#include "wherry/compose.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

static void add_option(struct strv *argv, const char *flag, const char *value)
{
	if (value) {
		strv_add(argv, flag);
		strv_add(argv, value);
	}
}

/* ---- exec ---- */

struct exec {
	bool detach, no_tty, privileged, interactive;
	int64_t index;
	const char *user, *workdir;
	struct strv env;
};

static int run_exec(struct compose *c, const struct exec *o, const char *project, char **words)
{
	struct err e;
	scoped(compose_state) struct compose_state s = {0};
	if (compose_state_fetch(c, project, &s, &e) < 0) {
		return cli_fail(&e);
	}
	const struct state_container *container = compose_container(&s, words[0], (int)o->index);
	if (!container || !compose_is_running(container)) {
		err_set(&e, ERR_NOT_FOUND, "service \"%s\" is not running", words[0]);
		return cli_fail(&e);
	}
	scoped(strv) struct strv argv = STRV_INIT;
	strv_add(&argv, "exec");
	bool tty = !o->no_tty && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	if (o->detach) {
		strv_add(&argv, "-d");
	} else if (o->interactive) {
		strv_add(&argv, tty ? "-it" : "-i");
	}
	if (o->privileged) {
		strv_add(&argv, "--privileged");
	}
	add_option(&argv, "--user", o->user);
	add_option(&argv, "--workdir", o->workdir);
	for (size_t i = 0; i < o->env.n; i++) {
		add_option(&argv, "--env", o->env.v[i]);
	}
	strv_add(&argv, container->id);
	for (char **w = words + 1; *w; w++) {
		strv_add(&argv, *w);
	}
	scoped(free) char **copy = xnew_array(char *, argv.n + 1);
	memcpy(copy, argv.v, argv.n * sizeof(*copy));
	return command_exec(c->cli, (int)argv.n, copy);
}

int compose_exec(struct compose *c, int argc, char **argv)
{
	struct exec o = {.interactive = true};
	const struct flag flags[] = {
		{"detach", 'd', FLAG_BOOL, &o.detach, NULL,
			"Detached mode: Run command in the background"},
		{"env", 'e', FLAG_LIST, &o.env, NULL, "Set environment variables"},
		{"index", 0, FLAG_INT, &o.index, NULL,
			"Index of the container if service has multiple replicas"},
		{"interactive", 'i', FLAG_BOOL, &o.interactive, NULL, NULL},
		{"no-TTY", 'T', FLAG_BOOL, &o.no_tty, NULL, "Disable pseudo-TTY allocation"},
		{"privileged", 0, FLAG_BOOL, &o.privileged, NULL,
			"Give extended privileges to the process"},
		{"user", 'u', FLAG_STRING, &o.user, NULL, "Run the command as this user"},
		{"workdir", 'w', FLAG_STRING, &o.workdir, NULL,
			"Path to workdir directory for this command"},
		{0},
	};
	const struct syntax s = {"compose exec", "[OPTIONS] SERVICE COMMAND [ARGS...]",
		"Execute a command in a running container", 2, -1, true};
	int status = compose_flags(c, &s, flags, &argc, argv);
	struct err e;
	const char *project;
	if (status < 0) {
		argv[argc] = NULL;
		status = compose_load_or_name(c, argv + 1, 1, &project, &e) < 0
				 ? cli_fail(&e)
				 : run_exec(c, &o, project, argv + 1);
	}
	strv_deinit(&o.env);
	return status;
}

/* ---- run ---- */

struct run {
	bool detach, rm, no_tty, no_deps, service_ports, build, interactive, quiet_pull,
		remove_orphans;
	const char *entrypoint, *user, *workdir, *name, *pull;
	struct strv env, labels, volumes, publish;
};

struct lookup {
	struct compose_state state;
};

static const char *container_of(void *owner, const char *service)
{
	const struct lookup *l = owner;
	const struct state_container *c = compose_container(&l->state, service, 0);
	return c ? c->id : NULL;
}

/* Brings the dependencies up as `up -d` would. */
static int start_dependencies(
	struct compose *c, const struct service *s, struct lookup *l, struct err *e)
{
	scoped(free) bool *selected = xnew_array(bool, c->project->n_services + 1);
	scoped(strv) struct strv names = STRV_INIT;
	scoped(plan) struct plan plan = {0};
	for (size_t i = 0; i < s->n_dependencies; i++) {
		strv_add(&names, s->dependencies[i].service);
	}
	if (names.n == 0) {
		return 0;
	}
	const struct compose_image_options images = {.quiet_pull = false};
	const struct plan_up options = {.services = &names, .no_recreate = true};
	if (plan_select(c->project, &names, false, selected, e) < 0 ||
		compose_images_ensure(c, selected, &images, e) < 0 ||
		compose_state_images(c, &l->state, e) < 0 ||
		plan_up(c->project, &l->state.s, &options, &plan, e) < 0) {
		return -1;
	}
	struct compose_carry carry = {.c = c, .state = &l->state, .timeout_s = -1};
	int r = compose_carry_out(&carry, &plan, e);
	strv_deinit(&carry.fresh);
	for (size_t i = 0; r == 0 && i < s->n_dependencies; i++) {
		const struct dependency *d = &s->dependencies[i];
		const struct service *other = project_service(c->project, d->service);
		if (other && compose_wait_condition(c, other, d->condition, e) < 0 && d->required) {
			r = -1;
		}
	}
	return r;
}

/* The networks must be there even when no dependency made them. */
static int ensure_networks(
	struct compose *c, const struct service *s, struct lookup *l, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(plan) struct plan plan = {0};
	strv_add(&names, s->name);
	const struct plan_scale none = {s->name, 0};
	const struct plan_up options = {.services = &names,
		.no_deps = true,
		.no_recreate = true,
		.no_start = true,
		.scales = &none,
		.n_scales = 1};
	if (plan_up(c->project, &l->state.s, &options, &plan, e) < 0) {
		return -1;
	}
	/* of that plan only what it creates beside containers: those of the service stay as they
	 * are */
	size_t kept = 0;
	for (size_t i = 0; i < plan.n; i++) {
		if (plan.steps[i].kind == STEP_NETWORK_CREATE ||
			plan.steps[i].kind == STEP_VOLUME_CREATE) {
			plan.steps[kept++] = plan.steps[i];
		}
	}
	plan.n = kept;
	struct compose_carry carry = {.c = c, .state = &l->state, .timeout_s = -1};
	int r = compose_carry_out(&carry, &plan, e);
	strv_deinit(&carry.fresh);
	return r;
}

static void add_env(json_t *body, const struct strv *env)
{
	scoped(strv) struct strv all = STRV_INIT;
	size_t i;
	json_t *value;
	json_array_foreach (json_object_get(body, "Env"), i, value) {
		strv_add(&all, json_string_value(value));
	}
	for (i = 0; i < env->n; i++) {
		const char *own = strchr(env->v[i], '=') ? NULL : getenv(env->v[i]);
		scoped(free) char *text =
			own ? xasprintf("%s=%s", env->v[i], own) : xstrdup(env->v[i]);
		strv_env_set(&all, text);
	}
	json_put(body, "Env", json_strv(&all));
}

/* The service's own request, changed by the command line. */
static json_t *run_body(struct compose *c, const struct service *s, const struct run *o,
	char **words, const char *slug, struct lookup *l, struct err *e)
{
	char hash[EMIT_HASH_MAX];
	scoped(free) char *image_id = NULL;
	if (compose_image_find(c, s->image, &image_id, e) < 0) {
		return NULL;
	}
	emit_service_hash(c->project, s, hash);
	const struct request_container r = {.service = s,
		.image_id = image_id,
		.hash = hash,
		.one_off = slug,
		.container_of = container_of,
		.owner = l};
	json_t *body = request_container(c->project, &r, e);
	if (!body) {
		return NULL;
	}
	json_t *host = json_object_get(body, "HostConfig");
	bool tty = !o->no_tty && !o->detach && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	json_put(body, "Tty", json_boolean(tty));
	json_put(body, "OpenStdin", json_boolean(o->interactive && !o->detach));
	json_put(body, "StdinOnce", json_boolean(o->interactive && !o->detach));
	json_put(host, "RestartPolicy", json_pack("{s:s}", "Name", "no"));
	if (!o->service_ports) {
		json_put(host, "PortBindings", json_object());
	}
	if (words[0]) {
		json_t *cmd = json_array();
		for (char **w = words; *w; w++) {
			json_array_append_new(cmd, json_string(*w));
		}
		json_put(body, "Cmd", cmd);
	}
	if (o->entrypoint) {
		json_put(body, "Entrypoint", json_pack("[s]", o->entrypoint));
	}
	if (o->user) {
		json_put_str(body, "User", o->user);
	}
	if (o->workdir) {
		json_put_str(body, "WorkingDir", o->workdir);
	}
	json_t *binds = json_object_get(host, "Binds");
	for (size_t i = 0; i < o->volumes.n; i++) {
		json_array_append_new(binds, json_string(o->volumes.v[i]));
	}
	add_env(body, &o->env);
	return body;
}

/* Attaches, starts, relays, and removes the container when asked. The command's status. */
static int run_attached(struct compose *c, const struct run *o, const char *id, bool tty)
{
	struct err e;
	struct stream stream;
	bool detached = false;
	int code = 0;
	const struct stream_options so = {.kind = "containers",
		.id = id,
		.with_stdin = o->interactive,
		.tty = tty,
		.sig_proxy = true};
	struct http_client *waiting = wait_begin(c->cli, id, "next-exit", &e);
	if (!waiting) {
		return cli_fail(&e);
	}
	int r = attach_open(&stream, c->cli, &so, true, true, &e);
	r = r == 0 ? engine_on(c->cli, "POST", "/containers/", id, "/start", NULL, &e) : r;
	if (r == 0) {
		stream_resize(&stream);
		r = stream_relay(&stream, &detached, &e);
	}
	stream_close(&stream);
	r = r == 0 && !detached ? wait_end(waiting, &code, &e) : r;
	http_client_free(waiting);
	if (r < 0) {
		cli_fail(&e);
		code = start_status(&e);
	}
	if (o->rm && !detached) {
		engine_on(c->cli, "DELETE", "/containers/", id, "?force=1&v=1", NULL, &e);
	}
	return code;
}

static int create_run(struct compose *c, const struct service *s, const struct run *o, char **words,
	struct lookup *l, char **ret_id, struct err *e)
{
	char slug[ID_LEN + 1];
	scoped(json) json_t *answer = NULL;
	scoped(buf) struct buf path = BUF_INIT;
	id_new(slug);
	scoped(free) char *name =
		o->name ? xstrdup(o->name)
			: xasprintf("%s-%s-run-%.12s", c->project->name, s->name, slug);
	scoped(json) json_t *body = run_body(c, s, o, words, slug, l, e);
	buf_puts(&path, "/containers/create");
	path_query(&path, "name", name);
	path_query(&path, "platform", s->platform);
	if (!body || engine_json(c->cli, "POST", buf_str(&path), body, &answer, e) < 0) {
		return -1;
	}
	*ret_id = xstrdup(json_str(answer, "Id"));
	return compose_put_files(c, s, *ret_id, e);
}

static int run_one(struct compose *c, const struct run *o, char **words)
{
	struct err e;
	struct lookup l = {0};
	scoped(free) char *id = NULL;
	scoped(free) bool *selected = xnew_array(bool, c->project->n_services + 1);
	const struct service *s = project_service(c->project, words[0]);
	const struct compose_image_options images = {
		.build = o->build, .quiet_pull = o->quiet_pull, .pull = o->pull};
	if (!s) {
		err_set(&e, ERR_INVALID, "no such service: %s", words[0]);
		return cli_fail(&e);
	}
	selected[s - c->project->services] = true;
	c->progress = compose_progress_new("plain", c->ansi, "Creating");
	int r = compose_images_ensure(c, selected, &images, &e);
	r = r == 0 ? compose_state_fetch(c, c->project->name, &l.state, &e) : r;
	r = r == 0 && !o->no_deps ? start_dependencies(c, s, &l, &e) : r;
	compose_state_deinit(&l.state);
	r = r == 0 ? compose_state_fetch(c, c->project->name, &l.state, &e) : r;
	r = r == 0 ? ensure_networks(c, s, &l, &e) : r;
	r = r == 0 ? create_run(c, s, o, words + 1, &l, &id, &e) : r;
	compose_state_deinit(&l.state);
	if (r < 0) {
		return cli_fail(&e);
	}
	if (o->detach) {
		if (engine_on(c->cli, "POST", "/containers/", id, "/start", NULL, &e) < 0) {
			return cli_fail(&e);
		}
		printf("%s\n", id);
		return 0;
	}
	bool tty = !o->no_tty && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	return run_attached(c, o, id, tty);
}

int compose_run(struct compose *c, int argc, char **argv)
{
	struct run o = {.interactive = true};
	const struct flag flags[] = {
		{"build", 0, FLAG_BOOL, &o.build, NULL, "Build image before starting container"},
		{"detach", 'd', FLAG_BOOL, &o.detach, NULL,
			"Run container in background and print container ID"},
		{"entrypoint", 0, FLAG_STRING, &o.entrypoint, NULL,
			"Override the entrypoint of the image"},
		{"env", 'e', FLAG_LIST, &o.env, NULL, "Set environment variables"},
		{"interactive", 'i', FLAG_BOOL, &o.interactive, NULL,
			"Keep STDIN open even if not attached"},
		{"name", 0, FLAG_STRING, &o.name, NULL, "Assign a name to the container"},
		{"no-TTY", 'T', FLAG_BOOL, &o.no_tty, NULL, "Disable pseudo-TTY allocation"},
		{"no-deps", 0, FLAG_BOOL, &o.no_deps, NULL, "Don't start linked services"},
		{"pull", 0, FLAG_STRING, &o.pull, NULL,
			"Pull image before running (\"always\"|\"missing\"|\"never\")"},
		{"quiet-pull", 0, FLAG_BOOL, &o.quiet_pull, NULL,
			"Pull without printing progress information"},
		{"rm", 0, FLAG_BOOL, &o.rm, NULL,
			"Automatically remove the container when it exits"},
		{"service-ports", 'P', FLAG_BOOL, &o.service_ports, NULL,
			"Run command with all service's ports enabled and mapped to the host"},
		{"user", 'u', FLAG_STRING, &o.user, NULL, "Run as specified username or uid"},
		{"volume", 'v', FLAG_LIST, &o.volumes, NULL, "Bind mount a volume"},
		{"workdir", 'w', FLAG_STRING, &o.workdir, NULL,
			"Working directory inside the container"},
		{0},
	};
	const struct syntax s = {"compose run", "[OPTIONS] SERVICE [COMMAND] [ARGS...]",
		"Run a one-off command on a service", 1, -1, true};
	int status = compose_flags(c, &s, flags, &argc, argv);
	struct err e;
	if (status < 0) {
		argv[argc] = NULL;
		status = compose_load(c, argv + 1, 1, &e) < 0 ? cli_fail(&e)
							      : run_one(c, &o, argv + 1);
	}
	strv_deinit(&o.env);
	strv_deinit(&o.labels);
	strv_deinit(&o.volumes);
	strv_deinit(&o.publish);
	return status;
}

/* ---- pull ---- */

int compose_pull(struct compose *c, int argc, char **argv)
{
	bool quiet = false;
	bool ignore_failures = false;
	bool ignore_buildable = false;
	bool include_deps = false;
	const struct flag flags[] = {
		{"ignore-buildable", 0, FLAG_BOOL, &ignore_buildable, NULL,
			"Ignore images that can be built"},
		{"ignore-pull-failures", 0, FLAG_BOOL, &ignore_failures, NULL,
			"Pull what it can and ignores images with pull failures"},
		{"include-deps", 0, FLAG_BOOL, &include_deps, NULL,
			"Also pull services declared as dependencies"},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL,
			"Pull without printing progress information"},
		{0},
	};
	const struct syntax s = {
		"compose pull", "[OPTIONS] [SERVICE...]", "Pull service images", 0, -1, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	if (compose_load(c, argv + 1, argc - 1, &e) < 0) {
		return cli_fail(&e);
	}
	scoped(free) bool *selected = xnew_array(bool, c->project->n_services + 1);
	if (plan_select(c->project, &c->services, !include_deps, selected, &e) < 0) {
		return cli_fail(&e);
	}
	c->progress = compose_progress_new(quiet ? "quiet" : c->progress_mode, c->ansi, "Pulling");
	for (size_t i = 0; i < c->project->n_services; i++) {
		const struct service *service = &c->project->services[i];
		/* an image that is only built has no name in any registry */
		bool only_built =
			service->build && (ignore_buildable || !node_text(service->node, "image"));
		if (!selected[i] || only_built) {
			continue;
		}
		if (compose_pull_service(c, service, quiet, &e) < 0 && !ignore_failures) {
			return cli_fail(&e);
		}
	}
	return 0;
}
