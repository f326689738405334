/* Waiting until the containers of a service are as a condition wants them. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/compose.h"
#include "wherry/compose_health.h"
#include "wherry/engine.h"

static void say(struct compose *c, const char *name, const char *verb)
{
	compose_progress_say(c->progress, "Container", name, verb);
}

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

static int wait_container(struct compose *c, struct compose_health *h, const char *id,
	const char *name, const char *service, enum condition condition, struct err *e)
{
	static const char *const verbs[] = {[CONDITION_STARTED] = "Running",
		[CONDITION_HEALTHY] = "Healthy",
		[CONDITION_COMPLETED] = "Exited"};
	enum progress_of reached = STILL;
	for (bool said = false;;) {
		scoped(json) json_t *o = NULL;
		unsigned long mark = compose_health_mark(h);
		if (engine_on(c->cli, "GET", "/containers/", id, "/json", &o, e) < 0 ||
			judge(o, name, service, condition, &reached, e) < 0) {
			say(c, name, "Error");
			return -1;
		}
		if (!said) {
			say(c, name, "Waiting");
			said = true;
		}
		if (reached == REACHED) {
			say(c, name, verbs[condition]);
			return 0;
		}
		if (c->wait_until_ms > 0 && clock_mono_ms() >= c->wait_until_ms) {
			return err_set(e, ERR_BUSY, "timed out: container %s is not ready", name);
		}
		compose_health_wait(h, mark, c->wait_until_ms);
		if (compose_health_is_over(h)) {
			return err_set(e, ERR_BUSY, "container %s is no longer waited for", name);
		}
	}
}

static int list_service(struct compose *c, const struct service *s, json_t **ret, struct err *e)
{
	scoped(strv) struct strv filters = STRV_INIT;
	scoped(buf) struct buf path = BUF_INIT;
	strv_addf(&filters, "label=" LABEL "project=%s", c->project->name);
	strv_addf(&filters, "label=" LABEL "service=%s", s->name);
	strv_add(&filters, "label=" LABEL "oneoff=False");
	buf_puts(&path, "/containers/json?all=1");
	return path_filters(&path, &filters, e) < 0
		       ? -1
		       : engine_json(c->cli, "GET", buf_str(&path), NULL, ret, e);
}

static int wait_service(struct compose *c, struct compose_health *h, const struct service *s,
	enum condition condition, struct err *e)
{
	scoped(json) json_t *list = NULL;
	if (list_service(c, s, &list, e) < 0) {
		return -1;
	}
	size_t i;
	json_t *o;
	json_array_foreach (list, i, o) {
		const char *name =
			json_string_value(json_array_get(json_object_get(o, "Names"), 0));
		name = name ? name + (*name == '/') : "";
		if (wait_container(c, h, json_str(o, "Id"), name, s->name, condition, e) < 0) {
			return -1;
		}
	}
	return 0;
}

int compose_wait_condition(
	struct compose *c, const struct service *s, enum condition condition, struct err *e)
{
	struct compose_health *h =
		c->health ? c->health : compose_health_new(c, c->project->name, e);
	int r = h ? wait_service(c, h, s, condition, e) : -1;
	if (h != c->health) {
		compose_health_free(h);
	}
	return r;
}
