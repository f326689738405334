/* Invariants
 * 1. One job runs at a time; what happens meanwhile makes another look when it has ended.
 * 2. served is what all of nginx's workers serve, 0 when that is not known: then the next look
 * starts a job. A generation is a hash of the text, so a new daemon finds that nothing has changed.
 * 3. A generation that failed is not tried again before something changes or retry fires.
 * 4. Who waits in ingress_settle is called when a look that began after the call has its outcome.
 */
#include "ingress/ingress.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "container/container.h"
#include "container/delay.h"
#include "event/event.h"
#include "ingress/counters.h"
#include "ingress/listen.h"
#include "ingress/logs.h"
#include "ingress/sources.h"
#include "ingress/watch.h"
#include "job/job.h"
#include "sys/nginx.h"

#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 60000
#define CRASH_FIRST_MS 100
#define CRASH_MAX_MS 30000
#define CRASH_QUIET_MS 60000 /* one that has run so long begins anew */

struct ingress {
	struct ingress_deps d;
	struct ingress_settings settings;
	struct ingress_parts parts;
	char *dir, *run;
	struct event_listener *listener;
	struct ghosts ghosts;
	struct counters *counters;
	struct delay *soon, *later, *retry, *crash, *logs;
	int64_t retry_ms, crash_ms;
	struct job *job;
	bool again, closing;
	bool try_all; /* the next job has what is taken as well */
	bool may_run; /* an nginx that this daemon has not heard of yet */
	uint64_t asked, served,
		failed; /* generations: of the job, of nginx, not to be tried again */
	pid_t pid;
	int64_t started_ms;
	struct process_watch *watch;
	json_t *taken;       /* NULL, or ports that somebody else has */
	json_t *taken_asked; /* those that the job does without */
	char *error;         /* why all routes are not served */
	struct list waiting;
	uint64_t calls, looked; /* of ingress_settle; those that the last look knew */
};

struct settle_call {
	struct list node;
	uint64_t number;
	void (*done)(void *owner);
	void *owner;
};

static void look(struct ingress *g);

static void look_now(void *owner)
{
	struct ingress *g = owner;
	g->soon = NULL;
	look(g);
}

void ingress_changed(struct ingress *g)
{
	if (!g || g->closing) {
		return;
	}
	g->try_all = g->try_all || g->taken;
	if (!g->soon) {
		g->soon = delay_start(g->d.loop, 0, look_now, g);
	}
}

static void settled(struct ingress *g)
{
	struct list due = LIST_INIT(due);
	list_each_safe (pos, &g->waiting) {
		if (container_of(pos, struct settle_call, node)->number <= g->looked) {
			list_remove(pos);
			list_append(&due, pos);
		}
	}
	while (!list_empty(&due)) {
		struct settle_call *c = container_of(due.next, struct settle_call, node);
		list_remove(&c->node);
		c->done(c->owner);
		free(c);
	}
}

void ingress_settle(struct ingress *g, void (*done)(void *owner), void *owner)
{
	struct settle_call *c = xnew(struct settle_call);
	c->number = ++g->calls;
	c->done = done;
	c->owner = owner;
	list_append(&g->waiting, &c->node);
	ingress_changed(g);
}

/* --- the model --- */

struct view {
	struct route_sources sources;
	struct route_table *table;
};

static void view_read(struct ingress *g, struct view *v)
{
	route_sources_read(
		g->d.containers, &g->ghosts, clock_mono_ms(), clock_real_ns(), &v->sources);
	v->table = route_table_new(&g->settings, v->sources.v, v->sources.n);
}

static void view_deinit(struct view *v)
{
	route_table_free(v->table);
	route_sources_deinit(&v->sources);
}

static const char *no_certificate(void *owner, const char *host)
{
	return NULL;
}

static void fill_model(const struct ingress *g, const struct ingress_settings *settings,
	const struct route_table *t, struct ingress_model *m)
{
	const struct ingress_parts *p = &g->parts;
	*m = (struct ingress_model){.settings = settings,
		.table = t,
		.run_dir = g->run,
		.data_dir = g->dir,
		.certificate = p->certificate ? p->certificate : no_certificate,
		.owner = p->owner,
		.login = p->login,
		.api_ca = p->api_ca,
		.api_users = p->api_users};
	ingress_conf_look(m);
}

