/* Carries a plan out, step by step. */
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "compose/emit.h"
#include "wherry/compose.h"
#include "wherry/engine.h"

#define WAIT_STEP_MS 100

static void say(struct compose *c, const char *name, const char *verb)
{
	compose_progress_say(c->progress, "Container", name, verb);
}

int compose_remove_container(struct compose *c, const char *id, const char *name, bool volumes,
	bool force, struct err *e)
{
	char suffix[32];
	snprintf(suffix, sizeof(suffix), "?v=%d&force=%d", volumes, force);
	say(c, name, "Removing");
	if (engine_on(c->cli, "DELETE", "/containers/", id, suffix, NULL, e) < 0 &&
		e->kind != ERR_NOT_FOUND) {
		say(c, name, "Error");
		return -1;
	}
	say(c, name, "Removed");
	return 0;
}

/* ---- networks and volumes ---- */

static int create_network(struct compose *c, const struct network *n, struct err *e)
{
	scoped(json) json_t *body = request_network(c->project, n);
	compose_progress_say(c->progress, "Network", n->name, "Creating");
	if (engine_json(c->cli, "POST", "/networks/create", body, NULL, e) < 0) {
		compose_progress_say(c->progress, "Network", n->name, "Error");
		return err_wrap(e, "failed to create network %s", n->name);
	}
	compose_progress_say(c->progress, "Network", n->name, "Created");
	return 0;
}

static int create_volume(struct compose *c, const struct volume *v, struct err *e)
{
	scoped(json) json_t *body = request_volume(c->project, v);
	scoped(free) char *shown = xasprintf("\"%s\"", v->name);
	compose_progress_say(c->progress, "Volume", shown, "Creating");
	if (engine_json(c->cli, "POST", "/volumes/create", body, NULL, e) < 0) {
		compose_progress_say(c->progress, "Volume", shown, "Error");
		return err_wrap(e, "failed to create volume %s", v->name);
	}
	compose_progress_say(c->progress, "Volume", shown, "Created");
	return 0;
}

/* What is in use by others stays, as docker compose does. */
static int remove_resource(
	struct compose *c, const char *kind, const char *path, const char *name, struct err *e)
{
	compose_progress_say(c->progress, kind, name, "Removing");
	if (engine_on(c->cli, "DELETE", path, name, "", NULL, e) == 0 || e->kind == ERR_NOT_FOUND) {
		compose_progress_say(c->progress, kind, name, "Removed");
		return 0;
	}
	if (e->kind == ERR_CONFLICT || e->kind == ERR_DENIED || strstr(e->msg, "in use") ||
		strstr(e->msg, "active endpoints")) {
		compose_progress_say(c->progress, kind, name, "Resource is still in use");
		return 0;
	}
	compose_progress_say(c->progress, kind, name, "Error");
	return -1;
}

/* ---- containers ---- */

static const char *container_of(void *owner, const char *service)
{
	const struct compose_carry *carry = owner;
	const char *fresh = strv_env_get(&carry->fresh, service);
	if (fresh) {
		return fresh;
	}
	const struct state_container *c = compose_container(carry->state, service, 0);
	return c ? c->id : NULL;
}

/* Gives the request's mount at that target the old volume, or adds one. What the file names there
 * itself stays. */
static void carry_volume(json_t *host, const char *target, const char *name)
{
	size_t i;
	json_t *mount;
	json_array_foreach (json_object_get(host, "Mounts"), i, mount) {
		if (strcmp(json_str(mount, "Target"), target) == 0) {
			if (strcmp(json_str(mount, "Type"), "volume") == 0 &&
				!*json_str(mount, "Source")) {
				json_put_str(mount, "Source", name);
			}
			return;
		}
	}
	scoped(free) char *text = xasprintf("%s:%s:rw", name, target);
	json_array_append_new(json_object_get(host, "Binds"), json_string(text));
}

/* Anonymous volumes of the old container go to the new one. */
static void carry_volumes(const json_t *old, const struct service *s, json_t *body)
{
	size_t i;
	json_t *mount;
	json_array_foreach (json_object_get(old, "Mounts"), i, mount) {
		const char *target = json_str(mount, "Destination");
		const char *name = json_str(mount, "Name");
		bool anonymous =
			strcmp(json_str(mount, "Type"), "volume") == 0 && text_is_hex(name, ID_LEN);
		bool taken = false;
		for (size_t k = 0; k < s->n_mounts; k++) {
			taken = taken ||
				(s->mounts[k].source && strcmp(s->mounts[k].target, target) == 0);
		}
		if (anonymous && !taken) {
			carry_volume(json_object_get(body, "HostConfig"), target, name);
		}
	}
}

