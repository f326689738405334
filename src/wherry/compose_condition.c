/* Waiting until the containers of a service are as a condition wants them. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/compose_health.h"
#include "wherry/compose_make.h"
#include "wherry/engine.h"

enum progress_of { STILL, REACHED };

/* What is waited for, and in whose name: see struct step. */
struct wanted {
	const struct service *service;
	enum condition condition;
	bool final; /* --wait */
};

static int judge_ended(
	const struct wanted *w, const char *name, int code, enum progress_of *ret, struct err *e)
{
	if (w->condition != CONDITION_COMPLETED) {
		return err_set(e, ERR_CONFLICT, "%scontainer %s exited (%d)",
			w->final ? "" : "dependency failed to start: ", name, code);
	}
	if (code != 0) {
		return err_set(e, ERR_CONFLICT,
			"service \"%s\" didn't complete successfully: exit %d", w->service->name,
			code);
	}
	*ret = REACHED;
	return 0;
}

static int judge_health(const struct wanted *w, const char *name, const char *health,
	enum progress_of *ret, struct err *e)
{
	const char *prefix = w->final ? "" : "dependency failed to start: ";
	if (strcmp(health, "unhealthy") == 0) {
		return err_set(e, ERR_CONFLICT, "%scontainer %s is unhealthy", prefix, name);
	}
	if (!*health || strcmp(health, "none") == 0) {
		return err_set(e, ERR_CONFLICT, "%scontainer %s has no healthcheck configured",
			prefix, name);
	}
	*ret = strcmp(health, "healthy") == 0 ? REACHED : STILL;
	return 0;
}

/* So long what has no health check has to run for --wait, as docker compose's first look comes
 * after that time: one that ends at once is not well. */
#define SETTLE_MS 500

bool compose_is_checked(const json_t *o)
{
	const json_t *state = json_object_get(o, "State");
	const char *health = json_str(json_object_get(state, "Health"), "Status");
	return *health && strcmp(health, "none") != 0;
}

/* One container against the condition. -1 when it can never be reached. */
static int judge(const struct wanted *w, const json_t *o, const char *name, enum progress_of *ret,
	struct err *e)
{
	const json_t *state = json_object_get(o, "State");
	const char *status = json_str(state, "Status");
	const char *health = json_str(json_object_get(state, "Health"), "Status");
	*ret = STILL;
	if (strcmp(status, "exited") == 0 || strcmp(status, "dead") == 0) {
		return judge_ended(w, name, (int)json_i64(state, "ExitCode", 0), ret, e);
	}
	if (w->condition == CONDITION_COMPLETED) {
		return 0;
	}
	if (w->condition == CONDITION_STARTED || (w->final && !compose_is_checked(o))) {
		*ret = strcmp(status, "running") == 0 ? REACHED : STILL;
		return 0;
	}
	return judge_health(w, name, health, ret, e);
}

static const char *verb_of(const struct wanted *w)
{
	static const char *const verbs[] = {[CONDITION_STARTED] = "Running",
		[CONDITION_HEALTHY] = "Healthy",
		[CONDITION_COMPLETED] = "Exited"};
	return verbs[w->condition];
}

static int wait_container(struct compose *c, struct compose_health *h, const char *id,
	const char *name, const struct wanted *w, struct err *e)
{
	enum progress_of reached = STILL;
	int64_t settled_ms = clock_mono_ms() + SETTLE_MS;
	for (;;) {
		scoped(json) json_t *o = NULL;
		unsigned long mark = compose_health_mark(h);
		if (engine_on(c->cli, "GET", "/containers/", id, "/json", &o, e) < 0 ||
			judge(w, o, name, &reached, e) < 0) {
			compose_say(c, name, "Error");
			return -1;
		}
		bool settling = w->final && w->condition == CONDITION_HEALTHY &&
				!compose_is_checked(o) && clock_mono_ms() < settled_ms;
		if (reached == REACHED && !settling) {
			compose_say(c, name, verb_of(w));
			return 0;
		}
		if (c->wait_until_ms > 0 && clock_mono_ms() >= c->wait_until_ms) {
			return err_set(e, ERR_BUSY, "timed out: container %s is not ready", name);
		}
		compose_health_wait(h, mark, reached == REACHED ? settled_ms : c->wait_until_ms);
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

static const char *listed_name(const json_t *o)
{
	const char *name = json_string_value(json_array_get(json_object_get(o, "Names"), 0));
	return name ? name + (*name == '/') : "";
}

static int wait_service(
	struct compose *c, struct compose_health *h, const struct wanted *w, struct err *e)
{
	scoped(json) json_t *list = NULL;
	size_t i;
	json_t *o;
	if (list_service(c, w->service, &list, e) < 0) {
		return -1;
	}
	json_array_foreach (list, i, o) {
		compose_say(c, listed_name(o), "Waiting");
	}
	json_array_foreach (list, i, o) {
		if (wait_container(c, h, json_str(o, "Id"), listed_name(o), w, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* The containers need not be there. */
static int pretend(struct compose *c, const struct wanted *w, struct err *e)
{
	scoped(json) json_t *list = NULL;
	if (list_service(c, w->service, &list, e) < 0) {
		return -1;
	}
	size_t n = json_array_size(list);
	for (size_t i = 0; i < (n > 0 ? n : (size_t)w->service->replicas); i++) {
		scoped(free) char *name =
			n > 0 ? xstrdup(listed_name(json_array_get(list, i)))
			      : request_container_name(c->project, w->service, (int)i + 1);
		compose_say(c, name, "Waiting");
		compose_say(c, name, verb_of(w));
	}
	return 0;
}

static int wait_wanted(struct compose *c, const struct wanted *w, struct err *e)
{
	if (c->dry_run) {
		return pretend(c, w, e);
	}
	struct compose_health *h =
		c->health ? c->health : compose_health_new(c, c->project->name, e);
	int r = h ? wait_service(c, h, w, e) : -1;
	if (h != c->health) {
		compose_health_free(h);
	}
	return r;
}

int compose_wait_condition(
	struct compose *c, const struct service *s, enum condition condition, struct err *e)
{
	return wait_wanted(c, &(struct wanted){s, condition, false}, e);
}

int compose_wait_step(struct compose *c, const struct step *step, struct err *e)
{
	const struct wanted w = {step->service, step->condition, !step->waiter};
	return wait_wanted(c, &w, e);
}
