/* Job "certificates": what nginx shows for each host is there and good.
 *
 * {"dir": DATA/tls, "now": seconds, "clock_is_set", "name", "hostname", "search": [],
 *  "addresses": [], "hosts": [],
 *  "own": [{"cert", "key"}], "acme": [{"cert", "key"}], "authority": {"cert", "key"} or null,
 *  "page": directory of cert_page.h or "", "http_port"}
 * gives {"pairs": [{"stem", "source": own | acme | local, "names": [], "issuer", "not_before",
 *  "not_after", "file"}], "authorities": [], "problems": [{"what", "error"}], "watch":
 * [directories], "next": when to run again at the latest}.
 *
 * A problem with one certificate is no failure of the job: the others are there. What was good
 * stays in the place of what is not.
 */
#include <string.h>
#include <time.h>

#include "base/ip.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "ingress/cert_name.h"
#include "worker/cert_authority.h"
#include "worker/cert_page.h"
#include "worker/cert_store.h"
#include "worker/cert_watch.h"
#include "worker/jobs.h"
#include "worker/pki.h"

#define RUN_AGAIN_S INT64_C(86400) /* where no message tells of a change: network file systems */
#define RUN_AGAIN_MIN_S INT64_C(60)

enum { GIVEN, LOCAL, OTHER, AUTHORITIES };

struct work {
	const json_t *request;
	const char *dir, *name, *hostname;
	int64_t now;
	bool clock_is_set;
	struct cert_store store;
	struct authority authorities[AUTHORITIES];
	struct strv device;    /* names of the device's own certificate */
	struct strv permitted; /* what the local authority may sign for, when it is made */
	struct strv watch;
	json_t *problems, *kept, *pairs;
};

static void work_deinit(struct work *w)
{
	for (size_t i = 0; i < AUTHORITIES; i++) {
		authority_deinit(&w->authorities[i]);
	}
	cert_store_deinit(&w->store);
	strv_deinit(&w->device);
	strv_deinit(&w->permitted);
	strv_deinit(&w->watch);
	json_decref(w->problems);
	json_decref(w->kept);
	json_decref(w->pairs);
}

static void add_problem(struct work *w, const char *what, const char *error)
{
	json_t *o = json_object();
	json_put_str(o, "what", what);
	json_put_str(o, "error", error);
	json_array_append_new(w->problems, o);
}

static void add_pair(
	struct work *w, const struct stored_cert *c, const char *source, const char *file)
{
	scoped(free) char *stem = xasprintf("%s/%s", w->store.path, c->name);
	scoped(free) char *issuer = pki_issuer(c->cert);
	json_t *o = json_object();
	json_put_str(o, "stem", stem);
	json_put_str(o, "source", source);
	json_put_str(o, "file", file);
	json_put(o, "names", json_strv(&c->names));
	json_put_str(o, "issuer", issuer);
	json_put(o, "not_before", json_integer(pki_not_before(c->cert)));
	json_put(o, "not_after", json_integer(pki_not_after(c->cert)));
	json_array_append_new(w->pairs, o);
}

/* --- pairs of others: the user's files, ACME --- */

static int check_times(const struct work *w, const X509 *cert, const char *what, struct err *e)
{
	char day[16];
	time_t ends = (time_t)pki_not_after(cert);
	time_t begins = (time_t)pki_not_before(cert);
	struct tm tm;
	if (pki_time(w->now) >= ends) {
		strftime(day, sizeof(day), "%Y-%m-%d", gmtime_r(&ends, &tm));
		return err_set(e, ERR_INVALID, "the certificate in %s expired on %s", what, day);
	}
	if (w->clock_is_set && w->now < begins) {
		strftime(day, sizeof(day), "%Y-%m-%d", gmtime_r(&begins, &tm));
		return err_set(
			e, ERR_INVALID, "the certificate in %s is not valid before %s", what, day);
	}
	return 0;
}

static struct stored_cert *take_pair(
	struct work *w, const char *source, const char *cert, const char *key, struct err *e)
{
	scoped(pki_pair) struct pki_pair p = {0};
	scoped(strv) struct strv names = STRV_INIT;
	if (pki_read_pair(cert, key, &p, e) < 0 || check_times(w, p.cert, cert, e) < 0 ||
		pki_check_server(&p, cert, e) < 0) {
		return NULL;
	}
	pki_names(p.cert, &names);
	if (names.n == 0) {
		(void)err_set(e, ERR_INVALID,
			"the certificate in %s names no host (it has no subjectAltName)", cert);
		return NULL;
	}
	return cert_store_add(&w->store, source, &p, e);
}