/* FNV-1a, of 63 bits, for JSON has signed numbers; never 0. */
static uint64_t hash_of(uint64_t h, const char *text)
{
	for (h = h ? h : UINT64_C(0xcbf29ce484222325); *text; text++) {
		h = (h ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
	}
	h &= INT64_MAX;
	return h ? h : 1;
}

static bool wants_nginx(const struct ingress *g, const struct route_table *t)
{
	return g->settings.enabled &&
	       (!route_table_is_empty(t) ||
		       (g->settings.api_port && g->parts.api_users && g->parts.api_users->n > 0));
}

/* --- errors, told with the containers --- */

static const char *error_of(
	const struct ingress *g, const struct view *v, size_t i, const char *taken_words)
{
	const char *refused = route_table_error(v->table, v->sources.v[i].id);
	return v->sources.errors[i] ? v->sources.errors[i]
	       : refused            ? refused
	       : g->error           ? g->error
				    : taken_words;
}

static void tell_one(const struct ingress *g, const char *id, const char *text)
{
	struct err ignored;
	struct container *k = container_find(g->d.containers, id, &ignored);
	if (!k || !container_set_route_error(k, text)) {
		return;
	}
	if (text) {
		log_warning("ingress", "route_error", "id", id, "reason", text, NULL);
		container_event(k, "route_error", json_pack("{ss}", "error", text));
	} else {
		container_event(k, "route", NULL);
	}
}

static void tell(struct ingress *g, const struct view *v)
{
	scoped(free) char *taken = listen_words(g->d.containers, g->taken);
	for (size_t i = 0; i < v->sources.n; i++) {
		tell_one(g, v->sources.v[i].id,
			g->settings.enabled ? error_of(g, v, i, taken)
					    : "the ingress is off: ingress.enabled of daemon.json");
	}
}

static void set_error(struct ingress *g, const char *text)
{
	free(g->error);
	g->error = xstrdup(text);
}

/* --- later --- */

static void retry_now(void *owner)
{
	struct ingress *g = owner;
	g->retry = NULL;
	g->failed = 0;
	g->try_all = true;
	look(g);
}

static void retry_later(struct ingress *g)
{
	if (g->retry) {
		return;
	}
	g->retry_ms = g->retry_ms ? g->retry_ms * 2 : RETRY_FIRST_MS;
	g->retry_ms = g->retry_ms < RETRY_MAX_MS ? g->retry_ms : RETRY_MAX_MS;
	g->retry = delay_start(g->d.loop, g->retry_ms, retry_now, g);
}

static void no_retry(struct ingress *g)
{
	delay_cancel(g->retry);
	g->retry = NULL;
	g->retry_ms = 0;
}

static void later_now(void *owner)
{
	struct ingress *g = owner;
	g->later = NULL;
	look(g);
}

static void plan_later(struct ingress *g, int64_t at_ms)
{
	delay_cancel(g->later);
	g->later = at_ms ? delay_start(g->d.loop, at_ms - clock_mono_ms() + 1, later_now, g) : NULL;
}

/* --- nginx's life --- */

static void crash_now(void *owner)
{
	struct ingress *g = owner;
	g->crash = NULL;
	look(g);
}

static void forget_nginx(struct ingress *g)
{
	delay_cancel(g->logs);
	g->logs = NULL;
	process_watch_end(g->watch);
	g->watch = NULL;
	g->pid = 0;
	g->served = 0;
}

static void start_again(struct ingress *g)
{
	bool quiet = clock_mono_ms() - g->started_ms >= CRASH_QUIET_MS;
	g->crash_ms = g->crash_ms == 0 || quiet ? CRASH_FIRST_MS : g->crash_ms * 2;
	g->crash_ms = g->crash_ms < CRASH_MAX_MS ? g->crash_ms : CRASH_MAX_MS;
	log_warning("ingress", "nginx_ended", "again_in_ms", LOG_N(g->crash_ms), NULL);
	delay_cancel(g->crash);
	g->crash = delay_start(g->d.loop, g->crash_ms, crash_now, g);
}

/* Its containers go on; the next job ends what is left of it. */
static void nginx_ended(void *owner)
{
	struct ingress *g = owner;
	forget_nginx(g);
	if (!g->job && g->asked > 0) { /* else it was told to, or the job finds out */
		start_again(g);
	}
}

static void logs_turned(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct ingress *g = owner;
	g->job = NULL;
	if (g->closing) {
		return;
	}
	if (e) {
		log_warning("ingress", "logs_not_turned", "reason", e->msg, NULL);
	}
	counters_turned(g->counters);
	if (g->again) {
		g->again = false;
		ingress_changed(g);
	} else if (g->pid == 0 && g->asked > 0) {
		start_again(g);
	}
}

static void look_at_logs(void *owner)
{
	static const struct job_handlers handlers = {NULL, NULL, logs_turned};
	struct err ignored;
	struct ingress *g = owner;
	g->logs = delay_start(g->d.loop, INGRESS_LOG_LOOK_MS, look_at_logs, g);
	if (!g->job && ingress_logs_are_full(g->dir)) {
		json_t *request = json_pack(
			"{ss ss si}", "dir", g->dir, "run", g->run, "turn", INGRESS_LOG_BYTES);
		g->job =
			job_start(g->d.jobs, "ingress", request, -1, false, &handlers, g, &ignored);
	}
}

/* The one that runs now, if any. */
static void watch_nginx(struct ingress *g)
{
	struct nginx_master m;
	scoped(free) char *pid_file = xasprintf("%s/nginx.pid", g->run);
	scoped(free) char *conf = xasprintf("%s/conf/current/nginx.conf", g->dir);
	if (nginx_master_find(pid_file, conf, &m) < 0) {
		forget_nginx(g);
		return;
	}
	if (m.pid == g->pid && g->watch) {
		close(m.pidfd);
		return;
	}
	forget_nginx(g);
	g->pid = m.pid;
	counters_begin(g->counters);
	g->started_ms = clock_mono_ms();
	g->watch = process_watch_start(g->d.loop, m.pidfd, nginx_ended, g);
	g->logs = delay_start(g->d.loop, INGRESS_LOG_LOOK_MS, look_at_logs, g);
}

/* --- the job --- */

static void tell_served(const struct ingress *g)
{
	if (g->parts.served) {
		g->parts.served(g->parts.owner);
	}
}

static void take_result(struct ingress *g, const json_t *result)
{
	json_t *taken = json_object_get(result, "taken");
	if (json_array_size(taken) > 0) {
		/* with what it did without before, for the job was not asked about that */
		json_t *all = g->taken_asked ? json_deep_copy(g->taken_asked) : json_array();
		json_array_extend(all, taken);
		json_decref(g->taken);
		g->taken = all;
		g->again = true;
		retry_later(g);
		return;
	}
	if (g->asked == 0) {
		return;
	}
	watch_nginx(g);
	g->served = g->pid ? g->asked : 0;
	if (g->served) {
		tell_served(g);
	}
	if (g->pid == 0) {
		start_again(g);
	}
	set_error(g, NULL);
	json_decref(g->taken);
	g->taken = json_incref(g->taken_asked);
	if (!g->taken) {
		no_retry(g);
	} else {
		retry_later(g);
	}
	log_info("ingress", "serving", "pid", LOG_N(g->pid), "ms_test",
		LOG_N(json_i64(result, "ms_test", 0)), "ms_reload",
		LOG_N(json_i64(result, "ms_reload", 0)), NULL);
}

static void take_failure(struct ingress *g, const struct err *e)
{
	if (!g->error || strcmp(g->error, e->msg) != 0) {
		log_error("ingress", "not_served", "reason", e->msg, NULL);
	}
	set_error(g, e->msg);
	watch_nginx(g); /* the last good one, perhaps started again */
	g->failed = g->asked;
	retry_later(g);
}

static void job_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct ingress *g = owner;
	g->job = NULL;
	if (g->closing) {
		return;
	}
	g->may_run = g->may_run && !result;
	if (result) {
		take_result(g, result);
	} else {
		take_failure(g, e);
	}
	if (g->again) {
		g->again = false;
		look(g);
		return;
	}
	struct view v;
	view_read(g, &v);
	tell(g, &v);
	view_deinit(&v);
	settled(g);
}

