/* Carries the steps of a plan out, each by itself; compose_runner.c does several at once. */
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/compose_make.h"
#include "wherry/engine.h"

int compose_act(struct compose *c, const char *method, const char *prefix, const char *name,
	const char *suffix, struct err *e)
{
	return c->dry_run ? 0 : engine_on(c->cli, method, prefix, name, suffix, NULL, e);
}

int compose_act_body(
	struct compose *c, const char *path, const json_t *body, json_t **ret, struct err *e)
{
	return c->dry_run ? 0 : engine_json(c->cli, "POST", path, body, ret, e);
}

void compose_say(struct compose *c, const char *name, const char *verb)
{
	compose_progress_say(c->progress, "Container", name, verb);
}

int compose_remove_container(struct compose *c, const char *id, const char *name, bool volumes,
	bool force, struct err *e)
{
	char suffix[32];
	snprintf(suffix, sizeof(suffix), "?v=%d&force=%d", volumes, force);
	compose_say(c, name, "Removing");
	if (compose_act(c, "DELETE", "/containers/", id, suffix, e) < 0 &&
		e->kind != ERR_NOT_FOUND) {
		compose_say(c, name, "Error");
		return -1;
	}
	compose_say(c, name, "Removed");
	return 0;
}

/* ---- networks and volumes ---- */

static int create_network(struct compose *c, const struct network *n, struct err *e)
{
	scoped(json) json_t *body = request_network(c->project, n);
	compose_progress_say(c->progress, "Network", n->name, "Creating");
	if (compose_act_body(c, "/networks/create", body, NULL, e) < 0) {
		compose_progress_say(c->progress, "Network", n->name, "Error");
		return err_wrap(e, "failed to create network %s", n->name);
	}
	compose_progress_say(c->progress, "Network", n->name, "Created");
	return 0;
}

static int create_volume(struct compose *c, const struct volume *v, struct err *e)
{
	scoped(json) json_t *body = request_volume(c->project, v);
	compose_progress_say(c->progress, "Volume", v->name, "Creating");
	if (compose_act_body(c, "/volumes/create", body, NULL, e) < 0) {
		compose_progress_say(c->progress, "Volume", v->name, "Error");
		return err_wrap(e, "failed to create volume %s", v->name);
	}
	if (compose_put_credentials(c, v, e) < 0) {
		compose_progress_say(c->progress, "Volume", v->name, "Error");
		return -1;
	}
	compose_progress_say(c->progress, "Volume", v->name, "Created");
	return 0;
}

/* What is in use by others stays, as docker compose does. */
static int remove_resource(
	struct compose *c, const char *kind, const char *path, const char *name, struct err *e)
{
	compose_progress_say(c->progress, kind, name, "Removing");
	if (compose_act(c, "DELETE", path, name, "", e) == 0 || e->kind == ERR_NOT_FOUND) {
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

/* What an optional device or mount (x-required: false) is missing for: said, for nobody sees it. */
static void say_without(struct compose *c, const struct step *step, const char *id)
{
	struct err ignored;
	bool optional = false;
	scoped(json) json_t *o = NULL;
	for (size_t i = 0; step->service && i < step->service->n_devices; i++) {
		optional = optional || step->service->devices[i].optional;
	}
	for (size_t i = 0; step->service && i < step->service->n_mounts; i++) {
		optional = optional || step->service->mounts[i].optional;
	}
	if (!optional || c->dry_run ||
		engine_on(c->cli, "GET", "/containers/", id, "/json", &o, &ignored) < 0) {
		return;
	}
	size_t i;
	json_t *path;
	json_array_foreach (
		json_object_get(json_object_get(o, "State"), "WherryWithout"), i, path) {
		scoped(free) char *text =
			xasprintf("container %s starts without %s, which is not there", step->name,
				json_string_value(path));
		compose_warn(text);
	}
}

int compose_start_id(struct compose_carry *carry, struct compose *c, const struct step *step,
	const char *id, struct err *e)
{
	if (compose_act(c, "POST", "/containers/", id, "/start", e) < 0 ||
		compose_post_start(c, step->service, id, step->name, e) < 0) {
		return -1;
	}
	say_without(c, step, id);
	if (carry->on_start) {
		pthread_mutex_lock(&carry->telling);
		carry->on_start(carry->owner, id, step->name, step->service);
		pthread_mutex_unlock(&carry->telling);
	}
	return 0;
}

static int start(
	struct compose_carry *carry, struct compose *c, const struct step *step, struct err *e)
{
	scoped(free) char *key = xasprintf("/%s", step->name);
	const char *id = step->existing ? step->existing->id : compose_made(carry, key);
	compose_say(c, step->name, "Starting");
	if (compose_start_id(carry, c, step, id ? id : step->name, e) < 0) {
		compose_say(c, step->name, "Error");
		return -1;
	}
	compose_say(c, step->name, "Started");
	return 0;
}

static int wait_for(struct compose *c, const struct step *step, struct err *e)
{
	if (compose_wait_step(c, step, e) == 0) {
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

int compose_carry_step(
	struct compose_carry *carry, struct compose *c, const struct step *step, struct err *e)
{
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
		return compose_make_new(carry, c, step, e);
	case STEP_RECREATE:
		return compose_make_again(carry, c, step, e);
	case STEP_KEEP:
		compose_say(c, step->name, "Running");
		return 0;
	case STEP_RENAME:
		return compose_rename(c, step->existing->id, step->name, e);
	case STEP_ROLL:
		return compose_roll(carry, c, step, e);
	case STEP_FINISH:
		return compose_roll_finish(carry, c, step, e);
	case STEP_WAIT:
		return wait_for(c, step, e);
	case STEP_START:
		return start(carry, c, step, e);
	case STEP_STOP:
		return compose_stop_container(
			c, step->existing->id, step->name, carry->timeout_s, e);
	case STEP_REMOVE:
		return compose_remove_container(
			c, step->existing->id, step->name, carry->remove_volumes, true, e);
	}
	return 0;
}
