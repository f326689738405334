/* Invariants
 * 1. At most one job runs; what changes meanwhile makes it run again when it is over (again).
 * 2. changed() is called from done(), the end of a job, and from nowhere else.
 * 3. Watches and timers are armed only while something is wanted.
 */
#include "ingress/certs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <uv.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/ip.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "event/event.h"
#include "ingress/acme.h"
#include "ingress/cert_pick.h"
#include "ingress/clock_watch.h"
#include "ingress/file_watch.h"
#include "ingress/lan_watch.h"
#include "ingress/settings.h"
#include "job/job.h"
#include "network/resolv.h"

#define RETRY_MS (60 * 1000) /* after a job that failed as a whole: a full disk */

struct certs {
	uv_loop_t *loop;
	struct job_pool *jobs;
	struct event_bus *bus;
	char *dir, *page; /* DATA/tls, DATA/ingress/ca */
	void (*changed)(void *owner);
	void *owner;

	bool wanted;      /* certs_want, and no certs_rest after it */
	json_t *settings; /* the parts of a request that the settings give */
	struct strv hosts;
	struct strv listen;
	struct job *job; /* NULL: none runs */
	bool again;
	bool tried;     /* a job ended that knew settings and hosts, whatever came of it */
	json_t *result; /* of the last job that had one; NULL */
	json_t *told;   /* problems and warnings that were told: {what: error} */
	bool clock_was_set;

	struct acme *acme;
	struct lan_watch *lan;
	struct file_watch *files;
	struct clock_watch *clock;
	uv_timer_t *retry;
};

static void run(struct certs *c);

/* --- the request --- */

static json_t *pair_json(const char *cert, const char *key)
{
	json_t *o = json_object();
	json_put_str(o, "cert", cert);
	json_put_str(o, "key", key);
	return o;
}

static json_t *settings_json(const struct ingress_settings *s)
{
	json_t *o = json_object();
	json_t *own = json_array();
	for (size_t i = 0; i < s->n_certificates; i++) {
		json_array_append_new(
			own, pair_json(s->certificates[i].cert, s->certificates[i].key));
	}
	json_put_str(o, "name", s->name);
	json_put(o, "own", own);
	json_put(o, "http_port", json_integer(s->http_port));
	if (s->ca.cert) {
		json_put(o, "authority", pair_json(s->ca.cert, s->ca.key));
	}
	return o;
}

/* Where only some addresses are listened on, only those are names. */
static json_t *addresses_json(const struct certs *c)
{
	json_t *list = json_array();
	const struct lan *lan = c->lan ? lan_watch_now(c->lan) : NULL;
	for (size_t i = 0; lan && i < lan->n; i++) {
		char text[IP_TEXT_MAX];
		if (lan_is_told(&c->listen, lan->v[i].ip)) {
			json_array_append_new(list, json_string(ip_format(lan->v[i].ip, text)));
		}
	}
	return list;
}

static json_t *request(const struct certs *c)
{
	scoped(resolv) struct resolv resolv = {0};
	struct utsname u;
	uname(&u);
	resolv_read_host(&resolv);
	json_t *o = json_deep_copy(c->settings);
	json_put_str(o, "dir", c->dir);
	json_put_str(o, "page", c->page);
	json_put(o, "acme", acme_pairs(c->acme));
	json_put(o, "now", json_integer(clock_real_ns() / NS_PER_SEC));
	json_put(o, "clock_is_set", json_boolean(c->clock_was_set || clock_watch_is_set()));
	json_put_str(o, "hostname", u.nodename);
	json_put(o, "search", json_strv(&resolv.search));
	json_put(o, "addresses", addresses_json(c));
	json_put(o, "hosts", json_strv(&c->hosts));
	return o;
}

/* --- what a job said --- */

static void tell(struct certs *c, json_t *told, const char *action, const char *what,
	const char *error, json_t *take_attributes)
{
	scoped(json) json_t *attributes = take_attributes;
	json_put_str(told, what, error);
	if (strcmp(json_str(c->told, what), error) != 0) {
		log_warning("ingress", action, "what", what, "error", error, NULL);
		event_publish(c->bus, "ingress", action, what, json_incref(attributes));
	}
}

static void tell_problems(struct certs *c, json_t *told)
{
	size_t i;
	json_t *problem;
	json_array_foreach (json_object_get(c->result, "problems"), i, problem) {
		const char *error = json_str(problem, "error");
		json_t *attributes = json_object();
		json_put_str(attributes, "error", error);
		tell(c, told, "certificate-problem", json_str(problem, "what"), error, attributes);
	}
}

static char *joined(const json_t *list)
{
	scoped(buf) struct buf text = BUF_INIT;
	size_t i;
	json_t *item;
	json_array_foreach (list, i, item) {
		buf_printf(&text, "%s%s", i ? "," : "", json_string_value(item));
	}
	return buf_take_str(&text);
}

static void tell_expiry(struct certs *c, json_t *told)
{
	int64_t now = clock_real_ns() / NS_PER_SEC;
	size_t i;
	json_t *pair;
	json_array_foreach (json_object_get(c->result, "pairs"), i, pair) {
		if (!cert_expires_soon(pair, now)) {
			continue;
		}
		char text[CLOCK_TEXT_MAX];
		scoped(free) char *names = joined(json_object_get(pair, "names"));
		const char *expires =
			clock_format(json_i64(pair, "not_after", 0) * NS_PER_SEC, text);
		json_t *attributes = json_object();
		json_put_str(attributes, "names", names);
		json_put_str(attributes, "expires", expires);
		json_put_str(attributes, "file", json_str(pair, "file"));
		json_put_str(attributes, "source", json_str(pair, "source"));
		const char *first =
			json_string_value(json_array_get(json_object_get(pair, "names"), 0));
		tell(c, told, "certificate-expires", first ? first : "", expires, attributes);
	}
}

