/* Invariants
 * 1. At most one job runs, for asking[].
 * 2. A try is in the state before its job starts: a daemon that dies meanwhile has tried.
 */
#include "ingress/acme.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "event/event.h"
#include "ingress/acme_plan.h"
#include "ingress/cert_name.h"
#include "ingress/settings.h"
#include "job/job.h"

#define STATE_MAX (1u << 20)
#define LOOK_MAX_S INT64_C(3600) /* a clock that is set meanwhile is noticed */

struct acme {
	struct job_pool *jobs;
	struct event_bus *bus;
	char *dir, *challenges; /* DATA/tls/acme, DATA/ingress/acme-challenge */
	void (*renewed)(void *owner);
	void *owner;

	char *device;
	json_t *settings; /* of the job's request; NULL: no ACME */
	struct strv wanted;
	json_t *state; /* names to acme_plan.h's, "dir", "error"; NULL: not read yet */
	bool served;
	struct job *job;
	char *asking; /* names; NULL: nobody is asked */
	uv_timer_t *timer;
};

static void schedule(struct acme *a);

static int64_t now_s(void)
{
	return clock_real_ns() / NS_PER_SEC;
}

/* --- what became of it --- */

static void read_state(struct acme *a)
{
	scoped(free) char *path = xasprintf("%s/state.json", a->dir);
	scoped(buf) struct buf text = BUF_INIT;
	struct err e;
	if (!a->state && path_read(AT_FDCWD, path, STATE_MAX, &text) == 0) {
		a->state = json_parse(buf_str(&text), text.len, path, &e);
	}
	if (!json_is_object(a->state)) {
		json_decref(a->state);
		a->state = json_object();
	}
}

static void write_state(const struct acme *a)
{
	scoped(free) char *path = xasprintf("%s/state.json", a->dir);
	scoped(free) char *text = json_text(a->state);
	int r = path_mkdirs(a->dir, 0700);
	r = r < 0 ? r : path_write(AT_FDCWD, path, text, strlen(text), 0600, false);
	if (r < 0) {
		log_warning("ingress", "acme_state_not_written", "error", strerror(-r), NULL);
	}
}

static json_t *state_of(struct acme *a, const char *names)
{
	json_t *one = json_object_get(a->state, names);
	if (!one) {
		one = json_object();
		json_put(a->state, names, one);
	}
	return one;
}

/* --- asking --- */

static void failed(struct acme *a, json_t *one, const char *error)
{
	char text[CLOCK_TEXT_MAX];
	int64_t next = acme_next(one, now_s(), acme_seed(a->device, a->asking));
	json_put_str(one, "error", error);
	json_t *attributes = json_object();
	json_put_str(attributes, "error", error);
	json_put_str(attributes, "next", clock_format(next * NS_PER_SEC, text));
	log_warning("ingress", "certificate-failed", "names", a->asking, "error", error, "next",
		text, NULL);
	event_publish(a->bus, "ingress", "certificate-failed", a->asking, attributes);
}

static void succeeded(struct acme *a, json_t *one, const json_t *result)
{
	json_put(one, "failures", json_integer(0));
	json_put_str(one, "error", "");
	json_put_str(one, "dir", json_str(result, "dir"));
	json_put(one, "not_before", json_integer(json_i64(result, "not_before", 0)));
	json_put(one, "not_after", json_integer(json_i64(result, "not_after", 0)));
	log_info("ingress", "certificate-renewed", "names", a->asking, NULL);
	event_publish(a->bus, "ingress", "certificate-renewed", a->asking, NULL);
}

static void on_done(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct acme *a = owner;
	if (a->job != j) {
		return; /* its settings are gone */
	}
	scoped(free) char *names = a->asking;
	json_t *one = state_of(a, names);
	a->job = NULL;
	a->asking = result || e->kind != ERR_BUSY ? a->asking : NULL;
	if (!a->asking) { /* the daemon ends: this was no failure */
		json_put(one, "failures", json_integer(json_i64(one, "failures", 1) - 1));
		write_state(a);
		return;
	}
	if (result) {
		succeeded(a, one, result);
	} else {
		failed(a, one, e->msg);
	}
	a->asking = NULL;
	write_state(a);
	if (result) {
		a->renewed(a->owner);
	}
	schedule(a);
}

static void ask(struct acme *a, const char *names)
{
	static const struct job_handlers handlers = {.done = on_done};
	scoped(strv) struct strv list = STRV_INIT;
	struct err e;
	json_t *one = state_of(a, names);
	json_put(one, "tried", json_integer(now_s()));
	json_put(one, "failures", json_integer(json_i64(one, "failures", 0) + 1));
	write_state(a);
	strv_split(&list, names, ',');
	json_t *request = json_deep_copy(a->settings);
	json_put_str(request, "dir", a->dir);
	json_put_str(request, "challenges", a->challenges);
	json_put(request, "names", json_strv(&list));
	a->asking = xstrdup(names);
	a->job = job_start(a->jobs, "acme", request, -1, false, &handlers, a, &e);
	if (!a->job) {
		failed(a, one, e.msg);
		free(TAKE(a->asking));
	}
}

/* The one that is due first. */
static const char *first_due(struct acme *a, int64_t now, int64_t *ret_next)
{
	const char *first = NULL;
	*ret_next = now + LOOK_MAX_S;
	for (size_t i = 0; i < a->wanted.n; i++) {
		const char *names = a->wanted.v[i];
		int64_t next = acme_next(
			json_object_get(a->state, names), now, acme_seed(a->device, names));
		if (next < *ret_next) {
			*ret_next = next;
			first = names;
		}
	}
	return *ret_next <= now ? first : NULL;
}

