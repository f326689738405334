#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/text.h"
#include "compose/duration.h"
#include "wherry/compose_make.h"
#include "wherry/compose_up.h"
#include "wherry/compose_watch.h"
#include "wherry/engine.h"

void up_deinit(struct up *u)
{
	for (size_t i = 0; i < u->plan.n_scales; i++) {
		free((char *)u->wanted[i].service);
	}
	free(u->wanted);
	strv_deinit(&u->scales);
	strv_deinit(&u->attach);
	strv_deinit(&u->no_attach);
}

static int read_scales(struct up *u, struct err *e)
{
	u->wanted = xnew_array(struct plan_scale, u->scales.n + 1);
	u->plan.scales = u->wanted;
	for (size_t i = 0; i < u->scales.n; i++) {
		const char *equal = strchr(u->scales.v[i], '=');
		int count;
		if (!equal) {
			return err_set(e, ERR_INVALID,
				"invalid --scale option \"%s\". Should be SERVICE=NUM",
				u->scales.v[i]);
		}
		if (parse_int(equal + 1, 0, 10000, &count) < 0) {
			return err_set(e, ERR_INVALID,
				"strconv.Atoi: parsing \"%s\": invalid syntax", equal + 1);
		}
		u->wanted[u->plan.n_scales++] = (struct plan_scale){
			xstrndup(u->scales.v[i], (size_t)(equal - u->scales.v[i])), count};
	}
	return 0;
}

static bool is_mode(const char *pull)
{
	static const char *const words[] = {"policy", "always", "missing", "never", "build"};
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (strcmp(pull, words[i]) == 0) {
			return true;
		}
	}
	return false;
}

/* What the environment says besides, and what only makes sense with a file. */
static int check(struct compose *c, struct up *u, struct err *e)
{
	u->plan.ignore_orphans = compose_switch("COMPOSE_IGNORE_ORPHANS");
	if (u->plan.ignore_orphans && u->plan.remove_orphans) {
		return err_set(e, ERR_INVALID,
			"cannot combine COMPOSE_IGNORE_ORPHANS and --remove-orphans");
	}
	if (u->attach.n > 0 && u->attach_dependencies) {
		return err_set(e, ERR_INVALID, "cannot combine --attach and --attach-dependencies");
	}
	if (u->pull && !is_mode(u->pull)) {
		return err_set(e, ERR_INVALID, "invalid --pull option \"%s\"", u->pull);
	}
	if (!u->creates && c->project->n_services == 0 && !c->all_resources) {
		return err_set(e, ERR_INVALID, "no service selected");
	}
	const char *from = u->attached.exit_code_from;
	return from && !project_service(c->project, from)
		       ? err_set(e, ERR_INVALID, "no such service: %s: not found", from)
		       : 0;
}

/* Whose output is shown: what is named, not what it depends on, unless asked otherwise. shown[i] is
 * for project->services[i]. */
