/* Stages as a graph: those whose sources are done run, several at a time.
 *
 * Invariants
 * 1. A free thread takes the first stage, in the order of the targets and of the Dockerfile, that
 * is ready. A stage needs only stages before it, so the first one that is not done always runs: its
 * classic output is the one whose turn it is, and whoever waits for a stage before it waits for
 * something that moves.
 * 2. A thread that runs stages has a working directory of its own: overlay_mount changes it.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "sys/cgroup.h"
#include "worker/build.h"

#define STAGES_AT_ONCE_MAX 8
#define STAGE_MEMORY_KB (256 << 10) /* free memory for each stage that runs beside another */
#define MEMINFO_MAX 65536
#define STACK_BYTES (1u << 20)

struct node {
	struct build_stage *stage;
	bool begun;
};

struct build_schedule {
	struct build *b;
	pthread_mutex_t lock;
	pthread_cond_t moved; /* a stage is done, or the build has failed */
	struct node *v;
	size_t n;
	size_t n_running; /* threads that run a stage */
	size_t n_left;    /* stages that are not done */
	bool failed;
	struct err why;
};

/* --- how many --- */

static int64_t free_memory_kb(void)
{
	scoped(buf) struct buf text = BUF_INIT;
	static const char name[] = "MemAvailable:";
	int64_t kb;
	if (path_read(AT_FDCWD, "/proc/meminfo", MEMINFO_MAX, &text) < 0) {
		return INT64_MAX;
	}
	const char *line = strstr(buf_str(&text), name);
	const char *number = line ? line + strlen(name) + strspn(line + strlen(name), " ") : "";
	scoped(free) char *digits = xstrndup(number, strcspn(number, " \n"));
	return parse_i64(digits, 0, INT64_MAX, &kb) < 0 ? INT64_MAX : kb;
}

static size_t stages_at_once(size_t n)
{
	cpu_set_t cpus;
	int64_t most = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? CPU_COUNT(&cpus) : 1;
	int64_t by_memory = free_memory_kb() / STAGE_MEMORY_KB;
	most = most > by_memory ? by_memory : most;
	most = most > STAGES_AT_ONCE_MAX ? STAGES_AT_ONCE_MAX : most;
	most = most < 1 ? 1 : most;
	return (size_t)most > n ? n : (size_t)most;
}

/* --- the graph --- */

static bool is_ready(const struct build_stage *s)
{
	const struct stage *plan = &s->target->plan.v[s->index];
	for (size_t k = 0; k < plan->n_needs; k++) {
		if (!build_stage_is_done(&s->target->stages[plan->needs[k]])) {
			return false;
		}
	}
	return true;
}

/* Locked. */
static struct node *next_ready(struct build_schedule *c)
{
	for (size_t k = 0; k < c->n; k++) {
		if (!c->v[k].begun && is_ready(c->v[k].stage)) {
			return &c->v[k];
		}
	}
	return NULL;
}

/* Locked. */
static void stop_steps(const struct build_schedule *c)
{
	const char *parent = json_str(c->b->request, "cgroup");
	for (size_t k = 0; k < c->n; k++) {
		const struct build_stage *s = c->v[k].stage;
		scoped(free) char *group =
			xasprintf("%s/%s", parent + (*parent == '/'), s->place.name);
		if (c->v[k].begun && !build_stage_is_done(s)) {
			(void)cgroup_kill(group);
		}
	}
}

/* Locked. */
static void end_stage(struct build_schedule *c, struct build_stage *s, int r, const struct err *e)
{
	if (r < 0 && !c->failed) {
		c->failed = true;
		c->why = *e;
		atomic_store(&c->b->stopping, true);
		stop_steps(c);
	} else if (r == 0) {
		atomic_store(&s->done, true);
		c->n_left--;
	}
	pthread_cond_broadcast(&c->moved);
}

/* The next stage for a thread; NULL when there is nothing left to begin. Locked. */
static struct build_stage *take_stage(struct build_schedule *c)
{
	while (c->n_left > 0 && !c->failed) {
		struct node *ready = next_ready(c);
		if (ready) {
			ready->begun = true;
			return ready->stage;
		}
		pthread_cond_wait(&c->moved, &c->lock);
	}
	return NULL;
}