static void take_foreign(struct work *w, const char *source)
{
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(w->request, source), i, item) {
		struct err e = {0};
		const char *cert = json_str(item, "cert");
		const char *key = json_str(item, "key");
		cert_watch_dirs(cert, &w->watch);
		cert_watch_dirs(key, &w->watch);
		struct stored_cert *c = take_pair(w, source, cert, key, &e);
		if (!c && (c = cert_store_kept(&w->store, cert))) {
			c->wanted = true;
			(void)err_wrap(&e, "the certificate of before is kept");
		}
		if (*e.msg) {
			add_problem(w, cert, e.msg);
		}
		if (c) {
			json_put_str(w->kept, cert, c->name);
			add_pair(w, c, source, cert);
		}
	}
}

/* --- pairs of our own --- */

/* Loaded or made when it is asked for the first time; NULL: told once. */
static struct authority *authority(struct work *w, int which)
{
	struct authority *a = &w->authorities[which];
	struct err e;
	if (a->pair.cert || a->failed || which == GIVEN) {
		return a->failed || !a->pair.cert ? NULL : a;
	}
	const struct strv any = STRV_INIT;
	const struct authority_wish wish = {
		.dir = w->dir,
		.name = which == LOCAL ? "ca" : "ca-other",
		.device = w->name,
		.permitted = which == LOCAL ? &w->permitted : &any,
		.now = w->now,
		.clock_is_set = w->clock_is_set,
	};
	if (authority_need(&wish, a, &e) < 0) {
		add_problem(w, a->file ? a->file : w->dir, e.msg);
		return NULL;
	}
	return a;
}

static void read_given(struct work *w)
{
	const json_t *given = json_object_get(w->request, "authority");
	struct err e;
	if (!json_is_object(given)) {
		return;
	}
	const char *cert = json_str(given, "cert");
	const char *key = json_str(given, "key");
	cert_watch_dirs(cert, &w->watch);
	cert_watch_dirs(key, &w->watch);
	if (authority_read(cert, key, w->now, &w->authorities[GIVEN], &e) < 0) {
		add_problem(w, cert, e.msg);
	}
}

/* The first that may sign for a name. */
static struct authority *authority_for(struct work *w, const char *name)
{
	for (int i = GIVEN; i < AUTHORITIES; i++) {
		struct authority *a = authority(w, i);
		if (a && pki_permits(a->pair.cert, name)) {
			return a;
		}
	}
	return NULL;
}

/* Exactly these names; or some of them, the first too. */
static bool fits(const struct strv *has, const struct strv *wanted, bool some)
{
	bool fit = some ? strv_has(has, wanted->v[0]) : has->n == wanted->n;
	for (size_t i = 0; fit && i < has->n; i++) {
		fit = strv_has(wanted, has->v[i]);
	}
	return fit;
}

/* Ours for exactly these names: the one that lasts longest. While the authority from outside cannot
 * be had, what it signed stays, though it may have been allowed fewer names. */
static struct stored_cert *find_own(
	const struct work *w, const struct strv *names, const struct authority *a)
{
	bool any = !a || w->authorities[GIVEN].failed;
	struct stored_cert *best = NULL;
	for (size_t i = 0; i < w->store.n; i++) {
		struct stored_cert *c = w->store.v[i];
		if (text_starts(c->name, "local-") && fits(&c->names, names, any) &&
			(any || pki_is_issued_by(c->cert, a->pair.cert)) &&
			(!best || pki_not_after(c->cert) > pki_not_after(best->cert))) {
			best = c;
		}
	}
	return best;
}

static void serve(struct work *w, const struct strv *names)
{
	struct err e = {0};
	struct authority *a = authority_for(w, names->v[0]);
	struct stored_cert *c = find_own(w, names, a);
	if (a && (!c || pki_is_due(c->cert, w->now, w->clock_is_set))) {
		scoped(pki_pair) struct pki_pair p = {0};
		struct stored_cert *made = pki_make_server(&a->pair, names, w->now, &p, &e) < 0
						   ? NULL
						   : cert_store_add(&w->store, "local", &p, &e);
		if (!made) {
			add_problem(w, names->v[0], e.msg);
		}
		c = made ? made : c;
	}
	if (c) {
		c->wanted = true;
		add_pair(w, c, "local", "");
	}
}

/* Those that its authority may sign for; the others are nobody's wish. */
static void serve_device(struct work *w)
{
	scoped(strv) struct strv names = STRV_INIT;
	const struct authority *a = authority_for(w, w->device.v[0]);
	for (size_t i = 0; i < w->device.n; i++) {
		if (!a || pki_permits(a->pair.cert, w->device.v[i])) {
			strv_add(&names, w->device.v[i]);
		}
	}
	if (names.n > 0) {
		serve(w, &names);
	}
}