static int choose_shown(struct compose *c, const struct up *u, bool *shown, struct err *e)
{
	const struct project *p = c->project;
	if (plan_select(p, &c->services, !u->attach_dependencies, shown, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < u->attach.n; i++) {
		if (!project_service(p, u->attach.v[i])) {
			return err_set(e, ERR_INVALID,
				"cannot attach to services not included in up: %s", u->attach.v[i]);
		}
	}
	for (size_t i = 0; i < p->n_services; i++) {
		const struct service *s = &p->services[i];
		shown[i] = u->attach.n > 0 ? strv_has(&u->attach, s->name)
					   : shown[i] && s->attach != TRUTH_FALSE;
		shown[i] = shown[i] && !strv_has(&u->no_attach, s->name);
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

/* Asked only for a project that has use for it. */
static bool wants_hand_over(struct compose *c)
{
	bool wanted = false;
	for (size_t i = 0; i < c->project->n_services; i++) {
		const struct update_config *o = c->project->services[i].update;
		wanted = wanted || (o && o->start_first);
	}
	scoped(json) json_t *version = NULL;
	struct err ignored;
	return wanted && engine_json(c->cli, "GET", "/version", NULL, &version, &ignored) == 0 &&
	       text_starts(json_str(json_object_get(version, "Platform"), "Name"), "Wherry");
}

/* Data would be lost: only who says so loses it. Without a terminal the answer is read all the
 * same, and its end is a no, as with docker compose. */
static bool confirm(const char *volume)
{
	char answer[16];
	bool tty = isatty(STDIN_FILENO);
	printf("%sVolume \"%s\" exists but doesn't match configuration in compose file. Recreate (data will be lost)?%s",
		tty ? "? " : "", volume, tty ? " [yN] " : "");
	fflush(stdout);
	bool yes = fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
	if (!tty) {
		putchar('\n');
	}
	return yes;
}

/* A dry run asks nothing: it tells what --yes would do, or that there is a question. */
static void ask_for_volumes(
	const struct compose *c, const struct up *u, const struct strv *changed, struct strv *ret)
{
	for (size_t i = 0; i < changed->n; i++) {
		if (u->yes || (!c->dry_run && confirm(changed->v[i]))) {
			strv_add(ret, changed->v[i]);
		} else if (c->dry_run) {
			scoped(free) char *text = xasprintf(
				"Volume \"%s\" exists but doesn't match configuration in compose file. Without --dry-run somebody is asked whether it is recreated (data will be lost)",
				changed->v[i]);
			compose_warn(text);
		}
	}
}

int up_plan(struct compose *c, struct up *u, const bool *selected,
	const struct compose_state *state, struct plan *ret, struct err *e)
{
	scoped(free) struct plan_content *contents =
		xnew_array(struct plan_content, c->project->n_services + 1);
	u->plan.contents = contents;
	u->plan.n_contents = read_contents(c->project, selected, contents);
	u->plan.hands_over = wants_hand_over(c);
	u->plan.all_resources = c->all_resources;
	scoped(strv) struct strv changed = STRV_INIT;
	scoped(strv) struct strv renewed = STRV_INIT;
	plan_changed_volumes(c->project, &state->s, selected, &changed);
	ask_for_volumes(c, u, &changed, &renewed);
	u->plan.renewed = &renewed;
	int r = plan_up(c->project, &state->s, &u->plan, ret, e);
	u->plan.renewed = NULL;
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
		.quiet_build = u->quiet_build,
		.pull = u->pull};
	if (compose_images_ensure(c, selected, &images, e) < 0 ||
		compose_state_fetch(c, c->project->name, state, e) < 0 ||
		compose_state_images(c, state, e) < 0) {
		return -1;
	}
	return up_plan(c, u, selected, state, plan, e);
}

static int carry(struct compose *c, struct up *u, const bool *selected,
	struct compose_attached *attached, bool *ret_interrupted, struct err *e)
{
	scoped(compose_state) struct compose_state state = {0};
	scoped(plan) struct plan plan = {0};
	if (prepare(c, u, selected, &state, &plan, e) < 0 ||
		compose_renew_credentials(c, &state.s, e) < 0) {
		return -1;
	}
	struct compose_carry carry = {.c = c,
		.state = &state,
		.timeout_s = (int)u->timeout,
		.renew_volumes = u->renew_volumes,
		.takes_over = u->plan.hands_over,
		.canceled = u->attached.canceled,
		.on_start = attached ? compose_attached_started : NULL,
		.owner = attached};
	if (attached) {
		compose_attached_expect(attached, &plan);
		if (compose_attached_guard(attached, e) < 0) {
			return -1;
		}
	}
	compose_keep(c);
	int r = compose_carry_out(&carry, &plan, e);
	*ret_interrupted = attached && compose_attached_unguard(attached);
	if (r == 0 && u->wait) {
		r = wait_all(c, &carry, u, selected, e);
	}
	strv_deinit(&carry.fresh);
	return r;
}

static int check_watched(const struct compose *c, const bool *selected, struct err *e)
{
	for (size_t i = 0; i < c->project->n_services; i++) {
		if (selected[i] && c->project->services[i].n_watches > 0) {
			return 0;
		}
	}
	return err_set(e, ERR_INVALID,
		"none of the selected services is configured for watch, see https://docs.docker.com/compose/how-tos/file-watch/");
}

/* Until the containers have ended; the exit status. */
static int show(struct compose *c, const struct up *u, struct compose_attached *attached,
	const bool *selected)
{
	struct err e;
	if (!u->watch) {
		return compose_attached_run(attached);
	}
	struct watch_beside *beside = watch_beside_new(c, attached, selected, &e);
	if (!beside) {
		return cli_fail(&e);
	}
	int status =
		watch_beside_begin(beside, &e) < 0 ? cli_fail(&e) : compose_attached_run(attached);
	if (!watch_beside_end(beside)) {
		fflush(NULL);
		_exit(status); /* a build that nobody waits for ends with its connection */
	}
	return status;
}

int up_run(struct compose *c, struct up *u)
{
	struct err e;
	scoped(free) bool *shown = xnew_array(bool, c->project->n_services + 1);
	scoped(free) bool *selected = xnew_array(bool, c->project->n_services + 1);
	struct compose_attached *attached = NULL;
	bool interactive = !u->detach && !u->wait && !u->plan.no_start;
	bool detached = !interactive || c->dry_run;
	bool interrupted = false;
	_Atomic bool canceled = false;
	u->plan.services = &c->services;
	u->attached.timeout_s = (int)u->timeout;
	u->attached.shown = shown;
	u->attached.canceled = &canceled;
	if (check(c, u, &e) < 0 || read_scales(u, &e) < 0 ||
		plan_select(c->project, &c->services, u->plan.no_deps, selected, &e) < 0 ||
		choose_shown(c, u, shown, &e) < 0 ||
		(u->watch && check_watched(c, selected, &e) < 0)) {
		return cli_fail(&e);
	}
	if (!detached) {
		attached = compose_attached_new(c, &u->attached, selected, &e);
		if (!attached) {
			return cli_fail(&e);
		}
	}
	compose_begin(c, u->creates ? "Creating" : "Running");
	int failed = carry(c, u, selected, attached, &interrupted, &e);
	int status = interrupted ? COMPOSE_INTERRUPTED : failed < 0 ? cli_fail(&e) : 0;
	if (status == 0 && attached) {
		status = show(c, u, attached, selected);
	}
	if (status == 0 && interactive && c->dry_run) {
		puts("end of 'compose up' output, interactive run is not supported in dry-run mode");
	}
	compose_attached_free(attached);
	return status;
}