static void on_timer(uv_timer_t *t)
{
	schedule(t->data);
}

/* A clock that is not set would not believe the authority's own certificate. */
static void schedule(struct acme *a)
{
	int64_t now = now_s();
	int64_t next;
	if (!a->settings || !a->served || a->job || a->wanted.n == 0) {
		return;
	}
	const char *names = first_due(a, now, &next);
	if (names && now >= CERT_CLOCK_FLOOR) {
		ask(a, names);
	}
	if (!a->job) {
		int64_t wait = next > now ? next - now : LOOK_MAX_S;
		uv_timer_start(a->timer, on_timer, (uint64_t)wait * 1000, 0);
	}
}

/* --- what is wanted --- */

struct acme *acme_new(const struct acme_deps *d)
{
	struct acme *a = xnew(struct acme);
	a->jobs = d->jobs;
	a->bus = d->bus;
	a->dir = xasprintf("%s/tls/acme", d->data_root);
	a->challenges = xasprintf("%s/ingress/acme-challenge", d->data_root);
	a->renewed = d->renewed;
	a->owner = d->owner;
	a->timer = xnew(uv_timer_t);
	a->timer->data = a;
	uv_timer_init(d->loop, a->timer);
	return a;
}

static json_t *settings_json(const struct ingress_acme *s)
{
	if (!s->directory) {
		return NULL;
	}
	json_t *o = json_object();
	json_put_str(o, "directory", s->directory);
	json_put_str(o, "email", s->email);
	json_put_str(o, "dns_hook", s->dns_hook);
	json_put_str(o, "ca_file", s->ca_file);
	return o;
}

static void stop(struct acme *a)
{
	struct job *j = a->job;
	a->job = NULL;
	free(TAKE(a->asking));
	uv_timer_stop(a->timer);
	if (j) {
		job_cancel(j);
	}
}

void acme_want(struct acme *a, const struct ingress_settings *s, const struct strv *hosts)
{
	scoped(json) json_t *settings = settings_json(&s->acme);
	scoped(strv) struct strv wanted = STRV_INIT;
	if (settings) {
		acme_wanted(&s->acme.hosts, hosts, s->acme.dns_hook, &wanted);
	}
	bool same = settings ? json_equal(settings, a->settings) : !a->settings;
	if (same && strv_equal(&wanted, &a->wanted)) {
		return;
	}
	a->served = false; /* as nginx is just now: acme_served follows */
	if (!same) {
		stop(a);
		json_decref(a->settings);
		a->settings = json_incref(settings);
	}
	free(a->device);
	a->device = xstrdup(s->name);
	strv_clear(&a->wanted);
	strv_copy(&a->wanted, &wanted);
	if (settings) {
		read_state(a);
	}
}

void acme_served(struct acme *a)
{
	a->served = true;
	schedule(a);
}

void acme_look(struct acme *a)
{
	schedule(a);
}

void acme_rest(struct acme *a)
{
	stop(a);
	a->served = false;
	strv_clear(&a->wanted);
	json_decref(TAKE(a->settings));
}

void acme_free(struct acme *a)
{
	if (!a) {
		return;
	}
	acme_rest(a);
	uv_close((uv_handle_t *)a->timer, (uv_close_cb)free);
	json_decref(a->state);
	strv_deinit(&a->wanted);
	free(a->device);
	free(a->dir);
	free(a->challenges);
	free(a);
}

/* --- what there is --- */

json_t *acme_pairs(const struct acme *a)
{
	json_t *list = json_array();
	for (size_t i = 0; i < a->wanted.n; i++) {
		const char *dir = json_str(json_object_get(a->state, a->wanted.v[i]), "dir");
		if (!*dir) {
			continue;
		}
		json_t *o = json_object();
		scoped(free) char *cert = xasprintf("%s/%s/cert.pem", a->dir, dir);
		scoped(free) char *key = xasprintf("%s/%s/key.pem", a->dir, dir);
		json_put_str(o, "cert", cert);
		json_put_str(o, "key", key);
		json_array_append_new(list, o);
	}
	return list;
}

static const char *state_word(const struct acme *a, const char *names, const json_t *one)
{
	if (a->asking && strcmp(a->asking, names) == 0) {
		return "asking";
	}
	return *json_str(one, "error") ? "failed" : *json_str(one, "dir") ? "good" : "waiting";
}

json_t *acme_json(const struct acme *a)
{
	json_t *list = json_array();
	int64_t now = now_s();
	for (size_t i = 0; i < a->wanted.n; i++) {
		const char *names = a->wanted.v[i];
		const json_t *one = json_object_get(a->state, names);
		char text[CLOCK_TEXT_MAX];
		int64_t next = acme_next(one, now, acme_seed(a->device, names));
		scoped(strv) struct strv split = STRV_INIT;
		json_t *o = json_object();
		strv_split(&split, names, ',');
		json_put(o, "Names", json_strv(&split));
		json_put_str(o, "State", state_word(a, names, one));
		json_put_str(o, "Next", clock_format(next * NS_PER_SEC, text));
		json_put_str(o, "Error", json_str(one, "error"));
		json_array_append_new(list, o);
	}
	return list;
}
