/* Invariants
 * 1. c->stats is set exactly while somebody watches c.
 * 2. Every source is in the sampler's list, the one whose sample is due first at its head: all
 * wait the same time, so a sampled one goes to the end. The timer runs exactly while the list is
 * not empty.
 * 3. A source is not freed while it tells its watchers; the last one's leave is noticed after.
 */
#include "container/stats.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <uv.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "container/internal.h"
#include "sys/cgroup.h"

#define INTERVAL_MS 1000
#define NETWORK_HOPS_MAX 16

struct stats_sampler {
	uv_timer_t timer; /* the sampler is freed in its close callback */
	struct list sources;
};

struct stats_source {
	struct list node;
	struct container *c;
	struct list watches;
	int64_t due_ms;
	char *precpu; /* of the last sample, NULL before the first */
	char preread[CLOCK_TEXT_MAX];
	bool telling;
};

struct stats_watch {
	struct list node;
	struct stats_source *source; /* NULL once the container is gone */
	stats_fn *fn;
	void *owner;
	bool pair;
};

/* --- samples --- */

/* A container in the host's network, or in that of one that is, has no interfaces of its own. */
static bool has_own_links(const struct container *c)
{
	for (int i = 0; c && i < NETWORK_HOPS_MAX; i++) {
		const char *mode = container_network_mode(c);
		if (!text_starts(mode, "container:")) {
			return strcmp(mode, "host") != 0;
		}
		struct err ignored;
		c = container_find(c->set, mode + strlen("container:"), &ignored);
	}
	return c != NULL;
}

static uint64_t machine_bytes(void)
{
	struct sysinfo si;
	return sysinfo(&si) < 0 ? 0 : (uint64_t)si.totalram * si.mem_unit;
}

void stats_sample_take(const struct container *c, struct stats_sample *ret)
{
	*ret = (struct stats_sample){0};
	if (!container_is_running(c) ||
		cgroup_stat_read(CGROUP_ROOT, cgroup_is_v2(), c->cgroup, &ret->group) < 0) {
		return;
	}
	ret->live = true;
	ret->at_ns = clock_real_ns();
	(void)procfs_cpu(&ret->system_ns, &ret->n_cpus); /* at once: the two are compared */
	ret->machine_bytes = machine_bytes();
	struct procfs_link links[PROCFS_LINKS_MAX];
	if (c->pid > 0 && has_own_links(c)) {
		ret->n_links = procfs_net(c->pid, "eth", links);
	}
	if (ret->n_links > 0) {
		ret->links = xnew_array(struct procfs_link, ret->n_links);
		memcpy(ret->links, links, ret->n_links * sizeof(*links));
	}
}

void stats_sample_deinit(struct stats_sample *s)
{
	cgroup_stat_deinit(&s->group);
	free(s->links);
	*s = (struct stats_sample){0};
}

static char *document(const struct container *c, const struct stats_sample *s)
{
	struct buf b = BUF_INIT;
	stats_put(&b, s, c->name, c->id, NULL, NULL);
	buf_putc(&b, '\n');
	return buf_take_str(&b);
}

char *stats_once(const struct container *c)
{
	struct stats_sample s;
	stats_sample_take(c, &s);
	char *text = document(c, &s);
	stats_sample_deinit(&s);
	return text;
}

char *stats_nothing(const struct container *c)
{
	const struct stats_sample nothing = {0};
	return document(c, &nothing);
}

/* --- watchers --- */

static void source_free(struct stats_source *o)
{
	o->c->stats = NULL;
	list_remove(&o->node);
	free(o->precpu);
	free(o);
}

/* had_before: the line has a sample before in it. */
static void tell(struct stats_source *o, const struct buf *line, bool had_before)
{
	struct list pending = LIST_INIT(pending);
	while (!list_empty(&o->watches)) {
		struct list *node = o->watches.next;
		list_remove(node);
		list_append(&pending, node);
	}
	o->telling = true;
	while (!list_empty(&pending)) { /* each call may end this watch, or another */
		struct stats_watch *w = container_of(pending.next, struct stats_watch, node);
		list_remove(&w->node);
		list_append(&o->watches, &w->node);
		if (had_before || !w->pair) {
			w->fn(w->owner, line->data, line->len);
		}
	}
	o->telling = false;
	if (list_empty(&o->watches)) {
		source_free(o);
	}
}

