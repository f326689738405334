/* The daemon has started: what a restart policy wants running is started; containers of a compose
 * project in the order of their dependencies (boot_rules.h).
 *
 * One that waits is "restarting" and says what for, as one that lacks a device. Nobody polls: each
 * start, end and change of health of a container asks for a look at those that wait.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "container/boot_rules.h"
#include "container/internal.h"

static void ignore_result(void *owner, const struct err *e)
{
}

static struct boot_facts facts_of(const struct container *c, int64_t waited_ms)
{
	return (struct boot_facts){
		.runs = container_is_running(c),
		.coming = c->boot_since_ms > 0 || c->state == CONTAINER_STARTING ||
			  c->state == CONTAINER_RESTARTING,
		.came = c->was_started_now,
		.probed = health_is_configured(c),
		.health = health_status(c),
		.waited_ms = waited_ms,
	};
}

static bool is_of_service(
	const struct container *c, const char *project, const struct boot_dependency *d)
{
	const char *service = container_own_label(c, BOOT_SERVICE_LABEL);
	return strncmp(service, d->service, (size_t)d->n) == 0 && service[d->n] == '\0' &&
	       strcmp(container_own_label(c, BOOT_PROJECT_LABEL), project) == 0 &&
	       strcmp(container_own_label(c, BOOT_ONE_OFF_LABEL), "True") != 0;
}

/* The first dependency that is not as it has to be; false when there is none. */
static bool find_missing(const struct container *c, int64_t waited_ms, struct boot_dependency *ret)
{
	const char *project = container_own_label(c, BOOT_PROJECT_LABEL);
	const char *depends = container_own_label(c, BOOT_DEPENDS_LABEL);
	for (int i = 0;
		*project && i < BOOT_DEPENDENCIES_MAX && boot_dependency_next(&depends, ret); i++) {
		map_each (c->set->by_id, const struct container, other) {
			const struct boot_facts f = facts_of(other, waited_ms);
			if (other != c && is_of_service(other, project, ret) &&
				boot_must_wait(ret->condition, &f)) {
				return true;
			}
		}
	}
	return false;
}

static void look(void *owner);

static void look_later(struct container_set *s, int64_t wait_ms)
{
	delay_cancel(s->boot_look);
	s->boot_look = delay_start(s->d.loop, wait_ms, look, s);
}

/* Starts it, or says what it waits for. True when it goes on waiting. */
static bool try(struct container *c, int64_t now_ms)
{
	struct boot_dependency d;
	int64_t waited_ms = now_ms - c->boot_since_ms;
	if (find_missing(c, waited_ms, &d)) {
		if (c->state != CONTAINER_RESTARTING) {
			c->state = CONTAINER_RESTARTING;
			container_record_note(c); /* the next daemon takes it up again */
		}
		waiting_set(c, xasprintf("service %.*s %s", d.n, d.service,
				       boot_condition_words(d.condition)));
		return true;
	}
	c->state = c->state == CONTAINER_RESTARTING ? CONTAINER_EXITED : c->state;
	container_start(c, ignore_result, NULL); /* takes it off */
	return false;
}

/* A start may change what the next one sees, so it is one look for all, in order of creation. */
static void look(void *owner)
{
	struct container_set *s = owner;
	scoped(strv) struct strv ids = STRV_INIT;
	int64_t now_ms = clock_mono_ms();
	s->boot_look = NULL;
	s->boot_waiting = 0;
	map_each (s->by_id, const struct container, c) {
		if (c->boot_since_ms > 0) {
			strv_add(&ids, c->id);
		}
	}
	for (size_t i = 0; i < ids.n && !s->going_down; i++) {
		struct container *c = map_get(s->by_id, ids.v[i]);
		s->boot_waiting += c && c->boot_since_ms > 0 && try(c, now_ms);
	}
	if (s->boot_waiting > 0 && !s->boot_look && !s->going_down) {
		look_later(s, BOOT_PATIENCE_MS);
	}
}

void boot_look_again(struct container_set *s)
{
	if (s->boot_waiting > 0 && !s->closing) {
		look_later(s, 0);
	}
}

/* Those whose end was met at this start are about to restart; of these, who depends on others is
 * taken over. */
static bool is_wanted(const struct container *c)
{
	if (c->state == CONTAINER_RESTARTING) {
		return *container_own_label(c, BOOT_PROJECT_LABEL) &&
		       *container_own_label(c, BOOT_DEPENDS_LABEL);
	}
	bool rests = c->state == CONTAINER_EXITED || c->state == CONTAINER_CREATED;
	return rests && (c->started_ns != 0 || c->was_running) &&
	       (c->resumes_waiting || restart_at_boot(&c->policy, c->exit_code, c->was_running,
					      c->stopped_by_user));
}

/* A policy that wants it running starts it; a reboot is no failure of the container's. */
void boot_apply_policies(void *owner)
{
	struct container_set *s = owner;
	int64_t now_ms = clock_mono_ms() + 1; /* never 0 */
	s->policies = NULL;
	map_each (s->by_id, struct container, c) {
		if (is_wanted(c)) {
			delay_cancel(c->restart_delay);
			c->restart_delay = NULL;
			c->boot_since_ms = now_ms;
		}
	}
	look(s);
}