static void start_job(struct ingress *g, json_t *take_request, uint64_t generation)
{
	static const struct job_handlers handlers = {NULL, NULL, job_done};
	struct err e;
	json_put_str(take_request, "dir", g->dir);
	json_put_str(take_request, "run", g->run);
	delay_cancel(g->crash);
	g->crash = NULL;
	g->asked = generation;
	g->try_all = false;
	g->job = job_start(g->d.jobs, "ingress", take_request, -1, false, &handlers, g, &e);
	if (!g->job) {
		take_failure(g, &e);
		settled(g);
	}
}

/* --- looking --- */

static bool prepared(const struct ingress *g, const struct route_table *t)
{
	const struct ingress_parts *p = &g->parts;
	return !p->prepare || p->prepare(p->owner, &g->settings, t);
}

static void stop(struct ingress *g)
{
	no_retry(g);
	delay_cancel(g->crash);
	g->crash = NULL;
	set_error(g, NULL);
	json_decref(g->taken);
	g->taken = NULL;
	g->failed = 0;
	if (g->pid == 0 && !g->may_run) {
		g->asked = 0;
		settled(g);
		return;
	}
	log_info("ingress", "nothing_to_serve", NULL);
	g->served = 0;
	start_job(g, json_pack("{sb}", "stop", true), 0);
}

