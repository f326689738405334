/* compose run: a one-off container of a service. */
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
		.read_file = compose_read_text,
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
