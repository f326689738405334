/* Start-first: a container goes on until its successor is well.
 *
 * The successor is made beside it under a temporary name and started; when it is healthy (or
 * listens, where there is no health check) it takes over ports and names in the engine, the
 * connections of the old one are let end, and that goes. Whatever was done when this program is
 * killed is what the next plan finds: the steps go on from there. */
#include <poll.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "wherry/compose_health.h"
#include "wherry/compose_make.h"
#include "wherry/engine.h"

#define LOOK_MS 50      /* between looks at what listens: there is no event of that */
#define DRAIN_MS 5000   /* for connections of the old container, at most */
#define MONITOR_MS 5000 /* swarm's default: so long it has to run without a health check */
#define NS_PER_MS INT64_C(1000000)

struct roll {
	struct compose_carry *carry;
	struct compose *c;
	const struct step *step;
	const char *id; /* of the successor */
	int64_t begun_ms;
};

static int roll_failed(const struct roll *r, const char *what, struct err *e)
{
	return err_set(e, ERR_CONFLICT,
		"service \"%s\": the new container %s %s; the old one goes on",
		r->step->service->name, r->step->name, what);
}

/* ---- is it well? ---- */

static bool listens_on(const json_t *ports, int wanted)
{
	size_t i;
	json_t *port;
	json_array_foreach (ports, i, port) {
		if (json_integer_value(port) == wanted) {
			return true;
		}
	}
	return false;
}

/* On every TCP port that it publishes, of which there must be one. */
static bool listens(const struct roll *r)
{
	const struct service *s = r->step->service;
	scoped(json) json_t *sockets = NULL;
	struct err ignored;
	bool any = false;
	if (!r->carry->takes_over || s->n_ports == 0 ||
		engine_on(r->c->cli, "GET", "/wherry/v1/containers/", r->id, "/sockets", &sockets,
			&ignored) < 0) {
		return false;
	}
	for (size_t i = 0; i < s->n_ports; i++) {
		if (strcmp(s->ports[i].protocol, "tcp") == 0) {
			any = true;
			if (!listens_on(
				    json_object_get(sockets, "Listening"), s->ports[i].target)) {
				return false;
			}
		}
	}
	return any;
}

static int64_t monitor_ms(const struct roll *r, int64_t otherwise)
{
	int64_t ns = r->step->service->update->monitor_ns;
	return ns != UNSET && ns > 0 ? ns / NS_PER_MS : otherwise;
}

/* 1 when it is well, 0 when that is to be seen, -1 when it never will be. */
static int judge(const struct roll *r, const json_t *o, struct err *e)
{
	const json_t *state = json_object_get(o, "State");
	const char *health = json_str(json_object_get(state, "Health"), "Status");
	int64_t ran_ms = clock_mono_ms() - r->begun_ms;
	if (strcmp(json_str(state, "Status"), "running") != 0 ||
		json_i64(o, "RestartCount", 0) > 0) {
		scoped(free) char *what =
			xasprintf("exited (%d)", (int)json_i64(state, "ExitCode", 0));
		return roll_failed(r, what, e);
	}
	if (strcmp(health, "unhealthy") == 0) {
		return roll_failed(r, "is unhealthy", e);
	}
	if (compose_is_checked(o)) {
		return strcmp(health, "healthy") == 0 && ran_ms >= monitor_ms(r, 0);
	}
	return ran_ms >= monitor_ms(r, MONITOR_MS) || (ran_ms >= monitor_ms(r, 0) && listens(r));
}

static int wait_until_well(struct roll *r, struct err *e)
{
	compose_say(r->c, r->step->name, "Waiting");
	r->begun_ms = clock_mono_ms();
	for (;;) {
		scoped(json) json_t *o = NULL;
		unsigned long mark = compose_health_mark(r->c->health);
		int well = engine_on(r->c->cli, "GET", "/containers/", r->id, "/json", &o, e);
		well = well < 0 ? well : judge(r, o, e);
		if (well != 0) {
			return well < 0 ? -1 : 0;
		}
		if (compose_health_is_over(r->c->health)) {
			return roll_failed(r, "is no longer waited for", e);
		}
		int64_t monitored_ms = r->begun_ms + monitor_ms(r, 0);
		compose_health_wait(r->c->health, mark,
			!compose_is_checked(o)           ? clock_mono_ms() + LOOK_MS
			: clock_mono_ms() < monitored_ms ? monitored_ms
							 : 0);
	}
}

/* ---- changing places ---- */

/* Against an engine that does not know of this the old one's ports are not fixed. An old one that
 * has ended has nothing to hand over. */
static int take_over(const struct roll *r, const char *id, const char *from, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	if (!r->carry->takes_over || r->c->dry_run) {
		return 0;
	}
	path_add(&path, "/wherry/v1/containers/", id, "/takeover");
	path_query(&path, "from", from);
	if (engine_json(r->c->cli, "POST", buf_str(&path), NULL, NULL, e) < 0 &&
		e->kind != ERR_CONFLICT && e->kind != ERR_NOT_FOUND) {
		return -1;
	}
	return 0;
}