static void take_and_tell(struct stats_source *o)
{
	struct stats_sample s;
	scoped(buf) struct buf line = BUF_INIT;
	struct buf cpu = BUF_INIT;
	bool had_before = o->precpu != NULL;
	stats_sample_take(o->c, &s);
	stats_put(&line, &s, o->c->name, o->c->id, o->precpu, had_before ? o->preread : NULL);
	buf_putc(&line, '\n');
	stats_put_cpu(&cpu, &s);
	free(o->precpu);
	o->precpu = buf_take_str(&cpu);
	clock_format(s.at_ns, o->preread);
	stats_sample_deinit(&s);
	tell(o, &line, had_before);
}

static void arm(struct stats_sampler *m);

static void tick(uv_timer_t *t)
{
	struct stats_sampler *m = t->data;
	if (!list_empty(&m->sources)) {
		struct stats_source *o = container_of(m->sources.next, struct stats_source, node);
		list_remove(&o->node);
		list_append(&m->sources, &o->node);
		o->due_ms = clock_mono_ms() + INTERVAL_MS;
		take_and_tell(o);
	}
	arm(m);
}

static void arm(struct stats_sampler *m)
{
	if (list_empty(&m->sources)) {
		uv_timer_stop(&m->timer);
		return;
	}
	const struct stats_source *first = container_of(m->sources.next, struct stats_source, node);
	int64_t wait = first->due_ms - clock_mono_ms();
	uv_timer_start(&m->timer, tick, wait > 0 ? (uint64_t)wait : 0, 0);
}

static struct stats_sampler *sampler_of(struct container_set *s)
{
	if (!s->sampler) {
		s->sampler = xnew(struct stats_sampler);
		list_init(&s->sampler->sources);
		uv_timer_init(s->d.loop, &s->sampler->timer);
		s->sampler->timer.data = s->sampler;
	}
	return s->sampler;
}

static struct stats_source *source_of(struct container *c)
{
	struct stats_sampler *m = sampler_of(c->set);
	if (!c->stats) {
		struct stats_source *o = xnew(struct stats_source);
		o->c = c;
		list_init(&o->watches);
		/* due now, so before the present first one */
		o->due_ms = clock_mono_ms();
		list_append(m->sources.next, &o->node);
		c->stats = o;
		arm(m);
	}
	return c->stats;
}

struct stats_watch *stats_watch(struct container *c, bool pair, stats_fn *fn, void *owner)
{
	struct stats_watch *w = xnew(struct stats_watch);
	w->source = source_of(c);
	w->fn = fn;
	w->owner = owner;
	w->pair = pair;
	list_append(&w->source->watches, &w->node);
	return w;
}

void stats_unwatch(struct stats_watch *w)
{
	if (!w) {
		return;
	}
	struct stats_source *o = w->source;
	list_remove(&w->node);
	free(w);
	if (o && !o->telling && list_empty(&o->watches)) {
		struct stats_sampler *m = o->c->set->sampler;
		source_free(o);
		arm(m);
	}
}

void stats_forget(struct container *c)
{
	struct stats_source *o = c->stats;
	if (!o) {
		return;
	}
	struct list left = LIST_INIT(left);
	while (!list_empty(&o->watches)) {
		struct stats_watch *w = container_of(o->watches.next, struct stats_watch, node);
		w->source = NULL;
		list_remove(&w->node);
		list_append(&left, &w->node);
	}
	struct stats_sampler *m = c->set->sampler;
	source_free(o);
	arm(m);
	while (!list_empty(&left)) {
		struct stats_watch *w = container_of(left.next, struct stats_watch, node);
		list_remove(&w->node);
		w->fn(w->owner, NULL, 0);
	}
}

static void sampler_closed(uv_handle_t *h)
{
	free(h->data);
}

void stats_free(struct container_set *s)
{
	map_each (s->by_id, struct container, c) {
		stats_forget(c);
	}
	if (s->sampler) {
		uv_close((uv_handle_t *)&TAKE(s->sampler)->timer, sampler_closed);
	}
}