static int post_container(struct compose_carry *carry, const struct step *step, const char *name,
	const char *replaces, const json_t *old, char **ret_id, struct err *e)
{
	const struct service *s = step->service;
	char hash[EMIT_HASH_MAX];
	scoped(free) char *image_id = NULL;
	scoped(json) json_t *answer = NULL;
	scoped(buf) struct buf path = BUF_INIT;
	if (compose_image_find(carry->c, s->image, &image_id, e) < 0) {
		return -1;
	}
	emit_service_hash(carry->c->project, s, hash);
	const struct request_container r = {.service = s,
		.number = step->number,
		.image_id = image_id,
		.hash = hash,
		.replaces = replaces,
		.container_of = container_of,
		.read_file = compose_read_text,
		.owner = carry};
	scoped(json) json_t *body = request_container(carry->c->project, &r, e);
	if (!body) {
		return -1;
	}
	if (old) {
		carry_volumes(old, s, body);
	}
	buf_puts(&path, "/containers/create");
	path_query(&path, "name", name);
	path_query(&path, "platform", s->platform);
	if (engine_json(carry->c->cli, "POST", buf_str(&path), body, &answer, e) < 0) {
		return -1;
	}
	size_t i;
	json_t *warning;
	json_array_foreach (json_object_get(answer, "Warnings"), i, warning) {
		compose_warn(json_string_value(warning) ? json_string_value(warning) : "");
	}
	*ret_id = xstrdup(json_str(answer, "Id"));
	scoped(free) char *known = xasprintf("%s=%s", s->name, *ret_id);
	strv_env_set(&carry->fresh, known);
	return compose_put_files(carry->c, s, *ret_id, e);
}

static int create(struct compose_carry *carry, const struct step *step, struct err *e)
{
	scoped(free) char *id = NULL;
	say(carry->c, step->name, "Creating");
	if (post_container(carry, step, step->name, NULL, NULL, &id, e) < 0) {
		say(carry->c, step->name, "Error");
		return -1;
	}
	say(carry->c, step->name, "Created");
	return 0;
}

static int rename_container(struct compose *c, const char *id, const char *name, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	path_add(&path, "/containers/", id, "/rename");
	path_query(&path, "name", name);
	return engine_json(c->cli, "POST", buf_str(&path), NULL, NULL, e);
}

/* The new container is made beside the old one, so that a failure leaves the old one as it was. */
static int recreate(struct compose_carry *carry, const struct step *step, struct err *e)
{
	const struct state_container *old = step->existing;
	struct compose *c = carry->c;
	scoped(json) json_t *inspected = NULL;
	scoped(free) char *id = NULL;
	scoped(free) char *temporary = xasprintf("%.12s_%s", old->id, step->name);
	say(c, step->name, "Recreate");
	if (!carry->renew_volumes &&
		engine_on(c->cli, "GET", "/containers/", old->id, "/json", &inspected, e) < 0) {
		return -1;
	}
	char suffix[32] = "/stop";
	if (carry->timeout_s >= 0) {
		snprintf(suffix, sizeof(suffix), "/stop?t=%d", carry->timeout_s);
	}
	if (post_container(carry, step, temporary, old->name, inspected, &id, e) < 0 ||
		engine_on(c->cli, "POST", "/containers/", old->id, suffix, NULL, e) < 0 ||
		engine_on(c->cli, "DELETE", "/containers/", old->id, "?force=1", NULL, e) < 0 ||
		rename_container(c, id, step->name, e) < 0) {
		say(c, step->name, "Error");
		return -1;
	}
	say(c, step->name, "Recreated");
	return 0;
}

static int start(struct compose_carry *carry, const struct step *step, struct err *e)
{
	struct compose *c = carry->c;
	scoped(json) json_t *inspected = NULL;
	const char *id = step->existing ? step->existing->id : NULL;
	if (!id) {
		if (engine_on(c->cli, "GET", "/containers/", step->name, "/json", &inspected, e) <
			0) {
			return -1;
		}
		id = json_str(inspected, "Id");
	}
	say(c, step->name, "Starting");
	if (engine_on(c->cli, "POST", "/containers/", id, "/start", NULL, e) < 0) {
		say(c, step->name, "Error");
		return -1;
	}
	say(c, step->name, "Started");
	if (carry->on_start) {
		carry->on_start(carry->owner, id, step->name, step->service);
	}
	return 0;
}

/* ---- waiting ---- */

enum progress_of { STILL, REACHED };

/* One container against the condition. -1 when it can never be reached. */
static int judge(const json_t *o, const char *name, const char *service, enum condition condition,
	enum progress_of *ret, struct err *e)
{
	const json_t *state = json_object_get(o, "State");
	const char *status = json_str(state, "Status");
	const char *health = json_str(json_object_get(state, "Health"), "Status");
	int code = (int)json_i64(state, "ExitCode", 0);
	bool ended = strcmp(status, "exited") == 0 || strcmp(status, "dead") == 0;
	*ret = STILL;
	if (condition == CONDITION_COMPLETED) {
		if (ended && code != 0) {
			return err_set(e, ERR_CONFLICT,
				"service \"%s\" didn't complete successfully: exit %d", service,
				code);
		}
		*ret = ended ? REACHED : STILL;
		return 0;
	}
	if (ended) {
		return err_set(e, ERR_CONFLICT,
			"dependency failed to start: container %s exited (%d)", name, code);
	}
	if (condition == CONDITION_STARTED) {
		*ret = strcmp(status, "running") == 0 ? REACHED : STILL;
		return 0;
	}
	if (strcmp(health, "unhealthy") == 0) {
		return err_set(e, ERR_CONFLICT,
			"dependency failed to start: container %s is unhealthy", name);
	}
	if (!*health || strcmp(health, "none") == 0) {
		return err_set(e, ERR_CONFLICT,
			"dependency failed to start: container %s has no healthcheck configured",
			name);
	}
	*ret = strcmp(health, "healthy") == 0 ? REACHED : STILL;
	return 0;
}