static int64_t connections_of(const struct roll *r, const char *id)
{
	scoped(json) json_t *sockets = NULL;
	struct err ignored;
	return engine_on(r->c->cli, "GET", "/wherry/v1/containers/", id, "/sockets", &sockets,
		       &ignored) < 0
		       ? 0
		       : json_i64(sockets, "Connections", 0);
}

static void drain(const struct roll *r, const char *id)
{
	int64_t until = clock_mono_ms() + DRAIN_MS;
	while (r->carry->takes_over && connections_of(r, id) > 0 && clock_mono_ms() < until) {
		poll(NULL, 0, LOOK_MS);
	}
}

static int stop_and_remove(const struct roll *r, const char *id, struct err *e)
{
	char suffix[32] = "/stop";
	if (r->carry->timeout_s >= 0) {
		snprintf(suffix, sizeof(suffix), "/stop?t=%d", r->carry->timeout_s);
	}
	if ((compose_act(r->c, "POST", "/containers/", id, suffix, e) < 0 &&
		    e->kind != ERR_NOT_FOUND) ||
		(compose_act(r->c, "DELETE", "/containers/", id, "?force=1", e) < 0 &&
			e->kind != ERR_NOT_FOUND)) {
		return -1;
	}
	return 0;
}

/* What was made for nothing goes; anonymous volumes are the old one's too. */
static void give_up(const struct roll *r)
{
	struct err ignored;
	(void)take_over(r, r->step->existing->id, r->id, &ignored);
	(void)compose_act(r->c, "DELETE", "/containers/", r->id, "?force=1", &ignored);
}

/* A hook that fails leaves the service as it was. */
static int finish(const struct roll *r, struct err *e)
{
	const char *old = r->step->existing->id;
	if (!r->c->dry_run) {
		drain(r, old);
	}
	if (compose_pre_stop(r->c, old, r->step->existing->name, e) < 0) {
		give_up(r);
		return -1;
	}
	if (stop_and_remove(r, old, e) < 0 || compose_rename(r->c, r->id, r->step->name, e) < 0) {
		return -1;
	}
	compose_say(r->c, r->step->name, "Recreated");
	return 0;
}

/* ---- steps ---- */

static int begin(struct roll *r, char **ret_id, struct err *e)
{
	const struct state_container *old = r->step->existing;
	const struct state_container *successor = r->step->successor;
	scoped(json) json_t *inspected = NULL;
	scoped(free) char *temporary = xasprintf("%.12s_%s", old->id, r->step->name);
	if (successor) {
		*ret_id = xstrdup(successor->id);
	} else if (engine_on(r->c->cli, "GET", "/containers/", old->id, "/json", &inspected, e) <
		   0) {
		return -1;
	} else if (compose_post_container(r->carry, r->c, r->step, temporary, old,
			   r->carry->renew_volumes ? NULL : inspected, ret_id, e) < 0) {
		return -1;
	}
	r->id = *ret_id;
	bool runs = successor && state_is_running(successor);
	return runs ? 0 : compose_start_id(r->carry, r->c, r->step, r->id, e);
}

static void pause_before(const struct roll *r)
{
	int64_t until = clock_mono_ms() + r->step->delay_ns / NS_PER_MS;
	while (!r->c->dry_run && clock_mono_ms() < until && !compose_health_is_over(r->c->health)) {
		compose_health_wait(r->c->health, compose_health_mark(r->c->health), until);
	}
}

int compose_roll(
	struct compose_carry *carry, struct compose *c, const struct step *step, struct err *e)
{
	struct roll r = {.carry = carry, .c = c, .step = step};
	scoped(free) char *id = NULL;
	scoped(free) char *verb =
		step->reason ? xasprintf("Recreate (%s)", step->reason) : xstrdup("Recreate");
	pause_before(&r);
	compose_say(c, step->name, verb);
	int failed = begin(&r, &id, e);
	if (failed == 0 && !c->dry_run) {
		failed = wait_until_well(&r, e);
	}
	if (failed == 0) {
		failed = take_over(&r, r.id, step->existing->id, e);
	}
	if (failed < 0) {
		if (id) {
			give_up(&r);
		}
		compose_say(c, step->name, "Error");
		return -1;
	}
	compose_note_made(carry, step, r.id);
	return step->keep_old ? 0 : finish(&r, e);
}

static struct roll rolled(struct compose_carry *carry, struct compose *c, const struct step *step)
{
	scoped(free) char *key = xasprintf("/%s", step->name);
	struct roll r = {.carry = carry, .c = c, .step = step};
	r.id = compose_made(carry, key);
	return r;
}

int compose_roll_finish(
	struct compose_carry *carry, struct compose *c, const struct step *step, struct err *e)
{
	struct roll r = rolled(carry, c, step);
	return r.id ? finish(&r, e) : 0;
}

void compose_roll_back(struct compose_carry *carry, struct compose *c, const struct step *step)
{
	struct err e;
	struct roll r = rolled(carry, c, step);
	if (!r.id) {
		return;
	}
	if (take_over(&r, step->existing->id, r.id, &e) == 0) {
		drain(&r, r.id);
		if (stop_and_remove(&r, r.id, &e) == 0) {
			compose_say(c, step->name, "Rolled back");
			return;
		}
	}
	compose_warn(e.msg);
}