static void *run_stages(void *owner)
{
	struct build_schedule *c = owner;
	struct err e = {0};
	int r = unshare(CLONE_FS) < 0 ? err_sys(&e, errno, "cannot prepare a thread") : 0;
	pthread_mutex_lock(&c->lock);
	struct build_stage *s;
	while ((s = take_stage(c))) {
		pthread_mutex_unlock(&c->lock);
		r = r < 0 ? r : build_stage_run(s, &e);
		if (r == 0) {
			build_turn_end(c->b->events, s->turn);
		}
		pthread_mutex_lock(&c->lock);
		end_stage(c, s, r, &e);
	}
	c->n_running--;
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* "no_cache_filter": stages by name or number. */
static bool is_filtered(const struct build *b, const struct stage *plan, size_t index)
{
	char number[24];
	size_t k;
	json_t *item;
	snprintf(number, sizeof(number), "%zu", index);
	json_array_foreach (json_object_get(b->options, "no_cache_filter"), k, item) {
		const char *name = json_string_value(item);
		if (name && ((plan->name && strcasecmp(name, plan->name) == 0) ||
				    strcmp(name, number) == 0)) {
			return true;
		}
	}
	return false;
}

static void add_node(struct build_schedule *c, struct build_target *g, size_t index, size_t *step)
{
	struct build *b = c->b;
	struct build_stage *s = &g->stages[index];
	const struct stage *plan = &g->plan.v[index];
	s->target = g;
	s->index = index;
	s->turn = build_turn_new(b->events);
	s->step = *step;
	s->no_cache = b->no_cache || is_filtered(b, plan, index);
	snprintf(s->place.name, sizeof(s->place.name), "stage-%zu", c->n);
	*step += plan->end - plan->from;
	build_stage_announce(s);
	c->v = xrealloc(c->v, c->n + 1, sizeof(*c->v));
	c->v[c->n++] = (struct node){.stage = s};
}

static struct build_schedule *make_schedule(struct build *b)
{
	struct build_schedule *c = xnew(struct build_schedule);
	size_t step = 1;
	c->b = b;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->moved, NULL);
	for (size_t k = 0; k < b->n_targets; k++) {
		struct build_target *g = &b->targets[k];
		g->stages = xnew_array(struct build_stage, g->plan.n);
		for (size_t i = 0; i < g->plan.n; i++) {
			if (g->plan.v[i].needed) {
				add_node(c, g, i, &step);
			}
		}
	}
	c->n_left = c->n;
	return c;
}

static int start_threads(struct build_schedule *c, size_t n, struct err *e)
{
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	int r = 0;
	for (size_t k = 0; k < n && r == 0; k++) {
		pthread_t t;
		r = pthread_create(&t, &attr, run_stages, c);
		c->n_running += r == 0;
	}
	pthread_attr_destroy(&attr);
	return r != 0 && c->n_running == 0 ? err_sys(e, r, "cannot make a thread") : 0;
}

/* Until all is done, or one has failed. Locked. */
static int wait_for_all(struct build_schedule *c, struct err *e)
{
	while (c->n_running > 0 && !c->failed) {
		pthread_cond_wait(&c->moved, &c->lock);
	}
	if (c->failed) {
		*e = c->why;
	}
	return c->failed ? -1 : 0;
}

int build_schedule(struct build *b, bool *ret_idle, struct err *e)
{
	struct build_schedule *c = make_schedule(b);
	b->schedule = c;
	pthread_mutex_lock(&c->lock);
	int r = start_threads(c, stages_at_once(c->n), e) < 0 ? -1 : wait_for_all(c, e);
	*ret_idle = c->n_running == 0;
	pthread_mutex_unlock(&c->lock);
	return r;
}

void build_schedule_free(struct build_schedule *c)
{
	if (!c) {
		return;
	}
	pthread_mutex_destroy(&c->lock);
	pthread_cond_destroy(&c->moved);
	free(c->v);
	free(c);
}

int build_stage_wait(struct build_stage *s, struct err *e)
{
	struct build_schedule *c = s->target->b->schedule;
	pthread_mutex_lock(&c->lock);
	while (!build_stage_is_done(s) && !c->failed) {
		pthread_cond_wait(&c->moved, &c->lock);
	}
	pthread_mutex_unlock(&c->lock);
	return build_go_on(s->target->b, e);
}

/* --- equal steps --- */

/* The stage that runs the step right now, or NULL. Locked. */
static struct build_stage *find_claim(const struct build_schedule *c, const char *key)
{
	for (size_t k = 0; k < c->n; k++) {
		if (strcmp(c->v[k].stage->claim, key) == 0) {
			return c->v[k].stage;
		}
	}
	return NULL;
}

bool build_claim(struct build_stage *s, const char *key)
{
	struct build_schedule *c = s->target->b->schedule;
	struct build_stage *other;
	bool waited = false;
	pthread_mutex_lock(&c->lock);
	while ((other = find_claim(c, key)) && !c->failed) {
		waited = true;
		build_turn_unbound(c->b->events, other->turn); /* it may be our turn before its */
		pthread_cond_wait(&c->moved, &c->lock);
	}
	snprintf(s->claim, sizeof(s->claim), "%s", key);
	pthread_mutex_unlock(&c->lock);
	return waited;
}

void build_unclaim(struct build_stage *s)
{
	struct build_schedule *c = s->target->b->schedule;
	pthread_mutex_lock(&c->lock);
	*s->claim = '\0';
	pthread_cond_broadcast(&c->moved);
	pthread_mutex_unlock(&c->lock);
}