static bool has_pair(const struct work *w, const char *host)
{
	size_t i;
	json_t *pair;
	json_array_foreach (w->pairs, i, pair) {
		scoped(strv) struct strv names = STRV_INIT;
		struct err e;
		if (json_get_strv(pair, "names", &names, &e) == 0 &&
			cert_names_match(&names, host) != CERT_MATCH_NONE) {
			return true;
		}
	}
	return false;
}

static void serve_hosts(struct work *w)
{
	size_t i;
	json_t *item;
	json_array_foreach (json_object_get(w->request, "hosts"), i, item) {
		const char *host = json_is_string(item) ? json_string_value(item) : "";
		if (cert_name_is_valid(host) && !has_pair(w, host)) {
			struct strv one = {.v = (char *[]){(char *)host, NULL}, .n = 1};
			serve(w, &one);
		}
	}
}

/* --- the job --- */

static void plan_names(struct work *w)
{
	scoped(strv) struct strv search = STRV_INIT;
	scoped(strv) struct strv addresses = STRV_INIT;
	struct err e;
	(void)json_get_strv(w->request, "search", &search, &e);
	(void)json_get_strv(w->request, "addresses", &addresses, &e);
	cert_device_names(w->name, w->hostname, &search, &addresses, &w->device);
	for (const char *const *d = cert_private_domains(); *d; d++) {
		strv_add(&w->permitted, *d);
	}
	for (size_t i = 0; i < w->device.n; i++) {
		struct ip ip;
		const char *name = w->device.v[i];
		if (ip_parse(name, &ip) < 0 && !text_starts(name, "*.") &&
			(!strchr(name, '.') || !cert_name_is_private(name)) &&
			!strv_has(&w->permitted, name)) {
			strv_add(&w->permitted, name);
		}
	}
}

static void write_page(struct work *w)
{
	const struct authority *a = authority_for(w, w->device.v[0]);
	const struct authority *other = &w->authorities[OTHER];
	scoped(strv) struct strv addresses = STRV_INIT;
	struct err e;
	if (!a || !*json_str(w->request, "page")) {
		return;
	}
	(void)json_get_strv(w->request, "addresses", &addresses, &e);
	const struct cert_page page = {
		.device = w->name,
		.http_port = (int)json_i64(w->request, "http_port", 80),
		.addresses = &addresses,
		.authority = a->pair.cert,
		.other = other == a ? NULL : other->pair.cert,
	};
	if (cert_page_write(json_str(w->request, "page"), &page, &e) < 0) {
		add_problem(w, json_str(w->request, "page"), e.msg);
	}
}

static int64_t next_run(const struct work *w)
{
	int64_t next = w->now + RUN_AGAIN_S;
	for (size_t i = 0; i < w->store.n; i++) {
		const struct stored_cert *c = w->store.v[i];
		int64_t t = text_starts(c->name, "local-") ? pki_due_at(c->cert)
							   : pki_not_after(c->cert);
		next = c->wanted && t < next ? t : next;
	}
	return next < w->now + RUN_AGAIN_MIN_S ? w->now + RUN_AGAIN_MIN_S : next;
}

static json_t *result(const struct work *w)
{
	json_t *list = json_array();
	for (size_t i = 0; i < AUTHORITIES; i++) {
		if (w->authorities[i].pair.cert && !w->authorities[i].failed) {
			json_array_append_new(list, authority_json(&w->authorities[i]));
		}
	}
	json_t *o = json_object();
	json_put(o, "pairs", json_incref(w->pairs));
	json_put(o, "authorities", list);
	json_put(o, "problems", json_incref(w->problems));
	json_put(o, "watch", json_strv(&w->watch));
	json_put(o, "next", json_integer(next_run(w)));
	return o;
}

json_t *worker_certificates(struct rpc *r, const json_t *request, struct err *e)
{
	struct work w = {
		.request = request,
		.dir = json_str(request, "dir"),
		.name = json_str(request, "name"),
		.hostname = json_str(request, "hostname"),
		.now = json_i64(request, "now", 0),
		.clock_is_set = json_bool(request, "clock_is_set"),
		.store = {.dir_fd = -1},
		.problems = json_array(),
		.kept = json_object(),
		.pairs = json_array(),
	};
	json_t *answer = NULL;
	if (cert_store_open(&w.store, w.dir, e) == 0) {
		plan_names(&w);
		read_given(&w);
		take_foreign(&w, "own");
		take_foreign(&w, "acme");
		serve_device(&w);
		serve_hosts(&w);
		write_page(&w);
		answer =
			cert_store_finish(&w.store, json_incref(w.kept), e) < 0 ? NULL : result(&w);
	}
	work_deinit(&w);
	return answer;
}