/* The text without its generation, then with it. */
static json_t *request_of(const struct ingress *g, const struct ingress_model *model, struct err *e)
{
	struct ingress_model m = *model;
	json_t *files = ingress_conf_files(&m);
	scoped(free) char *files_text = json_text(files);
	scoped(free) char *plain = ingress_conf_text(&m, e);
	if (!plain) {
		json_decref(files);
		return NULL;
	}
	m.generation = hash_of(hash_of(0, plain), files_text);
	scoped(free) char *text = m.generation == g->served ? NULL : ingress_conf_text(&m, e);
	json_t *o = json_pack("{sI so}", "generation", (json_int_t)m.generation, "files", files);
	if (text) {
		json_put_str(o, "config", text);
	}
	json_put(o, "ports", listen_ports(m.settings, m.table));
	json_put(o, "archive", json_boolean(g->settings.log_archive));
	return o;
}

static void serve(struct ingress *g, struct route_table *t)
{
	struct err e;
	struct ingress_settings settings;
	struct ingress_model m;
	const json_t *without = g->try_all ? NULL : g->taken;
	const size_t streams = t->n_streams;
	listen_without(&g->settings, without, &settings);
	t->n_streams = listen_hide_streams(t, without);
	fill_model(g, &settings, t, &m);
	json_t *request = request_of(g, &m, &e);
	t->n_streams = streams;
	uint64_t generation = (uint64_t)json_i64(request, "generation", 0);
	if (!request) {
		take_failure(g, &e);
		settled(g);
	} else if (generation == g->served || generation == g->failed) {
		if (generation == g->served) {
			tell_served(g);
		}
		g->try_all = false;
		json_decref(request);
		settled(g);
	} else {
		json_decref(g->taken_asked);
		g->taken_asked = without ? json_deep_copy(without) : NULL;
		start_job(g, request, generation);
	}
}

static void look(struct ingress *g)
{
	struct view v;
	if (g->job) {
		g->again = true;
		return;
	}
	if (g->closing) {
		return;
	}
	view_read(g, &v);
	plan_later(g, v.sources.look_again);
	bool wanted = wants_nginx(g, v.table);
	if (prepared(g, wanted ? v.table : NULL)) { /* else it is looked at again */
		g->looked = g->calls;
		if (wanted) {
			serve(g, v.table);
		} else {
			stop(g);
		}
	}
	tell(g, &v);
	view_deinit(&v);
}

/* --- what happens --- */

static bool is_named(const json_t *labels)
{
	const char *key;
	const json_t *ignored;
	json_object_foreach ((json_t *)labels, key, ignored) {
		if (route_label_is_ours(key)) {
			return true;
		}
	}
	return false;
}

static bool changes_routes(const struct event *v)
{
	static const char *const actions[] = {"create", "start", "die", "destroy", "pause",
		"unpause", "rename", "stop", "waiting", "restart"};
	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (strcmp(v->action, actions[i]) == 0) {
			return true;
		}
	}
	return text_starts(v->action, "health_status");
}

static void on_container(struct ingress *g, const struct event *v)
{
	const struct container *gone = container_leaving(g->d.containers);
	if (!changes_routes(v) || !is_named(v->attributes)) {
		return;
	}
	if (gone && strcmp(v->action, "destroy") == 0) {
		ghosts_note(&g->ghosts, gone, clock_mono_ms());
	}
	ingress_changed(g);
}

/* connect, disconnect */
static void on_network(struct ingress *g, const struct event *v)
{
	struct err ignored;
	const char *id = json_str(v->attributes, "container");
	const struct container *k = *id ? container_find(g->d.containers, id, &ignored) : NULL;
	if (k && source_has_labels(k)) {
		ingress_changed(g);
	}
}

static void on_event(void *owner, const struct event *v)
{
	if (strcmp(v->type, "container") == 0) {
		on_container(owner, v);
	} else if (strcmp(v->type, "network") == 0) {
		on_network(owner, v);
	}
}

/* --- begin and end --- */