static int wait_container(struct compose *c, const struct state_container *container,
	const char *service, enum condition condition, struct err *e)
{
	static const char *const verbs[] = {[CONDITION_STARTED] = "Running",
		[CONDITION_HEALTHY] = "Healthy",
		[CONDITION_COMPLETED] = "Exited"};
	enum progress_of reached = STILL;
	bool said = false;
	for (;;) {
		scoped(json) json_t *o = NULL;
		if (engine_on(c->cli, "GET", "/containers/", container->id, "/json", &o, e) < 0 ||
			judge(o, container->name, service, condition, &reached, e) < 0) {
			say(c, container->name, "Error");
			return -1;
		}
		if (reached == REACHED) {
			say(c, container->name, verbs[condition]);
			return 0;
		}
		if (c->wait_until_ms > 0 && clock_mono_ms() >= c->wait_until_ms) {
			return err_set(e, ERR_BUSY, "timed out: container %s is not ready",
				container->name);
		}
		if (!said) {
			say(c, container->name, "Waiting");
			said = true;
		}
		poll(NULL, 0, WAIT_STEP_MS);
	}
}

int compose_wait_condition(
	struct compose *c, const struct service *s, enum condition condition, struct err *e)
{
	scoped(compose_state) struct compose_state state = {0};
	if (compose_state_fetch(c, c->project->name, &state, e) < 0) {
		return -1;
	}
	for (size_t i = 0; i < state.s.n_containers; i++) {
		const struct state_container *container = &state.s.containers[i];
		if (!container->one_off && strcmp(container->service, s->name) == 0 &&
			wait_container(c, container, s->name, condition, e) < 0) {
			return -1;
		}
	}
	return 0;
}

static int wait_for(struct compose_carry *carry, const struct step *step, struct err *e)
{
	if (compose_wait_condition(carry->c, step->service, step->condition, e) == 0) {
		return 0;
	}
	if (step->required) {
		return -1;
	}
	scoped(free) char *text =
		xasprintf("optional dependency \"%s\" failed to start: %s", step->name, e->msg);
	compose_warn(text);
	return 0;
}

/* ---- all ---- */

static int carry_step(struct compose_carry *carry, const struct step *step, struct err *e)
{
	struct compose *c = carry->c;
	switch (step->kind) {
	case STEP_NETWORK_CREATE:
		return create_network(c, step->network, e);
	case STEP_NETWORK_REMOVE:
		return remove_resource(c, "Network", "/networks/", step->name, e);
	case STEP_VOLUME_CREATE:
		return create_volume(c, step->volume, e);
	case STEP_VOLUME_REMOVE:
		return remove_resource(c, "Volume", "/volumes/", step->name, e);
	case STEP_CREATE:
		return create(carry, step, e);
	case STEP_RECREATE:
		return recreate(carry, step, e);
	case STEP_KEEP:
		say(c, step->name, "Running");
		return 0;
	case STEP_WAIT:
		return wait_for(carry, step, e);
	case STEP_START:
		return start(carry, step, e);
	case STEP_STOP:
		return compose_stop_container(
			c, step->existing->id, step->name, carry->timeout_s, e);
	case STEP_REMOVE:
		return compose_remove_container(
			c, step->existing->id, step->name, carry->remove_volumes, true, e);
	}
	return 0;
}

/* The stops that follow one another from here, together. *ret_n: how many steps that was. */
static int stop_run(struct compose_carry *carry, const struct step *steps, size_t n, size_t *ret_n,
	struct err *e)
{
	scoped(free) struct compose_target *targets = xnew_array(struct compose_target, n + 1);
	*ret_n = 0;
	while (*ret_n < n && steps[*ret_n].kind == STEP_STOP) {
		targets[*ret_n] =
			(struct compose_target){steps[*ret_n].existing->id, steps[*ret_n].name};
		++*ret_n;
	}
	return compose_stop_containers(carry->c, targets, *ret_n, carry->timeout_s, e);
}

int compose_carry_out(struct compose_carry *carry, const struct plan *plan, struct err *e)
{
	for (size_t i = 0; i < plan->warnings.n; i++) {
		compose_warn(plan->warnings.v[i]);
	}
	for (size_t i = 0, n = 1; i < plan->n; i += n) {
		n = 1;
		int r = plan->steps[i].kind == STEP_STOP
				? stop_run(carry, &plan->steps[i], plan->n - i, &n, e)
				: carry_step(carry, &plan->steps[i], e);
		if (r < 0) {
			return -1;
		}
	}
	return 0;
}
