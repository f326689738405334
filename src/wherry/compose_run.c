/* compose run: a one-off container of a service. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "compose/emit.h"
#include "wherry/attached.h"
#include "wherry/compose_make.h"
#include "wherry/compose_run_service.h"
#include "wherry/engine.h"

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
static int start_dependencies(struct compose *c, const struct service *s, const struct run *o,
	struct lookup *l, struct err *e)
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
	const struct compose_image_options images = {
		.quiet_pull = o->quiet_pull, .quiet_build = o->quiet_build};
	const struct plan_up options = {.services = &names,
		.no_recreate = true,
		.remove_orphans = o->remove_orphans,
		.ignore_orphans = compose_switch("COMPOSE_IGNORE_ORPHANS")};
	if (plan_select(c->project, &names, false, selected, e) < 0 ||
		compose_images_ensure(c, selected, &images, e) < 0 ||
		compose_state_images(c, &l->state, e) < 0 ||
		plan_up(c->project, &l->state.s, &options, &plan, e) < 0) {
		return -1;
	}
	if (compose_renew_credentials(c, &l->state.s, e) < 0) {
		return -1;
	}
	struct compose_carry carry = {.c = c, .state = &l->state, .timeout_s = -1};
	int r = compose_carry_out(&carry, &plan, e);
	strv_deinit(&carry.fresh);
	for (size_t i = 0; r == 0 && i < s->n_dependencies; i++) {
		const struct dependency *d = &s->dependencies[i];
		const struct service *other = project_service(c->project, d->service);
		if (other && d->condition != CONDITION_STARTED &&
			compose_wait_condition(c, other, d->condition, e) < 0 && d->required) {
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
		.ignore_orphans = true, /* was said */
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
	if (compose_renew_credentials(c, &l->state.s, e) < 0) {
		return -1;
	}
	struct compose_carry carry = {.c = c, .state = &l->state, .timeout_s = -1};
	int r = compose_carry_out(&carry, &plan, e);
	strv_deinit(&carry.fresh);
	return r;
}

