/* GET /metrics: on the API's sockets, and alone on metrics-addr. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <uv.h>

#include "api/call.h"
#include "api/handlers.h"
#include "api/metrics_text.h"
#include "api/shapes.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/strv.h"
#include "container/container.h"
#include "container/stats.h"
#include "event/event.h"
#include "ingress/counters.h"
#include "ingress/ingress.h"
#include "sys/cgroup_features.h"

#define TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"
#define NS_PER_USEC INT64_C(1000)

/* One request while its containers are looked at, one in each turn of the loop. */
struct scrape {
	uv_idle_t idle; /* the scrape is freed in its close callback */
	struct call *call;
	struct strv ids;
	size_t next;
	struct metrics_container *v;
	size_t n;
	struct counters_wait *wait; /* for the ingress, at last; NULL: not */
};

/* --- the engine --- */

static int64_t cpu_ns(void)
{
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * NS_PER_SEC +
	       (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * NS_PER_USEC;
}

static uint64_t resident_bytes(void)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (path_read(AT_FDCWD, "/proc/self/statm", 4096, &text) < 0) {
		return 0;
	}
	const char *second = strchr(buf_str(&text), ' ');
	return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

static uint64_t open_fds(void)
{
	scoped(closedir) DIR *dir = opendir("/proc/self/fd");
	uint64_t n = 0;
	while (dir && readdir(dir)) {
		n++;
	}
	return n > 3 ? n - 3 : 0; /* ".", ".." and dir itself */
}

static void count_states(const struct container_set *s, struct metrics_engine *m)
{
	size_t pos = 0;
	for (struct container *k; (k = container_next(s, &pos));) {
		if (container_state(k) == CONTAINER_PAUSED) {
			m->paused++;
		} else if (container_is_running(k)) {
			m->running++;
		} else {
			m->stopped++;
		}
	}
}

static void put_engine(const struct api *a, struct buf *text)
{
	struct utsname u;
	struct sysinfo si = {0};
	scoped(free) char *os = shape_os_name();
	uname(&u);
	sysinfo(&si);
	struct metrics_engine m = {
		.version = WHERRY_VERSION,
		.architecture = u.machine,
		.kernel = u.release,
		.os = os,
		.id = a->engine_id,
		.cpus = a->d.cgroups ? a->d.cgroups->n_cpus : 0,
		.memory_bytes = (uint64_t)si.totalram * si.mem_unit,
		.events = event_count(a->d.bus),
		.subscribers = event_listeners(a->d.bus),
		.cpu_ns = (uint64_t)cpu_ns(),
		.resident_bytes = resident_bytes(),
		.open_fds = open_fds(),
		.started_ns = (uint64_t)a->started_ns,
	};
	container_health_counts(a->d.containers, &m.health_checks, &m.health_checks_failed);
	count_states(a->d.containers, &m);
	metrics_put_engine(text, &m);
	action_times_put(text, &a->times);
}

/* --- containers --- */

static uint64_t without_limit(uint64_t limit, uint64_t none_from)
{
	return limit >= none_from ? 0 : limit;
}

static void put_io(struct metrics_container *m, const struct cgroup_ios *list)
{
	for (size_t i = 0; i < list->n; i++) {
		char op = list->v[i].op[0];
		m->read_bytes += op == 'r' || op == 'R' ? list->v[i].value : 0;
		m->written_bytes += op == 'w' || op == 'W' ? list->v[i].value : 0;
	}
}

static void put_sample(struct metrics_container *m, struct stats_sample *s)
{
	const struct cgroup_stat *g = &s->group;
	uint64_t cache = cgroup_memory_value(g, g->v2 ? "inactive_file" : "total_inactive_file");
	m->live = s->live;
	m->cpu_ns = g->cpu_ns;
	m->cpu_user_ns = g->cpu_user_ns;
	m->cpu_system_ns = g->cpu_kernel_ns;
	m->throttled_ns = g->throttled_ns;
	m->memory_bytes = g->memory_bytes;
	m->working_set_bytes = cache < g->memory_bytes ? g->memory_bytes - cache : 0;
	m->memory_limit_bytes = without_limit(g->memory_limit_bytes, s->machine_bytes);
	m->memory_failures = g->memory_failures;
	m->pids = g->pids;
	m->pids_limit = without_limit(g->pids_limit, UINT64_MAX);
	put_io(m, &g->io_bytes);
	m->n_links = s->n_links;
	m->links = TAKE(s->links);
	s->n_links = 0;
}

static void look_at(struct scrape *s, const struct container *k)
{
	struct stats_sample sample;
	struct metrics_container *m = &s->v[s->n++];
	m->id = xstrdup(container_id(k));
	m->name = xstrdup(container_name(k));
	m->image = xstrdup(container_image_ref(k));
	m->health = container_health(k);
	m->restarts = (uint64_t)container_restarts(k);
	m->started_ns = (uint64_t)container_started_ns(k);
	stats_sample_take(k, &sample);
	put_sample(m, &sample);
	stats_sample_deinit(&sample);
}

static void scrape_closed(uv_handle_t *h)
{
	struct scrape *s = h->data;
	for (size_t i = 0; i < s->n; i++) {
		metrics_container_deinit(&s->v[i]);
	}
	strv_deinit(&s->ids);
	free(s->v);
	free(s);
}

static void call_over(struct call *c)
{
	struct scrape *s = c->stream;
	if (s->wait) {
		counters_forget(s->wait);
	}
	uv_close((uv_handle_t *)&s->idle, scrape_closed);
}

static void answer(void *scrape)
{
	struct scrape *s = scrape;
	struct call *c = s->call;
	scoped(buf) struct buf text = BUF_INIT;
	s->wait = NULL;
	put_engine(c->api, &text);
	metrics_put_containers(&text, s->v, s->n);
	counters_put(ingress_counters(c->api->d.ingress), &text);
	http_reply(c->r, 200, TEXT_TYPE, text.data, text.len);
}

static void look_further(uv_idle_t *idle)
{
	struct scrape *s = idle->data;
	struct call *c = s->call;
	struct err gone;
	if (s->next < s->ids.n) {
		const struct container *k =
			container_find(c->api->d.containers, s->ids.v[s->next++], &gone);
		if (k) {
			look_at(s, k);
		}
		return;
	}
	uv_idle_stop(idle);
	s->wait = counters_read(ingress_counters(c->api->d.ingress), answer, s);
	if (!s->wait) {
		answer(s);
	}
}

void system_metrics(struct call *c)
{
	struct scrape *s = xnew(struct scrape);
	size_t pos = 0;
	s->call = c;
	for (struct container *k; (k = container_next(c->api->d.containers, &pos));) {
		strv_add(&s->ids, container_id(k));
	}
	s->v = xnew_array(struct metrics_container, s->ids.n + 1);
	uv_idle_init(c->api->d.loop, &s->idle);
	s->idle.data = s;
	c->stream = s;
	c->stream_closed = call_over;
	uv_idle_start(&s->idle, look_further);
}

void api_handle_metrics(void *owner, struct http_request *r)
{
	static const char nothing[] = "404 page not found\n";
	if (strcmp(http_method(r), "GET") != 0 || strcmp(http_path(r), "/metrics") != 0) {
		http_reply(r, 404, "text/plain; charset=utf-8", nothing, sizeof(nothing) - 1);
		return;
	}
	struct call *c = call_new(owner, r, API_VERSION);
	call_ref(c);
	system_metrics(c);
	call_unref(c);
}