struct ingress *ingress_new(const struct ingress_deps *d, const json_t *settings, struct err *e)
{
	struct ingress *g = xnew(struct ingress);
	g->d = *d;
	list_init(&g->waiting);
	ghosts_init(&g->ghosts);
	g->dir = xasprintf("%s/ingress", d->data_root);
	g->run = xasprintf("%s/ingress", d->exec_root);
	g->counters = counters_new(d->jobs, g->dir);
	if (ingress_settings_read(settings, d->hostname, &g->settings, e) < 0) {
		ingress_free(g);
		return NULL;
	}
	scoped(free) char *pid_file = xasprintf("%s/nginx.pid", g->run);
	g->may_run = access(pid_file, F_OK) == 0;
	g->listener = event_listen(d->bus, on_event, g);
	ingress_changed(g);
	return g;
}

void ingress_end(struct ingress *g)
{
	if (!g || g->closing) {
		return;
	}
	g->closing = true;
	event_unlisten(g->listener);
	delay_cancel(g->soon);
	delay_cancel(g->later);
	delay_cancel(g->retry);
	delay_cancel(g->crash);
	delay_cancel(g->logs);
	process_watch_end(g->watch);
	g->looked = g->calls;
	settled(g);
}

void ingress_free(struct ingress *g)
{
	if (!g) {
		return;
	}
	ingress_end(g);
	ghosts_free(&g->ghosts);
	counters_free(g->counters);
	ingress_settings_deinit(&g->settings);
	json_decref(g->taken);
	json_decref(g->taken_asked);
	free(g->error);
	free(g->dir);
	free(g->run);
	free(g);
}

struct counters *ingress_counters(const struct ingress *g)
{
	return g->counters;
}

int ingress_set_settings(struct ingress *g, const json_t *settings, struct err *e)
{
	struct ingress_settings fresh;
	int r = ingress_settings_read(settings, g->d.hostname, &fresh, e);
	if (r < 0) {
		ingress_settings_deinit(&fresh);
		return -1;
	}
	ingress_settings_deinit(&g->settings);
	g->settings = fresh;
	g->failed = 0;
	g->try_all = true;
	ingress_changed(g);
	return 0;
}

const struct ingress_settings *ingress_settings_of(const struct ingress *g)
{
	return &g->settings;
}

void ingress_set_parts(struct ingress *g, const struct ingress_parts *p)
{
	g->parts = *p;
	ingress_changed(g);
}

int ingress_check_labels(const json_t *labels, struct err *e)
{
	struct route_set s;
	int r = route_set_read(labels, &s, e);
	route_set_deinit(&s);
	return r;
}

/* Errors have ids; people know names. */
static void name_errors(const struct ingress *g, json_t *errors)
{
	size_t i;
	json_t *o;
	json_array_foreach (errors, i, o) {
		struct err ignored;
		const struct container *k =
			container_find(g->d.containers, json_str(o, "Id"), &ignored);
		json_put_str(o, "Container", k ? container_name(k) : "");
	}
}

json_t *ingress_json(struct ingress *g)
{
	struct view v;
	scoped(free) char *own = xasprintf("%s.local", g->settings.name);
	view_read(g, &v);
	json_t *o = route_table_json(v.table, own);
	json_put(o, "Enabled", json_boolean(g->settings.enabled));
	json_put_str(o, "Name", own);
	json_put(o, "HttpPort", json_integer(g->settings.http_port));
	json_put(o, "HttpsPort", json_integer(g->settings.https_port));
	json_put(o, "ApiPort", json_integer(g->settings.api_port));
	json_put(o, "Pid", json_integer(g->pid));
	json_put(o, "Generation", json_integer((json_int_t)g->served));
	scoped(free) char *taken = listen_words(g->d.containers, g->taken);
	json_put(o, "Error", json_str_or_null(g->error ? g->error : taken));
	for (size_t i = 0; i < v.sources.n; i++) {
		if (v.sources.errors[i]) {
			json_array_append_new(json_object_get(o, "Errors"),
				json_pack("{ss ss}", "Id", v.sources.v[i].id, "Error",
					v.sources.errors[i]));
		}
	}
	name_errors(g, json_object_get(o, "Errors"));
	view_deinit(&v);
	if (g->parts.show) {
		g->parts.show(g->parts.owner, o);
	}
	return o;
}

const char *ingress_holds(void *ingress, uint16_t port, bool udp)
{
	struct ingress *g = ingress;
	struct view v;
	size_t i;
	json_t *o;
	bool found = false;
	view_read(g, &v);
	scoped(json) json_t *ports = listen_ports(&g->settings, v.table);
	json_array_foreach (ports, i, o) {
		found = found || (json_i64(o, "port", 0) == port && json_bool(o, "udp") == udp);
	}
	view_deinit(&v);
	return found && g->pid && !listen_is_taken(g->taken, port, udp)
		       ? "the ingress: ingress of daemon.json, or wherry.stream labels, name another"
		       : NULL;
}