/* The service's own request, changed by the command line. */
static json_t *run_body(struct compose *c, const struct service *s, const struct run *o,
	const char *name, const char *slug, struct lookup *l, struct err *e)
{
	char hash[EMIT_HASH_MAX];
	scoped(free) char *image_id = NULL;
	if (compose_image_find(c, s->image, &image_id, e) < 0) {
		return NULL;
	}
	emit_service_hash(s, container_of, l, hash);
	const struct request_container r = {.service = s,
		.image_id = image_id,
		.hash = hash,
		.one_off = slug,
		.container_of = container_of,
		.read_file = compose_read_text,
		.api_socket = compose_socket(c),
		.owner = l};
	scoped(json) json_t *body = request_container(c->project, &r, e);
	return body && run_change_body(c, o, name, body, e) == 0 ? TAKE(body) : NULL;
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
	struct http_client *waiting = wait_begin(c->cli, id, o->rm ? "removed" : "next-exit", &e);
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
	if (r < 0 && o->rm) { /* what never ran is not removed by its end */
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
			: xasprintf("%1$s%2$s%3$s%2$srun%2$s%4$.12s", c->project->name,
				  project_separator(c->project), s->name, slug);
	struct service own;
	if (run_service(c, s, o, words, &own, e) < 0) {
		return -1;
	}
	scoped(json) json_t *body = run_body(c, &own, o, name, slug, l, e);
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
	const struct compose_image_options images = {.build = o->build,
		.quiet_pull = o->quiet_pull,
		.quiet_build = o->quiet_build,
		.pull = o->pull};
	if (!s) {
		err_set(&e, ERR_INVALID, "no such service: %s", words[0]);
		return cli_fail(&e);
	}
	selected[s - c->project->services] = true;
	c->progress_mode = o->quiet ? "quiet" : c->progress_mode;
	compose_begin(c, "Creating");
	int r = compose_images_ensure(c, selected, &images, &e);
	r = r == 0 ? compose_state_fetch(c, c->project->name, &l.state, &e) : r;
	r = r == 0 && !o->no_deps ? start_dependencies(c, s, o, &l, &e) : r;
	compose_state_deinit(&l.state);
	r = r == 0 ? compose_state_fetch(c, c->project->name, &l.state, &e) : r;
	r = r == 0 ? ensure_networks(c, s, &l, &e) : r;
	if (r == 0 && c->dry_run) {
		r = err_set(&e, ERR_INVALID, "interactive run is not supported in dry-run mode");
	}
	r = r == 0 ? create_run(c, s, o, words + 1, &l, &id, &e) : r;
	compose_state_deinit(&l.state);
	if (r < 0) {
		return cli_fail(&e);
	}
	if (o->detach) {
		if (engine_on(c->cli, "POST", "/containers/", id, "/start", NULL, &e) < 0) {
			return cli_fail(&e);
		}
		printf("%s\n", o->quiet ? "" : id);
		return 0;
	}
	compose_progress_leave(c->progress);
	return run_attached(c, o, id, run_has_tty(o));
}

static int check(const struct run *o, struct err *e)
{
	if (o->service_ports && o->publish.n > 0) {
		return err_set(e, ERR_INVALID, "--service-ports and --publish are incompatible");
	}
	for (size_t i = 0; i < o->labels.n; i++) {
		if (!strchr(o->labels.v[i], '=')) {
			return err_set(e, ERR_INVALID, "label must be set as KEY=VALUE");
		}
	}
	return 0;
}

int compose_run(struct compose *c, int argc, char **argv)
{
	struct run o = {.interactive = true, .tty = true};
	const struct flag flags[] = {
		{"build", 0, FLAG_BOOL, &o.build, NULL, "Build image before starting container"},
		{"cap-add", 0, FLAG_LIST, &o.cap_add, NULL, "Add Linux capabilities"},
		{"cap-drop", 0, FLAG_LIST, &o.cap_drop, NULL, "Drop Linux capabilities"},
		{"detach", 'd', FLAG_BOOL, &o.detach, NULL,
			"Run container in background and print container ID"},
		{"entrypoint", 0, FLAG_STRING, &o.entrypoint, NULL,
			"Override the entrypoint of the image"},
		{"env", 'e', FLAG_LIST, &o.env, "stringArray", "Set environment variables"},
		{"env-from-file", 0, FLAG_LIST, &o.env_files, "stringArray",
			"Set environment variables from file"},
		{"interactive", 'i', FLAG_BOOL, &o.interactive, NULL,
			"Keep STDIN open even if not attached (default true)"},
		{"label", 'l', FLAG_LIST, &o.labels, "stringArray", "Add or override a label"},
		{"name", 0, FLAG_STRING, &o.name, NULL, "Assign a name to the container"},
		{"no-TTY", 'T', FLAG_BOOL, &o.no_tty, NULL,
			"Disable pseudo-TTY allocation (default: auto-detected)"},
		{"no-deps", 0, FLAG_BOOL, &o.no_deps, NULL, "Don't start linked services"},
		{"publish", 'p', FLAG_LIST, &o.publish, "stringArray",
			"Publish a container's port(s) to the host"},
		{"pull", 0, FLAG_STRING, &o.pull, NULL,
			"Pull image before running (\"always\"|\"missing\"|\"never\") (default \"policy\")"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL, "Don't print anything to STDOUT"},
		{"quiet-build", 0, FLAG_BOOL, &o.quiet_build, NULL,
			"Suppress progress output from the build process"},
		{"quiet-pull", 0, FLAG_BOOL, &o.quiet_pull, NULL,
			"Pull without printing progress information"},
		{"remove-orphans", 0, FLAG_BOOL, &o.remove_orphans, NULL,
			"Remove containers for services not defined in the Compose file"},
		{"rm", 0, FLAG_BOOL, &o.rm, NULL,
			"Automatically remove the container when it exits"},
		{"service-ports", 'P', FLAG_BOOL, &o.service_ports, NULL,
			"Run command with all service's ports enabled and mapped to the host"},
		{"tty", 't', FLAG_BOOL, &o.tty, NULL, NULL},
		{"use-aliases", 0, FLAG_BOOL, &o.use_aliases, NULL,
			"Use the service's network useAliases in the network(s) the container connects to"},
		{"user", 'u', FLAG_STRING, &o.user, NULL, "Run as specified username or uid"},
		{"volume", 'v', FLAG_LIST, &o.volumes, "stringArray", "Bind mount a volume"},
		{"volumes", 0, FLAG_LIST, &o.volumes, NULL, NULL},
		{"labels", 0, FLAG_LIST, &o.labels, NULL, NULL},
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
		status = check(&o, &e) < 0 || compose_load(c, argv + 1, 1, &e) < 0
				 ? cli_fail(&e)
				 : run_one(c, &o, argv + 1);
	}
	run_deinit(&o);
	return status;
}