static void take_result(struct certs *c, json_t *result)
{
	json_decref(c->result);
	c->result = json_incref(result);
	json_t *told = json_object();
	tell_problems(c, told);
	tell_expiry(c, told);
	json_decref(c->told);
	c->told = told;
	file_watch_set(c->files, json_object_get(result, "watch"));
	clock_watch_at(c->clock, json_i64(result, "next", 0));
}

static void on_retry(uv_timer_t *t)
{
	run(t->data);
}

static void job_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct certs *c = owner;
	c->job = NULL;
	if (!c->wanted) {
		return;
	}
	if (result) {
		take_result(c, result);
	} else if (e->kind != ERR_BUSY) { /* that is: the daemon ends */
		log_error("ingress", "no_certificates", "error", e->msg, NULL);
		uv_timer_start(c->retry, on_retry, RETRY_MS, 0);
	}
	if (c->again) {
		run(c);
	} else if (result || e->kind != ERR_BUSY) {
		c->tried = true;
		c->changed(c->owner);
	}
}

static void run(struct certs *c)
{
	static const struct job_handlers handlers = {.done = job_done};
	struct err e;
	if (!c->wanted) {
		return;
	}
	c->again = c->job;
	if (!c->job) {
		c->job =
			job_start(c->jobs, "certificates", request(c), -1, false, &handlers, c, &e);
	}
	if (!c->job) {
		log_error("ingress", "no_certificates", "error", e.msg, NULL);
		c->tried = true;
		uv_timer_start(c->retry, on_retry, RETRY_MS, 0);
	}
}

/* --- what makes it run --- */

static void on_something(void *owner)
{
	run(owner);
}

static void on_clock(void *owner, bool was_set)
{
	struct certs *c = owner;
	c->clock_was_set = c->clock_was_set || was_set;
	acme_look(c->acme);
	run(c);
}

static void watch(struct certs *c)
{
	struct err e;
	if (!c->lan) {
		c->lan = lan_watch_new(c->loop, on_something, c, &e);
	}
	if (!c->clock) {
		c->clock = clock_watch_new(c->loop, on_clock, c);
	}
	if (!c->lan) {
		log_warning("ingress", "addresses_not_watched", "error", e.msg, NULL);
	}
}

struct certs *certs_new(const struct certs_deps *d)
{
	struct certs *c = xnew(struct certs);
	c->loop = d->loop;
	c->jobs = d->jobs;
	c->bus = d->bus;
	c->changed = d->changed;
	c->owner = d->owner;
	c->dir = xasprintf("%s/tls", d->data_root);
	c->page = xasprintf("%s/ingress/ca", d->data_root);
	const struct acme_deps acme = {.loop = d->loop,
		.jobs = d->jobs,
		.bus = d->bus,
		.data_root = d->data_root,
		.renewed = on_something,
		.owner = c};
	c->acme = acme_new(&acme);
	c->told = json_object();
	c->files = file_watch_new(d->loop, on_something, c);
	c->retry = xnew(uv_timer_t);
	c->retry->data = c;
	uv_timer_init(d->loop, c->retry);
	return c;
}

static bool has_all(const struct certs *c, const struct strv *hosts)
{
	bool all = cert_pick(c->result, "");
	for (size_t i = 0; all && i < hosts->n; i++) {
		all = cert_pick(c->result, hosts->v[i]);
	}
	return all;
}

bool certs_want(struct certs *c, const struct ingress_settings *s, const struct strv *hosts)
{
	scoped(json) json_t *settings = settings_json(s);
	bool same = c->wanted && json_equal(settings, c->settings) &&
		    strv_equal(&s->addresses, &c->listen);
	strv_clear(&c->listen);
	strv_copy(&c->listen, &s->addresses);
	json_decref(c->settings);
	c->settings = json_incref(settings);
	bool same_hosts = strv_equal(hosts, &c->hosts);
	strv_clear(&c->hosts);
	strv_copy(&c->hosts, hosts);
	c->wanted = true;
	watch(c);
	acme_want(c->acme, s, hosts);
	if (same && ((c->tried && same_hosts) || has_all(c, hosts))) {
		return true;
	}
	c->tried = false;
	run(c);
	return c->tried; /* it cannot run */
}

void certs_rest(struct certs *c)
{
	c->wanted = false;
	c->again = false;
	lan_watch_free(TAKE(c->lan));
	clock_watch_free(TAKE(c->clock));
	file_watch_set(c->files, NULL);
	acme_rest(c->acme);
	uv_timer_stop(c->retry);
}

void certs_served(struct certs *c)
{
	acme_served(c->acme);
}

void certs_free(struct certs *c)
{
	if (!c) {
		return;
	}
	certs_rest(c);
	file_watch_free(c->files);
	acme_free(c->acme);
	uv_close((uv_handle_t *)c->retry, (uv_close_cb)free);
	json_decref(c->settings);
	json_decref(c->result);
	json_decref(c->told);
	strv_deinit(&c->hosts);
	strv_deinit(&c->listen);
	free(c->dir);
	free(c->page);
	free(c);
}

const char *certs_stem(void *certs, const char *host)
{
	const struct certs *c = certs;
	return cert_pick(c->result, host);
}

json_t *certs_json(const struct certs *c)
{
	json_t *o = cert_shown(c->result);
	json_put(o, "Acme", acme_json(c->acme));
	return o;
}
