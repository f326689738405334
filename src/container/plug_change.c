/* A running container has got or lost devices: its events, and what its owner wants done then. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "container/exec.h"
#include "container/plug.h"
#include "device/rule.h"

static void ignore_result(void *owner, const struct err *e)
{
}

static const struct device_rule *rule_of(const struct container *c, const struct plugged *p)
{
	const struct wanted_list *l = &c->plug->wanted;
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].rule && strcmp(l->v[i].key, p->key) == 0) {
			return l->v[i].rule;
		}
	}
	return NULL;
}

static void run_command(
	struct container *c, const struct device_rule *r, const struct plugged *p, bool added)
{
	struct err e;
	scoped(strv) struct strv env = STRV_INIT;
	strv_addf(&env, "WHERRY_DEVICE_ACTION=%s", added ? "add" : "remove");
	strv_addf(&env, "WHERRY_DEVICE_NAME=%s", p->key);
	strv_addf(&env, "WHERRY_DEVICE=%s", p->path);
	scoped(json) json_t *body =
		json_pack("{so so}", "Cmd", json_strv(&r->exec), "Env", json_strv(&env));
	struct exec *x = exec_create(c, body, &e);
	if (!x) {
		log_warning("container", "on_change_failed", "id", c->id, "reason", e.msg, NULL);
		return;
	}
	exec_start_detached(x, ignore_result, NULL);
}

/* True when it is to restart: once, whatever else changes. */
static bool act(struct container *c, const struct plugged *p, bool added)
{
	const struct device_rule *r = rule_of(c, p);
	struct err ignored;
	if (!r || c->state != CONTAINER_RUNNING) {
		return false;
	}
	switch (r->on_change) {
	case DEVICE_ON_CHANGE_SIGNAL:
		(void)container_signal(c, r->signal, &ignored);
		return false;
	case DEVICE_ON_CHANGE_EXEC:
		run_command(c, r, p, added);
		return false;
	default:
		return r->on_change == DEVICE_ON_CHANGE_RESTART;
	}
}

static bool tell(struct container *c, const struct plugged_list *l, bool added)
{
	bool restart = false;
	for (size_t i = 0; i < l->n; i++) {
		const struct plugged *p = &l->v[i];
		if (plugged_is_link(p)) {
			continue;
		}
		const char *action = added ? "device_add" : "device_remove";
		log_info(
			"container", action, "id", c->id, "device", p->node, "path", p->path, NULL);
		container_event(c, action,
			json_pack(
				"{ss ss ss}", "device", p->node, "path", p->path, "rule", p->key));
		restart = act(c, p, added) || restart;
	}
	return restart;
}

void plug_tell(
	struct container *c, const struct plugged_list *removed, const struct plugged_list *added)
{
	bool restart = tell(c, removed, false);
	if (tell(c, added, true) || restart) {
		container_restart(c, 0, -1, ignore_result, NULL);
	}
}
