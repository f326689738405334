#include "ingress/mdns.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "event/event.h"
#include "ingress/lan_watch.h"
#include "job/job.h"

#define RESTART_MIN_MS 1000
#define RESTART_MAX_MS 60000

struct mdns {
	uv_loop_t *loop;
	struct job_pool *pool; /* of one job at most */
	struct event_bus *bus;
	struct job *job;
	struct lan_watch *lan;
	uv_timer_t *restart;
	uint64_t restart_ms;
	struct strv hosts, listen;
	char *state, *error; /* of avahi-daemon */
	json_t *names;       /* host to {"State", "Error"} */
	bool has_program;
};

/* --- what the program is told --- */

static json_t *wish(const struct mdns *m)
{
	json_t *addresses = json_array();
	const struct lan *lan = m->lan ? lan_watch_now(m->lan) : NULL;
	for (size_t i = 0; lan && i < lan->n; i++) {
		char text[IP_TEXT_MAX];
		if (lan_is_told(&m->listen, lan->v[i].ip)) {
			json_t *a = json_object();
			json_put_str(a, "address", ip_format(lan->v[i].ip, text));
			json_put(a, "index", json_integer(lan->v[i].index));
			json_array_append_new(addresses, a);
		}
	}
	json_t *o = json_object();
	json_put(o, "hosts", json_strv(&m->hosts));
	json_put(o, "addresses", addresses);
	return o;
}

static void set_state(struct mdns *m, const char *state, const char *error)
{
	free(m->state);
	free(m->error);
	m->state = xstrdup(state);
	m->error = xstrdup(error);
}

static void tell(struct mdns *m, const char *action, const char *id, const char *error)
{
	json_t *attributes = json_object();
	json_put_str(attributes, "error", error);
	log_warning("ingress", action, "name", *id ? id : NULL, "error", error, NULL);
	event_publish(m->bus, "ingress", action, id, attributes);
}

/* --- what it says --- */

static void host_said(struct mdns *m, const char *host, const char *state, const char *error)
{
	if (!strv_has(&m->hosts, host)) {
		return; /* it was about to be told */
	}
	json_t *name = json_object();
	json_put_str(name, "State", state);
	json_put_str(name, "Error", error);
	json_put(m->names, host, name);
	if (*error) {
		tell(m, strcmp(state, "collision") == 0 ? "name-collision" : "mdns-failed", host,
			error);
	}
}

static void on_message(void *owner, struct job *j, json_t *msg)
{
	struct mdns *m = owner;
	const char *state = json_str(msg, "state");
	const char *error = json_str(msg, "error");
	const char *host = json_str(msg, "host");
	m->restart_ms = RESTART_MIN_MS;
	if (*host) {
		host_said(m, host, state, error);
		return;
	}
	set_state(m, state, error);
	if (*error) {
		json_object_clear(m->names);
		tell(m, "mdns-missing", "", error);
	}
}

static void start(struct mdns *m);

static void on_restart(uv_timer_t *t)
{
	struct mdns *m = t->data;
	if (m->hosts.n > 0 && !m->job) {
		start(m);
	}
}

static void on_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct mdns *m = owner;
	if (m->job != j) {
		return; /* one that was ended, and perhaps followed, by mdns_want */
	}
	m->job = NULL;
	json_object_clear(m->names);
	set_state(m, "starting", e ? e->msg : "");
	log_warning("ingress", "mdns_ended", "error", e ? e->msg : NULL, NULL);
	uv_timer_start(m->restart, on_restart, m->restart_ms, 0);
	m->restart_ms = m->restart_ms * 2 > RESTART_MAX_MS ? RESTART_MAX_MS : m->restart_ms * 2;
}

static void start(struct mdns *m)
{
	static const struct job_handlers handlers = {.message = on_message, .done = on_done};
	struct err e;
	set_state(m, "starting", "");
	m->job = job_start(m->pool, "mdns", wish(m), -1, false, &handlers, m, &e);
	if (!m->job) {
		set_state(m, "missing", e.msg);
		uv_timer_start(m->restart, on_restart, RESTART_MAX_MS, 0);
	}
}

/* --- what is wanted --- */

static void on_addresses(void *owner)
{
	struct mdns *m = owner;
	if (m->job) {
		job_send(m->job, wish(m));
	}
}

struct mdns *mdns_new(uv_loop_t *l, const char *program, struct event_bus *bus)
{
	struct mdns *m = xnew(struct mdns);
	m->loop = l;
	m->bus = bus;
	m->has_program = program;
	m->pool = job_pool_new(l, program);
	m->restart = xnew(uv_timer_t);
	m->restart->data = m;
	m->restart_ms = RESTART_MIN_MS;
	uv_timer_init(l, m->restart);
	m->names = json_object();
	set_state(m, "off", "");
	return m;
}

static void stop(struct mdns *m)
{
	struct job *j = m->job;
	m->job = NULL;
	if (j) {
		job_cancel(j);
	}
	lan_watch_free(TAKE(m->lan));
	uv_timer_stop(m->restart);
	json_object_clear(m->names);
	set_state(m, "off", "");
}

/* Names that are wanted no more are shown no more. */
static void forget_names(struct mdns *m)
{
	const char *host;
	json_t *name;
	void *next;
	json_object_foreach_safe(m->names, next, host, name)
	{
		if (!strv_has(&m->hosts, host)) {
			json_object_del(m->names, host);
		}
	}
}

void mdns_want(struct mdns *m, const struct strv *hosts, const struct strv *listen)
{
	scoped(strv) struct strv wanted = STRV_INIT;
	struct err e;
	for (size_t i = 0; i < hosts->n; i++) {
		if (text_ends(hosts->v[i], ".local") && *hosts->v[i] != '*' &&
			!strv_has(&wanted, hosts->v[i])) {
			strv_add(&wanted, hosts->v[i]);
		}
	}
	strv_sort(&wanted);
	if (strv_equal(&wanted, &m->hosts) && strv_equal(listen, &m->listen)) {
		return;
	}
	strv_clear(&m->hosts);
	strv_copy(&m->hosts, &wanted);
	strv_clear(&m->listen);
	strv_copy(&m->listen, listen);
	forget_names(m);
	if (wanted.n == 0) {
		stop(m);
		return;
	}
	if (!m->has_program) {
		set_state(m, "missing", "wherry-mdns is not installed: no name is published");
		return;
	}
	m->lan = m->lan ? m->lan : lan_watch_new(m->loop, on_addresses, m, &e);
	if (m->job) {
		job_send(m->job, wish(m));
	} else {
		start(m);
	}
}

void mdns_free(struct mdns *m)
{
	if (!m) {
		return;
	}
	stop(m);
	job_pool_free(m->pool);
	uv_close((uv_handle_t *)m->restart, (uv_close_cb)free);
	strv_deinit(&m->hosts);
	strv_deinit(&m->listen);
	json_decref(m->names);
	free(m->state);
	free(m->error);
	free(m);
}

json_t *mdns_json(const struct mdns *m)
{
	json_t *list = json_array();
	for (size_t i = 0; i < m->hosts.n; i++) {
		const json_t *name = json_object_get(m->names, m->hosts.v[i]);
		const char *state = json_str(name, "State");
		json_t *o = json_object();
		json_put_str(o, "Name", m->hosts.v[i]);
		json_put_str(o, "State", *state ? state : "waiting");
		json_put_str(o, "Error", json_str(name, "Error"));
		json_array_append_new(list, o);
	}
	json_t *o = json_object();
	json_put_str(o, "State", m->state);
	json_put_str(o, "Error", m->error);
	json_put(o, "Names", list);
	return o;
}
