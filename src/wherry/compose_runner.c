/* Carries a plan out: every step as soon as what it comes after is done, each of them on a thread
 * and a connection of its own.
 *
 * Invariants, under the lock:
 * 1. A step is waiting, begun or done; only one that is ready (compose/plan.h) is begun.
 * 2. After a failure nothing is begun.
 * 3. A worker that finds nothing to begin sleeps until something is done; a new one is made only
 * when none sleeps. */
#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "wherry/compose_health.h"
#include "wherry/compose_make.h"
#include "wherry/engine.h"

#define WORKERS_MAX 64u

struct worker;

struct runner {
	struct compose_carry *carry;
	const struct plan *plan;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool *begun, *done, *bad; /* by step */
	size_t n_left;            /* not begun */
	size_t n_idle;
	struct worker *workers;
	size_t n_workers, limit;
	bool failed;
	bool tolerated; /* something failed, and the rest goes on */
	struct err e;
};

struct worker {
	struct runner *runner;
	struct compose c; /* a copy with a connection of its own */
	struct cli cli;
	pthread_t thread;
};

static void *work(void *owner);

/* The first step that may begin; plan->n when there is none. Under the lock. */
static size_t next_step(const struct runner *r)
{
	for (size_t i = 0; i < r->plan->n; i++) {
		if (!r->begun[i] && plan_is_ready(r->plan, i, r->done)) {
			return i;
		}
	}
	return r->plan->n;
}

static size_t failed_rolls(const struct runner *r, const struct service *s)
{
	size_t n = 0;
	for (size_t i = 0; i < r->plan->n; i++) {
		const struct step *step = &r->plan->steps[i];
		n += r->bad[i] && step->kind == STEP_ROLL && step->service == s;
	}
	return n;
}

/* It failed: does the rest go on? update_config.failure_action and max_failure_ratio. */
static bool goes_on_after(const struct runner *r, const struct step *step)
{
	return step->carry_on ||
	       (step->kind == STEP_ROLL && failed_rolls(r, step->service) <= step->n_tolerated);
}

static void note_failure(struct runner *r, const struct step *step, const struct err *e)
{
	if (!r->failed && !r->tolerated) {
		r->e = *e;
	}
	bool on = goes_on_after(r, step);
	r->tolerated = r->tolerated || on;
	if (!r->failed && !on) {
		r->failed = true;
		if (r->carry->c->health) {
			compose_health_give_up(r->carry->c->health);
		}
	}
}

static void add_worker(struct runner *r)
{
	struct worker *w = &r->workers[r->n_workers];
	struct err e;
	*w = (struct worker){.runner = r, .c = *r->carry->c, .cli = *r->carry->c->cli};
	w->c.cli = &w->cli;
	w->cli.http = NULL;
	/* without a thread those there are do it all */
	r->n_workers += compose_thread(work, w, &w->thread, &e) == 0;
}

static int run_step(struct worker *w, const struct step *step, struct err *e)
{
	if (!w->cli.http) {
		w->cli.http = engine_connect(w->runner->carry->c->cli, e);
	}
	/* an attached `up` shows what containers say from then on */
	bool silent =
		w->runner->carry->on_start && (step->kind == STEP_START || step->kind == STEP_WAIT);
	w->c.progress = silent ? NULL : w->runner->carry->c->progress;
	return w->cli.http ? compose_carry_step(w->runner->carry, &w->c, step, e) : -1;
}

static bool goes_on(const struct runner *r)
{
	return !r->failed && r->n_left > 0 && !(r->carry->canceled && *r->carry->canceled);
}

/* Until nothing is left to begin. Unlocks while it works. */
static void work_locked(struct worker *w)
{
	struct runner *r = w->runner;
	while (goes_on(r)) {
		size_t i = next_step(r);
		if (i == r->plan->n) {
			r->n_idle++;
			pthread_cond_wait(&r->changed, &r->lock);
			r->n_idle--;
			continue;
		}
		r->begun[i] = true;
		r->n_left--;
		if (r->n_idle == 0 && r->n_workers < r->limit && next_step(r) < r->plan->n) {
			add_worker(r);
		}
		struct err e;
		pthread_mutex_unlock(&r->lock);
		int result = run_step(w, &r->plan->steps[i], &e);
		pthread_mutex_lock(&r->lock);
		r->done[i] = true;
		if (result < 0) {
			r->bad[i] = true;
			note_failure(r, &r->plan->steps[i], &e);
		}
		pthread_cond_broadcast(&r->changed);
	}
}

static void *work(void *owner)
{
	struct worker *w = owner;
	pthread_mutex_lock(&w->runner->lock);
	work_locked(w);
	pthread_mutex_unlock(&w->runner->lock);
	http_client_free(w->cli.http);
	return NULL;
}

static size_t worker_limit(const struct compose *c)
{
	return c->parallel > 0 && c->parallel < WORKERS_MAX ? (size_t)c->parallel : WORKERS_MAX;
}

/* The calling thread is the first worker. */
static int run(struct runner *r, struct err *e)
{
	struct worker *first = &r->workers[0];
	*first = (struct worker){.runner = r, .c = *r->carry->c, .cli = *r->carry->c->cli};
	first->c.cli = &first->cli;
	first->cli.http = NULL;
	r->n_workers = 1;
	work(first);
	for (size_t i = 1; i < r->n_workers; i++) {
		pthread_join(r->workers[i].thread, NULL);
	}
	if (r->failed || r->tolerated) {
		*e = r->e;
	}
	return r->failed || r->tolerated ? -1 : 0;
}

/* failure_action: rollback - the service's other containers, too, are those from before again.
 * Other services keep what they have: an update_config is its service's, as in swarm. */
static void roll_back(const struct runner *r)
{
	for (size_t i = r->plan->n; i-- > 0;) {
		const struct step *step = &r->plan->steps[i];
		if (step->kind == STEP_ROLL && step->keep_old && r->done[i] && !r->bad[i] &&
			failed_rolls(r, step->service) > step->n_tolerated) {
			compose_roll_back(r->carry, r->carry->c, step);
		}
	}
}

static bool waits(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		if (plan->steps[i].kind == STEP_WAIT || plan->steps[i].kind == STEP_ROLL) {
			return true;
		}
	}
	return false;
}

int compose_carry_out(struct compose_carry *carry, const struct plan *plan, struct err *e)
{
	struct compose *c = carry->c;
	for (size_t i = 0; i < plan->warnings.n; i++) {
		compose_warn(plan->warnings.v[i]);
	}
	if (waits(plan) && !c->health) {
		c->health = compose_health_new(c, c->project->name, e);
		if (!c->health) {
			return -1;
		}
	}
	size_t limit = worker_limit(c);
	scoped(free) bool *begun = xnew_array(bool, plan->n + 1);
	scoped(free) bool *done = xnew_array(bool, plan->n + 1);
	scoped(free) bool *bad = xnew_array(bool, plan->n + 1);
	scoped(free) struct worker *workers = xnew_array(struct worker, limit);
	struct runner r = {.carry = carry,
		.plan = plan,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
		.begun = begun,
		.done = done,
		.bad = bad,
		.n_left = plan->n,
		.workers = workers,
		.limit = limit};
	pthread_mutex_init(&carry->lock, NULL);
	pthread_mutex_init(&carry->telling, NULL);
	carry->strings = tree_new();
	int result = run(&r, e);
	roll_back(&r);
	tree_free(carry->strings);
	compose_health_free(c->health);
	c->health = NULL;
	return result;
}
